"""Verbs on lists: who agrees to be on one, the line about a person, and the release: the only way a list leaves (P13,
P19 to P21).

A list is filed, approved by a second person where the settings ask for one, and released once. Who is on it is decided
at the second of the release, in the transaction that writes down each person's disclosure; the file is read from those
rows. What comes after the release, a recall, is in `recalls`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TextIO, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Table, and_, func, insert, literal, null, select, text
from sqlalchemy.orm import InstrumentedAttribute

from portal.datamap.export.tables import cell
from portal.domain import optouts
from portal.domain.errors import NotNow
from portal.extensions import db, settings, unhurried
from portal.models import Account, Disclosure, Event, ListRelease, ListStep, Member, Registration, Subject
from portal.models.choice import standing, standing_at, stands
from portal.models.suppression import suspended
from portal.purposes import AUDIENCES, CHOICES, PURPOSES, Audience

if TYPE_CHECKING:
    from _csv import Writer as CsvWriter

SECONDED: Final = frozenset({"sponsors", "exhibitors", "employers"})  # what a second person has to approve
GOOD_FOR: Final = timedelta(days=14)  # a list that was filed longer ago is filed anew
NO_EXHIBITION: Final = "This event has no exhibition, so nothing goes to exhibitors."
NUMBER: Final = "list"  # the last column of the file: the number of the list and of the line, as L-204-17
AT_ONCE: Final = 1000  # rows in memory

FILED, APPROVED, RELEASED, RECALLED = "filed", "approved", "released", "recalled"

MEMBER, DISCLOSURE = (cast(Table, model.__table__) for model in (Member, Disclosure))


def agrees(audience: Audience, event: Event | None) -> ColumnElement[bool]:
    """SQL over Member joined with Subject: is this person, at this second, on the list of this audience?

    For an audience of an event the person is registered there; nobody restricted, suspended or erased is on any list.
    """
    if event is None:
        return _agrees(audience, standing(Member.id, audience.choice, CHOICES[audience.choice].default))
    registered = select(Registration.member_id).where(Registration.event_id == event.id)
    return and_(agrees_at(audience, event.id), Member.id.in_(registered))


def agrees_at(audience: Audience, event_id: int | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """SQL, the same for somebody registered at this event: that they are is for the statement around it to say."""
    return _agrees(audience, standing_at(Member.id, event_id, audience.choice, CHOICES[audience.choice].default))


def _agrees(audience: Audience, answer: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(
        Subject.erased_at.is_(None),
        Subject.restricted_at.is_(None),
        ~suspended(MEMBER.c.id),
        stands(answer, *sorted(audience.answers)),
    )


def line(member: Member | Row[Any], audience: Audience) -> dict[str, str]:
    """What a list says about a person: the fields that its audience may have, by name of the column."""
    return {name: str(getattr(member, name) or "") for name in audience.fields}


def seen(member: Member, audience: Audience, event: Event | None) -> dict[str, str] | None:
    """The line that would be released about a person at this second; None where nothing would be."""
    query = select(Member.id).join(Member.subject).where(Member.id == member.id, agrees(audience, event))
    return line(member, audience) if db.session.scalars(query).first() is not None else None


# Filed and approved ---------------------------------------------------------------------------------------


def is_of(audience: Audience, event: Event) -> bool:
    """Whether an event has this audience: exhibitors only where there is an exhibition."""
    return audience.of_event and (audience.code != "exhibitors" or event.exhibition)


def needs_second(audience: Audience) -> bool:
    """Whether a second person has to approve such a list, by the settings of this portal."""
    return audience.code in SECONDED and settings().desk_requires_second_person


def file(
    audience: Audience,
    event: Event | None,
    *,
    to: str,
    by: Account | None,
    operation_id: str | None = None,
    now: datetime,
) -> ListRelease:
    """A list with its number, and nobody on it yet. The same form twice is one list. `by`: None for the command.

    Raises ValueError for an event that is missing, or that this audience has none of; and for no recipient.
    """
    if audience.of_event is (event is None) or not to.strip():
        raise ValueError("a list needs its event, where the audience is one of an event, and a recipient")
    if event is not None and not is_of(audience, event):
        raise ValueError("the event has none of this audience")
    known = (
        operation_id
        and db.session.scalars(select(ListRelease).where(ListRelease.operation_id == operation_id)).one_or_none()
    )
    if known:
        return known
    made = ListRelease(
        operation_id=operation_id,
        audience=audience.code,
        event_id=event.id if event else None,
        recipient=to.strip(),
        filed_at=now,
    )
    db.session.add(made)
    db.session.flush()
    _step(made, FILED, by, now)
    return made


def approve(found: ListRelease, *, by: Account, now: datetime) -> None:
    """A second person agrees; twice is once. Raises NotNow for whoever filed it, and when it is too late."""
    db.session.refresh(found, with_for_update={"of": ListRelease})
    if found.approved_at is not None:
        return
    if found.released_at is not None or _is_stale(found, now):
        raise NotNow("This list was released already, or filed too long ago.")
    if by.id in {step.account_id for step in found.steps if step.step == FILED}:
        raise NotNow("You have filed this list. A colleague has to approve it.")
    found.approved_at = now
    _step(found, APPROVED, by, now)


def why_not(found: ListRelease, *, now: datetime) -> str:
    """Why this list cannot be released at this moment, in a sentence; empty when it can."""
    if found.released_at is not None:
        return f"{found.number} was released already. A list is released once: file a new one."
    if _is_stale(found, now):
        return f"{found.number} was filed more than {GOOD_FOR.days} days ago. File a new one."
    if found.event is not None and not is_of(AUDIENCES[found.audience], found.event):
        return NO_EXHIBITION
    if needs_second(AUDIENCES[found.audience]) and found.approved_at is None:
        return f"{found.number} waits for a second person, who approves it at /desk/lists."
    return ""


def _is_stale(found: ListRelease, now: datetime) -> bool:
    return found.filed_at < now - GOOD_FOR


def by_number(number: str) -> ListRelease | None:
    """The list with this number, as L-204 or 204."""
    digits = number.strip().upper().removeprefix("L-")
    if not (digits.isascii() and digits.isdigit()) or not 0 < int(digits[:10]) < 2**31:
        return None
    return db.session.get(ListRelease, int(digits[:10]))


def newest(*, limit: int, before: int = 0) -> list[ListRelease]:
    """Lists, the newest first; `before`: only those with a lower number."""
    query = select(ListRelease).order_by(ListRelease.id.desc()).limit(limit)
    return list(db.session.scalars(query.where(ListRelease.id < before) if before else query))


def events_to_choose() -> list[Event]:
    """Every event, the newest first."""
    return list(db.session.scalars(select(Event).order_by(Event.starts_on.desc(), Event.id)))


# Before the release ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What a release would hold at this second: how many people, and the first of them with their lines."""

    people: int
    first: tuple[tuple[UUID, dict[str, str]], ...]


