"""The mail room's tests: a portal with a database of its own, templates of its own and a real mail server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from jinja2 import ChoiceLoader, DictLoader, StrictUndefined
from sqlalchemy import select

from portal import create_app
from portal.extensions import db
from portal.mail import outbox
from portal.models import Member, Message, Subject
from portal.models.member import new_subject
from portal.models.message import MailKind
from portal.tokens import canonical_address, sign_unsubscribe, suppression_hash
from tests.databases import writes
from tests.settings import config_for

from .relay import Relay

START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TEMPLATES = {
    "email/hello/subject.txt": "Hello {{ first_name }}",
    "email/hello/body.txt": (
        '{% extends "email/_base.txt" %}{% from "email/_macros.txt" import button, facts %}'
        '{% block body %}Dear {{ first_name }},\n\n{{ button(absolute("/profile"), "See your profile") }}\n\n'
        '{{ facts([("Name", first_name)]) }}{% endblock %}'
    ),
    "email/hello/body.html": (
        '{% extends "email/_base.html" %}{% from "email/_macros.html" import button, facts %}'
        '{% block body %}<p>Dear {{ first_name }},</p>{{ button(absolute("/profile"), "See your profile") }}'
        '{{ facts([("Name", first_name)]) }}{% endblock %}'
    ),
}
TEMPLATES |= {path.replace("hello", "farewell"): text for path, text in TEMPLATES.items()}

MakePortal = Callable[..., Flask]


SETTINGS = {
    "PORTAL_URL": "https://privacy.example.org",
    "PRIVACY_CONTACT": "Privacy desk, privacy@example.org",
    "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1, Springfield",
}


@pytest.fixture
def make_portal(database: str, tmp_path: Path) -> Iterator[MakePortal]:
    """Makes a portal over the test's database, with other settings where a test names them."""
    with ExitStack() as stack:

        def make(**more: str) -> Flask:
            app = create_app(config_for(database, tmp_path, **(SETTINGS | more)))
            app.config.update(MAIL_CONNECT_SECONDS=2, MAIL_TURN_SECONDS=2)
            app.jinja_env.undefined = StrictUndefined
            loaders = [DictLoader(TEMPLATES), app.jinja_env.loader]
            app.jinja_env.loader = ChoiceLoader([loader for loader in loaders if loader])
            stack.enter_context(app.app_context())
            stack.callback(db.engine.dispose)
            stack.callback(db.session.remove)
            return app

        yield make


one_by_one = pytest.mark.parametrize("relay", [True, False], ids=["together", "one-by-one"], indirect=True)


@pytest.fixture
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    """It takes commands together, as most do; `one_by_one` asks for both sorts."""
    with Relay(pipelining=getattr(request, "param", True)).serving() as server:
        yield server


@pytest.fixture
def portal(make_portal: MakePortal, relay: Relay) -> Flask:
    """A portal whose relay is the real server beside it."""
    return make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port))


def member(email: str = "alice@example.org", **fields: object) -> UUID:
    """A member of whom only what mail needs is known."""
    with writes():
        subject = new_subject()
        db.session.add(subject)
        address = canonical_address(email)
        db.session.add(
            Member(id=subject.id, email=email, email_key=address, address_hash=suppression_hash(address), **fields)
        )
        return subject.id


def put(
    kind: MailKind = MailKind.ACCOUNT,
    to: str = "alice@example.org",
    *,
    name: str = "hello",
    subject_id: UUID | None = None,
    now: datetime = START,
    thread: str = "",
    first_name: str = "Alice",
) -> UUID:
    """One message in the outbox, committed."""
    with writes():
        broadcast = kind is MailKind.BROADCAST
        token = ""
        if broadcast:
            subject = db.session.get(Subject, subject_id)
            token = sign_unsubscribe(subject.unsubscribe_reference if subject else b"0" * 16, "events")
        made = outbox.put(
            name,
            kind=kind,
            to=to,
            subject_id=subject_id,
            now=now,
            topic="events" if broadcast else "",
            unsubscribe_url=outbox.absolute(f"/unsubscribe/{token}") if broadcast else "",
            thread=thread,
            first_name=first_name,
        )
        db.session.flush()
        return made.id


def stored(ident: UUID) -> Message:
    """The row as it stands now, outside any transaction."""
    db.session.rollback()
    row = db.session.get_one(Message, ident)
    db.session.refresh(row)
    db.session.expunge(row)
    db.session.rollback()
    return row


def outbox_rows(name: str) -> list[Message]:
    rows = list(db.session.scalars(select(Message).where(Message.name == name).order_by(Message.created_at)))
    for row in rows:
        db.session.expunge(row)
    db.session.rollback()
    return rows
