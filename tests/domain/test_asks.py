"""Asking without a sign-in: nothing before the mailbox has spoken, one request afterwards (P25, P27, P32)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.datamap import retention
from portal.domain import asks, bounces, handling
from portal.domain.errors import LinkUsedUp
from portal.extensions import db, transaction
from portal.models import Ask, ChoiceRow, DataSubjectRequest, Member, Subject, Suppression
from portal.models.suppression import may_be_mailed
from portal.tokens import KEEP_LINK, WORKS_LINK, sign_reference, suppression_hash
from tests.databases import writes
from tests.letters import letter, letters, link_in
from tests.people import NOW, People, member

STRANGER = "stranger@elsewhere.example.org"
DAY = timedelta(days=1)


def asked(address: str, kind: str = "access", *, details: str = "") -> str:
    """The token that went to the mailbox."""
    now = NOW + timedelta(seconds=len(letters()))
    with writes():
        asks.ask(address, kind, details=details, now=now)
    return link_in(letter("ask_confirm")).removeprefix("/ask/")


def confirmed(token: str, *, after: timedelta = timedelta(hours=1)) -> DataSubjectRequest | None:
    with writes():
        return asks.confirm(token, now=NOW + after)


def requests() -> list[DataSubjectRequest]:
    db.session.rollback()
    return list(db.session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)))


def test_before_the_confirmation_there_is_no_request(people: People) -> None:
    """T1, T32: one row, one mail, for an address that we hold and for one that we do not; staff hear nothing."""
    for address in (people.alice.email, STRANGER):
        token = asked(address)
        waiting = asks.waiting(token, now=NOW)
        assert waiting is not None
        assert token not in (waiting.token_hash, waiting.details)
    assert requests() == []
    assert [(each.name, each.subject_id) for each in letters()] == [("ask_confirm", None)] * 2


def test_the_clock_runs_from_the_confirmation(people: People) -> None:
    token = asked(people.alice.email.upper(), "correction", details="The year")
    confirmed(token, after=6 * DAY)
    (request,) = requests()
    assert (request.subject_id, request.contact, request.details) == (people.alice.id, "", "The year")
    assert (request.door, request.verified_how, request.state) == ("link", asks.BY_MAILBOX, "received")
    assert request.received_at == request.verified_at == NOW + 6 * DAY
    assert db.session.scalars(select(func.count()).select_from(Ask)).one() == 0
    assert letter("request_received").to_address == people.alice.email
    assert len(letters("staff_request_received")) == 1


def test_somebody_without_a_record_is_a_number_and_an_address(people: People) -> None:
    """The same mailbox is the same stranger each time; nothing else of anybody is tied to it."""
    confirmed(asked(STRANGER))
    confirmed(asked(STRANGER, "question"))
    first, second = requests()
    assert first.subject_id == second.subject_id
    assert first.contact == second.contact == STRANGER
    assert db.session.get(Member, first.subject_id) is None
    assert link_in(letter("request_received")).startswith("/ask/status/")
    confirmed(asked("another@elsewhere.example.org", "question"))
    assert len({each.subject_id for each in requests()}) == 2


@pytest.mark.parametrize("known", [True, False])
def test_what_may_be_open_once_leads_to_what_is_open(people: People, known: bool) -> None:
    address = people.bob.email if known else STRANGER
    first = confirmed(asked(address, "portability"))
    again = confirmed(asked(address, "portability", details="Please as one file."))
    assert first is not None
    assert again is not None
    assert again.reference == first.reference
    assert len(requests()) == 1
    assert [step.words for step in requests()[0].steps if step.step == "added"] == ["Please as one file."]


def test_a_link_ends_with_its_week_and_with_its_use(people: People) -> None:
    """A used link, and one that is long gone from the tables, are still known as ours; another one is not."""
    used, late = asked(STRANGER), asked(people.alice.email)
    first = confirmed(used)
    assert first is not None
    again = confirmed(used)
    assert again is not None
    assert again.reference == first.reference
    with pytest.raises(LinkUsedUp):
        asks.waiting(used, now=NOW)
    for moment in (NOW + asks.CONFIRM_WITHIN + DAY, NOW + 30 * DAY):
        db.session.rollback()
        list(retention.run(now=moment + DAY))
        with pytest.raises(LinkUsedUp):
            asks.waiting(late, now=moment)
        with pytest.raises(LinkUsedUp), writes():
            asks.confirm(late, now=moment)
    assert db.session.scalars(select(func.count()).select_from(Ask)).one() == 0
    db.session.rollback()
    for foreign in ("x", "", used[:-1], sign_reference(first.reference, purpose=KEEP_LINK)):
        assert asks.waiting(foreign, now=NOW) is None
        assert asks.confirm(foreign, now=NOW) is None
    assert len(requests()) == 1


@pytest.mark.parametrize("known", [True, False])
def test_two_confirms_at_once_make_one_request(app: Flask, people: People, known: bool) -> None:
    token = asked(people.alice.email if known else STRANGER)
    subjects = db.session.scalars(select(func.count()).select_from(Subject)).one()
    db.session.rollback()

    def press(_number: int) -> str:
        def act() -> str:
            with app.app_context(), transaction():
                request = asks.confirm(token, now=NOW)
                assert request is not None
                return request.reference

        return Context().run(act)

    with ThreadPoolExecutor(4) as threads:
        references = set(threads.map(press, range(4)))
    assert references == {request.reference for request in requests()}
    assert len(requests()) == len(letters("request_received")) == len(letters("staff_request_received")) == 1
    db.session.rollback()
    assert db.session.scalars(select(func.count()).select_from(Subject)).one() == subjects + (not known)


def test_who_asks_for_silence_is_not_woken_by_a_mailbox_that_works_again(people: People) -> None:
    """P33: mail that came back from an address once is no reason that its owner could lift by trying it."""
    hashed = suppression_hash(STRANGER)
    with writes():
        db.session.add(Suppression(keyed_hash=hashed, reason="bounced", at=NOW - DAY))
    confirmed(asked(STRANGER, "marketing"))
    (row,) = db.session.scalars(select(Suppression)).all()
    assert (row.reason, row.at > NOW) == ("asked", True)
    assert bounces.find(sign_reference(str(row.id), purpose=WORKS_LINK)) is None


def test_marketing_stops_at_once_also_for_whom_we_do_not_know(people: People) -> None:
    """P29, P33: a known person's choices are off; an unknown address gets nothing, should it come one day."""
    before = db.session.scalars(select(func.count()).select_from(ChoiceRow)).one()
    confirmed(asked(people.alice.email, "marketing"))
    confirmed(asked(STRANGER, "marketing"))
    confirmed(asked(STRANGER, "marketing"))
    assert {request.state for request in requests()} == {"fulfilled"}
    assert letters("staff_request_received") == []
    answers = letters("request_answered")
    assert "Turned off" in answers[0].text
    assert "We hold no record of you" in answers[1].text
    assert db.session.scalars(select(func.count()).select_from(ChoiceRow)).one() > before
    assert db.session.scalars(select(Suppression.reason)).all() == ["asked"]
    with writes():
        nobody = handling.write_down(
            None, "marketing", details="W", contact="", how="phone", received_at=NOW, operation_id="one", now=NOW
        )
    assert nobody.state == "fulfilled"
    assert db.session.scalars(select(ChoiceRow).where(ChoiceRow.subject_id == nobody.subject_id)).all() == []
    with writes():
        late = member(email=STRANGER)
        db.session.add(late)
    mailed = select(Member.email).join(Subject, Subject.id == Member.id).where(may_be_mailed(None))
    assert db.session.scalars(mailed.order_by(Member.email)).all() == [people.bob.email]
