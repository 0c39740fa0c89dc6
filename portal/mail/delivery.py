"""Room of mail: the outbox is carried away. Only commands and the worker call this; any number may run at once.

Each message is sent at least once: when it is unsure whether the relay took it, it is sent again as the same
bytes with the same Message-ID. No transaction is open while the relay is spoken to.
"""

from __future__ import annotations

import re
import secrets
import smtplib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Final, TypeVar, cast
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, bindparam, or_, select, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.sql.dml import ReturningUpdate

from portal import clock
from portal.extensions import db, plain_transaction, transaction
from portal.mail import bounces, broadcasts, outbox, transport
from portal.models import Broadcast, Member, Message, Subject
from portal.models.broadcast import BroadcastState
from portal.models.message import FAREWELL, MailKind, MailState
from portal.models.suppression import may_be_mailed
from portal.tokens import canonical_address

BATCH: Final = 50
LEASE: Final = timedelta(minutes=2)
STEPS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))  # the last one repeats
GIVE_UP: Final = timedelta(hours=72)
AWAY: Final = timedelta(minutes=1)
DEAD_LETTER: Final = "dead_letter"
ERASED: Final = "your record was erased"
NO_LONGER: Final = "you do not get these messages"
UNWRITABLE: Final = "it cannot be written as an email"

log = structlog.get_logger()
_MESSAGE, _MEMBER, _SUBJECT, _BROADCAST = (
    cast(Table, model.__table__) for model in (Message, Member, Subject, Broadcast)
)
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Delivered:
    """What one run did, in messages. `deferred`: put back untouched, as the relay was away or the worker ended."""

    sent: int = 0
    retried: int = 0
    dead: int = 0
    cancelled: int = 0
    deferred: int = 0


class _Outcome(StrEnum):
    SENT = "sent"
    RETRIED = "retried"
    DEAD = "dead"
    CANCELLED = "cancelled"
    LOST = "lost"  # another worker has it: our lease ran out
    GONE = "gone"  # the relay broke off under this message
    HELD = "held"  # its broadcast is paused, or was stopped


