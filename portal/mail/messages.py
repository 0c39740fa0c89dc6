"""Every email that the portal sends, one small function each: this file is the list. Verbs call it.

The words are in `templates/email/<name>/`. A message is put into the outbox, in the transaction of what it tells.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from portal.extensions import settings
from portal.mail import outbox
from portal.models import Account, DataSubjectRequest, EmailChange, Member
from portal.models.message import MailKind
from portal.tokens import sign_unsubscribe


class Kind(Protocol):
    """What a mail says of a kind of request."""

    @property
    def title(self) -> str: ...

    @property
    def question(self) -> str: ...

    @property
    def what_happens(self) -> tuple[str, ...]: ...


# Accounts -------------------------------------------------------------------------------------------------


def activation(account: Account, token: str, *, now: datetime) -> None:
    """The link with which an imported person chooses a first password."""
    _to_account(account, "activation", now=now, token=token)


def invitation(account: Account, token: str, *, now: datetime) -> None:
    """The same link, sent by the society without being asked."""
    _to_account(account, "invitation", now=now, token=token)


def reset(account: Account, token: str, *, now: datetime) -> None:
    """The link with which a forgotten password is replaced."""
    _to_account(account, "reset", now=now, token=token)


def password_changed(account: Account, *, now: datetime) -> None:
    """Says that a password was set, so that a stranger's hand is noticed."""
    _to_account(account, "password_changed", now=now, at=now)


def new_sign_in(account: Account, *, browser: str, now: datetime) -> None:
    """Says that somebody signed in from a browser not seen lately."""
    _to_account(account, "new_sign_in", now=now, browser=browser, at=now)


def email_confirm(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the new address: the link that confirms it."""
    _to_change(change, "email_confirm", change.new_email, now=now, token=token)


def email_notice(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the old address: what is under way, and the link that cancels it."""
    _to_change(change, "email_notice", change.old_email, now=now, token=token)


def email_changed(change: EmailChange, token: str, *, now: datetime) -> None:
    """To the old address: it is done, and can be undone for a while."""
    _to_change(change, "email_changed", change.old_email, now=now, token=token)


def email_taken(holder: Member | None, address: str, *, now: datetime) -> None:
    """To an address that has an account already: somebody tried to use it. `holder`: whose it is, None for staff's."""
    subject_id = holder.id if holder else None
    outbox.put("email_taken", kind=MailKind.ACCOUNT, to=address, subject_id=subject_id, now=now)


def unsubscribe_link(member: Member, *, now: datetime) -> None:
    """The link that stops broadcast email, for whoever lost it."""
    outbox.put(
        "unsubscribe_link",
        kind=MailKind.ACCOUNT,
        to=member.email,
        subject_id=member.id,
        now=now,
        token=sign_unsubscribe(member.subject.unsubscribe_reference),
    )


# Requests -------------------------------------------------------------------------------------------------


def request_received(member: Member, request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """The receipt: reference, what was asked, the day the answer is due, how to take it back (rights §4.5)."""
    _to_requester(member, request, kind, "request_received", now=now)


def request_withdrawn(member: Member, request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """Says that a request was taken back."""
    _to_requester(member, request, kind, "request_withdrawn", now=now)


def staff_request_received(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """To staff: reference, kind, due date and a link. Nothing about the person."""
    _to_staff(request, kind, "staff_request_received", now=now)


def staff_request_withdrawn(request: DataSubjectRequest, kind: Kind, *, now: datetime) -> None:
    """To staff: nothing more to do."""
    _to_staff(request, kind, "staff_request_withdrawn", now=now)


# To whom --------------------------------------------------------------------------------------------------


def _to_account(account: Account, name: str, *, now: datetime, **context: Any) -> None:
    outbox.put(
        name,
        kind=MailKind.ACCOUNT,
        to=account.address,
        subject_id=account.member_id,
        now=now,
        first_name=account.member.first_name if account.member else "",
        **context,
    )


def _to_change(change: EmailChange, name: str, to: str, *, now: datetime, token: str) -> None:
    outbox.put(
        name,
        kind=MailKind.ACCOUNT,
        to=to,
        subject_id=change.member_id,
        now=now,
        first_name=change.member.first_name,
        change=change,
        token=token,
    )


def _to_requester(member: Member, request: DataSubjectRequest, kind: Kind, name: str, *, now: datetime) -> None:
    outbox.put(
        name,
        kind=MailKind.RECEIPT,
        to=member.email,
        subject_id=member.id,
        now=now,
        thread=request.reference,
        first_name=member.first_name,
        dpo_contact=settings().dpo_contact,
        request=request,
        request_kind=kind,
    )


def _to_staff(request: DataSubjectRequest, kind: Kind, name: str, *, now: datetime) -> None:
    for address in settings().staff_emails:
        outbox.put(
            name,
            kind=MailKind.STAFF,
            to=address,
            subject_id=None,
            now=now,
            thread=f"{request.reference}-desk",
            request=request,
            request_kind=kind,
        )
