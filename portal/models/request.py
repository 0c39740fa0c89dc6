"""Room of what we hold: data subject requests, their dates and every step taken (P25 to P27, P32)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import LONG, SHORT, Subject
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
ERASURE, REVIEW, ANONYMISATION = "erasure", "review", "anonymisation"
ERASING = (ERASURE, REVIEW, ANONYMISATION)  # a review is opened by the portal when a membership or a consent ends (P28)
BEGUN = "begun"  # the step that is written before the journal of erasures is told
WORDS = "words."  # begins the task to look at another record, named by its number, whose words name the erased person
ONCE = ("access", "portability", "erasure", "restriction")  # and anonymisation, of which `kinds` allows one


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
        CheckConstraint(
            f"kind IN {_names(ERASING)} OR (wait_until IS NULL AND approved_at IS NULL AND carried_out_at IS NULL"
            " AND hold = '' AND scope = '')",
            name="erasing",
        ),
        CheckConstraint("carried_out_at IS NULL OR approved_at IS NOT NULL", name="carried_out"),
        CheckConstraint("identity_answered_at IS NULL OR identity_asked_at IS NOT NULL", name="identity"),
        CheckConstraint("state <> 'verifying' OR identity_asked_at IS NOT NULL", name="verifying"),
        CheckConstraint("(extended_at IS NULL) = (extension = '')", name="extension"),
        CheckConstraint("state <> 'extended' OR extended_at IS NOT NULL", name="extended"),
        CheckConstraint("(state IN ('refused', 'partly_fulfilled')) = (refusal <> '')", name="refusal"),
        CheckConstraint("state <> 'refused' OR seconded_at IS NOT NULL OR refusal <> 'excessive'", name="seconded"),
        CheckConstraint(
            "kind NOT IN ('erasure', 'anonymisation') OR state <> 'fulfilled' OR carried_out_at IS NOT NULL",
            name="erasure_fulfilled",
        ),
        Index(
            "uq_data_subject_request_open_once",
            "subject_id",
            "kind",
            unique=True,
            sqlite_where=text(f"closed_at IS NULL AND kind IN {_names(ONCE)}"),
            postgresql_where=text(f"closed_at IS NULL AND kind IN {_names(ONCE)}"),
        ),
        Index(
            "uq_data_subject_request_open_review",
            "subject_id",
            "scope",
            unique=True,
            sqlite_where=text("closed_at IS NULL AND kind = 'review'"),
            postgresql_where=text("closed_at IS NULL AND kind = 'review'"),
        ),
        Index("ix_data_subject_request_subject_id", "subject_id"),
        Index("ix_data_subject_request_closed_at", "closed_at", "id"),
        Index("ix_data_subject_request_promise_on", "promise_on"),
        Index("ix_data_subject_request_continues_id", "continues_id"),
        Index("ix_data_subject_request_assigned_to_id", "assigned_to_id"),
        Index("ix_data_subject_request_proposed_by_id", "proposed_by_id"),
        {"info": owned(Owner.SUBJECT, "subject_id", at="received_at")},
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

    contact: Mapped[str] = mapped_column(
        String(254), default="", info=personal("Address you gave", Kind.REQUEST, "rights")
    )
    controller: Mapped[str] = mapped_column(
        String(SHORT), default="", info=personal("To whom it goes", Kind.REQUEST, "rights")
    )
    continues_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("data_subject_request.id", ondelete="SET NULL"),
        info=personal("Goes on from the request", Kind.REQUEST, "rights", erase=FILE),
    )
    assigned_to_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("account.id", ondelete="SET NULL"),
        info=personal("Who at the desk has it", Kind.REQUEST, "rights", secret=True),
    )
    legal_on: Mapped[date] = mapped_column(info=personal("By law, at the latest", Kind.REQUEST, "rights", erase=FILE))
    identity_asked_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Asked who you are", Kind.REQUEST, "rights", erase=FILE)
    )
    identity_answered_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("You answered that", Kind.REQUEST, "rights", erase=FILE)
    )
    extended_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Extended on", Kind.REQUEST, "rights", erase=FILE)
    )
    extension: Mapped[str] = mapped_column(
        String(20), default="", info=personal("Why it was extended", Kind.REQUEST, "rights", erase=FILE)
    )
    refusal: Mapped[str] = mapped_column(
        String(20), default="", info=personal("Why it was refused", Kind.REQUEST, "rights", erase=FILE)
    )
    proposed_by_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("account.id", ondelete="SET NULL"),
        info=personal("Who proposed to refuse it", Kind.REQUEST, "rights", secret=True),
    )
    seconded_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Agreed to by a second person", Kind.REQUEST, "rights", erase=FILE)
    )
    scope: Mapped[str] = mapped_column(
        String(40), default="", info=personal("Purpose that ended", Kind.REQUEST, "rights", erase=FILE)
    )
    wait_until: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Nothing is deleted before", Kind.REQUEST, "rights", erase=FILE)
    )
    hold: Mapped[str] = mapped_column(
        String(20), default="", info=personal("Why we wait", Kind.REQUEST, "rights", erase=FILE)
    )
    approved_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Approved by staff", Kind.REQUEST, "rights", erase=FILE)
    )
    carried_out_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Deleted here", Kind.REQUEST, "rights", erase=FILE)
    )

    subject: Mapped[Subject] = relationship()
    steps: Mapped[list[RequestStep]] = relationship(
        back_populates="request", order_by="RequestStep.id", passive_deletes=True
    )
    tasks: Mapped[list[RequestTask]] = relationship(
        back_populates="request", order_by="RequestTask.id", passive_deletes=True
    )
    lines: Mapped[list[ErasureLine]] = relationship(
        back_populates="request", order_by="ErasureLine.id", passive_deletes=True
    )

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    @property
    def outside(self) -> list[RequestTask]:
        """The tasks of those outside the portal."""
        return [task for task in self.tasks if not task.holding.startswith(WORDS)]

    @property
    def words(self) -> list[RequestTask]:
        """The tasks of staff: what others wrote into their own records about the erased person."""
        return [task for task in self.tasks if task.holding.startswith(WORDS)]


class RequestStep(Base):
    """One step of a request: what happened, who did it, when, and what was said in it, if anything."""

    __tablename__ = "request_step"
    __table_args__ = (
        Index("ix_request_step_request_id", "request_id"),
        Index("ix_request_step_step", "step", "at"),
        {"info": owned(Owner.THROUGH, "request_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the steps"))
    request_id: Mapped[UUID] = mapped_column(
        ForeignKey("data_subject_request.id", ondelete="CASCADE"),
        info=personal("Request", Kind.REQUEST, "rights", erase=FILE),
    )
    step: Mapped[str] = mapped_column(String(40), info=personal("What happened", Kind.REQUEST, "rights", erase=FILE))
    by: Mapped[str] = mapped_column(String(20), info=personal("By whom", Kind.REQUEST, "rights", erase=FILE))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.REQUEST, "rights", erase=FILE))

    words: Mapped[str] = mapped_column(Text, default="", info=personal("What was said", Kind.REQUEST, "rights"))

    request: Mapped[DataSubjectRequest] = relationship(back_populates="steps")


class Ask(Base):
    """A request made without a sign-in, until it is confirmed from its mailbox: before that it is nobody's request."""

    __tablename__ = "ask"
    __table_args__ = {"info": owned(Owner.ADDRESS, "address", at="at"), "sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    address: Mapped[str] = mapped_column(
        String(254), index=True, info=personal("Address you gave", Kind.REQUEST, "rights")
    )
    kind: Mapped[str] = mapped_column(String(20), info=personal("What you asked", Kind.REQUEST, "rights"))
    details: Mapped[str] = mapped_column(
        String(LONG), default="", info=personal("What you added", Kind.REQUEST, "rights")
    )
    token_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Link, in a form that nobody can read", Kind.REQUEST, "rights", secret=True),
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Asked", Kind.REQUEST, "rights"))
    ends_at: Mapped[datetime] = mapped_column(
        UtcDateTime, index=True, info=personal("May be confirmed until", Kind.REQUEST, "rights")
    )


