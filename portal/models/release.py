"""Room of what we hold: the lists that left, and who of the staff filed, approved and released them (P13, P20)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.event import Event
from portal.models.member import SHORT
from portal.vocabulary import Erase, Kind, Owner, internal, owned, personal


class ListRelease(Base):
    """One list of one audience for one recipient: filed, approved where a second person is asked for, released once.

    Who is on it stands in `disclosure`, under its number; this row names nobody, and stays when those are gone.
    """

    __tablename__ = "list_release"
    __table_args__ = (
        CheckConstraint("(released_at IS NULL) = (people IS NULL)", name="people"),
        Index("ix_list_release_event_id", "event_id"),
        Index("ix_list_release_filed_at", "filed_at", "id"),
        {
            "info": owned(Owner.NOBODY, reason="a list as a thing; who was on it stands in disclosure"),
            "sqlite_autoincrement": True,
        },
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("the number of the list, as in L-204"))
    operation_id: Mapped[str | None] = mapped_column(
        String(64), unique=True, info=internal("random; so that one form sent twice is one list")
    )
    audience: Mapped[str] = mapped_column(String(20), info=internal("a code of AUDIENCES"))
    event_id: Mapped[int | None] = mapped_column(
        ForeignKey("event.id", ondelete="RESTRICT"), info=internal("the event, where the audience is one of an event")
    )
    recipient: Mapped[str] = mapped_column(String(SHORT), info=internal("the organisation that the list goes to"))
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime, info=internal("moment of a list"))
    approved_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=internal("moment of a list"))
    released_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=internal("moment of a list"))
    people: Mapped[int | None] = mapped_column(info=internal("how many lines the list has"))

    event: Mapped[Event | None] = relationship(lazy="joined")
    steps: Mapped[list[ListStep]] = relationship(
        back_populates="release", order_by="ListStep.id", passive_deletes=True, lazy="selectin"
    )

    @property
    def number(self) -> str:
        """As people say it, and as it stands in the last column of the file: L-204."""
        return f"L-{self.id}"


class ListStep(Base):
    """What somebody of the staff did with a list. No account: the command did it, or whoever did has gone."""

    __tablename__ = "list_step"
    __table_args__ = (
        Index("ix_list_step_list_id", "list_id", "id"),
        Index("ix_list_step_account_id", "account_id"),
        Index("ix_list_step_at", "at", "id"),
        {"info": owned(Owner.THROUGH, "account_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    list_id: Mapped[int] = mapped_column(
        ForeignKey("list_release.id", ondelete="CASCADE"),
        info=personal("Number of the list", Kind.TRAIL, "rights", erase=Erase.DETACH),
    )
    account_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("account.id", ondelete="SET NULL"),
        info=personal("Key of your sign-in", Kind.TRAIL, "rights", erase=Erase.DETACH),
    )
    step: Mapped[str] = mapped_column(
        String(20), info=personal("What you did with a list, at the desk", Kind.TRAIL, "rights", erase=Erase.DETACH)
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.TRAIL, "rights", erase=Erase.DETACH))

    release: Mapped[ListRelease] = relationship(back_populates="steps")
