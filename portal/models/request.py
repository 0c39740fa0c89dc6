"""Room of what we hold: data subject requests, their dates and every step taken (P25 to P27, P32)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import LONG, Subject
from portal.vocabulary import Keep, Kind, Owner, internal, owned, personal

FILE = Keep("the record that you asked and that we answered", 2 * 365)


class State(StrEnum):
    """The states of `rights`: the first four are open, the others are ends."""

    RECEIVED = "received"
    VERIFYING = "verifying"
    WORKING = "working"
    EXTENDED = "extended"
    FULFILLED = "fulfilled"
    PARTLY_FULFILLED = "partly_fulfilled"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


OPEN = (State.RECEIVED, State.VERIFYING, State.WORKING, State.EXTENDED)
ONCE = ("access", "portability", "erasure", "restriction")


def _names(words: tuple[str, ...]) -> str:
    return "(" + ", ".join(f"'{word}'" for word in words) + ")"


class DataSubjectRequest(Base):
    """One request of one person. All dates are stored at receipt and never computed again from "now"."""

    __tablename__ = "data_subject_request"
    __table_args__ = (
        CheckConstraint(f"state IN {_names(tuple(State))}", name="state"),
        CheckConstraint(f"(closed_at IS NULL) = (state IN {_names(OPEN)})", name="closed"),
        CheckConstraint(
            "(verified_at IS NOT NULL AND verified_how <> '')"
            " OR state IN ('received', 'verifying', 'withdrawn', 'refused')",
            name="verified",
        ),
        Index(
            "uq_data_subject_request_open_once",
            "subject_id",
            "kind",
            unique=True,
            sqlite_where=text(f"closed_at IS NULL AND kind IN {_names(ONCE)}"),
            postgresql_where=text(f"closed_at IS NULL AND kind IN {_names(ONCE)}"),
        ),
        Index("ix_data_subject_request_subject_id", "subject_id"),
        Index("ix_data_subject_request_promise_on", "promise_on"),
        {"info": owned(Owner.SUBJECT, "subject_id")},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, info=internal("key"))
    reference: Mapped[str] = mapped_column(
        String(12), unique=True, info=personal("Reference", Kind.REQUEST, "rights", erase=FILE)
    )
    operation_id: Mapped[str] = mapped_column(
        String(64), unique=True, info=internal("random; one form sent twice makes one request")
    )
    subject_id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.REQUEST, "rights", erase=FILE),
    )
    kind: Mapped[str] = mapped_column(String(20), info=personal("What you asked", Kind.REQUEST, "rights", erase=FILE))
    details: Mapped[str] = mapped_column(
        String(LONG), default="", info=personal("What you added", Kind.REQUEST, "rights")
    )
    state: Mapped[str] = mapped_column(
        String(20), default=State.RECEIVED, info=personal("State", Kind.REQUEST, "rights", erase=FILE)
    )
    door: Mapped[str] = mapped_column(String(20), info=personal("How it came", Kind.REQUEST, "rights", erase=FILE))
    verified_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Identity confirmed on", Kind.REQUEST, "rights", erase=FILE)
    )
    verified_how: Mapped[str] = mapped_column(
        String(40), default="", info=personal("Identity confirmed by", Kind.REQUEST, "rights", erase=FILE)
    )
    received_at: Mapped[datetime] = mapped_column(
        UtcDateTime, info=personal("Received", Kind.REQUEST, "rights", erase=FILE)
    )
    received_on: Mapped[date] = mapped_column(info=personal("Day of receipt", Kind.REQUEST, "rights", erase=FILE))
    promise_on: Mapped[date] = mapped_column(info=personal("Answer due", Kind.REQUEST, "rights", erase=FILE))
    legal_1_on: Mapped[date] = mapped_column(
        info=personal("One month after receipt", Kind.REQUEST, "rights", erase=FILE)
    )
    legal_1_rolled_on: Mapped[date] = mapped_column(
        info=personal("The same, moved to a working day", Kind.REQUEST, "rights", erase=FILE)
    )
    legal_3_on: Mapped[date] = mapped_column(
        info=personal("Three months after receipt", Kind.REQUEST, "rights", erase=FILE)
    )
    us_1_on: Mapped[date] = mapped_column(info=personal("45 days after receipt", Kind.REQUEST, "rights", erase=FILE))
    us_2_on: Mapped[date] = mapped_column(info=personal("90 days after receipt", Kind.REQUEST, "rights", erase=FILE))
    notice_version: Mapped[int | None] = mapped_column(
        ForeignKey("notice.version", ondelete="RESTRICT"),
        info=personal("Privacy notice in force", Kind.REQUEST, "rights", erase=FILE),
    )
    closed_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Closed", Kind.REQUEST, "rights", erase=FILE)
    )

    subject: Mapped[Subject] = relationship()
    steps: Mapped[list[RequestStep]] = relationship(
        back_populates="request", order_by="RequestStep.id", passive_deletes=True
    )

    @property
    def is_open(self) -> bool:
        return self.closed_at is None


class RequestStep(Base):
    """One step of a request: what happened, who did it, when."""

    __tablename__ = "request_step"
    __table_args__ = (
        Index("ix_request_step_request_id", "request_id"),
        {"info": owned(Owner.THROUGH, "request_id"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the steps"))
    request_id: Mapped[UUID] = mapped_column(
        ForeignKey("data_subject_request.id", ondelete="CASCADE"),
        info=personal("Request", Kind.REQUEST, "rights", erase=FILE),
    )
    step: Mapped[str] = mapped_column(String(40), info=personal("What happened", Kind.REQUEST, "rights", erase=FILE))
    by: Mapped[str] = mapped_column(String(20), info=personal("By whom", Kind.REQUEST, "rights", erase=FILE))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.REQUEST, "rights", erase=FILE))

    request: Mapped[DataSubjectRequest] = relationship(back_populates="steps")
