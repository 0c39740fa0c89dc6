"""Verbs on the journal of opt-outs: bring the database up to it, and stop by a link while the database is away."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from portal import journal
from portal.domain import choices, unsubscribe
from portal.extensions import db
from portal.models import ChoiceRow, JournalMark, Subject
from portal.tokens import UnsubscribeToken
from portal.vocabulary import Door

UNDER_WAY = timedelta(seconds=15)  # a younger line may belong to a request that is about to commit


def catch_up(*, now: datetime) -> int:
    """Apply the lines that this database does not have, and note how far it is; how many there were.

    After a restore, or after a time without database, this makes every acknowledged opt-out count again. A line
    only tightens; whoever opted in again later has a younger row, and that line is known.
    """
    applied = 0
    for path in journal.files():
        mark = db.session.get(JournalMark, path.name) or JournalMark(file=path.name, position=0)
        db.session.add(mark)
        for line, position in journal.read(path, position=mark.position):
            if line.at > now - UNDER_WAY:
                break
            applied += _apply(line)
            mark.position = position
    db.session.flush()
    return applied


def stop_without_database(token: UnsubscribeToken, *, via: Door, now: datetime) -> None:
    """Acknowledge an opt-out while the database is away: the journal has it, `catch_up` applies it. Raises OSError."""
    code, value = unsubscribe.stopping(token)
    journal.note(token.reference, code, value, door=via, at=now)


def _apply(line: journal.OptOut) -> bool:
    known = db.session.scalars(select(ChoiceRow.id).where(ChoiceRow.journal_id == line.id)).first()
    if known is not None:
        return False
    subject = db.session.scalars(select(Subject).where(Subject.unsubscribe_reference == line.reference)).one_or_none()
    if subject is None or subject.erased_at is not None:
        return False
    return choices.apply(subject, line)