def preview(audience: Audience, event: Event | None, *, few: int) -> Preview:
    """Look before a release; writes nothing. Whoever shows the lines to staff notes the look at each person."""
    who = _who(audience, event)
    people = db.session.execute(select(func.count()).select_from(who.subquery())).scalar_one()
    rows = db.session.execute(_ordered(who).limit(few)).all()
    return Preview(people, tuple((row.id, line(row, audience)) for row in rows))


def _who(audience: Audience, event: Event | None, *, only: tuple[str, ...] = ()) -> Select[Any]:
    """The people of a list, with what it may say about them, or with `only` these columns."""
    columns = [MEMBER.c[name] for name in only or audience.fields]
    return select(MEMBER.c.id, *columns).join(Subject, Subject.id == MEMBER.c.id).where(agrees(audience, event))


_ORDER = (MEMBER.c.last_name, MEMBER.c.first_name, MEMBER.c.id)


def _ordered(query: Select[Any]) -> Select[Any]:
    return query.order_by(*_ORDER)


# The release ----------------------------------------------------------------------------------------------


def take_turn() -> None:
    """One release at a time, and enough time for it. Where a transaction reads of one moment, this comes first: that
    moment is after the wait, so every choice that was acknowledged before is obeyed.
    """
    unhurried()
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("LOCK TABLE list_release IN SHARE ROW EXCLUSIVE MODE"))


