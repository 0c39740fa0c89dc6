"""Verbs of members coming in: apply members.csv to the records, in chunks, in the caller's one transaction (P7).

A file never deletes, never erases by an empty cell, never loosens a choice, and never overwrites what the member
or the desk changed here. Called by the command; docs/members-csv.md tells an operator the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from portal.clock import society_date
from portal.domain import conflicts, notices
from portal.domain.csv_file import ColumnMap, Row, open_csv
from portal.domain.import_store import (
    DERIVED,
    ERASED,
    Answer,
    Change,
    Chunk,
    Difference,
    Person,
    Refused,
    Run,
    look_up,
    names_of,
    write,
)
from portal.domain.member_csv import (
    COLUMNS,
    FIELDS,
    PHONES,
    TOPICS_OF,
    Entry,
    Key,
    Value,
    read,
    read_key,
    read_phone,
    same,
    write_cell,
)
from portal.domain.trail import ANSWERED
from portal.extensions import db
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import suppression_hash

CHUNK = 2000
CHANGED_HERE = "changed here and not yet carried over"
LOOSENS = "would loosen a choice"
OF_THE_DESK = "of somebody who works at the desk: no file moves that role to another mailbox"
PROPOSED = "a new address for somebody who signs in: proposed to them"


@dataclass(frozen=True)
class Report:
    """What an import did, in rows. A row with something held back is never `unchanged`.

    `why_held` counts reasons; `held` and `differences` are filled by a dry run only, for the operator's terminal.
    """

    created: int
    updated: int
    unchanged: int
    held_back: int
    refused: tuple[Refused, ...]
    ignored_columns: tuple[str, ...]
    why_held: dict[str, int]
    held: tuple[Refused, ...]
    differences: tuple[Difference, ...]


def import_members(
    stream: BinaryIO,
    *,
    column_map: ColumnMap | None = None,
    dry_run: bool = False,
    now: datetime,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Apply a file. Writes in the open transaction, and nothing at all on a dry run; `progress` hears bytes read.

    Raises ImportRefused for a file that must change nothing; the caller then rolls back.
    """
    run = Run(now, society_date(now), dry_run, notices.reached(now))
    with open_csv(stream, known=COLUMNS, needed=("email",), column_map=column_map, progress=progress) as file:
        entries = _entries(file.rows, run)
        while batch := list(islice(entries, CHUNK)):
            chunk = look_up(batch, run)
            for entry in batch:
                _decide(entry, chunk, run)
            if not dry_run:
                write(chunk, run)
    db.session.expire_all()
    return report(run, file.ignored)


def report(run: Run, ignored: tuple[str, ...]) -> Report:
    """What a run has done, once its file is read."""
    return Report(
        run.counts["created"],
        run.counts["updated"],
        run.counts["unchanged"],
        run.counts["held_back"],
        tuple(sorted(run.refused)),
        ignored,
        dict(sorted(run.why_held.items())),
        tuple(run.held),
        tuple(run.differences),
    )


def _entries(rows: Iterable[Row], run: Run) -> Iterator[Entry]:
    """The rows that can be read. A row counts as the first of its id and address even where it is refused itself."""
    for row in rows:
        if row.problem:
            run.refuse(row.line, row.problem)
            continue
        key = read_key(row)
        if run.repeats(*key_names(key)):
            run.refuse(row.line, "a second row with this member_id or address")
            continue
        try:
            yield read(row, key, today=run.today)
        except ValueError as error:
            run.refuse(row.line, str(error))


def key_names(key: Key) -> list[str]:
    """By what two rows are seen to be about one person."""
    return [f"{kind}:{name}" for kind, name in (("id", key.number), ("address", key.address)) if name]


# What is decided ------------------------------------------------------------------------------------------


def _decide(entry: Entry, chunk: Chunk, run: Run) -> None:
    key = entry.key
    if not chunk.erased.isdisjoint(names_of(key)):
        run.hold(entry.line, [ERASED])
        return
    owner = chunk.by_address.get(key.address)
    person = chunk.by_number.get(key.number) if key.number else owner
    if person is None and owner is None:
        person = by_old_address(key, chunk)
    if person is None and owner is not None and owner.stored["member_number"] is None:
        person = owner
    if owner is not None and owner is not person:
        run.refuse(entry.line, "the address belongs to another person")
    elif person is None:
        _create(entry, chunk, run)
    elif run.repeats(f"person:{person.id}"):
        run.refuse(entry.line, "a second row about one person")
    elif key.address != person.stored["email_key"] and key.address in chunk.desk and person.account_id is not None:
        run.refuse(entry.line, "the address belongs to somebody of the desk")
    else:
        _update(entry, person, chunk, run)


def by_old_address(key: Key, chunk: Chunk) -> Person | None:
    """Who changed this address here, and is known by it to files until that change is carried over."""
    person = chunk.by_old_address.get(key.address)
    if person is None or (key.number and person.stored["member_number"] not in (None, key.number)):
        return None
    return person


def _create(entry: Entry, chunk: Chunk, run: Run) -> None:
    new = new_person(entry, chunk, run)
    answers = dict(entry.answers)
    if new in chunk.silenced and answers.pop(SUPPRESS, "yes") != "yes":
        run.hold(entry.line, [f"{SUPPRESS}: {LOOSENS}"])
    chunk.answers += [Answer(new, code, value) for code, value in answers.items()]
    run.counts["created"] += 1


