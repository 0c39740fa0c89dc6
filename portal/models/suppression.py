"""Room of what we hold: who may not be mailed, remembered without the address; and the one question about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ColumnElement, String, and_, exists
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.choice import standing
from portal.models.columns import UtcDateTime
from portal.models.member import Member, Subject
from portal.purposes import CHOICES, SUPPRESS, topic_choice
from portal.vocabulary import Keep, Kind, Owner, internal, owned, personal

SILENCE = Keep("so that nobody mails you again, under a keyed hash that shows no address", 100 * 365)
REASONS = ("erased", "bounced", "asked")


class Suppression(Base):
    """An address, or a member number, that gets no broadcast and is not imported again, as a keyed hash."""

    __tablename__ = "suppression"
    __table_args__ = (
        CheckConstraint(f"reason IN {REASONS}", name="reason"),
        {"info": owned(Owner.ADDRESS, "keyed_hash"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    keyed_hash: Mapped[str] = mapped_column(
        String(100), unique=True, info=personal("Keyed hash", Kind.CHOICE, "broadcasts", erase=SILENCE, secret=True)
    )
    reason: Mapped[str] = mapped_column(
        String(20), info=personal("Why no mail is sent", Kind.CHOICE, "broadcasts", erase=SILENCE)
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Since", Kind.CHOICE, "broadcasts", erase=SILENCE))


def may_be_mailed(topic: str | None) -> ColumnElement[bool]:
    """SQL over Member joined with Subject: may this person get a broadcast of this topic now (P5, P10)?

    The only place that answers. Suppress Broadcast Emails beats every topic; None asks about no topic in
    particular.
    """
    conditions: list[ColumnElement[bool]] = [
        Subject.erased_at.is_(None),
        Subject.restricted_at.is_(None),
        ~exists().where(Suppression.keyed_hash == Member.address_hash),
        standing(Member.id, SUPPRESS, CHOICES[SUPPRESS].default) == "no",
    ]
    if topic is not None:
        choice = CHOICES[topic_choice(topic)]
        conditions.append(standing(Member.id, choice.code, choice.default) == "on")
    return and_(*conditions)
