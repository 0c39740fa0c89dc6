"""Verbs on erasures: wait, approve, hold, carry out, and close when everybody outside has answered (P15, P28, Art. 17).

Called by pages, the desk, `erasures run` and the worker. A review (P28) is carried out by the same verbs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from portal.datamap import erasure
from portal.datamap.erasure import Found, Line, Mention, Needles, Plan
from portal.datamap.rows import Person, person
from portal.domain import events, recognitions, subjects, suspensions, trail
from portal.domain.errors import NotDue
from portal.extensions import db
from portal.mail import messages
from portal.models import DataSubjectRequest, Disclosure, ErasureLine, Member, RequestStep, RequestTask, Subject
from portal.models.disclosure import AUTHORITY
from portal.models.request import ANONYMISATION, BEGUN, ERASING, OPEN, REVIEW, WORDS, State
from portal.vocabulary import Door

COOLING_OFF = timedelta(hours=72)
DATA_NEEDED = ("access", "portability")  # an answer that must be given before the data is gone

HOLDS: Mapping[str, str] = {
    "dispute": "A question between you and the society is still open.",
    "claim": "A bill or a legal claim is still open, and this data is needed for it.",
    "request": "Another request of yours needs this data first.",
}

CLOSED = "This request is closed."
DONE = "This has been carried out already."
NEEDS_ATTENTION = "needs_attention"
CHECKED = "checked"


# Before ---------------------------------------------------------------------------------------------------


def plan(member_id: UUID, *, scope: str = "", now: datetime) -> Plan:
    """What an erasure, or the review of one purpose, would do now: for the member and the desk."""
    return erasure.plan(member_id, now=now, ended=_ended(scope))


def wait_until(request: DataSubjectRequest) -> datetime:
    """Nothing is deleted before: 72 hours after the receipt, or when the member pressed **Delete without waiting**."""
    return request.wait_until or request.received_at + COOLING_OFF


def do_not_wait(member: Member, request: DataSubjectRequest, *, now: datetime) -> None:
    """The member waives the 72 hours, having just given the password again. Raises NotDue when it is too late."""
    _in_turn(request)
    if request.subject_id != member.id or not request.is_open or request.carried_out_at is not None:
        raise NotDue(CLOSED)
    if wait_until(request) > now:
        request.wait_until = now
        _step(request, "do_not_wait", by="member", now=now)
    db.session.flush()


def approve(request: DataSubjectRequest, *, now: datetime) -> None:
    """The desk agrees; it then runs by itself when nothing else is in the way. Twice is once. Raises NotDue.

    Whoever outside holds something is listed from now on: staff can write to them while they know whom it is about.
    """
    _in_turn(request)
    if not request.is_open or request.carried_out_at is not None:
        raise NotDue(CLOSED)
    if request.approved_at is not None:
        return
    request.approved_at = now
    if request.state in (State.RECEIVED, State.VERIFYING):
        if request.verified_at is None:
            raise NotDue("We do not know yet that it was really this person who asked.")
        request.state = State.WORKING
    _list_outside(request, _asked_outside(request, now))
    _step(request, "approved", by="staff", now=now)
    db.session.flush()
    if request.kind != REVIEW:  # for a review nobody has asked
        messages.erasure_approved(db.session.get(Member, request.subject_id), request, now=now)


def hold(request: DataSubjectRequest, reason: str, *, now: datetime) -> None:
    """The desk stops it for a reason of HOLDS; KeyError for any other word. Raises NotDue when it is too late."""
    _in_turn(request)
    if not request.is_open or request.carried_out_at is not None:
        raise NotDue(CLOSED)
    why = HOLDS[reason]
    if request.hold == reason:
        return
    request.hold = reason
    _step(request, "held", by="staff", now=now)
    db.session.flush()
    if request.kind != REVIEW:
        messages.erasure_held(db.session.get(Member, request.subject_id), request, why, now=now)


def resume(request: DataSubjectRequest, *, now: datetime) -> None:
    """The reason to wait is over."""
    _in_turn(request)
    if request.hold:
        request.hold = ""
        _step(request, "resumed", by="staff", now=now)
    db.session.flush()


def why_not_yet(request: DataSubjectRequest, *, now: datetime) -> str:
    """Why it may not run at this moment, in words for desk and member; empty when it may."""
    if request.carried_out_at is not None:
        return DONE
    if not request.is_open:
        return CLOSED
    if request.hold:
        return HOLDS[request.hold]
    if wait_until(request) > now:
        return "The 72 hours in which nothing is deleted are not over."
    if request.approved_at is None:
        return "Our staff have not looked at it yet."
    other = db.session.scalars(
        select(DataSubjectRequest.reference)
        .where(
            DataSubjectRequest.subject_id == request.subject_id,
            DataSubjectRequest.kind.in_(DATA_NEEDED),
            DataSubjectRequest.closed_at.is_(None),
        )
        .order_by(DataSubjectRequest.received_at)
    ).first()
    return f"Your request {other} needs this data first." if other else ""


def due(*, now: datetime) -> list[UUID]:
    """What may be carried out now, the first approved first."""
    other = aliased(DataSubjectRequest)
    needed = exists().where(
        other.subject_id == DataSubjectRequest.subject_id, other.kind.in_(DATA_NEEDED), other.closed_at.is_(None)
    )
    query = select(DataSubjectRequest.id).where(
        DataSubjectRequest.kind.in_(ERASING),
        DataSubjectRequest.closed_at.is_(None),
        DataSubjectRequest.approved_at.is_not(None),
        DataSubjectRequest.carried_out_at.is_(None),
        DataSubjectRequest.hold == "",
        _waited(now),
        ~needed,
    )
    return list(db.session.scalars(query.order_by(DataSubjectRequest.approved_at, DataSubjectRequest.id)))


def _waited(now: datetime) -> ColumnElement[bool]:
    return or_(
        DataSubjectRequest.wait_until <= now,
        and_(DataSubjectRequest.wait_until.is_(None), DataSubjectRequest.received_at <= now - COOLING_OFF),
    )


# Carried out ----------------------------------------------------------------------------------------------


def hashes(subject_id: UUID) -> tuple[str, ...]:
    """The keyed hashes under which the person will stay silent: what the journal is told before it begins."""
    return erasure.identifying_hashes(person(subject_id))


def announce(request_id: UUID, *, now: datetime) -> datetime:
    """Note that it is about to be carried out; since when that is so. Raises NotDue.

    Committed before the journal is told: a database that does not know the beginning is older than the journal, and
    the gate closes. Nothing is noted twice.
    """
    request = _locked(request_id)
    if why := CLOSED if request is None else why_not_yet(request, now=now):
        raise NotDue(why)
    query = select(RequestStep).where(RequestStep.request_id == request_id).order_by(RequestStep.id.desc())
    last = db.session.scalars(query.limit(1)).first()
    if last is not None and last.step == BEGUN:
        return last.at
    db.session.add(RequestStep(request_id=request_id, step=BEGUN, by="portal", at=now))
    db.session.flush()
    return now


def carry_out(request_id: UUID, *, now: datetime) -> Needles:
    """Erase: rows, certificate, tasks for those outside, farewell; all in the caller's transaction or not at all.

    Asked again under the lock whether it may. What comes back must be found nowhere after the commit. Raises NotDue.
    """
    request = _locked(request_id)
    if request is None:
        raise NotDue(CLOSED)
    subjects.take_turn(request.subject_id)
    member = db.session.scalars(
        select(Member)
        .where(Member.id == request.subject_id)
        .with_for_update(of=Member)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if why := why_not_yet(request, now=now):
        raise NotDue(why)
    who = person(request.subject_id)
    looked_for = erasure.needles(who)
    ended = _ended(request.scope)
    if ended:
        _carry_out_review(request, who, ended, now=now)
    else:
        _carry_out_whole(request, member, who, now=now)
    return looked_for


def _carry_out_whole(request: DataSubjectRequest, member: Member | None, who: Person, *, now: datetime) -> None:
    to, first_name = (member.email, member.first_name) if member else (request.contact, "")
    outside = _asked_outside(request, now)
    if request.kind == ANONYMISATION:
        events.count_without_name(who.id)
    _close_others(request.subject_id, but=request, now=now)
    lasting = hashes(who.id) if suspensions.standing(who.id) else ()
    recognitions.leave(who.id, now=now)
    lines = erasure.carry_out(who, now=now)
    suspensions.outlive(lasting)
    _note(request, lines, outside, now=now)
    if to:
        plan = Plan(lines, outside)
        messages.farewell(
            to=to, first_name=first_name, request=request, plan=plan, had_record=member is not None, now=now
        )
    messages.staff_erasure_done(request, _still_to_answer(request), now=now)
    db.session.flush()


def _carry_out_review(request: DataSubjectRequest, who: Person, ended: frozenset[str], *, now: datetime) -> None:
    outside = _asked_outside(request, now)
    for name in erasure.ended_fields(who, ended):
        trail.record(who.id, trail.CHANGED, field=name, door=Door.SYSTEM, now=now)
    _note(request, erasure.carry_out_ended(who, ended, now=now), outside, now=now)
    if still := _still_to_answer(request):
        messages.staff_erasure_done(request, still, now=now)
    _close_if_complete(request, now=now)
    db.session.flush()


@dataclass(frozen=True)
class Repeated:
    """An erasure that was carried out again: whose, what must be found nowhere, and the request, if it is known."""

    who: Person
    looked_for: Needles
    request: DataSubjectRequest | None


def carry_out_again(subject_id: UUID, *, hashes: tuple[str, ...], at: datetime, now: datetime) -> Repeated:
    """After a restore: repeat an erasure of the moment `at`, which this database has forgotten (rights §5.6).

    Nobody is written to: the farewell has gone out before. Somebody whom this database never knew is noted as erased.
    The request stays open until everybody outside is ticked once more. In the caller's transaction.
    """
    at = min(at, now)
    if db.session.get(Subject, subject_id) is None:
        db.session.add(Subject(id=subject_id, erased_at=at))
        db.session.flush()
    subjects.take_turn(subject_id)
    asked = db.session.scalars(
        select(DataSubjectRequest)
        .where(
            DataSubjectRequest.subject_id == subject_id,
            DataSubjectRequest.kind.in_(ERASING),
            DataSubjectRequest.scope == "",
            DataSubjectRequest.closed_at.is_(None),
        )
        .order_by(DataSubjectRequest.received_at, DataSubjectRequest.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).first()
    outside = erasure.holdings(subject_id, now=now)
    who = person(subject_id)
    looked_for = erasure.needles(who)
    _close_others(subject_id, but=asked, now=now)
    if asked is not None and asked.kind == ANONYMISATION:
        events.count_without_name(subject_id)  # of one who was counted before the backup, no registration came back
    recognitions.leave(subject_id, now=at)
    lines = erasure.carry_out(who, now=at)
    erasure.silence(hashes, now=at)
    if suspensions.standing(subject_id):
        suspensions.outlive(hashes)
    if asked is not None and asked.carried_out_at is None:
        asked.verified_at, asked.verified_how = asked.verified_at or at, asked.verified_how or "journal"
        asked.approved_at, asked.state, asked.hold = asked.approved_at or at, State.WORKING, ""
        _note(asked, lines, outside, now=at)
    db.session.flush()
    return Repeated(who, replace(looked_for, texts=(*looked_for.texts, *hashes)), asked)


def check_again(repeated: Sequence[Repeated], *, now: datetime) -> None:
    """After a replay: search for each of them, and tell staff whom outside they have to ask once more."""
    left: list[str] = []
    for each in repeated:
        found = erasure.verify(each.looked_for, each.who)
        if each.request is not None:
            checked(each.request.id, found, now=now)
        else:
            left += found.left
    if repeated:
        known = [each.request for each in repeated if each.request is not None]
        messages.staff_erasures_repeated(known, len(repeated) - len(known), sorted(set(left)), now=now)
    db.session.flush()


def _note(request: DataSubjectRequest, lines: tuple[Line, ...], outside: tuple[str, ...], *, now: datetime) -> None:
    """The certificate, the tasks, and that it is done."""
    for line in lines:
        db.session.add(
            ErasureLine(
                request_id=request.id,
                what=line.what,
                action=line.action,
                rows=line.rows,
                reason=line.reason,
                until_on=line.until_on,
            )
        )
    _list_outside(request, outside)
    request.carried_out_at = now
    _step(request, "carried_out", by="portal", now=now)
    db.session.flush()


def _asked_outside(request: DataSubjectRequest, now: datetime) -> tuple[str, ...]:
    return erasure.holdings(request.subject_id, ended=_ended(request.scope), now=now)


def receivers(request: DataSubjectRequest) -> list[tuple[str, datetime]]:
    """Who received the person's details by a list or otherwise, each once, and when the last time; for the desk only.

    The log outlives the erasure, so that they can be told of it (GDPR Art. 19); an authority with a case is not told.
    """
    last = func.max(Disclosure.at)
    query = select(Disclosure.recipient, last).where(
        Disclosure.subject_id == request.subject_id, Disclosure.audience != AUTHORITY
    )
    rows = db.session.execute(query.group_by(Disclosure.recipient).order_by(last.desc(), Disclosure.recipient))
    return [(recipient, at) for recipient, at in rows]


def _list_outside(request: DataSubjectRequest, outside: tuple[str, ...]) -> None:
    """The tasks of those outside; who is listed already is not asked twice."""
    listed = set(db.session.scalars(select(RequestTask.holding).where(RequestTask.request_id == request.id)))
    fresh = [RequestTask(request_id=request.id, holding=code) for code in outside if code not in listed]
    db.session.add_all(fresh)
    db.session.flush()
    db.session.expire(request, ["tasks"])


def _still_to_answer(request: DataSubjectRequest) -> list[str]:
    return [task.holding for task in request.outside if task.done_at is None]


def _close_others(subject_id: UUID, *, but: DataSubjectRequest | None, now: datetime) -> None:
    """What else the person had asked has nobody left to be answered to. One that is being answered stays answered."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == subject_id, DataSubjectRequest.state.in_(OPEN)
    )
    if but is not None:
        query = query.where(DataSubjectRequest.id != but.id)
    query = query.order_by(DataSubjectRequest.received_at, DataSubjectRequest.id)
    locked = query.with_for_update(key_share=True, of=DataSubjectRequest)
    for other in db.session.scalars(locked.execution_options(populate_existing=True)):
        other.state = State.WITHDRAWN
        other.closed_at = now
        _step(other, "closed_by_erasure", by="portal", now=now)


