"""Room of mail: a broadcast's words. Put together once when it is queued, cut into pieces once when it leaves.

Data is never a template: an author's text has three slots, filled in one pass, and whatever stands in a name stays as
it is. Every other brace or percent sign is the author's.
"""

from __future__ import annotations

import html
import re
import secrets
from dataclasses import dataclass
from email import quoprimime
from typing import Final

from flask import current_app
from markupsafe import Markup

from portal.extensions import settings
from portal.mail import outbox, transport
from portal.models import Broadcast, Message
from portal.models.message import MailKind
from portal.tokens import unsubscribe_signer

NAME: Final = "broadcast"
LINK: Final = "{unsubscribe_url}"
_KEPT: Final = "portal.letter"
_SLOT = re.compile(r"\{(first_name|last_name|unsubscribe_url)\}")
_END_OF_PAGE = re.compile(r"</body\s*>(?!.*</body\s*>)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Recipient:
    """What a letter says of the one who gets it."""

    first_name: str
    last_name: str
    address: str
    reference: bytes  # of the unsubscribe link


# Written once ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Page:
    """An author's page as the template takes it: up to where our foot belongs, and what comes after it."""

    words: Markup
    end: Markup
    has_heading: bool


def compose(topic: str, title: str, text: str, page: str = "") -> outbox.Words:
    """An author's words with our foot: the postal address, why it comes, and the way out where they do not name it.

    The slots stay as they are. `page`: HTML, a whole document or a piece of one; its styles are put on each element.
    """
    whole = "<body" in page.lower() or "<html" in page.lower()

    def written(part: str) -> outbox.Words:
        return outbox.write(
            NAME,
            topic=topic,
            unsubscribe_url="" if LINK in part else LINK,
            title=title,
            words=text,
            page=_page(page),
            layout="email/_whole.html" if whole else "email/_base.html",
        )

    words = written(text)
    return outbox.Words(words.title, words.text, written(page).html.replace("\r\n", "\n") if page else "")


def _page(page: str) -> _Page:
    end = found.start() if (found := _END_OF_PAGE.search(page)) else len(page)
    # The society's own words from a file, as much its own as our templates. What is filled in later is escaped.
    return _Page(Markup(page[:end]), Markup(page[end:]), "<h1" in page.lower())  # noqa: S704


def slots(text: str) -> set[str]:
    """The slots that a text has."""
    return set(_SLOT.findall(text))


def fill(text: str, person: Recipient, *, link: str = "", markup: bool = False) -> str:
    """A text, or a title, with one person's names, in one pass: a slot that stands in a name stays what it is.

    `markup`: the text is HTML, so what is filled in is escaped.
    """
    values = _values(person, link)
    return _filled(text, _escaped(values) if markup else values)


def _values(person: Recipient, link: str) -> dict[str, str]:
    return {
        "first_name": outbox.one_line(person.first_name),
        "last_name": outbox.one_line(person.last_name),
        "unsubscribe_url": link,
    }


def _escaped(values: dict[str, str]) -> dict[str, str]:
    return {name: html.escape(value) for name, value in values.items()}


def _filled(text: str, values: dict[str, str]) -> str:
    return _SLOT.sub(lambda slot: values[slot[1]], text)


# Filled for each ------------------------------------------------------------------------------------------


class Letter:
    """A broadcast as `transport.Message` would write it, cut where one copy differs from the next.

    Building a message is what sending costs most, so it is built once; for each person four headers, the boundary and
    the lines with a slot are written. Holds no reference to a row.
    """

    def __init__(self, broadcast: Broadcast) -> None:
        self.topic = broadcast.topic
        self._sign = unsubscribe_signer(broadcast.topic)
        self._base = f"{settings().url}/unsubscribe/"
        mark = secrets.token_hex(8)
        marks = iter(range(10**6))
        self._lines: dict[bytes, tuple[str, bool]] = {}

        def cut(text: str, *, markup: bool) -> str:
            lines = text.split("\n")
            for at, line in enumerate(lines):
                if _SLOT.search(line):
                    lines[at] = f"mark-{mark}-{next(marks)}-"
                    self._lines[lines[at].encode()] = line, markup
            return "\n".join(lines)

        sample = Message(
            broadcast_id=broadcast.id,
            kind=MailKind.BROADCAST,
            name=NAME,
            topic=broadcast.topic,
            to_address=f"{mark}@example.org",
            title=f"mark-{mark}",
            text=cut(broadcast.text, markup=False),
            html=cut(broadcast.html, markup=True),
            calendar="",
            message_id=f"<{mark}@{settings().host}>",
            unsubscribe_url=f"{settings().url}/unsubscribe/{self._sign(secrets.token_bytes(16))}",
            created_at=broadcast.dated_at,
        )
        made = transport.Message(sample)
        self._sender = str(made.sender)
        self._headers = {
            name: transport.header_line(name, value)
            for name, value in (
                ("To", sample.to_address),
                ("Subject", sample.title),
                ("Message-ID", sample.message_id),
            )
        }
        # The token stands in List-Unsubscribe alone, once or twice; all tokens of a topic are of one length.
        self._token = sample.unsubscribe_url.removeprefix(self._base).encode()
        self._boundary = transport.boundary(sample.message_id).encode()
        needles = [*self._headers.values(), self._token, self._boundary, *self._lines]
        self._pieces = re.split(b"(" + b"|".join(map(re.escape, needles)) + b")", made.as_bytes())

    def link(self, person: Recipient) -> str:
        """The link that stops this topic for one person."""
        return self._base + self._sign(person.reference)

    def message(self, person: Recipient, *, title: str, message_id: str) -> transport.Filled:
        """One person's copy. Raises ValueError where an address, or a title, cannot be written."""
        token = self._sign(person.reference)
        values = _values(person, self._base + token)
        escaped = _escaped(values)
        address = transport.wire_address(person.address)
        filled = {
            self._headers["To"]: transport.header_line("To", address),
            self._headers["Subject"]: transport.header_line("Subject", transport.encoded(title)),
            self._headers["Message-ID"]: transport.header_line("Message-ID", message_id),
            self._token: token.encode(),
            self._boundary: transport.boundary(message_id).encode(),
        }
        for needle, (line, markup) in self._lines.items():
            filled[needle] = _line(_filled(line, escaped if markup else values))
        content = b"".join([filled.get(piece, piece) for piece in self._pieces])
        return transport.Filled(content, subject=title, sender=self._sender, recipient=address)


def letter(broadcast: Broadcast) -> Letter:
    """A broadcast's letter: the one that was cut last, if it is that; a worker comes back to it for each batch."""
    key = broadcast.id, broadcast.dated_at
    kept = current_app.extensions.get(_KEPT)
    if kept is None or kept[0] != key:
        kept = current_app.extensions[_KEPT] = key, Letter(broadcast)
    cut: Letter = kept[1]
    return cut


def _line(text: str) -> bytes:
    """One line as the standard library writes it among others, in quoted-printable."""
    written = quoprimime.body_encode(text.encode().decode("latin-1"), transport.COLUMNS, transport.POLICY.linesep)
    return written.encode("ascii")
