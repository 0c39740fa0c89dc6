"""Verbs on choices for one event: what stands there and why, change it, take the change back (P19).

An event's own answer is a row of `choice` under the event. Until there is one, or where it says SAME, the person's
answer for all events stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import Table, func, or_, select

from portal import journal
from portal.domain import choices, notices, subjects
from portal.domain.at_once import PERSON, Line, Part, ask, columns
from portal.domain.choices import STALE, Change, Standing, made_since
from portal.domain.errors import NothingToUndo, StaleRecord, UnknownChoice
from portal.extensions import db
from portal.journal import OptOut
from portal.models import ChoiceRow, Event, Subject
from portal.purposes import AUDIENCES, CHOICES, SAME, Choice, Option
from portal.vocabulary import Door

ASKED: Mapping[str, Choice] = {
    code: choice
    for code, choice in CHOICES.items()
    if any(audience.of_event and audience.choice == code for audience in AUDIENCES.values())
}


@dataclass(frozen=True)
class AtEvent:
    """What stands for one question at one event: `own`, its own answer, or the usual one. No row: never answered."""

    usual: Standing
    own: str = SAME
    at: datetime | None = None
    door: Door | None = None
    row: int = 0

    @property
    def choice(self) -> Choice:
        return self.usual.choice

    @property
    def follows(self) -> bool:
        """Whether it is what stands for all events."""
        return self.own == SAME

    @property
    def value(self) -> str:
        return self.usual.value if self.follows else self.own

    @property
    def option(self) -> Option:
        """What stands, in words."""
        return self.choice.option(self.value)

    @property
    def options(self) -> tuple[Option, ...]:
        """What can be answered here: first that it be as for all events."""
        usual = self.usual.option
        return (Option(SAME, f"Same as my default (now: {usual.label})", usual.meaning), *self.choice.options)

    def answer(self, own: str) -> Option:
        """One of these; KeyError for any other word."""
        for option in self.options:
            if option.value == own:
                return option
        raise KeyError(own)


def standing(subject_id: UUID, event_id: int) -> dict[str, AtEvent]:
    """Each question that an event has, with what stands there, in the catalogue's order."""
    usual, found = standing_everywhere(subject_id)
    return found.get(event_id) or unanswered(usual)


_ROWS = cast(Table, ChoiceRow.__table__).c
_NEWEST = (
    select(func.max(_ROWS.id))
    .where(_ROWS.subject_id == PERSON, _ROWS.event_id.is_not(None), _ROWS.code.in_(ASKED))
    .group_by(_ROWS.event_id, _ROWS.code)
)
AT_EVENTS = Part(
    "choices_at_events",
    select(
        *columns(
            number=_ROWS.id,
            code=_ROWS.code,
            word=_ROWS.value,
            more=_ROWS.door,
            about=_ROWS.event_id,
            at=_ROWS.at,
        )
    ).where(_ROWS.id.in_(_NEWEST)),
)


def standing_everywhere(subject_id: UUID) -> tuple[dict[str, Standing], dict[int, dict[str, AtEvent]]]:
    """What stands for all events, and by number for each event for which the person has ever answered. One query."""
    given, there = ask(choices.STANDING, AT_EVENTS, person=subject_id)
    usual = choices.standing_in(given)
    return usual, standing_in(usual, there)


def standing_in(usual: Mapping[str, Standing], lines: Iterable[Line]) -> dict[int, dict[str, AtEvent]]:
    """The same for each event, from the lines of AT_EVENTS."""
    found: dict[int, dict[str, AtEvent]] = {}
    for line in lines:
        here = found.setdefault(line.about, unanswered(usual))
        here[line.code] = AtEvent(usual[line.code], line.word, line.at, Door(line.more), line.number)
    return found


def unanswered(usual: Mapping[str, Standing]) -> dict[str, AtEvent]:
    """Each question that an event has, as it stands where the event has no answer of its own."""
    return {code: AtEvent(usual[code]) for code in ASKED}


def change_many(
    subject: Subject, event: Event, answers: Mapping[str, str], *, seen: int, via: Door, now: datetime
) -> list[Change]:
    """Answer the questions of one event as its page shows them. `seen` is the newest row that the page knew.

    Saving is an answer, also where nothing was picked anew: it gets a row, so that no file can loosen it later.
    Raises StaleRecord when a newer answer was given meanwhile, for this event or for all, and UnknownChoice; both
    change nothing.
    """
    if not subjects.take_turn(subject.id) or newest_row(subject.id, event.id) > seen:
        raise StaleRecord(STALE)
    stand = standing(subject.id, event.id)
    given = [_known(stand, code, own) for code, own in answers.items()]
    for before, after in given:
        if before.own != after.value or before.at is None:
            _answer(subject, event, before, after, via=via, now=now)
    db.session.flush()
    return [
        Change(before.choice, before.answer(before.own), after) for before, after in given if before.own != after.value
    ]


