"""Verbs on a subject: find it, and take one's turn before what is read of it is written. Any verb may call them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from portal.extensions import db
from portal.models import Subject


def one(subject_id: UUID) -> Subject:
    """The subject of this number, which somebody signed in has."""
    return db.session.get_one(Subject, subject_id)


def take_turn(subject_id: UUID) -> None:
    """From here to the end of the transaction nobody else takes a turn for this person; wait for whoever has it.

    Call it before reading. On SQLite it does nothing: one transaction writes at a time there.
    """
    if db.engine.dialect.name == "sqlite":
        return
    turn = select(Subject.id).where(Subject.id == subject_id).with_for_update(key_share=True)  # rows may still refer
    db.session.execute(turn)
