"""Room of mail: the way out. Flask-Mail's shell with our own message, connection and header rules.

`delivery` sends through `mail.connect()`; the page of the development mailbox reads `mailbox_messages()`. What
Flask-Mail 0.10 gets wrong is closed here: folded List-Unsubscribe, header injection, TLS that is not verified,
no timeout, lost refusals, 8-bit bodies and the machine's name in Message-IDs.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import mailbox
import os
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, EmailPolicy
from email.policy import default as reading
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import flask_mail
import idna
from flask import current_app

from portal.extensions import settings
from portal.models import message as models
from portal.models.message import MailKind

CONNECT_SECONDS = 10.0
TURN_SECONDS = 30.0
GOODBYE_SECONDS = 3.0
COLUMNS = 76  # RFC 2045 §6.7 for quoted-printable; RFC 2047 §2 for encoded words
CALENDAR_FILE = "due.ics"
NEVER_ANSWER = "OOF, DR, RN, NRN, AutoReply"

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


# Headers --------------------------------------------------------------------------------------------------


class _Verbatim:
    """A header that goes out as it is written: folded at blanks only, never inside a link or an identifier.

    The standard library turns a long link into encoded words, and Gmail then shows no unsubscribe button.
    """

    max_count = 1

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds["parse_tree"] = None
        kwds["decoded"] = value

    def fold(self, *, policy: EmailPolicy) -> str:
        return _folded(self.name, str(self), policy.linesep)  # type: ignore[attr-defined]


def _folded(name: str, value: str, end: str) -> str:
    first, *words = value.split(" ")
    lines = [f"{name}: {first}"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > COLUMNS:
            lines.append("")
        lines[-1] += f" {word}"
    return end.join(lines) + end


_OURS = (
    "From",
    "To",
    "Reply-To",
    "Subject",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "List-Help",
    "Feedback-ID",
)


def _policy() -> EmailPolicy[EmailMessage]:
    registry = HeaderRegistry()
    for name in _OURS:
        registry.map_to_type(name, _Verbatim)  # type: ignore[arg-type]
    return SMTP.clone(header_factory=registry, max_line_length=COLUMNS, cte_type="7bit")


POLICY = _policy()


def _checked(name: str, value: str) -> str:
    """The value, if it can stand in a header: one line of ASCII. Raises ValueError without repeating it."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"the header {name} may hold one line of plain characters only")
    return value


def header_line(name: str, value: str) -> bytes:
    """One of our headers as it stands in a message, folding and all. Raises ValueError as `_checked` does."""
    return _folded(name, _checked(name, value), POLICY.linesep).encode("ascii")


def boundary(message_id: str, depth: int = 0) -> str:
    """What parts a message: made from its Message-ID, so that it is the same each time it is sent."""
    return "=_" + hashlib.sha256(f"{message_id}{'/' * depth}".encode()).hexdigest()[:32]


@lru_cache(maxsize=64)
def encoded(text: str) -> str:
    """Any one line of text for a header: as it is where that is safe, else in encoded words (RFC 2047)."""
    if "\n" in text or "\r" in text:
        raise ValueError("a title has one line")
    plain = text.isascii() and text.isprintable() and "=?" not in text and text == text.strip()
    if plain and all(0 < len(word) <= COLUMNS - len("Subject: ") for word in text.split(" ")):
        return text
    return " ".join(Header(text, "utf-8", maxlinelen=COLUMNS, header_name="Subject").encode(linesep="\n").split())


def wire_address(address: str) -> str:
    """One address as SMTP carries it, its domain as IDNA. Raises ValueError for anything that is not one address."""
    local, _, domain = address.rpartition("@")
    if not _LOCAL.fullmatch(local):
        raise ValueError("not an address that can be written in plain characters")
    try:
        return f"{local}@{_domain(domain)}"
    except idna.IDNAError:
        raise ValueError("not an address: its domain is not a name") from None


@lru_cache(maxsize=4096)
def _domain(name: str) -> str:
    return idna.encode(name, uts46=True).decode("ascii")


# The header matrix of docs/mail.md ------------------------------------------------------------------------


