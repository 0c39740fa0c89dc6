"""Verbs on a suspension: somebody may not use the portal for a while, for safety (P15). Called by the desk.

Sign-in, activation and reset then answer as they answer strangers, so that nobody learns of it by trying. Rights stay:
requests without a sign-in are taken and answered. Each suspension is looked at again after a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update

from portal.clock import society_date
from portal.domain import signin, subjects, trail
from portal.domain.deadlines import month_add
from portal.domain.errors import NotNow
from portal.extensions import db
from portal.mail import messages
from portal.models import Account, DataSubjectRequest, Member, Message, Subject, Suppression, Suspension
from portal.vocabulary import Door

A_WEEK = timedelta(days=7)
REASONS: Mapping[str, str] = {
    "fraud": "Fraud, or pretending to be somebody else",
    "abuse": "Harassment, or abuse of the portal",
    "sanctions": "A list of sanctions that binds us",
}


class Standing(NamedTuple):
    """A suspension that stands, and the newest request of the person, whose page leads to them."""

    suspension: Suspension
    reference: str | None


def suspend(subject: Subject, reason: str, *, now: datetime) -> bool:
    """End every sign-in and let nobody in as this person. False if that is so already.

    Raises NotNow for somebody of the desk and for the erased, KeyError for another reason.
    """
    if reason not in REASONS:
        raise KeyError(reason)
    there = subjects.take_turn(subject.id)
    if not there or db.session.get(Member, subject.id) is None:
        raise NotNow("There is no record that could be suspended.")
    account = db.session.scalars(
        select(Account).where(Account.member_id == subject.id).with_for_update(of=Account)
    ).one_or_none()
    if account is not None and account.staff:
        raise NotNow("This person works at the desk. The role has to be taken from them first.")
    if standing(subject.id) is not None:
        return False
    db.session.add(Suspension(subject_id=subject.id, reason=reason, at=now, review_on=_next_year(now)))
    trail.record(subject.id, "suspended", door=Door.STAFF, now=now)
    signin.cancel_waiting_change(subject.id, now=now)
    if account is not None:
        signin.end_all(account)
        signin.end_links(account, now=now)
    db.session.flush()
    return True


def end(suspension: Suspension, *, now: datetime) -> bool:
    """The person may come in again, with the password of before. False if it has ended."""
    if not _in_turn(suspension):
        return False
    suspension.ended_at = now
    trail.record(suspension.subject_id, "let in again", door=Door.STAFF, now=now)
    db.session.flush()
    return True


def keep(suspension: Suspension, *, now: datetime) -> bool:
    """Looked at again, and still needed: for one more year from today. False if it has ended."""
    if not _in_turn(suspension):
        return False
    suspension.review_on = _next_year(now)
    db.session.flush()
    return True


def standing(subject_id: UUID) -> Suspension | None:
    """The person's suspension, if one stands."""
    query = select(Suspension).where(Suspension.subject_id == subject_id, Suspension.ended_at.is_(None))
    return db.session.scalars(query.order_by(Suspension.id)).first()


def one(suspension_id: int) -> Suspension | None:
    """Any suspension, by its number."""
    return db.session.get(Suspension, suspension_id)


def all_standing() -> list[Standing]:
    """Every suspension of somebody with a record, the one to be looked at first on top."""
    newest = (
        select(DataSubjectRequest.reference)
        .where(DataSubjectRequest.subject_id == Suspension.subject_id)
        .order_by(DataSubjectRequest.received_at.desc(), DataSubjectRequest.id)
        .limit(1)
        .correlate(Suspension)
        .scalar_subquery()
    )
    query = select(Suspension, newest).join(Subject, Subject.id == Suspension.subject_id)
    query = query.where(Suspension.ended_at.is_(None), Subject.erased_at.is_(None))
    return [Standing(*row) for row in db.session.execute(query.order_by(Suspension.review_on, Suspension.id))]


def how_many() -> int:
    """How many people with a record are suspended."""
    query = select(func.count()).select_from(Suspension).join(Subject, Subject.id == Suspension.subject_id)
    return db.session.execute(query.where(Suspension.ended_at.is_(None), Subject.erased_at.is_(None))).scalar_one()


def to_look_at(*, now: datetime) -> int:
    """How many suspensions of people with a record are to be looked at again by now."""
    query = select(func.count()).select_from(Suspension).join(Subject, Subject.id == Suspension.subject_id)
    query = query.where(Suspension.ended_at.is_(None), Subject.erased_at.is_(None))
    return db.session.execute(query.where(Suspension.review_on <= society_date(now))).scalar_one()


def remind(*, now: datetime) -> bool:
    """Tell staff of suspensions to be looked at again, once a week until they have; whether it told. Safe to repeat."""
    number = to_look_at(now=now)
    lately = select(Message.id).where(Message.name == messages.SUSPENSIONS_DUE, Message.created_at > now - A_WEEK)
    if not number or db.session.scalars(lately.limit(1)).first() is not None:
        return False
    messages.staff_suspensions_due(number, now=now)
    return True


def outlive(hashes: Iterable[str]) -> None:
    """After an erasure: what keeps the person silent says too that they were suspended; no file brings them back."""
    db.session.execute(
        update(Suppression).where(Suppression.keyed_hash.in_(list(hashes))).values(reason="suspended"),
        execution_options={"synchronize_session": False},
    )


def _in_turn(suspension: Suspension) -> bool:
    """The same suspension, as it stands when it is our turn; False when it has ended."""
    subjects.take_turn(suspension.subject_id)
    db.session.refresh(suspension)
    return suspension.ended_at is None


def _next_year(now: datetime) -> date:
    return month_add(society_date(now), 12)
