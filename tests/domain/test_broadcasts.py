"""Who may get a topic, and that restoring broadcasts brings the same set back (P6, P10)."""

from __future__ import annotations

from sqlalchemy import select

from portal import clock as portal_clock
from portal.domain import broadcasts, choices
from portal.extensions import db
from portal.models import Broadcast, Member, Message
from portal.models.suppression import may_be_mailed
from portal.purposes import SUPPRESS, TOPICS
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.drills.broadcast import queue
from tests.people import People


def topics_of(person: Member) -> set[str]:
    """The topics that a broadcast would bring to this person now."""
    asked = {topic: select(Member.id).join(Member.subject).where(may_be_mailed(topic)) for topic in TOPICS}
    found = {topic for topic, query in asked.items() if db.session.scalars(query.where(Member.id == person.id)).first()}
    db.session.rollback()
    return found


def answer(person: Member, **answers: str) -> None:
    with writes():
        subject = db.session.get_one(Member, person.id).subject
        for code, to in answers.items():
            choices.change(subject, code, to=to, via=Door.PAGE, now=portal_clock.now())


def test_suppressing_beats_all_and_restoring_brings_the_same_set(people: People) -> None:
    """P6, P10: opt-in topics after a yes, the others until a no; nothing while suppressed; the same ones afterwards."""
    opt_in = {code for code, topic in TOPICS.items() if topic.opt_in}
    assert opt_in == {"sponsor-offers", "recruiting"}
    assert topics_of(people.alice) == set(TOPICS) - opt_in
    answer(people.alice, topic_recruiting="on", topic_journal="off")
    chosen = set(TOPICS) - {"sponsor-offers", "journal"}
    assert topics_of(people.alice) == chosen
    answer(people.alice, **{SUPPRESS: "yes"})
    assert topics_of(people.alice) == set()
    assert broadcasts.audience("recruiting") == broadcasts.Audience(0, 2, 0)
    answer(people.alice, **{SUPPRESS: "no"})
    assert topics_of(people.alice) == chosen
    assert topics_of(people.bob) == set(TOPICS) - opt_in


def test_a_restore_ends_what_was_under_way(people: People, run: Runner) -> None:
    """Any part of it may have left in the time that the backup does not know."""
    number = queue()
    assert run("erasures", "replay").exit_code == 0
    with writes():
        while broadcasts.tend(now=portal_clock.now()):
            pass
    told = db.session.get_one(Broadcast, number)
    assert (told.state, told.people, told.sent, told.not_sent) == ("stopped", 2, 0, 2)
    assert set(db.session.scalars(select(Message.state).where(Message.broadcast_id == number))) == {"cancelled"}
