"""One map, read: what is held about one person, each value with why, from where, who received it and until when (P26).

For the pages, the download and the commands. Everything follows from the notes on the columns: a new table shows by
itself. Each query asks for one person's rows by an index, so nobody else's number makes it slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    Table,
    Text,
    Uuid,
    and_,
    func,
    literal,
    select,
    tuple_,
)

from portal.clock import days_after, in_words, society_date
from portal.datamap.inventory import Entry, noted, owner
from portal.datamap.rows import Person, belongs, may_be_told, owned_tables, reader
from portal.extensions import Base, db
from portal.models import ChoiceRow, Disclosure, Member, Recognition, Registration, Subject, Trail
from portal.models.columns import UtcDateTime
from portal.purposes import PERIODS, PORTAL, PURPOSES, RECIPIENTS, Period
from portal.vocabulary import DOOR_WORDS, Edit, Erase, Keep, Kind, Owner

Value = str | int | bool | list[str] | None
Record = Mapping[str, Any]  # one row: its columns by name; of a secret one only whether there is something

NEVER_SHOWN = "held, never shown"
BEFORE = "the society's records, before this portal kept a trail"
NOBODY = f"nobody outside in the last {PERIODS['disclosures'].words}"  # the log goes back no further

CHOICE, DISCLOSURE, MEMBER, RECOGNITION, REGISTRATION, SUBJECT, TRAIL = (
    cast(Table, model.__table__) for model in (ChoiceRow, Disclosure, Member, Recognition, Registration, Subject, Trail)
)

# Where a row comes from that has no door of its own; a table that is not here comes from "this portal".
SOURCES: Final[Mapping[str, str]] = {
    "subject": "this portal, when your record was made",
    "account": "you, when your password was set",
    "sign_in": "this portal, when you signed in",
    "failed_sign_in": "this portal, when somebody tried to sign in with your address",
    "link_request": "typed into this portal, to get a link",
    "password_link": "this portal, when a link for your password was asked for",
    "message": "this portal, when it wrote the message",
    "bounce": "this portal, when a message came back",
    "suppression": "this portal, when mail to your address was stopped",
    "former_value": "you, when you saved your profile",
    "former_address": "this portal, when your address changed",
    "registration": "the society's list of registrations",
    "recognition": "the society's list of officers and volunteers",
    "disclosure": "this portal's log of what left the society",
    "request_step": "this portal, as your request went on",
    "request_task": "this portal, when others were asked",
    "erasure_line": "this portal, when it deleted",
    "list_step": "this portal, when you worked on a list at the desk",
    "import_conflict": "the society's membership records",
    "recovery_code": "this portal, when you set up the second step",
    "ask": "typed into this portal, to send a request",
    "suspension": "the society's staff",
}
# Where a value is changed that the profile form does not change.
CONTROLS: Final[Mapping[str, str]] = {
    "member.email": "/profile/email",
    "choice.value": "/choices",
    "account.password_hash": "/security",
    "sign_in.browser": "/security",
    "email_change.new_email": "/profile/email",
}
FOLLOWS: Final[Mapping[str, str]] = {"email_key": "email", "address_hash": "email"}  # made from another field
# Periods that speak of people who are erased, or of messages to them.
OF_THE_ERASED: Final = frozenset({"farewells", "detached-trail", "recognitions-of-the-erased"})
WITH_THE_RECORD: Final = "as long as your record"
WITH_THE_ADDRESS: Final = "as long as the address that it is made from"
AT_ONCE: Final = 500  # keys in one question


@dataclass(frozen=True)
class Item:
    """One thing held: one personal column of one row.

    `value`: as JSON takes it, moments and dates as ISO 8601; of a secret only that it is held, None where it is not.
    `row`: rows of one table are numbered from 1, the oldest first. `control`: the page where it is changed, or "".
    """

    name: str
    label: str
    kind: Kind
    value: Value
    purposes: tuple[str, ...]
    basis: str
    source: str
    stored: str
    until: str
    recipients: tuple[str, ...]
    row: int
    control: str


@dataclass(frozen=True)
class Facts:
    """What is known of a person's rows beside the rows themselves."""

    today: date
    changed: Mapping[str, tuple[str, datetime]]  # field of `member`, "" for the record's making: door and moment
    sources: frozenset[int]  # the rows of `trail` that say so
    received: Mapping[str, tuple[str, ...]]  # field of `member`: who received it, the oldest first
    listed: Mapping[int, tuple[str, ...]]  # event: who received a list of it, the oldest first
    standing: frozenset[int]  # the answers in `choice` that stand
    expires_on: date | None
    restricted_at: datetime | None
    things: Mapping[tuple[str, Any], Record]  # rows of tables that are nobody's, by table and key


@dataclass(frozen=True)
class Snapshot:
    """Everything held about one person at one moment, as plain rows by table, the oldest first."""

    who: Person
    now: datetime
    rows: Mapping[str, Sequence[Record]]
    facts: Facts


@dataclass(frozen=True)
class Listing:
    """Some rows of one table, the newest first, each as its items. `before`: the key of the next page, or ""."""

    table: Table
    rows: tuple[tuple[Item, ...], ...]
    before: str
    total: int


@dataclass(frozen=True)
class Glimpse:
    """What a first page shows: single rows as items, the newest rows of each list, and the numbers of the rest."""

    items: tuple[Item, ...]
    lists: tuple[Listing, ...]
    facts: Facts


# Everything -----------------------------------------------------------------------------------------------


def collect(subject_id: UUID, *, now: datetime) -> Snapshot:
    """Everything held about a person, in one short read of so many queries as there are tables.

    Texts of messages, hashes and other secrets are not read at all.
    """
    who = reader(subject_id)
    today = society_date(now)
    rows = {table.name: _read(table, _shown(table, who, today)) for table, _ in owned_tables(Base.metadata)}
    return Snapshot(who, now, rows, _facts(who, rows, now))


def items(snapshot: Snapshot, *, table: str | None = None) -> Iterator[Item]:
    """Each value in a snapshot with its six answers, one by one; of one table only if it is named.

    Tables come in the order in which they are declared, rows the oldest first, columns as they are declared.
    """
    parents = _by_key(snapshot.rows)
    for name in Base.metadata.tables:
        if name not in snapshot.rows or table not in (None, name):
            continue
        columns = noted(Base.metadata.tables[name])
        for number, row in enumerate(snapshot.rows[name], 1):
            yield from _row_items(columns, row, number, snapshot.facts, parents)


# Page by page ---------------------------------------------------------------------------------------------


def glimpse(subject_id: UUID, *, few: int, now: datetime) -> Glimpse:
    """The values of which there is one, and the newest `few` rows of every list, without reading the others.

    Rows that belong to a row of a list (the steps of a request) are counted and stand on their own page.
    """
    who = reader(subject_id)
    rows: dict[str, Sequence[Record]] = dict(_read_singles(who))
    today = society_date(now)
    totals = _count(who, today)
    for name, total in totals.items():
        table = Base.metadata.tables[name]
        rows[name] = _newest(table, who, few, today) if total and not _inner(table) else []
    facts = _facts(who, rows, now)
    parents = _by_key(rows)
    single = [name for name in Base.metadata.tables if name in rows and name not in totals]
    return Glimpse(
        tuple(
            item
            for name in single
            for number, row in enumerate(rows[name], 1)
            for item in _row_items(noted(Base.metadata.tables[name]), row, number, facts, parents)
        ),
        tuple(
            _listing(Base.metadata.tables[name], rows[name], totals[name], totals[name], facts, parents)
            for name in totals
        ),
        facts,
    )