def release(found: ListRelease, out: TextIO, *, by: Account | None, now: datetime) -> int:
    """Put everybody on the list who agrees now, write down each disclosure, and write the file; how many people.

    In one transaction, after `take_turn`. One statement decides who is on it, after the opt-outs that only a journal
    knows. `out` is a file of ours: nobody outside gets it before the commit, so a crash releases nothing, or has
    written down more than left. Raises NotNow, also where somebody was erased in that very moment.
    """
    if why := why_not(found, now=now):
        raise NotNow(why)
    optouts.catch_up(now=now)
    audience = AUDIENCES[found.audience]
    who = _who(audience, found.event, only=("last_name", "first_name")).subquery()
    numbered = select(
        who.c.id,
        literal(found.recipient),
        literal(PURPOSES[audience.purpose].name),
        literal(" ".join(audience.fields)),
        literal(found.event_id) if found.event_id is not None else null(),
        literal(found.number),
        literal(now, DISCLOSURE.c.at.type),
        func.row_number().over(order_by=(who.c.last_name, who.c.first_name, who.c.id)),
        literal(audience.code),
        literal(""),
        literal(""),
    )
    names = (
        "subject_id", "recipient", "reason", "fields", "event_id", "list_number", "at", "line", "audience", "recalled",
        "untold_why",
    )  # fmt: skip
    db.session.flush()
    statement = insert(DISCLOSURE).from_select(names, numbered)
    put: int = db.session.execute(statement, execution_options={"preserve_rowcount": True}).rowcount  # type: ignore[attr-defined]
    found.people = _write(found, audience, out)
    if found.people != put:
        raise NotNow(
            "Somebody's record was deleted at this very moment. Nothing was released; please release it again."
        )
    found.released_at = now
    _step(found, RELEASED, by, now)
    return found.people


def write_preview(shown: Preview, audience: Audience, out: TextIO) -> None:
    """The first lines as they would be in the file; their number says that this is none."""
    writer = _begin(audience, out)
    for number, (_, cells) in enumerate(shown.first, 1):
        writer.writerow(safe(cells, f"preview-{number}"))


def header(audience: Audience) -> list[str]:
    """The names of a file's columns."""
    return [*audience.fields, NUMBER]


def _begin(audience: Audience, out: TextIO) -> CsvWriter:
    """The first line, and what writes the others: each cell in quotes, or LibreOffice, which parts a bare text at a
    semicolon too, would begin a cell in its middle.
    """
    csv.writer(out, lineterminator="\n").writerow(header(audience))
    return csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)


def safe(cells: dict[str, str], number: str) -> list[str]:
    """A line of a file: no cell that a spreadsheet would take for a formula."""
    return [*(cell(each) for each in cells.values()), number]


def _write(found: ListRelease, audience: Audience, out: TextIO) -> int:
    """The file, line by line, from the rows of the disclosure log."""
    writer = _begin(audience, out)
    people = 0
    for row in _released(found, audience):
        writer.writerow(safe(line(row, audience), f"{found.number}-{row.line}"))
        people += 1
    return people


def _released(found: ListRelease, audience: Audience) -> Iterator[Row[Any]]:
    query = (
        select(DISCLOSURE.c.line, *(MEMBER.c[name] for name in audience.fields))
        .join(MEMBER, MEMBER.c.id == DISCLOSURE.c.subject_id)
        .where(DISCLOSURE.c.list_number == found.number)
        .order_by(DISCLOSURE.c.line)
    )
    return iter(db.session.execute(query, execution_options={"yield_per": AT_ONCE}))


def _step(found: ListRelease, step: str, by: Account | None, now: datetime) -> None:
    found.steps.append(ListStep(account_id=by.id if by else None, step=step, at=now))
    db.session.flush()


# The public page ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Roster:
    """The public list of an event as it stands now. `more`: the last line of this page where there are others."""

    event: Event
    released_at: datetime
    people: list[dict[str, str]]
    more: int


def roster(code: str, *, after: int = 0, limit: int) -> Roster | None:
    """The last public list of an event, less those who have since said no; None where none was ever released."""
    event = db.session.scalars(select(Event).where(Event.code == code)).one_or_none()
    if event is None:
        return None
    audience = AUDIENCES["public"]
    lists = select(ListRelease).where(
        ListRelease.event_id == event.id, ListRelease.audience == audience.code, ListRelease.released_at.is_not(None)
    )
    last = db.session.scalars(lists.order_by(ListRelease.released_at.desc(), ListRelease.id.desc()).limit(1)).first()
    if last is None or last.released_at is None:
        return None
    query = (
        _who(audience, event)
        .add_columns(DISCLOSURE.c.line)
        .join(DISCLOSURE, DISCLOSURE.c.subject_id == MEMBER.c.id)
        .where(DISCLOSURE.c.list_number == last.number, DISCLOSURE.c.line > after)
        .order_by(DISCLOSURE.c.line)
    )
    rows = db.session.execute(query.limit(limit + 1)).all()
    more = rows[limit - 1].line if len(rows) > limit else 0
    return Roster(event, last.released_at, [line(row, audience) for row in rows[:limit]], more)
