"""Verbs on data subject requests: file one, follow it, withdraw it (P25 to P27, P32)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, case, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from portal.domain import choices, erasures, event_choices, members, notices, subjects
from portal.domain.at_once import PERSON, Line, Part, ask, columns
from portal.domain.deadlines import dates
from portal.domain.errors import AlreadyOpen, CannotAdd, CannotWithdraw, NotDue, StaleRecord
from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.mail import messages
from portal.models import DataSubjectRequest, Member, RequestStep, Subject, Suppression
from portal.models.request import ANONYMISATION, ERASING, ERASURE, REVIEW, State
from portal.purposes import SUPPRESS
from portal.tokens import canonical_address, digest, new_reference, suppression_hash, suppression_hashes
from portal.vocabulary import Door

BY_PASSWORD = "password"  # noqa: S105  how a person was recognised
UNASKED = "not needed: it does no harm"
STAFF_TOLD, TOLD_TOGETHER = "staff_told", "staff_told_together"  # one by one, or in a digest
AT_ONCE = 10  # mails to staff in an hour, one a request
NO_MARKETING: Mapping[str, str] = {
    SUPPRESS: "yes",
    "post": "no",
    "phone": "no",
    "sponsor_sharing": "no",
    "employer_sharing": "no",
}

STILL_NEEDED = "All of it is still needed for other reasons. The portal lists them under “What we hold about you”."
NOTHING_SENT = "We hold no record of you, so you were on no list. Your address gets no news and no offers from us."
TURNED_OFF = (
    "Turned off: all broadcast email, post, phone, Sponsor sharing and Employer sharing. "
    "If you change your mind, you can turn on what you like under Choices, at any time."
)

# The steps that the person is told; a note, a reminder to staff and the like stay at the desk.
TOLD = frozenset(
    {"received", "opened", "taken", "identity_asked", "identity_reminder_7", "identity_reminder_21", "verified"}
    | {"turned_off", "added", "extended", "answered", "refused", "fulfilled", "sent_elsewhere", "withdrawn"}
    | {"do_not_wait", "approved", "held", "resumed", "carried_out", "checked", "needs_attention"}
    | {"closed_by_erasure", "stands_again", "nothing_to_erase"}
)

TRANSITIONS: Mapping[State, tuple[State, ...]] = {
    State.RECEIVED: (State.VERIFYING, State.WORKING, State.REFUSED, State.WITHDRAWN),
    State.VERIFYING: (State.WORKING, State.REFUSED, State.WITHDRAWN),
    State.WORKING: (State.EXTENDED, State.FULFILLED, State.PARTLY_FULFILLED, State.REFUSED, State.WITHDRAWN),
    State.EXTENDED: (State.FULFILLED, State.PARTLY_FULFILLED, State.REFUSED, State.WITHDRAWN),
}


def file(
    member: Member,
    kind: str,
    *,
    details: str,
    operation_id: str,
    controller: str = "",
    continues: DataSubjectRequest | None = None,
    via: Door,
    now: datetime,
) -> DataSubjectRequest:
    """State a request of somebody who is signed in and has just given the password: that is the identity check.

    `controller`: to whom the data are to go (Art. 20(2)). `continues`: their earlier request that this one is about.
    As `file_for` otherwise; the same operation of another person is another one.
    """
    return file_for(
        member.subject,
        kind,
        details=details,
        operation_id=digest(f"{member.id}/{operation_id}"),
        controller=controller,
        continues_id=continues.id if continues else None,
        verified_how=BY_PASSWORD,
        via=via,
        now=now,
    )


def file_for(
    subject: Subject,
    kind: str,
    *,
    details: str,
    operation_id: str,
    contact: str = "",
    controller: str = "",
    continues_id: UUID | None = None,
    verified_how: str,
    via: Door,
    received_at: datetime | None = None,
    now: datetime,
) -> DataSubjectRequest:
    """State a request, with its dates, its receipt and the note to staff in one transaction.

    `contact`: where answers go to somebody without a record. `verified_how`: how we know who it is (GDPR Art.
    12(6)), empty when we do not yet. `received_at`: when it arrived, if staff write it down later. The same
    operation (one for all people, at most 64 characters) sent twice returns the first request. Raises AlreadyOpen for
    a kind that may be open once, and StaleRecord for somebody who was erased.
    """
    if subject.erased_at is not None or not subjects.take_turn(subject.id):
        raise StaleRecord("This record was erased. Nothing was sent.")
    again = _first_of(subject.id, kind, operation_id)
    if again is not None:
        return again
    arrived = received_at or now
    request = DataSubjectRequest(
        reference=new_reference(),
        operation_id=operation_id,
        subject_id=subject.id,
        kind=kind,
        details=details,
        contact=contact,
        controller=controller,
        continues_id=continues_id,
        state=State.RECEIVED,
        door=via,
        verified_at=now if verified_how else None,
        verified_how=verified_how,
        received_at=arrived,
        notice_version=notices.version_for(subject.id, arrived),
        wait_until=now + erasures.COOLING_OFF if kind in ERASING else None,
        **asdict(dates(arrived)),
    )
    request.steps.append(RequestStep(step="received", by="staff" if via is Door.STAFF else "member", at=now))
    try:
        with db.session.begin_nested():
            db.session.add(request)
    except IntegrityError:  # the same form arrived twice at once: the other one was first
        first = _first_of(subject.id, kind, operation_id)
        if first is None:
            raise
        return first
    member = db.session.get(Member, subject.id)
    if KINDS[kind].at_once:
        _stop_marketing(subject, request, via=via, now=now)
        return request
    if kind in (ERASURE, ANONYMISATION):
        told = members.known_addresses(member, now=now) if member is not None else [request.contact]
        planned = erasures.plan(subject.id, now=now)
        messages.erasure_received(member, request, KINDS[kind], planned, to=[each for each in told if each], now=now)
    else:
        messages.request_received(request, KINDS[kind], now=now)
    _tell_staff(request, now=now)
    return request


def _stop_marketing(subject: Subject, request: DataSubjectRequest, *, via: Door, now: datetime) -> None:
    """Nobody reviews it: everything that is news or an offer is off, and the request is answered (Art. 21(3)).

    So is a yes for a single event, which would keep the person on its list for sponsors.
    Of somebody without a record the address is remembered, so that nothing is sent there should one come.
    """
    if db.session.get(Member, subject.id) is None:
        words = NOTHING_SENT
        _silence(request.contact, now=now)
    else:
        for code, value in NO_MARKETING.items():
            choices.change(subject, code, to=value, via=via, now=now)
            event_choices.tighten(subject, code, to=value, via=via, now=now)
        words = TURNED_OFF
    request.state = State.FULFILLED
    request.verified_at, request.verified_how = request.verified_at or now, request.verified_how or UNASKED
    request.closed_at = now
    request.steps.append(RequestStep(step="turned_off", by="portal", words=words, at=now))
    db.session.flush()
    messages.request_answered(request, KINDS[request.kind], words, needs_activation=False, now=now)


def _silence(address: str, *, now: datetime) -> None:
    """What came back from the address was its trouble alone, and may end; what its owner asks for does not end so."""
    if not address:
        return
    key = canonical_address(address)
    query = select(Suppression).where(Suppression.keyed_hash.in_(suppression_hashes(key)))
    standing = db.session.scalars(query.order_by(Suppression.id)).all()
    for row in standing:
        if row.reason == "bounced":
            row.reason, row.at = "asked", now
    if not standing:
        db.session.add(Suppression(keyed_hash=suppression_hash(key), reason="asked", at=now))


def _tell_staff(request: DataSubjectRequest, *, now: datetime) -> None:
    """At once, one by one; in a flood the eleventh of an hour and its followers wait for one digest (threat T32)."""
    lately = select(func.count()).where(RequestStep.step == STAFF_TOLD, RequestStep.at > now - timedelta(hours=1))
    if db.session.execute(lately).scalar_one() < AT_ONCE:
        _staff_told(request, STAFF_TOLD, now=now)
        messages.staff_request_received(request, KINDS[request.kind], now=now)


def tell_staff_of_the_rest(*, now: datetime) -> int:
    """One digest of the requests that staff were not told of one by one; how many it names."""
    told = exists().where(
        RequestStep.request_id == DataSubjectRequest.id, RequestStep.step.in_((STAFF_TOLD, TOLD_TOGETHER))
    )
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.closed_at.is_(None),
        DataSubjectRequest.kind != REVIEW,
        ~told,
    )
    rest = list(db.session.scalars(query.order_by(DataSubjectRequest.received_at, DataSubjectRequest.id)))
    for request in rest:
        _staff_told(request, TOLD_TOGETHER, now=now)
    if rest:
        messages.staff_digest(rest, KINDS, now=now)
    return len(rest)


def _staff_told(request: DataSubjectRequest, step: str, *, now: datetime) -> None:
    db.session.add(RequestStep(request_id=request.id, step=step, by="portal", at=now))
    db.session.flush()


def add(member: Member, request: DataSubjectRequest, words: str, *, now: datetime) -> None:
    """The member adds something to an open request. As `add_for`."""
    add_for(member.id, request, words, now=now)


def add_for(subject_id: UUID, request: DataSubjectRequest, words: str, *, now: datetime) -> None:
    """Its person adds something to an open request, or answers who they are; staff are told. Twice is once.

    An answer to that question ends the pause: what staff need to read it is their own time (rights §4.4).
    Raises CannotAdd when it is closed.
    """
    db.session.refresh(request, with_for_update={"key_share": True, "of": DataSubjectRequest})
    if not request.is_open or request.subject_id != subject_id:
        raise CannotAdd("This request is closed. You can send a new one at any time.")
    last = next((each for each in reversed(request.steps) if each.step in TOLD), None)
    if last is not None and (last.step, last.words) == ("added", words):
        return
    if request.state == State.VERIFYING and request.identity_answered_at is None:
        request.identity_answered_at = now
    db.session.add(RequestStep(request_id=request.id, step="added", by="member", words=words, at=now))
    db.session.flush()
    messages.staff_request_added(request, KINDS[request.kind], now=now)


def told(request: DataSubjectRequest) -> list[RequestStep]:
    """The steps that the person sees, the first one first."""
    return [step for step in request.steps if step.step in TOLD]


def withdraw(member: Member, request: DataSubjectRequest, *, now: datetime) -> None:
    """Take an open request back; a review, so that the record stays as it is (P28).

    Raises CannotWithdraw when it is closed, also by another press a moment before, or when the erasure is done.
    """
    _withdraw(request, by="member", now=now)


def withdraw_for(request: DataSubjectRequest, *, now: datetime) -> None:
    """Staff note that the person took it back by letter or by telephone; the person is told. Raises CannotWithdraw."""
    _withdraw(request, by="staff", now=now)


def _withdraw(request: DataSubjectRequest, *, by: str, now: datetime) -> None:
    db.session.refresh(request, with_for_update={"key_share": True, "of": DataSubjectRequest})
    if State.WITHDRAWN not in TRANSITIONS.get(State(request.state), ()) or request.carried_out_at is not None:
        raise CannotWithdraw("This request is closed. You can send a new one at any time.")
    request.state = State.WITHDRAWN
    request.closed_at = now
    request.steps.append(RequestStep(step="withdrawn", by=by, at=now))
    db.session.flush()
    messages.request_withdrawn(request, KINDS[request.kind], noted=by == "staff", now=now)
    messages.staff_request_withdrawn(request, KINDS[request.kind], now=now)


def can_be_kept(request: DataSubjectRequest) -> bool:
    """Whether an erasure can still be taken back: until it is carried out, also when staff have approved it."""
    return request.kind in (ERASURE, ANONYMISATION) and request.is_open and request.carried_out_at is None


def keep(request: DataSubjectRequest, *, now: datetime) -> None:
    """Take an erasure back for whoever holds the link of its receipt (threat T2). Raises CannotWithdraw."""
    _withdraw(request, by="member", now=now)


def close_review(request: DataSubjectRequest, *, now: datetime) -> None:
    """The desk looked, and everything is still needed for another purpose (P28); the member is told.

    Raises NotDue when it is closed.
    """
    db.session.refresh(request, with_for_update={"key_share": True, "of": DataSubjectRequest})
    if request.kind != REVIEW or not request.is_open or request.carried_out_at is not None:
        raise NotDue("This review is closed, or was carried out already.")
    request.state = State.FULFILLED
    request.closed_at = now
    request.steps.append(RequestStep(step="nothing_to_erase", by="staff", at=now))
    db.session.flush()
    messages.review_ended(request, KINDS[REVIEW], again=STILL_NEEDED, now=now)


class Short(NamedTuple):
    """A request as a list of them shows it."""

    kind: str
    reference: str
    state: str
    received_at: datetime
    due_on: date
    closed_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


_ROWS = cast(Table, DataSubjectRequest.__table__).c
_THEIRS = select(
    *columns(
        code=_ROWS.kind,
        word=_ROWS.reference,
        more=_ROWS.state,
        at=_ROWS.received_at,
        then=_ROWS.closed_at,
        day=case((_ROWS.extended_at.is_not(None), _ROWS.legal_on), else_=_ROWS.promise_on),  # reminders.due_on
    )
).where(_ROWS.subject_id == PERSON)
ALL = Part("requests", _THEIRS)
OPEN_ONES = Part("open_requests", _THEIRS.where(_ROWS.closed_at.is_(None)))


def of(subject_id: UUID) -> list[Short]:
    """The person's requests, newest first."""
    return in_short(*ask(ALL, person=subject_id))


