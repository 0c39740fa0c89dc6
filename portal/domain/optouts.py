"""Verbs on the journal of opt-outs: bring the database up to it, and stop by a link while the database is away.

Called by the worker, commands and the page behind an unsubscribe link.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from portal import journal
from portal.domain import choices, event_choices, subjects, unsubscribe
from portal.extensions import db
from portal.models import ChoiceRow, Event, JournalMark, Subject
from portal.purposes import SUPPRESS, question
from portal.tokens import UnsubscribeToken
from portal.vocabulary import Door

UNDER_WAY = timedelta(seconds=15)  # so near a line may belong to a request that is about to commit


def catch_up(*, now: datetime, under_way: timedelta = UNDER_WAY) -> int:
    """Apply the lines that this database does not have, and note how far it is; how many there were.

    `under_way`: a line so near to now is left for the next time, as its request may be about to commit.

    After a restore, or after a time without database, this makes every acknowledged opt-out count again. A line
    only tightens, and never against what the person answered after it: by a row that this database knows the line
    by, or by a younger one. A file that has become shorter is another file, and is read from its beginning.
    """
    applied = 0
    for path in journal.files():
        mark = db.session.get(JournalMark, path.name) or JournalMark(file=path.name, position=0)
        db.session.add(mark)
        if path.stat().st_size < mark.position:
            mark.position = 0
        for line, position in journal.read(path, position=mark.position):
            if abs(now - line.at) < under_way:
                break
            applied += _apply(line, now)
            mark.position = position
    db.session.flush()
    return applied


def apply_others(paths: Iterable[Path], *, now: datetime) -> int:
    """Apply the lines of journals that lie elsewhere, other machines' for example; how many there were."""
    applied = sum(_apply(line, now) for path in paths for line, _ in journal.read(path, position=0))
    db.session.flush()
    return applied


def apply_to_events(codes: Collection[str], *, now: datetime) -> int:
    """Apply the lines for events that this database has only now; how many there were.

    A restored database may lack an event that came in after its backup. `catch_up` has passed over the lines of that
    event, and a file of registrations would find no answer that it may not loosen.
    """
    lines = (line for path in journal.files() for line, _ in journal.read(path, position=0))
    applied = sum(_apply(line, now) for line in lines if line.event in codes)
    db.session.flush()
    return applied


def stop_without_database(token: UnsubscribeToken, *, via: Door, now: datetime) -> None:
    """Acknowledge an opt-out while the database is away: the journal has it, `catch_up` applies it. Raises OSError."""
    code, value = unsubscribe.stopping(token)
    journal.note(token.reference, code, value, door=via, at=now)


def _apply(line: journal.OptOut, now: datetime) -> bool:
    known = db.session.scalars(select(ChoiceRow.id).where(ChoiceRow.journal_id == line.id)).first()
    if known is not None:
        return False
    subject = db.session.scalars(select(Subject).where(Subject.unsubscribe_reference == line.reference)).one_or_none()
    if subject is None or subject.erased_at is not None:
        return False
    subjects.take_turn(subject.id)  # an answer under way may be a later one
    today = replace(_in_todays_words(line), at=min(line.at, now))
    event = _event(today)
    if (today.event and event is None) or _answered_since(subject, line, today, event):
        return False
    return choices.apply(subject, today) if event is None else event_choices.apply(subject, event, today)


def _event(line: journal.OptOut) -> Event | None:
    return db.session.scalars(select(Event).where(Event.code == line.event)).first() if line.event else None


def _in_todays_words(line: journal.OptOut) -> journal.OptOut:
    """What the catalogue no longer knows stops everything, as in `unsubscribe.stopping`: the reader wanted silence."""
    door = line.door if line.door in set(Door) else Door.LINK
    choice = event_choices.ASKED.get(line.code) if line.event else question(line.code)
    if choice is None or line.value not in [option.value for option in choice.options]:
        return replace(line, code=SUPPRESS, value="yes", door=door, event="")
    return replace(line, door=door)


def _answered_since(subject: Subject, line: journal.OptOut, today: journal.OptOut, event: Event | None) -> bool:
    """Whether the person answered the question later. A file that came in meanwhile is not the person."""
    query = select(ChoiceRow.id).where(
        ChoiceRow.subject_id == subject.id,
        ChoiceRow.code.in_([line.code, today.code]),
        ChoiceRow.event_id.is_not_distinct_from(event.id if event else None),
        ChoiceRow.at > line.at,
        ChoiceRow.door.not_in((Door.IMPORT, Door.REGISTRATION)),
    )
    return db.session.scalars(query.limit(1)).first() is not None
