"""Room of what we hold: accounts, sign-ins, and the links that set a password or change an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base
from portal.models.columns import UtcDateTime
from portal.models.member import Member
from portal.tokens import canonical_address
from portal.vocabulary import Kind, Owner, internal, owned, personal


class Account(Base):
    """What signs in: a member, or a person of the desk without a member's record. No password: not yet active."""

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("(member_id IS NULL) = (email IS NOT NULL)", name="address"),
        CheckConstraint("(email IS NULL) = (email_key IS NULL)", name="email_key"),
        {"info": owned(Owner.SUBJECT, "member_id", at="password_at")},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, info=internal("key"))
    member_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("member.id", ondelete="CASCADE"),
        unique=True,
        info=personal("Random number of your record", Kind.SIGN_IN, "security"),
    )
    email: Mapped[str | None] = mapped_column(
        String(254), info=personal("Sign-in address of staff", Kind.SIGN_IN, "security")
    )
    email_key: Mapped[str | None] = mapped_column(
        String(254),
        unique=True,
        info=personal("Sign-in address of staff, in the form we compare", Kind.SIGN_IN, "security"),
    )
    password_hash: Mapped[str | None] = mapped_column(
        String(200), info=personal("Password, in a form that nobody can read", Kind.SIGN_IN, "security", secret=True)
    )
    password_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Password set", Kind.SIGN_IN, "security")
    )
    second_secret: Mapped[str | None] = mapped_column(
        String(300), info=personal("Second step, encrypted", Kind.SIGN_IN, "security", secret=True)
    )
    second_since: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Second step set up", Kind.SIGN_IN, "security")
    )
    second_step: Mapped[int] = mapped_column(
        BigInteger, default=0, info=personal("Number of the last code of the second step", Kind.SIGN_IN, "security")
    )
    staff: Mapped[bool] = mapped_column(default=False, info=personal("Works at the desk", Kind.SIGN_IN, "security"))

    member: Mapped[Member | None] = relationship(back_populates="account", lazy="joined")
    sign_ins: Mapped[list[SignIn]] = relationship(
        back_populates="account", order_by="SignIn.created_at.desc()", passive_deletes=True
    )

    @property
    def address(self) -> str:
        """Where account mail goes: always the stored address, never a typed one."""
        address = self.member.email if self.member else self.email
        assert address is not None
        return address


class SignInKind(StrEnum):
    """A browser's session, or a kept sign-in that opens sessions for 30 days."""

    SESSION = "session"
    KEPT = "kept"


class SignIn(Base):
    """One sign-in of one browser. Cookies carry a random token; deleting or ending the row ends every copy.

    It is what Flask-Login calls the user: the four members at the end are its protocol.
    """

    __tablename__ = "sign_in"
    __table_args__ = (
        CheckConstraint("kind IN ('session', 'kept')", name="kind"),
        Index("ix_sign_in_account_id", "account_id"),
        Index("ix_sign_in_kept_by_id", "kept_by_id"),
        Index("ix_sign_in_ends_at", "ends_at", "id"),
        {"info": owned(Owner.THROUGH, "account_id", at="created_at")},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, info=internal("key"))
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), info=personal("Account", Kind.SIGN_IN, "security")
    )
    kept_by_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("sign_in.id", ondelete="CASCADE"),
        info=personal("Opened by the kept sign-in", Kind.SIGN_IN, "security"),
    )
    kind: Mapped[str] = mapped_column(String(10), info=personal("Kind", Kind.SIGN_IN, "security"))
    token_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Cookie, in a form that nobody can read", Kind.SIGN_IN, "security", secret=True),
    )
    browser: Mapped[str] = mapped_column(String(80), info=personal("Browser", Kind.SIGN_IN, "security"))
    network: Mapped[str] = mapped_column(String(50), info=personal("Network, shortened", Kind.SIGN_IN, "security"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Signed in", Kind.SIGN_IN, "security"))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Last used", Kind.SIGN_IN, "security"))
    password_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Password last given", Kind.SIGN_IN, "security")
    )
    second_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Second step given", Kind.SIGN_IN, "security")
    )
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Ends", Kind.SIGN_IN, "security"))

    account: Mapped[Account] = relationship(back_populates="sign_ins", lazy="joined", innerjoin=True)

    token = ""  # of this request's cookie; never stored
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        """What Flask-Login puts in the session cookie: the random token."""
        return self.token


class RecoveryCode(Base):
    """One of the codes that stand in for a lost second factor, once each; stored as a hash."""

    __tablename__ = "recovery_code"
    __table_args__ = (
        Index("ix_recovery_code_account_id", "account_id"),
        {"info": owned(Owner.THROUGH, "account_id"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), info=personal("Account", Kind.SIGN_IN, "security")
    )
    code_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Recovery code, in a form that nobody can read", Kind.SIGN_IN, "security", secret=True),
    )
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=personal("Used", Kind.SIGN_IN, "security"))


