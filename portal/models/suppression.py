"""Room of what we hold: who may not be mailed, remembered without the address; and the one question about it."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, String, and_, exists, text
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from portal.extensions import Base
from portal.models.choice import standing, stands
from portal.models.columns import UtcDateTime
from portal.models.member import Member, Subject
from portal.purposes import CHOICES, SUPPRESS, topic_choice
from portal.vocabulary import Keep, Kind, Owner, internal, owned, personal

SILENCE = Keep("so that nobody mails you again, under a code from which nobody can read your address", 100 * 365)
SAFETY = Keep("so that a suspension for fraud or safety is not escaped by an erasure", 3 * 365)
REASONS = ("erased", "bounced", "asked", "suspended")


class Suppression(Base):
    """An address, or a member number, that gets no broadcast and is not imported again, as a keyed hash."""

    __tablename__ = "suppression"
    __table_args__ = (
        CheckConstraint(f"reason IN {REASONS}", name="reason"),
        {"info": owned(Owner.ADDRESS, "keyed_hash", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    keyed_hash: Mapped[str] = mapped_column(
        String(100),
        unique=True,
        info=personal("Code made from the address", Kind.CHOICE, "broadcasts", erase=SILENCE, secret=True),
    )
    reason: Mapped[str] = mapped_column(
        String(20), info=personal("Why no mail is sent", Kind.CHOICE, "broadcasts", erase=SILENCE)
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Since", Kind.CHOICE, "broadcasts", erase=SILENCE))


class FormerAddress(Base):
    """An address that a person gave up here, as a keyed hash: an old list that brings it back brings nobody back.

    It stays as long as the record; an erasure moves it to `suppression`.
    """

    __tablename__ = "former_address"
    __table_args__ = (
        Index("ix_former_address_subject_id", "subject_id"),
        Index("ix_former_address_keyed_hash", "keyed_hash"),
        {"info": owned(Owner.SUBJECT, "subject_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    subject_id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.CHOICE, "broadcasts"),
    )
    keyed_hash: Mapped[str] = mapped_column(
        String(100),
        info=personal("Code made from an address that you had before", Kind.CHOICE, "broadcasts", secret=True),
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Given up", Kind.CHOICE, "broadcasts"))


class Suspension(Base):
    """A person who may not use the portal for a while, for safety: blocks activation and a new import (P15).

    Reviewed each year; it outlives an erasure under the random number, and the address as a `Suppression`.
    """

    __tablename__ = "suspension"
    __table_args__ = (
        CheckConstraint("reason IN ('fraud', 'abuse', 'sanctions')", name="reason"),
        Index("ix_suspension_subject_id", "subject_id"),
        Index(
            "ix_suspension_review_on",
            "review_on",
            "id",
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        {"info": owned(Owner.SUBJECT, "subject_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    subject_id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.CHOICE, "security", erase=SAFETY),
    )
    reason: Mapped[str] = mapped_column(
        String(20), info=personal("Suspended because of", Kind.CHOICE, "security", erase=SAFETY)
    )
    at: Mapped[datetime] = mapped_column(
        UtcDateTime, info=personal("Suspended since", Kind.CHOICE, "security", erase=SAFETY)
    )
    review_on: Mapped[date] = mapped_column(info=personal("Looked at again on", Kind.CHOICE, "security", erase=SAFETY))
    ended_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Suspension ended", Kind.CHOICE, "security", erase=SAFETY)
    )


def suspended(
    subject_id: UUID | ColumnElement[UUID] | ColumnElement[UUID | None] | InstrumentedAttribute[UUID],
) -> ColumnElement[bool]:
    """SQL: is this person suspended now (P15)? Whoever lets somebody in, or mails a link that does, asks here."""
    return exists().where(Suspension.subject_id == subject_id, Suspension.ended_at.is_(None))


def may_be_mailed(topic: str | None) -> ColumnElement[bool]:
    """SQL over Member joined with Subject: may this person get a broadcast of this topic now (P5, P10)?

    The only place that answers. Suppress Broadcast Emails beats every topic; None asks about no topic in
    particular.
    """
    conditions: list[ColumnElement[bool]] = [
        Subject.erased_at.is_(None),
        Subject.restricted_at.is_(None),
        ~exists().where(Suppression.keyed_hash == Member.address_hash),
        stands(standing(Member.id, SUPPRESS, CHOICES[SUPPRESS].default), "no"),
    ]
    if topic is not None:
        choice = CHOICES[topic_choice(topic)]
        conditions.append(stands(standing(Member.id, choice.code, choice.default), "on"))
    return and_(*conditions)
