"""Room of mail: what came back, and what that says of an address. Called by `delivery` and by `domain/inbound`.

An address that is gone for good gets no more broadcasts; one that fails on five days within thirty days, neither.
Other mail is still tried: a person causes it, and it is how they can show that the address works again. Its person
sees the reason and lifts it (`domain/bounces`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import select

from portal.clock import society_date
from portal.extensions import db
from portal.models import Bounce, Member, Message, Subject, Suppression, Trail
from portal.tokens import canonical_address, suppression_hashes
from portal.vocabulary import Door

DAYS: Final = 5
WITHIN: Final = timedelta(days=30)
BOUNCED: Final = "bounced"
CAME_BACK: Final = "mail came back"  # in the trail

# RFC 3463 §3.2 and §3.3, RFC 7505: the mailbox, or its whole domain, is not there.
GONE: Final = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
# The mailbox, the system behind it or the way to it; not the talk (5), the text (6) or a policy (7).
_FAILS: Final = re.compile(r"[45]\.[0-4]\.\d{1,3}")
NOT_ABOUT_IT: Final = ("1.7", "1.8")  # the sender's address: ours

log = structlog.get_logger()


class Weight(StrEnum):
    """What a status says of an address."""

    GONE = "gone"
    FAILS = "fails"
    NOTHING = "nothing"


def weigh(status: str) -> Weight:
    """What a status of RFC 3463 says of the address."""
    if status in GONE:
        return Weight.GONE
    fails = _FAILS.fullmatch(status) is not None and status[2:] not in NOT_ABOUT_IT
    return Weight.FAILS if fails else Weight.NOTHING


def refused(message: Message, status: str, *, now: datetime) -> None:
    """A message that was given up because it was refused: called in the same transaction."""
    note(message, status, proven=True, now=now)


def note(message: Message, status: str, *, proven: bool, now: datetime) -> bool:
    """Count one message that did not arrive, in the caller's transaction; whether its address now gets no broadcasts.

    `proven`: the report names the message by its Message-ID, which only the way of the message knows. Without that
    no single report ends anything. An address that the person has given up since is nobody's trouble.
    """
    weight = weigh(status)
    if weight is Weight.NOTHING or not take_turn(message.id):
        return False
    member = db.session.get(Member, message.subject_id, populate_existing=True)
    if member is None or canonical_address(message.to_address) != member.email_key:
        return False
    row = db.session.scalars(select(Bounce).where(Bounce.message_id == message.id)).one_or_none()
    if row is None:
        row = Bounce(message_id=message.id, status=status, final=False, at=now)
        db.session.add(row)
    if weight is Weight.GONE and proven and not row.final:
        row.status, row.final, row.at = status, True, now
    db.session.flush()
    if not (row.final or _fails_for_days(member, now=now)):
        return False
    return _suppress(member, now=now)


def take_turn(message_id: UUID) -> bool:
    """The turn of a message's person, as `domain/subjects` has it; False where there is none, or no more.

    The person first, then the message: in this order an erasure goes, too, and who goes the other way may wait for it
    while it waits for them.
    """
    turn = select(Subject.id).join(Message, Message.subject_id == Subject.id).where(Message.id == message_id)
    locked = turn.where(Subject.erased_at.is_(None)).with_for_update(key_share=True, of=Subject)
    return db.session.execute(locked).one_or_none() is not None


def of_address(member_id: UUID, email_key: str) -> list[Bounce]:
    """What came back from the address that stands now, in its compared form; the newest first."""
    query = select(Bounce, Message.to_address).join(Message, Message.id == Bounce.message_id)
    found = db.session.execute(query.where(Message.subject_id == member_id).order_by(Bounce.id.desc()))
    return [row for row, address in found if canonical_address(address) == email_key]


def standing(member: Member) -> Suppression | None:
    """What keeps this address from getting broadcasts because mail came back."""
    query = select(Suppression).where(
        Suppression.keyed_hash.in_(suppression_hashes(member.email_key)), Suppression.reason == BOUNCED
    )
    return db.session.scalars(query.order_by(Suppression.id.desc())).first()


def _fails_for_days(member: Member, *, now: datetime) -> bool:
    """Since the address was last shown to work: a lifted silence begins the count anew."""
    works = select(Trail.at).where(Trail.subject_id == member.id, Trail.act == WORKS).order_by(Trail.id.desc()).limit(1)
    since = max([now - WITHIN, *db.session.scalars(works)])
    return len({society_date(each.at) for each in of_address(member.id, member.email_key) if each.at > since}) >= DAYS


WORKS: Final = "address works"  # in the trail


def _suppress(member: Member, *, now: datetime) -> bool:
    hashes = suppression_hashes(member.email_key)
    if db.session.scalars(select(Suppression.id).where(Suppression.keyed_hash.in_(hashes))).first() is None:
        db.session.add(Suppression(keyed_hash=member.address_hash, reason=BOUNCED, at=now))
        db.session.add(Trail(subject_id=member.id, act=CAME_BACK, door=Door.SYSTEM, at=now, carried_at=now))
        db.session.flush()
        log.info("mail.address_bounced", subject=str(member.id))
    return True
