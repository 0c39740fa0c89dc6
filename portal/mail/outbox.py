"""Room of mail: the outbox. `messages` puts here what `delivery` carries away; nothing is sent from here."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import css_inline
from flask import current_app

from portal.extensions import db, settings
from portal.models import Message
from portal.models.message import MailKind
from portal.purposes import TOPICS

_INLINER: Final = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)
_DERIVED = re.compile(r"[A-Za-z0-9]+([.-][A-Za-z0-9]+)*")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # controls, and turned directions
_WIDE_SPACES = str.maketrans(dict.fromkeys("\u00a0\u2007\u202f", " "))


def put(
    name: str,
    /,
    *,
    kind: MailKind,
    to: str,
    subject_id: UUID | None,
    now: datetime,
    topic: str = "",
    unsubscribe_url: str = "",
    thread: str = "",
    calendar: str = "",
    **context: object,
) -> Message:
    """Write one message to one address into the outbox; it leaves only if the caller's transaction commits.

    The templates are `email/<name>/{subject.txt,body.txt,body.html}`; the context is completed by the society's
    settings. Messages with one `thread`, as a request's reference, are shown together by mail programs. `calendar`:
    an iCalendar text that goes with it, without a word about any person.

    Raises ValueError for a broadcast without a topic and an unsubscribe link, or another message with one of
    them (RFC 8058 is for broadcasts), and for a thread that cannot stand in a Message-ID.
    """
    broadcast = kind is MailKind.BROADCAST
    if broadcast and (topic not in TOPICS or not unsubscribe_url):
        raise ValueError("a broadcast has a topic and an unsubscribe link")
    if not broadcast and (topic or unsubscribe_url):
        raise ValueError("only a broadcast has a topic and an unsubscribe link")
    words = write(name, topic=topic, unsubscribe_url=unsubscribe_url, **context)
    random = secrets.token_hex(8)
    message = Message(
        message_id=message_id(f"{thread}.{random}" if thread else random),
        in_reply_to=message_id(thread) if thread else "",
        subject_id=subject_id,
        kind=kind,
        name=name,
        topic=topic,
        to_address=to,
        title=words.title,
        text=words.text,
        html=words.html,
        calendar=calendar,
        unsubscribe_url=unsubscribe_url,
        created_at=now,
        due_at=now,
    )
    db.session.add(message)
    return message


@dataclass(frozen=True)
class Words:
    """What a message says: its title, its text, and the same as a page."""

    title: str
    text: str
    html: str


def write(name: str, /, *, topic: str, unsubscribe_url: str, **context: object) -> Words:
    """The three templates of a message, rendered. `topic`: for a broadcast only."""
    config = settings()
    words: dict[str, object] = {
        **context,
        "society": config.society_name,
        "short_name": config.society_short_name,
        "portal_url": config.url,
        "privacy_contact": config.privacy_contact,
        "postal_address": config.society_postal_address,
        "broadcast": bool(topic),
        "topic_name": TOPICS[topic].name if topic else "",
        "unsubscribe_url": unsubscribe_url,
    }
    title = one_line(_render(name, "subject.txt", words))
    words["title"] = title
    page = _INLINER.inline(_render(name, "body.html", words))
    return Words(title, plain(_render(name, "body.txt", words)), _UNSEEN.sub("", page))


def put_to_staff(name: str, /, *, now: datetime, thread: str = "", to: Sequence[str] = (), **context: Any) -> None:
    """The same message to each address of the staff, or to these alone, about nobody in particular."""
    for address in to or settings().staff_emails:
        put(name, kind=MailKind.STAFF, to=address, subject_id=None, now=now, thread=thread, **context)


def message_id(source: str) -> str:
    """The Message-ID made from a text, at the portal's own host (RFC 5322 §3.6.4).

    That of a thread belongs to no message: each answers it, so that none depends on another's delivery.
    """
    if not _DERIVED.fullmatch(source):
        raise ValueError("a Message-ID is made from letters, digits, dots and hyphens")
    return f"<{source}@{settings().host}>"


def absolute(path: str) -> str:
    """The public address of a page, built from PORTAL_URL alone: never from a request's Host header."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("a path of this portal begins with one slash")
    return settings().url + path


def one_line(text: str) -> str:
    """A title: one line, single blanks. A line break in somebody's name never reaches a header."""
    return " ".join(_UNSEEN.sub(" ", _encodable(text)).split())


def plain(text: str) -> str:
    """A text part: no blanks at line ends, no special blanks, never two empty lines, one line end at its end."""
    text = _encodable(text).replace("\r\n", "\n").replace("\r", "\n").translate(_WIDE_SPACES)
    lines = "\n".join(line.rstrip() for line in _UNSEEN.sub("", text).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


def _render(name: str, part: str, words: dict[str, object]) -> str:
    """Without the web's context processors: a message reads the same whoever caused it."""
    return current_app.jinja_env.get_template(f"email/{name}/{part}").render(words)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
