"""The dates of a request: known cases, and many made ones against a second reckoning (GDPR Art. 12(3), P32)."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from portal.domain.deadlines import Dates, dates

# Receipt; one month, the same rolled to a weekday, the promise, three months, 45 days.
KNOWN = """
2026-01-29 2026-02-28 2026-03-02 2026-02-28 2026-04-29 2026-03-15
2026-01-31 2026-02-28 2026-03-02 2026-02-28 2026-04-30 2026-03-17
2028-01-31 2028-02-29 2028-02-29 2028-02-29 2028-04-30 2028-03-16
2026-02-28 2026-03-28 2026-03-30 2026-03-28 2026-05-28 2026-04-14
2028-02-29 2028-03-29 2028-03-29 2028-03-29 2028-05-29 2028-04-14
2026-03-05 2026-04-05 2026-04-06 2026-04-04 2026-06-05 2026-04-19
2026-07-04 2026-08-04 2026-08-04 2026-08-03 2026-10-04 2026-08-18
2026-08-31 2026-09-30 2026-09-30 2026-09-30 2026-11-30 2026-10-15
2026-11-25 2026-12-25 2026-12-25 2026-12-25 2027-02-25 2027-01-09
2026-11-30 2026-12-30 2026-12-30 2026-12-30 2027-02-28 2027-01-14
2026-12-31 2027-01-31 2027-02-01 2027-01-30 2027-03-31 2027-02-14
"""


def noon(day: date) -> datetime:
    """A moment that is the same day everywhere that matters."""
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


@pytest.mark.parametrize("line", KNOWN.split("\n")[1:-1])
def test_known_cases(line: str) -> None:
    received, legal_1, rolled, promise, legal_3, us_1 = map(date.fromisoformat, line.split())
    assert dates(noon(received)) == Dates(
        received_on=received,
        promise_on=promise,
        legal_on=legal_1,
        legal_1_on=legal_1,
        legal_1_rolled_on=rolled,
        legal_3_on=legal_3,
        us_1_on=us_1,
        us_2_on=received + timedelta(days=90),
    )


def months_on(day: date, months: int) -> date:
    """The second reckoning: walk day by day to the month meant, and in it to the day, if the month is so long."""
    walker = day.replace(day=1)
    for _ in range(months):
        walker += timedelta(days=1)
        while walker.day != 1:
            walker += timedelta(days=1)
    month = walker.month
    while walker.day < day.day and (walker + timedelta(days=1)).month == month:
        walker += timedelta(days=1)
    return walker


def summer_time(moment: datetime) -> bool:
    """United States summer time: from the second Sunday of March, 2:00, to the first of November, 2:00."""
    march = date(moment.year, 3, 8)
    march += timedelta(days=(6 - march.weekday()) % 7)
    november = date(moment.year, 11, 1)
    november += timedelta(days=(6 - november.weekday()) % 7)
    begins = datetime(march.year, 3, march.day, 7, tzinfo=UTC)
    ends = datetime(november.year, 11, november.day, 6, tzinfo=UTC)
    return begins <= moment < ends


def test_twenty_thousand_cases_against_a_second_reckoning() -> None:
    """Moments of 2020 to 2060, half of them within a minute of midnight in New York."""
    chance = random.Random(41)
    for number in range(20_000):
        moment = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(40 * 365 * 86_400))
        if number % 2:
            moment = moment.replace(hour=chance.choice((4, 5)), minute=0, second=0)
            moment += timedelta(seconds=chance.randrange(-60, 60))
        there = (moment - timedelta(hours=4 if summer_time(moment) else 5)).date()
        found = dates(moment)
        month = months_on(there, 1)
        assert found.received_on == there <= moment.date()
        assert found.legal_1_on == month
        assert found.legal_3_on == months_on(there, 3)
        assert found.promise_on == (month if (month - there).days <= 30 else there + timedelta(days=30))
        rolled = month
        while rolled.weekday() > 4:
            rolled += timedelta(days=1)
        assert found.legal_1_rolled_on == rolled
        assert ((found.us_1_on - there).days, (found.us_2_on - there).days) == (45, 90)


@pytest.mark.parametrize(("changes_on", "offset"), [(date(2026, 3, 8), 5), (date(2026, 11, 1), 4)])
def test_midnight_on_both_sides_of_a_change_of_the_clock(changes_on: date, offset: int) -> None:
    midnight = datetime(changes_on.year, changes_on.month, changes_on.day, offset, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert dates(midnight - second).received_on == changes_on - timedelta(days=1)
    assert dates(midnight + second).received_on == changes_on
    after = midnight + timedelta(days=1, hours=-1 if offset == 5 else 1)
    assert dates(after - second).received_on == changes_on
    assert dates(after + second).received_on == changes_on + timedelta(days=1)
