"""Room of what we hold: counters shared by all processes, of limits and of what operators measure."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Owner, internal, owned


class LimitCounter(Base):
    """How often something was tried in one window. Its name holds keyed hashes, never an address."""

    __tablename__ = "limit_counter"
    __table_args__ = (
        Index("ix_limit_counter_ends_at", "ends_at"),
        {
            "info": owned(
                Owner.NOBODY,
                reason="keyed hashes, gone after a day at the latest, and marks of the worker; nobody is found by them",
            )
        },
    )

    name: Mapped[str] = mapped_column(String(300), primary_key=True, info=internal("keyed hash of what is counted"))
    count: Mapped[int] = mapped_column(info=internal("a number"))
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, info=internal("end of the window"))
