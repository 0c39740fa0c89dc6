"""What a member's page shows of several tables, read in one question each (`at_once`). Called by the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from portal.clock import society_date
from portal.domain import bounces, changes, choices, events, members, notices, requests
from portal.domain.at_once import ask
from portal.domain.bounces import Trouble
from portal.domain.changes import Way
from portal.domain.choices import Standing
from portal.domain.events import Attended
from portal.domain.notices import NoticeFor
from portal.domain.requests import Short
from portal.tokens import suppression_hashes


@dataclass(frozen=True)
class Overview:
    """Everything at a glance but what changed. `coming`: the next event; `waiting`: whether a new address does."""

    standing: Mapping[str, Standing]
    stands: NoticeFor
    requests: list[Short]
    coming: Attended | None
    waiting: bool
    trouble: Trouble | None


def overview(member_id: UUID, email_key: str, *, now: datetime) -> Overview:
    """What the overview shows."""
    answers, versions, opened, coming, waiting, silenced = ask(
        choices.STANDING,
        notices.VERSIONS,
        requests.OPEN_ONES,
        events.NEXT,
        members.WAITING,
        bounces.SILENCED,
        person=member_id,
        hashes=suppression_hashes(email_key),
        today=society_date(now),
    )
    return Overview(
        choices.standing_in(answers),
        notices.for_member(member_id, now, versions=notices.versions_in(versions)),
        requests.in_short(opened),
        events.next_in(coming),
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
    """What stands beside the record on the page of Member Information."""

    standing: Mapping[str, Standing]
    ways: Mapping[str, Way]
    waiting: bool


def profile(member_id: UUID, *, now: datetime) -> Profile:
    """The answers, the way of what was changed back to the membership system, and whether a new address waits."""
    given, ways, waiting = ask(choices.STANDING, changes.WAYS, members.WAITING, person=member_id)
    return Profile(choices.standing_in(given), changes.ways_in(ways, now=now), bool(waiting))
