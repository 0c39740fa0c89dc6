"""One map, read: what an erasure does to a person's rows, done as the notes say, and checked afterwards.

For `domain/erasures` and the commands. Statements work on sets of rows, the tables that refer to others first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from string import ascii_lowercase, ascii_uppercase
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    Select,
    String,
    Table,
    Text,
    Uuid,
    and_,
    cast,
    column,
    delete,
    exists,
    false,
    func,
    insert,
    inspect,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import table as table_clause
from sqlalchemy.types import TypeEngine

from portal.clock import society_date
from portal.datamap import inventory
from portal.datamap.inventory import Entry, Fate, fate
from portal.datamap.rows import Person, belongs, may_be_told, others_now, owned_tables, person
from portal.extensions import Base, db
from portal.models import Disclosure, EmailChange, FormerAddress, Member, Message, Subject, Suppression
from portal.models.disclosure import AUTHORITY
from portal.models.message import FAREWELL, MailKind, MailState
from portal.purposes import HOLDINGS, PURPOSES, RECEIVERS
from portal.tokens import canonical_address, number_to_hash, suppression_hash, suppression_hashes
from portal.vocabulary import Erase, Internal, Keep, Kind, Owner, Personal

LOOK_AGAIN = timedelta(days=365)  # a review looks again at what another purpose still needs


class Action(StrEnum):
    """What becomes of something in an erasure."""

    DELETED = "deleted"
    DETACHED = "detached"
    KEPT = "kept"


@dataclass(frozen=True)
class Line:
    """One line of a plan and of a certificate: in numbers, never a value. What is kept has a reason and an end."""

    what: str
    action: Action
    rows: int
    reason: str = ""
    until_on: date | None = None


@dataclass(frozen=True)
class Plan:
    """What an erasure would do here now, and which holdings outside would be asked (codes of HOLDINGS)."""

    lines: tuple[Line, ...]
    holdings: tuple[str, ...]


# The plan -------------------------------------------------------------------------------------------------


def plan(subject_id: UUID, *, now: datetime, ended: frozenset[str] = frozenset()) -> Plan:
    """What `carry_out` would do at this moment. Counts and reads, nothing else.

    `ended`: only what no purpose but these needs, field by field (GDPR Art. 5(1)(e)); what another purpose needs is
    named as kept.
    """
    who = person(subject_id)
    if ended:
        return Plan(tuple(_review_lines(who, ended, now)), holdings(subject_id, ended=ended, now=now))
    whole = _whole(who)
    silent = _silent(whole)
    counts, acts = _Counts(), _acts(whole, now)
    for act, rows in zip(acts, _count_all(acts), strict=True):
        counts.add(act, len(silent) if act.table is _SUPPRESSION else rows, now)
    return Plan(counts.lines(), holdings(subject_id, now=now))


def carry_out(who: Person, *, now: datetime) -> tuple[Line, ...]:
    """Erase everything that the notes do not keep; what was done. Doing it again does no more.

    In the caller's transaction, on a person whose turn it has taken. `who` must have been read before: afterwards
    the database no longer knows the addresses.
    """
    db.session.flush()
    whole = _whole(who)
    db.session.execute(
        update(Subject).where(Subject.id == who.id, Subject.erased_at.is_(None)).values(erased_at=now),
        execution_options=_UNSYNCED,
    )
    silence(identifying_hashes(whole), now=now)
    counts = _Counts()
    for act in _acts(whole, now):
        counts.add(act, _do(act), now)
    db.session.expire_all()
    return counts.lines()


def carry_out_ended(who: Person, ended: frozenset[str], *, now: datetime) -> tuple[Line, ...]:
    """Empty what only these purposes needed; the record itself stays. The lines of `plan(…, ended=…)`."""
    db.session.flush()
    lines = tuple(_review_lines(who, ended, now))
    for table, columns in _ended(ended):
        values: dict[Any, Any] = {entry.column: _empty(entry.column) for entry in columns}
        if table is _MEMBER:
            values[_MEMBER.c.version] = _MEMBER.c.version + 1
        if _goes_whole(table, ended):
            db.session.execute(delete(table).where(belongs(table, who)))
        else:
            db.session.execute(update(table).where(belongs(table, who), _filled(columns)).values(values))
    db.session.expire_all()
    return lines


def detach_late(subject_id: UUID) -> None:
    """Take an erased person's number out of rows that stay without it and were written in the moment of the erasure.

    As a look of staff, which a search afterwards would otherwise find for ever.
    """
    for table, _ in owned_tables(Base.metadata):
        if fate(table) is Fate.DETACHED:
            for act in _acts_on(table, belongs(table, Person(subject_id, (), ()))):
                _do(act)


def ended_fields(who: Person, ended: frozenset[str]) -> list[str]:
    """The names of the member's fields that `carry_out_ended` would empty, for the trail."""
    return [
        entry.column.name
        for table, columns in _ended(ended)
        for entry in columns
        if table is _MEMBER and _count(table, and_(belongs(table, who), _holds(entry.column)))
    ]


