"""Room of what we hold: every choice that was ever made, one row each, never changed (P26, GDPR Art. 7(1))."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Index, String, Text, case, func, select, text
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import PROOF
from portal.purposes import SAME
from portal.vocabulary import Kind, Owner, internal, owned, personal


class ChoiceRow(Base):
    """One answer to one question at one time. The newest row of a question stands; there is no flag to overwrite.

    A trigger refuses every UPDATE, and a DELETE while the subject is not erased (migration 0002).
    """

    __tablename__ = "choice"
    __table_args__ = (
        Index("ix_choice_standing", "subject_id", "code", "event_id", "id"),
        Index(
            "ix_choice_usual",
            "subject_id",
            "code",
            "id",
            sqlite_where=text("event_id IS NULL"),
            postgresql_where=text("event_id IS NULL"),
        ),
        Index("ix_choice_at", "at", "id"),
        {"info": owned(Owner.SUBJECT, "subject_id", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    subject_id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.CHOICE, "rights", erase=PROOF),
    )
    code: Mapped[str] = mapped_column(String(40), info=personal("Question", Kind.CHOICE, "rights", erase=PROOF))
    event_id: Mapped[int | None] = mapped_column(
        ForeignKey("event.id", ondelete="RESTRICT"),
        info=personal("For one event only", Kind.CHOICE, "rights", erase=PROOF),
    )
    value: Mapped[str] = mapped_column(String(20), info=personal("Answer", Kind.CHOICE, "rights", erase=PROOF))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Chosen on", Kind.CHOICE, "rights", erase=PROOF))
    door: Mapped[str] = mapped_column(String(20), info=personal("How it came", Kind.CHOICE, "rights", erase=PROOF))
    wording: Mapped[str] = mapped_column(Text, info=personal("Wording shown", Kind.CHOICE, "rights", erase=PROOF))
    notice_version: Mapped[int | None] = mapped_column(
        ForeignKey("notice.version", ondelete="RESTRICT"),
        info=personal("Privacy notice in force", Kind.CHOICE, "rights", erase=PROOF),
    )
    journal_id: Mapped[str | None] = mapped_column(
        String(32), unique=True, info=internal("random; the line of the opt-out journal that this row stands for")
    )


class JournalMark(Base):
    """Up to which byte of a machine's journal, of opt-outs or of erasures, every line is known to this database."""

    __tablename__ = "journal_mark"
    __table_args__ = {"info": owned(Owner.NOBODY, reason="a file's name and a position in it")}

    file: Mapped[str] = mapped_column(String(200), primary_key=True, info=internal("name of a journal file"))
    position: Mapped[int] = mapped_column(BigInteger, info=internal("a number of bytes"))


def standing(subject_id: InstrumentedAttribute[UUID], code: str, default: str) -> ColumnElement[str]:
    """SQL: the answer that stands for a subject, as a scalar; the default where none was given."""
    answer = (
        select(ChoiceRow.value)
        .where(ChoiceRow.subject_id == subject_id, ChoiceRow.code == code, ChoiceRow.event_id.is_(None))
        .order_by(ChoiceRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(answer, default)


def standing_at(
    subject_id: InstrumentedAttribute[UUID],
    event_id: int | InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
    code: str,
    default: str,
) -> ColumnElement[str]:
    """SQL: the answer that stands for a subject at one event: its own, or where that is none or SAME, the usual one."""
    own = (
        select(ChoiceRow.value)
        .where(ChoiceRow.subject_id == subject_id, ChoiceRow.code == code, ChoiceRow.event_id == event_id)
        .order_by(ChoiceRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return func.coalesce(func.nullif(own, SAME), standing(subject_id, code, default))


def stands(answer: ColumnElement[str], *values: str) -> ColumnElement[bool]:
    """SQL: whether the answer that `standing` finds is one of these.

    PostgreSQL guesses that a comparison with an answer, which it has to look up first, holds for one in two hundred.
    With two of them it expects nobody and joins by a loop in a loop (a minute with 20,000 members). Of a bare truth it
    guesses a half.
    """
    return case((answer.in_(values), True), else_=False)
