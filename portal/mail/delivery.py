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
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from portal import clock
from portal.extensions import db, settings, transaction
from portal.mail import outbox, transport
from portal.models import Member, Message, Subject
from portal.models.message import MailKind, MailState
from portal.models.suppression import may_be_mailed
from portal.tokens import canonical_address

BATCH: Final = 50
LEASE: Final = timedelta(minutes=2)
STEPS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))  # the last one repeats
GIVE_UP: Final = timedelta(hours=72)
AWAY: Final = timedelta(minutes=1)
FAREWELL: Final = "farewell"  # the one message that a person gets after the erasure
DEAD_LETTER: Final = "dead_letter"

log = structlog.get_logger()


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
        if not batch:
            break
        tried += len(batch)
        try:
            with transport.mail.connect() as line:
                reached = _deliver_batch(line, batch, worker, now=now, stopping=stopping, counts=counts)
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


def _deliver_batch(
    line: transport.Connection,
    batch: Sequence[UUID],
    worker: str,
    *,
    now: Callable[[], datetime],
    stopping: Callable[[], bool],
    counts: Counter[str],
) -> bool:
    """False when the relay broke off or the worker is to end: the rest stays claimed for the caller to put back."""
    for ident in batch:
        if stopping():
            return False
        outcome = _deliver_one(line, ident, worker, now=now)
        if outcome is _Outcome.GONE:
            counts[_Outcome.RETRIED] += 1
            log.warning("mail.relay_away", message=str(ident))
            return False
        counts[outcome] += 1
    return True


# Claims ---------------------------------------------------------------------------------------------------


def _claim(worker: str, *, at: datetime, most: int) -> Sequence[UUID]:
    """Take up to `most` due messages under a lease: nobody else touches them while it lasts."""
    with transaction():
        db.session.execute(
            update(Message)
            .where(Message.state == MailState.CLAIMED, Message.lease_until < at)
            .values(state=MailState.QUEUED, lease_until=None, lease_by="")
            .execution_options(synchronize_session=False)
        )
        for kinds in ((MailKind.ACCOUNT, MailKind.RECEIPT, MailKind.STAFF), (MailKind.BROADCAST,)):
            due = (
                select(Message.id)
                .where(Message.state == MailState.QUEUED, Message.kind.in_(kinds), Message.due_at <= at)
                .order_by(Message.due_at, Message.id)
                .limit(most)
                .with_for_update(skip_locked=True)
                .cte("due")
            )
            taken = db.session.execute(
                update(Message)
                .where(Message.id.in_(select(due.c.id)))
                .values(state=MailState.CLAIMED, lease_until=at + LEASE, lease_by=worker)
                .returning(Message.id, Message.due_at, Message.created_at)
                .execution_options(synchronize_session=False)
            ).all()
            if taken:
                return [row.id for row in sorted(taken, key=lambda row: (row.due_at, row.created_at, row.id))]
    return []


def _release(worker: str, *, due_at: datetime | None) -> int:
    """Put back what this worker still holds; how many that were."""
    values: dict[str, object] = {"state": MailState.QUEUED, "lease_until": None, "lease_by": ""}
    with transaction():
        rows = db.session.execute(
            update(Message)
            .where(Message.state == MailState.CLAIMED, Message.lease_by == worker)
            .values(values if due_at is None else values | {"due_at": due_at})
            .returning(Message.id)
            .execution_options(synchronize_session=False)
        )
        return len(rows.all())


def _renew(worker: str, at: datetime) -> None:
    db.session.execute(
        update(Message)
        .where(Message.state == MailState.CLAIMED, Message.lease_by == worker)
        .values(lease_until=at + LEASE)
        .execution_options(synchronize_session=False)
    )


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
            return _bury(row, "it cannot be written as an email", at=now())
        _renew(worker, now())
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
    _mark_sent(ident, at=now())
    return _Outcome.SENT


def _objection(row: Message) -> str:
    """Why this message may not leave now, in words for its person; empty if it may. Asked right before it leaves."""
    if row.kind == MailKind.BROADCAST:
        address = db.session.scalars(
            select(Member.email).join(Member.subject).where(Member.id == row.subject_id, may_be_mailed(row.topic))
        ).one_or_none()
        if address is None:
            return "you do not get these messages"
        if canonical_address(address) != canonical_address(row.to_address):
            row.to_address = address
        return ""
    subject = db.session.get(Subject, row.subject_id) if row.subject_id else None
    erased = subject is not None and subject.erased_at is not None
    return "your record was erased" if erased and row.name != FAREWELL else ""


def _refused(ident: UUID, code: int, words: bytes | str, *, at: datetime) -> _Outcome:
    text = words.decode("ascii", "replace") if isinstance(words, bytes) else words
    status = re.match(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)", text)
    failure = f"refused by the receiving side ({code}{' ' + status[0] if status else ''})"
    with transaction():
        row = _still_due(ident)
        if row is None:
            return _Outcome.LOST
        outcome = _bury(row, failure, at=at) if code >= 500 else _put_back(row, failure, at=at)
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
    """In a commit of its own. Tried again when the database is busy: otherwise the message would go out twice."""
    for tries_left in reversed(range(5)):
        try:
            with transaction():
                row = _still_due(ident)
                if row is not None:
                    _end(row, MailState.SENT, "")
                    row.sent_at = at
        except OperationalError:
            if not tries_left:
                raise
        else:
            return


def _end(row: Message, state: MailState, failure: str) -> None:
    """An end of any sort clears the text: links in it are secrets, and nobody needs them any more."""
    row.attempts += state is not MailState.CANCELLED
    row.state, row.lease_until, row.lease_by = state, None, ""
    row.text = row.html = row.unsubscribe_url = ""
    row.failure = failure


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
        for address in settings().staff_emails:
            outbox.put(
                DEAD_LETTER,
                kind=MailKind.STAFF,
                to=address,
                subject_id=None,
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
