"""Verbs of the desk's list: what is due, numbers at a glance, one thing looked up. Called by `web/desk`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, or_, select, tuple_

from portal.clock import society_date
from portal.domain import requests, trail
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.models import DataSubjectRequest, Member
from portal.models.request import REVIEW, State
from portal.tokens import canonical_address

SOON = timedelta(days=7)
YEAR = timedelta(days=365)
ANSWERED = (State.FULFILLED, State.PARTLY_FULFILLED, State.REFUSED)
NOT_BY_HAND = (REVIEW, *(code for code, kind in KINDS.items() if kind.at_once))  # nobody waited for an answer

# As `reminders.due_on`: the promise, or the later day that was told to the member with its reason.
DUE: ColumnElement[date] = case(
    (DataSubjectRequest.extended_at.is_not(None), DataSubjectRequest.legal_on), else_=DataSubjectRequest.promise_on
)


@dataclass(frozen=True)
class Numbers:
    """At a glance. `median_days`: from receipt to answer, of the last year's answers by hand; None without any."""

    open: int
    soon: int
    overdue: int
    median_days: float | None


@dataclass(frozen=True)
class Found:
    """What a look-up found: the person with that address, if there is one, and the requests, the newest first."""

    member: Member | None
    requests: list[DataSubjectRequest]


def page(
    *, assigned_to: UUID | None = None, after: str = "", limit: int
) -> tuple[list[tuple[DataSubjectRequest, date]], str]:
    """Open requests with the day on which they are due, the first due on top, and the key of the next page or "".

    `assigned_to`: only those of one account. `after`: as the page before gave it. Raises ValueError for another key.
    """
    query = select(DataSubjectRequest, DUE).where(DataSubjectRequest.closed_at.is_(None))
    if assigned_to is not None:
        query = query.where(DataSubjectRequest.assigned_to_id == assigned_to)
    if after:
        day, reference = after[:10], after[11:]
        begin = date.fromisoformat(day)
        query = query.where(tuple_(DUE, DataSubjectRequest.reference) > (begin, reference))
    rows = db.session.execute(query.order_by(DUE, DataSubjectRequest.reference).limit(limit + 1)).all()
    shown = [(row[0], row[1]) for row in rows[:limit]]
    last = shown[-1] if len(rows) > limit else None
    return shown, f"{last[1].isoformat()}_{last[0].reference}" if last else ""


def numbers(*, now: datetime) -> Numbers:
    """The numbers at a glance, in one query: a median has no word that all databases share."""
    today = society_date(now)
    query = select(DUE, DataSubjectRequest.received_on, DataSubjectRequest.closed_at)
    rows = db.session.execute(query.where(or_(DataSubjectRequest.closed_at.is_(None), answered_by_hand(now)))).all()
    due = [row[0] for row in rows if row.closed_at is None]
    took = [(society_date(row.closed_at) - row.received_on).days for row in rows if row.closed_at is not None]
    return Numbers(
        open=len(due),
        soon=sum(today <= day <= today + SOON for day in due),
        overdue=sum(day < today for day in due),
        median_days=median(took) if took else None,
    )


def answered_by_hand(now: datetime) -> ColumnElement[bool]:
    """SQL: a request that was answered in the last year, and not by the portal alone."""
    return and_(
        DataSubjectRequest.closed_at > now - YEAR,
        DataSubjectRequest.state.in_(ANSWERED),
        DataSubjectRequest.kind.not_in(NOT_BY_HAND),
    )


def member_of(key: str) -> Member | None:
    """The person with this address, however it is written, or with this member number."""
    if "@" in key:
        query = select(Member).where(Member.email_key == canonical_address(key))
    else:
        query = select(Member).where(Member.member_number == key)
    return db.session.scalars(query.order_by(Member.id)).first()


def find(asked: str, *, now: datetime) -> Found:
    """What has this reference, or this address. A look at a person is a row of their trail."""
    if "@" not in asked:
        request = requests.by_reference(reference(asked))
        return Found(None, [request] if request else [])
    key = canonical_address(asked)
    if not key:  # longer than any address: an empty contact is that of everybody with a record
        return Found(None, [])
    member = member_of(asked)
    if member is not None:
        trail.look(member.id, "looked up", now=now)
    theirs = DataSubjectRequest.contact == key
    if member is not None:
        theirs = or_(theirs, DataSubjectRequest.subject_id == member.id)
    query = select(DataSubjectRequest).where(theirs)
    newest = query.order_by(DataSubjectRequest.received_at.desc(), DataSubjectRequest.id).limit(50)
    return Found(member, list(db.session.scalars(newest)))


def reference(typed: str) -> str:
    """A reference as we write it, from one that was read out or copied: small letters, blanks, lines left out."""
    letters = "".join(letter for letter in typed.upper() if letter.isalnum()).removeprefix("IM")
    return f"IM-{letters[:4]}-{letters[4:]}"
