"""Room of what we hold: the privacy notice in all its versions (P31)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.clock import society_date
from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Owner, internal, owned

CHANGES = ("wording", "new-processing", "reduced-right")
WORDING, NEW_PROCESSING, REDUCED_RIGHT = CHANGES
CHANGE_WORDS: Mapping[str, str] = {
    WORDING: "Only the wording changed. What we do with your data stayed the same.",
    NEW_PROCESSING: "We do something new with your data, or somebody new receives it.",
    REDUCED_RIGHT: "It reduces one of your rights. It applies to you only if you agree.",
}


class Notice(Base):
    """One version of the notice; the society writes it, choices and requests name it."""

    __tablename__ = "notice"
    __table_args__ = (
        CheckConstraint(f"change IN {CHANGES}", name="change"),
        {"info": owned(Owner.NOBODY, reason="a published text")},
    )

    version: Mapped[int] = mapped_column(primary_key=True, info=internal("number of the version"))
    text: Mapped[str] = mapped_column(Text, info=internal("a published text, in Markdown"))
    change: Mapped[str] = mapped_column(String(20), info=internal("kind of change from the version before"))
    published_at: Mapped[datetime] = mapped_column(UtcDateTime, info=internal("date of a publication"))
    effective_on: Mapped[date] = mapped_column(info=internal("date of a publication"))
    told_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=internal("since when nobody is left who has to be told by email")
    )

    @property
    def published_on(self) -> date:
        """The day of its publication at the society's seat."""
        return society_date(self.published_at)

    @property
    def thread(self) -> str:
        """What ties the messages about this version together."""
        return f"notice-{self.version}"
