"""Leaf: the one place that asks what time it is. Any room may call it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

SOCIETY_ZONE = ZoneInfo("America/New_York")


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def society_date(moment: datetime) -> date:
    """The calendar date at the society's seat: never later than the UTC date, so never too generous."""
    return moment.astimezone(SOCIETY_ZONE).date()