class FailedSignIn(Base):
    """A sign-in that was refused. Known and unknown addresses leave the same row: a keyed hash."""

    __tablename__ = "failed_sign_in"
    __table_args__ = (
        Index("ix_failed_sign_in_address_hash", "address_hash", "at"),
        Index("ix_failed_sign_in_at", "at", "id"),
        {"info": owned(Owner.ADDRESS, "address_hash", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    address_hash: Mapped[str] = mapped_column(
        String(100), info=personal("Code made from the address tried", Kind.SIGN_IN, "security", secret=True)
    )
    network: Mapped[str] = mapped_column(String(50), info=personal("Network, shortened", Kind.SIGN_IN, "security"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.SIGN_IN, "security"))


class LinkRequest(Base):
    """Somebody typed an address (stored in its compared form) into a page that mails a link; the worker looks it up."""

    __tablename__ = "link_request"
    __table_args__ = (
        Index("ix_link_request_at", "at", "id"),
        Index("ix_link_request_address", "address"),
        {"info": owned(Owner.ADDRESS, "address", at="at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    address: Mapped[str] = mapped_column(
        String(254), info=personal("Address typed, until the worker has read it", Kind.SIGN_IN, "security")
    )
    wanted: Mapped[str] = mapped_column(String(20), info=personal("Which link was asked for", Kind.SIGN_IN, "security"))
    at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("When", Kind.SIGN_IN, "security"))


class PasswordLink(Base):
    """A link that sets a password, once (rights §7.2). One lives at a time: making one ends the older."""

    __tablename__ = "password_link"
    __table_args__ = (
        CheckConstraint("purpose IN ('activation', 'reset')", name="purpose"),
        Index("ix_password_link_account_id", "account_id"),
        Index("ix_password_link_ends_at", "ends_at", "id"),
        {"info": owned(Owner.THROUGH, "account_id", at="created_at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    account_id: Mapped[UUID] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), info=personal("Account", Kind.SIGN_IN, "security")
    )
    purpose: Mapped[str] = mapped_column(String(20), info=personal("For", Kind.SIGN_IN, "security"))
    token_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Link, in a form that nobody can read", Kind.SIGN_IN, "security", secret=True),
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Made", Kind.SIGN_IN, "security"))
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Ends", Kind.SIGN_IN, "security"))
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime, info=personal("Used", Kind.SIGN_IN, "security"))

    account: Mapped[Account] = relationship(lazy="joined", innerjoin=True)


def _compared(written: str) -> Callable[[DefaultExecutionContext], str]:
    """A column's default: what stands in the other column, in the form in which addresses are compared."""

    def compared(context: DefaultExecutionContext) -> str:
        values: Mapping[str, str] = context.get_current_parameters()  # type: ignore[no-untyped-call]
        return canonical_address(values[written])

    return compared


class EmailChange(Base):
    """A new sign-in address that waits for a word from its mailbox (rights §7.6). One may wait at a time."""

    __tablename__ = "email_change"
    __table_args__ = (
        CheckConstraint("door IN ('page', 'import')", name="door"),
        Index(
            "uq_email_change_waiting",
            "member_id",
            unique=True,
            sqlite_where=text("confirmed_at IS NULL AND cancelled_at IS NULL"),
            postgresql_where=text("confirmed_at IS NULL AND cancelled_at IS NULL"),
        ),
        Index("ix_email_change_member_id", "member_id"),
        Index("ix_email_change_cancel_until", "cancel_until", "id"),
        Index("ix_email_change_old_key", "old_key"),
        Index("ix_email_change_new_key", "new_key"),
        {"info": owned(Owner.SUBJECT, "member_id", at="created_at"), "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, info=internal("order of the rows"))
    member_id: Mapped[UUID] = mapped_column(
        ForeignKey("member.id", ondelete="CASCADE"),
        info=personal("Random number of your record", Kind.CONTACT, "security"),
    )
    old_email: Mapped[str] = mapped_column(String(254), info=personal("Old address", Kind.CONTACT, "security"))
    new_email: Mapped[str] = mapped_column(String(254), info=personal("New address", Kind.CONTACT, "security"))
    old_key: Mapped[str] = mapped_column(
        String(254),
        default=_compared("old_email"),
        info=personal("Old address, in the form we compare", Kind.CONTACT, "security"),
    )
    new_key: Mapped[str] = mapped_column(
        String(254),
        default=_compared("new_email"),
        info=personal("New address, in the form we compare", Kind.CONTACT, "security"),
    )
    door: Mapped[str] = mapped_column(String(20), info=personal("How it came", Kind.CONTACT, "security"))
    confirm_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Link to the new address, in a form that nobody can read", Kind.CONTACT, "security", secret=True),
    )
    cancel_hash: Mapped[str] = mapped_column(
        String(64),
        unique=True,
        info=personal("Link to the old address, in a form that nobody can read", Kind.CONTACT, "security", secret=True),
    )
    undo_hash: Mapped[str | None] = mapped_column(
        String(64),
        unique=True,
        info=personal(
            "Later link to the old address, in a form that nobody can read", Kind.CONTACT, "security", secret=True
        ),
    )
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, info=personal("Asked", Kind.CONTACT, "security"))
    confirm_until: Mapped[datetime] = mapped_column(
        UtcDateTime, info=personal("May be confirmed until", Kind.CONTACT, "security")
    )
    cancel_until: Mapped[datetime] = mapped_column(
        UtcDateTime, info=personal("May be undone until", Kind.CONTACT, "security")
    )
    confirmed_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Confirmed", Kind.CONTACT, "security")
    )
    cancelled_at: Mapped[datetime | None] = mapped_column(
        UtcDateTime, info=personal("Cancelled", Kind.CONTACT, "security")
    )

    member: Mapped[Member] = relationship()
