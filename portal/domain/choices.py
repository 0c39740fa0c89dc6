"""Verbs on choices: what stands, change it, take the change back. Rows are added, never altered (P10, P19 to P21)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, func, insert, select

from portal import journal
from portal.domain import notices, reviews, subjects, trail
from portal.domain.at_once import PERSON, Line, Part, ask, columns
from portal.domain.errors import NothingToUndo, StaleRecord, UnknownChoice
from portal.domain.subjects import Known
from portal.extensions import db
from portal.journal import OptOut
from portal.models import ChoiceRow, Subject
from portal.purposes import CHOICES, CONSENTS, SAME, Choice, Option, question
from portal.vocabulary import Door

UNDO_FOR = timedelta(minutes=30)
STALE = "Your choices were changed in another place since you opened this page."


class Standing(NamedTuple):
    """What stands for one question: the answer, since when, and by which door. No row: the default."""

    choice: Choice
    value: str
    at: datetime | None = None
    door: Door | None = None
    row: int = 0

    @property
    def option(self) -> Option:
        return self.choice.option(self.value)


@dataclass(frozen=True)
class Change:
    """One answer that was changed: what it was before and what it is now."""

    choice: Choice
    before: Option
    after: Option


def question_words(code: str) -> str:
    """What a question is called; its code where the catalogue no longer knows it."""
    known = question(code)
    return known.label if known else code.replace("_", " ").capitalize()


def answer_words(code: str, value: str) -> str:
    """An answer as its page words it, also the one for a single event that says: as for all."""
    known = question(code)
    if value == SAME:
        return "Same as your default"
    return next((each.label for each in known.options if each.value == value), value) if known else value


_ROWS = cast(Table, ChoiceRow.__table__).c
_NEWEST = select(func.max(_ROWS.id)).where(_ROWS.subject_id == PERSON, _ROWS.event_id.is_(None)).group_by(_ROWS.code)
STANDING = Part(
    "choices",
    select(*columns(number=_ROWS.id, code=_ROWS.code, word=_ROWS.value, more=_ROWS.door, at=_ROWS.at)).where(
        _ROWS.id.in_(_NEWEST)
    ),
)


def standing(subject_id: UUID) -> dict[str, Standing]:
    """Every question of the catalogue with the answer that stands, in the catalogue's order. One query."""
    return standing_in(*ask(STANDING, person=subject_id))


def stands(subject_id: UUID, code: str) -> str:
    """The answer that stands for one question of the catalogue. One query."""
    return _stands(subject_id, CHOICES[code]).value


def standing_in(lines: Iterable[Line]) -> dict[str, Standing]:
    """The same from the lines of STANDING."""
    given = {line.code: line for line in lines}
    return {code: _standing(choice, given.get(code)) for code, choice in CHOICES.items()}


_STANDS = Part(
    "stands",
    select(*columns(number=_ROWS.id, code=_ROWS.code, word=_ROWS.value, more=_ROWS.door, at=_ROWS.at))
    .where(_ROWS.subject_id == PERSON, _ROWS.code == bindparam("question"), _ROWS.event_id.is_(None))
    .order_by(_ROWS.id.desc())
    .limit(1),
)


def _stands(subject_id: UUID, choice: Choice) -> Standing:
    """The answer that stands for one question, also for one about the privacy notice."""
    (newest,) = ask(_STANDS, person=subject_id, question=choice.code)
    return _standing(choice, newest[0] if newest else None)


def _standing(choice: Choice, line: Line | None) -> Standing:
    if line is None:
        return Standing(choice, choice.default)
    return Standing(choice, line.word, line.at, Door(line.more), line.number)


def change(
    subject: Subject | Known, code: str, *, to: str, always: bool = False, via: Door, now: datetime
) -> Change | None:
    """Answer one question. None when that answer stands already: the same click twice leaves one row.

    None, too, for somebody who was erased: nothing is sent there. `always`: the first answer gets a row
    also where it says what stood without one. Raises UnknownChoice.
    """
    choice, option = _known(code, to)
    if subject.erased_at is not None or not subjects.take_turn(subject.id):
        return None
    before = _stands(subject.id, choice)
    if before.value == to and not (always and before.at is None) and not _ends_an_undo(before, via, now):
        return None
    version = notices.version_for(subject.id, now)
    _answer(subject, before, option, version=version, via=via, now=now)
    db.session.flush()
    return Change(choice, before.option, option)


def _ends_an_undo(before: Standing, via: Door, now: datetime) -> bool:
    """Whether the same answer by another door comes while a page still offers to take it back: then it gets a row.

    Whoever was told by a link that mail has stopped must not have it again by an Undo that was meant for the page.
    """
    return via is not Door.PAGE and before.door is Door.PAGE and before.at is not None and before.at > now - UNDO_FOR


def change_many(subject: Subject, answers: Mapping[str, str], *, seen: int, via: Door, now: datetime) -> list[Change]:
    """Answer several questions as one page shows them. `seen` is the newest row that the page knew.

    Saving a page that shows the default is an answer too: it gets a row, so that no import can loosen it later.
    Raises StaleRecord when a newer answer was given meanwhile, and UnknownChoice; both change nothing.
    """
    if not subjects.take_turn(subject.id) or newest_row(subject.id) > seen:
        raise StaleRecord(STALE)
    stand = standing(subject.id)
    given = [(*_known(code, value), stand[code]) for code, value in answers.items()]
    new = [(before, option) for _, option, before in given if before.value != option.value or before.at is None]
    version = notices.version_for(subject.id, now) if new else None
    for before, option in new:
        _answer(subject, before, option, version=version, via=via, now=now)
    db.session.flush()
    return [Change(choice, before.option, option) for choice, option, before in given if before.option != option]