def identifying_hashes(who: Person) -> tuple[str, ...]:
    """The keyed hashes that keep a person silent once erased: every address and the member number, newest key.

    Of an address that was given up longer ago the hash that is known.
    """
    query = select(FormerAddress.keyed_hash).where(FormerAddress.subject_id == who.id).order_by(FormerAddress.id)
    given_up = db.session.scalars(query).all()
    addresses, others = _exclusive(replace(who, hashes=(*who.hashes, *given_up)))
    names = [*addresses, *map(number_to_hash, _numbers(who))]
    known = {hashed for each in addresses for hashed in suppression_hashes(each)}
    former = [each for each in given_up if each not in known | others]
    return tuple(dict.fromkeys([*map(suppression_hash, names), *former]))


def silence(hashes: Iterable[str], *, now: datetime) -> None:
    """Note keyed hashes as those of somebody erased; one that stands for another reason gets this one."""
    wanted = dict.fromkeys(hashes)
    standing = set(db.session.scalars(select(_SUPPRESSION.c.keyed_hash).where(_SUPPRESSION.c.keyed_hash.in_(wanted))))
    if standing:
        known = update(_SUPPRESSION).where(_SUPPRESSION.c.keyed_hash.in_(standing), ~_SUPPRESSION.c.reason.in_(STAYS))
        db.session.execute(known.values(reason=ERASED, at=now))
    fresh = [{"keyed_hash": hashed, "reason": ERASED, "at": now} for hashed in wanted if hashed not in standing]
    if fresh:
        db.session.execute(insert(_SUPPRESSION), fresh)


# How it is done -------------------------------------------------------------------------------------------

ERASED = "erased"
STAYS = (ERASED, "suspended")  # who was suspended stays so after the erasure
_UNSYNCED: dict[str, Any] = {"synchronize_session": False}


def _table(model: type[Any]) -> Table:
    made: Table = model.__table__
    return made


_MEMBER, _SUBJECT, _SUPPRESSION = _table(Member), _table(Subject), _table(Suppression)
_MESSAGE, _EMAIL_CHANGE = _table(Message), _table(EmailChange)


@dataclass(frozen=True)
class _Act:
    """One statement: these rows of a table are deleted (no values), changed, or only counted (kept)."""

    table: Table
    rows: ColumnElement[bool]
    action: Action
    kinds: tuple[Kind, ...]
    values: Mapping[Any, Any] | None = None
    keep: Keep | None = None


