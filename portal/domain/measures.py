"""What operators measure: read from the database, so that every process tells the same. Called by `web/metrics`.

The worker leaves two sorts of marks in the table of counters: that it lives, and how many messages met which end.
All other numbers are counted when somebody looks, by small indexed queries.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import func, select, union_all

from portal.clock import SOCIETY_ZONE, days_after, society_date
from portal.domain import gate, limits
from portal.domain.kinds import KINDS
from portal.domain.queue import DUE
from portal.extensions import db
from portal.models import Broadcast, DataSubjectRequest, FailedSignIn, LimitCounter, Message
from portal.models.message import MailKind, MailState

BEAT = "measures/worker"
BEAT_KEPT = timedelta(days=1)
ENDED = "measures/mail."
ENDED_KEPT = timedelta(days=400)
ENDS = ("sent", "retried", "dead", "cancelled", "deferred")
WAITING = (MailState.QUEUED, MailState.CLAIMED)


class Reading(NamedTuple):
    """One number, or one for each value of a label; `total`: it only grows, until it begins anew."""

    name: str
    says: str
    values: dict[str, float]
    label: str = ""
    total: bool = False


# What the worker leaves -----------------------------------------------------------------------------------


def beat(*, now: datetime) -> None:
    """The worker lives and reaches the database. In a transaction of its own."""
    limits.tick(BEAT, now=now, keep=BEAT_KEPT)


def count_mail(ended: dict[str, int], *, now: datetime) -> None:
    """Add one run's messages, by what became of them. In transactions of its own; a crash loses them."""
    for end in ENDS:
        if ended[end]:
            limits.tick(f"{ENDED}{end}", now=now, keep=ENDED_KEPT, amount=ended[end])


# Reading --------------------------------------------------------------------------------------------------


def read(*, now: datetime) -> list[Reading]:
    """All readings, in the caller's reading transaction. Raises OSError when a journal cannot be read."""
    return [*_outbox(now), *_requests(now), *_marks(), *_gate(), *_sign_ins(now)]


def _outbox(now: datetime) -> list[Reading]:
    numbers = (
        select(Message.kind, Message.state, func.count().label("number"), func.min(Message.due_at).label("due_at"))
        .where(Message.state.in_(WAITING))
        .group_by(Message.kind, Message.state)
    )
    running = select(Broadcast.id).where(Broadcast.ended_at.is_(None))
    query = union_all(numbers.where(Message.broadcast_id.is_(None)), numbers.where(Message.broadcast_id.in_(running)))
    waiting = dict.fromkeys(map(str, MailKind), 0.0)
    oldest = dict.fromkeys(map(str, MailKind), 0.0)
    for kind, state, number, due_at in db.session.execute(query):
        waiting[kind] += number
        if state == MailState.QUEUED:
            oldest[kind] = max(0.0, (now - due_at).total_seconds())
    return [
        Reading("portal_outbox_messages", "Messages on their way.", waiting, "kind"),
        Reading(
            "portal_outbox_oldest_due_seconds", "For how long the message that waits longest is due.", oldest, "kind"
        ),
    ]


def _requests(now: datetime) -> list[Reading]:
    """Data subject requests. The promise is kept until the end of its day, at the society's seat."""
    query = select(DataSubjectRequest.kind, DUE).where(DataSubjectRequest.closed_at.is_(None))
    rows = db.session.execute(query.order_by(DUE, DataSubjectRequest.reference)).all()
    today = society_date(now)
    open_ = dict.fromkeys(KINDS, 0.0)
    for kind, _ in rows:
        open_[kind] = open_.get(kind, 0) + 1
    overdue = sum(day < today for _, day in rows)
    return [
        Reading("portal_subject_requests_open", "Data subject requests without an answer.", open_, "kind"),
        Reading("portal_subject_requests_overdue", "Those whose day has passed.", {"": overdue}),
        Reading(
            "portal_subject_requests_next_due_timestamp_seconds",
            "End of the first day on which an answer is due; absent when nobody waits.",
            {"": _end_of(rows[0][1])} if rows else {},
        ),
    ]


def _end_of(day: date) -> float:
    return datetime.combine(days_after(day, 1), time(), SOCIETY_ZONE).astimezone(UTC).timestamp()


def _marks() -> list[Reading]:
    names = [BEAT, *(f"{ENDED}{end}" for end in ENDS)]
    query = select(LimitCounter).where(LimitCounter.name.in_(names)).order_by(LimitCounter.name)
    marks = {mark.name: mark for mark in db.session.scalars(query)}
    seen = {"": (marks[BEAT].ends_at - BEAT_KEPT).timestamp()} if BEAT in marks else {}
    ended = {end: float(marks[f"{ENDED}{end}"].count) if f"{ENDED}{end}" in marks else 0.0 for end in ENDS}
    return [
        Reading(
            "portal_worker_seen_timestamp_seconds",
            "When a worker last said that it lives, about twice a minute; absent when none has for a day.",
            seen,
        ),
        Reading("portal_messages", "Messages, by what became of them.", ended, "end", total=True),
    ]


def _gate() -> list[Reading]:
    return [
        Reading("portal_gate_closed", "Whether the portal is shut until a replay.", {"": float(bool(gate.closed()))}),
        Reading(
            "portal_journal_lag_bytes",
            "What the journals tell and this database has not taken over; a line stays for some seconds.",
            {sort: float(lag) for sort, lag in gate.lag().items()},
            "journal",
        ),
    ]


def _sign_ins(now: datetime) -> list[Reading]:
    query = select(func.count()).select_from(FailedSignIn).where(FailedSignIn.at > now - timedelta(hours=1))
    failed = float(db.session.execute(query).scalar_one())
    return [Reading("portal_sign_in_failures_last_hour", "Sign-ins refused in the last hour.", {"": failed})]