def _sender() -> str:
    name, address = parseaddr(settings().mail_default_sender)
    return formataddr((name or settings().society_short_name, wire_address(address)))


def _staff_queue() -> str | None:
    """Where a member's answer should arrive: the desk; else the published contact, if it names an address."""
    config = settings()
    if config.staff_emails:
        return wire_address(config.staff_emails[0])
    for word in re.split(r"[\s<>(),;:]+", config.privacy_contact):
        if "@" in word:
            return wire_address(word.rstrip("."))
    return None


def _reply_to(kind: str) -> str | None:
    """Who answers a broadcast reaches the mailbox that understands "unsubscribe" and passes on the rest (P4)."""
    if kind == MailKind.BROADCAST and settings().unsubscribe_mailbox:
        return wire_address(settings().unsubscribe_mailbox)
    return _staff_queue() if kind in (MailKind.RECEIPT, MailKind.BROADCAST) else None


def _sender_id() -> str:
    """A stable name of 5 to 15 letters for the feedback loop of large mailbox providers."""
    letters = re.sub(r"[^a-z0-9]", "", settings().society_short_name.lower())
    return (letters if len(letters) >= 5 else f"{letters}portal")[:15]


def ways_out(unsubscribe_url: str) -> str:
    """The List-Unsubscribe of one recipient (RFC 2369, RFC 8058). Raises ValueError for what is no web address."""
    config = settings()
    parts = urlsplit(unsubscribe_url)
    if parts.scheme not in ("https", "http") or re.search(r"[\s<>,]", unsubscribe_url):
        raise ValueError("an unsubscribe link is one web address")
    ways = [f"<{unsubscribe_url}>"]
    if config.unsubscribe_mailbox:
        token = quote(parts.path.rpartition("/")[2], safe="")
        ways.append(f"<mailto:{wire_address(config.unsubscribe_mailbox)}?subject=unsubscribe%20{token}>")
    return ", ".join(ways)


def _list_headers(row: models.Message) -> dict[str, str]:
    """RFC 2369, RFC 2919 and RFC 8058: for broadcasts only."""
    config = settings()
    campaign = f"{row.name}-{row.broadcast_id}" if row.broadcast_id else row.name
    return {
        "List-Id": f"<{row.topic}.{config.host}>",
        "List-Unsubscribe": ways_out(row.unsubscribe_url),
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Help": f"<{config.url}/unsubscribe>",
        "Feedback-ID": f"{campaign}:{row.topic}:portal:{_sender_id()}",
    }


def _extra_headers(row: models.Message) -> dict[str, str]:
    if row.kind == MailKind.BROADCAST:
        return _list_headers(row)
    headers = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": NEVER_ANSWER}
    if row.in_reply_to and row.kind in (MailKind.RECEIPT, MailKind.STAFF):
        headers |= {"In-Reply-To": row.in_reply_to, "References": row.in_reply_to}
    return headers