def tighten(subject: Subject, code: str, *, to: str, via: Door, now: datetime) -> None:
    """Give this answer for each event that lets more out by an answer of its own; nothing for a question of no event.

    It is the caller's turn for this person.
    """
    _, here = standing_everywhere(subject.id)
    for event_id, stand in sorted(here.items()):
        before = stand.get(code)
        if before is not None and not before.follows and before.choice.loosens(to, before.value):
            _answer(subject, db.session.get_one(Event, event_id), before, before.answer(to), via=via, now=now)
    db.session.flush()


def newest_row(subject_id: UUID, event_id: int) -> int:
    """The number of the newest answer that tells on this event, also of those for all; 0 before the first."""
    newest = select(func.max(ChoiceRow.id)).where(
        ChoiceRow.subject_id == subject_id,
        or_(ChoiceRow.event_id.is_(None), ChoiceRow.event_id == event_id),
        ChoiceRow.code.in_(ASKED),
    )
    return db.session.scalars(newest).one() or 0


def changes_since(subject_id: UUID, event_id: int, row: int, *, now: datetime) -> list[Change]:
    """What was changed on an event's page after a row, within the time in which it can be taken back."""
    query = select(ChoiceRow).where(
        ChoiceRow.subject_id == subject_id, ChoiceRow.event_id == event_id, ChoiceRow.code.in_(ASKED)
    )
    found = made_since(db.session.scalars(query.order_by(ChoiceRow.id)), row, now=now)
    made = {code: (before or SAME, after) for code, (before, after) in found.items()}
    stand = standing(subject_id, event_id)
    return [
        Change(each.choice, each.answer(made[code][0]), each.answer(made[code][1]))
        for code, each in stand.items()
        if code in made and made[code][0] != made[code][1]
    ]


def undo_since(subject: Subject, event: Event, row: int, *, shown: int, via: Door, now: datetime) -> list[Change]:
    """Take back what an event's page lists as changed after a row. `shown` is the newest row that this page knew.

    Raises StaleRecord when a newer answer was given meanwhile, and NothingToUndo when there is nothing to take back,
    or its time is over.
    """
    if not subjects.take_turn(subject.id) or newest_row(subject.id, event.id) > shown:
        raise StaleRecord(STALE)
    changes = changes_since(subject.id, event.id, row, now=now)
    if not changes:
        raise NothingToUndo("There is nothing to undo any more.")
    stand = standing(subject.id, event.id)
    for each in changes:
        _answer(subject, event, stand[each.choice.code], each.before, via=via, now=now)
    db.session.flush()
    return [Change(each.choice, each.after, each.before) for each in changes]


def apply(subject: Subject, event: Event, line: OptOut) -> bool:
    """Add the row of a journal line that this database does not have; False if what stands is as tight already."""
    before = standing(subject.id, event.id)[line.code]
    if not before.choice.loosens(line.value, before.value):
        return False
    _add(
        subject, event, before.answer(line.value), code=line.code, via=Door(line.door), now=line.at, journal_id=line.id
    )
    db.session.flush()
    return True


def _answer(subject: Subject, event: Event, before: AtEvent, after: Option, *, via: Door, now: datetime) -> None:
    """Add a row; what tightens goes into the journal first, as what then stands: no restore can loosen it again."""
    choice, stands = before.choice, replace(before, own=after.value).value
    journal_id = None
    if stands != before.value and not choice.loosens(before.value, stands):
        reference = subject.unsubscribe_reference
        journal_id = journal.note(reference, choice.code, stands, door=via, at=now, event=event.code)
    _add(subject, event, after, code=choice.code, via=via, now=now, journal_id=journal_id)


def _add(
    subject: Subject, event: Event, option: Option, *, code: str, via: Door, now: datetime, journal_id: str | None
) -> None:
    db.session.add(
        ChoiceRow(
            subject_id=subject.id,
            event_id=event.id,
            code=code,
            value=option.value,
            at=now,
            door=via,
            wording=f"{event.name}: {CHOICES[code].question} {option.label}: {option.meaning}",
            notice_version=notices.version_for(subject.id, now),
            journal_id=journal_id,
        )
    )


def _known(stand: Mapping[str, AtEvent], code: str, own: str) -> tuple[AtEvent, Option]:
    try:
        return stand[code], stand[code].answer(own)
    except KeyError as missing:
        raise UnknownChoice(f"{own!r} is not an answer to {code!r} for one event.") from missing
