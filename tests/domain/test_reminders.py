"""Who is reminded of which request, and when: over forty days, twice, after silence, and never of a demonstration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import time_machine
from sqlalchemy import select

from portal import clock as portal_clock
from portal.cli import requests as command
from portal.cli import worker
from portal.clock import society_date
from portal.domain import handling, reminders, requests
from portal.extensions import db
from portal.models import DataSubjectRequest, LinkRequest, Message, RequestStep
from portal.models.request import State
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WORDS = "Which of your two addresses is the one on file?"

Clock = time_machine.Traveller


@pytest.fixture
def settings() -> dict[str, str]:
    return {
        "STAFF_EMAILS": "one@desk.example.org,two@desk.example.org",
        "ESCALATION_EMAILS": "head@desk.example.org",
        "PORTAL_URL": "https://privacy.example.org",
    }


def ask(people: People, kind: str = "question", *, operation: str = "one", door: Door = Door.PAGE) -> str:
    with writes():
        known = "password" if door is Door.PAGE else ""
        made = requests.file_for(
            people.alice.subject,
            kind,
            details="?",
            operation_id=operation,
            verified_how=known,
            via=door,
            now=portal_clock.now(),
        )
        return made.reference


def stored(reference: str) -> DataSubjectRequest:
    db.session.rollback()
    found = requests.by_reference(reference)
    assert found is not None
    return found


def run_now() -> Counter[str]:
    db.session.rollback()
    return command.say_what_is_due(portal_clock.now())


def an_hour_passes() -> None:
    db.session.rollback()
    worker.each_hour(lambda: False)


def mailed(*names: str) -> Iterator[Message]:
    db.session.rollback()
    query = select(Message).where(Message.name.in_(names)).order_by(Message.created_at, Message.to_address)
    return iter(db.session.scalars(query).all())


def test_forty_days_without_an_answer(people: People, clock: Clock) -> None:
    """Staff at 14, 7, 3 and 1 days, and every day from the day after: each at its own addresses, once."""
    reference = ask(people)
    due = reminders.due_on(stored(reference))
    for _ in range(40):
        run_now()
        assert not run_now(), "a second run of a day has nothing to say"
        clock.shift(DAY)
    soon = [((due - society_date(each.created_at)).days, each.to_address) for each in mailed("staff_request_due")]
    assert soon == [(days, f"{who}@desk.example.org") for days in (14, 7, 3, 1) for who in ("one", "two")]
    late = [(due - society_date(each.created_at)).days for each in mailed("staff_request_overdue")]
    assert late == [-days for days in range(1, len(late) + 1)]
    assert len(late) == 40 - 1 - (due - society_date(NOW)).days
    assert {each.to_address for each in mailed("staff_request_overdue")} == {"head@desk.example.org"}


@pytest.mark.parametrize(
    ("silent", "left", "step"), [(17, 13, "due_14"), (26, 4, "due_7"), (28, 2, "due_3"), (30, 0, "due_1")]
)
def test_after_silence_the_most_urgent_alone(people: People, clock: Clock, silent: int, left: int, step: str) -> None:
    reference = ask(people)
    clock.shift(silent * DAY)
    assert run_now() == {"staff": 1}
    said = [each.step for each in stored(reference).steps if each.step.startswith("due")]
    assert said == [step]
    assert all(f"{left} day" in each.title or not left for each in mailed("staff_request_due"))
    assert not run_now()


def test_after_a_long_silence_it_is_overdue_once(people: People, clock: Clock) -> None:
    ask(people)
    clock.shift(45 * DAY)
    assert (run_now(), run_now()) == ({"staff": 1}, {})
    assert len(list(mailed("staff_request_overdue"))) == 1
    assert not list(mailed("staff_request_due"))


def test_an_extension_is_reminded_of_anew(people: People, clock: Clock) -> None:
    """What was said of the first day does not silence the second; between them nothing is late."""
    reference = ask(people)
    with writes():
        handling.take(stored(reference), people.dana, now=portal_clock.now())
    clock.shift(29 * DAY)
    assert run_now() == {"staff": 1}
    with writes():
        handling.extend(stored(reference), "complexity", "There is much of it.", now=portal_clock.now())
    due = reminders.due_on(stored(reference))
    assert due == stored(reference).legal_3_on
    while society_date(portal_clock.now()) <= due:
        run_now()
        clock.shift(DAY)
    told = [(due - society_date(each.at)).days for each in stored(reference).steps if each.step.startswith("due_")]
    assert told[1:] == [14, 7, 3, 1]
    assert not list(mailed("staff_request_overdue"))
    assert run_now() == {"staff": 1}


def test_an_identity_question_without_an_answer(people: People, clock: Clock) -> None:
    """After 7 and 21 days, and closed after 60: "could not verify", with the rights that follow."""
    reference = ask(people, door=Door.STAFF)
    asked = portal_clock.now()
    with writes():
        handling.ask_identity(stored(reference), WORDS, now=asked)
    told = []
    for day in range(70):
        said = run_now()
        told += [(day, each) for each in ("people", "closed") if said[each]]
        clock.shift(DAY)
    assert told == [(7, "people"), (21, "people"), (60, "closed")]
    request = stored(reference)
    assert (request.state, request.refusal, request.closed_at) == (State.REFUSED, "verify", asked + 60 * DAY)
    assert [each.to_address for each in mailed("identity_reminder")] == [people.alice.email] * 2
    assert [each.to_address for each in mailed("request_refused")] == [people.alice.email]


@pytest.mark.parametrize(("silent", "said"), [(30, "people"), (65, "closed")])
def test_an_identity_question_after_silence(people: People, clock: Clock, silent: int, said: str) -> None:
    reference = ask(people, door=Door.STAFF)
    with writes():
        handling.ask_identity(stored(reference), WORDS, now=portal_clock.now())
    clock.shift(silent * DAY)
    assert run_now()[said] == 1
    assert not run_now()
    assert len(list(mailed("identity_reminder", "request_refused"))) == 1


def test_who_has_answered_is_not_reminded(people: People, clock: Clock) -> None:
    """What staff need to read the answer is their own time, and they hear of it."""
    reference = ask(people, door=Door.STAFF)
    with writes():
        handling.ask_identity(stored(reference), WORDS, now=portal_clock.now())
        requests.add(people.alice, stored_here(reference), "The second.", now=portal_clock.now())
    clock.shift(70 * DAY)
    assert run_now() == {"staff": 1}
    assert not list(mailed("identity_reminder"))
    assert stored(reference).is_open


def test_a_second_question_after_an_answer_is_waited_for_anew(people: People, clock: Clock) -> None:
    """Reminders and the end after 60 days count from it; the time of staff in between moves no day by law."""
    reference = ask(people, door=Door.STAFF)
    with writes():
        handling.ask_identity(stored(reference), WORDS, now=portal_clock.now())
    clock.shift(8 * DAY)
    assert run_now()["people"] == 1
    with writes():
        requests.add(people.alice, stored_here(reference), "What do you mean?", now=portal_clock.now())
    clock.shift(2 * DAY)
    again = portal_clock.now()
    for _ in range(2):
        with writes():
            handling.ask_identity(stored_here(reference), WORDS, now=portal_clock.now())
    assert len(list(mailed("identity_asked"))) == 2
    assert stored(reference).identity_answered_at is None
    told = []
    for day in range(65):
        said = run_now()
        told += [(day, each) for each in ("people", "closed") if said[each]]
        clock.shift(DAY)
    assert told == [(7, "people"), (21, "people"), (60, "closed")]
    assert stored(reference).closed_at == again + 60 * DAY
    assert stored(reference).legal_on == stored(reference).legal_1_on


def stored_here(reference: str) -> DataSubjectRequest:
    found = requests.by_reference(reference)
    assert found is not None
    return found


def test_nobody_is_reminded_of_a_demonstration_or_of_what_is_closed(people: People, clock: Clock) -> None:
    shown, closed = ask(people), ask(people, operation="two")
    with writes():
        now = portal_clock.now()
        db.session.add(RequestStep(request_id=stored_here(shown).id, step=reminders.DEMONSTRATION, by="portal", at=now))
        requests.withdraw(people.alice, stored_here(closed), now=now)
    clock.shift(45 * DAY)
    assert not run_now()


def test_one_that_is_closed_a_moment_before_is_left_alone(people: People, clock: Clock) -> None:
    reference = ask(people)
    clock.shift(45 * DAY)
    waiting = reminders.waiting(now=portal_clock.now())
    with writes():
        requests.withdraw(people.alice, stored_here(reference), now=portal_clock.now())
    with writes():
        assert [reminders.remind(each, now=portal_clock.now()) for each in waiting] == [[]]


# New requests ---------------------------------------------------------------------------------------------


def test_a_flood_of_requests_is_ten_messages_and_a_digest(people: People, clock: Clock) -> None:
    """Threat T32: the first ten of an hour one by one, the rest together, whose turn is not the next hour's."""

    def told() -> tuple[int, list[int]]:
        one_by_one = len(list(mailed("staff_request_received"))) // 2
        return one_by_one, [each.text.count("IM-") for each in mailed("staff_digest")]

    for number in range(25):
        ask(people, operation=str(number))
    assert told() == (10, [])
    clock.shift(HOUR / 2)
    an_hour_passes()
    an_hour_passes()
    assert told() == (10, [15, 15])
    for number in range(25, 37):
        ask(people, operation=str(number))
        clock.shift(HOUR / 20)
    assert told() == (12, [15, 15]), "half an hour later the ten of the first half hour are still of this hour"
    clock.shift(HOUR / 2)
    an_hour_passes()
    assert told() == (12, [15, 15, 10, 10])
    an_hour_passes()
    assert told() == (12, [15, 15, 10, 10]), "nothing new, nothing said"
    clock.shift(HOUR)
    for number in range(37, 49):
        ask(people, operation=str(number))
    clock.shift(9 * DAY)
    an_hour_passes()
    assert told()[1][4:] == [2, 2], "after days of silence, too"


