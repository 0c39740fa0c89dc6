"""Room of what we hold: the outbox. A message is a row, put in the same transaction as what it tells."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Kind, Owner, internal, owned, personal

# What a retention run looks for: written out, so that a partial index can answer.
HAS_TEXT = "text <> '' OR html <> '' OR unsubscribe_url <> ''"
HAS_ADDRESS = "sent_at IS NOT NULL AND to_address <> ''"
NOBODYS = "subject_id IS NULL AND to_address <> ''"  # on its way: at its end such a message loses the address
OF_NO_BROADCAST, OF_A_BROADCAST, LEASED = "broadcast_id IS NULL", "broadcast_id IS NOT NULL", "lease_until IS NOT NULL"


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


NOTICE_CHANGED = "notice_changed"  # each person is told once of a version: this message is how we know
FAREWELL = "farewell"  # the one message that a person gets after the erasure


class Message(Base):
    """One email to one address. Its text is cleared when it has been delivered: links in it are secrets.

    One of a broadcast has no text at all: `mail/broadcasts` fills the broadcast's own words as it leaves.
    """

    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("kind IN ('account', 'receipt', 'staff', 'broadcast')", name="kind"),
        CheckConstraint("state IN ('queued', 'claimed', 'sent', 'dead', 'cancelled')", name="state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent"),
        CheckConstraint("(state = 'claimed') = (lease_until IS NOT NULL)", name="lease"),
        Index("ix_message_subject_id", "subject_id"),
        Index("ix_message_created_at", "created_at", "id"),
        *(
            Index(name, moment, "id", sqlite_where=text(where), postgresql_where=text(where))
            for name, moment, where in (
                ("ix_message_farewell", "created_at", "name = 'farewell'"),
                ("ix_message_address", "sent_at", HAS_ADDRESS),
                ("ix_message_nobodys", "created_at", NOBODYS),
                ("ix_message_text", "sent_at", f"sent_at IS NOT NULL AND ({HAS_TEXT})"),
            )
        ),
        *(
            Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
            for name, columns, where, unique in (
                ("ix_message_due", ("state", "kind", "due_at"), OF_NO_BROADCAST, False),
                ("ix_message_broadcast", ("broadcast_id", "state", "due_at", "id"), OF_A_BROADCAST, False),
                ("ix_message_person", ("broadcast_id", "subject_id"), OF_A_BROADCAST, True),
                ("ix_message_lease", ("lease_until",), LEASED, False),
            )
        ),
        {"info": owned(Owner.SUBJECT, "subject_id", at="created_at")},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, info=internal("key"))
    message_id: Mapped[str] = mapped_column(
        String(200), unique=True, info=personal("Message-ID", Kind.MESSAGE, "contact")
    )
    in_reply_to: Mapped[str] = mapped_column(String(200), default="", info=personal("Thread", Kind.MESSAGE, "contact"))
    subject_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.MESSAGE, "contact"),
    )
    kind: Mapped[str] = mapped_column(String(20), info=personal("Kind of message", Kind.MESSAGE, "contact"))
    name: Mapped[str] = mapped_column(String(40), info=personal("Message", Kind.MESSAGE, "contact"))
    broadcast_id: Mapped[int | None] = mapped_column(
        ForeignKey("broadcast.id", ondelete="RESTRICT"),
        info=personal("Number of the broadcast", Kind.MESSAGE, "broadcasts"),
    )
    topic: Mapped[str] = mapped_column(String(40), default="", info=personal("Topic", Kind.MESSAGE, "broadcasts"))
    to_address: Mapped[str] = mapped_column(String(254), info=personal("Sent to", Kind.MESSAGE, "contact"))
    title: Mapped[str] = mapped_column(Text, info=personal("Subject line", Kind.MESSAGE, "contact"))
    text: Mapped[str] = mapped_column(Text, info=personal("Text", Kind.MESSAGE, "contact", secret=True))
    html: Mapped[str] = mapped_column(Text, info=personal("Text as a page", Kind.MESSAGE, "contact", secret=True))
    calendar: Mapped[str] = mapped_column(
        Text, default="", info=personal("Calendar entry", Kind.MESSAGE, "contact", secret=True)
    )
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
