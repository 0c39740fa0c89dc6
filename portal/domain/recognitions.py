"""Verbs on published recognitions: show a member's own, take one down, keep them after an erasure (P18).

Called by pages, the command and erasures; `recognition_imports` brings them in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from portal.extensions import db
from portal.models import Member, Recognition

EMPTY: Mapping[str, Any] = {
    **dict.fromkeys(("name", "title", "country", "affiliation", "role"), ""),
    **dict.fromkeys(("subject_id", "starts_on", "ends_on", "left_at")),
}


def of(member: Member) -> list[Recognition]:
    """A member's own entries, the newest term first."""
    query = select(Recognition).where(Recognition.subject_id == member.id)
    return list(db.session.scalars(query.order_by(Recognition.starts_on.desc(), Recognition.id.desc())))


def one_of(member: Member, code: str) -> Recognition | None:
    """A member's own entry of this code; None for any other."""
    return db.session.scalars(
        select(Recognition).where(Recognition.subject_id == member.id, Recognition.code == code)
    ).first()


def take_down(code: str, *, now: datetime) -> bool:
    """Empty an entry to which its person objected; no file fills it again. False where there is none to empty."""
    found = db.session.scalars(select(Recognition).where(Recognition.code == code)).first()
    if found is None or found.taken_down_at is not None:
        return False
    for name, empty in EMPTY.items():
        setattr(found, name, empty)
    found.taken_down_at = now
    db.session.flush()
    return True


def leave(subject_id: UUID, *, now: datetime) -> None:
    """Let the days of a person's entries count; right before an erasure takes the person's number out of them."""
    theirs = update(Recognition).where(Recognition.subject_id == subject_id)
    db.session.execute(theirs.values(left_at=now), execution_options={"synchronize_session": False})
