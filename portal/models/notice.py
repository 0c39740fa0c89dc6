"""Room of what we hold: the privacy notice in all its versions (P31)."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Owner, internal, owned

CHANGES = ("wording", "new-processing", "reduced-right")


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