def deliver(
    *,
    now: Callable[[], datetime] = clock.now,
    limit: int | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Delivered:
    """Deliver what is due, personal mail before broadcasts, until nothing is left or `limit` messages were tried.

    Stops at the first sign that the relay is away; nothing is lost or counted against a message by that. Asks
    `stopping` before each message, so that a worker that is told to end ends between two of them.
    """
    worker = secrets.token_hex(16)
    counts: Counter[str] = Counter()
    tried = 0
    while limit is None or tried < limit:
        batch = _claim(worker, at=now(), most=BATCH if limit is None else min(BATCH, limit - tried))
        if not batch.idents:
            break
        tried += len(batch.idents)
        try:
            with transport.mail.connect() as line:
                run = _deliver_batch if batch.letter is None else _deliver_copies
                reached = run(line, batch, worker, now=now, stopping=stopping, counts=counts)
        except (smtplib.SMTPException, OSError) as trouble:
            log.warning("mail.relay_away", error=type(trouble).__name__)
            reached = False
        except BaseException:
            with suppress(SQLAlchemyError):
                _release(worker, due_at=None)
            raise
        if not reached:
            counts["deferred"] += _release(worker, due_at=None if stopping() else now() + AWAY)
            break
    return Delivered(**{name: counts[name] for name in ("sent", "retried", "dead", "cancelled", "deferred")})


@dataclass(frozen=True)
class _Batch:
    """Messages under a lease: of no broadcast, or copies of one letter."""

    idents: Sequence[UUID]
    letter: broadcasts.Letter | None = None


def _deliver_batch(
    line: transport.Connection,
    batch: _Batch,
    worker: str,
    *,
    now: Callable[[], datetime],
    stopping: Callable[[], bool],
    counts: Counter[str],
) -> bool:
    """False when the relay broke off or the worker is to end: the rest stays claimed for the caller to put back."""
    for ident in batch.idents:
        if stopping():
            return False
        outcome = _deliver_one(line, ident, worker, now=now)
        if not _counted(outcome, ident, counts):
            return False
    return True


def _counted(outcome: _Outcome, ident: UUID, counts: Counter[str]) -> bool:
    """False when the relay broke off under this message."""
    if outcome is _Outcome.GONE:
        counts[_Outcome.RETRIED] += 1
        log.warning("mail.relay_away", message=str(ident))
        return False
    counts[outcome] += 1
    return True


def mend_times(*, now: datetime) -> int:
    """What no step puts off so far is due now: a clock was ahead when it was written. How many there were."""
    waits = Message.state == MailState.QUEUED, Message.due_at > now + 2 * STEPS[-1]
    going = select(Broadcast.id).where(Broadcast.state.in_((BroadcastState.RUNNING, BroadcastState.PAUSED)))
    mended = 0
    with transaction():
        for part in (
            (Message.broadcast_id.is_(None), Message.kind.in_(list(MailKind))),
            (Message.broadcast_id.in_(going),),
        ):
            statement = update(Message).where(*part, *waits).values(due_at=now)
            mended += db.session.execute(statement, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined]
    return mended


# Claims ---------------------------------------------------------------------------------------------------


def _claim(worker: str, *, at: datetime, most: int) -> _Batch:
    """Take up to `most` due messages under a lease: nobody else touches them while it lasts. Copies come last."""
    with transaction():
        ended = or_(Message.lease_until < at, Message.lease_until > at + 2 * LEASE)  # by a clock that was ahead
        db.session.execute(
            update(Message)
            .where(Message.id.in_(_claimed(ended)))
            .values(state=MailState.QUEUED, lease_until=None, lease_by="")
            .execution_options(synchronize_session=False)
        )
        lease = {"worker": worker, "at": at, "until": at + LEASE, "most": most}
        for kinds in ((MailKind.ACCOUNT, MailKind.RECEIPT, MailKind.STAFF), (MailKind.BROADCAST,)):
            taken = _take(_taking(kinds), lease)
            if taken:
                return _Batch(taken)
        running = select(Broadcast).where(Broadcast.state == BroadcastState.RUNNING).order_by(Broadcast.id)
        for broadcast in db.session.scalars(running):
            taken = _take(_taking(None), lease | {"broadcast": broadcast.id})
            if taken:
                return _Batch(taken, broadcasts.letter(broadcast))
    return _Batch([])


def _claimed(whose: ColumnElement[bool]) -> Select[UUID]:
    """Messages under a lease. One that somebody holds is left out: an erasure holds several and may wait for ours."""
    leased = _MESSAGE.c.lease_until.is_not(None), _MESSAGE.c.state == MailState.CLAIMED
    return select(_MESSAGE.c.id).where(*leased, whose).with_for_update(skip_locked=True)


def _take(taking: ReturningUpdate[Any], lease: dict[str, Any]) -> Sequence[UUID]:
    taken = db.session.connection().execute(taking, lease).all()
    return [row.id for row in sorted(taken, key=lambda row: (row.due_at, row.created_at, row.id))]


@lru_cache(maxsize=4)
def _taking(kinds: tuple[MailKind, ...] | None) -> ReturningUpdate[Any]:
    """Claim some of what is due: messages of some kinds, of no broadcast; or, without kinds, of one broadcast."""
    message = _MESSAGE.c
    which = (
        (message.broadcast_id.is_(None), message.kind.in_(kinds))
        if kinds
        else (message.broadcast_id == bindparam("broadcast"),)
    )
    due = (
        select(message.id)
        .where(*which, message.state == MailState.QUEUED, message.due_at <= bindparam("at"))
        .order_by(message.due_at, message.id)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(_MESSAGE)
        .where(message.id.in_(select(due.c.id)))
        .values(state=MailState.CLAIMED, lease_until=bindparam("until"), lease_by=bindparam("worker"))
        .returning(message.id, message.due_at, message.created_at)
    )


def _release(worker: str, *, due_at: datetime | None) -> int:
    """Put back what this worker still holds; how many that were."""
    values: dict[str, object] = {"state": MailState.QUEUED, "lease_until": None, "lease_by": ""}
    with transaction():
        rows = db.session.execute(
            update(Message)
            .where(Message.id.in_(_claimed(_MESSAGE.c.lease_by == worker)))
            .values(values if due_at is None else values | {"due_at": due_at})
            .returning(Message.id)
            .execution_options(synchronize_session=False)
        )
        return len(rows.all())


def _renew(worker: str, at: datetime) -> None:
    db.session.execute(_RENEWING, {"worker": worker, "until": at + LEASE})


# One message ----------------------------------------------------------------------------------------------


def _deliver_one(line: transport.Connection, ident: UUID, worker: str, *, now: Callable[[], datetime]) -> _Outcome:
    with transaction():
        row = db.session.scalars(
            select(Message)
            .where(Message.id == ident, Message.state == MailState.CLAIMED, Message.lease_by == worker)
            .with_for_update()
        ).one_or_none()
        if row is None:
            return _Outcome.LOST
        objection = _objection(row)
        if objection:
            _end(row, MailState.CANCELLED, objection)
            return _Outcome.CANCELLED
        try:
            message = transport.Message(row)
            message.as_bytes()
        except ValueError:
            return _bury(row, UNWRITABLE, at=now())
        _renew(worker, now())
    outcome = _hand_over(line, message, ident, now=now)
    if outcome is _Outcome.SENT:
        _mark_sent(ident, at=now())
    return outcome


def _hand_over(
    line: transport.Connection, message: transport.Message, ident: UUID, *, now: Callable[[], datetime]
) -> _Outcome:
    """Give one message to the relay, and write down what is not taken. What is taken, the caller marks."""
    try:
        line.send(message)
    except smtplib.SMTPRecipientsRefused as refused:
        code, words = next(iter(refused.recipients.values()))
        if code == 530:
            raise  # it wants a password of us: no message's fault (RFC 4954 §6)
        return _refused(ident, code, words, at=now())
    except smtplib.SMTPSenderRefused as refused:
        code, words = refused.smtp_code, refused.smtp_error
        if code == 421 or (code >= 500 and code != 552):
            raise  # it refuses us, not this message; 552 is about its size
        return _refused(ident, code, words, at=now())
    except smtplib.SMTPDataError as refused:
        return _refused(ident, refused.smtp_code, refused.smtp_error, at=now())
    except (smtplib.SMTPException, OSError):
        # Perhaps taken, perhaps not. It waits longer each time, so that it cannot block the others for ever.
        return _unsure(ident, at=now())
    return _Outcome.SENT


def _objection(row: Message) -> str:
    """Why this message may not leave now, in words for its person; empty if it may. Asked right before it leaves."""
    if row.kind == MailKind.BROADCAST:
        address = db.session.scalars(
            select(Member.email).join(Member.subject).where(Member.id == row.subject_id, may_be_mailed(row.topic))
        ).one_or_none()
        if address is None:
            return NO_LONGER
        if canonical_address(address) != canonical_address(row.to_address):
            row.to_address = address
        return ""
    subject = db.session.get(Subject, row.subject_id) if row.subject_id else None
    erased = subject is not None and subject.erased_at is not None
    return ERASED if erased and row.name != FAREWELL else ""


def _refused(ident: UUID, code: int, words: bytes | str, *, at: datetime) -> _Outcome:
    text = words.decode("ascii", "replace") if isinstance(words, bytes) else words
    status = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)", text)
    failure = f"refused by the receiving side ({code}{' ' + status[0] if status else ''})"
    with transaction():
        bounces.take_turn(ident)
        row = _still_due(ident)
        if row is None:
            return _Outcome.LOST
        outcome = _bury(row, failure, at=at) if code >= 500 else _put_back(row, failure, at=at)
        if outcome is _Outcome.DEAD and status:
            bounces.refused(row, status[0], now=at)
    return _Outcome.GONE if code == 421 and outcome is _Outcome.RETRIED else outcome


