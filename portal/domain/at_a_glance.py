"""What a member's page shows of several tables, read in one question each (`at_once`). Called by the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from portal.clock import society_date
from portal.domain import bounces, changes, choices, event_choices, events, former_values, members, notices, requests
from portal.domain.at_once import ask
from portal.domain.bounces import Trouble
from portal.domain.changes import Way
from portal.domain.choices import Standing
from portal.domain.event_choices import AtEvent
from portal.domain.events import Attended
from portal.domain.former_values import Former
from portal.domain.notices import NoticeFor
from portal.domain.requests import Short
from portal.models import Member
from portal.purposes import SUPPRESS
from portal.tokens import suppression_hashes


@dataclass(frozen=True)
class Overview:
    """Everything at a glance but what changed. `waiting`: whether a new address does.

    `coming`: the next event; `there`: what stands there where it has an answer of its own, or nothing.
    """

    standing: Mapping[str, Standing]
    stands: NoticeFor
    requests: list[Short]
    coming: Attended | None
    there: Mapping[str, AtEvent]
    waiting: bool
    trouble: Trouble | None


def overview(member_id: UUID, email_key: str, *, now: datetime) -> Overview:
    """What the overview shows."""
    answers, versions, opened, next_event, at_events, waiting, silenced = ask(
        choices.STANDING,
        notices.VERSIONS,
        requests.OPEN_ONES,
        events.NEXT,
        event_choices.AT_EVENTS,
        members.WAITING,
        bounces.SILENCED,
        person=member_id,
        hashes=suppression_hashes(email_key),
        today=society_date(now),
    )
    standing, coming = choices.standing_in(answers), events.next_in(next_event)
    there = event_choices.standing_in(standing, at_events).get(coming.number, {}) if coming else {}
    return Overview(
        standing,
        notices.for_member(member_id, now, versions=notices.versions_in(versions)),
        requests.in_short(opened),
        coming,
        {} if all(each.follows for each in there.values()) else there,
        bool(waiting),
        bounces.trouble_in(member_id, email_key, silenced),
    )


@dataclass(frozen=True)
class Answers:
    """What the page of the choices shows."""

    standing: Mapping[str, Standing]
    stands: NoticeFor
    trouble: Trouble | None


def answers(member_id: UUID, email_key: str, *, now: datetime) -> Answers:
    """The answers that stand, how the notice stands, and whether mail arrives."""
    given, versions, silenced = ask(
        choices.STANDING,
        notices.VERSIONS,
        bounces.SILENCED,
        person=member_id,
        hashes=suppression_hashes(email_key),
    )
    return Answers(
        choices.standing_in(given),
        notices.for_member(member_id, now, versions=notices.versions_in(versions)),
        bounces.trouble_in(member_id, email_key, silenced),
    )


@dataclass(frozen=True)
class Profile:
    """What stands beside the record on the page of Member Information.

    The answers, the way of what was changed back to the membership system, whether a new address waits, and what the
    last save replaced.
    """

    standing: Mapping[str, Standing]
    ways: Mapping[str, Way]
    waiting: bool
    former: Former | None


def profile(member: Member, *, now: datetime) -> Profile:
    """What the page of Member Information shows; `former` only while the last save can be undone."""
    parts = (choices.STANDING, changes.WAYS, members.WAITING, former_values.FORMER)
    given, ways, waiting, former = ask(*parts, person=member.id)
    standing = choices.standing_in(given)
    return Profile(
        standing,
        changes.ways_in(ways, now=now),
        bool(waiting),
        former_values.former_in(former, member, standing[SUPPRESS], now=now),
    )
