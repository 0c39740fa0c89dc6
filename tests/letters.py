"""Test bed: the outbox as a reader sees it, and the links in it."""

from __future__ import annotations

import re
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from flask import current_app
from sqlalchemy import event, select

from portal import clock
from portal.cli import worker
from portal.extensions import db
from portal.models import Message
from tests.databases import writes

LINK = re.compile(r"https?://[^\s<>\"]+")

_count = count()
_written: dict[str, int] = {}  # a row has no number of its own, and time stands still in most tests


@event.listens_for(Message, "init")
def _in_order(_message: Message, _args: Any, written: dict[str, Any]) -> None:
    _written[written["message_id"]] = next(_count)


def letters(name: str = "", *, to: str = "") -> list[Message]:
    """The messages in the outbox, in the order in which they were written: of one name, to one address, or all."""
    db.session.rollback()
    found = db.session.scalars(select(Message).order_by(Message.created_at, Message.message_id))
    rows = sorted(found, key=lambda row: (row.created_at, _written.get(row.message_id, -1)))
    return [row for row in rows if name in ("", row.name) and to in ("", row.to_address)]


def letter(name: str, *, to: str = "") -> Message:
    """The newest message of a name."""
    found = letters(name, to=to)
    assert found, f"the outbox holds no {name}, but {[row.name for row in letters()]}"
    return found[-1]


def link_in(message: Message) -> str:
    """The path of the first link in a message: the one that acts."""
    first = LINK.search(message.text)
    assert first is not None, f"{message.name} has no link"
    url = urlsplit(first.group().rstrip(".,)"))
    assert f"{url.scheme}://{url.netloc}" == current_app.config["PORTAL_URL"]
    return url.path


def answer_links() -> int:
    """What the worker does with addresses that were typed into a page."""
    db.session.rollback()
    return worker.answer_waiting(clock.now)


def clear() -> None:
    """Empty the outbox."""
    with writes():
        for row in db.session.scalars(select(Message)):
            db.session.delete(row)
