"""Verbs after a restore: repeat what the journals tell, and begin a new epoch (rights §5.6). For `erasures replay`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.engine import CursorResult

from portal.domain import erasures, gate, optouts
from portal.domain.errors import StillClosed
from portal.extensions import db
from portal.models import Broadcast, EmailChange, LinkRequest, Message, PasswordLink, SignIn
from portal.models.broadcast import BroadcastState
from portal.models.message import MailKind, MailState

NOT_SENT = "not sent after a repair of our records: its link has ended, or it may have reached you before"


@dataclass(frozen=True)
class Replayed:
    """What a replay did, in numbers."""

    opt_outs: int
    erasures: int
    sign_ins: int
    links: int
    address_changes: int
    messages: int


def replay(others: Sequence[Path], *, now: datetime) -> Replayed:
    """Make this database one that the portal may serve, in the caller's transaction: a crash changes nothing.

    First the opt-outs, then the erasures, of the journals here and of `others`; then everything ends that a restore
    has brought back to life, and the erasures are checked. Raises StillClosed if that does not open the gate, and
    OSError.
    """
    opt_outs = optouts.catch_up(now=now, under_way=timedelta(0)) + optouts.apply_others(others, now=now)
    missing = gate.forgotten(others)
    repeated = [erasures.carry_out_again(line.subject, hashes=line.hashes, at=line.at, now=now) for line in missing]
    ended = _new_epoch(now)
    erasures.check_again(repeated, now=now)
    gate.settle()
    if why := gate.closed():
        raise StillClosed(why)
    return Replayed(opt_outs, len(missing), *ended)


def _new_epoch(now: datetime) -> tuple[int, int, int, int]:
    """End what the lost time may have spent: sign-ins, links, waiting changes of address, and mail that carries one.

    Receipts and notes to staff carry no link that acts, and may come twice.
    """
    sign_ins = _rows(delete(SignIn))
    unused = PasswordLink.used_at.is_(None), PasswordLink.ends_at > now
    links = _rows(update(PasswordLink).where(*unused).values(ends_at=now)) + _rows(delete(LinkRequest))
    waiting = EmailChange.confirmed_at.is_(None), EmailChange.cancelled_at.is_(None)
    changes = _rows(update(EmailChange).where(*waiting).values(cancelled_at=now))
    due = (
        Message.state.in_((MailState.QUEUED, MailState.CLAIMED)),
        Message.kind.in_((MailKind.ACCOUNT, MailKind.BROADCAST)),
    )
    cancelled = update(Message).where(*due)
    messages = _rows(
        cancelled.values(
            state=MailState.CANCELLED,
            lease_until=None,
            lease_by="",
            text="",
            html="",
            calendar="",
            unsubscribe_url="",
            failure=NOT_SENT,
        )
    )
    going = Broadcast.state.not_in((BroadcastState.STOPPED, BroadcastState.ENDED))
    _rows(update(Broadcast).where(going).values(state=BroadcastState.STOPPED))
    db.session.expire_all()
    return sign_ins, links, changes, messages


def _rows(statement: Any) -> int:
    result = db.session.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount
