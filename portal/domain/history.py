"""Verbs on a person's history: what changed, who looked, which lists carried their details; a page at a time (P26).

Reads three tables as one, the newest first. Each row of `choice` is the proof of what was chosen (GDPR Art. 7(1)).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from portal.datamap.rows import may_be_told
from portal.domain.at_once import PERSON
from portal.domain.trail import ANSWERED
from portal.extensions import db
from portal.models import ChoiceRow, Disclosure, Event, Trail
from portal.vocabulary import Door

# What staff did to a record is no look.
DEEDS: Final = ("changed", "created", "restricted", "used again", "suspended", "let in again")


class Sort(StrEnum):
    """The parts of a history."""

    CHOICES = "choices"
    RECORD = "record"
    LISTS = "lists"
    LOOKS = "looks"


class Entry(NamedTuple):
    """One row of the history, told by its sort: what another sort has is None.

    `what` and `word`: question and answer, or act and field. `event`: the name of the event that it is about.
    """

    sort: str
    id: int
    at: datetime
    what: str
    word: str
    door: str
    event: str | None
    recipient: str
    fields: str
    audience: str
    reason: str
    list_number: str
    recalled: str
    recalled_at: datetime | None


@dataclass(frozen=True)
class Page:
    """A part of a history, the newest first. `before`: the key of the next one, or ""."""

    entries: tuple[Entry, ...]
    before: str


@dataclass(frozen=True)
class Proof:
    """One answer with what surrounds it: the answer before, if there was one, and whether it stands."""

    row: ChoiceRow
    event: str
    earlier: ChoiceRow | None
    later: ChoiceRow | None


_TODAY = bindparam("today", type_=Date())
_CHOICES, _TRAIL, _LISTS, _EVENTS = (cast(Table, model.__table__) for model in (ChoiceRow, Trail, Disclosure, Event))
_LOOKS = and_(_TRAIL.c.door == Door.STAFF, *(_TRAIL.c.act != deed for deed in DEEDS))

# Which rows of which table a part is made of.
_PARTS: Final[Mapping[Sort, tuple[Table, ColumnElement[bool]]]] = {
    Sort.CHOICES: (_CHOICES, true()),
    Sort.RECORD: (_TRAIL, and_(not_(_LOOKS), _TRAIL.c.act != ANSWERED)),  # of an answer only the row of `choice`
    Sort.LISTS: (_LISTS, may_be_told(_LISTS, _TODAY)),
    Sort.LOOKS: (_TRAIL, _LOOKS),
}


def page(subject_id: UUID, *, limit: int, today: date, only: Sort | None = None, before: str = "") -> Page:
    """A page of one person's history. `before`: as the page before gave it. Raises ValueError for a key that cannot be.

    One query.
    """
    asked = {"person": subject_id, "today": today, "many": limit + 1} | (_key(before) if before else {})
    db.session.flush()  # a plain statement does not do so by itself
    found = [Entry._make(row) for row in db.session.execute(_question(only, bool(before)), asked)]
    shown = tuple(found[:limit])
    last = shown[-1] if len(found) > limit else None
    return Page(shown, f"{last.at.isoformat()}_{last.sort}_{last.id}" if last is not None else "")


@cache
def _question(only: Sort | None, goes_on: bool) -> Select[Any]:
    """The rows of a page, each with the name of its event; made once, as building it costs more than its answer."""
    parts = [
        select(literal(sort.value).label("sort"), table.c.id, table.c.at).where(table.c.subject_id == PERSON, which)
        for sort, (table, which) in _PARTS.items()
        if only in (None, sort)
    ]
    rows = union_all(*parts).subquery()
    order = (rows.c.at, rows.c.sort, rows.c.id)
    some = select(rows.c.sort, rows.c.id, rows.c.at).order_by(*(column.desc() for column in order))
    if goes_on:
        some = some.where(
            tuple_(*order) < tuple_(*(bindparam(f"before_{each.name}", type_=each.type) for each in order))
        )
    keys = some.limit(bindparam("many", type_=Integer())).subquery()
    return (
        select(
            keys.c.sort,
            keys.c.id,
            keys.c.at,
            func.coalesce(_CHOICES.c.code, _TRAIL.c.act),
            func.coalesce(_CHOICES.c.value, _TRAIL.c.field),
            func.coalesce(_CHOICES.c.door, _TRAIL.c.door),
            _EVENTS.c.name,
            *(_LISTS.c[name] for name in Entry._fields[7:]),
        )
        .select_from(keys)
        .outerjoin(_CHOICES, and_(keys.c.sort == Sort.CHOICES, _CHOICES.c.id == keys.c.id))
        .outerjoin(_TRAIL, and_(or_(keys.c.sort == Sort.RECORD, keys.c.sort == Sort.LOOKS), _TRAIL.c.id == keys.c.id))
        .outerjoin(_LISTS, and_(keys.c.sort == Sort.LISTS, _LISTS.c.id == keys.c.id))
        .outerjoin(_EVENTS, _EVENTS.c.id == func.coalesce(_CHOICES.c.event_id, _LISTS.c.event_id))
        .order_by(keys.c.at.desc(), keys.c.sort.desc(), keys.c.id.desc())
    )


def proof(subject_id: UUID, number: int) -> Proof | None:
    """One answer of this person; None for a number that is not theirs."""
    row = db.session.scalars(
        select(ChoiceRow).where(ChoiceRow.id == number, ChoiceRow.subject_id == subject_id)
    ).one_or_none()
    if row is None:
        return None
    same = select(ChoiceRow).where(
        ChoiceRow.subject_id == subject_id,
        ChoiceRow.code == row.code,
        ChoiceRow.event_id.is_not_distinct_from(row.event_id),
    )
    earlier = same.where(ChoiceRow.id < number).order_by(ChoiceRow.id.desc()).limit(1)
    later = same.where(ChoiceRow.id > number).order_by(ChoiceRow.id).limit(1)
    event = db.session.get(Event, row.event_id) if row.event_id is not None else None
    return Proof(
        row, event.name if event else "", db.session.scalars(earlier).first(), db.session.scalars(later).first()
    )


def _key(text: str) -> dict[str, object]:
    try:
        at, sort, number = text.split("_")
        moment, value = datetime.fromisoformat(at), int(number)
        if moment.tzinfo is None or not 0 <= value < 2**31:
            raise ValueError(text)
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(text) from None
    return {"before_at": moment, "before_sort": Sort(sort).value, "before_id": value}
