"""Room of mail: what a large mailbox provider would object to, in plain words. Called by `mail doctor`.

Settings, the line to the relay, and messages as they go out, read by the standard library's other parser. What only
the DNS knows is named as not checked.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from email.utils import parseaddr
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urlsplit

from portal.extensions import settings
from portal.mail import transport
from portal.models import Message
from portal.models.message import MailKind

MOST_BYTES: Final = 100_000  # where Gmail cuts a message off, and the unsubscribe link with it
LONGEST_TITLE: Final = 78
ONCE: Final = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")
OF_LISTS: Final = ("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "Feedback-ID")
COPY: Final = "If the button does not work, copy this address into your browser:"


def of_settings() -> Iterator[str]:
    """What is missing or odd in the settings."""
    config = settings()
    for name, value, why in (
        ("STAFF_EMAILS", config.staff_emails, "nobody is told of requests, and letters that come in wait"),
        ("PRIVACY_CONTACT", config.privacy_contact, "no message says whom to ask"),
        ("UNSUBSCRIBE_MAILBOX", config.unsubscribe_mailbox, "an answer that says “unsubscribe” reaches no program"),
        (
            "SOCIETY_POSTAL_ADDRESS",
            config.society_postal_address,
            "the law of several countries wants it in broadcasts",
        ),
        ("MAIL_SERVER", config.mail_server, "no message leaves this machine"),
    ):
        if not value:
            yield f"{name} is not set: {why}."
    if not config.secure:
        yield "PORTAL_URL does not begin with https://: links in messages look unsafe, and RFC 8058 asks for https."
    if config.mail_server and not (config.mail_use_tls or config.mail_use_ssl):
        yield "MAIL_USE_TLS and MAIL_USE_SSL are off: messages travel readable to everybody on the way."
    sender = parseaddr(config.mail_default_sender)[1]
    for name, address in (("MAIL_DEFAULT_SENDER", sender), ("UNSUBSCRIBE_MAILBOX", config.unsubscribe_mailbox)):
        yield from _of_address(name, address, config.host)
    if re.match(r"(no|do-?not)-?reply", sender, re.I):
        yield "MAIL_DEFAULT_SENDER says that nobody reads answers: providers and readers trust an address that is read."


def _of_address(name: str, address: str, host: str) -> Iterator[str]:
    if not address:
        return
    try:
        domain = transport.wire_address(address).rpartition("@")[2]
    except ValueError:
        yield f"{name} holds no address that mail can carry."
        return
    if _family(domain) != _family(host):
        yield (
            f"{name} is at {domain}, and links lead to {host}: two houses that DMARC does not see as one, "
            "which readers and providers take for a mark of forgery."
        )


def _family(domain: str) -> str:
    """The last two names of a domain: near enough to what DMARC calls the organisation."""
    return ".".join(domain.lower().split(".")[-2:])


def of_line() -> Iterator[str]:
    """What is wrong on the way to the relay: it is greeted and left, nothing is sent."""
    if not settings().mail_server:
        return
    try:
        with transport.mail.connect():
            pass
    except ssl.SSLCertVerificationError as error:
        yield f"The relay's certificate is not good for MAIL_SERVER: {error.verify_message or 'it was not accepted'}."
    except ssl.SSLError as error:
        yield f"The relay speaks no TLS that we accept: {error.reason or type(error).__name__}."
    except transport.AddressError as error:
        yield f"{error}."
    except smtplib.SMTPAuthenticationError:
        yield "The relay refuses MAIL_USERNAME or MAIL_PASSWORD."
    except smtplib.SMTPNotSupportedError as error:
        yield f"The relay does not offer what the settings ask for: {error}."
    except (smtplib.SMTPException, OSError) as error:
        yield f"The relay cannot be reached ({type(error).__name__}): see MAIL_SERVER and MAIL_PORT."


def not_checked() -> Iterator[str]:
    """What a provider looks at and this portal cannot see: no resolver is asked."""
    config = settings()
    sender = parseaddr(config.mail_default_sender)[1].rpartition("@")[2] or "the sender's domain"
    yield f"SPF: the record of {sender} names the relay."
    yield f"DKIM: the relay signs as {sender}, List-Unsubscribe and List-Unsubscribe-Post among the signed headers."
    yield f"DMARC: _dmarc.{sender} has a record, with p=quarantine or p=reject in the end."
    yield "The relay's network address has a name that leads back to it (PTR), and is on no block list."
    boxes = [parseaddr(config.mail_default_sender)[1], config.unsubscribe_mailbox]
    yield f"Mail to {' and '.join(each for each in boxes if each)} reaches `mail receive` (docs/mail.md)."


# One message ----------------------------------------------------------------------------------------------


def of_message(row: Message) -> Iterator[str]:
    """What is wrong with one message, as the bytes that would go out."""
    try:
        content = transport.Message(row).as_bytes()
    except ValueError as error:
        yield f"it cannot be written: {error}"
        return
    read = BytesParser(EmailMessage, policy=default).parsebytes(content)
    yield from _of_bytes(content, read)
    yield from _of_headers(row, read)
    yield from _of_parts(row, read)


def _of_bytes(content: bytes, read: EmailMessage) -> Iterator[str]:
    if len(content) >= MOST_BYTES:
        yield f"it has {len(content):,} bytes: from {MOST_BYTES:,} on, large providers show a part of it"
    if not content.isascii():
        yield "it is not plain ASCII on the way: some relays change such bytes, and break the signature"
    body = content.partition(b"\r\n\r\n")[2]
    if max(map(len, body.split(b"\r\n"))) > transport.COLUMNS:
        yield f"a line of its body has more than {transport.COLUMNS} columns"
    for part in read.walk():
        for defect in part.defects:
            yield f"another program reads it as faulty: {type(defect).__name__}"


def _of_headers(row: Message, read: EmailMessage) -> Iterator[str]:
    for name in ONCE:
        if len(read.get_all(name, [])) != 1:
            yield f"the header {name} does not stand in it exactly once"
    title = str(read["Subject"] or "")
    if not title or len(title) > LONGEST_TITLE or title.isupper() or "!" in title:
        yield f"its title is empty, shouts, or is longer than {LONGEST_TITLE} letters"
    if str(read["Message-ID"] or "").rpartition("@")[2].rstrip(">") != settings().host:
        yield "its Message-ID is not at the portal's own host"
    if row.kind == MailKind.BROADCAST:
        yield from _of_broadcast(row, read)
        return
    for name in (*OF_LISTS, "List-Post"):
        if name in read:
            yield f"it has the header {name}, which belongs to broadcasts alone"
    if read["Auto-Submitted"] != "auto-generated":
        yield "it does not say Auto-Submitted: auto-generated, so that programs answer it (RFC 3834)"


def _of_broadcast(row: Message, read: EmailMessage) -> Iterator[str]:
    for name in OF_LISTS:
        if len(read.get_all(name, [])) != 1:
            yield f"the header {name} does not stand in it exactly once"
    ways = re.findall(r"<([^<>]*)>", str(read["List-Unsubscribe"] or ""))
    if [each for each in ways if each.startswith("https://")] != ways[:1] or not ways:
        yield "List-Unsubscribe does not begin with one https link (RFC 8058 §3.1)"
    if settings().unsubscribe_mailbox and not any(each.startswith("mailto:") for each in ways):
        yield "List-Unsubscribe names no mail address"
    if read["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click":
        yield "List-Unsubscribe-Post does not say List-Unsubscribe=One-Click (RFC 8058 §3.1)"
    address = settings().society_postal_address
    for what, text in (("text", row.text), ("HTML", row.html)):
        if row.unsubscribe_url not in text:
            yield f"its {what} part has no unsubscribe link to be seen"
        if address and not set(_words(address)) <= set(_words(text)):
            yield f"its {what} part does not give the postal address"


def _of_parts(row: Message, read: EmailMessage) -> Iterator[str]:
    plain, page = read.get_body(("plain",)), read.get_body(("html",))
    if plain is None or page is None:
        yield "it has not both a text and an HTML part"
        return
    text, html = str(plain.get_content()), str(page.get_content())
    seen = Seen(html)
    frame = set(_words(f"{settings().society_name} {row.title} {COPY}"))
    for what, words in (
        ("only its text part says", set(_words(text)) - set(_words(seen.text))),
        ("only its HTML part says", set(_words(seen.text)) - set(_words(text)) - frame),
    ):
        if words:
            yield f"{what}: {', '.join(sorted(words)[:5])}"
    links = set(re.findall(r"https?://[^\s<>]+", text))
    if links != set(seen.links):
        yield "its two parts have not the same links"
    yield from _of_links(row, links | set(seen.links))
    if re.search(r"\bsrc\b|srcset|url\(|@import|<link|<script|<img|<form", html, re.I):
        yield "its HTML part fetches something, or has a script or a form in it"


def _of_links(row: Message, links: set[str]) -> Iterator[str]:
    for link in sorted(links):
        parts = urlsplit(link)
        if parts.scheme != "https" and settings().secure:
            yield f"a link does not begin with https://: {parts.scheme}://{parts.netloc}"
        if row.kind != MailKind.BROADCAST and parts.hostname != settings().host:
            yield f"a link leads to another house: {parts.netloc}"


def _words(text: str) -> list[str]:
    """The words without links and punctuation."""
    return re.findall(r"[^\W_]+", re.sub(r"https?://\S+", " ", text))


class Seen(HTMLParser):
    """What a reader of HTML sees: the words, and where links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text = ""
        self._head = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._head = tag == "head" or (self._head and tag != "body")
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.links.append(href)
        self.text += " " if tag not in ("a", "b", "strong") else ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self._head else data
