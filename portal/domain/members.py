"""Verbs on a member's record: save the profile, change the address, invite (P1, P7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Table, bindparam, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from portal.domain import signin, subjects, trail
from portal.domain.at_once import PERSON, Part, columns
from portal.domain.errors import LinkUsedUp, StaleRecord, TooManyChanges
from portal.extensions import db
from portal.mail import messages
from portal.models import Account, EmailChange, FormerAddress, Member, Subject, Suppression
from portal.models.suppression import may_be_mailed, suspended
from portal.tokens import canonical_address, digest, new_secret, suppression_hash, suppression_hashes
from portal.vocabulary import Door

CONFIRM_WITHIN = timedelta(hours=24)
PROPOSAL_WITHIN = timedelta(days=7)
CANCEL_WITHIN = timedelta(days=7)
MOST_CHANGES = 10  # begun by one member in a day

_MEMBERS = cast(Table, Member.__table__)
STALE = "This record was changed in another place since you opened the form. Nothing of yours has overwritten it."


def save_profile(
    member: Member, values: Mapping[str, str | date | None], *, version: int, via: Door, now: datetime
) -> list[str]:
    """Store the values that differ; the names of the fields changed.

    `version` is the one that the form was made from. Raises StaleRecord when the record has moved on since.
    """
    if member.version != version:
        raise StaleRecord(STALE)
    changed = [name for name, value in values.items() if getattr(member, name) != value]
    if changed:
        db.session.flush()
        moved = {"version": version + 1} | {name: values[name] for name in changed}
        rows = _MEMBERS.c
        moves = update(_MEMBERS).where(rows.id == member.id, rows.version == version).values(moved).returning(rows.id)
        if db.session.execute(moves).first() is None:
            db.session.expire(member)
            raise StaleRecord(STALE)
        db.session.expire(member, moved)
        trail.record_each(member.id, trail.CHANGED, changed, door=via, now=now)
    return changed


def one(member_id: UUID) -> Member:
    """The record of this number, which somebody signed in has."""
    return db.session.get_one(Member, member_id)


_RECORD = select(_MEMBERS).where(_MEMBERS.c.id == bindparam("member_id"))


def record(member_id: UUID) -> Row[Any]:
    """A member's record as a plain row, for a page that only shows it: the names are those of `Member`."""
    return db.session.execute(_RECORD, {"member_id": member_id}).one()


# The address ----------------------------------------------------------------------------------------------


_CHANGES = cast(Table, EmailChange.__table__).c
WAITING = Part(
    "waiting",
    select(*columns(number=_CHANGES.id, word=_CHANGES.new_email)).where(
        _CHANGES.member_id == PERSON, _CHANGES.confirmed_at.is_(None), _CHANGES.cancelled_at.is_(None)
    ),
)


def waiting_change(member: Member) -> EmailChange | None:
    """The change of address that waits for its confirmation."""
    query = select(EmailChange).where(
        EmailChange.member_id == member.id, EmailChange.confirmed_at.is_(None), EmailChange.cancelled_at.is_(None)
    )
    return db.session.scalars(query).one_or_none()


def known_addresses(member: Member, *, now: datetime) -> list[str]:
    """Where the member can be reached: the address, and those given up so lately that they can still come back."""
    query = select(EmailChange.old_email).where(
        EmailChange.member_id == member.id,
        EmailChange.confirmed_at.is_not(None),
        EmailChange.cancelled_at.is_(None),
        EmailChange.cancel_until > now,
    )
    found = {canonical_address(each): each for each in db.session.scalars(query.order_by(EmailChange.id))}
    return [member.email, *(each for key, each in found.items() if key != member.email_key)]


