"""Verbs of coming in: sign in and out, keep signed in, passwords, and the links that set them (rights §7).

What leaves in a cookie or a link is random; only its hash is stored. A page that mails a link never looks the
address up: it notes it, and the worker answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Select, Table, and_, bindparam, delete, func, literal, or_, select, update

from portal.domain import passwords, subjects
from portal.domain.errors import LinkUsedUp
from portal.extensions import db, glance
from portal.mail import messages
from portal.models import Account, EmailChange, FailedSignIn, LinkRequest, Member, PasswordLink, SignIn, Subject
from portal.models.signin import SignInKind
from portal.models.suppression import suspended
from portal.tokens import canonical_address, closed, digest, new_secret, suppression_hash, suppression_hashes

IDLE = timedelta(minutes=30)
MEMBER_SESSION = timedelta(hours=12)
STAFF_SESSION = timedelta(hours=8)
KEPT = timedelta(days=30)
RECENT = timedelta(minutes=5)
SEEN_EVERY = timedelta(minutes=1)
AHEAD = timedelta(minutes=1)  # by which the clock of another machine may be before ours; more is a clock that was wrong
LOOK_BACK = timedelta(days=40)  # longer than any sign-in lasts
MOST_SIGN_INS = 20
RESET_LINK = timedelta(hours=1)
ACTIVATION_LINK = timedelta(days=7)


class Proved(NamedTuple):
    """An account and the hash of the password that was proved for it: it must still be the one stored."""

    account_id: UUID
    password_hash: str


class Opened(NamedTuple):
    """A fresh sign-in and, if it was wished, the token of the cookie that keeps it for 30 days."""

    sign_in: SignIn
    keep_token: str | None


@dataclass(frozen=True)
class Visit:
    """A live sign-in as a page reads it, with what most pages say of its person; nothing to write to.

    Somebody of the desk without a record has only an address. The last members are what Flask-Login asks for.
    """

    id: UUID
    seen_at: datetime
    account_id: UUID
    staff: bool
    member_id: UUID | None
    first_name: str | None
    last_name: str | None
    organization: str | None
    email: str
    email_key: str
    restricted_at: datetime | None

    @property
    def name(self) -> str:
        """As `Member.name`."""
        return " ".join(part for part in (self.first_name, self.last_name) if part) or self.email

    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


# Passwords ------------------------------------------------------------------------------------------------


def set_password(account: Account, password: str, *, now: datetime) -> None:
    """Store a new password and end every sign-in, link and waiting address change. Raises PasswordRefused."""
    passwords.check(password, about=_about(account))
    _store(account, password, now)


def _about(account: Account) -> tuple[str, ...]:
    member = account.member
    return (account.address, member.first_name, member.last_name) if member else (account.address,)


def end_password(account: Account, *, now: datetime) -> None:
    """Nobody signs in with the password any more, nor is signed in by it; a link for a new one is mailed."""
    account.password_hash = account.password_at = None
    end_all(account)
    mail_link(account, now=now)


def _store(account: Account, password: str, now: datetime) -> None:
    if account.member_id is not None:
        subjects.take_turn(account.member_id)
    account.password_hash = passwords.HASHER.hash(password)
    account.password_at = now
    end_all(account)
    end_links(account, now=now)
    if account.member_id is not None:
        cancel_waiting_change(account.member_id, now=now)
    messages.password_changed(account, now=now)


def cancel_waiting_change(member_id: UUID, *, now: datetime) -> None:
    """End the change of address that waits for its confirmation, if there is one."""
    waiting = update(EmailChange).where(
        EmailChange.member_id == member_id, EmailChange.confirmed_at.is_(None), EmailChange.cancelled_at.is_(None)
    )
    db.session.execute(waiting.values(cancelled_at=now))


def change_password(sign_in: SignIn, password: str, *, now: datetime) -> SignIn:
    """A new password for somebody who is signed in: all sign-ins end, this browser gets a fresh one."""
    account, browser, network = sign_in.account, sign_in.browser, sign_in.network
    set_password(account, password, now=now)
    db.session.flush()
    db.session.expire(account, ["sign_ins"])
    ends_at = now + _session_length(account)
    return _new_row(account, SignInKind.SESSION, browser, network, now, ends_at=ends_at, password_at=now)


# Sign-ins -------------------------------------------------------------------------------------------------


def prove(address: str, password: str) -> Proved | None:
    """The account that this address and password open, or None. Looks first, hashes after, with nothing locked."""
    with glance():
        found = db.session.execute(_PASSWORD, {"key": canonical_address(address)}).first()
        ident, stored = found or (None, None)
    matches = passwords.matches(stored, password)
    return Proved(ident, stored) if matches and ident is not None and stored is not None else None


def open_sign_in(
    proved: Proved, password: str, *, keep: bool, browser: str, network: str, now: datetime
) -> Opened | None:
    """Begin a sign-in for an account whose password was just proved; hashes it anew if our parameters have grown.

    None if the password was changed or ended meanwhile, or the person is suspended (P15). Nobody of the desk is kept
    signed in, whatever they wish.
    """
    query = select(Account).where(Account.id == proved.account_id).with_for_update(of=Account, key_share=True)
    account = db.session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if account is None or account.password_hash != proved.password_hash or _is_suspended(account):
        return None
    keep = keep and not account.staff
    if passwords.HASHER.check_needs_rehash(account.password_hash):
        account.password_hash = passwords.HASHER.hash(password)
    known = db.session.scalars(
        select(SignIn.id).where(SignIn.account_id == account.id, SignIn.browser == browser, SignIn.network == network)
    ).first()
    _make_room(account, 2 if keep else 1, now=now)
    kept = _new_row(account, SignInKind.KEPT, browser, network, now, ends_at=now + KEPT) if keep else None
    row = _new_row(
        account,
        SignInKind.SESSION,
        browser,
        network,
        now,
        ends_at=now + _session_length(account),
        password_at=now,
        kept_by=kept,
    )
    if known is None and account.password_at is not None and account.password_at < now - timedelta(hours=1):
        messages.new_sign_in(account, browser=browser, now=now)
    return Opened(row, kept.token if kept else None)


def find(token: str, *, now: datetime) -> SignIn | None:
    """The live sign-in that a session cookie names. One query with account and member."""
    return _live(_SESSION, token, now)


def visit(token: str, *, now: datetime) -> Visit | None:
    """The same for a page that only reads: a plain row, at a quarter of the price."""
    found = db.session.execute(_VISIT, _sought(token, now)).one_or_none()
    return Visit(*found) if found is not None else None


def visit_of(sign_in: SignIn) -> Visit:
    """The same of a sign-in that was read whole."""
    account, member = sign_in.account, sign_in.account.member
    return Visit(
        sign_in.id,
        sign_in.seen_at,
        account.id,
        account.staff,
        account.member_id,
        member.first_name if member else None,
        member.last_name if member else None,
        member.organization if member else None,
        account.address,
        (member or account).email_key or "",
        member.subject.restricted_at if member else None,
    )


def reopen(keep_token: str, *, browser: str, network: str, now: datetime) -> SignIn | None:
    """Exchange a kept sign-in for a session that is not recent; None if it has ended, and for the desk."""
    kept = _live(_KEPT, keep_token, now)
    if kept is None or kept.account.staff:
        return None
    kept.seen_at = now
    account = kept.account
    _make_room(account, 1, now=now, beside=kept)
    length = min(now + _session_length(account), kept.ends_at)
    return _new_row(account, SignInKind.SESSION, browser, network, now, ends_at=length, kept_by=kept)


def see(sign_in_id: UUID, *, now: datetime) -> None:
    """Note that a sign-in is in use, unless it was ended meanwhile."""
    db.session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(seen_at=now))


def is_recent(sign_in: SignIn, *, now: datetime) -> bool:
    """Whether the password was given in the last five minutes."""
    return sign_in.password_at is not None and now - RECENT < sign_in.password_at <= now + AHEAD


def confirm_again(sign_in: SignIn, password: str, *, now: datetime) -> bool:
    """The password once more: makes the sign-in recent, under a new token. False if wrong."""
    if not passwords.matches(sign_in.account.password_hash, password):
        return False
    sign_in.password_at = now
    renew(sign_in)
    return True


def renew(sign_in: SignIn) -> None:
    """Another token, as it may do more from now on: what was copied before opens nothing (ASVS 7.2.4)."""
    sign_in.token = new_secret()
    sign_in.token_hash = digest(sign_in.token)
    db.session.flush()


def end(sign_in: SignIn) -> None:
    """Sign out: the row goes, and with a kept sign-in everything that it opened."""
    ended = [sign_in.kept_by_id or sign_in.id, sign_in.id]
    db.session.execute(delete(SignIn).where(or_(SignIn.id.in_(ended), SignIn.kept_by_id.in_(ended))))


def end_by_tokens(*tokens: str) -> None:
    """Sign out whoever holds these cookies, a session's or a kept sign-in's; an ended one is no matter."""
    hashes = [digest(each) for each in tokens if each]
    for row in db.session.scalars(select(SignIn).where(SignIn.token_hash.in_(hashes))).all() if hashes else ():
        end(row)


def end_all(account: Account) -> None:
    """Sign out everywhere."""
    db.session.execute(delete(SignIn).where(SignIn.account_id == account.id))


def sign_ins(account: Account, *, now: datetime) -> list[SignIn]:
    """The live sign-ins as a person thinks of them: a kept one stands for the sessions that it opened."""
    query = select(SignIn).where(
        SignIn.account_id == account.id,
        SignIn.ends_at > now,
        SignIn.kept_by_id.is_(None),
        or_(SignIn.kind == SignInKind.KEPT, SignIn.seen_at > now - IDLE),
    )
    return list(db.session.scalars(query.order_by(SignIn.seen_at.desc(), SignIn.id)))


def close_ended(*, since: datetime, now: datetime) -> int:
    """Close for good what has ended since then: should the clock go back, it opens nothing again. How many there were.

    The rows stay as long as we said; only what recognises cookie or link is changed beyond recognition.
    """
    since = since - AHEAD if since <= now else now - LOOK_BACK
    over = or_(SignIn.ends_at <= now, and_(SignIn.kind == SignInKind.SESSION, SignIn.seen_at <= now - IDLE))
    ended = 0
    for model, soon, condition in (
        (SignIn, now + MEMBER_SESSION, over),
        (PasswordLink, now, PasswordLink.used_at.is_(None)),
    ):
        query = update(model).where(
            model.ends_at > since, model.ends_at <= soon, condition, model.token_hash.not_like("x%")
        )
        changed = query.values(token_hash=literal("x").concat(func.substr(model.token_hash, 2)))
        ended += db.session.execute(changed, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined]
    return ended


def one_of(account: Account, sign_in_id: UUID) -> SignIn | None:
    """One of the account's own sign-ins; None for anybody else's."""
    query = select(SignIn).where(SignIn.id == sign_in_id, SignIn.account_id == account.id)
    return db.session.scalars(query).one_or_none()


def note_failure(address: str, *, network: str, now: datetime) -> None:
    """Write a refused sign-in down, alike for known and unknown addresses."""
    hashed = suppression_hash(canonical_address(address))
    db.session.add(FailedSignIn(address_hash=hashed, network=network, at=now))


def failures(account: Account, *, since: datetime) -> int:
    """How often somebody tried this account's address in vain."""
    hashes = suppression_hashes(canonical_address(account.address))
    query = select(func.count()).where(FailedSignIn.address_hash.in_(hashes), FailedSignIn.at > since)
    return db.session.execute(query).scalar_one()