class RequestTask(Base):
    """What somebody outside the portal is asked to do for a request, one holding of `purposes.HOLDINGS`; or WORDS."""

    __tablename__ = "request_task"
    __table_args__ = (
        UniqueConstraint("request_id", "holding"),
        {"info": owned(Owner.THROUGH, "request_id", at="done_at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the tasks"))
    request_id: Mapped[UUID] = mapped_column(
        ForeignKey("data_subject_request.id", ondelete="CASCADE"),
        info=personal("Request", Kind.REQUEST, "rights", erase=FILE),
    )
    holding: Mapped[str] = mapped_column(
        String(40), info=personal("Who outside is asked", Kind.REQUEST, "rights", erase=FILE)
    )
    done_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Done there", Kind.REQUEST, "rights", erase=FILE)
    )

    request: Mapped[DataSubjectRequest] = relationship(back_populates="tasks")


class ErasureLine(Base):
    """One line of an erasure's certificate: what was deleted, detached or kept, in numbers; never a value."""

    __tablename__ = "erasure_line"
    __table_args__ = (
        CheckConstraint("action IN ('deleted', 'detached', 'kept')", name="action"),
        CheckConstraint("action <> 'kept' OR (reason <> '' AND until_on IS NOT NULL)", name="kept"),
        Index("ix_erasure_line_request_id", "request_id"),
        {"info": owned(Owner.THROUGH, "request_id"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the lines"))
    request_id: Mapped[UUID] = mapped_column(
        ForeignKey("data_subject_request.id", ondelete="CASCADE"),
        info=personal("Request", Kind.REQUEST, "rights", erase=FILE),
    )
    what: Mapped[str] = mapped_column(String(60), info=personal("What it was", Kind.REQUEST, "rights", erase=FILE))
    action: Mapped[str] = mapped_column(
        String(20), info=personal("What was done with it", Kind.REQUEST, "rights", erase=FILE)
    )
    rows: Mapped[int] = mapped_column(info=personal("How many rows", Kind.REQUEST, "rights", erase=FILE))
    reason: Mapped[str] = mapped_column(
        String(300), default="", info=personal("Why it is kept", Kind.REQUEST, "rights", erase=FILE)
    )
    until_on: Mapped[date | None] = mapped_column(info=personal("Kept until", Kind.REQUEST, "rights", erase=FILE))

    request: Mapped[DataSubjectRequest] = relationship(back_populates="lines")
