"""Room of what we hold: the subject of all rows, and the member's own record (P7)."""

from __future__ import annotations

import secrets
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal import clock
from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.vocabulary import Edit, Keep, Kind, Owner, internal, owned, personal

if TYPE_CHECKING:
    from portal.models.signin import Account

KINDS = ("member", "registered", "contact")
ADDRESS_KINDS = (("work", "Business"), ("home", "Home"))
SHORT = 300
LONG = 4000

PROOF = Keep("proof of what you chose and asked, under a random number only", 6 * 365)


class Subject(Base):
    """A person as rows name them: a random number that says nothing once the member's record is gone."""

    __tablename__ = "subject"
    __table_args__ = (
        Index(
            "ix_subject_erased_at",
            "erased_at",
            sqlite_where=text("erased_at IS NOT NULL"),
            postgresql_where=text("erased_at IS NOT NULL"),
        ),
        Index(
            "ix_subject_restricted_at",
            "restricted_at",
            sqlite_where=text("restricted_at IS NOT NULL"),
            postgresql_where=text("restricted_at IS NOT NULL"),
        ),
        {"info": owned(Owner.SUBJECT, "id")},
    )

    id: Mapped[UUID] = mapped_column(
        primary_key=True,
        default=uuid4,
        info=personal("Random number of your record", Kind.TRAIL, "rights", erase=PROOF),
    )
    unsubscribe_reference: Mapped[bytes] = mapped_column(
        LargeBinary(16),
        unique=True,
        default=lambda: secrets.token_bytes(16),
        info=personal("Random number in your unsubscribe links", Kind.CHOICE, "broadcasts", erase=PROOF, secret=True),
    )
    restricted_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Use of your data restricted since", Kind.CHOICE, "rights", erase=PROOF)
    )
    erased_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Your record erased on", Kind.TRAIL, "rights", erase=PROOF)
    )

    member: Mapped[Member | None] = relationship(back_populates="subject")