def due_of(subject_id: UUID, *, now: datetime) -> UUID | None:
    """The person's request that may be carried out now, for a run that finds an erasure begun."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == subject_id,
        DataSubjectRequest.kind.in_(ERASING),
        DataSubjectRequest.scope == "",
        DataSubjectRequest.approved_at.is_not(None),
    )
    requests = db.session.scalars(query.order_by(DataSubjectRequest.approved_at, DataSubjectRequest.id))
    return next((each.id for each in requests if not why_not_yet(each, now=now)), None)


def unchecked(*, again: bool) -> list[tuple[UUID, UUID]]:
    """Request and person of each erasure that was carried out and not checked, the first carried out first.

    `again`: those, too, of which the last check has found something.
    """
    checks = select(RequestStep.step).where(
        RequestStep.request_id == DataSubjectRequest.id, RequestStep.step.in_((NEEDS_ATTENTION, CHECKED))
    )
    last = checks.order_by(RequestStep.id.desc()).limit(1).scalar_subquery()
    query = select(DataSubjectRequest.id, DataSubjectRequest.subject_id).where(
        DataSubjectRequest.kind.in_(ERASING),
        DataSubjectRequest.scope == "",
        DataSubjectRequest.closed_at.is_(None),
        DataSubjectRequest.carried_out_at.is_not(None),
        or_(last.is_(None), last == NEEDS_ATTENTION) if again else last.is_(None),
    )
    rows = db.session.execute(query.order_by(DataSubjectRequest.carried_out_at, DataSubjectRequest.id))
    return [(request_id, subject_id) for request_id, subject_id in rows]


# Afterwards -----------------------------------------------------------------------------------------------


def checked(request_id: UUID, found: Found, *, now: datetime) -> None:
    """What the search after the erasure has found. It may count as done when nothing of the person's own is left.

    Words of others about the person become tasks, one for each record. Staff are told what is new.
    """
    request = _locked(request_id)
    if request is None:
        return
    mentions = _noted(request, found.mentions)
    outcome = NEEDS_ATTENTION if found.left else CHECKED
    changed = _last_check(request) != outcome
    if changed:
        _step(request, outcome, by="portal", now=now)
    db.session.flush()
    if mentions or (found.left and changed):
        messages.staff_erasure_needs_attention(request, found.left, mentions, now=now)
    _close_if_complete(request, now=now)
    db.session.flush()


def _noted(request: DataSubjectRequest, mentions: tuple[Mention, ...]) -> list[str]:
    """Write the tasks that are new; where those words stand, as `table.column`."""
    query = select(RequestTask.holding).where(RequestTask.request_id == request.id)
    known = set(db.session.scalars(query))
    fresh = [each for each in mentions if WORDS + each.record.hex not in known]
    records = dict.fromkeys(each.record for each in fresh)
    db.session.add_all([RequestTask(request_id=request.id, holding=WORDS + record.hex) for record in records])
    return sorted({each.place for each in fresh})


def worded(request: DataSubjectRequest) -> list[tuple[RequestTask, str]]:
    """The tasks about words of others, each with the number of the member who wrote them; for the desk only.

    Whoever has no number is named by the random number of the record.
    """
    people = {UUID(hex=task.holding.removeprefix(WORDS)): task for task in request.words}
    query = select(Member.id, Member.member_number).where(Member.id.in_(people))
    numbers = {row.id: row.member_number for row in db.session.execute(query)}
    return [(task, numbers.get(record) or str(record)) for record, task in people.items()]


def tick(request: DataSubjectRequest, holding: str, *, now: datetime) -> None:
    """Somebody outside has done it. The last tick after the erasure closes the request as fulfilled.

    Raises NotDue before it is approved.
    """
    _in_turn(request)
    if request.approved_at is None:
        raise NotDue("It is not approved yet, so nobody outside is asked yet.")
    for task in request.tasks:
        if task.holding == holding and task.done_at is None:
            task.done_at = now
    db.session.flush()
    _close_if_complete(request, now=now)
    db.session.flush()


def _close_if_complete(request: DataSubjectRequest, *, now: datetime) -> None:
    """Fulfilled only when it is carried out, every task is ticked, and the last check has found nothing of theirs."""
    open_task = exists().where(RequestTask.request_id == request.id, RequestTask.done_at.is_(None))
    if (
        request.is_open
        and request.carried_out_at is not None
        and (request.scope or _last_check(request) == CHECKED)
        and not db.session.scalars(select(open_task)).one()
    ):
        request.state = State.FULFILLED
        request.closed_at = now
        _step(request, "fulfilled", by="portal", now=now)


def _last_check(request: DataSubjectRequest) -> str | None:
    query = select(RequestStep.step).where(
        RequestStep.request_id == request.id, RequestStep.step.in_((NEEDS_ATTENTION, CHECKED))
    )
    return db.session.scalars(query.order_by(RequestStep.id.desc())).first()


# Shared ---------------------------------------------------------------------------------------------------


def _ended(scope: str) -> frozenset[str]:
    return frozenset({scope}) if scope else frozenset()


def _in_turn(request: DataSubjectRequest) -> None:
    """The same request, as it stands when it is our turn."""
    db.session.refresh(request, with_for_update={"key_share": True, "of": DataSubjectRequest})


def _locked(request_id: UUID) -> DataSubjectRequest | None:
    query = select(DataSubjectRequest).where(DataSubjectRequest.id == request_id).with_for_update(key_share=True)
    return db.session.scalars(query, execution_options={"populate_existing": True}).one_or_none()


def _step(request: DataSubjectRequest, step: str, *, by: str, now: datetime) -> None:
    db.session.add(RequestStep(request_id=request.id, step=step, by=by, at=now))
