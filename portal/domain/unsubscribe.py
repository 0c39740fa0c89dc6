"""Verbs behind an unsubscribe link: stop, give back; and the link for whoever lost it (RFC 8058, P4, P5)."""

from __future__ import annotations

from datetime import datetime
from itertools import takewhile

from sqlalchemy import select

from portal.domain import choices, subjects
from portal.domain.errors import NothingToUndo
from portal.domain.subjects import Known
from portal.extensions import db
from portal.mail import messages
from portal.models import ChoiceRow, LinkRequest, Member
from portal.purposes import CHOICES, SUPPRESS, TOPICS, topic_choice
from portal.tokens import EVERYTHING, UnsubscribeToken, canonical_address
from portal.vocabulary import Door

BY_LINK = (Door.LINK, Door.ONE_CLICK)


def topic_name(token: UnsubscribeToken) -> str | None:
    """The name of the topic that a link stops; None when it stops everything."""
    topic = TOPICS.get(token.topic)
    return topic.name if topic else None


def stop(token: UnsubscribeToken, *, via: Door, now: datetime) -> None:
    """Stop what the link names. Twice is once; a person who is gone or unknown is a success: nothing is sent there.

    A topic that the society has since dropped from its catalogue stops everything: the reader wanted silence.
    """
    subject = subjects.by_reference(token.reference)
    if subject is None or subject.erased_at is not None:
        return
    code, value = stopping(token)
    choices.change(subject, code, to=value, via=via, now=now)


def give_back(token: UnsubscribeToken, *, now: datetime) -> None:
    """Take back what this very link stopped in the last 30 minutes, and nothing else. Raises NothingToUndo."""
    subject = subjects.by_reference(token.reference)
    code, stopped = stopping(token)
    rows = [] if subject is None else _answers(subject, code)
    presses = list(takewhile(lambda row: row.value == stopped, rows))  # several, if they came at the same time
    if (
        subject is None
        or subject.erased_at is not None
        or not presses
        or any(row.door not in BY_LINK or row.at < now - choices.UNDO_FOR for row in presses)
    ):
        raise NothingToUndo("This can no longer be undone here. Sign in to change what we send you.")
    before = rows[len(presses)].value if len(rows) > len(presses) else CHOICES[code].default
    choices.change(subject, code, to=before, via=Door.LINK, now=now)


def ask_for_link(address: str, *, now: datetime) -> None:
    """Note an address that was typed into the page; the worker looks it up, so that the page answers all alike."""
    db.session.add(LinkRequest(address=canonical_address(address), wanted="unsubscribe", at=now))


def answer(address: str, *, now: datetime) -> None:
    """Mail the link to a known address; to an unknown one nothing, or we would be a way to mail strangers."""
    query = select(Member).where(Member.email_key == canonical_address(address))
    member = db.session.scalars(query).one_or_none()
    if member is not None:
        messages.unsubscribe_link(member, now=now)


def stopping(token: UnsubscribeToken) -> tuple[str, str]:
    """The question that a link answers, and the answer."""
    if token.topic == EVERYTHING or token.topic not in TOPICS:
        return SUPPRESS, "yes"
    return topic_choice(token.topic), "off"


def _answers(subject: Known, code: str) -> list[ChoiceRow]:
    """Every answer to a question, the newest first; it is our turn to give one."""
    subjects.take_turn(subject.id)
    query = select(ChoiceRow).where(
        ChoiceRow.subject_id == subject.id, ChoiceRow.code == code, ChoiceRow.event_id.is_(None)
    )
    return list(db.session.scalars(query.order_by(ChoiceRow.id.desc())))