def in_short(lines: Iterable[Line]) -> list[Short]:
    """The same from the lines of ALL or OPEN_ONES."""
    found = sorted(lines, key=lambda each: each.at, reverse=True)
    return [Short(each.code, each.word, each.more, each.at, each.day, each.then) for each in found]


def open_by_kind(subject_id: UUID) -> dict[str, Short]:
    """Of the kinds of which one may be open at a time, the one that is."""
    found = in_short(*ask(OPEN_ONES, person=subject_id))
    return {each.kind: each for each in found if KINDS[each.kind].once}


def one_of(member: Member, reference: str) -> DataSubjectRequest | None:
    """The member's request with this reference, with its steps; None if there is none or it is somebody else's."""
    if not reference:
        return None
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == member.id, DataSubjectRequest.reference == reference
    )
    return db.session.scalars(query.options(joinedload(DataSubjectRequest.steps))).unique().one_or_none()


def continues(request: DataSubjectRequest) -> DataSubjectRequest | None:
    """The earlier request that this one goes on from."""
    return db.session.get(DataSubjectRequest, request.continues_id) if request.continues_id else None


def continued_by(request: DataSubjectRequest) -> list[DataSubjectRequest]:
    """The later requests that go on from this one, the first one first."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.continues_id == request.id)
    return list(db.session.scalars(query.order_by(DataSubjectRequest.received_at, DataSubjectRequest.id)))


def open_request(subject_id: UUID, kind: str) -> DataSubjectRequest | None:
    """The person's open request of a kind, the oldest first if there are several."""
    query = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == subject_id,
        DataSubjectRequest.kind == kind,
        DataSubjectRequest.closed_at.is_(None),
    )
    return db.session.scalars(query.order_by(DataSubjectRequest.received_at)).first()


def queue() -> list[DataSubjectRequest]:
    """All open requests, the one due first on top: the desk's list."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.closed_at.is_(None))
    return list(db.session.scalars(query.order_by(DataSubjectRequest.promise_on, DataSubjectRequest.received_at)))


def by_reference(reference: str) -> DataSubjectRequest | None:
    """Any request, for the desk."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.reference == reference)
    return db.session.scalars(query).one_or_none()


def of_operation(operation_id: str) -> DataSubjectRequest | None:
    """The request that this operation has made; None if it made none."""
    query = select(DataSubjectRequest).where(DataSubjectRequest.operation_id == operation_id)
    return db.session.scalars(query).one_or_none()


def _first_of(subject_id: UUID, kind: str, operation_id: str) -> DataSubjectRequest | None:
    """The request that this very form has made already. Raises AlreadyOpen if another form made the one allowed."""
    same = of_operation(operation_id)
    if same is None and KINDS[kind].once and (standing := open_request(subject_id, kind)) is not None:
        raise AlreadyOpen(standing.reference)
    return same
