"""Verb on a version of the privacy notice that makes a right smaller: the explicit yes or no (P31)."""

from __future__ import annotations

from datetime import datetime

from portal.domain import choices, notices, subjects
from portal.domain.errors import StaleRecord
from portal.models import Member
from portal.purposes import notice_choice
from portal.vocabulary import Door


def answer(member: Member, version: int, *, to: str, via: Door, now: datetime) -> None:
    """Say yes or no to the version that is asked about; kept with the wording shown, and changed at any time.

    A yes covers earlier versions, too. To take a yes back brings the earlier version back. Raises StaleRecord when
    another version is asked about by now, and UnknownChoice for another word.
    """
    subjects.take_turn(member.id)
    asked = notices.for_member(member.id, now).asked
    if asked is None or asked.version != version:
        raise StaleRecord("Another version was published since you opened this page. Nothing was saved.")
    choices.change(member.subject, notice_choice(version).code, to=to, always=True, via=via, now=now)