# The worker -----------------------------------------------------------------------------------------------


def test_the_workers_do_each_daily_job_once_a_day(people: People, clock: Clock) -> None:
    """Two of them, forty days, five of them silent: each other day at the society's seat has one run of each job."""
    due = reminders.due_on(stored(ask(people)))
    swept: Counter[date] = Counter()
    days = set()
    for half_day in range(80):
        if 40 <= half_day < 50:
            continue
        for minutes in (5, 40):
            clock.move_to(NOW + half_day * 12 * HOUR + timedelta(minutes=minutes))
            today = society_date(portal_clock.now())
            days.add(today)
            with writes():
                db.session.add(LinkRequest(address="x@example.org", wanted="password", at=NOW - 5 * DAY))
            an_hour_passes()
            db.session.rollback()
            swept[today] += not db.session.scalars(select(LinkRequest)).all()
    assert swept == dict.fromkeys(days, 1), "the retention run"
    late = [society_date(each.created_at) for each in mailed("staff_request_overdue")]
    assert late == sorted(day for day in days if day > due), "the reminders"
    assert len(late) > 5


def test_the_command(people: People, run: Runner, clock: Clock) -> None:
    first = ask(people, "correction")
    clock.shift(5 * DAY)
    second = ask(people, operation="two")
    with writes():
        handling.take(stored_here(second), people.dana, now=portal_clock.now())
    listed = run("requests", "list")
    assert listed.exit_code == 0
    assert [line.split("\t") for line in listed.stdout.splitlines()] == [
        [first, "correction", "received", "2026-12-04", "2027-01-03", "nobody"],
        [second, "question", "working", "2026-12-09", "2027-01-08", "dana@desk.example.org"],
    ]
    clock.shift(26 * DAY)
    done = run("requests", "remind")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "staff 2\npeople 0\nclosed 0\n")
    again = run("requests", "remind")
    assert (again.exit_code, again.stderr) == (0, "staff 0\npeople 0\nclosed 0\n")