class Message(flask_mail.Message):
    """One row of the outbox as Flask-Mail knows it, and as bytes that are the same each time they are sent.

    Holds no reference to the row, so that no transaction is open while it is sent. Raises ValueError where an
    address cannot be written. Flask-Mail's constructor is not called: it asks the network for the machine's name.
    """

    def __init__(self, row: models.Message) -> None:
        self.subject = row.title
        self.recipients = [wire_address(row.to_address)]
        self.sender = _sender()
        self.reply_to = _reply_to(row.kind)
        self.cc = []
        self.bcc = []
        self.attachments = []
        self.alts = {}
        self.body = row.text
        self.html = row.html
        self.calendar = row.calendar
        self.date = row.created_at.timestamp()
        self.msgId = row.message_id
        self.charset = "utf-8"
        self.extra_headers = _extra_headers(row)
        self.mail_options = []
        self.rcpt_options = []
        self._content = b""

    @property
    def recipient(self) -> str:
        """The one recipient. Raises ValueError if somebody added another, or one in copy."""
        recipients = [address for address in self.send_to if isinstance(address, str)]
        if len(recipients) != 1 or len(self.send_to) != 1:
            raise ValueError("a message has one recipient")
        return recipients[0]

    def as_bytes(self) -> bytes:
        """The message as it goes out, written once. Raises ValueError as `_message` does."""
        self._content = self._content or self._message().as_bytes()
        return self._content

    def _message(self) -> EmailMessage:  # type: ignore[override]
        """Raises ValueError for a line break or another control character in any header."""
        made = EmailMessage(policy=POLICY)
        fields = {
            "From": str(self.sender),
            "To": self.recipient,
            "Reply-To": str(self.reply_to or ""),
            "Subject": encoded(self.subject),
            "Message-ID": self.msgId,
            **(self.extra_headers or {}),
        }
        made["Date"] = format_datetime(datetime.fromtimestamp(self.date or 0, UTC))
        for name, value in fields.items():
            if value:
                made[name] = _checked(name, value)
        made.set_content(self.body or "", subtype="plain", charset="utf-8", cte="quoted-printable")
        if self.html:
            made.add_alternative(self.html, subtype="html", charset="utf-8", cte="quoted-printable")
        if self.calendar:
            made.add_attachment(
                self.calendar, subtype="calendar", charset="utf-8", cte="quoted-printable", filename=CALENDAR_FILE
            )
        for depth, part in enumerate(part for part in made.walk() if part.is_multipart()):
            part.set_boundary(boundary(self.msgId or "", depth))
        return made


class Filled(Message):
    """A message that is written already; `broadcasts` fills one letter for each person."""

    def __init__(self, content: bytes, *, subject: str, sender: str, recipient: str) -> None:
        self.subject, self.sender, self.recipients = subject, sender, [recipient]
        self._recipient, self._content = recipient, content

    @property
    def recipient(self) -> str:
        return self._recipient


# Connections ----------------------------------------------------------------------------------------------


class _Answers(io.RawIOBase):
    """What a relay says, read until the turn is over: one byte now and then wins it no more time."""

    def __init__(self, smtp: _Smtp) -> None:
        self._smtp = smtp

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        line = self._smtp.until_over()
        return line.recv_into(room)


class _Smtp(smtplib.SMTP):
    """SMTP that waits so long for a connection and so long for each turn, and no longer.

    A turn is all that comes before the first message, or one message, or the goodbye.
    """

    def __init__(self, host: str, port: int, *, hello: str, tls: ssl.SSLContext | None) -> None:
        self._connect_seconds = float(current_app.config.get("MAIL_CONNECT_SECONDS", CONNECT_SECONDS))
        self._turn_seconds = float(current_app.config.get("MAIL_TURN_SECONDS", TURN_SECONDS))
        self._tls = tls
        self._over = 0.0
        super().__init__(host, port, local_hostname=hello, timeout=self._turn_seconds)

    def begin_turn(self, seconds: float | None = None) -> None:
        """From now on so long, at most as long as a turn."""
        self._over = time.monotonic() + min(self._turn_seconds, seconds or self._turn_seconds)

    def until_over(self) -> socket.socket:
        """The line, which waits until the turn is over. Raises TimeoutError when it is."""
        left = self._over - time.monotonic()
        if left <= 0:
            raise TimeoutError("the relay took too long")
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("the line is closed")
        self.sock.settimeout(left)
        return self.sock

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        line = socket.create_connection((host, port), self._connect_seconds)
        self.begin_turn()
        line.settimeout(timeout)
        return self._tls.wrap_socket(line, server_hostname=host) if self._tls else line

    def send(self, s: Any) -> None:
        if self.sock is not None:
            self.until_over()
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Answers(self))
        return super().getreply()

    def pass_on(self, sender: str, recipient: str, content: bytes) -> None:
        """One message to one recipient: in two turns instead of four where the server allows it (RFC 2920).

        Raises what `sendmail` raises. What the server refuses is taken back, so that the next message may follow.
        """
        self.begin_turn()
        if not self.has_extn("pipelining"):
            self.sendmail(sender, [recipient], content)
            return
        size = f" SIZE={len(content)}" if self.has_extn("size") else ""
        self.send(f"MAIL FROM:<{sender}>{size}\r\nRCPT TO:<{recipient}>\r\nDATA\r\n")
        mail = self._reply()
        if mail[0] == 421:
            raise smtplib.SMTPSenderRefused(*mail, sender)
        rcpt = self._reply()
        if rcpt[0] == 421:
            raise smtplib.SMTPRecipientsRefused({recipient: rcpt})
        data = self._reply()
        if data[0] == 354:
            good = mail[0] == 250 and rcpt[0] in (250, 251)
            # The content begins with a header and has whole line ends throughout: see POLICY. Where nobody is left to
            # get it, the server wants an empty one.
            self.send((content.replace(b"\r\n.", b"\r\n..") if good else b"") + b".\r\n")
            last = self._reply()
            data = last if good else data
        if mail[0] == 250 and rcpt[0] in (250, 251) and data[0] == 250:
            return
        with suppress(smtplib.SMTPException, OSError):
            self.rset()
        if mail[0] != 250:
            raise smtplib.SMTPSenderRefused(*mail, sender)
        if rcpt[0] not in (250, 251):
            raise smtplib.SMTPRecipientsRefused({recipient: rcpt})
        raise smtplib.SMTPDataError(*data)

    def _reply(self) -> tuple[int, bytes]:
        """The next answer; after 421 there is none."""
        code, words = self.getreply()
        if code == 421:
            self.close()
        return code, words


