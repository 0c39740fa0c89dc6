"""Room of what we hold: the disclosure log, what left the house about a person, to whom, when (P26, GDPR Art. 19)."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import SHORT
from portal.vocabulary import Keep, Kind, Owner, internal, owned, personal

LOG = Keep("so that whoever received your details can be told that it is deleted", 2 * 365)

# Disclosures outside the portal, beside the codes of `purposes.AUDIENCES`: to a partner, or to an authority (P13, P22).
PARTNER, AUTHORITY = "partner", "authority"
STOP, DELETE = "stop", "delete"  # what a recipient was told: not to use it for now, or to delete it


class Disclosure(Base):
    """One person's details went to one recipient once: by a list, or outside the portal and noted by the desk.

    `fields` holds names of columns of `member`, separated by blanks, never their values. `told_on`: a law forbids to
    tell the person before that day; what is read for a person leaves the row out until then. `doubtful` is set by the
    database itself (migration 0013).
    """

    __tablename__ = "disclosure"
    __table_args__ = (
        Index("ix_disclosure_subject_id", "subject_id", "id"),
        Index("ix_disclosure_at", "at", "id"),
        Index("ix_disclosure_list_number", "list_number", "line"),
        *(
            Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))
            for name, columns, where in (
                ("ix_disclosure_outside", ("id",), f"audience IN ('{PARTNER}', '{AUTHORITY}')"),
                ("ix_disclosure_told_on", ("told_on", "id"), "told_on IS NOT NULL"),
            )
        ),
        Index("ix_disclosure_doubtful", "id", sqlite_where=text("doubtful = 1"), postgresql_where=text("doubtful")),
        CheckConstraint("(recalled_at IS NULL) = (recalled = '')", name="recalled"),
        {"info": owned(Owner.SUBJECT, "subject_id", at="at", told="told_on"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    subject_id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        info=personal("Random number of your record", Kind.DISCLOSURE, "rights", erase=LOG),
    )
    recipient: Mapped[str] = mapped_column(
        String(SHORT), info=personal("Who received it", Kind.DISCLOSURE, "rights", erase=LOG)
    )
    reason: Mapped[str] = mapped_column(String(SHORT), info=personal("For what", Kind.DISCLOSURE, "rights", erase=LOG))
    fields: Mapped[str] = mapped_column(
        String(500), info=personal("Which details", Kind.DISCLOSURE, "rights", erase=LOG)
    )
    event_id: Mapped[int | None] = mapped_column(
        ForeignKey("event.id", ondelete="RESTRICT"),
        info=personal("For which event", Kind.DISCLOSURE, "rights", erase=LOG),
    )
    list_number: Mapped[str] = mapped_column(
        String(20), default="", info=personal("Number of the list", Kind.DISCLOSURE, "rights", erase=LOG)
    )
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.DISCLOSURE, "rights", erase=LOG))
    line: Mapped[int | None] = mapped_column(info=personal("Line of the list", Kind.DISCLOSURE, "rights", erase=LOG))
    audience: Mapped[str] = mapped_column(
        String(20),
        default="",
        server_default="",
        info=personal("Kind of recipient", Kind.DISCLOSURE, "rights", erase=LOG),
    )
    recalled: Mapped[str] = mapped_column(
        String(10),
        default="",
        server_default="",
        info=personal("What the recipient was told since", Kind.DISCLOSURE, "rights", erase=LOG),
    )
    recalled_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("The recipient was told on", Kind.DISCLOSURE, "rights", erase=LOG)
    )
    doubtful: Mapped[bool] = mapped_column(
        default=False,
        server_default=false(),
        info=internal("whether the recalls look at the row, since its person has answered a question anew"),
    )
    told_on: Mapped[date | None] = mapped_column(
        info=personal("Could not be told before", Kind.DISCLOSURE, "rights", erase=LOG)
    )
    untold_why: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        server_default="",
        info=personal("Why it could not be told before", Kind.DISCLOSURE, "rights", erase=LOG),
    )
