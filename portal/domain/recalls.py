"""Verbs on recalls: whoever received a person's details is told that the person has since said no (GDPR Art. 19).

Computed from what stands: the disclosure log, the choices, restrictions and erasures; only the tick is stored. A
message names lines, never a person: so it can be written after an erasure, when nobody here knows the name any more.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, CompoundSelect, and_, case, false, or_, select, union, update

from portal.clock import in_words
from portal.domain import disclosures, lists
from portal.domain.errors import StaleRecord
from portal.extensions import db, settings
from portal.models import Account, ChoiceRow, Disclosure, Event, ListStep, Subject
from portal.models.choice import standing, standing_at
from portal.models.disclosure import DELETE, PARTNER, STOP
from portal.purposes import AUDIENCES, CHOICES, Audience

JUST_NOW: Final = timedelta(hours=1)  # longer than any list takes to be made
AT_ONCE: Final = 500  # keys in one statement
STRONGER: Final = {"": (STOP, DELETE), STOP: (DELETE,), DELETE: ()}  # what is still to be said after what was said


@dataclass(frozen=True)
class Line:
    """One row of the log that its recipient has to hear of. `name`: by what they find it; `what`: STOP or DELETE."""

    row: int
    name: str
    what: str


@dataclass(frozen=True)
class Recall:
    """One recipient of one list, or of one disclosure outside, who has to be told."""

    number: str  # L-204, or D-17
    recipient: str
    audience: str
    event: str
    at: datetime
    lines: list[Line] = field(default_factory=list)

    @property
    def by_line(self) -> bool:
        """Whether it is a list, with a number in each line."""
        return self.number.startswith("L-")

    @property
    def digest(self) -> str:
        """Stands for these very lines, so that no tick is put on one that nobody was told of."""
        said = ",".join(f"{each.row}:{each.what}" for each in self.lines)
        return hashlib.sha256(said.encode()).hexdigest()

    def names(self, what: str) -> str:
        """The lines to delete, or to use no more for now, one after the other."""
        return ", ".join(each.name for each in self.lines if each.what == what)


def waiting(*, number: str = "", now: datetime) -> list[Recall]:
    """Every recipient who has to be told of something by now, the oldest list first; `number`: only of this one.

    Its time grows with what was answered, restricted or erased since, not with the log.
    """
    need = _need().label("need")
    query = (
        select(Disclosure, need, Event.name)
        .join(Subject, Subject.id == Disclosure.subject_id)
        .outerjoin(Event, Event.id == Disclosure.event_id)
        .where(Disclosure.id.in_(_to_look_at(now)), _is_still_to_be_said(need))
        .order_by(Disclosure.at, Disclosure.list_number, Disclosure.line, Disclosure.id)
    )
    if number.startswith("L-"):
        query = query.where(Disclosure.list_number == number)
    elif number:
        query = query.where(Disclosure.id == _key(number), Disclosure.list_number == "")
    found: dict[str, Recall] = {}
    for row, what, event in db.session.execute(query):
        name = row.list_number or f"D-{row.id}"
        each = found.setdefault(name, Recall(name, row.recipient, row.audience, event or "", row.at))
        each.lines.append(Line(row.id, disclosures.number(row), what))
    return list(found.values())


def _to_look_at(now: datetime) -> CompoundSelect[int]:
    """The rows whose recipient may have to hear of something, each found by an index of its own.

    Those that the database has marked, as their person has answered anew; those of the last hour whose person answered
    lately, as an answer given while a list was made may have come before there was a row to mark; those of people
    restricted or erased.
    """
    theirs = select(Disclosure.id).join(Subject, Subject.id == Disclosure.subject_id)
    answered = select(ChoiceRow.subject_id).where(ChoiceRow.at > now - 2 * JUST_NOW)
    return union(
        select(Disclosure.id).where(Disclosure.doubtful),
        select(Disclosure.id).where(Disclosure.at > now - JUST_NOW, Disclosure.subject_id.in_(answered)),
        theirs.where(Subject.erased_at.is_not(None)),
        theirs.where(Subject.restricted_at.is_not(None)),
    )


def message(recall: Recall) -> str:
    """The text to copy: which lines, what to do with them. It says nobody's name, and not why."""
    config = settings()
    what = AUDIENCES[recall.audience].name.lower() if recall.audience in AUDIENCES else "details"
    of = f" of {recall.event}" if recall.event else ""
    if recall.by_line:
        said = [f"On {in_words(recall.at)} you received our list {recall.number} ({what}{of})."]
    else:
        said = [
            f"On {in_words(recall.at)} you received details of one person from us; with our number {recall.number}."
        ]
    if lines := recall.names(DELETE):
        said.append(
            f"Please delete these lines of it, wherever you have them, and use them no more: {lines}."
            if recall.by_line
            else "Please delete them, wherever you have them, and use them no more."
        )
    if lines := recall.names(STOP):
        said.append(
            f"Please do not use these lines until we write to you again: {lines}."
            if recall.by_line
            else "Please do not use them until we write to you again."
        )
    if recall.by_line:
        said.append(f"The number of a line stands in its last column, “{lists.NUMBER}”.")
    said.append("If you gave them to somebody else, please pass this on. Please answer when it is done.")
    return "\n\n".join([*said, f"{config.society_name}\n{config.privacy_contact}".strip()])


