"""Verbs on an address from which mail came back: what a person is told, and how they show that it works again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, func, select

from portal.domain import subjects, trail
from portal.domain.at_once import Line, Part, ask, columns
from portal.domain.errors import LinkUsedUp, TooManyChanges
from portal.extensions import db
from portal.mail import bounces, messages
from portal.models import Member, Message, Suppression
from portal.tokens import WORKS_LINK, read_reference, sign_reference, suppression_hashes
from portal.vocabulary import Door

TRIES_A_DAY: Final = 3
CHECK: Final = "address_check"

REASONS: Mapping[str, str] = {
    "5.1.1": "there is no such mailbox",
    "5.1.2": "the part after the @ does not exist",
    "5.1.3": "it is not written as an address is",
    "5.1.6": "the mailbox has moved",
    "5.1.10": "the part after the @ takes no mail",
    "5.2.1": "the mailbox is closed",
    "5.2.2": "the mailbox is full",
}


@dataclass(frozen=True)
class Trouble:
    """Why an address gets no broadcasts: since when, and what its mail server said. `final`: at the first time."""

    since: datetime
    status: str
    reason: str
    final: bool
    days: int


_ROWS = cast(Table, Suppression.__table__).c
SILENCED = Part(
    "silenced",
    select(*columns(number=_ROWS.id, at=_ROWS.at)).where(
        _ROWS.keyed_hash.in_(bindparam("hashes", expanding=True)), _ROWS.reason == bounces.BOUNCED
    ),
)


def trouble(member: Member) -> Trouble | None:
    """What keeps the present address from getting broadcasts because mail came back; None while nothing does."""
    silenced = ask(SILENCED, hashes=suppression_hashes(member.email_key))
    return trouble_in(member.id, member.email_key, *silenced)


def trouble_in(member_id: UUID, email_key: str, lines: Sequence[Line]) -> Trouble | None:
    """The same from the lines of SILENCED; asks no more while there are none."""
    if not lines:
        return None
    row = max(lines, key=lambda each: each.number)
    found = [each for each in bounces.of_address(member_id, email_key) if each.at <= row.at]
    worst = next((each for each in found if each.final), found[0] if found else None)
    status = worst.status if worst else ""
    return Trouble(
        row.at, status, REASONS.get(status, "it could not be delivered"), bool(worst and worst.final), bounces.DAYS
    )


def send_check(member: Member, *, now: datetime) -> None:
    """Try the address once more: the message that arrives has the link. Raises TooManyChanges, LinkUsedUp."""
    subjects.take_turn(member.id)
    row = bounces.standing(member)
    if row is None:
        raise LinkUsedUp("Mail to your address is not stopped any more.")
    tried = select(func.count(Message.id)).where(
        Message.subject_id == member.id, Message.name == CHECK, Message.created_at > now - timedelta(days=1)
    )
    if db.session.execute(tried).scalar_one() >= TRIES_A_DAY:
        raise TooManyChanges("We have tried three times since yesterday. Please try again tomorrow.")
    messages.address_check(member, sign_reference(str(row.id), purpose=WORKS_LINK), now=now)


def find(token: str) -> tuple[Suppression, Member] | None:
    """Whose silenced address a link is about; None for no link of ours, and once the address works or was given up."""
    number = read_reference(token, purpose=WORKS_LINK)
    row = db.session.get(Suppression, int(number)) if number and number.isdecimal() else None
    if row is None or row.reason != bounces.BOUNCED:
        return None
    member = db.session.scalars(select(Member).where(Member.address_hash == row.keyed_hash)).one_or_none()
    return (row, member) if member is not None else None


def lift(token: str, *, now: datetime) -> None:
    """The address works: its person gets again what they chose. Raises LinkUsedUp."""
    found = find(token)
    if found is not None:
        subjects.take_turn(found[1].id)
        db.session.expire_all()
        found = find(token)
    if found is None:
        raise LinkUsedUp("This link is no longer needed: the address works, or it is not your address any more.")
    row, member = found
    db.session.delete(row)
    trail.record(member.id, bounces.WORKS, door=Door.LINK, now=now)
    db.session.flush()