class _Counts:
    """Lines under way: rows added up by group, action, and the note that keeps them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Kind, Action, str, date | None], int] = defaultdict(int)

    def add(self, act: _Act, rows: int, now: datetime) -> None:
        reason, until = "", None
        if act.keep is not None:
            reason, until = act.keep.reason, society_date(now) + timedelta(days=act.keep.days)
        for kind in act.kinds:
            self._rows[kind, act.action, reason, until] += rows

    def lines(self) -> tuple[Line, ...]:
        """By group and action; what there is none of is left out."""
        order = [*Kind], [*Action]
        keys = sorted(self._rows, key=lambda key: (order[0].index(key[0]), order[1].index(key[1]), key[2]))
        return tuple(
            Line(kind.value, action, self._rows[kind, action, reason, until], reason, until)
            for kind, action, reason, until in keys
            if self._rows[kind, action, reason, until]
        )


def _acts(who: Person, now: datetime) -> list[_Act]:
    """Every statement of an erasure, children first. The notes decide; see `vocabulary.Erase`.

    What stays is only counted, and the person reads the number: rows that may not be told yet are not in it.
    """
    strays, today = _strays(who), society_date(now)
    return [
        replace(act, rows=and_(act.rows, may_be_told(table, today))) if act.action is Action.KEPT else act
        for table, _ in reversed(list(owned_tables(Base.metadata)))
        for act in _acts_on(table, or_(belongs(table, who), *strays.get(table, ())))
    ]


def _acts_on(table: Table, rows: ColumnElement[bool]) -> Iterator[_Act]:
    noted = inventory.noted(table)
    become = fate(table)
    if become is Fate.GOES:
        yield _Act(table, rows, Action.DELETED, _kinds(noted))
        return
    kept: dict[Keep, list[Entry]] = defaultdict(list)
    for entry in noted:
        if isinstance(entry.note.erase, Keep):
            kept[entry.note.erase].append(entry)
    for keep, entries in kept.items():  # counted first: what is emptied may be the column that leads to the person
        yield _Act(table, rows, Action.KEPT, _kinds(entries), keep=keep)
    emptied = [entry for entry in noted if entry.note.erase is Erase.DELETE]
    if emptied:
        values = {entry.column: _empty(entry.column) for entry in emptied}
        yield _Act(table, and_(rows, _filled(emptied)), Action.DELETED, _kinds(emptied), values)
    if become is Fate.DETACHED:
        column = inventory.owner_column(table)
        yield _Act(table, rows, Action.DETACHED, _kinds(noted), {column: None})


def _do(act: _Act) -> int:
    """How many rows: counted before, as a database does not count what goes with another row of the same table."""
    rows = _count(act.table, act.rows)
    if act.action is not Action.KEPT and rows:
        statement: Any = delete(act.table) if act.values is None else update(act.table).values(act.values)
        db.session.execute(statement.where(act.rows))
    return rows


def _count(table: Table, rows: ColumnElement[bool]) -> int:
    return db.session.execute(_rows_of(table, rows)).scalar_one()


def _count_all(acts: Iterable[_Act]) -> Sequence[int]:
    """The rows of each, in one question: a plan is made while somebody waits for the page."""
    return db.session.execute(select(*(_rows_of(act.table, act.rows).scalar_subquery() for act in acts))).one()


def _rows_of(table: Table, rows: ColumnElement[bool]) -> Select[int]:
    return select(func.count()).select_from(table).where(rows)


def _kinds(entries: Iterable[Entry]) -> tuple[Kind, ...]:
    """The groups of these columns. Keys and the numbers that refer to others count only where there is nothing else."""
    entries = list(entries)
    telling = [each for each in entries if not each.column.primary_key and not each.column.foreign_keys]
    return tuple(dict.fromkeys(each.note.kind for each in telling or entries))


def _empty(column: Column[Any]) -> str | None:
    return None if column.nullable else ""


def _filled(entries: Iterable[Entry]) -> ColumnElement[bool]:
    """SQL: at least one of these columns holds something."""
    return or_(*(_holds(entry.column) for entry in entries))


def _holds(column: Column[Any]) -> ColumnElement[bool]:
    if column.nullable:
        return column.is_not(None)
    return column != ""


def _strays(who: Person) -> dict[Table, list[ColumnElement[bool]]]:
    """Rows that hold an address of the person and are nobody's, or somebody else's who only typed it."""
    if not who.addresses:
        return {}
    typed = and_(_EMAIL_CHANGE.c.new_key.in_(who.addresses), _EMAIL_CHANGE.c.confirmed_at.is_(None))
    typists = db.session.execute(select(_EMAIL_CHANGE.c.member_id, _EMAIL_CHANGE.c.new_email).where(typed)).all()
    nobodys = _MESSAGE.c.subject_id.is_(None), _MESSAGE.c.to_address != literal_column("''")
    waiting = [
        row.id
        for row in db.session.execute(select(_MESSAGE.c.id, _MESSAGE.c.to_address).where(*nobodys))
        if canonical_address(row.to_address) in who.addresses
    ]
    sent: list[ColumnElement[bool]] = [_MESSAGE.c.id.in_(waiting)] if waiting else []
    if typists:
        written = {*who.addresses, *(row.new_email for row in typists)}
        about = _MESSAGE.c.subject_id.in_({row.member_id for row in typists})
        sent.append(and_(about, _MESSAGE.c.to_address.in_(written)))
    return {_MESSAGE: sent, _EMAIL_CHANGE: [typed]}


def _whole(who: Person) -> Person:
    """The person with the addresses that are theirs alone, and the hashes of those and of the member number."""
    addresses, others = _exclusive(who)
    names = [*addresses, *map(number_to_hash, _numbers(who))]
    known = [each for name in names for each in suppression_hashes(name)]
    hashes = dict.fromkeys([*known, *(each for each in who.hashes if each not in others)])
    return replace(who, addresses=addresses, hashes=tuple(hashes))


def _exclusive(who: Person) -> tuple[tuple[str, ...], set[str]]:
    """The addresses that nobody else has now, for silence for one of those would hit the wrong person; and the names
    that are left out."""
    others = others_now(who)
    return tuple(address for address in who.addresses if address not in others), others


def _numbers(who: Person) -> list[str]:
    query = select(Member.member_number).where(Member.id == who.id, Member.member_number.is_not(None))
    return [number for number in db.session.scalars(query) if number]


def _silent(whole: Person) -> set[str]:
    """The keyed hashes of the person that stand after an erasure."""
    standing = select(_SUPPRESSION.c.keyed_hash).where(_SUPPRESSION.c.keyed_hash.in_(whole.hashes))
    return {*db.session.scalars(standing), *identifying_hashes(whole)}


# A review -------------------------------------------------------------------------------------------------


def _review_lines(who: Person, ended: frozenset[str], now: datetime) -> Iterator[Line]:
    until = _until(who, now)
    for entry in inventory.entries(Base.metadata):
        needed = [name for name in entry.note.purposes if name not in ended]
        if len(needed) == len(entry.note.purposes) or entry.column.primary_key or entry.column.foreign_keys:
            continue
        rows = _count(entry.table, and_(belongs(entry.table, who), _holds(entry.column)))
        if not rows:
            continue
        if needed or entry.note.erase is not Erase.DELETE:
            words = ", ".join(f"“{PURPOSES[name].name}”" for name in needed) or "the record of what was asked"
            yield Line(entry.note.label, Action.KEPT, rows, f"still needed for {words}", until)
        else:
            yield Line(entry.note.label, Action.DELETED, rows)


def _until(who: Person, now: datetime) -> date:
    """When it is looked at again: the end of the membership, which opens the next review, or a year from now."""
    expires = db.session.scalars(select(Member.expires_on).where(Member.id == who.id)).first()
    today = society_date(now)
    return expires if expires is not None and expires > today else today + LOOK_AGAIN


def _ended(ended: frozenset[str]) -> Iterator[tuple[Table, list[Entry]]]:
    for table, _ in reversed(list(owned_tables(Base.metadata))):
        columns = [
            entry
            for entry in inventory.noted(table)
            if entry.note.erase is Erase.DELETE
            and ended.issuperset(entry.note.purposes)
            and not (entry.column.primary_key or entry.column.foreign_keys)
        ]
        if columns:
            yield table, columns


def _goes_whole(table: Table, ended: frozenset[str]) -> bool:
    return fate(table) is Fate.GOES and all(ended.issuperset(each.note.purposes) for each in inventory.noted(table))


def holdings(subject_id: UUID, *, now: datetime, ended: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Who outside is asked: all who can be, or those who hold something for the ended purposes only.

    Those on whose lists somebody stood are asked when the log names one for this person (GDPR Art. 19). The person
    reads it: so not for what they may not hear of yet, of which the recalls remind; nor for an authority (Art. 4(9)).
    """
    told = may_be_told(_table(Disclosure), society_date(now))
    named = exists().where(Disclosure.subject_id == subject_id, Disclosure.audience != AUTHORITY, told)
    listed = db.session.execute(select(named)).scalar_one()
    return tuple(
        code
        for code, holding in HOLDINGS.items()
        if holding.asked and (not ended or ended.issuperset(holding.purposes)) and (listed or code != RECEIVERS)
    )


