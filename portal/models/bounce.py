"""Room of what we hold: mail that came back. What it says of an address is decided in `mail/bounces`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.message import Message
from portal.vocabulary import Kind, Owner, internal, owned, personal


class Bounce(Base):
    """One message that did not arrive: refused when it was delivered, or returned later by a report (RFC 3464).

    A message counts once, so that a report that comes many times, or was made up, counts as one.
    """

    __tablename__ = "bounce"
    __table_args__ = (
        Index("ix_bounce_at", "at", "id"),
        {"info": owned(Owner.THROUGH, "message_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    message_id: Mapped[UUID] = mapped_column(
        ForeignKey("message.id", ondelete="CASCADE"),
        unique=True,
        info=personal("Which message", Kind.MESSAGE, "contact"),
    )
    status: Mapped[str] = mapped_column(
        String(12), info=personal("What the other side said (RFC 3463)", Kind.MESSAGE, "contact")
    )
    final: Mapped[bool] = mapped_column(info=personal("The address is gone for good", Kind.MESSAGE, "contact"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Came back on", Kind.MESSAGE, "contact"))

    message: Mapped[Message] = relationship()
