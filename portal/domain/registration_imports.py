"""Verb of registrations coming in: apply registrations.csv, in chunks, in the caller's one transaction (P9, P19).

A member's record is used as it is; a contact's empty fields are filled; whoever is not known becomes a contact. What
somebody chose when registering is that event's own answer. A file never takes a registration away, and never loosens
an answer for an event that has one. Called by the command; docs/events-csv.md tells an operator the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, insert, select, update

from portal import clock, journal
from portal.clock import society_date
from portal.domain import notices, values
from portal.domain.csv_file import Row, open_csv
from portal.domain.errors import ImportRefused
from portal.domain.import_store import (
    CHOICE,
    ERASED,
    SUBJECT,
    TRAIL,
    Answer,
    Change,
    Chunk,
    Difference,
    Person,
    Run,
    look_up,
    names_of,
    write,
)
from portal.domain.imports import CHUNK, LOOSENS, Report, by_old_address, key_names, new_person, report
from portal.domain.member_csv import Entry, Key, read, read_cell, read_key, write_cell
from portal.extensions import db
from portal.journal import OptOut
from portal.models import Event, Registration
from portal.purposes import CHOICES, SAME
from portal.vocabulary import Door

COLUMNS = (
    "event_id", "member_id", "email", "first_name", "last_name", "organization", "job_title", "country",
    "business_type", "role", "attendee_list", "sponsor_sharing",
    "address_kind", "address_line1", "address_line2", "city", "region", "postal_code",
)  # fmt: skip
OF_THE_EVENT = frozenset(("event_id", "role"))
ADDRESS = frozenset(("address_kind", "address_line1", "address_line2", "city", "region", "postal_code"))
CHOSEN_HERE = "was chosen otherwise since an earlier file said so"
FILES = (Door.IMPORT, Door.REGISTRATION)
NEW = [("registration", "new")]

REGISTRATION = cast(Table, Registration.__table__)


@dataclass(frozen=True, slots=True)
class Signup(Entry):
    """One row as read: what it says of a person, the event, and the part taken in it."""

    event_id: int
    event: str
    role: str


@dataclass
class Signups:
    """The registrations that a chunk finds, and those that it leaves. `fresh`: people whom the chunk itself makes."""

    roles: dict[tuple[int, UUID], str]
    fresh: set[UUID] = field(default_factory=set)
    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)


def import_registrations(
    stream: BinaryIO, *, dry_run: bool = False, now: datetime, progress: Callable[[int], None] | None = None
) -> Report:
    """Register people, and take what they chose. Writes nothing on a dry run. Raises ImportRefused, and OSError when
    the journal cannot be written; the caller then rolls back."""
    run = Run(now, society_date(now), dry_run, notices.reached(now), Door.REGISTRATION)
    with open_csv(stream, known=COLUMNS, needed=("event_id",), progress=progress) as file:
        if file.columns.isdisjoint(("member_id", "email")):
            raise ImportRefused("The file has no header with the column email or member_id.")
        codes = {code: number for number, code in db.session.execute(select(Event.id, Event.code).order_by(Event.id))}
        entries = _entries(file.rows, codes, run)
        while batch := list(islice(entries, CHUNK)):
            chunk = look_up(batch, run)
            signups = _look_up_signups(batch, chunk)
            for entry in batch:
                _decide(entry, chunk, signups, run)
            if not dry_run:
                write(chunk, run)
                _write_signups(signups)
    db.session.expire_all()
    if run.lines:  # a file that is refused half-way leaves no line behind, and the commit comes right after
        written = max(clock.now(), now)
        journal.note_many(replace(line, at=written) for line in run.lines)
    return report(run, file.ignored)


# Reading --------------------------------------------------------------------------------------------------


def _entries(rows: Iterable[Row], codes: Mapping[str, int], run: Run) -> Iterator[Signup]:
    """The rows that can be read. A row counts as the first of its event and person even where it is refused itself."""
    for row in rows:
        if row.problem:
            run.refuse(row.line, row.problem)
            continue
        key, code = read_key(row), values.line(row.cells.get("event_id", ""))
        if run.repeats(*(f"{code}/{name}" for name in key_names(key))):
            run.refuse(row.line, "a second row with this member_id or address for this event")
            continue
        try:
            yield _read(row, key, code, codes, run)
        except ValueError as error:
            run.refuse(row.line, str(error))


def _read(row: Row, key: Key, code: str, codes: Mapping[str, int], run: Run) -> Signup:
    problems = []
    if code not in codes:
        problems.append(f"event_id: no event “{code[:40]}” is known" if code else "no event_id")
    role = ""
    try:
        role = str(read_cell("role", row.cells.get("role", "")))
    except ValueError as error:
        problems.append(f"role: {error}")
    try:
        cells = {name: cell for name, cell in row.cells.items() if name not in OF_THE_EVENT}
        entry = read(Row(row.line, cells), key, today=run.today, address_needed=not key.number)
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return Signup(entry.line, entry.key, entry.values, entry.empty, entry.answers, codes[code], code, role)


# What is known --------------------------------------------------------------------------------------------


def _look_up_signups(batch: list[Signup], chunk: Chunk) -> Signups:
    """Who of the chunk is registered already, what they answered for these events, and what they changed here."""
    ids, numbers = list(chunk.people), sorted({entry.event_id for entry in batch})
    query = select(REGISTRATION).where(REGISTRATION.c.member_id.in_(ids), REGISTRATION.c.event_id.in_(numbers))
    signups = Signups({(row.event_id, row.member_id): row.role for row in db.session.execute(query)})
    if any(entry.answers for entry in batch):
        _look_up_answers(ids, numbers, chunk)
    contacts = [person.id for person in chunk.people.values() if person.stored["kind"] == "contact"]
    own = select(TRAIL.c.subject_id, TRAIL.c.field).where(
        TRAIL.c.subject_id.in_(contacts), TRAIL.c.act == "changed", TRAIL.c.door.not_in(FILES)
    )
    for person, name in db.session.execute(own):
        chunk.people[person].own.add(name)
    return signups


def _look_up_answers(ids: list[UUID], numbers: list[int], chunk: Chunk) -> None:
    query = select(CHOICE.c.subject_id, CHOICE.c.event_id, CHOICE.c.code, CHOICE.c.value, CHOICE.c.door, CHOICE.c.id)
    here = query.where(CHOICE.c.subject_id.in_(ids), CHOICE.c.event_id.in_(numbers)).order_by(CHOICE.c.id)
    for person, event_id, code, value, door, row in db.session.execute(here):
        chunk.people[person].here[event_id, code] = value
        chunk.newest[person, code, event_id] = row
        if door in FILES:
            chunk.people[person].last_list[event_id, code] = value
    references = select(SUBJECT.c.id, SUBJECT.c.unsubscribe_reference).where(SUBJECT.c.id.in_(ids))
    for person, reference in db.session.execute(references):
        chunk.people[person].reference = reference


# What is decided ------------------------------------------------------------------------------------------


def _decide(entry: Signup, chunk: Chunk, signups: Signups, run: Run) -> None:
    if not chunk.erased.isdisjoint(names_of(entry.key)):
        run.hold(entry.line, [ERASED])
        return
    try:
        person = _find(entry.key, chunk)
    except ValueError as error:
        run.refuse(entry.line, str(error))
        return
    if person is None:
        person = _new_contact(entry, chunk, run)
        signups.fresh.add(person.id)
    elif run.repeats(f"{entry.event_id}/person:{person.id}"):
        run.refuse(entry.line, "a second row about one person at this event")
        return
    _bring(entry, person, chunk, signups, run)


def _bring(entry: Signup, person: Person, chunk: Chunk, signups: Signups, run: Run) -> None:
    """Bring one registration up to the row: what differs, less what is held back."""
    held: list[str] = []
    changes, answers = _fill(entry, person), _answers(entry, person, held, run)
    part = _part(entry, person, signups)
    chunk.answers += answers
    if changes and person.id not in signups.fresh:
        chunk.changed.append(Change(person, changes, entry.line, bool(held), alone=not (part or answers)))
    if run.dry:
        _tell(entry, person, [*part, *changes.items()], answers, run)
    if part or answers or changes:
        run.counts["created" if part[:1] == NEW else "updated"] += 1
    elif not held:
        run.counts["unchanged"] += 1
    if held:
        run.hold(entry.line, held)


def _part(entry: Signup, person: Person, signups: Signups) -> list[tuple[str, str]]:
    """What is new about the part that is taken in the event, as names and words."""
    place = (entry.event_id, person.id)
    role = signups.roles.get(place)
    signups.roles[place] = entry.role or role or ""
    if role is None:
        signups.created.append({"event_id": entry.event_id, "member_id": person.id, "role": entry.role})
        return [*NEW, *([("role", entry.role)] if entry.role else [])]
    if entry.role in ("", role):
        return []
    signups.changed.append({"event": entry.event_id, "person": person.id, "new": entry.role})
    return [("role", entry.role)]


def _find(key: Key, chunk: Chunk) -> Person | None:
    """Whose row it is; None for somebody whom nobody knows. Raises ValueError where that cannot be told."""
    owner = chunk.by_address.get(key.address) if key.address else None
    person = chunk.by_number.get(key.number) if key.number else owner
    if person is None and owner is not None:
        if owner.stored["member_number"] is not None:
            raise ValueError("the address belongs to another member_id")
        return owner
    if owner is not None and owner is not person:
        raise ValueError("the address belongs to another person")
    person = person or by_old_address(key, chunk)
    if person is None and not key.address:
        raise ValueError("nobody has this member_id, and there is no email address")
    return person


def _new_contact(entry: Signup, chunk: Chunk, run: Run) -> Person:
    """Somebody new, without the member number: that comes from the membership system alone."""
    new_person(replace(entry, key=entry.key._replace(number="")), chunk, run)
    person = Person(chunk.created[-1])
    chunk.by_address[entry.key.address] = person
    chunk.people[person.id] = person
    run.repeats(f"{entry.event_id}/person:{person.id}")
    return person


def _fill(entry: Signup, person: Person) -> dict[str, Any]:
    """What a contact's record lacks and the row has; nothing that they changed here. An address is one thing."""
    if person.stored["kind"] != "contact":
        return {}
    stored = person.stored
    lacks = {name for name in entry.values if not stored[name] and name not in person.own}
    if any(stored[name] for name in ADDRESS) or ADDRESS & person.own:
        lacks -= ADDRESS
    changes = {name: entry.values[name] for name in entry.values if name in lacks}
    if not changes:
        return {}
    stored |= changes  # a later row, for another event, finds it filled
    return changes