def newest_row(subject_id: UUID) -> int:
    """The number of the subject's newest answer, 0 before the first: what a form remembers having shown."""
    newest = select(func.max(ChoiceRow.id)).where(
        ChoiceRow.subject_id == subject_id, ChoiceRow.event_id.is_(None), ChoiceRow.code.in_(CHOICES)
    )
    return db.session.scalars(newest).one() or 0


def changes_since(subject_id: UUID, row: int, *, now: datetime) -> list[Change]:
    """What was changed on a page after a row, within the time in which it can be taken back.

    Only what stands since: where another door has answered meanwhile, there is nothing of the page's left.
    """
    query = select(ChoiceRow).where(
        ChoiceRow.subject_id == subject_id, ChoiceRow.event_id.is_(None), ChoiceRow.code.in_(CHOICES)
    )
    found = made_since(db.session.scalars(query.order_by(ChoiceRow.id)), row, now=now)
    made = {code: (before or CHOICES[code].default, after) for code, (before, after) in found.items()}
    return [
        Change(choice, choice.option(made[code][0]), choice.option(made[code][1]))
        for code, choice in CHOICES.items()
        if code in made and made[code][0] != made[code][1]
    ]


def made_since(rows: Iterable[ChoiceRow], row: int, *, now: datetime) -> dict[str, tuple[str | None, str]]:
    """Of rows, the oldest first: by question what stood before, and what a page has made of it after a row."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for each in rows:
        if each.id > row and each.door == Door.PAGE and each.at > now - UNDO_FOR:
            after[each.code] = each.value
        else:
            before[each.code] = each.value
            after.pop(each.code, None)
    return {code: (before.get(code), value) for code, value in after.items()}


def undo_since(subject: Subject, row: int, *, shown: int, via: Door, now: datetime) -> list[Change]:
    """Take back what a page lists as changed after a row. `shown` is the newest row that this page knew.

    Raises StaleRecord when a newer answer was given meanwhile, and NothingToUndo when there is nothing to take back,
    or its time is over.
    """
    subjects.take_turn(subject.id)
    if newest_row(subject.id) > shown:
        raise StaleRecord(STALE)
    changes = changes_since(subject.id, row, now=now)
    if not changes:
        raise NothingToUndo("There is nothing to undo any more.")
    made = (change(subject, each.choice.code, to=each.before.value, via=via, now=now) for each in changes)
    return [each for each in made if each is not None]


def apply(subject: Subject, line: OptOut) -> bool:
    """Add the row of a journal line that this database does not have; False if what stands is as tight already."""
    choice, option = _known(line.code, line.value)
    before = _stands(subject.id, choice)
    if not choice.loosens(option.value, before.value):
        return False
    version = notices.version_for(subject.id, line.at)
    _add(subject, before, option, version=version, via=Door(line.door), now=line.at, journal_id=line.id)
    db.session.flush()
    return True


_INSERT = insert(cast(Table, ChoiceRow.__table__))


def _answer(
    subject: Subject | Known, before: Standing, option: Option, *, version: int | None, via: Door, now: datetime
) -> None:
    """Add a row; what tightens goes into the journal first, so that no restore can loosen it again (rights §5.6)."""
    choice = before.choice
    journal_id = None
    if option != before.option and not choice.loosens(before.value, option.value):
        reference = subject.unsubscribe_reference
        journal_id = journal.note(reference, choice.code, option.value, door=via, at=now)
    _add(subject, before, option, version=version, via=via, now=now, journal_id=journal_id)


def _add(
    subject: Subject | Known,
    before: Standing,
    option: Option,
    *,
    version: int | None,
    via: Door,
    now: datetime,
    journal_id: str | None,
) -> None:
    """Add the row; a consent that it takes back opens a review of what was held by it alone (P28)."""
    choice = before.choice
    row = {
        "subject_id": subject.id,
        "code": choice.code,
        "value": option.value,
        "at": now,
        "door": via,
        "wording": f"{choice.question} {option.label}: {option.meaning}",
        "notice_version": version,
        "journal_id": journal_id,
    }
    db.session.flush()  # so that whom it is about is there
    db.session.execute(_INSERT, row)
    if option != before.option and via not in trail.FROM_OUTSIDE:
        trail.record(subject.id, trail.ANSWERED, field=choice.code, door=via, now=now)
    purpose = reviews.withdrawn(choice.code, before=before.value, after=option.value)
    if purpose is not None:
        reviews.open_many([subject.id], scope=purpose, via=via, now=now)
    elif choice.code in CONSENTS and option.value == "yes":
        reviews.end_many([subject.id], scope=CONSENTS[choice.code], now=now)


def _known(code: str, value: str) -> tuple[Choice, Option]:
    choice = question(code)
    try:
        if choice is not None:
            return choice, choice.option(value)
    except KeyError:
        pass
    raise UnknownChoice(f"{value!r} is not an answer to {code!r}.")
