"""Room of what we hold: what stood in a profile before it was last saved, for as long as that can be undone."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Kind, Owner, internal, owned, personal


class FormerValue(Base):
    """One field of one person as it was before the last save; the trail holds names of fields only.

    The next save of the person replaces the rows. `value`: as text, a date in ISO 8601; none where there was none.
    """

    __tablename__ = "former_value"
    __table_args__ = (
        UniqueConstraint("member_id", "field"),
        Index("ix_former_value_at", "at", "id"),
        {"info": owned(Owner.SUBJECT, "member_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("member.id", ondelete="CASCADE"),
        info=personal("Random number of your record", Kind.TRAIL, "rights"),
    )
    field: Mapped[str] = mapped_column(String(40), info=personal("Field", Kind.TRAIL, "rights"))
    value: Mapped[str | None] = mapped_column(
        Text, info=personal("What stood there before you saved", Kind.TRAIL, "rights")
    )
    version: Mapped[int] = mapped_column(info=internal("the member's count of saves after this one"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Saved", Kind.TRAIL, "rights"))