def done(number: str, *, seen: str, by: Account, now: datetime) -> int:
    """The recipient was told of what `seen` stands for; how many rows were ticked, 0 where nothing waits any more.

    Raises StaleRecord when more has come up since the message was shown: that has to be in it, too.
    """
    recall = next(iter(waiting(number=number, now=now)), None)
    if recall is None:
        return 0
    if recall.digest != seen:
        raise StaleRecord("More has come up since you opened the page. Here is the message as it reads now.")
    for what in (DELETE, STOP):
        mine = [each.row for each in recall.lines if each.what == what]
        for begin in range(0, len(mine), AT_ONCE):
            these = Disclosure.id.in_(mine[begin : begin + AT_ONCE])
            tick = update(Disclosure).where(these).values(recalled=what, recalled_at=now)
            db.session.execute(tick, execution_options={"synchronize_session": False})
    if (found := lists.by_number(number)) is not None:
        db.session.add(ListStep(list_id=found.id, account_id=by.id, step=lists.RECALLED, at=now))
    db.session.flush()
    return len(recall.lines)


def _key(number: str) -> int:
    digits = number.removeprefix("D-")
    return int(digits[:9]) if digits.isascii() and digits.isdigit() else 0


def _need() -> ColumnElement[str]:
    """SQL over Disclosure joined with Subject: what the recipient has to be told by now, or nothing."""
    listed = Disclosure.audience.in_(AUDIENCES)
    outside = Disclosure.audience == PARTNER  # an authority with a case is no recipient (GDPR Art. 4(9))
    refused = or_(false(), *(and_(Disclosure.audience == each.code, _said_no(each)) for each in AUDIENCES.values()))
    return case(
        (and_(or_(listed, outside), Subject.erased_at.is_not(None)), DELETE),
        (refused, DELETE),
        (and_(or_(listed, outside), Subject.restricted_at.is_not(None)), STOP),
        else_="",
    )


def _said_no(audience: Audience) -> ColumnElement[bool]:
    """SQL over Disclosure: the person no longer agrees to this audience, for the event of the list or at all."""
    default = CHOICES[audience.choice].default
    if audience.of_event:
        answer = standing_at(Disclosure.subject_id, Disclosure.event_id, audience.choice, default)
    else:
        answer = standing(Disclosure.subject_id, audience.choice, default)
    return answer.not_in(sorted(audience.answers))


def _is_still_to_be_said(need: ColumnElement[str]) -> ColumnElement[bool]:
    return or_(*(and_(Disclosure.recalled == said, need.in_(after)) for said, after in STRONGER.items() if after))
