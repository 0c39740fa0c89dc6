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
from uuid import uuid4

from portal.clock import society_date
from portal.domain import notices
from portal.domain.csv_file import ColumnMap, Row, open_csv
from portal.domain.import_store import DERIVED, ERASED, Chunk, Difference, Person, Refused, Run, look_up, write
from portal.domain.member_csv import (
    COLUMNS,
    FIELDS,
    PHONES,
    Entry,
    Key,
    Value,
    read,
    read_key,
    read_phone,
    same,
    write_cell,
)
from portal.extensions import db
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import number_to_hash, suppression_hash

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
    run = Run(now, society_date(now), dry_run, notices.version_in_force(now))
    with open_csv(stream, known=COLUMNS, needed=("email",), column_map=column_map, progress=progress) as file:
        entries = _entries(file.rows, run)
        while batch := list(islice(entries, CHUNK)):
            chunk = look_up(batch, run)
            for entry in batch:
                _decide(entry, chunk, run)
            if not dry_run:
                write(chunk, run)
    db.session.expire_all()
    return Report(
        run.counts["created"],
        run.counts["updated"],
        run.counts["unchanged"],
        run.counts["held_back"],
        tuple(sorted(run.refused)),
        file.ignored,
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
        if run.repeats(*_names(key)):
            run.refuse(row.line, "a second row with this member_id or address")
            continue
        try:
            yield read(row, key, today=run.today)
        except ValueError as error:
            run.refuse(row.line, str(error))


def _names(key: Key) -> list[str]:
    return [f"{kind}:{name}" for kind, name in (("id", key.number), ("address", key.address)) if name]


# What is decided ------------------------------------------------------------------------------------------


def _decide(entry: Entry, chunk: Chunk, run: Run) -> None:
    key = entry.key
    if key.address in chunk.erased or (key.number and number_to_hash(key.number) in chunk.erased):
        run.hold(entry.line, [ERASED])
        return
    owner = chunk.by_address.get(key.address)
    person = chunk.by_number.get(key.number) if key.number else owner
    if person is None and owner is None:
        person = _by_old_address(key, chunk)
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


def _by_old_address(key: Key, chunk: Chunk) -> Person | None:
    person = chunk.by_old_address.get(key.address)
    if person is None or (key.number and person.stored["member_number"] not in (None, key.number)):
        return None
    return person


def _create(entry: Entry, chunk: Chunk, run: Run) -> None:
    key, new = entry.key, uuid4()
    stored: dict[str, Any] = {name: None if name in _DATES else "" for name in FIELDS} | {"kind": "contact"}
    stored |= entry.values
    for name in PHONES & entry.values.keys():
        stored[name] = read_phone(stored[name], stored["country"])
    stored |= {"id": new, "version": 1, "member_number": key.number or None} | _address(key)
    chunk.created.append(stored)
    answers = dict(entry.answers)
    if key.address in chunk.silent:
        chunk.silenced.add(new)
        if answers.pop(SUPPRESS, "yes") != "yes":
            run.hold(entry.line, [f"{SUPPRESS}: {LOOSENS}"])
    chunk.answers += [(new, code, value) for code, value in answers.items()]
    if key.address in chunk.desk:
        chunk.attached.append((chunk.desk[key.address], new))
    run.counts["created"] += 1
    if run.dry:
        run.differences.append(Difference(entry.line, "", "", ""))


_DATES = frozenset(("birth_date", "joined_on", "expires_on"))


def _address(key: Key) -> dict[str, str]:
    return {"email": key.email, "email_key": key.address, "address_hash": suppression_hash(key.address)}


def _update(entry: Entry, person: Person, chunk: Chunk, run: Run) -> None:
    """Bring one person up to the row: what differs, less what is held back."""
    held: list[str] = []
    changes = _field_changes(entry, person, chunk, held)
    if entry.key.number and person.stored["member_number"] is None:
        changes["member_number"] = entry.key.number
    changes |= _address_change(entry, person, chunk, run, held)
    answers = _answer_changes(entry, person, held)
    chunk.answers += [(person.id, code, value) for code, value in answers.items()]
    if run.dry:
        shown = [(name, person.stored[name], new) for name, new in changes.items() if name not in DERIVED]
        shown += [(code, person.answers.get(code), value) for code, value in answers.items()]
        run.differences += [
            Difference(entry.line, name, write_cell(name, old), write_cell(name, new)) for name, old, new in shown
        ]
    if changes:
        chunk.changed.append((person, changes, entry.line, bool(held)))
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
    return _address(key)


def _answer_changes(entry: Entry, person: Person, held: list[str]) -> dict[str, str]:
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
            if CHOICES[code].loosens(stands, value):
                held.append(f"{code}: {LOOSENS}")
            elif person.last_import.get(code) == value:
                held.append(f"{code}: {CHANGED_HERE}")
            else:
                changes[code] = value
    return changes