# The proof ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Needles:
    """What tells a person from all others, read before the erasure.

    `texts`: addresses in every form and their keyed hashes under every key; `hashes`: those under which the person
    stays silent.
    """

    texts: tuple[str, ...]
    number: str = ""
    hashes: tuple[str, ...] = ()


def needles(who: Person) -> Needles:
    """What must be found nowhere afterwards. An address that somebody else has, or once had, tells nothing."""
    whole = _whole(who)
    others = _in_others_past(whole.addresses, whole.hashes, but=who.id)
    written = [
        *db.session.scalars(select(Member.email).where(Member.id == who.id)),
        *(
            address
            for row in db.session.execute(
                select(EmailChange.old_email, EmailChange.new_email).where(EmailChange.member_id == who.id)
            )
            for address in row
            if canonical_address(address) in whole.addresses
        ),
    ]
    written = [each for each in written if canonical_address(each) not in others]
    # The hashes under every key: they are as good as the address to whoever holds the keys.
    texts = dict.fromkeys(each for each in (*whole.addresses, *written, *whole.hashes) if each not in others)
    return Needles(tuple(texts), "".join(_numbers(who)), identifying_hashes(who))


def needles_left(subject_id: UUID, hashes: tuple[str, ...]) -> Needles:
    """The same after the erasure, as far as anything still tells: the farewell that waits, and the journal's hashes."""
    query = select(_MESSAGE.c.to_address).where(_MESSAGE.c.subject_id == subject_id, _MESSAGE.c.name == FAREWELL)
    last = [address for address in db.session.scalars(query.order_by(_MESSAGE.c.created_at)) if address]
    others = _in_others_past(map(canonical_address, last), hashes, but=subject_id)
    written = [each for each in last if canonical_address(each) not in others]
    texts = dict.fromkeys(
        [*map(canonical_address, written), *written, *(each for each in hashes if each not in others)]
    )
    return Needles(tuple(texts), hashes=hashes)


