"""Room of what we hold: officers, committee members and helpers, as the society publishes them (P18)."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import SHORT
from portal.vocabulary import Edit, Keep, Kind, Owner, internal, owned, personal

RECORD = Keep("the published record of who held an office; object to it, and our staff decide", 10 * 365)


class Recognition(Base):
    """One published entry: who held which office or task, and when.

    It is the person's to whom a member number led; without one it is about somebody who is not in the records, and
    shows to nobody here. An erasure keeps the entry and empties `subject_id`: with it, a published name would say
    whose the random number was. From `left_at` on its days count. An entry that staff took down holds nothing but its
    code, so that no file brings it back.
    """

    __tablename__ = "recognition"
    __table_args__ = (
        CheckConstraint("taken_down_at IS NULL OR (subject_id IS NULL AND name = '')", name="taken_down"),
        Index("ix_recognition_subject_id", "subject_id"),
        Index("ix_recognition_left_at", "left_at"),
        {"info": owned(Owner.SUBJECT, "subject_id"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    code: Mapped[str] = mapped_column(
        String(SHORT),
        unique=True,
        info=personal("Number of the entry", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    subject_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.MEMBERSHIP, "recognition"),
    )
    name: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Name as published", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    title: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Title as published", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    country: Mapped[str] = mapped_column(
        String(2),
        default="",
        info=personal("Country as published", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    affiliation: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Affiliation as published", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    role: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Office or task", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS),
    )
    starts_on: Mapped[date | None] = mapped_column(
        info=personal("Term begins", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS)
    )
    ends_on: Mapped[date | None] = mapped_column(
        info=personal("Term ends", Kind.MEMBERSHIP, "recognition", erase=RECORD, edit=Edit.RECORDS)
    )
    left_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=internal("from when the days of an entry count whose person's record was erased")
    )
    taken_down_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=internal("when staff emptied an entry; it then is about nobody")
    )
