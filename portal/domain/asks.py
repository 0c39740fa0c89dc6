"""Verbs of asking without a sign-in: a link to the address given, and the request when that link is confirmed.

Before the confirmation nothing is anybody's request, nobody of staff is told, and every address is answered alike:
whether we hold it is looked up only when its mailbox has spoken (threats T1, T9, T32).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from portal.domain import requests
from portal.domain.errors import AlreadyOpen, LinkUsedUp
from portal.domain.kinds import FILED
from portal.extensions import db
from portal.mail import messages
from portal.models import Ask, DataSubjectRequest, Member, Subject
from portal.models.member import new_subject
from portal.tokens import canonical_address, digest, new_secret, read_reference, sign_reference
from portal.vocabulary import Door

CONFIRM_WITHIN = timedelta(days=7)
ASK_LINK = "ask"  # such a link is known as ours when its row is long gone
BY_MAILBOX = "link to the address"
USED_UP = "This link was used, or has expired. You can ask again at any time."


def ask(address: str, kind: str, *, details: str, now: datetime) -> None:
    """Mail a link to the address; nothing else happens before it is opened and confirmed. KeyError for no kind."""
    token = sign_reference(new_secret(), purpose=ASK_LINK)
    db.session.add(
        Ask(
            address=canonical_address(address),
            kind=FILED[kind].code,
            details=details,
            token_hash=digest(token),
            at=now,
            ends_at=now + CONFIRM_WITHIN,
        )
    )
    messages.ask_confirm(address, FILED[kind], token, ends_at=now + CONFIRM_WITHIN, now=now)


def waiting(token: str, *, now: datetime) -> Ask | None:
    """What a link asks to confirm; None if we never made it. Raises LinkUsedUp when it was used, or has ended."""
    found = db.session.scalars(select(Ask).where(Ask.token_hash == digest(token))).one_or_none()
    return _live(found, token, now=now)


def made_by(token: str) -> DataSubjectRequest | None:
    """The request that this link has made."""
    return requests.of_operation(digest(token))


def confirm(token: str, *, now: datetime) -> DataSubjectRequest | None:
    """The receipt: from here the clock runs. An address that we hold ties the request to its person.

    The mailbox is the proof of identity, one request at a time. Of a kind that may be open once, the open one is
    returned, with what was written added to it; a second press returns what the first one made. None for a link that
    we never made. Raises LinkUsedUp.
    """
    found = db.session.scalars(
        select(Ask).where(Ask.token_hash == digest(token)).with_for_update(),
        execution_options={"populate_existing": True},
    ).one_or_none()
    if found is None and (made := made_by(token)) is not None:
        return made
    found = _live(found, token, now=now)
    if found is None:
        return None
    address, kind, details = found.address, found.kind, found.details
    db.session.delete(found)
    member = db.session.scalars(select(Member).where(Member.email_key == address)).one_or_none()
    subject = member.subject if member is not None else _stranger(address)
    try:
        return requests.file_for(
            subject,
            kind,
            details=details,
            operation_id=digest(token),
            contact="" if member else address,
            verified_how=BY_MAILBOX,
            via=Door.LINK,
            now=now,
        )
    except AlreadyOpen as error:
        standing = requests.by_reference(error.reference)
        if standing is not None and details not in ("", standing.details):
            requests.add_for(subject.id, standing, details, now=now)
        return standing


def _live(found: Ask | None, token: str, *, now: datetime) -> Ask | None:
    ours = found is not None or read_reference(token, purpose=ASK_LINK) is not None
    if ours and (found is None or found.ends_at <= now):
        raise LinkUsedUp(USED_UP)
    return found


def _stranger(address: str) -> Subject:
    """The random number under which this mailbox has asked before, or a fresh one."""
    query = (
        select(Subject)
        .join(DataSubjectRequest, DataSubjectRequest.subject_id == Subject.id)
        .where(
            DataSubjectRequest.contact == address,
            DataSubjectRequest.verified_how == BY_MAILBOX,
            Subject.erased_at.is_(None),
        )
    )
    subject = db.session.scalars(query.order_by(DataSubjectRequest.received_at.desc()).limit(1)).one_or_none()
    if subject is None:
        subject = new_subject()
        db.session.add(subject)
        db.session.flush()
    return subject