class Connection(flask_mail.Connection):
    """One line to the relay, or to the development mailbox where no relay is named: the same bytes for both."""

    host: _Smtp | None
    mailbox: mailbox.Maildir | None = None

    def __enter__(self) -> Connection:
        _check_addresses()
        if settings().mail_server:
            self.host = self.configure_host()
        else:
            self.mailbox = _maildir(create=True)
        return self

    def __exit__(self, *_: object) -> None:
        host, self.host = self.host, None
        if host is not None:
            host.begin_turn(GOODBYE_SECONDS)
            with suppress(smtplib.SMTPException, OSError):
                host.quit()
            host.close()
        if self.mailbox is not None:
            self.mailbox.close()

    def configure_host(self) -> _Smtp:
        """A greeted, encrypted, signed-in relay. Raises OSError or SMTPException: then nothing was sent.

        The certificate is verified against MAIL_SERVER by the system's authorities, or those of SSL_CERT_FILE.
        """
        config = settings()
        if config.env == "production" and not (config.mail_use_tls or config.mail_use_ssl):
            raise smtplib.SMTPNotSupportedError("plain SMTP is for development only")
        context = mail.tls_context() if config.mail_use_tls or config.mail_use_ssl else None
        tls = context if config.mail_use_ssl else None
        host = _Smtp(config.mail_server, config.mail_port, hello=_hello(config.host), tls=tls)
        try:
            if config.mail_use_tls:
                host.starttls(context=context)
            host.ehlo_or_helo_if_needed()
            if config.mail_username and config.mail_password:
                host.login(config.mail_username, config.mail_password)
        except BaseException:
            host.close()
            raise
        return host

    def send(self, message: flask_mail.Message, envelope_from: str | tuple[str, str] | None = None) -> None:
        """Send one message to its one recipient, and tell `email_dispatched`.

        Raises ValueError before anything is sent if the message may not be; SMTPException and OSError as smtplib.
        """
        if not isinstance(message, Message) or isinstance(envelope_from, tuple):
            raise ValueError("only messages of the outbox are sent")
        content, recipient = message.as_bytes(), message.recipient
        if self.host is not None:
            sender = envelope_from or _envelope(str(message.sender))
            try:
                self.host.pass_on(sender, recipient, content)
            except smtplib.SMTPDataError:
                with suppress(smtplib.SMTPException, OSError):
                    self.host.rset()  # smtplib leaves the refused message standing when DATA itself is refused
                raise
        elif self.mailbox is not None:
            self.mailbox.add(content)
        else:
            raise ValueError("a connection is opened by `with`")
        self.num_emails += 1
        flask_mail.email_dispatched.send(
            current_app._get_current_object(),  # type: ignore[attr-defined]
            message=message,
        )


