"""Verbs on who sees a person: each audience by default and at each event, what it would get, and why (P19 to P21).

Asks `lists`, which builds what leaves the house, and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select

from portal.domain import choices, event_choices, lists
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


def matrix(member: Member, registrations: Iterable[Registration]) -> list[Row]:
    """By default first, then each registration; three queries, and one for each event."""
    usual = choices.standing(member.id)
    here = event_choices.standing_at_all(member.id)
    rows = [Row(None, tuple(_cells(member, None, usual)))]
    for each in registrations:
        stand = here.get(each.event_id) or {code: AtEvent(usual[code]) for code in event_choices.ASKED}
        rows.append(Row(each, tuple(_cells(member, each.event, stand))))
    return rows


def at(member: Member, event: Event) -> tuple[Cell, ...]:
    """The audiences of one event that has them."""
    cells = _cells(member, event, event_choices.standing(member.id, event.id))
    return tuple(cell for cell in cells if cell.why not in (Why.NOT_OF_EVENTS, Why.NO_EXHIBITION))


def _cells(member: Member, event: Event | None, stand: Mapping[str, Standing] | Mapping[str, AtEvent]) -> list[Cell]:
    sees = _sees(member, event)
    cells = []
    for code, audience in AUDIENCES.items():
        if event is not None and not audience.of_event:
            cells.append(Cell(audience, False, Why.NOT_OF_EVENTS))
        elif event is not None and code == "exhibitors" and not event.exhibition:
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


def _sees(member: Member, event: Event | None) -> dict[str, bool]:
    """What `lists.agrees` says of each audience at this second, in one query."""
    asked = {code: audience for code, audience in AUDIENCES.items() if event is None or audience.of_event}
    agreed = (lists.agrees(audience, event).label(code) for code, audience in asked.items())
    found = db.session.execute(select(*agreed).select_from(Member).join(Member.subject).where(Member.id == member.id))
    said = found.mappings().one()
    return {code: bool(said[code]) for code in asked}