class Member(Base):
    """What the society knows of a person. The labels and hints of the profile form stand on the columns."""

    __tablename__ = "member"
    __table_args__ = (
        CheckConstraint(f"kind IN {KINDS}", name="kind"),
        CheckConstraint("address_kind IN ('', 'work', 'home')", name="address_kind"),
        Index("ix_member_address_hash", "address_hash"),
        {"info": owned(Owner.SUBJECT, "id")},
    )

    id: Mapped[UUID] = mapped_column(
        ForeignKey("subject.id", ondelete="RESTRICT"),
        primary_key=True,
        info=personal("Random number of your record", Kind.TRAIL, "membership"),
    )
    version: Mapped[int] = mapped_column(info=internal("counts saves, so that two tabs cannot overwrite each other"))
    member_number: Mapped[str | None] = mapped_column(
        String(SHORT), unique=True, info=personal("Member number", Kind.MEMBERSHIP, "membership", edit=Edit.RECORDS)
    )
    kind: Mapped[str] = mapped_column(
        String(20),
        default="contact",
        info=personal("Kind of record", Kind.MEMBERSHIP, "membership", edit=Edit.RECORDS),
    )
    membership_status: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Membership status", Kind.MEMBERSHIP, "membership", edit=Edit.RECORDS),
    )
    joined_on: Mapped[date | None] = mapped_column(
        info=personal("Member since", Kind.MEMBERSHIP, "membership", edit=Edit.RECORDS)
    )
    expires_on: Mapped[date | None] = mapped_column(
        info=personal("Membership runs until", Kind.MEMBERSHIP, "membership", edit=Edit.RECORDS)
    )

    honorific: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Title",
            Kind.IDENTITY,
            "contact",
            edit=Edit.MEMBER,
            why="So that we address you as you wish, for example as Dr. or Prof.",
            autocomplete="honorific-prefix",
        ),
    )
    first_name: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "First name",
            Kind.IDENTITY,
            "membership",
            "contact",
            "events",
            "careers",
            edit=Edit.MEMBER,
            required=True,
            why="To address you, and for your badge at events.",
            autocomplete="given-name",
        ),
    )
    last_name: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Last name",
            Kind.IDENTITY,
            "membership",
            "contact",
            "events",
            "careers",
            "sanctions",
            edit=Edit.MEMBER,
            required=True,
            why="To address you, and because United States sanctions law obliges us to know our members' names.",
            autocomplete="family-name",
        ),
    )
    birth_date: Mapped[date | None] = mapped_column(
        info=personal(
            "Birth date",
            Kind.IDENTITY,
            "content",
            "age",
            edit=Edit.MEMBER,
            why="It tells us which generations we serve, and helps us to tell apart two people with the same name.",
            autocomplete="bday",
        )
    )

    email: Mapped[str] = mapped_column(
        String(254),
        info=personal(
            "Email address",
            Kind.CONTACT,
            "membership",
            "contact",
            "broadcasts",
            "events",
            "careers",
            edit=Edit.PAGE,
            required=True,
            why="You sign in with it, and we write to it.",
            autocomplete="email",
        ),
    )
    email_key: Mapped[str] = mapped_column(
        String(254),
        unique=True,
        info=personal("Email address, in the form we compare", Kind.CONTACT, "contact"),
    )
    address_hash: Mapped[str] = mapped_column(
        String(100), info=personal("Code made from your email address", Kind.CONTACT, "broadcasts", secret=True)
    )
    address_kind: Mapped[str] = mapped_column(
        String(10),
        default="",
        info=personal(
            "Kind of address",
            Kind.CONTACT,
            "contact",
            edit=Edit.MEMBER,
            required=True,
            why="Business or home, so that we know what to put on the envelope.",
            options=ADDRESS_KINDS,
        ),
    )
    country: Mapped[str] = mapped_column(
        String(2),
        default="",
        info=personal(
            "Country",
            Kind.CONTACT,
            "contact",
            "events",
            "sanctions",
            edit=Edit.MEMBER,
            required=True,
            why="For post, for your chapter, and because United States sanctions law asks for it.",
            autocomplete="country",
        ),
    )
    address_line1: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Address line 1",
            Kind.CONTACT,
            "contact",
            edit=Edit.MEMBER,
            required=True,
            why="For post about your membership.",
            autocomplete="address-line1",
        ),
    )
    address_line2: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Address line 2", Kind.CONTACT, "contact", edit=Edit.MEMBER, autocomplete="address-line2"),
    )
    postal_code: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Postal code", Kind.CONTACT, "contact", edit=Edit.MEMBER, autocomplete="postal-code"),
    )
    city: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("City", Kind.CONTACT, "contact", edit=Edit.MEMBER, required=True, autocomplete="address-level2"),
    )
    region: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal("Region", Kind.CONTACT, "contact", edit=Edit.MEMBER, autocomplete="address-level1"),
    )
    phone: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Phone",
            Kind.CONTACT,
            "contact",
            edit=Edit.MEMBER,
            why="For questions about an order or an event. News by phone is a choice of its own.",
            autocomplete="tel",
        ),
    )
    mobile: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Mobile phone",
            Kind.CONTACT,
            "contact",
            edit=Edit.MEMBER,
            why="To reach you on the day of an event.",
            autocomplete="mobile tel",
        ),
    )

    organization: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Company or organisation",
            Kind.WORK,
            "membership",
            "events",
            edit=Edit.MEMBER,
            why="For your badge, and to know which companies our field is made of.",
            autocomplete="organization",
        ),
    )
    job_title: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Job title",
            Kind.WORK,
            "content",
            "events",
            "careers",
            edit=Edit.MEMBER,
            why="To choose programmes that fit our members' work.",
            autocomplete="organization-title",
        ),
    )
    business_type: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Type of business",
            Kind.WORK,
            "content",
            "events",
            edit=Edit.MEMBER,
            why="For example foundry, materials, equipment, university: to balance our programmes.",
        ),
    )
    education: Mapped[str] = mapped_column(
        Text,
        default="",
        info=personal(
            "Education",
            Kind.WORK,
            "content",
            "careers",
            edit=Edit.MEMBER,
            why="For grants and awards, and for the career centre if you said yes to it.",
        ),
    )
    work_experience: Mapped[str] = mapped_column(
        Text,
        default="",
        info=personal(
            "Work experience",
            Kind.WORK,
            "content",
            "careers",
            edit=Edit.MEMBER,
            why="To find speakers and reviewers, and for the career centre if you said yes to it.",
        ),
    )
    certifications: Mapped[str] = mapped_column(
        Text,
        default="",
        info=personal(
            "Certifications from elsewhere",
            Kind.WORK,
            "content",
            edit=Edit.MEMBER,
            why="To see which courses you no longer need.",
        ),
    )
    interests: Mapped[str] = mapped_column(
        Text,
        default="",
        info=personal(
            "Areas of interest",
            Kind.ABOUT,
            "content",
            "careers",
            edit=Edit.MEMBER,
            why="To tell you about the right events. One on each line.",
        ),
    )
    demographics: Mapped[str] = mapped_column(
        String(SHORT),
        default="",
        info=personal(
            "Demographic information",
            Kind.ABOUT,
            "content",
            edit=Edit.MEMBER,
            why="Only if you wish: it helps us to see whom our society does not reach yet.",
        ),
    )

    # An inner join would be nested in the query of a sign-in, and SQLite would read every member to answer it.
    subject: Mapped[Subject] = relationship(back_populates="member", lazy="joined")
    account: Mapped[Account | None] = relationship(back_populates="member", passive_deletes=True)

    __mapper_args__ = {"version_id_col": version}

    @property
    def name(self) -> str:
        """As in a letter's first line; the address where no name is known."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.email


def new_subject() -> Subject:
    """A fresh subject with its numbers already drawn, for rows that name it before it is flushed."""
    return Subject(id=uuid4(), unsubscribe_reference=secrets.token_bytes(16))


def is_too_young(birth_date: date, today: date | None = None) -> bool:
    """Whether the person is under 13 (P30). Born on 29 February, one turns 13 on 1 March."""
    today = today or clock.society_date(clock.now())
    return (today.year - birth_date.year, today.month, today.day) < (13, birth_date.month, birth_date.day)
