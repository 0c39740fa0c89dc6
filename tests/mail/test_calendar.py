"""The day on which an answer is due, as a calendar entry in the first mail to staff: read from the bytes received."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage

import icalendar
import pytest
from sqlalchemy import select

from portal.domain import requests
from portal.extensions import db
from portal.mail import transport
from portal.mail.delivery import deliver
from portal.models import DataSubjectRequest, Member, Message
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import ALICE

from .conftest import START, MakePortal, member
from .relay import Received, Relay

pytestmark = pytest.mark.opens_smtp
HOUR = timedelta(hours=1)


def ask(alice: Member, number: int) -> DataSubjectRequest:
    return requests.file(alice, "question", details="Words of mine", operation_id=str(number), via=Door.PAGE, now=START)


def days(received: Received) -> list[icalendar.Event]:
    """The entries of the one attachment."""
    (attached,) = received.message.iter_attachments()
    assert isinstance(attached, EmailMessage)
    assert attached["Content-Type"] == 'text/calendar; charset="utf-8"'
    assert attached["Content-Disposition"] == f'attachment; filename="{transport.CALENDAR_FILE}"'
    made = icalendar.Calendar.from_ical(attached.get_content())
    assert not made.errors
    assert "METHOD" not in made
    return made.events


def test_the_first_mail_to_staff_brings_the_day(make_portal: MakePortal, relay: Relay) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), STAFF_EMAILS="desk@example.org")
    ident = member(str(ALICE["email"]), **{name: value for name, value in ALICE.items() if name != "email"})
    with writes():
        alice = db.session.get_one(Member, ident)
        made = [ask(alice, number) for number in range(requests.AT_ONCE + 2)]
        references, due = [each.reference for each in made], made[0].promise_on
        once = [transport.Message(row).as_bytes() for row in db.session.scalars(select(Message))]
        assert once == [transport.Message(row).as_bytes() for row in db.session.scalars(select(Message))]
        requests.tell_staff_of_the_rest(now=START)
    assert deliver(now=lambda: START + HOUR).sent == len(made) + requests.AT_ONCE + 1
    to_staff = [each for each in relay.received if each.rcpt_tos == ("desk@example.org",)]
    to_member = [each for each in relay.received if each not in to_staff]
    assert all(not list(each.message.iter_attachments()) for each in to_member)

    found = [entry for each in to_staff for entry in days(each)]
    assert sorted(str(entry["UID"]) for entry in found) == sorted(f"{each}@privacy.example.org" for each in references)
    for entry in found:
        reference = str(entry["UID"]).partition("@")[0]
        assert due == entry.DTSTART
        assert due + timedelta(days=1) == entry.DTEND
        assert str(entry["SUMMARY"]) == f"{reference} due: Ask or suggest something"
        assert str(entry["DESCRIPTION"]) == f"https://privacy.example.org/desk/requests/{reference}"
        said = entry.to_ical().decode()
        assert not [value for value in ALICE.values() if isinstance(value, str) and len(value) > 4 and value in said]
        assert "Words of mine" not in said
    for each in to_staff:
        whole = each.message
        assert whole.get_content_type() == "multipart/mixed"
        assert not whole.defects
        body = whole.get_body(("plain",))
        assert isinstance(body, EmailMessage)
        assert "details are at the desk only" in body.get_content()
        assert all(len(line) <= 78 and line.isascii() for line in each.content.split(b"\r\n"))
    db.session.rollback()
    assert {row.calendar for row in db.session.scalars(select(Message))} == {""}, "it goes with the texts"
