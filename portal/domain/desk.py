"""Verbs on the desk: who works there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from portal.domain import signin
from portal.extensions import db
from portal.models import Account, DataSubjectRequest, Member
from portal.tokens import canonical_address


def add(address: str, *, now: datetime) -> Account:
    """Give the staff role: to the member with this address, or to a sign-in made for it without a member record.

    A member's sign-ins end, as they may last longer than staff's.
    """
    account = signin.find_account(address)
    if account is None:
        key = canonical_address(address)
        member = db.session.scalars(select(Member).where(Member.email_key == key)).one_or_none()
        account = signin.account_of(member) if member else Account(email=address, email_key=key)
        db.session.add(account)
    elif not account.staff:
        signin.end_all(account)
    account.staff = True
    db.session.flush()
    if account.password_hash is None:
        signin.mail_link(account, now=now)
    return account


def remove(address: str) -> bool:
    """Take the staff role and end every sign-in of it; False if nobody had it under this address.

    What they had taken is nobody's again, so that the others see it.
    """
    account = signin.find_account(address)
    if account is None or not account.staff:
        return False
    account.staff = False
    signin.end_all(account)
    theirs = DataSubjectRequest.assigned_to_id == account.id, DataSubjectRequest.closed_at.is_(None)
    db.session.execute(update(DataSubjectRequest).where(*theirs).values(assigned_to_id=None))
    if account.member_id is None:
        db.session.delete(account)
    db.session.flush()
    return True
