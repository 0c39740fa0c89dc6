"""Verbs on who sees a person: each audience by default and at each event, what it would get, and why (P19 to P21).

Asks `lists`, which builds what leaves the house, and nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from sqlalchemy import bindparam, select
from sqlalchemy.orm import contains_eager

from portal.domain import event_choices, lists
from portal.domain.choices import Standing
from portal.domain.event_choices import AtEvent
from portal.extensions import db
from portal.models import Event, Member, Registration
from portal.purposes import AUDIENCES, Audience


class Why(StrEnum):
    """Why an audience sees somebody, or does not."""

    RESTRICTED = "restricted"  # GDPR Art. 18: whatever was chosen
    NO_EXHIBITION = "no exhibition"
    NOT_OF_EVENTS = "not of events"
    OWN = "own answer of the event"
    DEFAULT = "answer for all events"
    UNASKED = "never answered"


@dataclass(frozen=True)
class Cell:
    """One audience at one event, or by default: whether it sees the person, and why. `stands`: what was answered."""

    audience: Audience
    sees: bool
    why: Why
    stands: Standing | AtEvent | None = None


@dataclass(frozen=True)
class Row:
    """All audiences by default, or at the event of a registration."""

    registration: Registration | None
    cells: tuple[Cell, ...]


def matrix(member: Member, *, today: date) -> list[Row]:
    """By default first, then each registration: the next event, those after it, then what is over, the newest first.

    Two queries, however many there are.
    """
    usual, here = event_choices.standing_everywhere(member.id)
    seen = db.session.execute(_SEEN, {"member_id": member.id}).mappings().all()
    rows = [Row(None, tuple(_cells(member, None, usual, {code: bool(seen[0][f"usual_{code}"]) for code in AUDIENCES})))]
    for each in seen:
        registration: Registration | None = each["Registration"]
        if registration is not None:
            stand = here.get(registration.event_id) or event_choices.unanswered(usual)
            sees = {code: bool(each[f"there_{code}"]) for code in _OF_EVENTS}
            rows.append(Row(registration, tuple(_cells(member, registration.event, stand, sees))))
    return [rows[0], *sorted(rows[1:], key=lambda row: _how_far(row, today))]


def _how_far(row: Row, today: date) -> tuple[bool, timedelta]:
    assert row.registration is not None
    event = row.registration.event
    return event.ends_on < today, abs(event.starts_on - today)


def at(member: Member, event: Event) -> tuple[Cell, ...]:
    """The audiences of one event that has them."""
    cells = _cells(member, event, event_choices.standing(member.id, event.id), _sees(member, event))
    return tuple(cell for cell in cells if cell.why not in (Why.NOT_OF_EVENTS, Why.NO_EXHIBITION))


def _cells(
    member: Member,
    event: Event | None,
    stand: Mapping[str, Standing] | Mapping[str, AtEvent],
    sees: Mapping[str, bool],
) -> list[Cell]:
    cells = []
    for code, audience in AUDIENCES.items():
        if event is not None and not audience.of_event:
            cells.append(Cell(audience, False, Why.NOT_OF_EVENTS))
        elif event is not None and not lists.is_of(audience, event):
            cells.append(Cell(audience, False, Why.NO_EXHIBITION))
        else:
            stands = stand[audience.choice]
            why = Why.RESTRICTED if member.subject.restricted_at else _why(stands)
            cells.append(Cell(audience, sees[code], why, stands))
    return cells


def _why(stands: Standing | AtEvent) -> Why:
    if isinstance(stands, AtEvent) and not stands.follows:
        return Why.OWN
    usual = stands.usual if isinstance(stands, AtEvent) else stands
    return Why.UNASKED if usual.at is None else Why.DEFAULT


_OF_EVENTS = {code: audience for code, audience in AUDIENCES.items() if audience.of_event}

# What `lists` says at this second: of each audience by default, and at each event for which the person is registered.
_SEEN = (
    select(
        Registration,
        *(lists.agrees(audience, None).label(f"usual_{code}") for code, audience in AUDIENCES.items()),
        *(
            lists.agrees_at(audience, Registration.event_id).label(f"there_{code}")
            for code, audience in _OF_EVENTS.items()
        ),
    )
    .select_from(Member)
    .join(Member.subject)
    .outerjoin(Registration, Registration.member_id == Member.id)
    .outerjoin(Registration.event)
    .options(contains_eager(Registration.event))
    .where(Member.id == bindparam("member_id"))
    .order_by(Event.id)
)


def _sees(member: Member, event: Event) -> dict[str, bool]:
    """What `lists.agrees` says of each audience of this event at this second, in one query."""
    agreed = (lists.agrees(audience, event).label(code) for code, audience in _OF_EVENTS.items())
    found = db.session.execute(select(*agreed).select_from(Member).join(Member.subject).where(Member.id == member.id))
    said = found.mappings().one()
    return {code: bool(said[code]) for code in _OF_EVENTS}
