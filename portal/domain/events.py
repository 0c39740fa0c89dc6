"""Verbs on events: make one, register somebody, list a member's own, count who was made anonymous (P9)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, cast
from uuid import UUID

from sqlalchemy import Table, bindparam, select, update

from portal.domain.at_once import PERSON, Line, Part, columns
from portal.extensions import db
from portal.models import Event, Member, Registration


class Attended(NamedTuple):
    """An event that somebody is registered for, in short."""

    number: int
    code: str
    name: str
    starts_on: date
    place: str


_EVENTS, _PLACES = (cast(Table, model.__table__) for model in (Event, Registration))
NEXT = Part(
    "next_event",
    select(
        *columns(
            number=_EVENTS.c.id, code=_EVENTS.c.code, word=_EVENTS.c.name, more=_EVENTS.c.place, day=_EVENTS.c.starts_on
        )
    )
    .join(_PLACES, _PLACES.c.event_id == _EVENTS.c.id)
    .where(_PLACES.c.member_id == PERSON, _EVENTS.c.ends_on >= bindparam("today"))
    .order_by(_EVENTS.c.starts_on, _EVENTS.c.id)
    .limit(1),
)


def next_in(lines: Iterable[Line]) -> Attended | None:
    """The event that a person comes to next, or is at today, from the lines of NEXT."""
    return next((Attended(each.number, each.code, each.word, each.day, each.more) for each in lines), None)


def add(code: str, *, name: str, starts_on: date, ends_on: date, place: str, exhibition: bool) -> Event:
    """Make an event."""
    event = Event(code=code, name=name, starts_on=starts_on, ends_on=ends_on, place=place, exhibition=exhibition)
    db.session.add(event)
    db.session.flush()
    return event


def register(member: Member, event: Event, *, role: str = "") -> Registration:
    """Note that a member takes part in an event; twice is once."""
    found = db.session.get(Registration, (event.id, member.id))
    if found is None:
        found = Registration(event=event, member=member, role=role)
        db.session.add(found)
        db.session.flush()
    return found


def of(member: Member) -> list[Registration]:
    """The events that a member is registered for, the next or newest first."""
    query = select(Registration).join(Event).where(Registration.member_id == member.id)
    return list(db.session.scalars(query.order_by(Event.starts_on.desc(), Event.id)))


def one_of(member: Member, code: str) -> Registration | None:
    """A member's own registration for the event of this code; None for an event without one."""
    query = select(Registration).join(Event).where(Registration.member_id == member.id, Event.code == code)
    return db.session.scalars(query).first()


def count_without_name(member_id: UUID) -> None:
    """Note at each event that one more came whose name will be gone; right before the registrations go."""
    came_to = select(Registration.event_id).where(Registration.member_id == member_id)
    db.session.execute(
        update(Event).where(Event.id.in_(came_to)).values(anonymous=Event.anonymous + 1),
        execution_options={"synchronize_session": False},
    )