def listings(subject_id: UUID, tables: Sequence[str], *, limit: int, now: datetime, before: str = "") -> list[Listing]:
    """A page of each of some lists, the newest first. `before`: as a list's page before gave it, to go on in it.

    Raises KeyError for a table that is no list of a person's rows, ValueError for a key that cannot be.
    """
    who = reader(subject_id)
    today = society_date(now)
    known = {table.name: table for table in lists()}
    rows: dict[str, Sequence[Record]] = {}
    counted: dict[str, tuple[int, int]] = {}
    for table in (known[name] for name in tables):
        begin = _key_from_text(table, before) if before else None
        mine = _shown(table, who, today)
        left = func.count() if begin is None else func.count().filter(begin)
        total, rest = db.session.execute(select(func.count(), left).select_from(table).where(mine)).one()
        counted[table.name] = total, rest
        rows[table.name] = _newest(table, who, limit, today, begin) if rest else []
    parents: dict[str, Sequence[Record]] = {}
    for table in (known[name] for name in tables if rows[name]):
        for key in table.foreign_keys:
            if key.column.table in _parents(table) and not _is_single(key.column.table):
                wanted = {row[key.parent.name] for row in rows[table.name]}
                parents[key.column.table.name] = _read_keys(key.column.table, key.column, wanted)
    facts, by_key = _facts(who, rows, now), _by_key({**rows, **parents})
    return [_listing(known[name], rows[name], *counted[name], facts, by_key) for name in tables]


@lru_cache(maxsize=1)
def lists() -> Mapping[Table, Kind]:
    """The tables of which a person may have many rows, with the group in which they stand."""
    found: dict[Table, Kind] = {}
    for table in Base.metadata.tables.values():
        declared = owner(table)
        if declared is None or declared.how is Owner.NOBODY or _is_single(table):
            continue
        columns = noted(table)
        telling = next((each for each in columns if each.column.name != declared.column), columns[0])
        found[table] = telling.note.kind
    return found


def is_inner(listed: Listing) -> bool:
    """Whether these are rows of rows, as the steps of a request."""
    return _inner(listed.table)


# Reading --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _rows_of(table: Table) -> Select[Any]:
    """Every row of a table, to be narrowed down: built once, as building costs more than asking."""
    return select(*_columns(table))


def _columns(table: Table) -> list[ColumnElement[Any]]:
    """What is read of a row: of a secret only whether there is one."""
    secret = {entry.column.name for entry in noted(table) if entry.note.secret}
    return [_is_there(each).label(each.name) if each.name in secret else each for each in table.columns]


def _is_there(column: Column[Any]) -> ColumnElement[Any]:
    there: ColumnElement[Any] = column.is_not(None)
    return and_(there, column != "") if isinstance(column.type, String) else there


def _order(table: Table) -> list[Column[Any]]:
    """What brings a person's rows of a table into their order, the oldest first, and tells each from the others."""
    declared = owner(table)
    assert declared is not None
    key = [each for each in table.primary_key.columns if each.name != declared.column or len(table.primary_key) == 1]
    numbered = len(key) == 1 and isinstance(key[0].type, Integer)
    moment = table.columns[declared.at] if declared.at else None
    return key if numbered or moment is None or moment.nullable else [moment, *key]


def _read(table: Table, where: ColumnElement[bool]) -> Sequence[Record]:
    query = _rows_of(table).where(where).order_by(*_order(table))
    return [dict(row) for row in db.session.execute(query).mappings()]


def _newest(
    table: Table, who: Person, limit: int, today: date, begin: ColumnElement[bool] | None = None
) -> Sequence[Record]:
    query = _rows_of(table).where(_shown(table, who, today))
    if begin is not None:
        query = query.where(begin)
    query = query.order_by(*(each.desc() for each in _order(table))).limit(limit)
    return cast(Sequence[Record], db.session.execute(query).mappings().all())


