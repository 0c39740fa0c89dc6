"""Imports, one promise by property: no file, in whatever order and with whatever cells, loosens a choice."""

from __future__ import annotations

import csv
import io
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import Context
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from portal.datamap import erasure
from portal.datamap.rows import person
from portal.domain import choices, former_values, import_store, imports
from portal.domain.errors import ImportRefused, StaleRecord
from portal.domain.import_store import Chunk, Run, write
from portal.domain.member_csv import COLUMNS, exported
from portal.extensions import db, transaction
from portal.models import ChoiceRow, EmailChange, Member, Trail
from portal.purposes import CHOICES
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import NOW, People

CELLS = {
    "suppress_broadcast_emails": ("", "yes", "no", "1", "0"),
    "attendee_list": ("", "nobody", "attendees", "public"),
    "sponsor_sharing": ("", "yes", "no"),
    "employer_sharing": ("", "true", "false"),
    "topics_off": ("", "magazine", "magazine;recruiting", "surveys"),
}
ASKED = ("suppress_broadcast_emails", "attendee_list", "sponsor_sharing", "employer_sharing", "topic_magazine")
OWN = [(code, option.value) for code in ASKED for option in CHOICES[code].options]

rows = st.fixed_dictionaries({}, optional={name: st.sampled_from(cells) for name, cells in CELLS.items()})
steps = st.lists(st.one_of(rows, st.sampled_from(OWN)), max_size=7)
WORDS = {"1": "yes", "0": "no", "true": "yes", "false": "no"}


def bring(row: dict[str, str], address: str) -> imports.Report:
    made = io.StringIO()
    writer = csv.DictWriter(made, ["email", *row])
    writer.writeheader()
    writer.writerow({"email": address, **row})
    with writes():
        return imports.import_members(io.BytesIO(made.getvalue().encode()), now=NOW)


def said(row: dict[str, str]) -> dict[str, str]:
    """What a row answers, worked out anew and slowly."""
    answers = {name: WORDS.get(cell, cell) for name, cell in row.items() if cell and name != "topics_off"}
    for topic in filter(None, row.get("topics_off", "").split(";")):
        answers[f"topic_{topic}"] = "off"
    return answers


def rank(code: str, value: str) -> int:
    return [option.value for option in CHOICES[code].options].index(value)


@given(steps)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_sequence_of_files_loosens_a_choice(
    app: Flask, counted: list[int], sequence: list[dict[str, str] | tuple[str, str]]
) -> None:
    """P21: to employers too, nothing goes over a no."""
    counted.append(len(counted))
    address = f"person{len(counted)}@example.org"
    bring({}, address)
    subject = db.session.scalars(select(Member).where(Member.email == address)).one().subject
    stands: dict[str, str] = {}
    from_files: dict[str, str] = {}
    for step in sequence:
        if isinstance(step, tuple):
            code, value = step
            with writes():
                if choices.change(db.session.merge(subject), code, to=value, via=Door.PAGE, now=NOW):
                    stands[code] = value
            continue
        report = bring(step, address)
        held = changed = False
        for code, value in said(step).items():
            if code not in stands or (rank(code, value) < rank(code, stands[code]) and from_files.get(code) != value):
                stands[code] = from_files[code] = value
                changed = True
            elif stands[code] != value:
                held = True
        assert (report.updated, report.held_back, report.unchanged) == (changed, held, not (changed or held))
        again = bring(step, address)
        assert (again.created, again.updated, again.refused) == (0, 0, ())
    db.session.rollback()
    given_here = {code: row.value for code, row in choices.standing(subject.id).items() if row.at is not None}
    assert given_here == stands
    db.session.rollback()


@pytest.fixture
def counted() -> list[int]:
    return []


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
LISTED = ("kind", "address_kind", "country", "birth_date", "joined_on", "expires_on", *CELLS)
FREE = tuple(name for name in COLUMNS if name not in LISTED and name not in ("member_id", "email"))


@given(st.dictionaries(st.sampled_from(FREE), cells))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_brings_back_what_any_file_brought(app: Flask, counted: list[int], row: dict[str, str]) -> None:
    counted.append(len(counted))
    report = bring(row, f"person{len(counted)}@example.org")
    assert (report.created, report.refused) == (1, ())
    made = io.StringIO()
    csv.writer(made).writerows(exported())
    db.session.rollback()
    with writes():
        again = imports.import_members(io.BytesIO(made.getvalue().encode()), now=NOW)
    assert (again.created, again.updated, again.held_back, again.refused) == (0, 0, 0, ())
    db.session.rollback()


