"""Verbs on the trail: who did what to a record. Called by the other verbs; keeps names of fields, never values."""

from __future__ import annotations

from datetime import datetime
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Table, select

from portal.domain.at_once import PERSON, Part, columns
from portal.extensions import db
from portal.models import Trail
from portal.vocabulary import Door

CHANGED = "changed"
ANSWERED = "answered"  # a question of the catalogue; the answer itself is a row of `choice`
TO_CARRY = (CHANGED, ANSWERED)
FROM_OUTSIDE = (Door.IMPORT, Door.SYSTEM)


def record(subject_id: UUID, act: str, *, field: str = "", door: Door, now: datetime) -> None:
    """Write one act down. Only a change made here has to be carried over to the membership system."""
    carried_at = None if act in TO_CARRY and door not in FROM_OUTSIDE else now
    db.session.add(Trail(subject_id=subject_id, act=act, field=field, door=door, at=now, carried_at=carried_at))


_ROWS = cast(Table, Trail.__table__).c
MANY: Final = 5
# The newest acts on one record; not the answers, which stand in `choice`.
LATEST = Part(
    "acts",
    select(*columns(number=_ROWS.id, code=_ROWS.act, word=_ROWS.field, more=_ROWS.door, at=_ROWS.at))
    .where(_ROWS.subject_id == PERSON, _ROWS.act != ANSWERED)
    .order_by(_ROWS.id.desc())
    .limit(MANY),
)
