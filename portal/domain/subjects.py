"""Verbs on a subject: find it, and take one's turn before what is read of it is written. Any verb may call them."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, select

from portal.extensions import db
from portal.models import Subject


def one(subject_id: UUID) -> Subject:
    """The subject of this number, which somebody signed in has."""
    return db.session.get_one(Subject, subject_id)


class Known(NamedTuple):
    """A subject as a plain row: enough for whoever writes beside it, not to it."""

    id: UUID
    unsubscribe_reference: bytes
    erased_at: datetime | None


_ROWS = cast(Table, Subject.__table__).c
_BY_REFERENCE = select(*(_ROWS[name] for name in Known._fields)).where(
    _ROWS.unsubscribe_reference == bindparam("reference")
)


def by_reference(reference: bytes) -> Known | None:
    """The subject that an unsubscribe link names; None if there is none."""
    found = db.session.execute(_BY_REFERENCE, {"reference": reference}).one_or_none()
    return Known._make(found) if found is not None else None


def take_turn(subject_id: UUID) -> bool:
    """From here to the end of the transaction nobody else takes a turn for this person; wait for whoever has it.

    False where the person is erased by now: what is written about them afterwards would be found by no erasure. Call
    it before reading. On SQLite it does nothing: one transaction writes at a time there, and reads before as after.
    """
    if db.engine.dialect.name == "sqlite":
        return True
    turn = select(Subject.erased_at).where(Subject.id == subject_id)
    locked = turn.with_for_update(key_share=True)  # rows may still refer
    return db.session.execute(locked).scalar_one_or_none() is None
