"""Leaf: the one place that asks what time it is, and how a day reads. Any room may call it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

SOCIETY_ZONE = ZoneInfo("America/New_York")
Day = TypeVar("Day", date, datetime)


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def society_date(moment: datetime) -> date:
    """The calendar date at the society's seat: never later than the UTC date, so never too generous."""
    return moment.astimezone(SOCIETY_ZONE).date()


def days_after(start: Day, days: int) -> Day:
    """So many days later; the end of the calendar where that lies beyond it."""
    try:
        return start + timedelta(days=days)
    except OverflowError:
        return datetime.max.replace(tzinfo=start.tzinfo) if isinstance(start, datetime) else date.max


def in_words(day: date | datetime) -> str:
    """As in "4 December 2026"; of a moment the day in UTC."""
    if isinstance(day, datetime):
        day = day.astimezone(UTC).date()
    return _day_in_words(day)


def days_in_words(first: date, last: date) -> str:
    """As in "5 to 8 October 2026": what both days share is said once."""
    if first == last:
        return in_words(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {in_words(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%B} to {in_words(last)}"
    return f"{in_words(first)} to {in_words(last)}"


@lru_cache(maxsize=2000)
def _day_in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
