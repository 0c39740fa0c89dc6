"""Room of what we hold: events, and who registered for them (P9)."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.member import SHORT, Member
from portal.vocabulary import Kind, Owner, internal, owned, personal


class Event(Base):
    """A symposium, workshop or exhibition."""

    __tablename__ = "event"
    __table_args__ = (
        CheckConstraint("ends_on >= starts_on", name="dates"),
        {"info": owned(Owner.NOBODY, reason="an event is not a person")},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("key"))
    code: Mapped[str] = mapped_column(String(SHORT), unique=True, info=internal("the society's id of the event"))
    name: Mapped[str] = mapped_column(String(SHORT), info=internal("title of an event"))
    starts_on: Mapped[date] = mapped_column(info=internal("date of an event"))
    ends_on: Mapped[date] = mapped_column(info=internal("date of an event"))
    place: Mapped[str] = mapped_column(String(SHORT), default="", info=internal("place of an event"))
    exhibition: Mapped[bool] = mapped_column(default=False, info=internal("whether there is an exhibition"))
    anonymous: Mapped[int] = mapped_column(
        default=0, server_default="0", info=internal("how many people came whose record was made anonymous")
    )

    registrations: Mapped[list[Registration]] = relationship(back_populates="event", passive_deletes=True)


class Registration(Base):
    """One person at one event. What they chose for it stands in `choice`, under the event."""

    __tablename__ = "registration"
    __table_args__ = (
        Index("ix_registration_member_id", "member_id"),
        {"info": owned(Owner.SUBJECT, "member_id")},
    )

    event_id: Mapped[int] = mapped_column(
        ForeignKey("event.id", ondelete="RESTRICT"), primary_key=True, info=personal("Event", Kind.EVENT, "events")
    )
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("member.id", ondelete="CASCADE"),
        primary_key=True,
        info=personal("Random number of your record", Kind.EVENT, "events"),
    )
    role: Mapped[str] = mapped_column(
        String(SHORT), default="", info=personal("Your part in the event", Kind.EVENT, "events")
    )

    event: Mapped[Event] = relationship(back_populates="registrations", lazy="joined", innerjoin=True)
    member: Mapped[Member] = relationship()