def find_account(address: str) -> Account | None:
    """The account that signs in with this address: a member's, or a person's of the desk."""
    return db.session.scalars(_ACCOUNT, {"key": canonical_address(address)}).first()


# Links that set a password --------------------------------------------------------------------------------


def ask_for_link(address: str, *, wanted: str, now: datetime) -> None:
    """Note an address typed into "forgot password" or "activate". Nothing is looked up here (rights §7.2)."""
    db.session.add(LinkRequest(address=canonical_address(address), wanted=wanted, at=now))


def answer(address: str, *, now: datetime) -> None:
    """Mail the link that fits: a reset to an active account, an activation to a person without one, else nothing."""
    account = find_account(address)
    if account is None:
        key = canonical_address(address)
        member = db.session.scalars(select(Member).where(Member.email_key == key)).one_or_none()
        if member is None:
            return
        account = account_of(member)
    mail_link(account, now=now)


def account_of(member: Member) -> Account:
    """The member's account, made without a password if there is none yet."""
    if member.account is None:
        member.account = Account(member_id=member.id)
        db.session.flush()
    return member.account


def mail_link(account: Account, *, now: datetime, invited: bool = False) -> None:
    """Mail a link that sets the password; older links of the account end. `invited`: nobody asked for it.

    Nobody suspended gets one (P15).
    """
    if _is_suspended(account):
        return
    reset = account.password_hash is not None
    end_links(account, now=now)
    token = new_secret()
    link = PasswordLink(
        account=account,
        purpose="reset" if reset else "activation",
        token_hash=digest(token),
        created_at=now,
        ends_at=now + (RESET_LINK if reset else ACTIVATION_LINK),
    )
    db.session.add(link)
    db.session.flush()
    send = messages.reset if reset else messages.invitation if invited else messages.activation
    send(account, token, now=now)