@lru_cache(maxsize=8)
def _envelope(sender: str) -> str:
    return parseaddr(sender)[1]


class AddressError(smtplib.SMTPException):
    """An address in the settings is none. No message is at fault, so that all of them wait."""


def _check_addresses() -> None:
    try:
        _sender()
        _staff_queue()
        if settings().unsubscribe_mailbox:
            wire_address(settings().unsubscribe_mailbox)
    except ValueError:
        raise AddressError(
            "MAIL_DEFAULT_SENDER, STAFF_EMAILS, PRIVACY_CONTACT or UNSUBSCRIBE_MAILBOX holds no address"
        ) from None


def _hello(host: str) -> str:
    """The name to greet with; a number as the literal that RFC 5321 §4.1.3 asks for."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host
    return f"[{host}]" if number.version == 4 else f"[IPv6:{host}]"


def verified_tls() -> ssl.SSLContext:
    """TLS that checks certificate and name; at least version 1.2."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Mail(flask_mail.Mail):
    """Flask-Mail with our connection. Whether it sends never depends on a debug or testing flag."""

    tls_context: Callable[[], ssl.SSLContext] = staticmethod(verified_tls)

    def init_mail(self, config: dict[str, Any], debug: bool | int = False, testing: bool = False) -> flask_mail._Mail:
        quiet = {**config, "MAIL_DEBUG": 0, "MAIL_SUPPRESS_SEND": False}
        return super().init_mail(quiet, debug=False, testing=False)

    def connect(self) -> Connection:
        return Connection(current_app.extensions["mail"])


mail = Mail()


# The development mailbox ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadMessage:
    """A message of the development mailbox as a page shows it."""

    key: str
    to: str
    title: str
    at: datetime
    text: str
    html: str
    headers: list[tuple[str, str]]


def mailbox_messages(*, limit: int = 200) -> list[ReadMessage]:
    """The development mailbox, newest first; what cannot be read, or vanishes meanwhile, is left out."""
    if not settings().mailbox_dir.is_dir():
        return []
    box = _maildir(create=False)
    times = _arrivals()
    newest = sorted(times, key=lambda key: (times[key], key), reverse=True)[:limit]
    read = [message for key in newest if (message := _read(box, key)) is not None]
    return sorted(read, key=lambda message: message.at, reverse=True)


def mailbox_message(key: str) -> ReadMessage | None:
    """One message; None for a key that the mailbox does not list, so that no key is ever a path."""
    if not settings().mailbox_dir.is_dir():
        return None
    box = _maildir(create=False)
    return _read(box, key) if key in set(box.iterkeys()) else None


def _maildir(*, create: bool) -> mailbox.Maildir:
    if settings().env == "production":
        raise smtplib.SMTPNotSupportedError("MAIL_SERVER is missing: the mailbox is for development only")
    settings().mailbox_dir.parent.mkdir(parents=True, exist_ok=True)
    return mailbox.Maildir(settings().mailbox_dir, factory=None, create=create)


def _arrivals() -> dict[str, int]:
    """When each message came, by its key: the part of the file's name before the colon."""
    times: dict[str, int] = {}
    for folder in ("new", "cur"):
        with os.scandir(settings().mailbox_dir / folder) as files:
            for file in files:
                with suppress(FileNotFoundError):
                    times[file.name.partition(":")[0]] = file.stat().st_mtime_ns
    return times


def _read(box: mailbox.Maildir, key: str) -> ReadMessage | None:
    try:
        made = BytesParser(EmailMessage, policy=reading).parsebytes(box.get_bytes(key))
        at = made["Date"].datetime
        text, html = made.get_body(("plain",)), made.get_body(("html",))
        return ReadMessage(
            key=key,
            to=str(made["To"]),
            title=str(made["Subject"] or ""),
            at=at if at.tzinfo else at.replace(tzinfo=UTC),
            text=text.get_content() if text else "",
            html=html.get_content() if html else "",
            headers=[(name, str(value)) for name, value in made.items()],
        )
    except (KeyError, LookupError, OSError, ValueError, AttributeError):
        return None