def _in_others_past(addresses: Iterable[str], hashes: Iterable[str], *, but: UUID) -> set[str]:
    """Those of these addresses and hashes that stand in what others had before, and so stay with them."""
    named = {address: suppression_hashes(address) for address in addresses}
    known = {hashed: address for address, listed in named.items() for hashed in listed}
    had = select(FormerAddress.keyed_hash).where(
        FormerAddress.keyed_hash.in_([*known, *hashes]), FormerAddress.subject_id != but
    )
    found = set(db.session.scalars(had))
    old = select(EmailChange.old_key).where(EmailChange.old_key.in_(named), EmailChange.member_id != but)
    new = select(EmailChange.new_key).where(
        EmailChange.new_key.in_(named), EmailChange.confirmed_at.is_not(None), EmailChange.member_id != but
    )
    theirs = {*db.session.scalars(old), *db.session.scalars(new), *(known[each] for each in found if each in known)}
    return found | theirs | {hashed for each in theirs for hashed in named[each]}


@dataclass(frozen=True)
class Mention:
    """Words in somebody else's row that name the person: which record, and where in it, as `table.column`."""

    record: UUID
    place: str


@dataclass(frozen=True)
class Found:
    """What a search finds: places (`table.column`) where something of the person is left, and words of others."""

    left: list[str]
    mentions: tuple[Mention, ...] = ()


def verify(looked_for: Needles, who: Person) -> Found:
    """What of an erased person is still found, in order; nothing when all is well.

    Read from the database's own catalogue, so that a table that the map forgot is read too: every column that leads
    to the person by foreign keys, and every text of every table. What the map keeps is allowed, the farewell that
    waits in the outbox, mail to staff, and what came in since the erasure. Read-only; it reads each table once.
    """
    catalogue = _read_catalogue()
    left = {name for table in catalogue.columns for name in _rows_left(catalogue, table, who)}
    mentions: set[Mention] = set()
    if looked_for.texts or looked_for.number:
        erased_at = db.session.scalars(select(Subject.erased_at).where(Subject.id == who.id)).one_or_none()
        for table in catalogue.columns:
            for record, place in _texts_left(catalogue, table, looked_for, who, erased_at):
                if record is None:
                    left.add(place)
                else:
                    mentions.add(Mention(record, place))
    return Found(sorted(left), tuple(sorted(mentions, key=lambda each: (each.record.hex, each.place))))