def _read_keys(table: Table, key: Column[Any], wanted: Iterable[Any]) -> list[Record]:
    """Rows by their key, without long texts where the table is nobody's."""
    keys = sorted({each for each in wanted if each is not None})
    nobodys = cast(Any, owner(table)).how is Owner.NOBODY
    columns = [
        each for each in _columns(table) if not (nobodys and isinstance(each, Column) and isinstance(each.type, Text))
    ]
    return [
        cast(Record, row)
        for begin in range(0, len(keys), AT_ONCE)
        for row in db.session.execute(select(*columns).where(key.in_(keys[begin : begin + AT_ONCE]))).mappings()
    ]


@lru_cache(maxsize=1024)
def _is_single(table: Table) -> bool:
    """Whether a person has one row of this table at most: the owner's column is unique."""
    declared = owner(table)
    if declared is None or declared.how is not Owner.SUBJECT:
        return False
    column = table.columns[declared.column]
    return bool(column.unique) or list(table.primary_key.columns) == [column]


@lru_cache(maxsize=1)
def _singles() -> tuple[tuple[Table, ...], Select[Any]]:
    """The tables of one row at most, and the query for all of them."""
    others = [each for each, _ in owned_tables(Base.metadata) if _is_single(each) and each is not SUBJECT]
    source: Any = SUBJECT
    for table in others:
        source = source.outerjoin(table, table.columns[cast(Any, owner(table)).column] == SUBJECT.c.id)
    tables = (SUBJECT, *others)
    labelled = [
        column.label(f"{table.name}.{column.name}" if isinstance(column, Column) else f"{table.name}.{column.key}")
        for table in tables
        for column in _columns(table)
    ]
    return tables, select(*labelled).select_from(source)


def _read_singles(who: Person) -> Iterator[tuple[str, Sequence[Record]]]:
    """The tables of one row at most, in one query."""
    tables, query = _singles()
    found = db.session.execute(query.where(SUBJECT.c.id == who.id)).mappings().first()
    for table in tables:
        row = {each.name: found[f"{table.name}.{each.name}"] for each in table.columns} if found else {}
        keys = [each.name for each in table.primary_key.columns]
        yield table.name, [row] if row and all(row[key] is not None for key in keys) else []


def _shown(table: Table, who: Person, today: date) -> ColumnElement[bool]:
    """SQL: a person's rows, without those of which a law forbids to tell before a later day."""
    return and_(belongs(table, who), may_be_told(table, today))


def _count(who: Person, today: date) -> dict[str, int]:
    """How many rows each list has, in one query."""
    numbers = (
        select(func.count()).select_from(each).where(_shown(each, who, today)).scalar_subquery() for each in lists()
    )
    counted = db.session.execute(select(*numbers)).one()
    return dict(zip((each.name for each in lists()), counted, strict=True))


def _inner(table: Table) -> bool:
    return any(not _is_single(parent) for parent in _parents(table))


def _parents(table: Table) -> list[Table]:
    """The table through which a table finds its person, where it does so."""
    declared = owner(table)
    if declared is None or declared.how is not Owner.THROUGH:
        return []
    return [key.column.table for key in table.columns[declared.column].foreign_keys]


def _key_text(table: Table, row: Record) -> str:
    parts = (row[each.name] for each in _order(table))
    return "_".join(each.isoformat() if isinstance(each, date) else str(each) for each in parts)


def _key_from_text(table: Table, text: str) -> ColumnElement[bool]:
    """SQL: the rows that come before the one with this key."""
    order, parts = _order(table), text.split("_")
    if len(parts) != len(order):
        raise ValueError(text)
    key = tuple_(*(literal(_part(each, part), each.type) for each, part in zip(order, parts, strict=True)))
    return tuple_(*order) < key


