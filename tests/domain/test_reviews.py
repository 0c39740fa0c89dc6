"""Erasure reviews: opened when a membership or a consent of somebody in the EEA ends, and only then (P28)."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import scoped_session

from portal import journal
from portal.domain import choices, imports, requests, reviews
from portal.domain.deadlines import dates
from portal.extensions import db
from portal.journal import OptOut
from portal.models import DataSubjectRequest, Member, Message
from portal.models.request import State
from portal.purposes import EEA, ENDED
from portal.vocabulary import Door
from tests.browse import Browse
from tests.databases import writes
from tests.people import NOW, People, member

TODAY = date(2026, 12, 4)


def bring(*rows: str, columns: str = "member_id,email,kind") -> imports.Report:
    with writes():
        return imports.import_members(io.BytesIO("\n".join([columns, *rows]).encode()), now=NOW)


def found() -> list[DataSubjectRequest]:
    db.session.rollback()
    return list(db.session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)))


def mails() -> list[tuple[str, str]]:
    db.session.rollback()
    return [(row.name, row.to_address) for row in db.session.scalars(select(Message).order_by(Message.name))]


# What ends a membership -------------------------------------------------------------------------------------

COLUMNS = ("kind", "membership_status", "expires_on", "country")
DAYS = st.sampled_from([None, *(TODAY + timedelta(days=days) for days in (-400, -1, 0, 1, 400))])
RECORDS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["member", "registered", "contact"]),
        "membership_status": st.sampled_from(["", "Active", "Lapsed", "CANCELLED", " expired ", "not lapsed"]),
        "expires_on": DAYS,
        "country": st.sampled_from(["SE", "US", "", "NO", "GB"]),
    }
)


def ends(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """The oracle: one of the three was so before and is not so any more."""
    over = ("Lapsed", "CANCELLED", " expired ")
    if before["kind"] == "member":
        if after["kind"] != "member":
            return True
        long_gone = before["expires_on"] is not None and before["expires_on"] < TODAY
        if not long_gone and after["expires_on"] is not None and after["expires_on"] < TODAY:
            return True
        return before["membership_status"] not in over and after["membership_status"] in over
    return False  # who never was a member


@settings(max_examples=300)
@given(before=RECORDS, after=RECORDS)
def test_a_membership_ends_by_its_kind_its_status_or_its_last_day(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    changes = {name: value for name, value in after.items() if before[name] != value}
    assert reviews.membership_ended(before, changes, today=TODAY) == ends(before, after)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(RECORDS, RECORDS), min_size=1, max_size=30))
def test_a_file_opens_a_review_for_each_membership_that_it_ends(
    session: scoped_session[Any], pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    """P28: for whom the oracle says so and who lives in the EEA; the same file again opens nothing more."""
    run = uuid4().hex
    emails = [f"p{number}-{run}@example.org" for number in range(len(pairs))]
    with writes():
        session.add_all(member(email=email, **was) for email, (was, _) in zip(emails, pairs, strict=True))
    rows, expected = [], set()
    for email, (was, brought) in zip(emails, pairs, strict=True):
        cells = {name: str(brought[name] or "").strip() for name in COLUMNS}
        rows.append(",".join([email, *cells.values()]))
        now = {name: brought[name] if cells[name] else was[name] for name in COLUMNS}  # an empty cell erases nothing
        if ends(was, now) and now["country"] in EEA:
            expected.add(email)
    report = bring(*rows, columns=f"email,{','.join(COLUMNS)}")
    assert report.updated + report.unchanged == len(pairs)
    assert bring(*rows, columns=f"email,{','.join(COLUMNS)}").unchanged == len(pairs)
    reviewed = select(Member.email).join(DataSubjectRequest, DataSubjectRequest.subject_id == Member.id)
    opened = sorted(email for email in session.scalars(reviewed) if email in emails)
    assert opened == sorted(expected)
    assert sorted(to for name, to in mails() if name == "review_opened" and to in emails) == opened


def test_a_review_has_all_that_a_request_has(people: People) -> None:
    """P28: dates, a step, nothing before 72 hours, a letter to the member and a note to the desk."""
    report = bring(f"M-1001,{people.alice.email},contact")
    assert (report.updated, report.held_back, report.refused) == (1, 0, ())
    (review,) = found()
    assert (review.kind, review.scope, review.door, review.state) == ("review", "", "import", State.RECEIVED)
    assert review.subject_id == people.alice.id
    assert review.wait_until == NOW + timedelta(hours=72)
    assert (review.verified_at, review.verified_how) == (NOW, "opened by the portal")
    planned = dates(NOW)
    assert (review.promise_on, review.legal_3_on) == (planned.promise_on, planned.legal_3_on)
    assert [(step.step, step.by) for step in review.steps] == [("opened", "portal")]
    assert mails() == [("review_opened", people.alice.email), ("staff_request_received", "desk@example.org")]
    letter = db.session.scalars(select(Message).where(Message.name == "review_opened")).one()
    assert letter.in_reply_to.startswith(f"<{review.reference}@")
    for words in ("Your membership has ended.", "7 December 2026, 15:00 UTC", "3 January 2027", "“Keep my record”"):
        assert words in letter.text


def _open_erasure(people: People) -> None:
    requests.file(people.alice, "erasure", details="", operation_id="x", via=Door.PAGE, now=NOW)


def _open_anonymisation(people: People) -> None:
    requests.file(people.alice, "anonymisation", details="", operation_id="x", via=Door.PAGE, now=NOW)


def _elsewhere(people: People) -> None:
    people.alice.country = "US"


def _erased(people: People) -> None:
    people.alice.subject.erased_at = NOW


def _open_review(people: People) -> None:
    assert reviews.open(people.alice, scope="", via=Door.SYSTEM, now=NOW) is not None


@pytest.mark.parametrize("hinders", [_open_erasure, _open_anonymisation, _elsewhere, _erased, _open_review])
def test_what_hinders_a_review(people: People, hinders: Callable[[People], None]) -> None:
    """An open erasure or review, a record outside the EEA, one that was erased."""
    with writes():
        hinders(people)
    before = len(found())
    with writes():
        assert reviews.open(people.alice, scope="", via=Door.SYSTEM, now=NOW) is None
    assert len(found()) == before


def test_a_closed_review_and_one_of_another_scope_hinder_none(people: People) -> None:
    with writes():
        first = reviews.open(people.alice, scope="", via=Door.IMPORT, now=NOW)
        assert first is not None
        assert reviews.open(people.alice, scope="careers", via=Door.PAGE, now=NOW) is not None
        requests.withdraw(people.alice, first, now=NOW)
        assert first.state == State.WITHDRAWN
        assert reviews.open(people.alice, scope="", via=Door.IMPORT, now=NOW) is not None


# A consent that is withdrawn --------------------------------------------------------------------------------


def by_page(people: People, now: datetime) -> None:
    seen = choices.newest_row(people.alice.id)
    choices.change_many(people.alice.subject, {"employer_sharing": "no"}, seen=seen, via=Door.PAGE, now=now)


def by_staff(people: People, now: datetime) -> None:
    choices.change(people.alice.subject, "employer_sharing", to="no", via=Door.STAFF, now=now)


def by_journal(people: People, now: datetime) -> None:
    reference = people.alice.subject.unsubscribe_reference
    ident = journal.note(reference, "employer_sharing", "no", door=Door.LINK, at=now)
    line = OptOut(id=ident, reference=reference, code="employer_sharing", value="no", door="link", at=now)
    assert choices.apply(people.alice.subject, line)


def by_import(people: People, now: datetime) -> None:
    file = f"member_id,email,employer_sharing\nM-1001,{people.alice.email},no"
    assert imports.import_members(io.BytesIO(file.encode()), now=now).updated == 1


@pytest.mark.parametrize("door", [by_page, by_staff, by_journal, by_import])
def test_a_consent_withdrawn_by_any_door_opens_a_review_of_its_purpose(
    people: People, door: Callable[[People, datetime], None]
) -> None:
    """P27, P28: a yes taken back; a no where no yes stood takes nothing back."""
    with writes():
        choices.change(people.alice.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=NOW)
        choices.change(people.alice.subject, "sponsor_sharing", to="no", via=Door.PAGE, now=NOW)
        choices.change_many(people.bob.subject, {"employer_sharing": "no"}, seen=0, via=Door.PAGE, now=NOW)
        choices.change(people.alice.subject, "employer_sharing", to="yes", via=Door.PAGE, now=NOW)
    assert found() == []
    with writes():
        door(people, NOW)
    (review,) = found()
    assert (review.kind, review.scope, review.subject_id) == ("review", "careers", people.alice.id)
    assert ("review_opened", people.alice.email) in mails()
    letter = db.session.scalars(select(Message).where(Message.name == "review_opened")).one()
    assert "You withdrew your yes to “Employer sharing”." in letter.text


def test_what_stands_again_ends_its_review(people: People) -> None:
    """P28: a yes given again, a late renewal: nothing is deleted, and nobody has to do anything."""
    with writes():
        choices.change(people.alice.subject, "employer_sharing", to="yes", via=Door.PAGE, now=NOW)
        by_page(people, NOW)
    email = people.alice.email
    bring(f"M-1001,{email},member,Lapsed", columns="member_id,email,kind,membership_status")
    assert sorted(each.scope for each in found() if each.is_open) == ["", "careers"]
    bring(f"M-1001,{email},member,Active,2026-01-31", columns="member_id,email,kind,membership_status,expires_on")
    assert len([each for each in found() if each.is_open]) == 2  # the new last day is over as well
    bring(f"M-1001,{email},member,Active,2028-01-31", columns="member_id,email,kind,membership_status,expires_on")
    assert [each.scope for each in found() if each.is_open] == ["careers"]
    with writes():
        choices.change(people.alice.subject, "employer_sharing", to="yes", via=Door.PAGE, now=NOW)
    assert [each.state for each in found()] == [State.WITHDRAWN] * 2
    assert [name for name, to in mails() if to == email].count("review_ended") == 2


# What a person and the desk see -----------------------------------------------------------------------------


def test_the_member_reads_it_and_keeps_the_record(browse: Browse, people: People, clock: Any) -> None:
    """P28: nobody files a review; it stands among the requests, and one press ends it."""
    with writes():
        review = reviews.open(people.alice, scope="careers", via=Door.PAGE, now=NOW)
        assert review is not None
        path = f"/requests/{review.reference}"
    browse.sign_in(people.alice)
    assert "Do we still need your data?" not in browse("/requests/new").said
    browse("/requests/new/review", status=404)
    assert "Do we still need your data?" in browse("/requests").said
    page = browse(path)
    for words in (
        "You withdrew your yes to “Employer sharing”.",
        "3 January 2027",
        "Nothing is deleted for 72 hours",
    ):
        assert words in page.said
    browse.press("Keep my record")
    assert "We keep your record." in browse.follow().said
    (kept,) = found()
    assert kept.state == State.WITHDRAWN
    assert ("request_withdrawn", people.alice.email) in mails()
    assert "Keep my record" not in browse(path).said


def test_a_review_that_finds_all_needed_is_told(people: People) -> None:
    with writes():
        ident = reviews.open(people.alice, scope=reviews.MEMBERSHIP, via=Door.IMPORT, now=NOW).id  # type: ignore[union-attr]
    with writes():
        requests.close_review(db.session.get_one(DataSubjectRequest, ident), now=NOW)
    assert ("review_ended", people.alice.email) in mails()
    told = db.session.scalars(select(Message.text).where(Message.name == "review_ended")).one()
    assert requests.STILL_NEEDED in " ".join(told.split())


def test_a_large_file_asks_no_more_for_each_row(people: People) -> None:
    """Many rows, of which some end a membership: the queries grow with the chunks, and the desk gets one note."""
    with writes():
        for number in range(60):
            db.session.add(
                member(email=f"p{number}@example.org", member_number=f"N-{number}", kind="member", country="SE")
            )

    def queries(ended: int) -> int:
        told = 0

        def tell(*_: Any) -> None:
            nonlocal told
            told += 1

        rows = [f"N-{n},p{n}@example.org,{'contact' if n < ended else 'member'}" for n in range(60)]
        event.listen(Engine, "before_cursor_execute", tell)
        try:
            bring(*rows)
        finally:
            event.remove(Engine, "before_cursor_execute", tell)
        return told

    few = queries(20)
    assert len(found()) == 20
    many = queries(60)
    assert len(found()) == 60
    assert many <= few + 3
    assert [name for name, _ in mails()].count("staff_reviews_opened") == 2
    assert [name for name, _ in mails()].count("staff_request_received") == 0


def test_the_words_that_end_a_membership_are_compared_in_lower_case() -> None:
    assert {word.lower() for word in ENDED} == ENDED
