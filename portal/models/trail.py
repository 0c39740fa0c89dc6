"""Room of what we hold: the trail, who did what to a record, by which door. Names of fields, never their values."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Erase, Kind, Owner, internal, owned, personal


class Trail(Base):
    """One act on one record: a field changed, a question answered, a record made, a record looked at.

    `carried_at` says when a change made here reached the membership system; until then an import holds back
    what it brings for that field.
    """

    __tablename__ = "trail"
    __table_args__ = (
        Index("ix_trail_subject_id", "subject_id", "id"),
        Index("ix_trail_at", "at", "id"),
        Index(
            "ix_trail_waiting",
            "id",
            sqlite_where=text("carried_at IS NULL"),
            postgresql_where=text("carried_at IS NULL"),
        ),
        Index(
            "ix_trail_waiting_person",
            "subject_id",
            "id",
            sqlite_where=text("carried_at IS NULL"),
            postgresql_where=text("carried_at IS NULL"),
        ),
        {"info": owned(Owner.SUBJECT, "subject_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    subject_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.TRAIL, "rights", erase=Erase.DETACH),
    )
    act: Mapped[str] = mapped_column(
        String(40), info=personal("What happened", Kind.TRAIL, "rights", erase=Erase.DETACH)
    )
    field: Mapped[str] = mapped_column(
        String(40), default="", info=personal("Field", Kind.TRAIL, "rights", erase=Erase.DETACH)
    )
    door: Mapped[str] = mapped_column(
        String(20), info=personal("By which way", Kind.TRAIL, "rights", erase=Erase.DETACH)
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.TRAIL, "rights", erase=Erase.DETACH))
    carried_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Carried over to the membership system", Kind.TRAIL, "rights", erase=Erase.DETACH)
    )
