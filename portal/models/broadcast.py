"""Room of what we hold: a letter to many. Its words stand here once; who gets it is a row of the outbox each."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Owner, internal, owned


class BroadcastState(StrEnum):
    """Where a broadcast stands. `stopped` and `ended` are for good; only while it runs does anything leave."""

    FILLING = "filling"  # who gets it is being written down
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ENDED = "ended"


class Broadcast(Base):
    """One letter to everybody who gets a topic: subject, text and page with their slots, and how far it is.

    `title`, `text` and `html` are as they leave, footer and all, but for the slots `{first_name}`, `{last_name}` and
    `{unsubscribe_url}`. The numbers at the end are written once nothing waits any more; until then they are counted.
    """

    __tablename__ = "broadcast"
    __table_args__ = (
        CheckConstraint("state IN ('filling', 'running', 'paused', 'stopped', 'ended')", name="state"),
        CheckConstraint("state <> 'ended' OR ended_at IS NOT NULL", name="ended"),
        CheckConstraint("ended_at IS NULL OR state IN ('stopped', 'ended')", name="final"),
        {
            "info": owned(Owner.NOBODY, reason="a letter to many: the same words for all, about nobody"),
            "sqlite_autoincrement": True,
        },
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("its number"))
    topic: Mapped[str] = mapped_column(String(40), info=internal("a topic of the catalogue"))
    title: Mapped[str] = mapped_column(Text, info=internal("the subject line, with slots instead of names"))
    text: Mapped[str] = mapped_column(Text, info=internal("the text, with slots instead of names"))
    html: Mapped[str] = mapped_column(Text, default="", info=internal("the same as a page, or nothing"))
    state: Mapped[str] = mapped_column(String(20), default=BroadcastState.FILLING, info=internal("how far it is"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=internal("when the society queued it"))
    dated_at: Mapped[datetime] = mapped_column(
        UtcDateTime, info=internal("the date in its messages: when it was queued, or last went on")
    )
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=internal("since when nothing waits"))
    people: Mapped[int] = mapped_column(default=0, info=internal("for how many it was queued"))
    sent: Mapped[int] = mapped_column(default=0, info=internal("a number, at the end"))
    refused: Mapped[int] = mapped_column(default=0, info=internal("a number, at the end"))
    not_sent: Mapped[int] = mapped_column(default=0, info=internal("a number, at the end"))
    unsubscribed: Mapped[int | None] = mapped_column(info=internal("a number, two weeks after the end"))