def end_links(account: Account, *, now: datetime) -> None:
    """End the links of an account that were mailed and not used."""
    db.session.execute(
        update(PasswordLink)
        .where(PasswordLink.account_id == account.id, PasswordLink.used_at.is_(None), PasswordLink.ends_at > now)
        .values(ends_at=now)
    )


def link(token: str, *, now: datetime) -> PasswordLink | None:
    """The link with this token, without spending it; None if we never made it. Raises LinkUsedUp."""
    hashes = digest(token), closed(digest(token))
    found = db.session.scalars(select(PasswordLink).where(PasswordLink.token_hash.in_(hashes))).one_or_none()
    if found is not None and (not _lives(found, hashes[0], now) or _is_suspended(found.account)):
        raise LinkUsedUp(_why_used_up(found))
    return found


def _lives(link: PasswordLink, hashed: str, now: datetime) -> bool:
    made = link.created_at <= now + AHEAD
    return made and link.used_at is None and link.ends_at > now and link.token_hash == hashed


def spend_link(token: str, password: str, *, now: datetime) -> Account | None:
    """Set the password by a link, once, even if two windows press at the same time.

    None if we never made the link. Raises LinkUsedUp and PasswordRefused; a refused password spends nothing.
    """
    found = link(token, now=now)
    if found is None:
        return None
    passwords.check(password, about=_about(found.account))  # before the link is spent: the form comes back
    if found.account.member_id is not None:
        subjects.take_turn(found.account.member_id)
    spent = db.session.execute(
        update(PasswordLink)
        .where(PasswordLink.id == found.id, PasswordLink.used_at.is_(None), PasswordLink.ends_at > now)
        .values(used_at=now)
        .returning(PasswordLink.id)
    ).scalar_one_or_none()
    if spent is None:
        raise LinkUsedUp(_why_used_up(found))
    _store(found.account, password, now)
    return found.account


