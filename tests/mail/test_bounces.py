"""What a status says of an address, and a refusal of the relay while we deliver."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import db
from portal.mail.bounces import Weight, weigh
from portal.mail.delivery import deliver
from portal.models import Bounce, Suppression
from portal.models.message import MailKind

from .conftest import START, member, put
from .relay import Relay

pytestmark = pytest.mark.opens_smtp


@pytest.mark.parametrize(
    ("weight", "statuses"),
    [
        (Weight.GONE, "5.1.1 5.1.2 5.1.3 5.1.6 5.1.10 5.2.1"),
        (Weight.FAILS, "4.2.2 5.2.2 4.4.1 5.4.4 5.0.0 4.1.1 5.1.0 5.3.0 5.2.3 4.4.7"),
        (Weight.NOTHING, "2.0.0 5.7.1 4.7.0 5.6.0 5.5.4 5.1.7 5.1.8 4.1.8 5.9.9 6.1.1 5 5.1 x . 5.17.1"),
    ],
)
def test_what_a_status_says(weight: Weight, statuses: str) -> None:
    assert {each: weigh(each) for each in statuses.split()} == dict.fromkeys(statuses.split(), weight)


@pytest.mark.parametrize(
    ("answer", "rows", "silent"),
    [
        ("550 5.1.1 no such user", [("5.1.1", True)], True),
        ("552 5.2.2 mailbox full", [("5.2.2", False)], False),
        ("554 5.7.1 policy", [], False),
        ("550 no such user", [], False),  # many say so of everything that they do not like
        ("450 4.2.1 later", [], False),  # tried again
    ],
)
def test_a_refusal_by_the_relay_counts(
    portal: Flask, relay: Relay, answer: str, rows: list[tuple[str, bool]], silent: bool
) -> None:
    subject_id = member()
    relay.on_rcpt = lambda address: answer if address.startswith("alice") else None
    put(MailKind.BROADCAST, subject_id=subject_id)
    put(to="alice@before.example.org", subject_id=subject_id)  # given up since: nobody's trouble
    deliver(now=lambda: START)
    assert [(row.status, row.final) for row in db.session.scalars(select(Bounce))] == rows
    assert [row.reason for row in db.session.scalars(select(Suppression))] == ["bounced"] * silent
    db.session.rollback()
    put(MailKind.BROADCAST, subject_id=subject_id)
    assert deliver(now=lambda: START).cancelled == silent