def _unsure(ident: UUID, *, at: datetime) -> _Outcome:
    with transaction():
        row = _still_due(ident)
        if row is not None:
            _put_back(row, "the connection broke off", at=at)
    return _Outcome.GONE


def _still_due(ident: UUID) -> Message | None:
    """The row, unless it has reached an end meanwhile, whoever holds the lease now."""
    return db.session.scalars(
        select(Message)
        .where(Message.id == ident, Message.state.in_((MailState.CLAIMED, MailState.QUEUED)))
        .with_for_update()
    ).one_or_none()


def _put_back(row: Message, failure: str, *, at: datetime) -> _Outcome:
    """Try again after 1, 5, 15, 60 minutes, then hourly; for 72 hours, but never without the quick tries."""
    step = STEPS[min(row.attempts, len(STEPS) - 1)]
    if at - row.created_at >= GIVE_UP and row.attempts >= len(STEPS):
        return _bury(row, failure, at=at)
    row.attempts += 1
    row.state, row.lease_until, row.lease_by = MailState.QUEUED, None, ""
    row.due_at, row.failure = at + step, failure
    return _Outcome.RETRIED


def _mark_sent(ident: UUID, *, at: datetime) -> None:
    """In a commit of its own."""

    def mark() -> None:
        row = _still_due(ident)
        if row is not None:
            _end(row, MailState.SENT, "")
            row.sent_at = at

    _insisting(mark)


