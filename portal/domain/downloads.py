"""Verbs on downloads: that somebody took a copy of everything along is written down, and told to the member."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from portal.domain import subjects, trail
from portal.extensions import db
from portal.mail import messages
from portal.models import Member
from portal.vocabulary import Door

DOWNLOADED = "downloaded"


def note(subject_id: UUID, *, name: str, browser: str, now: datetime) -> None:
    """One download. `name`: of the format. Nobody is told where the record has gone meanwhile."""
    there = subjects.take_turn(subject_id)
    member = db.session.get(Member, subject_id)
    if not there or member is None or member.account is None:
        return
    trail.record(subject_id, DOWNLOADED, door=Door.PAGE, now=now)
    messages.data_downloaded(member.account, name=name, browser=browser, now=now)
