"""Verbs that count for the desk: requests by week, days to an answer, opt-outs after a broadcast. No person in them."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta

from sqlalchemy import and_, func, select

from portal.clock import society_date
from portal.domain.broadcasts import got_and_stopped
from portal.domain.queue import answered_by_hand
from portal.extensions import db
from portal.models import Broadcast, ChoiceRow, DataSubjectRequest
from portal.models.request import REVIEW

WEEK = timedelta(days=7)
WEEKS = 13  # a quarter
SPANS = ((0, 7), (8, 14), (15, 21), (22, 30), (31, None))  # days to an answer; 30 are promised
DAYS = 14  # after a broadcast


def requests_by_week(*, today: date) -> list[tuple[date, int]]:
    """Each of the last 13 weeks, by its Monday, the newest first, and how many requests people sent in it."""
    monday = today - timedelta(days=today.weekday())
    first = monday - (WEEKS - 1) * WEEK
    asked = DataSubjectRequest
    # No promise is earlier than the receipt; asked like this, the index on the promise finds them.
    since = and_(asked.promise_on >= first, asked.received_on >= first, asked.kind != REVIEW)
    found = db.session.execute(select(asked.received_on, func.count()).where(since).group_by(asked.received_on))
    weeks: Counter[date] = Counter()
    for day, count in found:
        weeks[day - timedelta(days=day.weekday())] += count
    return [(start, weeks[start]) for start in (monday - number * WEEK for number in range(WEEKS))]


def days_to_answer(*, now: datetime) -> list[int]:
    """How many answers of the last year, given by hand, took the days of each of SPANS, from the day of receipt."""
    asked = DataSubjectRequest
    found = db.session.execute(select(asked.received_on, asked.closed_at).where(answered_by_hand(now)))
    took = [(society_date(row.closed_at) - row.received_on).days for row in found]
    return [sum(least <= days and (most is None or days <= most) for days in took) for least, most in SPANS]


def opt_outs_by_day(broadcast: Broadcast, *, today: date) -> list[tuple[date, int]]:
    """How many who got it said no, on the day it was queued, on each of the 14 that followed so far, and on later ones.

    Together as many as `opt_outs` counts. Empty where the days can no longer be known, because the messages are
    gone and only the sum was kept.
    """
    answers = select(ChoiceRow.subject_id, ChoiceRow.at).where(got_and_stopped(broadcast))
    newest_first = db.session.execute(answers.order_by(ChoiceRow.at.desc()))
    first = {row.subject_id: row.at for row in newest_first}  # of several answers of a person
    begin = society_date(broadcast.created_at)
    days = Counter((society_date(at) - begin).days for at in first.values())
    if broadcast.unsubscribed is not None and sum(days.values()) != broadcast.unsubscribed:
        return []
    shown = {*range(min(DAYS, (today - begin).days) + 1), *days}
    return [(begin + timedelta(days=number), days[number]) for number in sorted(shown)]