@given(st.binary(max_size=300), st.integers(0, 200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutilated_file_is_taken_or_refused_whole(app: Flask, noise: bytes, place: int) -> None:
    whole = b'email,first_name,sponsor_sharing\na@example.org,Ada,no\nb@example.org,"Bo\nB",yes\n'
    before = db.session.scalars(select(func.count()).select_from(Member)).one()
    db.session.rollback()
    content = whole[:place] + noise + whole[place:]
    try:
        with writes():
            report = imports.import_members(io.BytesIO(content), now=NOW)
    except ImportRefused:
        report = None
    after = db.session.scalars(select(func.count()).select_from(Member)).one()
    db.session.rollback()
    assert after - before == (report.created if report else 0)


def test_a_file_of_several_chunks_is_one_transaction(app: Flask) -> None:
    lines = "".join(f"M{number},p{number}@example.org,City {number % 7}\n" for number in range(5000))
    content = f"member_id,email,city\n{lines}".encode()
    told: list[int] = []
    with writes():
        report = imports.import_members(io.BytesIO(content), now=NOW, progress=told.append)
    assert (report.created, report.refused) == (5000, ())
    assert told == sorted(told)
    assert told[-1] == len(content)
    with pytest.raises(ImportRefused), writes():
        imports.import_members(io.BytesIO(content.replace(b"City", b"Town") + b"M9,p"), now=NOW)
    assert db.session.scalars(select(Member.city).distinct().where(Member.city.startswith("Town"))).all() == []
    with writes():
        report = imports.import_members(io.BytesIO(content.replace(b"City 3", b"Town")), now=NOW + timedelta(days=1))
    assert (report.updated, report.unchanged) == (714, 4286)
    assert len(db.session.scalars(select(Trail).where(Trail.act == "changed", Trail.field == "city")).all()) == 714
    assert db.session.scalars(select(ChoiceRow)).first() is None


def test_what_is_saved_here_while_a_file_comes_in_stands(
    app: Flask, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = people.alice, people.bob

    def save_and_write(chunk: Chunk, run: Run) -> None:
        choices.change(alice.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=NOW)
        choices.change(alice.subject, "sponsor_sharing", to="no", via=Door.PAGE, now=NOW)
        bob.city = "Tempe"
        db.session.flush()
        write(chunk, run)

    monkeypatch.setattr(imports, "write", save_and_write)
    with writes():
        row = f"{alice.email},Lund,yes,yes\n{bob.email},Mesa,,yes\n"
        report = imports.import_members(
            io.BytesIO(f"email,city,sponsor_sharing,employer_sharing\n{row}".encode()), now=NOW
        )
    assert report.why_held == {"was saved here during the import": 2}
    assert (alice.city, bob.city) == ("Lund", "Tempe")
    assert choices.standing(alice.id)["sponsor_sharing"].value == "no"
    assert choices.standing(bob.id)["employer_sharing"].value == "yes"


@pytest.mark.parametrize(
    "content",
    ["email,sponsor_sharing\n{},no\n", "email,city\n{},Lund\n", "member_id,email\nM-1001,new@mail.example.org\n"],
)
def test_whoever_is_erased_while_a_file_comes_in_gets_no_row(
    app: Flask, people: People, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """P15: on PostgreSQL, where both go on side by side, as on SQLite, where one comes after the other."""
    alice, address = people.alice.id, people.alice.email

    def erase() -> None:
        with app.app_context(), transaction():
            erasure.carry_out(person(alice), now=NOW)

    def erase_and_write(chunk: Chunk, run: Run) -> None:
        with ThreadPoolExecutor(1) as other:
            other.submit(Context().run, erase).result(20)
        write(chunk, run)

    if db.engine.dialect.name == "sqlite":
        db.session.rollback()
        erase()
    else:
        monkeypatch.setattr(imports, "write", erase_and_write)
    with writes():
        imports.import_members(io.BytesIO(content.format(address).encode()), now=NOW)
    assert [*db.session.scalars(select(ChoiceRow.code).where(ChoiceRow.subject_id == alice))] == []
    assert [*db.session.scalars(select(Trail.field).where(Trail.subject_id == alice))] == []
    assert [*db.session.scalars(select(EmailChange.id).where(EmailChange.member_id == alice))] == []


def test_a_page_and_a_file_do_not_wait_for_each_other(
    app: Flask, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person first, then the record: the page is told that the record has moved on, and the file is taken."""
    alice, address, version = people.alice.id, people.alice.email, people.alice.version
    begun = Event()

    def save() -> None:
        begun.set()
        with app.app_context(), transaction():
            member = db.session.get_one(Member, alice)
            former_values.save(member, {"city": "Lund"}, version=version, via=Door.PAGE, now=NOW)

    with ThreadPoolExecutor(1) as other:
        pages: list[Future[None]] = []

        def save_and_write(*words: Any) -> None:
            pages.append(other.submit(Context().run, save))
            assert begun.wait(20)
            wait(pages, timeout=0.5)  # as far as it comes
            write_changes(*words)

        write_changes = import_store._write_changes
        monkeypatch.setattr(import_store, "_write_changes", save_and_write)
        with writes():
            row = f"email,city,sponsor_sharing\n{address},Kiruna,yes\n"
            assert imports.import_members(io.BytesIO(row.encode()), now=NOW).updated == 1
        with pytest.raises(StaleRecord):
            pages[0].result(20)
