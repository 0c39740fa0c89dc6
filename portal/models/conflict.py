"""Room of what we hold: where the membership system says otherwise than what was changed here."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import Member
from portal.vocabulary import Kind, Owner, internal, owned, personal


class Conflict(Base):
    """One field, or one question, of one person that a file answered otherwise than it stands here; held back.

    What stands here is in the record itself. `kept_at`: staff looked at it and keep what stands, as long as the file
    brings nothing else. It goes when a file brings what stands here, or the change is carried over.
    """

    __tablename__ = "import_conflict"
    __table_args__ = (
        UniqueConstraint("member_id", "field"),
        Index("ix_import_conflict_seen_at", "seen_at", "id"),
        Index(
            "ix_import_conflict_waiting",
            "id",
            sqlite_where=text("kept_at IS NULL"),
            postgresql_where=text("kept_at IS NULL"),
        ),
        {"info": owned(Owner.SUBJECT, "member_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("member.id", ondelete="CASCADE"),
        info=personal("Random number of your record", Kind.TRAIL, "membership"),
    )
    field: Mapped[str] = mapped_column(String(40), info=personal("Field", Kind.TRAIL, "membership"))
    brought: Mapped[str] = mapped_column(
        Text, info=personal("What the membership records say instead", Kind.TRAIL, "membership")
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Since", Kind.TRAIL, "membership"))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Last said so", Kind.TRAIL, "membership"))
    kept_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Our staff kept what stands here", Kind.TRAIL, "membership")
    )

    member: Mapped[Member] = relationship()
