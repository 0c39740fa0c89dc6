"""Verbs on data subject requests: file one, follow it, withdraw it (P25 to P27, P32)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.domain import notices
from portal.domain.deadlines import dates
from portal.domain.errors import AlreadyOpen, CannotWithdraw
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages
from portal.models import DataSubjectRequest, Member, RequestStep
from portal.models.request import OPEN, State
from portal.tokens import digest, new_reference
from portal.vocabulary import Door

TRANSITIONS: Mapping[State, tuple[State, ...]] = {
    State.RECEIVED: (State.VERIFYING, State.WORKING, State.REFUSED, State.WITHDRAWN),
    State.VERIFYING: (State.WORKING, State.REFUSED, State.WITHDRAWN),
    State.WORKING: (State.EXTENDED, State.FULFILLED, State.PARTLY_FULFILLED, State.REFUSED, State.WITHDRAWN),
    State.EXTENDED: (State.FULFILLED, State.PARTLY_FULFILLED, State.REFUSED, State.WITHDRAWN),
}


def file(member: Member, kind: str, *, details: str, operation_id: str, via: Door, now: datetime) -> DataSubjectRequest:
    """State a request, with its dates, its receipt and the note to staff in one transaction.

    The caller has just seen the member's password: that is the identity check (GDPR Art. 12(6)). The same
    operation sent twice returns the first request. Raises AlreadyOpen for a kind that may be open once.
    """
    operation_id = digest(f"{member.id}/{operation_id}")  # the same word from another member is another operation
    again = _first_of(member, kind, operation_id)
    if again is not None:
        return again
    request = DataSubjectRequest(
        reference=new_reference(),
        operation_id=operation_id,
        subject_id=member.id,
        kind=kind,
        details=details,
        state=State.RECEIVED,
        door=via,
        verified_at=now,
        verified_how="password",
        received_at=now,
        notice_version=notices.version_in_force(now),
        **asdict(dates(now)),
    )
    request.steps.append(RequestStep(step="received", by="member", at=now))
    try:
        with db.session.begin_nested():
            db.session.add(request)
    except IntegrityError:  # the same form arrived twice at once: the other one was first
        first = _first_of(member, kind, operation_id)
        if first is None:
            raise
        return first
    messages.request_received(member, request, KINDS[kind], now=now)
    messages.staff_request_received(request, KINDS[kind], now=now)
    return request


def withdraw(member: Member, request: DataSubjectRequest, *, now: datetime) -> None:
    """Take an open request back. Raises CannotWithdraw when it is closed, also by another press a moment before."""
    db.session.refresh(request, with_for_update={"key_share": True})
    if State.WITHDRAWN not in TRANSITIONS.get(State(request.state), ()):
        raise CannotWithdraw("This request is closed. You can send a new one at any time.")
    request.state = State.WITHDRAWN
    request.closed_at = now
    request.steps.append(RequestStep(step="withdrawn", by="member", at=now))
    db.session.flush()
    messages.request_withdrawn(member, request, KINDS[request.kind], now=now)
    messages.staff_request_withdrawn(request, KINDS[request.kind], now=now)


def of(member: Member) -> list[DataSubjectRequest]:
    """The member's requests, newest first."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.subject_id == member.id)
    return list(db.session.scalars(query.order_by(DataSubjectRequest.received_at.desc(), DataSubjectRequest.id)))


def one_of(member: Member, reference: str) -> DataSubjectRequest | None:
    """The member's request with this reference; None if there is none or it is somebody else's."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == member.id, DataSubjectRequest.reference == reference
    )
    return db.session.scalars(query).one_or_none()


def open_request(member: Member, kind: str) -> DataSubjectRequest | None:
    """The member's open request of a kind, the oldest first if there are several."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == member.id,
        DataSubjectRequest.kind == kind,
        DataSubjectRequest.closed_at.is_(None),
    )
    return db.session.scalars(query.order_by(DataSubjectRequest.received_at)).first()


def queue() -> list[DataSubjectRequest]:
    """All open requests, the one due first on top: the desk's list."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.state.in_(OPEN))
    return list(db.session.scalars(query.order_by(DataSubjectRequest.promise_on, DataSubjectRequest.received_at)))


def by_reference(reference: str) -> DataSubjectRequest | None:
    """Any request, for the desk."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.reference == reference)
    return db.session.scalars(query).one_or_none()


def _first_of(member: Member, kind: str, operation_id: str) -> DataSubjectRequest | None:
    """The request that this very form has made already. Raises AlreadyOpen if another form made the one allowed."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.operation_id == operation_id, DataSubjectRequest.subject_id == member.id
    )
    same = db.session.scalars(query).one_or_none()
    if same is None and KINDS[kind].once and (standing := open_request(member, kind)) is not None:
        raise AlreadyOpen(standing.reference)
    return same