def _part(column: Column[Any], text: str) -> Any:
    match column.type:
        case Integer():
            number = int(text)
            if not 0 <= number < 2**31:
                raise ValueError(text)
            return number
        case UtcDateTime():
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError(text)
            try:
                return moment.astimezone(UTC)
            except OverflowError:  # before the first day of the calendar, or after its last
                raise ValueError(text) from None
        case Uuid():
            return UUID(text)
        case Date():
            return date.fromisoformat(text)
    return text


# Facts ----------------------------------------------------------------------------------------------------


def _facts(who: Person, rows: Mapping[str, Sequence[Record]], now: datetime) -> Facts:
    """What the trail, the disclosure log and the choices say, and the things that these rows refer to."""
    members = rows.get("member") or [{}]
    subjects = rows.get("subject") or [{}]
    changed, sources = _changed(who) if members[0] or rows.get("trail") else ({}, frozenset())
    received, listed = _received(who, society_date(now)) if members[0] or rows.get("registration") else ({}, {})
    return Facts(
        society_date(now),
        changed,
        sources,
        received,
        listed,
        _standing(who) if rows.get("choice") else frozenset(),
        members[0].get("expires_on"),
        subjects[0].get("restricted_at"),
        _things(rows),
    )


def _changed(who: Person) -> tuple[Mapping[str, tuple[str, datetime]], frozenset[int]]:
    newest = (
        select(func.max(TRAIL.c.id))
        .where(TRAIL.c.subject_id == who.id, TRAIL.c.act.in_(("changed", "created")))
        .group_by(TRAIL.c.act, TRAIL.c.field)
    )
    found = db.session.execute(
        select(TRAIL.c.id, TRAIL.c.act, TRAIL.c.field, TRAIL.c.door, TRAIL.c.at).where(TRAIL.c.id.in_(newest))
    ).all()
    changed = {
        field if act == "changed" else "": (door, at) for _, act, field, door, at in found if field or act == "created"
    }
    return changed, frozenset(row.id for row in found)


def _received(who: Person, today: date) -> tuple[Mapping[str, tuple[str, ...]], Mapping[int, tuple[str, ...]]]:
    """Who received each field of the record, and who learned that the person is registered for an event."""
    log = DISCLOSURE.c
    found: dict[str, list[str]] = {}
    listed: dict[int, list[str]] = {}
    query = select(log.recipient, log.list_number, log.at, log.fields, log.event_id)
    for recipient, number, at, fields, event_id in db.session.execute(
        query.where(_shown(DISCLOSURE, who, today)).order_by(log.id)
    ):
        words = f"{recipient}{f' (list {number})' if number else ''}, {in_words(at)}"
        for field in dict.fromkeys(fields.split()):
            found.setdefault(field, []).append(words)
        if event_id is not None:
            listed.setdefault(event_id, []).append(words)
    return (
        {field: tuple(words) for field, words in found.items()},
        {event_id: tuple(words) for event_id, words in listed.items()},
    )


def _standing(who: Person) -> frozenset[int]:
    newest = (
        select(func.max(CHOICE.c.id)).where(CHOICE.c.subject_id == who.id).group_by(CHOICE.c.code, CHOICE.c.event_id)
    )
    return frozenset(db.session.scalars(newest))


def _things(rows: Mapping[str, Sequence[Record]]) -> Mapping[tuple[str, Any], Record]:
    """The rows of tables that are nobody's to which these rows refer, where such a table has a name for them."""
    wanted: dict[Column[Any], set[Any]] = {}
    for name, found in rows.items():
        for key in Base.metadata.tables[name].foreign_keys if found else ():
            declared = owner(key.column.table)
            if declared is not None and declared.how is Owner.NOBODY and "name" in key.column.table.columns:
                wanted.setdefault(key.column, set()).update(row[key.parent.name] for row in found)
    return {
        (column.table.name, row[column.name]): row
        for column, keys in wanted.items()
        for row in _read_keys(column.table, column, keys)
    }


Parents = Mapping[tuple[str, Any], Record]