def ask_email_change(member: Member, new_email: str, *, via: Door, now: datetime) -> None:
    """Begin a change of address: a link to the new one, a word and a way to cancel to the old one (rights §7.6).

    An older change that still waits is cancelled. An address that somebody else has gets a warning instead,
    and nobody on this side learns of it. Raises TooManyChanges: each one mails an address that was only typed.
    """
    subjects.take_turn(member.id)
    db.session.refresh(member, ["email"])  # another change may just have been confirmed
    if via is Door.PAGE and _begun(member, since=now - timedelta(days=1)) >= MOST_CHANGES:
        raise TooManyChanges("You have begun too many changes of your address today. Please try again tomorrow.")
    signin.cancel_waiting_change(member.id, now=now)
    confirm, cancel = new_secret(), new_secret()
    change = EmailChange(
        member=member,
        old_email=member.email,
        new_email=new_email,
        door=via,
        confirm_hash=digest(confirm),
        cancel_hash=digest(cancel),
        created_at=now,
        confirm_until=now + (PROPOSAL_WITHIN if via is Door.IMPORT else CONFIRM_WITHIN),
        cancel_until=now + CANCEL_WITHIN,
    )
    db.session.add(change)
    db.session.flush()
    others = _others(new_email, member)
    if others:
        messages.email_taken(others[0], new_email, now=now)
    else:
        messages.email_confirm(change, confirm, now=now)
    messages.email_notice(change, cancel, now=now)


def propose_email(member: Member, new_email: str, *, now: datetime) -> bool:
    """An import brings a new address for somebody who signs in: it waits for its mailbox.

    False if it does already, and while a change waits that the member began: theirs goes first.
    """
    subjects.take_turn(member.id)
    waiting = waiting_change(member)
    if waiting is not None:
        theirs = waiting.door == Door.PAGE and waiting.confirm_until > now
        if theirs or canonical_address(waiting.new_email) == canonical_address(new_email):
            return False
    ask_email_change(member, new_email, via=Door.IMPORT, now=now)
    return True


def change_to_confirm(token: str, *, now: datetime) -> EmailChange | None:
    """The change that a link to the new address confirms; None if we never made it. Raises LinkUsedUp."""
    return _confirmable(_change(EmailChange.confirm_hash == digest(token)), now)


def _confirmable(change: EmailChange | None, now: datetime) -> EmailChange | None:
    ahead = change is not None and change.created_at > now + signin.AHEAD
    if change is not None and (change.confirmed_at or change.cancelled_at or change.confirm_until <= now or ahead):
        raise LinkUsedUp("This link was used, was cancelled, or has expired. Your address stays as it is.")
    return change


def confirm_email(token: str, *, now: datetime) -> EmailChange | None:
    """Switch to the new address, once. Raises LinkUsedUp, also when somebody else has taken the address meanwhile."""
    change = _confirmable(_in_turn(_change(EmailChange.confirm_hash == digest(token))), now)
    if change is None:
        return None
    member = change.member
    undo = new_secret()
    change.confirmed_at = now
    change.undo_hash = digest(undo)
    change.cancel_until = now + CANCEL_WITHIN
    try:
        with db.session.begin_nested():
            if _others(change.new_email, member):
                raise LinkUsedUp(TAKEN)
            set_email(member, change.new_email, now=now)
    except (IntegrityError, StaleDataError) as raced:
        raise LinkUsedUp(TAKEN) from raced
    signin.end_links(signin.account_of(member), now=now)
    trail.record(member.id, "changed", field="email", door=Door(change.door), now=now)
    messages.email_changed(change, undo, now=now)
    return change


TAKEN = "This address cannot be used for your account. Your old address stays as it is."


def change_to_cancel(token: str, *, now: datetime) -> EmailChange | None:
    """The change that a link to the old address takes back, the first such link or the one sent when it was done.

    None if we never made it. Raises LinkUsedUp.
    """
    return _cancellable(_by_old_mailbox(token), now)


def _by_old_mailbox(token: str) -> EmailChange | None:
    return _change(or_(EmailChange.cancel_hash == digest(token), EmailChange.undo_hash == digest(token)))


def _cancellable(change: EmailChange | None, now: datetime) -> EmailChange | None:
    if change is not None and (change.cancelled_at or change.cancel_until <= now):
        raise LinkUsedUp("This change was cancelled already, or the time for it is over.")
    return change


def cancel_email(token: str, *, now: datetime) -> EmailChange | None:
    """Take a change back from the old mailbox, also after it was confirmed.

    Then every sign-in and the password end, which a thief may know or have set; the old address gets a link for a new.
    """
    change = _cancellable(_in_turn(_by_old_mailbox(token)), now)
    if change is None:
        return None
    confirmed = change.confirmed_at is not None
    change.cancelled_at = now
    if confirmed:
        try:
            with db.session.begin_nested():
                set_email(change.member, change.old_email, now=now)
        except (IntegrityError, StaleDataError) as raced:
            raise LinkUsedUp("The old address is in use elsewhere. Please write to us.") from raced
        _cancel_later(change, now)
        trail.record(change.member_id, "changed", field="email", door=Door.LINK, now=now)
        signin.end_password(signin.account_of(change.member), now=now)
    return change