def _insisting(step: Callable[[], _Made], open_one: Callable[[], AbstractContextManager[Any]] = transaction) -> _Made:
    """A step in a transaction of its own, tried again when the database is busy: otherwise a message goes out twice."""
    for _ in range(4):
        with suppress(OperationalError), open_one():
            return step()
    with open_one():
        return step()


def _end(row: Message, state: MailState, failure: str) -> None:
    """An end of any sort clears the text: links in it are secrets, and nobody needs them any more.

    Of somebody who was erased nothing stays: it was the last copy of the address (rights §5.2). Nor does an address
    of which no row says whose it is: nobody would find it again.
    """
    if row.name == FAREWELL or failure == ERASED or row.subject_id is None:
        row.to_address, row.subject_id = "", None
    row.attempts += state is not MailState.CANCELLED
    row.state, row.lease_until, row.lease_by = state, None, ""
    row.text = row.html = row.calendar = row.unsubscribe_url = ""
    row.failure = failure


# Copies of a letter -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sent:
    """A copy that the relay has, and of which the database does not know it yet."""

    ident: UUID
    at: datetime
    address: str


def _deliver_copies(
    line: transport.Connection,
    batch: _Batch,
    worker: str,
    *,
    now: Callable[[], datetime],
    stopping: Callable[[], bool],
    counts: Counter[str],
) -> bool:
    """As `_deliver_batch`, for many of one letter: to mark one as sent and to ask about the next is one transaction.

    So each is marked in a commit of its own before the next one leaves, and there is no other commit. By a plain
    connection: a session around two statements costs as much again as they do.
    """
    assert batch.letter is not None
    sent: _Sent | None = None
    renewed = now()
    with db.engine.connect() as database:
        try:
            for ident in batch.idents:
                if stopping():
                    return False
                late = now() - renewed > LEASE / 4
                renewed = now() if late else renewed
                step = partial(
                    _mark_and_ask, database, sent, ident, batch.letter.topic, worker, renew_at=renewed if late else None
                )
                row, sent = _insisting(step, partial(plain_transaction, database)), None
                if row is not None and row.state != BroadcastState.RUNNING:
                    _release(worker, due_at=None)
                    return True
                outcome = _send_copy(line, batch.letter, ident, row, now=now)
                if outcome is _Outcome.SENT and row is not None:
                    sent = _Sent(ident, now(), row.email)
                if not _counted(outcome, ident, counts):
                    return False
        finally:
            if sent is not None:
                _insisting(partial(_mark_copy, database, sent), partial(plain_transaction, database))
    return True


def _send_copy(
    line: transport.Connection,
    letter: broadcasts.Letter,
    ident: UUID,
    row: Row[Any] | None,
    *,
    now: Callable[[], datetime],
) -> _Outcome:
    """What becomes of a copy as the database knows it at this moment; sent, it is still to be marked."""
    if row is None:
        return _Outcome.LOST
    if not row.allowed:
        with transaction():
            _end(db.session.get_one(Message, ident), MailState.CANCELLED, NO_LONGER)
        return _Outcome.CANCELLED
    person = broadcasts.Recipient(row.first_name, row.last_name, row.email, row.unsubscribe_reference)
    try:
        message = letter.message(person, title=row.title, message_id=row.message_id)
    except ValueError:
        with transaction():
            return _bury(db.session.get_one(Message, ident), UNWRITABLE, at=now())
    return _hand_over(line, message, ident, now=now)