def _by_key(rows: Mapping[str, Sequence[Record]]) -> Parents:
    """Rows of tables through which others find their person, by table and key."""
    keys = {
        key.column
        for name in rows
        for key in Base.metadata.tables[name].foreign_keys
        if key.column.table in _parents(Base.metadata.tables[name])
    }
    return {(key.table.name, row[key.name]): row for key in keys for row in rows.get(key.table.name, ())}


# Items ----------------------------------------------------------------------------------------------------


def _listing(table: Table, rows: Sequence[Record], total: int, left: int, facts: Facts, parents: Parents) -> Listing:
    columns = noted(table)
    return Listing(
        table,
        tuple(tuple(_row_items(columns, row, left - nth, facts, parents)) for nth, row in enumerate(rows)),
        _key_text(table, rows[-1]) if rows and left > len(rows) else "",
        total,
    )


def _row_items(columns: Sequence[Entry], row: Record, number: int, facts: Facts, parents: Parents) -> Iterator[Item]:
    table = columns[0].table
    by_value = table in (MEMBER, SUBJECT)
    source, stored = "" if by_value else _source(columns[0], row, facts), _stored(row)
    untils: dict[object, str] = {}  # by what an end depends on within a row
    for entry in columns:
        note = entry.note
        alone = entry.column.name in _cleared(table) or (table is MEMBER and entry.column.name in FOLLOWS)
        what = entry.column.name if alone else (note.purposes, note.erase)
        if what not in untils:
            untils[what] = _until(entry, row, facts, parents)
        yield Item(
            name=entry.name,
            label=note.label,
            kind=note.kind,
            value=_value(entry, row, facts),
            purposes=note.purposes,
            basis=basis(note.purposes),
            source=_source(entry, row, facts) if by_value else source,
            stored=stored,
            until=untils[what],
            recipients=_recipients(entry, row, facts),
            row=number,
            control=_control(entry, row),
        )


def _value(entry: Entry, row: Record, facts: Facts) -> Value:
    value = row[entry.column.name]
    if entry.note.secret:
        return NEVER_SHOWN if value else None
    for key in entry.column.foreign_keys:
        thing = facts.things.get((key.column.table.name, value))
        if thing is not None:
            return cast(str, thing["name"])
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


@lru_cache(maxsize=1024)
def basis(purposes: tuple[str, ...]) -> str:
    """The legal bases of some purposes, each once (P23)."""
    return "; ".join(dict.fromkeys(PURPOSES[code].basis.value for code in purposes))


def _source(entry: Entry, row: Record, facts: Facts) -> str:
    if entry.table is MEMBER:
        field = FOLLOWS.get(entry.column.name, entry.column.name)
        fact = facts.changed.get(field) or facts.changed.get("")
        return f"{DOOR_WORDS.get(cast(Any, fact[0]), fact[0])}, {in_words(fact[1])}" if fact else BEFORE
    declared = owner(entry.table)
    assert declared is not None
    at = row[declared.at] if declared.at else None
    door = row.get("door")
    words = DOOR_WORDS.get(door, door) if door else SOURCES.get(entry.table.name, "this portal")
    if entry.table is SUBJECT:
        value = row[entry.column.name]
        if isinstance(value, datetime):
            return f"this portal, {in_words(value)}"
        at = facts.changed[""][1] if "" in facts.changed else None
    return f"{words}, {in_words(at)}" if at else str(words)


def _recipients(entry: Entry, row: Record, facts: Facts) -> tuple[str, ...]:
    if entry.table is REGISTRATION:
        return facts.listed.get(row["event_id"], ())
    if entry.table is RECOGNITION:
        return (f"{RECIPIENTS['readers'].name}, as long as it is published",)
    if entry.table is not MEMBER:
        return ()
    return facts.received.get("email" if entry.column.name == "email_key" else entry.column.name, ())  # the same text