def _is_suspended(account: Account) -> bool:
    if account.member_id is None:
        return False
    return bool(db.session.scalars(select(suspended(account.member_id))).one())


def _why_used_up(link: PasswordLink) -> str:
    if link.used_at is not None:
        return "This link has been used. If that was not you, ask for a new one and choose a new password."
    newer = select(PasswordLink.id).where(
        PasswordLink.account_id == link.account_id, PasswordLink.created_at > link.created_at
    )
    if db.session.scalars(newer.limit(1)).first() is not None:
        return "We sent you a newer link after this one. Please use the newest email, or ask for another link."
    return "This link has expired. Ask for a new one."


# Rows -----------------------------------------------------------------------------------------------------


_NOT_AHEAD = (SignIn.created_at <= bindparam("ahead"), SignIn.seen_at <= bindparam("ahead"))
_KEPT = (
    select(SignIn)
    .where(
        SignIn.token_hash == bindparam("token_hash"),
        SignIn.kind == SignInKind.KEPT,
        SignIn.ends_at > bindparam("now"),
        *_NOT_AHEAD,
    )
    .with_for_update(of=SignIn, key_share=True)  # it may be ended at this moment, in another window
)
_SESSION = select(SignIn).where(
    SignIn.token_hash == bindparam("token_hash"),
    SignIn.kind == SignInKind.SESSION,
    SignIn.ends_at > bindparam("now"),
    *_NOT_AHEAD,
    SignIn.seen_at > bindparam("idle"),
)

