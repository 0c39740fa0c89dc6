"""Verbs on the trail: who did what to a record. Called by the other verbs; keeps names of fields, never values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Table, insert, select

from portal.domain import subjects
from portal.extensions import db
from portal.models import Subject, Trail
from portal.vocabulary import Door

CHANGED = "changed"
ANSWERED = "answered"  # a question of the catalogue; the answer itself is a row of `choice`
TO_CARRY = (CHANGED, ANSWERED)
FROM_OUTSIDE = (Door.IMPORT, Door.SYSTEM)


def record(subject_id: UUID, act: str, *, field: str = "", door: Door, now: datetime) -> None:
    """Write one act down. Only a change made here has to be carried over to the membership system."""
    record_each(subject_id, act, [field], door=door, now=now)


def look(subject_id: UUID, act: str, *, now: datetime) -> None:
    """Write down that staff look, or work, at a record. Of the erased nothing is noted, nor of whom one is erasing now.

    Such a row would keep the person's number after the erasure that takes it out of the others.
    """
    erased = select(Subject.erased_at).where(Subject.id == subject_id)
    if subjects.take_turn(subject_id) and db.session.execute(erased).scalar_one() is None:
        record(subject_id, act, door=Door.STAFF, now=now)


_INSERT = insert(cast(Table, Trail.__table__))


def record_each(subject_id: UUID, act: str, fields: Iterable[str], *, door: Door, now: datetime) -> None:
    """The same of several fields, at least one, in one statement."""
    carried_at = None if act in TO_CARRY and door not in FROM_OUTSIDE else now
    same = {"subject_id": subject_id, "act": act, "door": door, "at": now, "carried_at": carried_at}
    db.session.flush()  # so that whom it is about is there
    db.session.execute(_INSERT, [{**same, "field": field} for field in fields])
