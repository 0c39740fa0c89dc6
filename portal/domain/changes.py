"""Verbs on the way back: what was changed here and the membership system does not know yet.

Each change is a row of the trail that waits for `carried_at`: it is carried over by a file, by hand, or a file that
comes in says the same (`imports`). Called by the desk and the profile page.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TextIO, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, exists, func, select, tuple_, update
from sqlalchemy.orm import aliased
from sqlalchemy.orm.util import AliasedClass

from portal.domain import conflicts, subjects, trail
from portal.domain.at_once import PERSON, Line, Part, ask, columns
from portal.domain.choices import answer_words
from portal.domain.conflicts import key, label
from portal.domain.member_csv import CHOICE_COLUMNS, COLUMNS, FIELDS, TOPICS_OF, standing_answers, write_cell
from portal.extensions import db
from portal.models import Member, Trail
from portal.vocabulary import Door

AT_ONCE: Final = 500  # people in memory
LATELY: Final = timedelta(days=30)  # so long a page says that a change was carried over
EXPORTED: Final = "exported"
MEMBER = cast(Table, Member.__table__)


class Change(NamedTuple):
    """One field or question of one person that waits. `column`: of members.csv; "" where only a hand carries it."""

    act: str
    field: str
    label: str
    value: str
    column: str
    at: datetime
    door: Door


@dataclass(frozen=True)
class Waiting:
    """Somebody with changes that wait, without a name. `first`: the number of their oldest, for a page's address."""

    first: int
    member_number: str
    since: datetime
    labels: tuple[str, ...]
    by_hand: bool


def _waits(row: type[Trail] | AliasedClass[Trail] = Trail) -> ColumnElement[bool]:
    return and_(row.carried_at.is_(None), row.act.in_(trail.TO_CARRY), row.field != "")


def newest() -> int:
    """The number of the newest change that waits, 0 where none does: what a page has shown."""
    query = select(Trail.id).join(Member, Member.id == Trail.subject_id).where(_waits())
    return db.session.scalars(query.order_by(Trail.id.desc()).limit(1)).first() or 0


def waiting(*, limit: int, after: int = 0) -> tuple[list[Waiting], int]:
    """People with changes that wait, the oldest first, and the key of the next page or 0. Nobody is named."""
    earlier = aliased(Trail)
    first = ~exists().where(earlier.subject_id == Trail.subject_id, earlier.id < Trail.id, _waits(earlier))
    query = (
        select(Trail.subject_id, Trail.id.label("first"), Trail.at.label("since"))
        .join(Member, Member.id == Trail.subject_id)
        .where(_waits(), Trail.id > after, first)
        .order_by(Trail.id)
        .limit(limit + 1)
    )
    rows = db.session.execute(query).all()
    shown = rows[:limit]
    found = _of([row.subject_id for row in shown])
    people = [
        Waiting(
            row.first,
            member.member_number or "",
            row.since,
            tuple(dict.fromkeys(each.label for each in changes)),
            any(not each.column for each in changes),
        )
        for row in shown
        for member, changes in [found[row.subject_id]]
    ]
    return people, shown[-1].first if len(rows) > limit else 0


def how_many() -> int:
    """How many people have changes that wait."""
    query = select(func.count(func.distinct(Trail.subject_id))).join(Member, Member.id == Trail.subject_id)
    return db.session.execute(query.where(_waits())).scalar_one()


def whose(first: int) -> Member | None:
    """The person with the change of this number, while one of theirs waits."""
    query = select(Member).join(Trail, Trail.subject_id == Member.id).where(Trail.id == first, _waits())
    return db.session.scalars(query).one_or_none()


def of(member: Member) -> tuple[list[Change], int]:
    """What waits of one person as it stands now, the oldest first, and the number of the newest."""
    top = db.session.scalars(select(func.max(Trail.id)).where(Trail.subject_id == member.id, _waits())).one() or 0
    return _of([member.id])[member.id][1], top


def _of(ids: Sequence[UUID], up_to: int = 2**31 - 1) -> dict[UUID, tuple[Member, list[Change]]]:
    """What waits of these people, each field once, at its newest."""
    rows: dict[UUID, dict[tuple[str, str], Trail]] = {ident: {} for ident in ids}
    query = select(Trail).where(Trail.subject_id.in_(ids), _waits(), Trail.id <= up_to).order_by(Trail.id)
    for row in db.session.scalars(query):
        assert row.subject_id is not None
        rows[row.subject_id][row.act, row.field] = row
    people = {each.id: each for each in db.session.scalars(select(Member).where(Member.id.in_(ids)))}
    answers = standing_answers(list(ids))
    return {
        ident: (people[ident], list(_changes(people[ident], waits, answers.get(ident, {}))))
        for ident, waits in rows.items()
        if ident in people
    }


def _changes(member: Member, waits: Mapping[tuple[str, str], Trail], answers: Mapping[str, str]) -> Iterator[Change]:
    """A file finds a person by the number, or by an address that is known over there: otherwise all goes by hand."""
    found_there = bool(member.member_number) or (trail.CHANGED, "email") not in waits
    for (act, field), row in waits.items():
        answered = act == trail.ANSWERED
        value = answers.get(field, "") if answered else _cell(member, field)
        column = _answer_column(field, answers) if answered else field if field in (*FIELDS, "email") and value else ""
        shown = answer_words(field, value) if answered else value
        yield Change(act, field, label(key(act, field)), shown, column if found_there else "", row.at, Door(row.door))


