"""Verbs of members coming in: apply members.csv to the records, in chunks, in the caller's one transaction (P7).

A file never deletes, never erases by an empty cell, never loosens a choice, and never overwrites what the member
or the desk changed here. Called by the command; docs/members-csv.md tells an operator the same.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby, islice
from typing import Any, BinaryIO, NamedTuple, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, bindparam, func, insert, select, update

from portal.clock import society_date
from portal.domain import members, notices
from portal.domain.csv_file import ColumnMap, open_csv
from portal.domain.member_csv import (
    CHOICE_COLUMNS,
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
from portal.models import Account, ChoiceRow, EmailChange, Member, PasswordLink, Subject, Suppression, Trail
from portal.purposes import CHOICES
from portal.tokens import canonical_address, number_to_hash, suppression_hash, suppression_hashes
from portal.vocabulary import Door

CHUNK = 2000
ERASED = "the record was erased"
CHANGED_HERE = "changed here and not yet carried over"
LOOSENS = "would loosen a choice"
PROPOSED = "a new address for somebody who signs in: proposed to them"
SAVED_MEANWHILE = "was saved here during the import"

MEMBER, SUBJECT, ACCOUNT = (cast(Table, model.__table__) for model in (Member, Subject, Account))
CHOICE, TRAIL = (cast(Table, model.__table__) for model in (ChoiceRow, Trail))


class Refused(NamedTuple):
    """A row that was not taken: the physical line where it starts, and why."""

    line: int
    reason: str


class Difference(NamedTuple):
    """What a dry run would change. No field: the person would be created."""

    line: int
    field: str
    old: str
    new: str


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


@dataclass
class _Run:
    """One file under way: what is counted, and what later rows must know of earlier ones."""

    now: datetime
    today: date
    dry: bool
    notice_version: int | None
    counts: Counter[str] = field(default_factory=Counter)
    why_held: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    held: list[Refused] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)  # digests of ids, addresses and people
    freed: set[str] = field(default_factory=set)  # addresses that a row of this file gave up

    def repeats(self, *names: str) -> bool:
        """Whether one of these was in an earlier row; remembers them all."""
        digests = [hashlib.blake2b(name.encode(), digest_size=12).digest() for name in names]
        known = not self.seen.isdisjoint(digests)
        self.seen.update(digests)
        return known

    def refuse(self, line: int, reason: str) -> None:
        self.refused.append(Refused(line, reason))

    def hold(self, line: int, reasons: Iterable[str]) -> None:
        self.counts["held_back"] += 1
        for reason in reasons:
            self.why_held[reason.partition(": ")[2] or reason] += 1
            if self.dry and reason != ERASED:  # no oracle for who was erased: those are counted only
                self.held.append(Refused(line, reason))


@dataclass
class _Person:
    """Somebody whom a row of the chunk may be about, and what is decided for them."""

    stored: dict[str, Any]
    signed_in: bool = False
    account_id: UUID | None = None
    pending: set[str] = field(default_factory=set)  # fields changed here, not yet carried over
    answers: dict[str, str] = field(default_factory=dict)  # what stands, where it was given
    last_import: dict[str, str] = field(default_factory=dict)  # what an import said last

    @property
    def id(self) -> UUID:
        return cast(UUID, self.stored["id"])


@dataclass
class _Chunk:
    """What is known before a chunk is decided, and what is to be written after."""

    by_number: dict[str, _Person] = field(default_factory=dict)
    by_address: dict[str, _Person] = field(default_factory=dict)
    by_old_address: dict[str, _Person] = field(default_factory=dict)
    desk: dict[str, UUID] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    proposed: set[tuple[UUID, str]] = field(default_factory=set)
    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[_Person, dict[str, Any], int, bool]] = field(default_factory=list)
    answers: list[tuple[UUID, str, str]] = field(default_factory=list)
    carried: list[tuple[UUID, str]] = field(default_factory=list)
    attached: list[tuple[UUID, UUID]] = field(default_factory=list)
    proposals: list[tuple[UUID, str]] = field(default_factory=list)


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
    run = _Run(now, society_date(now), dry_run, notices.version_in_force(now))
    with open_csv(stream, known=COLUMNS, needed=("email",), column_map=column_map, progress=progress) as file:
        entries = _entries(file.rows, run)
        while batch := list(islice(entries, CHUNK)):
            chunk = _look_up(batch, run)
            for entry in batch:
                _decide(entry, chunk, run)
            if not dry_run:
                _write(chunk, run)
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


def _entries(rows: Iterable[Any], run: _Run) -> Iterator[Entry]:
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


# What is known --------------------------------------------------------------------------------------------


def _look_up(batch: list[Entry], run: _Run) -> _Chunk:
    chunk = _Chunk()
    numbers = [entry.key.number for entry in batch if entry.key.number]
    addresses = [entry.key.address for entry in batch]
    query = (
        select(MEMBER, ACCOUNT.c.id.label("account_id"), ACCOUNT.c.password_hash.is_not(None).label("signed_in"))
        .outerjoin(ACCOUNT, ACCOUNT.c.member_id == MEMBER.c.id)
        .order_by(MEMBER.c.id)
    )
    found: dict[UUID, _Person] = {}
    old = _old_addresses(addresses)
    for condition in (
        MEMBER.c.member_number.in_(numbers),
        MEMBER.c.email_key.in_(addresses),
        *([MEMBER.c.id.in_(list(old.values()))] if old else []),
    ):
        for row in db.session.execute(query.where(condition)).mappings():
            stored = dict(row)
            account_id, signed_in = stored.pop("account_id"), bool(stored.pop("signed_in"))
            found.setdefault(stored["id"], _Person(stored, signed_in, account_id))
    for person in found.values():
        if person.stored["member_number"]:
            chunk.by_number[person.stored["member_number"]] = person
        if person.stored["email_key"] not in run.freed:
            chunk.by_address[person.stored["email_key"]] = person
    ids = list(found)
    _look_up_pending(ids, found)
    chunk.by_old_address = {
        address: found[person] for address, person in old.items() if "email" in found[person].pending
    }
    if any(entry.answers for entry in batch):
        _look_up_answers(ids, found)
    desk = select(ACCOUNT.c.email_key, ACCOUNT.c.id).where(ACCOUNT.c.email_key.in_(addresses))
    chunk.desk = {row.email_key: row.id for row in db.session.execute(desk)}
    chunk.erased = _erased(batch)
    moving = [person for person in found.values() if person.signed_in]
    if moving:
        earlier = select(EmailChange.member_id, EmailChange.new_email).where(
            EmailChange.member_id.in_([person.id for person in moving]), EmailChange.door == Door.IMPORT
        )
        chunk.proposed = {(person, canonical_address(new)) for person, new in db.session.execute(earlier)}
    return chunk


def _old_addresses(addresses: list[str]) -> dict[str, UUID]:
    """Whose address it was until it was changed here: a file without ids still knows them by it."""
    query = select(EmailChange.old_email, EmailChange.member_id).where(
        func.lower(EmailChange.old_email).in_(addresses),
        EmailChange.confirmed_at.is_not(None),
        EmailChange.cancelled_at.is_(None),
    )
    return {canonical_address(old): person for old, person in db.session.execute(query.order_by(EmailChange.id))}


def _look_up_pending(ids: list[UUID], found: dict[UUID, _Person]) -> None:
    query = select(Trail.subject_id, Trail.field).where(
        Trail.subject_id.in_(ids), Trail.act == "changed", Trail.carried_at.is_(None), Trail.field != ""
    )
    for person, name in db.session.execute(query):
        found[person].pending.add(name)


def _look_up_answers(ids: list[UUID], found: dict[UUID, _Person]) -> None:
    query = select(ChoiceRow.subject_id, ChoiceRow.code, ChoiceRow.value, ChoiceRow.door).where(
        ChoiceRow.subject_id.in_(ids), ChoiceRow.event_id.is_(None)
    )
    for person, code, value, door in db.session.execute(query.order_by(ChoiceRow.id)):
        found[person].answers[code] = value
        if door == Door.IMPORT:
            found[person].last_import[code] = value


def _erased(batch: list[Entry]) -> set[str]:
    """The addresses and numbered ids of the batch whose person was erased, under every key ever in use."""
    names = {
        hashed: name
        for entry in batch
        for name in (entry.key.address, *([number_to_hash(entry.key.number)] if entry.key.number else []))
        for hashed in suppression_hashes(name)
    }
    query = select(Suppression.keyed_hash).where(
        Suppression.keyed_hash.in_(list(names)), Suppression.reason == "erased"
    )
    return {names[hashed] for hashed in db.session.scalars(query)}


# What is decided ------------------------------------------------------------------------------------------


def _decide(entry: Entry, chunk: _Chunk, run: _Run) -> None:
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


def _by_old_address(key: Key, chunk: _Chunk) -> _Person | None:
    person = chunk.by_old_address.get(key.address)
    if person is None or (key.number and person.stored["member_number"] not in (None, key.number)):
        return None
    return person


def _create(entry: Entry, chunk: _Chunk, run: _Run) -> None:
    key, new = entry.key, uuid4()
    stored: dict[str, Any] = {name: None if name in _DATES else "" for name in FIELDS} | {"kind": "contact"}
    stored |= entry.values
    for name in PHONES & entry.values.keys():
        stored[name] = read_phone(stored[name], stored["country"])
    stored |= {"id": new, "version": 1, "member_number": key.number or None} | _address(key)
    chunk.created.append(stored)
    chunk.answers += [(new, code, value) for code, value in entry.answers.items()]
    if key.address in chunk.desk:
        chunk.attached.append((chunk.desk[key.address], new))
    run.counts["created"] += 1
    if run.dry:
        run.differences.append(Difference(entry.line, "", "", ""))


_DATES = frozenset(("birth_date", "joined_on", "expires_on"))


def _address(key: Key) -> dict[str, str]:
    return {"email": key.email, "email_key": key.address, "address_hash": suppression_hash(key.address)}


def _update(entry: Entry, person: _Person, chunk: _Chunk, run: _Run) -> None:
    """Bring one person up to the row: what differs, less what is held back."""
    held: list[str] = []
    changes = _field_changes(entry, person, chunk, held)
    if entry.key.number and person.stored["member_number"] is None:
        changes["member_number"] = entry.key.number
    changes |= _address_change(entry, person, chunk, run, held)
    answers = _answer_changes(entry, person, held)
    chunk.answers += [(person.id, code, value) for code, value in answers.items()]
    if run.dry:
        shown = [(name, person.stored[name], new) for name, new in changes.items() if name not in _DERIVED]
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


_DERIVED = frozenset(("email_key", "address_hash"))


def _field_changes(entry: Entry, person: _Person, chunk: _Chunk, held: list[str]) -> dict[str, Any]:
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


def _address_change(entry: Entry, person: _Person, chunk: _Chunk, run: _Run, held: list[str]) -> dict[str, str]:
    """A new address is taken, proposed to somebody who signs in, or held back where it was changed here."""
    key, old = entry.key, person.stored["email_key"]
    if key.address == old:
        if "email" in person.pending:
            chunk.carried.append((person.id, "email"))
        return {}
    if "email" in person.pending:
        held.append(f"email: {CHANGED_HERE}")
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


def _answer_changes(entry: Entry, person: _Person, held: list[str]) -> dict[str, str]:
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


# What is written ------------------------------------------------------------------------------------------


def _write(chunk: _Chunk, run: _Run) -> None:
    """Addresses that are given up first, so that somebody else may take them; then all the rest in bulk."""
    trail: list[dict[str, Any]] = []
    changed = _still_as_read(chunk, run)
    _write_changes(changed, run)
    for person, changes in changed:
        trail += [_trail_row(person.id, "changed", name, run.now) for name in changes if name not in _DERIVED]
    _insert(SUBJECT, [_subject_row(row["id"]) for row in chunk.created])
    _insert(MEMBER, chunk.created)
    trail += [_trail_row(row["id"], "created", "", run.now) for row in chunk.created]
    for account, person_id in chunk.attached:
        taken = update(ACCOUNT).where(ACCOUNT.c.id == account)
        db.session.execute(taken.values(member_id=person_id, email=None, email_key=None))
    _insert(CHOICE, [_choice_row(*answer, run) for answer in chunk.answers])
    _insert(TRAIL, trail)
    for person_id, name in chunk.carried:
        waiting = update(Trail).where(Trail.subject_id == person_id, Trail.field == name, Trail.carried_at.is_(None))
        db.session.execute(
            waiting.where(Trail.act == "changed").values(carried_at=run.now), execution_options=_UNSYNCED
        )
    for person_id, email in chunk.proposals:
        member = db.session.get_one(Member, person_id, populate_existing=True)
        members.propose_email(member, email, now=run.now)


_UNSYNCED: dict[str, Any] = {"synchronize_session": False}


def _insert(table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        db.session.execute(insert(table), rows)


def _still_as_read(chunk: _Chunk, run: _Run) -> list[tuple[_Person, dict[str, Any]]]:
    """The changes whose record nobody has saved since it was read; the others are held back. Locks what remains."""
    ids = [person.id for person, *_ in chunk.changed]
    query = select(MEMBER.c.id, MEMBER.c.version).where(MEMBER.c.id.in_(ids)).order_by(MEMBER.c.id).with_for_update()
    versions = {row.id: row.version for row in db.session.execute(query)} if ids else {}
    kept = []
    for person, changes, line, was_held in chunk.changed:
        if versions.get(person.id) == person.stored["version"]:
            kept.append((person, changes))
        else:
            run.counts["updated"] -= 1
            run.counts["held_back"] -= was_held
            run.hold(line, [SAVED_MEANWHILE])
    return kept


def _write_changes(changed: list[tuple[_Person, dict[str, Any]]], run: _Run) -> None:
    moved = [(person, changes) for person, changes in changed if "email_key" in changes]
    rest = [(person, changes) for person, changes in changed if "email_key" not in changes]
    for person, changes in moved:
        db.session.execute(_update_of(changes), [_bound(person, changes)])
        if person.account_id is not None:  # a link mailed to the old address must not open the account
            links = update(PasswordLink).where(
                PasswordLink.account_id == person.account_id,
                PasswordLink.used_at.is_(None),
                PasswordLink.ends_at > run.now,
            )
            db.session.execute(links.values(ends_at=run.now), execution_options=_UNSYNCED)
    rest.sort(key=lambda pair: sorted(pair[1]))
    for _, group in groupby(rest, key=lambda pair: sorted(pair[1])):
        alike = list(group)
        db.session.execute(_update_of(alike[0][1]), [_bound(*pair) for pair in alike])


def _update_of(changes: dict[str, Any]) -> Any:
    new: dict[str, Any] = {name: bindparam(f"new_{name}") for name in sorted(changes)}
    return update(MEMBER).where(MEMBER.c.id == bindparam("person")).values(**new, version=MEMBER.c.version + 1)


def _bound(person: _Person, changes: dict[str, Any]) -> dict[str, Any]:
    return {"person": person.id} | {f"new_{name}": value for name, value in changes.items()}


def _subject_row(new: UUID) -> dict[str, Any]:
    return {"id": new, "unsubscribe_reference": secrets.token_bytes(16)}


def _trail_row(person: UUID, act: str, name: str, now: datetime) -> dict[str, Any]:
    return {"subject_id": person, "act": act, "field": name, "door": Door.IMPORT, "at": now, "carried_at": now}


def _choice_row(person: UUID, code: str, value: str, run: _Run) -> dict[str, Any]:
    choice = CHOICES[code]
    option = choice.option(value)
    column = code if code in CHOICE_COLUMNS else "topics_off"
    return {
        "subject_id": person,
        "code": code,
        "value": value,
        "at": run.now,
        "door": Door.IMPORT,
        "wording": f"The membership records said, under {column}: {choice.question} {option.label}: {option.meaning}",
        "notice_version": run.notice_version,
    }
