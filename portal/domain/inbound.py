"""Verbs on incoming mail: do what it asks, count what came back, pass on the rest. Called by `mail receive`.

A sender can be forged, so a message only ever tightens, and it is told on the person's own pages, never by mail: who
says stop gets silence (rights §6.4).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog
from sqlalchemy import func, select

from portal.domain import choices, limits, unsubscribe
from portal.extensions import db, settings
from portal.mail import bounces, messages, transport
from portal.mail.inbound import Failure, Inbound, Sort
from portal.models import Member, Message, Subject
from portal.models.message import MailKind, MailState
from portal.purposes import SUPPRESS
from portal.tokens import canonical_address, read_unsubscribe, sign_unsubscribe
from portal.vocabulary import Door

RECENT: Final = timedelta(days=7)  # a report that names no message may be about one so young
LETTER: Final = "staff_letter"
LETTERS_AN_HOUR: Final = 40
LETTER_LENGTH: Final = 4_000  # characters of what is passed on
ANSWERS_AN_HOUR: Final = 60
_DAY, _HOUR = timedelta(days=1).total_seconds(), timedelta(hours=1).total_seconds()

log = structlog.get_logger()


class Taken(StrEnum):
    """What became of an incoming message."""

    STOPPED = "stopped"
    STRANGER = "stranger"  # asks us to stop from an address that is nobody's: `answer_stranger` is what is left
    BOUNCE = "bounce"
    IGNORED = "ignored"  # a machine's
    PASSED_ON = "passed on"
    LATER = "later"  # nobody to pass it on to now: the mail server keeps it and tries again


def take(letter: Inbound, *, now: datetime) -> Taken:
    """Do what a message asks, in the caller's transaction. Twice is once. Raises OSError where the journal is away."""
    match letter.sort:
        case Sort.TOKEN:
            return _take_token(letter, now=now)
        case Sort.STOP:
            return _take_stop(letter, now=now)
        case Sort.BOUNCE:
            _count(letter, now=now)
            return Taken.BOUNCE
        case Sort.AUTOMATIC:
            return Taken.IGNORED
        case _:
            return _pass_on(letter, now=now)


def answer_stranger(letter: Inbound, *, now: datetime) -> None:
    """Mail an unknown address the way to stop what reaches it: with the link itself, if it answered a message of ours.

    That link gives away nothing: it stands in the message that was answered, too.
    """
    answered = _message(letter.answers)
    subject = db.session.get(Subject, answered.subject_id) if answered is not None and answered.subject_id else None
    token = sign_unsubscribe(subject.unsubscribe_reference) if subject is not None and subject.erased_at is None else ""
    messages.unsubscribe_elsewhere(canonical_address(letter.sender), token, now=now)


def may_answer(letter: Inbound) -> bool:
    """Whether a stranger is answered now: never a machine, one address once a day, and so many an hour in all.

    Counts, in transactions of its own.
    """
    if letter.automatic or not _is_writable(letter.sender):
        return False
    return limits.within("unknown-alias", canonical_address(letter.sender), most=1, seconds=_DAY) and limits.within(
        "unknown-aliases", "", most=ANSWERS_AN_HOUR, seconds=_HOUR
    )


def _is_writable(address: str) -> bool:
    try:
        return bool(transport.wire_address(address))
    except ValueError:
        return False


# To stop --------------------------------------------------------------------------------------------------


def _take_token(letter: Inbound, *, now: datetime) -> Taken:
    token = read_unsubscribe(letter.token)
    if token is None:  # cut or changed on its way: what the words say still counts
        return _take_stop(letter, now=now)
    unsubscribe.stop(token, via=Door.MAILTO, now=now)
    return Taken.STOPPED


def _take_stop(letter: Inbound, *, now: datetime) -> Taken:
    member = _member(letter.sender)
    if member is None:
        return Taken.STRANGER if letter.automatic or _is_writable(letter.sender) else _pass_on(letter, now=now)
    choices.change(member.subject, SUPPRESS, to="yes", via=Door.REPLY, now=now)
    return Taken.STOPPED


def _member(address: str) -> Member | None:
    key = canonical_address(address)
    return db.session.scalars(select(Member).where(Member.email_key == key)).one_or_none() if key else None


# What came back -------------------------------------------------------------------------------------------


def _count(letter: Inbound, *, now: datetime) -> None:
    """By the Message-ID of what came back; else the newest message to the address, which alone ends nothing."""
    failed = [each for each in letter.failures if each.last]
    sent = [row for row in map(_message, letter.returned) if row is not None and _has_left(row)]
    if failed and sent:
        worst = min(failed, key=lambda each: list(bounces.Weight).index(bounces.weigh(each.status)))
        for row in sent:
            bounces.note(row, worst.status, proven=True, now=now)
            _log(worst, proven=True, ours=row.subject_id is None)
        return
    for each in failed:
        newest = _newest_to(each.recipient, now=now)
        if newest is not None:
            bounces.note(newest, each.status, proven=False, now=now)
        _log(each, proven=False, ours=False)


def _log(failure: Failure, *, proven: bool, ours: bool) -> None:
    """`ours`: mail to nobody in particular, such as the desk's own address."""
    log.warning("inbound.bounce", status=failure.status, proven=proven, ours=ours)


def _message(message_id: str) -> Message | None:
    query = select(Message).where(Message.message_id == message_id)
    return db.session.scalars(query).one_or_none() if message_id else None


def _has_left(row: Message) -> bool:
    return row.state in (MailState.SENT, MailState.DEAD) or row.attempts > 0


def _newest_to(address: str, *, now: datetime) -> Message | None:
    member = _member(address)
    if member is None:
        return None
    query = select(Message).where(Message.subject_id == member.id, Message.sent_at > now - RECENT)
    rows = db.session.scalars(query.order_by(Message.sent_at.desc(), Message.id))
    return next((row for row in rows if canonical_address(row.to_address) == member.email_key), None)


# For a person to read -------------------------------------------------------------------------------------


def _pass_on(letter: Inbound, *, now: datetime) -> Taken:
    """To the staff. In a flood, and while nobody is named, the mail server keeps it: nothing is lost or thrown away."""
    lately = select(func.count(Message.id)).where(
        Message.name == LETTER, Message.kind == MailKind.STAFF, Message.created_at > now - timedelta(hours=1)
    )
    staff = len(settings().staff_emails)
    if not staff or db.session.execute(lately).scalar_one() >= LETTERS_AN_HOUR * staff:
        return Taken.LATER
    messages.staff_letter(
        letter.sender,
        letter.subject,
        letter.text[:LETTER_LENGTH],
        cut=letter.cut or len(letter.text) > LETTER_LENGTH,
        known=_member(letter.sender) is not None,
        now=now,
    )
    return Taken.PASSED_ON
