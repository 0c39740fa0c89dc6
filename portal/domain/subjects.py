"""Verb on a subject: take one's turn. Any verb may call it that reads what stands for a person and then writes."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select

from portal.extensions import db
from portal.models import Subject


def take_turn(subject_id: UUID) -> None:
    """From here to the end of the transaction nobody else takes a turn for this person; wait for whoever has it.

    Call it before reading. On SQLite it does nothing: one transaction writes at a time there.
    """
    turn = select(Subject.id).where(Subject.id == subject_id).with_for_update(key_share=True)  # rows may still refer
    db.session.execute(turn)
