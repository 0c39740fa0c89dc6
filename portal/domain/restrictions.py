"""Verbs on a restriction: the data only lie here until something is settled (GDPR Art. 18). Called by the desk.

Who is restricted is on no list and gets no broadcast: `models.suppression.may_be_mailed` asks, and the export says so.
"""

from __future__ import annotations

from datetime import datetime

from portal.domain import subjects, trail
from portal.extensions import db
from portal.mail import messages
from portal.models import Member, Subject
from portal.vocabulary import Door


def restrict(subject: Subject, *, now: datetime) -> bool:
    """From now on the data are stored and not used. False if that is so already."""
    if not _in_turn(subject) or subject.restricted_at is not None:
        return False
    subject.restricted_at = now
    trail.record(subject.id, "restricted", door=Door.STAFF, now=now)
    if (member := db.session.get(Member, subject.id)) is not None:
        messages.restriction_set(member, now=now)
    db.session.flush()
    return True


def lift(subject: Subject, *, now: datetime) -> bool:
    """The data may be used again, as the person's own choices say; the person is told (Art. 18(3)). False if so."""
    if not _in_turn(subject) or subject.restricted_at is None:
        return False
    subject.restricted_at = None
    trail.record(subject.id, "used again", door=Door.STAFF, now=now)
    if (member := db.session.get(Member, subject.id)) is not None:
        messages.restriction_lifted(member, now=now)
    db.session.flush()
    return True


def _in_turn(subject: Subject) -> bool:
    """The same person, as they stand when it is our turn; False for somebody erased, of whom nothing is used."""
    subjects.take_turn(subject.id)
    db.session.refresh(subject)
    return subject.erased_at is None
