"""Room of what we do: what an import looks up before a chunk of rows, and writes after it. For `imports` alone."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, func, insert, select, update

from portal.domain import members, notices, reviews
from portal.domain.member_csv import CHOICE_COLUMNS, Entry, Key
from portal.domain.notices import Version
from portal.domain.trail import ANSWERED, CHANGED, TO_CARRY
from portal.extensions import db
from portal.journal import OptOut
from portal.models import (
    Account,
    ChoiceRow,
    Conflict,
    EmailChange,
    FormerAddress,
    Member,
    PasswordLink,
    Subject,
    Suppression,
    Trail,
)
from portal.models.choice import standing
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import number_to_hash, suppression_hashes
from portal.vocabulary import Door

ERASED = "the record was erased"
SAVED_MEANWHILE = "was saved here during the import"
STAYS_SILENT = (
    "{} brought back an address that somebody had here before who wanted no broadcast emails. So we send none there:"
)
BROUGHT_BY = {Door.IMPORT: "The membership records", Door.REGISTRATION: "A list of registrations"}
DERIVED = frozenset(("email_key", "address_hash"))  # follow from the address

MEMBER, SUBJECT, ACCOUNT = (cast(Table, model.__table__) for model in (Member, Subject, Account))
CHOICE, CONFLICT, TRAIL = (cast(Table, model.__table__) for model in (ChoiceRow, Conflict, Trail))

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


class Answer(NamedTuple):
    """What a row answers anew: for all events, or for one. `line`: what the journal is told before the commit."""

    person: UUID
    code: str
    value: str
    event_id: int | None = None
    line: OptOut | None = None


@dataclass
class Run:
    """One file under way: what is counted, and what later rows must know of earlier ones."""

    now: datetime
    today: date
    dry: bool
    notices: list[Version]  # in force, the oldest first
    door: Door = Door.IMPORT
    counts: Counter[str] = field(default_factory=Counter)
    why_held: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    held: list[Refused] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)  # digests of ids, addresses and people
    freed: set[str] = field(default_factory=set)  # addresses that a row of this file gave up
    silent: set[str] = field(default_factory=set)  # those of them whose person wants no broadcasts
    lines: list[OptOut] = field(default_factory=list)  # for the journal, once the whole file is read

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
    here: dict[tuple[int, str], str] = field(default_factory=dict)  # the same for one event
    last_list: dict[tuple[int, str], str] = field(default_factory=dict)  # what a list of its registrations said last
    reference: bytes = b""
    own: set[str] = field(default_factory=set)  # fields that the person, or the desk, ever changed here
    answered: set[str] = field(default_factory=set)  # questions answered here, not yet carried over
    conflicts: dict[str, tuple[int, str]] = field(default_factory=dict)  # written down before: number, what was brought

    @property
    def id(self) -> UUID:
        return cast(UUID, self.stored["id"])


class Change(NamedTuple):
    """Fields of somebody's record that a row changes. `held`: something of the row is held back; `alone`: it counts
    as updated for these fields alone."""

    person: Person
    changes: dict[str, Any]
    line: int
    held: bool
    alone: bool = True


@dataclass
class Chunk:
    """What is known before a chunk is decided, and what is to be written after."""

    by_number: dict[str, Person] = field(default_factory=dict)
    by_address: dict[str, Person] = field(default_factory=dict)
    by_old_address: dict[str, Person] = field(default_factory=dict)
    desk: dict[str, UUID] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)  # addresses and numbered ids of people who were erased
    remembered: dict[str, str] = field(default_factory=dict)  # addresses that get no mail, and the hash that says so
    silent: set[str] = field(default_factory=set)  # addresses given up here by somebody who wants no broadcasts
    proposed: set[tuple[UUID, str]] = field(default_factory=set)
    people: dict[UUID, Person] = field(default_factory=dict)  # all of them
    newest: dict[tuple[UUID, str, int | None], int] = field(default_factory=dict)  # row of the answer that stands
    created: list[dict[str, Any]] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    carried: list[tuple[UUID, str]] = field(default_factory=list)
    carried_answers: list[tuple[UUID, str]] = field(default_factory=list)
    contradicted: dict[tuple[UUID, str], str] = field(default_factory=dict)  # what is held back, and what the file says
    agreed: list[tuple[UUID, str]] = field(default_factory=list)  # contradictions that are over
    attached: list[tuple[UUID, UUID]] = field(default_factory=list)
    proposals: list[tuple[UUID, str]] = field(default_factory=list)
    silenced: set[UUID] = field(default_factory=set)  # created with such an address


# What is known --------------------------------------------------------------------------------------------


def look_up(batch: Sequence[Entry], run: Run) -> Chunk:
    chunk = Chunk()
    numbers = [entry.key.number for entry in batch if entry.key.number]
    addresses = [entry.key.address for entry in batch if entry.key.address]
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
    chunk.people = found
    ids = list(found)
    _look_up_pending(ids, found)
    _look_up_conflicts(ids, found)
    chunk.by_old_address = {
        address: found[person] for address, person in old.items() if "email" in found[person].pending
    }
    asked = any(entry.answers or _moves(entry.key, chunk) for entry in batch)
    if asked or any(person.answered for person in found.values()):
        _look_up_answers(ids, found, chunk)
    desk = select(ACCOUNT.c.email_key, ACCOUNT.c.id).where(ACCOUNT.c.email_key.in_(addresses))
    chunk.desk = {row.email_key: row.id for row in db.session.execute(desk)}
    _look_up_suppressions(batch, chunk)
    chunk.silent = _silent(addresses)
    moving = [person for person in found.values() if person.signed_in]
    if moving:
        earlier = select(EmailChange.member_id, EmailChange.new_key).where(
            EmailChange.member_id.in_([person.id for person in moving]), EmailChange.door == Door.IMPORT
        )
        chunk.proposed = {(person, new) for person, new in db.session.execute(earlier)}
    return chunk


def _moves(key: Key, chunk: Chunk) -> bool:
    """Whether a row brings a new address for somebody: what they want to hear then counts for the old one."""
    person = chunk.by_number.get(key.number)
    return person is not None and key.address not in ("", person.stored["email_key"])


def _old_addresses(addresses: list[str]) -> dict[str, UUID]:
    """Whose address it was until it was changed here: a file without ids still knows them by it."""
    query = select(EmailChange.old_key, EmailChange.member_id).where(
        EmailChange.old_key.in_(addresses),
        EmailChange.confirmed_at.is_not(None),
        EmailChange.cancelled_at.is_(None),
    )
    return {row.old_key: row.member_id for row in db.session.execute(query.order_by(EmailChange.id))}


def _silent(addresses: list[str]) -> set[str]:
    """The addresses that somebody here gave up who wants no broadcasts: the opt-out stays with all of theirs."""
    names = {hashed: address for address in addresses for hashed in suppression_hashes(address)}
    query = select(FormerAddress.keyed_hash).where(
        FormerAddress.keyed_hash.in_(list(names)),
        standing(FormerAddress.subject_id, SUPPRESS, CHOICES[SUPPRESS].default) == "yes",
    )
    return {names[hashed] for hashed in db.session.scalars(query)}


def _look_up_pending(ids: list[UUID], found: dict[UUID, Person]) -> None:
    query = select(TRAIL.c.subject_id, TRAIL.c.act, TRAIL.c.field).where(
        TRAIL.c.subject_id.in_(ids), TRAIL.c.act.in_(TO_CARRY), TRAIL.c.carried_at.is_(None), TRAIL.c.field != ""
    )
    for person, act, name in db.session.execute(query):
        (found[person].pending if act == CHANGED else found[person].answered).add(name)


def _look_up_conflicts(ids: list[UUID], found: dict[UUID, Person]) -> None:
    query = select(CONFLICT.c.member_id, CONFLICT.c.field, CONFLICT.c.id, CONFLICT.c.brought)
    for person, name, ident, brought in db.session.execute(query.where(CONFLICT.c.member_id.in_(ids))):
        found[person].conflicts[name] = ident, brought


def _look_up_answers(ids: list[UUID], found: dict[UUID, Person], chunk: Chunk) -> None:
    query = select(CHOICE.c.subject_id, CHOICE.c.code, CHOICE.c.value, CHOICE.c.door, CHOICE.c.id).where(
        CHOICE.c.subject_id.in_(ids), CHOICE.c.event_id.is_(None)
    )
    for person, code, value, door, row in db.session.execute(query.order_by(CHOICE.c.id)):
        found[person].answers[code] = value
        chunk.newest[person, code, None] = row
        if door == Door.IMPORT:
            found[person].last_import[code] = value


def _look_up_suppressions(batch: Sequence[Entry], chunk: Chunk) -> None:
    """Whose person was erased, and which addresses get no mail, under every key ever in use."""
    names = {hashed: name for entry in batch for name in names_of(entry.key) for hashed in suppression_hashes(name)}
    query = select(Suppression.keyed_hash, Suppression.reason).where(Suppression.keyed_hash.in_(list(names)))
    for hashed, reason in db.session.execute(query):
        chunk.remembered[names[hashed]] = hashed
        if reason in ("erased", "suspended"):
            chunk.erased.add(names[hashed])


def names_of(key: Key) -> list[str]:
    """Under what somebody erased would be known: the address, and the number as it is hashed."""
    return [each for each in (key.address, number_to_hash(key.number) if key.number else "") if each]


# What is written ------------------------------------------------------------------------------------------


def write(chunk: Chunk, run: Run) -> None:
    """Addresses that are given up first, so that somebody else may take them; then all the rest in bulk."""
    trail: list[dict[str, Any]] = []
    erased = _take_turns(chunk)
    changed = _still_as_read(chunk, run)
    _write_changes(changed, run)
    for person, changes in changed:
        trail += [_trail_row(person.id, "changed", name, run) for name in changes if name not in DERIVED]
    _insert(SUBJECT, [_subject_row(row["id"]) for row in chunk.created])
    _insert(MEMBER, chunk.created)
    trail += [_trail_row(row["id"], "created", "", run) for row in chunk.created]
    for account, person_id in chunk.attached:
        taken = update(ACCOUNT).where(ACCOUNT.c.id == account)
        db.session.execute(taken.values(member_id=person_id, email=None, email_key=None))
    given = _still_unanswered(chunk, erased, run)
    silenced = [row["id"] for row in chunk.created if row["id"] in chunk.silenced]
    _insert(TRAIL, trail)  # from it, `notices` knows who came only now
    versions = notices.versions_for({*(answer.person for answer in given), *silenced}, run.notices)
    answers = [_choice_row(answer, versions, run) for answer in given]
    run.lines += [answer.line for answer in given if answer.line]
    _insert(CHOICE, answers + [_silence_row(person, versions, run) for person in silenced])
    for act, carried in ((CHANGED, chunk.carried), (ANSWERED, chunk.carried_answers)):
        for person_id, name in carried:
            waiting = update(Trail).where(
                Trail.subject_id == person_id, Trail.act == act, Trail.field == name, Trail.carried_at.is_(None)
            )
            db.session.execute(waiting.values(carried_at=run.now), execution_options=_UNSYNCED)
    _write_conflicts(chunk, run)
    for person_id, email in chunk.proposals:
        if person_id not in erased:
            member = db.session.get_one(Member, person_id, populate_existing=True)
            members.propose_email(member, email, now=run.now)
    renewed = [
        person.id for person, changes in changed
        if reviews.membership_stands(person.stored, changes, today=run.today)
    ]  # fmt: skip
    if renewed:
        reviews.end_many(renewed, scope=reviews.MEMBERSHIP, now=run.now)
    for scope, ids in _ended(chunk, changed, given, run).items():
        reviews.open_many(ids, scope=scope, via=run.door, now=run.now)


def _ended(
    chunk: Chunk, changed: list[tuple[Person, dict[str, Any]]], given: list[Answer], run: Run
) -> dict[str, list[UUID]]:
    """Whose membership these changes end, and who takes a consent back by these answers, under what ended (P28)."""
    ended = {
        reviews.MEMBERSHIP: [
            person.id
            for person, changes in changed
            if reviews.membership_ended(person.stored, changes, today=run.today)
        ]
    }
    for answer in given:
        person = chunk.people.get(answer.person)
        before = person.answers.get(answer.code) if person and answer.event_id is None else None
        purpose = reviews.withdrawn(answer.code, before=before, after=answer.value)
        if purpose is not None:
            ended.setdefault(purpose, []).append(answer.person)
    return {scope: ids for scope, ids in ended.items() if ids}


_UNSYNCED: dict[str, Any] = {"synchronize_session": False}


def _insert(table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        db.session.execute(insert(table), rows)


def _still_as_read(chunk: Chunk, run: Run) -> list[tuple[Person, dict[str, Any]]]:
    """The changes whose record nobody has saved since it was read; the others are held back. Locks what remains."""
    ids = [change.person.id for change in chunk.changed]
    query = select(MEMBER.c.id, MEMBER.c.version).where(MEMBER.c.id.in_(ids)).order_by(MEMBER.c.id).with_for_update()
    versions = {row.id: row.version for row in db.session.execute(query)} if ids else {}
    kept = []
    for change in chunk.changed:
        if versions.get(change.person.id) == change.person.stored["version"]:
            kept.append((change.person, change.changes))
        else:
            run.counts["updated"] -= change.alone
            run.counts["held_back"] -= change.held
            run.hold(change.line, [SAVED_MEANWHILE])
    return kept


def _take_turns(chunk: Chunk) -> set[UUID]:
    """Wait for an answer or an erasure under way of these people, and keep later ones behind us; who is erased by now.

    Before any other lock, as every verb of theirs does: the person first, then the record.
    """
    created = {row["id"] for row in chunk.created}
    people = {answer.person for answer in chunk.answers} | {person for person, _ in chunk.proposals}
    locked = select(SUBJECT.c.id, SUBJECT.c.erased_at).where(SUBJECT.c.id.in_(people - created)).order_by(SUBJECT.c.id)
    rows = db.session.execute(locked.with_for_update()).all() if people - created else []
    return {row.id for row in rows if row.erased_at is not None}


def _still_unanswered(chunk: Chunk, erased: set[UUID], run: Run) -> list[Answer]:
    """The answers, less those that the person gave anew since they were read: theirs stand. None of the erased."""
    created = {row["id"] for row in chunk.created}
    ids = sorted({answer.person for answer in chunk.answers if answer.person not in created})
    if not ids:
        return chunk.answers
    question = CHOICE.c.subject_id, CHOICE.c.code, CHOICE.c.event_id
    query = select(*question, func.max(CHOICE.c.id)).where(CHOICE.c.subject_id.in_(ids)).group_by(*question)
    newest = {(person, code, event_id): row for person, code, event_id, row in db.session.execute(query)}
    asked = ((answer, (answer.person, answer.code, answer.event_id)) for answer in chunk.answers)
    same = [answer for answer, key in asked if newest.get(key) == chunk.newest.get(key)]
    kept = [answer for answer in same if answer.person not in erased]
    run.why_held[SAVED_MEANWHILE] += len(chunk.answers) - len(kept)
    return kept


def _write_conflicts(chunk: Chunk, run: Run) -> None:
    """One row a person and field: a file that says the same again only renews its day."""
    fresh, again, other = [], [], []
    for (person, name), brought in chunk.contradicted.items():
        ident, before = chunk.people[person].conflicts.get(name, (0, ""))
        if not ident:
            new = {"member_id": person, "field": name, "brought": brought, "at": run.now, "seen_at": run.now}
            fresh.append(new)
        elif before == brought:
            again.append({"row": ident, "seen": run.now})
        else:
            other.append({"row": ident, "seen": run.now, "said": brought})
    over = [chunk.people[person].conflicts[name][0] for person, name in chunk.agreed]
    _insert(CONFLICT, fresh)
    this = update(CONFLICT).where(CONFLICT.c.id == bindparam("row"))
    if again:
        db.session.execute(this.values(seen_at=bindparam("seen")), again)
    if other:
        said = this.values(seen_at=bindparam("seen"), brought=bindparam("said"), at=bindparam("seen"), kept_at=None)
        db.session.execute(said, other)
    if over:
        db.session.execute(delete(CONFLICT).where(CONFLICT.c.id.in_(over)))


def _write_changes(changed: list[tuple[Person, dict[str, Any]]], run: Run) -> None:
    moved = [(person, changes) for person, changes in changed if "email_key" in changes]
    rest = [(person, changes) for person, changes in changed if "email_key" not in changes]
    for person, changes in moved:
        db.session.execute(_update_of(changes), [_bound(person, changes)])
        members.remember_former(person.id, person.stored["email_key"], after=changes["email_key"], now=run.now)
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


def _trail_row(person: UUID, act: str, name: str, run: Run) -> dict[str, Any]:
    return {"subject_id": person, "act": act, "field": name, "door": run.door, "at": run.now, "carried_at": run.now}


@lru_cache(maxsize=100)
def _wording(code: str, value: str, door: Door) -> str:
    choice = CHOICES[code]
    option = choice.option(value)
    column = code if code in CHOICE_COLUMNS else "topics_off"
    return f"{BROUGHT_BY[door]} said, under {column}: {choice.question} {option.label}: {option.meaning}"


def _choice_row(answer: Answer, versions: dict[UUID, int | None], run: Run) -> dict[str, Any]:
    return {
        "subject_id": answer.person,
        "code": answer.code,
        "event_id": answer.event_id,
        "value": answer.value,
        "at": run.now,
        "door": run.door,
        "wording": _wording(answer.code, answer.value, run.door),
        "notice_version": versions[answer.person],
        "journal_id": answer.line.id if answer.line else None,
    }


def _silence_row(person: UUID, versions: dict[UUID, int | None], run: Run) -> dict[str, Any]:
    choice = CHOICES[SUPPRESS]
    option = choice.option("yes")
    wording = f"{STAYS_SILENT.format(BROUGHT_BY[run.door])} {choice.question} {option.label}: {option.meaning}"
    door = Door.IMPORT if run.door is Door.IMPORT else Door.SYSTEM  # whoever registered has not asked for it
    row = _choice_row(Answer(person, SUPPRESS, option.value), versions, run)
    return row | {"wording": wording, "door": door}
