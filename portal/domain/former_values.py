"""Verbs on former values: save a profile with its check box, and undo that for half an hour (P6, P7, GDPR Art. 16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, cast

from sqlalchemy import Date, Table, delete, select

from portal.domain import choices, conflicts, members, subjects, trail
from portal.domain.at_once import PERSON, Line, Part, ask, columns
from portal.domain.choices import UNDO_FOR, Standing
from portal.domain.errors import NothingToUndo, StaleRecord
from portal.extensions import db
from portal.models import FormerValue, Member
from portal.purposes import SUPPRESS
from portal.vocabulary import Door

Value = str | date | None
CHECK_BOX: Final = conflicts.key(trail.ANSWERED, SUPPRESS)  # beside the fields: the answer of the form's check box
STALE = "Your profile was changed in another place since you opened this page."
OVER = "There is nothing to undo any more."


@dataclass(frozen=True)
class Former:
    """What the last save replaced: values as they are stored, by field. `shown`: what a button to undo remembers."""

    shown: int
    until: datetime
    values: Mapping[str, Value]


def save(
    member: Member, values: Mapping[str, Value], *, suppress: str | None = None, version: int, via: Door, now: datetime
) -> bool:
    """Store the values that differ, and the answer of the check box where it was moved; whether anything changed.

    What stood before is kept, so that it can be put back. Raises StaleRecord as `members.save_profile`.
    """
    subjects.take_turn(member.id)
    stood = {name: getattr(member, name) for name in values}
    changed = members.save_profile(member, values, version=version, via=via, now=now)
    former = {name: stood[name] for name in changed}
    if suppress is not None:
        change = choices.change(member.subject, SUPPRESS, to=suppress, via=via, now=now)
        if change is not None:
            former[CHECK_BOX] = change.before.value
    if former:
        _keep(member, former, now)
    return bool(former)


def _keep(member: Member, former: Mapping[str, Value], now: datetime) -> None:
    db.session.execute(delete(FormerValue).where(FormerValue.member_id == member.id))
    for field, value in former.items():
        text = None if value is None else str(value)
        db.session.add(FormerValue(member_id=member.id, field=field, value=text, version=member.version, at=now))
    db.session.flush()


_ROWS = cast(Table, FormerValue.__table__).c
FORMER = Part(
    "former",
    select(*columns(number=_ROWS.id, code=_ROWS.field, word=_ROWS.value, about=_ROWS.version, at=_ROWS.at)).where(
        _ROWS.member_id == PERSON
    ),
)


def former_in(lines: Iterable[Line], member: Member, answer: Standing, *, now: datetime) -> Former | None:
    """From the lines of FORMER what can still be undone: all of the last save, or nothing.

    `answer`: the one of the check box that stands. An import, another save or another answer since ends it.
    """
    rows = list(lines)
    if not rows or not all(_stands(each, member, answer) and each.at > now - UNDO_FOR for each in rows):
        return None
    values = {each.code: _value(each.code, each.word) for each in sorted(rows, key=lambda each: each.number)}
    return Former(max(each.number for each in rows), rows[0].at + UNDO_FOR, values)


def _stands(row: Line, member: Member, answer: Standing) -> bool:
    return row.about == member.version and (row.code != CHECK_BOX or answer.at == row.at)


def _value(field: str, text: str | None) -> Value:
    column = Member.__table__.columns.get(field)
    return date.fromisoformat(text) if text and column is not None and isinstance(column.type, Date) else text


def undo(member: Member, *, shown: int, via: Door, now: datetime) -> None:
    """Put back what the last save replaced: a save like any other, which can be undone in turn.

    `shown`: of the `Former` that the page showed. Raises StaleRecord when the profile or the answer was changed
    since, and NothingToUndo when there is nothing to put back, or its time is over; both change nothing.
    """
    subjects.take_turn(member.id)
    rows, answers = ask(FORMER, choices.STANDING, person=member.id)
    answer = choices.standing_in(answers)[SUPPRESS]
    if not rows or any(each.at <= now - UNDO_FOR for each in rows):
        raise NothingToUndo(OVER)
    former = former_in(rows, member, answer, now=now)
    if former is None or former.shown != shown:
        raise StaleRecord(STALE)
    values = dict(former.values)
    suppress = cast(str | None, values.pop(CHECK_BOX, None))
    save(member, values, suppress=suppress, version=member.version, via=via, now=now)


def forget(*, now: datetime) -> int:
    """Drop former values whose time to be undone is over; how many."""
    gone = db.session.execute(delete(FormerValue).where(FormerValue.at <= now - UNDO_FOR))
    return gone.rowcount  # type: ignore[attr-defined,no-any-return]