def _stored(row: Record) -> str:
    return f"{PORTAL}; also the journal of opt-outs beside it" if row.get("journal_id") else PORTAL


def _control(entry: Entry, row: Record) -> str:
    if entry.note.edit is Edit.MEMBER:
        return f"/profile/edit#{entry.column.name}"
    if entry.table is CHOICE and entry.column.name == "value" and row["event_id"] is not None:
        return "/events"
    return CONTROLS.get(entry.name, "")


# How long -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _periods(table: Table) -> tuple[Period, ...]:
    """The periods of the living that speak of a table."""
    return tuple(
        period
        for code, period in PERIODS.items()
        if period.table == table.name and code not in OF_THE_ERASED and not period.after.startswith("subject.")
    )


@lru_cache(maxsize=1024)
def _cleared(table: Table) -> frozenset[str]:
    """The columns of a table that are emptied before the row goes."""
    return frozenset(name for period in _periods(table) for name in period.clears)


def _until(entry: Entry, row: Record, facts: Facts, parents: Parents) -> str:
    if entry.table is MEMBER:
        follows = entry.column.name in FOLLOWS
        return WITH_THE_ADDRESS if follows else _retention(entry.note.purposes, facts.expires_on, facts.today)
    table = None if entry.table is SUBJECT else _timed(entry.table)
    if table is None:
        return _with_the_record(entry.note.erase)
    if table is not entry.table:
        column = cast(Any, owner(entry.table)).column
        parent = parents.get((table.name, row[column]))
        return _end(_going(table), table, parent, facts)
    for period in _periods(table):
        if entry.column.name in period.clears and row[entry.column.name] and _speaks(period, row):
            return _end(period, table, row, facts)
    if (table is CHOICE and row["id"] in facts.standing) or (table is TRAIL and row["id"] in facts.sources):
        return _going(table).words
    return _end(_going(table), table, row, facts)


def _with_the_record(erase: Erase | Keep) -> str:
    """The end of what has no period of its own; what outlives an erasure says why, and how long."""
    if not isinstance(erase, Keep):
        return WITH_THE_RECORD
    return f"{WITH_THE_RECORD}; after a deletion {erase.days // 365} years more: {erase.reason}"


def _speaks(period: Period, row: Record) -> bool:
    return not period.states or row["state"] in period.states


@lru_cache(maxsize=1024)
def _timed(table: Table) -> Table | None:
    """The table whose period ends a table's rows: its own, or that of the rows through which they are somebody's."""
    if any(not period.clears for period in _periods(table)):
        return table
    for parent in _parents(table):
        return None if _is_single(parent) else _timed(parent)
    return None


@lru_cache(maxsize=1024)
def _going(table: Table) -> Period:
    return next(period for period in _periods(table) if not period.clears)


def _end(period: Period, table: Table, row: Record | None, facts: Facts) -> str:
    """The day on which a period ends, ISO 8601; its words while the moment that it counts from is not known."""
    other, _, column = period.after.rpartition(".")
    if row is not None and other:
        (key,) = (each for each in table.foreign_keys if each.column.table.name == other)
        row = facts.things.get((other, row[key.parent.name]))
    start = row[column] if row is not None else None
    if start is None:
        return period.words
    end = days_after(start, period.days)
    return (society_date(end) if isinstance(end, datetime) else cast(date, end)).isoformat()


@lru_cache(maxsize=1024)
def _retention(purposes: tuple[str, ...], expires_on: date | None, today: date) -> str:
    lasting = PURPOSES["membership"].retention
    words = dict.fromkeys(PURPOSES[code].retention for code in purposes)
    if expires_on is None:
        return "; ".join(words)
    if expires_on < today:
        now = f"until it is deleted or your membership runs again (it ended on {in_words(expires_on)})"
    else:
        now = f"{lasting} (now until {in_words(expires_on)})"
    return "; ".join(now if each == lasting else each for each in words)