def new_person(entry: Entry, chunk: Chunk, run: Run) -> UUID:
    """Somebody whom nobody knows yet; their answers are the caller's."""
    key, new = entry.key, uuid4()
    stored: dict[str, Any] = {name: None if name in _DATES else "" for name in FIELDS} | {"kind": "contact"}
    stored |= entry.values
    for name in PHONES & entry.values.keys():
        stored[name] = read_phone(stored[name], stored["country"])
    stored |= {"id": new, "version": 1, "member_number": key.number or None} | _address(key, chunk)
    chunk.created.append(stored)
    if key.address in chunk.silent or key.address in run.silent:
        chunk.silenced.add(new)
    if key.address in chunk.desk:
        chunk.attached.append((chunk.desk[key.address], new))
    if run.dry:
        run.differences.append(Difference(entry.line, "", "", ""))
    return new


_DATES = frozenset(("birth_date", "joined_on", "expires_on"))


def _address(key: Key, chunk: Chunk) -> dict[str, str]:
    """The three forms of an address; hashed by an older key where that is how it is known to get no mail."""
    hashed = chunk.remembered.get(key.address) or suppression_hash(key.address)
    return {"email": key.email, "email_key": key.address, "address_hash": hashed}


def _update(entry: Entry, person: Person, chunk: Chunk, run: Run) -> None:
    """Bring one person up to the row: what differs, less what is held back."""
    held: list[str] = []
    changes = _field_changes(entry, person, chunk, held)
    if entry.key.number and person.stored["member_number"] is None:
        changes["member_number"] = entry.key.number
    changes |= _address_change(entry, person, chunk, run, held)
    answers = _answer_changes(entry, person, chunk, held)
    if "email_key" in changes and (person.answers | answers).get(SUPPRESS) == "yes":
        run.silent.add(person.stored["email_key"])
    _note_agreement(entry, person, chunk)
    chunk.answers += [Answer(person.id, code, value) for code, value in answers.items()]
    if run.dry:
        shown = [(name, person.stored[name], new) for name, new in changes.items() if name not in DERIVED]
        shown += [(code, person.answers.get(code), value) for code, value in answers.items()]
        run.differences += [
            Difference(entry.line, name, write_cell(name, old), write_cell(name, new)) for name, old, new in shown
        ]
    if changes:
        chunk.changed.append(Change(person, changes, entry.line, bool(held), alone=not answers))
    if changes or answers:
        run.counts["updated"] += 1
    elif not held:
        run.counts["unchanged"] += 1
    if held:
        run.hold(entry.line, held)


def _field_changes(entry: Entry, person: Person, chunk: Chunk, held: list[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for name, brought in entry.values.items():
        stored = person.stored[name]
        new: Value = brought
        if name in PHONES and brought != stored:
            new = read_phone(str(brought), str(entry.values.get("country") or person.stored["country"]))
        if same(name, stored, new):
            if name in person.pending:
                chunk.carried.append((person.id, name))
        elif name in person.pending:
            held.append(f"{name}: {CHANGED_HERE}")
            chunk.contradicted[person.id, name] = write_cell(name, new)
        else:
            changes[name] = new
    chunk.carried += [
        (person.id, name) for name in entry.empty if name in person.pending and not person.stored.get(name, "no field")
    ]
    return changes


def _address_change(entry: Entry, person: Person, chunk: Chunk, run: Run, held: list[str]) -> dict[str, str]:
    """A new address is taken, proposed to somebody who signs in, or held back where it was changed here."""
    key, old = entry.key, person.stored["email_key"]
    if key.address == old:
        if "email" in person.pending:
            chunk.carried.append((person.id, "email"))
        return {}
    if "email" in person.pending:
        held.append(f"email: {CHANGED_HERE}")
        chunk.contradicted[person.id, "email"] = key.email
        return {}
    if person.staff:
        held.append(f"email: {OF_THE_DESK}")
        return {}
    if person.signed_in:
        held.append(f"email: {PROPOSED}")
        if (person.id, key.address) not in chunk.proposed:
            chunk.proposals.append((person.id, key.email))
        return {}
    run.freed.add(old)
    chunk.by_address.pop(old, None)
    if key.address in chunk.desk:
        chunk.attached.append((chunk.desk[key.address], person.id))
    return _address(key, chunk)


def _answer_changes(entry: Entry, person: Person, chunk: Chunk, held: list[str]) -> dict[str, str]:
    """What the row answers anew: a first answer, or a tighter one.

    A file that only repeats what an earlier one said is old news against what the person said since; it is held
    back, so that no nightly file takes their own answer away.
    """
    changes: dict[str, str] = {}
    for code, value in entry.answers.items():
        stands = person.answers.get(code)
        if stands is None:
            changes[code] = value
        elif stands != value:
            loosens = CHOICES[code].loosens(stands, value)
            if loosens or person.last_import.get(code) == value:
                held.append(f"{code}: {LOOSENS if loosens else CHANGED_HERE}")
                chunk.contradicted[person.id, conflicts.key(ANSWERED, code)] = value
            else:
                changes[code] = value
    said = {**entry.answers, **_topics_left_on(entry)}
    agreed = (code for code in sorted(person.answered & said.keys()) if said[code] == person.answers.get(code))
    chunk.carried_answers += [(person.id, code) for code in agreed]
    return changes


def _topics_left_on(entry: Entry) -> dict[str, str]:
    """A row whose `topics_off` does not name a topic has it on. That turns none on here, and can agree with what is."""
    if "topics_off" not in entry.empty and not entry.answers.keys() & TOPICS_OF.keys():
        return {}
    return {code: "on" for code in TOPICS_OF if code not in entry.answers}


def _note_agreement(entry: Entry, person: Person, chunk: Chunk) -> None:
    """What was written down as a contradiction, and is none any more by what this row says."""
    answers = {**entry.answers, **_topics_left_on(entry)}
    said = {"email", *entry.values, *(conflicts.key(ANSWERED, code) for code in answers)}
    chunk.agreed += [
        (person.id, name) for name in person.conflicts if name in said and (person.id, name) not in chunk.contradicted
    ]