@dataclass(frozen=True)
class _Catalogue:
    """The database as it says itself: columns with their types, and which column refers to which."""

    columns: Mapping[str, Mapping[str, TypeEngine[Any]]]
    keys: Mapping[str, tuple[tuple[str, str, str], ...]]  # by table: column, table referred to, its column


def _read_catalogue() -> _Catalogue:
    inspector = inspect(db.session.connection())
    columns = {
        name: {each["name"]: each["type"] for each in listed}
        for (_, name), listed in inspector.get_multi_columns().items()
    }
    keys = {
        name: tuple(
            (column, key["referred_table"], referred)
            for key in listed
            for column, referred in zip(key["constrained_columns"], key["referred_columns"], strict=True)
        )
        for (_, name), listed in inspector.get_multi_foreign_keys().items()
    }
    return _Catalogue(columns, keys)


def _leading(catalogue: _Catalogue, name: str, who: Person, behind: tuple[str, ...] = ()) -> dict[str, Any]:
    """The columns of a table that lead to the person, each with the condition that it does."""
    if name == _SUBJECT.name:
        return {"id": column("id") == _number(who)}
    found: dict[str, list[Any]] = defaultdict(list)
    for own, other, referred in catalogue.keys.get(name, ()):
        if other in (name, *behind):
            continue
        if _is_number(catalogue, other, referred, (name, *behind)):
            found[own].append(column(own) == _number(who))
        elif further := _leading(catalogue, other, who, (name, *behind)):
            parent: Any = select(column(referred)).select_from(table_clause(other)).where(or_(*further.values()))
            found[own].append(column(own).in_(parent))
    return {own: or_(*conditions) for own, conditions in found.items()}


def _is_number(catalogue: _Catalogue, name: str, own: str, behind: tuple[str, ...]) -> bool:
    """Whether the column holds the person's random number itself, as a key of a key."""
    if (name, own) == (_SUBJECT.name, "id"):
        return True
    return any(
        _is_number(catalogue, other, referred, (name, *behind))
        for column_, other, referred in catalogue.keys.get(name, ())
        if column_ == own and other not in (name, *behind)
    )


def _number(who: Person) -> ColumnElement[UUID]:
    return literal(who.id, _SUBJECT.c.id.type)


def _rows_left(catalogue: _Catalogue, name: str, who: Person) -> Iterator[str]:
    """Columns that lead to the person in rows that should have gone, and what should have been emptied in the rest."""
    for own, leads in _leading(catalogue, name, who).items():
        if not _any(name, leads):
            continue
        if not _is_kept(name, own):
            yield f"{name}.{own}"
            continue
        for other, type_ in catalogue.columns[name].items():
            if _is_kept(name, other) or isinstance(_note(name, other), Internal):
                continue
            holds: Any = column(other).is_not(None)
            if isinstance(type_, String):
                holds = and_(holds, column(other) != "")
            if _any(name, and_(leads, holds)):
                yield f"{name}.{other}"


def _any(name: str, condition: ColumnElement[bool]) -> bool:
    query = select(literal(1)).select_from(table_clause(name)).where(condition, _but_farewell(name)).limit(1)
    return db.session.execute(query).first() is not None


