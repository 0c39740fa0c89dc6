"""Room of what we do: what an import looks up before a chunk of rows, and writes after it. For `imports` alone."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, select, update

from portal.domain import members
from portal.domain.member_csv import CHOICE_COLUMNS, Entry
from portal.extensions import db
from portal.models import Account, ChoiceRow, EmailChange, Member, PasswordLink, Subject, Suppression, Trail
from portal.models.choice import standing
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import canonical_address, number_to_hash, suppression_hashes
from portal.vocabulary import Door

ERASED = "the record was erased"
SAVED_MEANWHILE = "was saved here during the import"
STAYS_SILENT = (
    "The membership records brought back an address that somebody had here before who wanted no broadcast emails. "
    "So we send none there:"
)
DERIVED = frozenset(("email_key", "address_hash"))  # follow from the address

MEMBER, SUBJECT, ACCOUNT = (cast(Table, model.__table__) for model in (Member, Subject, Account))
CHOICE, TRAIL = (cast(Table, model.__table__) for model in (ChoiceRow, Trail))

# Whose new address is proposed, never taken. A role at the desk counts before its first password: no file moves it.
_SIGNS_IN = ACCOUNT.c.password_hash.is_not(None)


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


@dataclass
class Run:
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
class Person:
    """Somebody whom a row of the chunk may be about, and what is decided for them."""

    stored: dict[str, Any]
    signed_in: bool = False
    staff: bool = False
    account_id: UUID | None = None
    pending: set[str] = field(default_factory=set)  # fields changed here, not yet carried over
    answers: dict[str, str] = field(default_factory=dict)  # what stands, where it was given
    last_import: dict[str, str] = field(default_factory=dict)  # what an import said last

    @property
    def id(self) -> UUID:
        return cast(UUID, self.stored["id"])


@dataclass
class Chunk:
    """What is known before a chunk is decided, and what is to be written after."""

    by_number: dict[str, Person] = field(default_factory=dict)
    by_address: dict[str, Person] = field(default_factory=dict)
    by_old_address: dict[str, Person] = field(default_factory=dict)
    desk: dict[str, UUID] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)  # addresses given up here by somebody who wants no broadcasts
    proposed: set[tuple[UUID, str]] = field(default_factory=set)
    newest: dict[tuple[UUID, str], int] = field(default_factory=dict)  # row of the answer that stands
    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[tuple[Person, dict[str, Any], int, bool]] = field(default_factory=list)
    answers: list[tuple[UUID, str, str]] = field(default_factory=list)
    carried: list[tuple[UUID, str]] = field(default_factory=list)
    attached: list[tuple[UUID, UUID]] = field(default_factory=list)
    proposals: list[tuple[UUID, str]] = field(default_factory=list)
    silenced: set[UUID] = field(default_factory=set)  # created with such an address


# What is known --------------------------------------------------------------------------------------------


def look_up(batch: list[Entry], run: Run) -> Chunk:
    chunk = Chunk()
    numbers = [entry.key.number for entry in batch if entry.key.number]
    addresses = [entry.key.address for entry in batch]
    query = (
        select(MEMBER, ACCOUNT.c.id.label("account_id"), _SIGNS_IN.label("signed_in"), ACCOUNT.c.staff)
        .outerjoin(ACCOUNT, ACCOUNT.c.member_id == MEMBER.c.id)
        .order_by(MEMBER.c.id)
    )
    found: dict[UUID, Person] = {}
    old = _old_addresses(addresses)
    for condition in (
        MEMBER.c.member_number.in_(numbers),
        MEMBER.c.email_key.in_(addresses),
        *([MEMBER.c.id.in_(list(old.values()))] if old else []),
    ):
        for row in db.session.execute(query.where(condition)).mappings():
            stored = dict(row)
            account_id, signed_in = stored.pop("account_id"), bool(stored.pop("signed_in"))
            staff = bool(stored.pop("staff"))
            found.setdefault(stored["id"], Person(stored, signed_in, staff, account_id))
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
        _look_up_answers(ids, found, chunk)
    desk = select(ACCOUNT.c.email_key, ACCOUNT.c.id).where(ACCOUNT.c.email_key.in_(addresses))
    chunk.desk = {row.email_key: row.id for row in db.session.execute(desk)}
    chunk.erased = _erased(batch)
    chunk.silent = _silent(addresses)
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


def _silent(addresses: list[str]) -> set[str]:
    """The addresses that a change here gave up, whose person wants no broadcasts: the opt-out stays with both."""
    query = select(EmailChange.old_email).where(
        func.lower(EmailChange.old_email).in_(addresses),
        EmailChange.confirmed_at.is_not(None),
        EmailChange.cancelled_at.is_(None),
        standing(EmailChange.member_id, SUPPRESS, CHOICES[SUPPRESS].default) == "yes",
    )
    return {canonical_address(old) for old in db.session.scalars(query)}


def _look_up_pending(ids: list[UUID], found: dict[UUID, Person]) -> None:
    query = select(Trail.subject_id, Trail.field).where(
        Trail.subject_id.in_(ids), Trail.act == "changed", Trail.carried_at.is_(None), Trail.field != ""
    )
    for person, name in db.session.execute(query):
        found[person].pending.add(name)


def _look_up_answers(ids: list[UUID], found: dict[UUID, Person], chunk: Chunk) -> None:
    query = select(CHOICE.c.subject_id, CHOICE.c.code, CHOICE.c.value, CHOICE.c.door, CHOICE.c.id).where(
        CHOICE.c.subject_id.in_(ids), CHOICE.c.event_id.is_(None)
    )
    for person, code, value, door, row in db.session.execute(query.order_by(CHOICE.c.id)):
        found[person].answers[code] = value
        chunk.newest[person, code] = row
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


# What is written ------------------------------------------------------------------------------------------


def write(chunk: Chunk, run: Run) -> None:
    """Addresses that are given up first, so that somebody else may take them; then all the rest in bulk."""
    trail: list[dict[str, Any]] = []
    changed = _still_as_read(chunk, run)
    _write_changes(changed, run)
    for person, changes in changed:
        trail += [_trail_row(person.id, "changed", name, run.now) for name in changes if name not in DERIVED]
    _insert(SUBJECT, [_subject_row(row["id"]) for row in chunk.created])
    _insert(MEMBER, chunk.created)
    trail += [_trail_row(row["id"], "created", "", run.now) for row in chunk.created]
    for account, person_id in chunk.attached:
        taken = update(ACCOUNT).where(ACCOUNT.c.id == account)
        db.session.execute(taken.values(member_id=person_id, email=None, email_key=None))
    answers = [_choice_row(*answer, run) for answer in _still_unanswered(chunk, run)]
    _insert(CHOICE, answers + [_silence_row(row["id"], run) for row in chunk.created if row["id"] in chunk.silenced])
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


def _still_as_read(chunk: Chunk, run: Run) -> list[tuple[Person, dict[str, Any]]]:
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


def _still_unanswered(chunk: Chunk, run: Run) -> list[tuple[UUID, str, str]]:
    """The answers, less those that the person gave anew since they were read: theirs stand.

    The lock waits for an answer under way, whose row refers to the subject, and keeps later ones behind ours.
    """
    created = {row["id"] for row in chunk.created}
    ids = sorted({person for person, *_ in chunk.answers if person not in created})
    if not ids:
        return chunk.answers
    db.session.execute(select(SUBJECT.c.id).where(SUBJECT.c.id.in_(ids)).order_by(SUBJECT.c.id).with_for_update())
    query = select(CHOICE.c.subject_id, CHOICE.c.code, func.max(CHOICE.c.id)).where(
        CHOICE.c.subject_id.in_(ids), CHOICE.c.event_id.is_(None)
    )
    newest = {
        (person, code): row
        for person, code, row in db.session.execute(query.group_by(CHOICE.c.subject_id, CHOICE.c.code))
    }
    kept = [(person, code, value) for person, code, value in chunk.answers
            if newest.get((person, code)) == chunk.newest.get((person, code))]  # fmt: skip
    run.why_held[SAVED_MEANWHILE] += len(chunk.answers) - len(kept)
    return kept


def _write_changes(changed: list[tuple[Person, dict[str, Any]]], run: Run) -> None:
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


def _bound(person: Person, changes: dict[str, Any]) -> dict[str, Any]:
    return {"person": person.id} | {f"new_{name}": value for name, value in changes.items()}


def _subject_row(new: UUID) -> dict[str, Any]:
    return {"id": new, "unsubscribe_reference": secrets.token_bytes(16)}


def _trail_row(person: UUID, act: str, name: str, now: datetime) -> dict[str, Any]:
    return {"subject_id": person, "act": act, "field": name, "door": Door.IMPORT, "at": now, "carried_at": now}


@lru_cache(maxsize=100)
def _wording(code: str, value: str) -> str:
    choice = CHOICES[code]
    option = choice.option(value)
    column = code if code in CHOICE_COLUMNS else "topics_off"
    return f"The membership records said, under {column}: {choice.question} {option.label}: {option.meaning}"


def _choice_row(person: UUID, code: str, value: str, run: Run) -> dict[str, Any]:
    return {
        "subject_id": person,
        "code": code,
        "value": value,
        "at": run.now,
        "door": Door.IMPORT,
        "wording": _wording(code, value),
        "notice_version": run.notice_version,
    }


def _silence_row(person: UUID, run: Run) -> dict[str, Any]:
    choice = CHOICES[SUPPRESS]
    option = choice.option("yes")
    wording = f"{STAYS_SILENT} {choice.question} {option.label}: {option.meaning}"
    return _choice_row(person, SUPPRESS, option.value, run) | {"wording": wording}
