"""Verbs on erasure reviews: the portal opens one when a membership or a consent of somebody in the EEA ends (P28).

Nobody files a review. Its plan and its carrying out are those of `erasures`; the member ends it by withdrawing it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, insert, or_, select

from portal.domain import notices
from portal.domain.deadlines import dates
from portal.domain.erasures import COOLING_OFF
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages
from portal.models import DataSubjectRequest, Member, RequestStep, Subject
from portal.models.request import ANONYMISATION, ERASURE, REVIEW, State
from portal.purposes import CHOICES, CONSENTS, EEA, ENDED
from portal.tokens import new_reference
from portal.vocabulary import Door

MEMBERSHIP = ""  # the scope of a review that looks at everything
MEMBERSHIP_FIELDS = frozenset(("kind", "membership_status", "expires_on"))
HOW = "opened by the portal"


def membership_ended(before: Mapping[str, Any], changes: Mapping[str, Any], *, today: date) -> bool:
    """Whether these changes of a record end a membership: its kind, its status, or its last day.

    A last day that passes by itself is no change: members renew late.
    """
    after = {**before, **changes}
    was_member = before["kind"] == "member"
    return (
        (was_member and after["kind"] != "member")
        or (was_member and _says_ended(after["membership_status"]) and not _says_ended(before["membership_status"]))
        or (was_member and _is_past(after["expires_on"], today) and not _is_past(before["expires_on"], today))
    )


def membership_stands(before: Mapping[str, Any], changes: Mapping[str, Any], *, today: date) -> bool:
    """Whether a membership runs after these changes, as when somebody renews late."""
    after = {**before, **changes}
    runs = not _says_ended(after["membership_status"]) and not _is_past(after["expires_on"], today)
    return runs and after["kind"] == "member" and not MEMBERSHIP_FIELDS.isdisjoint(changes)


def _says_ended(status: str) -> bool:
    return status.strip().lower() in ENDED


def _is_past(day: date | None, today: date) -> bool:
    return day is not None and day < today


def withdrawn(code: str, *, before: str | None, after: str) -> str | None:
    """The purpose whose consent an answer takes back; None if it takes none back."""
    return CONSENTS[code] if code in CONSENTS and before == "yes" and after == "no" else None


def what_ended(scope: str) -> str:
    """What a review of this scope follows, as a sentence to the member."""
    if scope == MEMBERSHIP:
        return "Your membership has ended."
    code = next(code for code, purpose in CONSENTS.items() if purpose == scope)
    return f"You withdrew your yes to “{CHOICES[code].label}”."


def open(member: Member, *, scope: str, via: Door, now: datetime) -> DataSubjectRequest | None:  # noqa: A001
    """Open a review and tell the member and the staff; None where `open_many` has a reason against it."""
    return next(iter(open_many([member.id], scope=scope, via=via, now=now)), None)


def open_many(subject_ids: Iterable[UUID], *, scope: str, via: Door, now: datetime) -> list[DataSubjectRequest]:
    """Open a review for each of these people, a few thousand at most, and tell them and the staff.

    `scope`: the purpose that ended, or `MEMBERSHIP`. Left out are people outside the EEA, the erased, and those who
    have an open erasure or anonymisation, or an open review of the same scope.
    """
    ids = list(subject_ids)
    busy = select(DataSubjectRequest.subject_id).where(
        DataSubjectRequest.subject_id.in_(ids),
        DataSubjectRequest.closed_at.is_(None),
        or_(
            DataSubjectRequest.kind.in_((ERASURE, ANONYMISATION)),
            and_(DataSubjectRequest.kind == REVIEW, DataSubjectRequest.scope == scope),
        ),
    )
    query = (
        select(Member)
        .join(Subject, Subject.id == Member.id)
        .where(Member.id.in_(ids), Member.country.in_(EEA), Subject.erased_at.is_(None), Member.id.not_in(busy))
        .order_by(Member.id)
        .execution_options(populate_existing=True)  # an import writes past the session
    )
    people = db.session.scalars(query).unique().all() if ids else []
    versions = notices.versions_for([member.id for member in people], notices.reached(now) if people else [])
    days = asdict(dates(now))
    opened = [
        _review(member, scope=scope, via=via, version=versions[member.id], days=days, now=now) for member in people
    ]
    db.session.add_all(opened)
    db.session.flush()
    if opened:
        steps = [{"request_id": request.id, "step": "opened", "by": "portal", "at": now} for request in opened]
        db.session.execute(insert(RequestStep), steps)  # one statement, however many
    for request in opened:
        messages.review_opened(request, KINDS[REVIEW], ended=what_ended(scope), now=now)
    if len(opened) == 1:
        messages.staff_request_received(opened[0], KINDS[REVIEW], now=now)
    elif opened:
        messages.staff_reviews_opened(opened, now=now)
    return opened


def end_many(subject_ids: Iterable[UUID], *, scope: str, now: datetime) -> list[DataSubjectRequest]:
    """What had ended stands again: end these people's open reviews of this scope, and tell them and the staff."""
    query = (
        select(DataSubjectRequest)
        .where(
            DataSubjectRequest.subject_id.in_(list(subject_ids)),
            DataSubjectRequest.kind == REVIEW,
            DataSubjectRequest.scope == scope,
            DataSubjectRequest.closed_at.is_(None),
            DataSubjectRequest.carried_out_at.is_(None),
        )
        .order_by(DataSubjectRequest.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    ended = list(db.session.scalars(query))
    for request in ended:
        request.state, request.closed_at = State.WITHDRAWN, now
        request.steps.append(RequestStep(step="stands_again", by="portal", at=now))
        messages.review_ended(request, KINDS[REVIEW], again=AGAIN[scope == MEMBERSHIP], now=now)
        messages.staff_request_withdrawn(request, KINDS[REVIEW], now=now)
    db.session.flush()
    return ended


AGAIN = {True: "Your membership is active again.", False: "You said yes again."}


def _review(
    member: Member, *, scope: str, via: Door, version: int | None, days: Mapping[str, date], now: datetime
) -> DataSubjectRequest:
    return DataSubjectRequest(
        reference=new_reference(),
        operation_id=secrets.token_hex(16),
        subject_id=member.id,
        kind=REVIEW,
        scope=scope,
        state=State.RECEIVED,
        door=via,
        verified_at=now,
        verified_how=HOW,
        received_at=now,
        wait_until=now + COOLING_OFF,
        notice_version=version,
        **days,
    )