def _answers(entry: Signup, person: Person, held: list[str], run: Run) -> list[Answer]:
    """What the row answers anew for its event: a first answer, or a tighter one. See `imports._answer_changes`."""
    answers = []
    for code, value in entry.answers.items():
        question = (entry.event_id, code)
        usual = person.answers.get(code, CHOICES[code].default)
        own = person.here.get(question)
        stands = usual if own in (None, SAME) else own
        assert stands is not None
        if own is not None and value == stands:
            continue
        if own is not None and CHOICES[code].loosens(stands, value):
            held.append(f"{code}: {LOOSENS}")
        elif own is not None and person.last_list.get(question) == value:
            held.append(f"{code}: {CHOSEN_HERE}")
        else:
            line = None
            if CHOICES[code].loosens(value, stands) and person.reference:
                line = OptOut(journal.new_id(), run.now, person.reference, code, value, run.door, entry.event)
            answers.append(Answer(person.id, code, value, entry.event_id, line))
    return answers


def _tell(
    entry: Signup, person: Person, changes: Iterable[tuple[str, Any]], answers: Iterable[Answer], run: Run
) -> None:
    """What a dry run says of a row."""
    run.differences += [Difference(entry.line, name, "", write_cell(name, new)) for name, new in changes]
    run.differences += [
        Difference(entry.line, each.code, person.here.get((entry.event_id, each.code), ""), each.value)
        for each in answers
    ]


# What is written ------------------------------------------------------------------------------------------


def _write_signups(signups: Signups) -> None:
    if signups.created:
        db.session.execute(insert(REGISTRATION), signups.created)
    if signups.changed:
        here = REGISTRATION.c.event_id == bindparam("event"), REGISTRATION.c.member_id == bindparam("person")
        db.session.execute(update(REGISTRATION).where(*here).values(role=bindparam("new")), signups.changed)