def _texts_left(
    catalogue: _Catalogue, name: str, looked_for: Needles, who: Person, erased_at: datetime | None
) -> Iterator[tuple[UUID | None, str]]:
    """Where a text is, and whose record that is, if somebody else's.

    One pass: the database picks the rows that may hold something, the exact look is ours.
    """
    texts = [own for own, type_ in catalogue.columns[name].items() if not isinstance(type_, _NO_TEXTS)]
    if not texts:
        return
    leads = _leading(catalogue, name, who)
    hers = or_(false(), *leads.values())
    somebodys = or_(false(), *(column(own).is_not(None) for own in leads))
    cells = [func.coalesce(cast(column(own), Text), "") for own in texts]
    whole: ColumnElement[str] = cells[0]
    for cell in cells[1:]:
        whole = whole.concat("\n").concat(cell)
    hashes = [each for each in looked_for.texts if "@" not in each]  # nobody writes one into a sentence
    picked = [_contains(whole, each) for each in _alike(looked_for.texts) if "@" in each]
    picked += [cell.in_(hashes) for cell in cells if hashes]
    if looked_for.number:
        picked.append(and_(not_(somebodys), or_(*(cell == looked_for.number for cell in cells))))
    if not picked:
        return
    records = [cast(column(own), Text) for own in leads if _is_number(catalogue, name, own, ())]
    record = func.coalesce(*records, "") if records else literal("")
    query = (
        select(hers, somebodys, record, *cells)
        .select_from(table_clause(name))
        .where(or_(*picked), _but_farewell(name), or_(hers, _in_time(name, erased_at)))
    )
    for row in db.session.execute(query):
        is_hers, is_somebodys, values = bool(row[0]), bool(row[1]), row[3:]
        other = UUID(hex=row[2]) if row[2] and not is_hers else None
        for own, value in zip(texts, values, strict=True):
            if _is_kept(name, own) and (is_hers or _by_address(name)):
                continue
            numbered = value == looked_for.number != "" and not is_somebodys
            if _holds_one(value, looked_for.texts) or (numbered and not isinstance(_note(name, own), Internal)):
                yield other, f"{name}.{own}"


def _contains(whole: ColumnElement[str], part: str) -> ColumnElement[bool]:
    """SQL: whether the part stands in it, in whatever case. SQLite's LIKE asks for no case of a to z by itself."""
    escaped = re.sub(r"([/%_])", r"/\1", part)
    pattern = f"%{escaped}%"
    sqlite = db.session.connection().dialect.name == "sqlite"
    return whole.like(pattern, escape="/") if sqlite else whole.ilike(pattern, escape="/")


def _alike(texts: Iterable[str]) -> list[str]:
    """One of those that differ in the case of a to z only."""
    plain = str.maketrans(ascii_uppercase, ascii_lowercase)
    return list(dict.fromkeys(each.translate(plain) for each in texts))


_NO_TEXTS = (Numeric, Integer, Date, DateTime, Boolean, Uuid, LargeBinary)


def _holds_one(value: str, texts: tuple[str, ...]) -> bool:
    """Whether one of the texts stands in the value, not as a part of a longer address."""
    return any(
        re.search(rf"(?<![\w.+-]){re.escape(each)}(?![\w-]|\.\w)", value, re.IGNORECASE) is not None for each in texts
    )


def _but_farewell(name: str) -> ColumnElement[bool]:
    """SQL: neither the farewell that waits in the outbox, nor mail to staff, who may have the address themselves."""
    if name != _MESSAGE.name:
        return true()
    waits = and_(column("name") == FAREWELL, column("state").in_((MailState.QUEUED, MailState.CLAIMED)))
    return and_(not_(waits), column("kind") != MailKind.STAFF)


def _in_time(name: str, erased_at: datetime | None) -> ColumnElement[bool]:
    """SQL: a row from before the erasure, or of an unknown moment. What comes in later is not what was left."""
    known = Base.metadata.tables.get(name)
    declared = inventory.owner(known) if known is not None else None
    if erased_at is None or known is None or declared is None or not declared.at:
        return true()
    at: Any = column(declared.at, known.columns[declared.at].type)
    return or_(at.is_(None), at < erased_at)


def _note(name: str, own: str) -> object:
    known = Base.metadata.tables.get(name)
    return known.columns[own].info.get("note") if known is not None and own in known.columns else None


def _is_kept(name: str, own: str) -> bool:
    note = _note(name, own)
    return isinstance(note, Personal) and isinstance(note.erase, Keep)


def _by_address(name: str) -> bool:
    known = Base.metadata.tables.get(name)
    declared = inventory.owner(known) if known is not None else None
    return declared is not None and declared.how is Owner.ADDRESS