def _mark_and_ask(
    database: Connection, sent: _Sent | None, ident: UUID, topic: str, worker: str, *, renew_at: datetime | None
) -> Row[Any] | None:
    """What is to be known of the next copy: suppression, restriction, erasure, topic and address, as they are now."""
    if sent is not None:
        _mark_copy(database, sent)
    if renew_at is not None:
        database.execute(_RENEWING, {"worker": worker, "until": renew_at + LEASE})
    return database.execute(_asking(topic), {"ident": ident, "worker": worker}).one_or_none()


@lru_cache(maxsize=64)
def _asking(topic: str) -> Select[Any]:
    """All that is to be known of one copy right before it leaves, in one question."""
    return (
        select(
            _MESSAGE.c.message_id,
            _MESSAGE.c.title,
            _MEMBER.c.email,
            _MEMBER.c.first_name,
            _MEMBER.c.last_name,
            _SUBJECT.c.unsubscribe_reference,
            _BROADCAST.c.state,
            may_be_mailed(topic).label("allowed"),
        )
        .select_from(_MESSAGE)
        .join(_BROADCAST, _BROADCAST.c.id == _MESSAGE.c.broadcast_id)
        .outerjoin(_SUBJECT, _SUBJECT.c.id == _MESSAGE.c.subject_id)
        .outerjoin(_MEMBER, _MEMBER.c.id == _MESSAGE.c.subject_id)
        .where(
            _MESSAGE.c.id == bindparam("ident"),
            _MESSAGE.c.state == MailState.CLAIMED,
            _MESSAGE.c.lease_by == bindparam("worker"),
        )
    )


_RENEWING: Final = (
    update(_MESSAGE)
    .where(_MESSAGE.c.id.in_(_claimed(_MESSAGE.c.lease_by == bindparam("worker"))))
    .values(lease_until=bindparam("until"))
)
_MARKING: Final = (
    update(_MESSAGE)
    .where(
        _MESSAGE.c.id == bindparam("ident"),
        or_(_MESSAGE.c.state == MailState.CLAIMED, _MESSAGE.c.state == MailState.QUEUED),
    )
    .values(
        state=MailState.SENT,
        sent_at=bindparam("at"),
        to_address=bindparam("address"),
        attempts=_MESSAGE.c.attempts + 1,
        lease_until=None,
        lease_by="",
        failure="",
    )
)


def _mark_copy(database: Connection, sent: _Sent) -> None:
    """The same end as `_end` gives; there is no text to clear."""
    database.execute(_MARKING, {"ident": sent.ident, "at": sent.at, "address": sent.address})


# The alarm ------------------------------------------------------------------------------------------------


def _bury(row: Message, failure: str, *, at: datetime) -> _Outcome:
    """Give the message up and tell the staff, in the same commit; never about such an alarm itself.

    The alarm names the message by its number, never the person. A topic raises one alarm a day.
    """
    log.error("mail.dead", message=str(row.id), kind=row.kind, name=row.name, failure=failure)
    broadcast = row.kind == MailKind.BROADCAST
    thread = f"dead.{row.topic or row.id}"
    _end(row, MailState.DEAD, failure)
    if row.name != DEAD_LETTER and not (broadcast and _alarmed(thread, since=at - timedelta(days=1))):
        outbox.put_to_staff(
            DEAD_LETTER,
            now=at,
            thread=thread,
            number=str(row.id),
            dead_kind=row.kind,
            dead_topic=row.topic,
            failure=failure,
            written_at=row.created_at,
        )
    return _Outcome.DEAD


def _alarmed(thread: str, *, since: datetime) -> bool:
    recent = select(Message.id).where(
        Message.name == DEAD_LETTER, Message.in_reply_to == outbox.message_id(thread), Message.created_at > since
    )
    return db.session.scalars(recent.order_by(Message.id).limit(1)).first() is not None
