"""Room of what we hold: the outbox. A message is a row, put in the same transaction as what it tells."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Erase, Kind, Owner, internal, owned, personal


class MailKind(StrEnum):
    """The columns of the header matrix: account mail, receipts to a member, staff notices, broadcasts."""

    ACCOUNT = "account"
    RECEIPT = "receipt"
    STAFF = "staff"
    BROADCAST = "broadcast"


class MailState(StrEnum):
    """Where a message stands. `queued` and `claimed` are on their way; the others are ends."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENT = "sent"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Message(Base):
    """One email to one address. Its text is cleared when it has been delivered: links in it are secrets."""

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("kind IN ('account', 'receipt', 'staff', 'broadcast')", name="kind"),
        CheckConstraint("state IN ('queued', 'claimed', 'sent', 'dead', 'cancelled')", name="state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent"),
        CheckConstraint("(state = 'claimed') = (lease_until IS NOT NULL)", name="lease"),
        Index("ix_message_due", "state", "kind", "due_at"),
        Index("ix_message_subject_id", "subject_id"),
        {"info": owned(Owner.SUBJECT, "subject_id")},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, info=internal("key"))
    message_id: Mapped[str] = mapped_column(
        String(200), unique=True, info=personal("Message-ID", Kind.MESSAGE, "contact")
    )
    in_reply_to: Mapped[str] = mapped_column(String(200), default="", info=personal("Thread", Kind.MESSAGE, "contact"))
    subject_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.MESSAGE, "contact", erase=Erase.DETACH),
    )
    kind: Mapped[str] = mapped_column(String(20), info=personal("Kind of message", Kind.MESSAGE, "contact"))
    name: Mapped[str] = mapped_column(String(40), info=personal("Message", Kind.MESSAGE, "contact"))
    topic: Mapped[str] = mapped_column(String(40), default="", info=personal("Topic", Kind.MESSAGE, "broadcasts"))
    to_address: Mapped[str] = mapped_column(String(254), info=personal("Sent to", Kind.MESSAGE, "contact"))
    title: Mapped[str] = mapped_column(Text, info=personal("Subject line", Kind.MESSAGE, "contact"))
    text: Mapped[str] = mapped_column(Text, info=personal("Text", Kind.MESSAGE, "contact", secret=True))
    html: Mapped[str] = mapped_column(Text, info=personal("Text as a page", Kind.MESSAGE, "contact", secret=True))
    unsubscribe_url: Mapped[str] = mapped_column(
        Text, default="", info=personal("Unsubscribe link", Kind.MESSAGE, "broadcasts", secret=True)
    )
    state: Mapped[str] = mapped_column(
        String(20), default=MailState.QUEUED, info=personal("State", Kind.MESSAGE, "contact")
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Written on", Kind.MESSAGE, "contact"))
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, info=internal("when to try next"))
    lease_until: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=internal("until when a worker has claimed the row")
    )
    lease_by: Mapped[str] = mapped_column(String(40), default="", info=internal("which worker has claimed the row"))
    attempts: Mapped[int] = mapped_column(default=0, info=internal("a number"))
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=personal("Sent on", Kind.MESSAGE, "contact"))
    failure: Mapped[str] = mapped_column(
        String(200), default="", info=personal("Why it was not delivered", Kind.MESSAGE, "contact")
    )
