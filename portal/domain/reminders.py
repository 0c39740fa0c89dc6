"""Verbs of the clock: who is reminded of which request, and when (rights §4.2, §4.4). Safe to repeat.

What was said is a step of the request, so that a second run, or one after days of silence, says only what is new.
Called by `requests remind` and the worker, which end a transaction after each request.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, or_, select

from portal.clock import society_date
from portal.domain import handling
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages
from portal.models import DataSubjectRequest, RequestStep
from portal.models.request import State

DAYS_BEFORE = (14, 7, 3, 1)
OVERDUE = "overdue"
UNANSWERED = {7: "identity_reminder_7", 21: "identity_reminder_21"}  # days after the question
GIVEN_UP_AFTER, GIVEN_UP = 60, "given_up"  # days after the question
NOT_VERIFIED = "We asked who you are and had no answer. Nothing was done. You can send a new request at any time."
DEMONSTRATION = "demonstration"  # a request of invented people: nobody is reminded of it
AT_A_TIME = 500  # requests that are looked at together

Said = Mapping[str, datetime]  # when each step was taken last


def due_on(request: DataSubjectRequest) -> date:
    """The day by which the answer is due: the promise, or the later day that was told to the member with its reason."""
    return request.legal_on if request.extended_at is not None else request.promise_on


def waiting(*, now: datetime) -> list[UUID]:
    """Open requests of which something is left to say today, the one promised first on top. Reads, nothing else."""
    near = DataSubjectRequest.promise_on <= society_date(now) + timedelta(days=max(DAYS_BEFORE))
    unanswered = and_(
        DataSubjectRequest.state == State.VERIFYING,
        DataSubjectRequest.identity_answered_at.is_(None),
        DataSubjectRequest.identity_asked_at <= now - timedelta(days=min(UNANSWERED) - 1),
    )
    query = select(DataSubjectRequest).where(DataSubjectRequest.closed_at.is_(None), or_(near, unanswered))
    by_day = query.order_by(DataSubjectRequest.promise_on, DataSubjectRequest.id)
    found = []
    for some in db.session.scalars(by_day).partitions(AT_A_TIME):
        said = _said([request.id for request in some])
        found += [request.id for request in some if _left(request, said[request.id], now)]
    return found


def remind(request_id: UUID, *, now: datetime) -> list[str]:
    """Say what is left to say of one request today, once; the steps that were taken. Asked again in its turn."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.id == request_id).with_for_update(key_share=True)
    request = db.session.scalars(query, execution_options={"populate_existing": True}).one()
    left = _left(request, _said([request.id])[request.id], now)
    for step in left:
        _say(request, step, now=now)
    return left


def _left(request: DataSubjectRequest, said: Said, now: datetime) -> list[str]:
    """The steps to take; of several words that silence has skipped, the most urgent alone."""
    if not request.is_open or DEMONSTRATION in said:
        return []
    to_person = _to_person(request, said, now)
    if to_person == GIVEN_UP:
        return [GIVEN_UP]
    return [step for step in (to_person, _to_staff(request, said, now)) if step]


def _to_staff(request: DataSubjectRequest, said: Said, now: datetime) -> str:
    today = society_date(now)
    left = (due_on(request) - today).days
    if left < 0:
        return "" if OVERDUE in said and society_date(said[OVERDUE]) >= today else OVERDUE
    reached = [days for days in DAYS_BEFORE if left <= days]
    if not reached:
        return ""
    step = f"due_{min(reached)}"
    moved = request.extended_at  # what was said of the day before it says nothing of the new one
    return "" if step in said and (moved is None or said[step] > moved) else step


def _to_person(request: DataSubjectRequest, said: Said, now: datetime) -> str:
    asked = request.identity_asked_at
    if request.state != State.VERIFYING or asked is None or request.identity_answered_at is not None:
        return ""
    days = (society_date(now) - society_date(asked)).days
    if days >= GIVEN_UP_AFTER:
        return GIVEN_UP
    reached = [each for each in UNANSWERED if days >= each]
    step = UNANSWERED[max(reached)] if reached else ""
    return "" if step in said and said[step] >= asked else step  # an earlier question has reminders of its own


def _say(request: DataSubjectRequest, step: str, *, now: datetime) -> None:
    kind, left = KINDS[request.kind], (due_on(request) - society_date(now)).days
    if step == GIVEN_UP:
        handling.give_up(request, NOT_VERIFIED, now=now)
        return
    db.session.add(RequestStep(request_id=request.id, step=step, by="portal", at=now))
    db.session.flush()
    if step in UNANSWERED.values():
        messages.identity_reminder(request, kind, now=now)
    elif step == OVERDUE:
        messages.staff_request_overdue(request, kind, -left, now=now)
    else:
        messages.staff_request_due(request, kind, left, now=now)


def _said(ids: Sequence[UUID]) -> Mapping[UUID, dict[str, datetime]]:
    """When each step of these requests was taken last."""
    found: dict[UUID, dict[str, datetime]] = defaultdict(dict)
    query = select(RequestStep.request_id, RequestStep.step, RequestStep.at).where(RequestStep.request_id.in_(ids))
    for request_id, step, at in db.session.execute(query.order_by(RequestStep.id)):
        found[request_id][step] = at
    return found
