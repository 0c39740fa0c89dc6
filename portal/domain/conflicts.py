"""Verbs on contradictions: where a file of the membership system says otherwise than what was changed here.

An import holds such a value back and writes the contradiction down, one row a person and field. The newest proven word
of the person wins: what stands here is kept, unless staff take a plain field from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update

from portal.domain import choices, members, subjects, trail
from portal.domain.errors import NotNow
from portal.domain.member_csv import FIELDS, PHONES, read_cell, read_phone, write_cell
from portal.extensions import db
from portal.models import ChoiceRow, Conflict, Member, Trail
from portal.purposes import CHOICES
from portal.vocabulary import Door, Personal

OF_CHOICES: Final = "choice."


def key(act: str, field: str) -> str:
    """A field of the record, or a question, under one name: the field `phone` is not the question `phone`."""
    return f"{OF_CHOICES}{field}" if act == trail.ANSWERED else field


def label(name: str) -> str:
    """What a field or a question of `key` is called."""
    if name.startswith(OF_CHOICES):
        return choices.question_words(name.removeprefix(OF_CHOICES))
    column = Member.__table__.columns.get(name)
    note = column.info["note"] if column is not None else None
    return note.label if isinstance(note, Personal) else name


@dataclass(frozen=True)
class Sides:
    """What both say: the file, and what stands here since when and by which door. `plain`: the file's may be taken."""

    label: str
    brought: str
    stands: str
    since: datetime | None
    door: Door | None
    plain: bool


def waiting(*, limit: int, after: int = 0) -> tuple[list[Conflict], int]:
    """What staff have not looked at, the oldest first, and the key of the next page or 0."""
    query = select(Conflict).where(Conflict.kept_at.is_(None), Conflict.id > after).order_by(Conflict.id)
    rows = list(db.session.scalars(query.limit(limit + 1)))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else 0


def how_many() -> int:
    """How many wait for a look."""
    return db.session.execute(select(func.count()).where(Conflict.kept_at.is_(None))).scalar_one()


def one(ident: int) -> Conflict | None:
    """A contradiction, by its number."""
    return db.session.get(Conflict, ident)


def sides(found: Conflict) -> Sides:
    """Both values in words."""
    name = found.field
    if name.startswith(OF_CHOICES):
        code = name.removeprefix(OF_CHOICES)
        rows = select(ChoiceRow).where(
            ChoiceRow.subject_id == found.member_id, ChoiceRow.code == code, ChoiceRow.event_id.is_(None)
        )
        row = db.session.scalars(rows.order_by(ChoiceRow.id.desc()).limit(1)).first()
        stands = row.value if row else CHOICES[code].default if code in CHOICES else ""
        words = choices.answer_words(code, found.brought), choices.answer_words(code, stands)
        return Sides(label(name), *words, row.at if row else None, Door(row.door) if row else None, plain=False)
    changes = select(Trail).where(Trail.subject_id == found.member_id, Trail.act == trail.CHANGED, Trail.field == name)
    change = db.session.scalars(changes.order_by(Trail.id.desc()).limit(1)).first()
    stands = write_cell(name, getattr(found.member, name, ""))
    since, door = (change.at, Door(change.door)) if change else (None, None)
    return Sides(label(name), found.brought, stands, since, door, plain=name in FIELDS)


def keep(found: Conflict, *, now: datetime) -> None:
    """What stands here stays; it comes up again only if a file brings something else."""
    _in_turn(found)
    found.kept_at = found.kept_at or now
    trail.record(found.member_id, "worked on", door=Door.STAFF, now=now)
    db.session.flush()


def take(found: Conflict, *, version: int, now: datetime) -> None:
    """A plain field becomes what the file says, and nothing of it waits to be carried over any more.

    `version`: of the record that staff saw. Raises StaleRecord, and NotNow for an address or an answer.
    """
    _in_turn(found)
    name, member = found.field, found.member
    if name not in FIELDS:
        raise NotNow("Only the person decides this. What is stored here is kept.")
    value: Any = read_phone(found.brought, member.country) if name in PHONES else read_cell(name, found.brought)
    members.save_profile(member, {name: value}, version=version, via=Door.IMPORT, now=now)
    waits = update(Trail).where(
        Trail.subject_id == member.id, Trail.act == trail.CHANGED, Trail.field == name, Trail.carried_at.is_(None)
    )
    db.session.execute(waits.values(carried_at=now), execution_options={"synchronize_session": False})
    trail.record(member.id, "worked on", door=Door.STAFF, now=now)
    settle(member.id, [name])


def settle(member_id: UUID, names: Sequence[str]) -> None:
    """These contradictions are over. `names`: as `key` gives them."""
    query = select(Conflict).where(Conflict.member_id == member_id, Conflict.field.in_(names)).order_by(Conflict.id)
    for found in db.session.scalars(query):
        db.session.delete(found)
    db.session.flush()


def _in_turn(found: Conflict) -> None:
    subjects.take_turn(found.member_id)
    db.session.refresh(found)