_ROWS, _ACCOUNTS, _PEOPLE, _SUBJECTS = (cast(Table, model.__table__) for model in (SignIn, Account, Member, Subject))
# Two looks into an index: where member and account are joined for it, all accounts are read.
_THEIRS = select(_PEOPLE.c.id).where(_PEOPLE.c.email_key == bindparam("key")).scalar_subquery()
_BY_ADDRESS = or_(_ACCOUNTS.c.member_id == _THEIRS, _ACCOUNTS.c.email_key == bindparam("key"))
_ACCOUNT = select(Account).where(_BY_ADDRESS)
_PASSWORD = select(_ACCOUNTS.c.id, _ACCOUNTS.c.password_hash).where(_BY_ADDRESS)
_VISIT = (
    select(
        _ROWS.c.id,
        _ROWS.c.seen_at,
        _ACCOUNTS.c.id,
        _ACCOUNTS.c.staff,
        _ACCOUNTS.c.member_id,
        _PEOPLE.c.first_name,
        _PEOPLE.c.last_name,
        _PEOPLE.c.organization,
        func.coalesce(_PEOPLE.c.email, _ACCOUNTS.c.email),
        func.coalesce(_PEOPLE.c.email_key, _ACCOUNTS.c.email_key),
        _SUBJECTS.c.restricted_at,
    )
    .join(_ACCOUNTS, _ACCOUNTS.c.id == _ROWS.c.account_id)
    .outerjoin(_PEOPLE, _PEOPLE.c.id == _ACCOUNTS.c.member_id)
    .outerjoin(_SUBJECTS, _SUBJECTS.c.id == _PEOPLE.c.id)
    .where(
        _ROWS.c.token_hash == bindparam("token_hash"),
        _ROWS.c.kind == SignInKind.SESSION,
        _ROWS.c.ends_at > bindparam("now"),
        _ROWS.c.seen_at > bindparam("idle"),
        _ROWS.c.created_at <= bindparam("ahead"),
        _ROWS.c.seen_at <= bindparam("ahead"),
    )
)


def _sought(token: str, now: datetime) -> dict[str, object]:
    return {"token_hash": digest(token), "now": now, "idle": now - IDLE, "ahead": now + AHEAD}


def _live(query: Select[SignIn], token: str, now: datetime) -> SignIn | None:
    """By a constant statement: every page asks this, and building it anew would cost as much as the answer."""
    row = db.session.scalars(query, _sought(token, now)).one_or_none()
    if row is not None:
        row.token = token
    return row


def _new_row(
    account: Account,
    kind: SignInKind,
    browser: str,
    network: str,
    now: datetime,
    *,
    ends_at: datetime,
    password_at: datetime | None = None,
    kept_by: SignIn | None = None,
) -> SignIn:
    token = new_secret()
    row = SignIn(
        account=account,
        kind=kind,
        token_hash=digest(token),
        browser=browser,
        network=network,
        created_at=now,
        seen_at=now,
        password_at=password_at,
        ends_at=ends_at,
        kept_by_id=kept_by.id if kept_by else None,
    )
    row.token = token
    db.session.add(row)
    db.session.flush()
    return row


def _session_length(account: Account) -> timedelta:
    return STAFF_SESSION if account.staff else MEMBER_SESSION


def _make_room(account: Account, rows: int, *, now: datetime, beside: SignIn | None = None) -> None:
    """Ended rows go; with the new rows to come at most twenty live, the oldest are ended first.

    `beside`: the kept sign-in that opens one more session. It stays; those it opened that idled out go.
    """
    over = SignIn.ends_at <= now
    if beside is not None:
        over = or_(over, and_(SignIn.kept_by_id == beside.id, SignIn.seen_at <= now - IDLE))
    db.session.execute(delete(SignIn).where(SignIn.account_id == account.id, over))
    oldest = select(SignIn.id).where(SignIn.account_id == account.id).order_by(SignIn.created_at.desc(), SignIn.id)
    if beside is not None:
        oldest = oldest.where(SignIn.id != beside.id)
        rows += 1
    too_many = list(db.session.scalars(oldest.offset(MOST_SIGN_INS - rows)))
    if too_many:
        db.session.execute(delete(SignIn).where(SignIn.id.in_(too_many)))
