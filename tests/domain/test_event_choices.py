"""Choices for one event: what stands after any order of files and pages, against a plain oracle; after a restore."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from portal import clock, journal
from portal.domain import choices, event_choices, events, lists, optouts, registration_imports, visibility
from portal.domain.errors import NothingToUndo, StaleRecord, UnknownChoice
from portal.domain.event_imports import import_events
from portal.domain.import_store import Chunk, Run, write
from portal.domain.imports import Report
from portal.extensions import db
from portal.models import ChoiceRow, Event, JournalMark, Member, Registration, Subject
from portal.purposes import AUDIENCES, CHOICES, SAME
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import NOW, People

ASKED = tuple(event_choices.ASKED)
ANSWERS = {code: [option.value for option in CHOICES[code].options] for code in ASKED}
DAY = timedelta(days=1)

files = st.fixed_dictionaries({code: st.sampled_from(["", *values]) for code, values in ANSWERS.items()})
pages = st.one_of(*(st.tuples(st.just(code), st.sampled_from([SAME, *values])) for code, values in ANSWERS.items()))
defaults = st.one_of(*(st.tuples(st.just(code), st.sampled_from(values)) for code, values in ANSWERS.items()))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("file"), files), st.tuples(st.just("page"), pages), st.tuples(st.just("default"), defaults)
    ),
    max_size=8,
)


def meeting(code: str, *, exhibition: bool = True) -> Event:
    day = date(2027, 2, 10)
    return events.add(code, name="Symposium", starts_on=day, ends_on=day, place="", exhibition=exhibition)


def bring(address: str, event: str, **cells: str) -> Report:
    made = io.StringIO()
    writer = csv.DictWriter(made, ["event_id", "email", *cells])
    writer.writeheader()
    writer.writerow({"event_id": event, "email": address, **cells})
    with writes():
        return registration_imports.import_registrations(io.BytesIO(made.getvalue().encode()), now=NOW)


def rank(code: str, value: str) -> int:
    return ANSWERS[code].index(value)


class Oracle:
    """What should stand, kept in plain dictionaries."""

    def __init__(self) -> None:
        self.usual: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.from_files: dict[str, str] = {}

    def stands(self, code: str) -> str:
        own = self.own.get(code, SAME)
        return self.usual.get(code, "nobody" if code == "attendee_list" else "no") if own == SAME else own

    def file(self, row: dict[str, str]) -> tuple[bool, bool]:
        """Whether something is taken, and whether something is held back."""
        taken = held = False
        for code, value in row.items():
            if not value or (code in self.own and value == self.stands(code)):
                continue
            tighter = rank(code, value) < rank(code, self.stands(code))
            if code not in self.own or (tighter and self.from_files.get(code) != value):
                self.own[code] = self.from_files[code] = value
                taken = True
            else:
                held = True
        return taken, held

    def sees(self, audience: str) -> bool:
        if audience == "public":
            return self.stands("attendee_list") == "public"
        if audience == "attendees":
            return self.stands("attendee_list") != "nobody"
        return self.stands("sponsor_sharing") == "yes"


@given(steps)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_of_files_loosens_what_stands(
    app: Flask, counted: list[int], sequence: list[tuple[str, object]]
) -> None:
    """P19, and what each audience sees is what the oracle says, by every way of asking."""
    counted.append(len(counted))
    address, code = f"p{len(counted)}@example.org", f"E{len(counted)}"
    with writes():
        meeting(code)
        meeting(f"{code}-other")
    bring(address, code)
    bring(address, f"{code}-other")
    oracle = Oracle()
    for kind, what in sequence:
        member = db.session.scalars(select(Member).where(Member.email == address)).one()
        event = db.session.scalars(select(Event).where(Event.code == code)).one()
        if kind == "file":
            assert isinstance(what, dict)
            db.session.rollback()
            before = {name: oracle.stands(name) for name in oracle.own}
            taken, held = oracle.file(what)
            report = bring(address, code, **what)
            assert (report.updated, report.held_back, report.unchanged) == (taken, held, not (taken or held))
            assert not [name for name, value in before.items() if rank(name, oracle.stands(name)) > rank(name, value)]
            continue
        assert isinstance(what, tuple)
        question, value = what
        with writes():
            if kind == "default":
                choices.change(member.subject, question, to=value, via=Door.PAGE, now=NOW)
                oracle.usual[question] = value
            else:
                seen = event_choices.newest_row(member.id, event.id)
                given = {question: value}
                event_choices.change_many(member.subject, event, given, seen=seen, via=Door.PAGE, now=NOW)
                oracle.own[question] = value
    db.session.rollback()
    member = db.session.scalars(select(Member).where(Member.email == address)).one()
    event = db.session.scalars(select(Event).where(Event.code == code)).one()
    stand = event_choices.standing(member.id, event.id)
    assert {name: each.value for name, each in stand.items()} == {name: oracle.stands(name) for name in ASKED}
    cells = {cell.audience.code: cell.sees for cell in visibility.at(member, event)}
    assert cells == {name: oracle.sees(name) for name, each in AUDIENCES.items() if each.of_event}
    for row in visibility.matrix(member, today=NOW.date()):
        there = row.registration.event if row.registration else None
        for cell in row.cells:
            if cell.stands is not None:
                line = lists.seen(member, cell.audience, there)
                assert cell.sees == (line is not None), "the matrix and the line are one"
                assert line is None or tuple(line) == cell.audience.fields
    db.session.rollback()


@pytest.fixture
def counted() -> list[int]:
    return []


def test_saving_undoing_and_two_tabs(people: People) -> None:
    with writes():
        event = meeting("SYM")
        events.register(people.alice, event)
        choices.change(people.alice.subject, "attendee_list", to="public", via=Door.PAGE, now=NOW)
    subject, shown = people.alice.subject, event_choices.newest_row(people.alice.id, event.id)
    answers = {"attendee_list": "nobody", "sponsor_sharing": SAME}
    with writes():
        (change,) = event_choices.change_many(subject, event, answers, seen=shown, via=Door.PAGE, now=NOW)
    assert (change.before.label, change.after.label) == ("Same as my default (now: Public roster)", "Nobody")
    with pytest.raises(StaleRecord), writes():
        event_choices.change_many(subject, event, answers, seen=shown, via=Door.PAGE, now=NOW)
    after = event_choices.newest_row(subject.id, event.id)
    with writes():  # what "same as my default" means has changed since
        choices.change(subject, "attendee_list", to="attendees", via=Door.PAGE, now=NOW)
    with pytest.raises(StaleRecord), writes():
        event_choices.undo_since(subject, event, shown, shown=after, via=Door.PAGE, now=NOW)
    now = event_choices.newest_row(subject.id, event.id)
    with writes():
        (back,) = event_choices.undo_since(subject, event, shown, shown=now, via=Door.PAGE, now=NOW)
    assert (back.after.label, event_choices.standing(subject.id, event.id)["attendee_list"].value) == (
        "Same as my default (now: Other attendees)",
        "attendees",
    )
    newest = event_choices.newest_row(subject.id, event.id)
    with pytest.raises(NothingToUndo), writes():
        event_choices.undo_since(subject, event, newest, shown=newest, via=Door.PAGE, now=NOW)
    for code, value in (("attendee_list", "yes"), ("employer_sharing", "yes")):
        with pytest.raises(UnknownChoice), writes():
            event_choices.change_many(subject, event, {code: value}, seen=newest, via=Door.PAGE, now=NOW)
    assert choices.standing(subject.id)["sponsor_sharing"].at is None, "the default was not touched"
    with writes():
        subject.restricted_at = NOW
    assert not any(cell.sees for cell in visibility.at(people.alice, event))


def test_after_a_restore_the_no_for_an_event_counts_again(people: People) -> None:
    """Also where the restored database lacks the event itself: then as soon as a file brings it back."""
    with writes():
        event = meeting("SYM")
        events.register(people.alice, event)
        choices.change(people.alice.subject, "attendee_list", to="public", via=Door.PAGE, now=NOW)
    subject = people.alice.subject
    tight = {"attendee_list": "nobody"}
    with writes():
        seen = event_choices.newest_row(subject.id, event.id)
        event_choices.change_many(subject, event, tight, seen=seen, via=Door.PAGE, now=NOW + DAY)
    later = NOW + 2 * DAY
    for without_event in (False, True):
        with writes():  # as if yesterday's copy had come back
            db.session.execute(update(Subject).where(Subject.id == subject.id).values(erased_at=NOW))
            db.session.execute(delete(ChoiceRow).where(ChoiceRow.event_id.is_not(None)))
            db.session.execute(delete(JournalMark))
            db.session.execute(update(Subject).where(Subject.id == subject.id).values(erased_at=None))
            if without_event:
                db.session.execute(delete(Registration))
                db.session.execute(delete(Event))
        db.session.expire_all()
        with writes():
            assert optouts.catch_up(now=later) == (0 if without_event else 1)
        if without_event:
            row = b"event_id,name,starts_on\nSYM,Symposium,2027-02-10\n"
            with writes():
                assert import_events(io.BytesIO(row), now=later).created == 1
            report = bring(people.alice.email, "SYM", attendee_list="public")
            assert (report.created, report.held_back) == (1, 1)
        event = db.session.scalars(select(Event)).one()
        assert event_choices.standing(subject.id, event.id)["attendee_list"].value == "nobody"
        assert choices.standing(subject.id)["attendee_list"].value == "public"
        db.session.rollback()
    assert sum(bool(line.event) for path in journal.files() for line, _ in journal.read(path, position=0)) == 1


def test_what_is_answered_while_a_file_comes_in_stands(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    with writes():
        event = meeting("SYM")
        events.register(people.alice, event)
    number = event.id

    def answer_and_write(chunk: Chunk, run: Run) -> None:
        there = db.session.get_one(Event, number)
        event_choices.change_many(
            people.alice.subject, there, {"sponsor_sharing": "no"}, seen=0, via=Door.PAGE, now=clock.now()
        )
        write(chunk, run)

    monkeypatch.setattr(registration_imports, "write", answer_and_write)
    report = bring(people.alice.email, "SYM", sponsor_sharing="yes")
    assert report.why_held == {"was saved here during the import": 1}
    assert event_choices.standing(people.alice.id, number)["sponsor_sharing"].own == "no"
