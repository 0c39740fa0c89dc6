"""Verbs on broadcasts: who may be mailed, queue a letter to them, hold it, end it, and say how far it is (P5, P10)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Table, and_, exists, func, insert, select, update

from portal.domain.errors import CannotSend, NotNow
from portal.extensions import db, unhurried
from portal.mail import broadcasts as letters
from portal.mail import outbox
from portal.mail.broadcasts import NAME, Recipient
from portal.models import Broadcast, ChoiceRow, Member, Message, Subject
from portal.models.broadcast import BroadcastState
from portal.models.message import MailKind, MailState
from portal.models.suppression import may_be_mailed
from portal.purposes import SUPPRESS, topic_choice
from portal.tokens import canonical_address
from portal.vocabulary import Door

AT_ONCE: Final = 1000  # people in one transaction
COUNTED_FOR: Final = timedelta(days=14)  # after the end: who stops the topic by then has heard enough
BY_MAIL: Final = (Door.LINK, Door.ONE_CLICK, Door.MAILTO, Door.REPLY)
STOPPED: Final = "the society stopped this broadcast"
FINAL: Final = (BroadcastState.STOPPED, BroadcastState.ENDED)

_MESSAGE = cast(Table, Message.__table__)


# Who ------------------------------------------------------------------------------------------------------


def allowed(topic: str) -> dict[bytes, bytes]:
    """Everybody who may get a topic at this moment: from `short_key(address)` to the reference of the person's link.

    Suppression, restriction, erasure and the topic itself are asked. Short digests instead of addresses: 18 MB for
    each hundred thousand people. (To ask about a thousand lines at a time takes less, and three times as long.)
    """
    query = (
        select(Member.email_key, Subject.unsubscribe_reference)
        .join(Subject, Subject.id == Member.id)
        .where(may_be_mailed(topic))
        .order_by(Member.id)
        .execution_options(yield_per=5000)
    )
    return {_digest(key): reference for key, reference in db.session.execute(query)}


def short_key(address: str) -> bytes:
    """The digest under which `allowed` knows an address, however it is written."""
    return _digest(canonical_address(address))


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=12).digest()


@dataclass(frozen=True)
class Audience:
    """How many may get a topic now, how many are left out, and how many of the former have no first name."""

    may: int
    left_out: int
    nameless: int


def audience(topic: str) -> Audience:
    """Counted, without reading anybody; of a million people that takes a while."""
    unhurried()
    everybody = db.session.execute(select(func.count()).select_from(Member)).scalar_one()
    those = select(func.count(), func.count().filter(Member.first_name == "")).select_from(Member)
    may, nameless = db.session.execute(those.join(Member.subject).where(may_be_mailed(topic))).one()
    return Audience(may, everybody - may, nameless)


def some(topic: str, *, limit: int) -> list[Recipient]:
    """A few of those who may get a topic, for a preview: their links lead nowhere."""
    query = (
        select(Member.first_name, Member.last_name, Member.email)
        .join(Member.subject)
        .where(may_be_mailed(topic))
        .order_by(Member.id)
        .limit(limit)
    )
    return [Recipient(*row, reference=b"") for row in db.session.execute(query)]


# Queue ----------------------------------------------------------------------------------------------------


def compose(topic: str, title: str, text: str, page: str = "") -> outbox.Words:
    """The words as they would leave, with their slots. Raises CannotSend. `page`: the same as HTML, if there is one."""
    if re.search(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", title):
        raise CannotSend("The subject has to be one line.")
    if not outbox.one_line(title):
        raise CannotSend("The subject is empty.")
    if "unsubscribe_url" in letters.slots(title):
        raise CannotSend("The subject cannot hold the unsubscribe link.")
    if not outbox.plain(text).strip():
        raise CannotSend("The text is empty.")
    return letters.compose(topic, title, text, page)


def queue(topic: str, words: outbox.Words, *, now: datetime) -> Broadcast:
    """Begin a broadcast: `fill_some` then writes down who gets it, and the worker goes on with that after a crash."""
    made = Broadcast(topic=topic, title=words.title, text=words.text, html=words.html, created_at=now, dated_at=now)
    db.session.add(made)
    db.session.flush()
    return made


def fill_some(number: int, *, now: datetime, most: int = AT_ONCE) -> int:
    """Write down the next people who get it; how many. After the last of them it runs.

    Several may fill one broadcast at the same time: each takes its turn. Nobody is written down twice (an index says
    so), and rows hold no text.
    """
    broadcast = _turn(number)
    if broadcast.state != BroadcastState.FILLING:
        return 0
    query = (
        select(Member.id, Member.email, Member.first_name, Member.last_name)
        .join(Member.subject)
        .where(may_be_mailed(broadcast.topic))
        .order_by(Member.id)
        .limit(most)
    )
    last = select(Message.subject_id).where(Message.broadcast_id == number, Message.subject_id.is_not(None))
    reached = db.session.scalars(last.order_by(Message.subject_id.desc()).limit(1)).first()
    people = db.session.execute(query if reached is None else query.where(Member.id > reached)).all()
    rows = [
        {
            "message_id": outbox.message_id(secrets.token_hex(8)),
            "subject_id": person.id,
            "kind": MailKind.BROADCAST,
            "name": NAME,
            "broadcast_id": number,
            "topic": broadcast.topic,
            "to_address": person.email,
            "title": title_for(broadcast, Recipient(person.first_name, person.last_name, person.email, b"")),
            "text": "",
            "html": "",
            "created_at": now,
            "due_at": now,
        }
        for person in people
    ]
    if rows:
        db.session.execute(insert(_MESSAGE), rows)
    broadcast.people += len(rows)
    if len(rows) < most:
        broadcast.state = BroadcastState.RUNNING
    db.session.flush()
    return len(rows)


def title_for(broadcast: Broadcast, person: Recipient) -> str:
    """The subject line that one person gets."""
    return outbox.one_line(letters.fill(broadcast.title, person))


# Hold, go on, stop ----------------------------------------------------------------------------------------


def pause(number: int) -> None:
    """Hold what waits: nothing leaves after the message under way. Raises NotNow unless it runs."""
    broadcast = _turn(number)
    if broadcast.state != BroadcastState.RUNNING:
        raise NotNow("Only a broadcast that is being sent can be paused.")
    broadcast.state = BroadcastState.PAUSED
    db.session.flush()


def go_on(number: int, *, now: datetime) -> None:
    """Send what was held; its messages bear this date. Raises NotNow unless it is paused."""
    broadcast = _turn(number)
    if broadcast.state != BroadcastState.PAUSED:
        raise NotNow("Only a broadcast that is paused can go on.")
    broadcast.state, broadcast.dated_at = BroadcastState.RUNNING, now
    db.session.flush()


def stop(number: int) -> None:
    """For good: nothing more leaves, and the worker cancels what waits. Raises NotNow once it is over."""
    broadcast = _turn(number)
    if broadcast.state in FINAL:
        raise NotNow("This broadcast is over already.")
    broadcast.state = BroadcastState.STOPPED
    db.session.flush()


def _turn(number: int) -> Broadcast:
    """The broadcast, for whoever has the turn until the end of the transaction. Raises NotNow where there is none."""
    query = select(Broadcast).where(Broadcast.id == number).with_for_update()
    found = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotNow("There is no broadcast of this number.")
    return found


# Look after them ------------------------------------------------------------------------------------------


def tend(*, now: datetime) -> bool:
    """One piece of what is to be done for broadcasts, in the caller's short transaction; False when nothing is left.

    Goes on filling, cancels what waits of those that were stopped, closes those of which nothing waits, and keeps the
    number of opt-outs two weeks later. For the worker.
    """
    query = select(Broadcast).where(
        Broadcast.ended_at.is_(None) | (Broadcast.unsubscribed.is_(None) & (Broadcast.ended_at < now - COUNTED_FOR))
    )
    return any(_tend_one(each, now) for each in db.session.scalars(query.order_by(Broadcast.id)).all())


def _tend_one(broadcast: Broadcast, now: datetime) -> bool:
    """Whether there was something to do."""
    if broadcast.ended_at is not None:
        broadcast.unsubscribed = opt_outs(broadcast)
    elif broadcast.state == BroadcastState.FILLING:
        fill_some(broadcast.id, now=now)
    elif broadcast.state == BroadcastState.STOPPED and _cancel_some(broadcast.id):
        return True
    elif _waits(broadcast.id):
        return False
    else:
        _close(_turn(broadcast.id), now)
    db.session.flush()
    return True


def _cancel_some(number: int) -> int:
    waiting = select(Message.id).where(Message.broadcast_id == number, Message.state == MailState.QUEUED)
    some = waiting.order_by(Message.due_at, Message.id).limit(AT_ONCE).with_for_update(skip_locked=True)
    cancelled = db.session.execute(
        update(_MESSAGE)
        .where(_MESSAGE.c.id.in_(db.session.scalars(some).all()))
        .values(state=MailState.CANCELLED, failure=STOPPED)
    )
    return cast(CursorResult[Any], cancelled).rowcount


def _waits(number: int) -> bool:
    waiting = Message.state.in_((MailState.QUEUED, MailState.CLAIMED))
    return db.session.execute(select(exists().where(Message.broadcast_id == number, waiting))).scalar_one()


def _close(broadcast: Broadcast, now: datetime) -> None:
    """Nothing waits any more: the numbers stay, whatever becomes of the rows."""
    numbers = count(broadcast)
    broadcast.sent, broadcast.refused, broadcast.not_sent = numbers.sent, numbers.refused, numbers.not_sent
    broadcast.ended_at = now
    if broadcast.state != BroadcastState.STOPPED:
        broadcast.state = BroadcastState.ENDED


# How far --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Numbers:
    """How far a broadcast is, in messages.

    `refused`: for good, by the receiving side. `not_sent`: they said no meanwhile, or it was stopped.
    """

    sent: int
    waiting: int
    refused: int
    not_sent: int


def count(broadcast: Broadcast) -> Numbers:
    """Counted while something waits; then as it was at the end."""
    if broadcast.ended_at is not None:
        return Numbers(broadcast.sent, 0, broadcast.refused, broadcast.not_sent)
    query = select(Message.state, func.count()).where(Message.broadcast_id == broadcast.id).group_by(Message.state)
    counted = {row[0]: row[1] for row in db.session.execute(query.order_by(Message.state))}
    waiting = counted.get(MailState.QUEUED, 0) + counted.get(MailState.CLAIMED, 0)
    gone = 0 if broadcast.state != BroadcastState.STOPPED else waiting
    return Numbers(
        counted.get(MailState.SENT, 0),
        waiting - gone,
        counted.get(MailState.DEAD, 0),
        counted.get(MailState.CANCELLED, 0) + gone,
    )


def opt_outs(broadcast: Broadcast) -> int:
    """How many who got it stopped its topic, or everything, by a link, button or answer in an email, until two weeks
    after its end. Which email it was is not known: nothing in ours reports back.
    """
    if broadcast.unsubscribed is not None:
        return broadcast.unsubscribed
    query = select(func.count(ChoiceRow.subject_id.distinct())).where(got_and_stopped(broadcast))
    return db.session.execute(query).scalar_one()


def got_and_stopped(broadcast: Broadcast) -> ColumnElement[bool]:
    """SQL: the answers that `opt_outs` counts; a person may have several."""
    got_it = exists().where(
        Message.broadcast_id == broadcast.id,
        Message.subject_id == ChoiceRow.subject_id,
        Message.state == MailState.SENT,
        Message.sent_at <= ChoiceRow.at,
    )
    answers = (ChoiceRow.code == SUPPRESS) & (ChoiceRow.value == "yes") | (
        ChoiceRow.code == topic_choice(broadcast.topic)
    ) & (ChoiceRow.value == "off")
    theirs = and_(ChoiceRow.at >= broadcast.created_at, answers, ChoiceRow.door.in_(BY_MAIL), got_it)
    if broadcast.ended_at is not None:
        return and_(theirs, ChoiceRow.at <= broadcast.ended_at + COUNTED_FOR)
    return theirs


def page(*, before: int | None, limit: int) -> tuple[Sequence[Broadcast], int | None]:
    """The newest broadcasts, or those before a number; and where the next page begins."""
    query = select(Broadcast).order_by(Broadcast.id.desc()).limit(limit + 1)
    found = db.session.scalars(query if before is None else query.where(Broadcast.id < before)).all()
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def one(number: int) -> Broadcast | None:
    """The broadcast of this number."""
    return db.session.get(Broadcast, number)
