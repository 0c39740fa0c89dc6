"""Verbs on the privacy notice: publish a version, find the one in force (P31)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import func, select

from portal.clock import society_date
from portal.extensions import db
from portal.models import Notice


def version_in_force(now: datetime) -> int | None:
    """The number of the notice in force, which choices and requests carry; None before the first."""
    newest = select(func.max(Notice.version)).where(Notice.effective_on <= society_date(now))
    return db.session.scalars(newest).one()


def in_force(now: datetime) -> Notice | None:
    """The notice in force; None before the first is published."""
    reached = select(Notice).where(Notice.effective_on <= society_date(now))
    return db.session.scalars(reached.order_by(Notice.version.desc()).limit(1)).first()


def publish(text: str, *, change: str, effective_on: date | None = None, now: datetime) -> Notice:
    """Make a new version; it is in force from its effective date at the society's seat."""
    newest = db.session.scalars(select(func.max(Notice.version))).one()
    notice = Notice(
        version=(newest or 0) + 1,
        text=text,
        change=change,
        published_at=now,
        effective_on=effective_on or society_date(now),
    )
    db.session.add(notice)
    db.session.flush()
    return notice


def versions() -> list[Notice]:
    """All versions, newest first."""
    return list(db.session.scalars(select(Notice).order_by(Notice.version.desc())))
