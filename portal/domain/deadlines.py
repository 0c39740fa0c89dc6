"""The dates of a request: computed once, at receipt, and stored (GDPR Art. 12(3), Reg. 1182/71 Art. 3)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from portal.clock import society_date


@dataclass(frozen=True)
class Dates:
    """All dates of one request. `promise_on` is what the member sees; the others bound what staff may do.

    `legal_on` is the one of them that binds now: a pause or an extension moves it, and nothing else.
    """

    received_on: date
    promise_on: date
    legal_on: date
    legal_1_on: date
    legal_1_rolled_on: date
    legal_3_on: date
    us_1_on: date
    us_2_on: date


def month_add(day: date, months: int) -> date:
    """The same day of the month, that many months on; the month's last day where it has no such day."""
    index = day.month - 1 + months
    year, month = day.year + index // 12, index % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def next_weekday(day: date) -> date:
    """The day itself, or the Monday after a weekend."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def dates(received_at: datetime) -> Dates:
    """The dates of a request that arrived at this moment, by the calendar of the society's seat.

    The promise is the earlier of one month and the policy's 30 days (P32): one month alone breaks the 30 days
    after most months, 30 days alone break the month in February.
    """
    received_on = society_date(received_at)
    legal_1 = month_add(received_on, 1)
    return Dates(
        received_on=received_on,
        promise_on=min(legal_1, received_on + timedelta(days=30)),
        legal_on=legal_1,
        legal_1_on=legal_1,
        legal_1_rolled_on=next_weekday(legal_1),
        legal_3_on=month_add(received_on, 3),
        us_1_on=received_on + timedelta(days=45),
        us_2_on=received_on + timedelta(days=90),
    )