def _change(which: ColumnElement[bool]) -> EmailChange | None:
    return db.session.scalars(select(EmailChange).where(which)).one_or_none()


def _in_turn(change: EmailChange | None) -> EmailChange | None:
    """The same change, read anew when it is our turn: a confirm, a cancel and a new password exclude one another."""
    if change is not None:
        subjects.take_turn(change.member_id)
        db.session.refresh(change)
    return change


def set_email(member: Member, email: str, *, now: datetime) -> None:
    """Write the address in its three forms. An opt-out is the person's, so it comes along; flushes."""
    before = member.email_key
    member.email = email
    member.email_key = canonical_address(email)
    member.address_hash = _hash_of(member.email_key)
    db.session.flush()
    remember_former(member.id, before, after=member.email_key, now=now)


def _hash_of(address: str) -> str:
    """By the newest key, or by an older one where that is how the address is known to get no mail."""
    known = select(Suppression.keyed_hash).where(Suppression.keyed_hash.in_(suppression_hashes(address)))
    return db.session.scalars(known.order_by(Suppression.id)).first() or suppression_hash(address)


def remember_former(member_id: UUID, address: str, *, after: str, now: datetime) -> None:
    """Note an address (compared form) as one that the person gave up for another, once; the new one is none of those.

    For every door by which an address is replaced.
    """
    if address == after:
        return
    db.session.execute(
        delete(FormerAddress).where(
            FormerAddress.subject_id == member_id,
            FormerAddress.keyed_hash.in_([*suppression_hashes(address), *suppression_hashes(after)]),
        ),
        execution_options={"synchronize_session": False},
    )
    db.session.add(FormerAddress(subject_id=member_id, keyed_hash=suppression_hash(address), at=now))
    db.session.flush()


def _cancel_later(change: EmailChange, now: datetime) -> None:
    """What came after a change that is taken back falls with it, or a thief could take the taking back back."""
    db.session.execute(
        update(EmailChange)
        .where(EmailChange.member_id == change.member_id, EmailChange.id > change.id)
        .values(cancelled_at=now)
    )


def _begun(member: Member, *, since: datetime) -> int:
    query = select(func.count()).where(EmailChange.member_id == member.id, EmailChange.created_at > since)
    return db.session.execute(query).scalar_one()


def _others(email: str, member: Member) -> Sequence[UUID | None]:
    """Who else has this address: a member's number, None for a colleague of the desk.

    One question, and nobody's record read: an address that somebody has is answered as quickly as one that nobody has.
    """
    key = canonical_address(email)
    theirs = or_(Account.member_id.is_(None), Account.member_id != member.id)
    return db.session.scalars(
        select(Member.id)
        .where(Member.email_key == key, Member.id != member.id)
        .union_all(select(Account.member_id).where(Account.email_key == key, theirs))
    ).all()


# Invitations ----------------------------------------------------------------------------------------------


def to_invite(addresses: Sequence[str] | None) -> dict[str, UUID]:
    """Whom to invite, from compared address to record: those named, or all who may get broadcast mail (rights §7.1).

    Whoever has a password already, or is suspended (P15), is in neither.
    """
    query = (
        select(Member.email_key, Member.id)
        .join(Subject, Subject.id == Member.id)
        .outerjoin(Account, Account.member_id == Member.id)
        .where(or_(Account.id.is_(None), Account.password_hash.is_(None)), ~suspended(Member.id))
    )
    if addresses is None:
        query = query.where(may_be_mailed(None))
    else:
        query = query.where(Member.email_key.in_([canonical_address(each) for each in addresses]))
    return {row.email_key: row.id for row in db.session.execute(query.order_by(Member.email_key))}


def invite(member_id: UUID, *, now: datetime) -> bool:
    """Mail the activation link; False if the record has gone or has a password by now."""
    member = db.session.get(Member, member_id)
    if member is None or signin.account_of(member).password_hash is not None:
        return False
    signin.mail_link(signin.account_of(member), now=now, invited=True)
    return True