def _cell(member: Member, field: str) -> str:
    return write_cell(field, getattr(member, field)) if field in MEMBER.c else ""


def _answer_column(code: str, answers: Mapping[str, str]) -> str:
    """The column that carries an answer; none for questions that the file has not, or where its cell would be empty."""
    if code in TOPICS_OF:
        return "topics_off" if _topics_off(answers) else ""
    return code if code in CHOICE_COLUMNS else ""


def _topics_off(answers: Mapping[str, str]) -> str:
    return ";".join(topic for code, topic in TOPICS_OF.items() if answers.get(code) == "off")


# Carried over ---------------------------------------------------------------------------------------------


def write_file(out: TextIO, *, up_to: int, now: datetime) -> int:
    """What waits up to this number as rows of members.csv, only the changed columns filled; how many people.

    Cells as they are stored, for a program that imports them: as in `members export`. Each of these people gets a row
    of the trail. Nothing is noted as carried over yet.
    """
    filled = {"member_id", "email", *_columns(up_to)}
    columns = [name for name in COLUMNS if name in filled]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    people = 0
    for member, changes in _people(up_to):
        carried = {each.column for each in changes if each.column}
        if not carried:
            continue
        cells = {name: _cell(member, name) for name in carried if name in FIELDS}
        answers = standing_answers([member.id]).get(member.id, {}) if carried & CHOICE_COLUMNS else {}
        cells |= {name: answers.get(name, "") for name in carried & CHOICE_COLUMNS}
        cells |= {"topics_off": _topics_off(answers)} if "topics_off" in carried else {}
        cells |= {"member_id": member.member_number or "", "email": member.email}
        writer.writerow([cells.get(name, "") for name in columns])
        trail.record(member.id, EXPORTED, door=Door.STAFF, now=now)
        people += 1
    db.session.flush()
    return people


def _people(up_to: int) -> Iterator[tuple[Member, list[Change]]]:
    query = select(Trail.subject_id).join(Member, Member.id == Trail.subject_id).where(_waits(), Trail.id <= up_to)
    ids = [ident for ident in db.session.scalars(query.distinct().order_by(Trail.subject_id)) if ident is not None]
    for begin in range(0, len(ids), AT_ONCE):
        yield from _of(ids[begin : begin + AT_ONCE], up_to).values()


def _columns(up_to: int) -> set[str]:
    return {each.column for _, changes in _people(up_to) for each in changes if each.column}


def carried_by_file(*, up_to: int, now: datetime) -> int:
    """The file up to this number is in: what it carried is noted as carried over; how many fields."""
    ticked = 0
    for member, changes in _people(up_to):
        ticked += _tick(member.id, [each for each in changes if each.column], up_to, now)
    db.session.flush()
    return ticked


def carried_by_hand(member: Member, *, up_to: int, now: datetime) -> int:
    """Somebody typed it in over there: all that waits of this person up to this number; how many fields."""
    subjects.take_turn(member.id)
    found = _of([member.id], up_to)[member.id][1]
    return _tick(member.id, found, up_to, now)


def _tick(ident: UUID, changes: Sequence[Change], up_to: int, now: datetime) -> int:
    names = [(each.act, each.field) for each in changes]
    if not names:
        return 0
    waits = and_(Trail.subject_id == ident, _waits(), Trail.id <= up_to, tuple_(Trail.act, Trail.field).in_(names))
    db.session.execute(update(Trail).where(waits).values(carried_at=now), execution_options=_UNSYNCED)
    conflicts.settle(ident, [key(each.act, each.field) for each in changes])
    return len(names)


_UNSYNCED: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class Way:
    """When a value was saved here, and when it was carried over to the membership system, if it was."""

    saved_at: datetime
    carried_at: datetime | None


_ROWS = cast(Table, Trail.__table__).c
_NEWEST = (
    select(func.max(_ROWS.id))
    .where(_ROWS.subject_id == PERSON, _ROWS.act.in_(trail.TO_CARRY), _ROWS.field != "")
    .group_by(_ROWS.act, _ROWS.field)
)
WAYS = Part(
    "ways",
    select(
        *columns(number=_ROWS.id, code=_ROWS.act, word=_ROWS.field, more=_ROWS.door, at=_ROWS.at, then=_ROWS.carried_at)
    ).where(_ROWS.id.in_(_NEWEST)),
)


def ways(member_id: UUID, *, now: datetime) -> dict[str, Way]:
    """For each field and question that was changed here and waits, or was carried over lately: its newest change.

    By name of the field; of an answer by `key`.
    """
    return ways_in(*ask(WAYS, person=member_id), now=now)


def ways_in(lines: Iterable[Line], *, now: datetime) -> dict[str, Way]:
    """The same from the lines of WAYS."""
    return {
        key(each.code, each.word): Way(each.at, each.then)
        for each in sorted(lines, key=lambda each: each.number)
        if each.more not in trail.FROM_OUTSIDE and (each.then is None or each.then > now - LATELY)
    }
