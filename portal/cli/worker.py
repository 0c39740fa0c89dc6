"""The worker: answers asked-for links, tells of a new notice, delivers the outbox, reminds, tidies up.

One process, any number of them. While the gate is closed it does nothing but wait.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from types import FrameType

import click
import structlog
from flask.cli import with_appcontext
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from portal import clock, logs
from portal.cli import datamap, erasures, notices, requests
from portal.datamap import retention
from portal.domain import broadcasts, former_values, gate, keys, limits, measures, optouts, signin, unsubscribe
from portal.domain import requests as received
from portal.domain.errors import DomainError
from portal.domain.notices import Told
from portal.extensions import db, glance, transaction
from portal.mail import delivery
from portal.models import LinkRequest

log = structlog.get_logger()
A_FEW = 50  # messages at a time, so that a long broadcast holds up no password link
A_WHILE = 15.0  # seconds at a time, so that an opt-out that only the journal knows counts within a minute
TIDY_EVERY = timedelta(hours=1)
ERASE_EVERY = timedelta(minutes=1)
BEAT_EVERY = timedelta(seconds=30)
GATE_AGAIN = 2.0  # seconds
ANSWERS = {"unsubscribe": unsubscribe.answer, "password": signin.answer, "activation": signin.answer}


@click.command("worker")
@click.option("--every", default=1.0, show_default=True, help="Seconds between two looks at the outbox.")
@with_appcontext
def worker(every: float) -> None:
    """Deliver mail and do the daily jobs until stopped (SIGINT or SIGTERM)."""
    datamap.refuse_unknown()
    refuse_missing_key()
    logs.catch_the_rest()
    run(every=every)


def refuse_missing_key() -> None:
    """For what sends or brings people in: ends with 3 while a key is dropped under which somebody is remembered.

    A database that is away is waited for.
    """
    try:
        with glance():
            ident = keys.missing()
    except SQLAlchemyError:
        return
    if ident:
        click.echo(
            f"SUPPRESSION_KEYS lacks the key {ident!r}. The database remembers by it who must get no mail:"
            " put it back, behind the newer ones. Nothing was done.",
            err=True,
        )
        raise SystemExit(3)


def run(*, every: float) -> None:
    """Look, work, wait; a database that is away is waited for, and nothing that one job refuses ends the others."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    tidied = erased = beaten = datetime.min.replace(tzinfo=UTC)
    closed_at = clock.now() - signin.LOOK_BACK
    log.info("worker.started")
    closed, told = "", Told()
    while not stop.is_set():
        busy = False
        try:
            beaten = live(beaten)
            closed = ask_the_gate(before=closed)
            if closed:
                stop.wait(GATE_AGAIN)
                continue
            catch_up()
            answer_waiting(clock.now)
            if is_over(ERASE_EVERY, erased):
                erased = clock.now()
                erasures.run_due(erased, look_again=is_over(TIDY_EVERY, tidied))
                closed_at = close_for_good(closed_at)
            told = notices.tell_a_few(told.last, most=A_FEW)
            busy = tend_broadcasts()
            busy = deliver_some(stop.is_set).sent > 0 or busy
            if is_over(TIDY_EVERY, tidied):
                tidied = clock.now()
                each_hour(stop.is_set)
        except SQLAlchemyError as error:
            db.session.rollback()
            log.error("worker.database_away", kind=type(error).__name__)
            stop.wait(5)
        except (DomainError, OSError) as error:  # a journal that cannot be read: nothing is delivered before it is
            db.session.rollback()
            log.error("worker.held_up", kind=type(error).__name__)
            stop.wait(5)
        if not busy:
            stop.wait(every)
    log.info("worker.stopped")


def live(said: datetime) -> datetime:
    """Tell operators twice a minute that a worker lives and reaches the database; when this one last did."""
    if not is_over(BEAT_EVERY, said):
        return said
    measures.beat(now=clock.now())
    return clock.now()


def is_over(every: timedelta, since: datetime) -> bool:
    """Whether so much time has passed; also when the clock has gone back, so that no job waits for it to catch up."""
    return abs(clock.now() - since) >= every


def close_for_good(since: datetime) -> datetime:
    """What has ended stays so, and what waits for a day that no step sets does not, whatever the clock did; when."""
    now = clock.now()
    with transaction():
        signin.close_ended(since=since, now=now)
    delivery.mend_times(now=now)
    return now


def tend_broadcasts() -> bool:
    """One short piece of what broadcasts need; whether there was any."""
    with transaction():
        return broadcasts.tend(now=clock.now())


def deliver_some(stopping: Callable[[], bool] = lambda: False) -> delivery.Delivered:
    """A few messages, for a while."""
    ends = time.monotonic() + A_WHILE
    done = delivery.deliver(limit=A_FEW, stopping=lambda: stopping() or time.monotonic() > ends)
    measures.count_mail(asdict(done), now=clock.now())
    return done


def deliver_all() -> Counter[str]:
    """Everything that is due, and what the journal tells meanwhile; how many of each outcome."""
    done: Counter[str] = Counter()
    while True:
        begun = time.monotonic()
        catch_up()
        while tend_broadcasts():
            pass
        some = asdict(deliver_some())
        if time.monotonic() - begun > A_WHILE:  # what was put back only for want of time comes next
            some["deferred"] = 0
        elif some["deferred"] or not any(some.values()):
            done.update(some)
            return done
        done.update(some)


def each_hour(stopping: Callable[[], bool]) -> None:
    """What each worker does once an hour. The jobs of the hour and of the day are done by the first of them alone."""
    with transaction():
        limits.forget_ended()
        former_values.forget(now=clock.now())
    tell_staff_of_the_rest()
    remind(stopping)
    keep_periods(stopping)


def tell_staff_of_the_rest() -> None:
    """One message an hour of the new requests that staff were not told of one by one (threat T32)."""
    now = clock.now()
    if limits.first_this_hour("digest", now=now):
        with transaction():
            told = received.tell_staff_of_the_rest(now=now)
        if told:
            log.info("requests.digest", requests=told)


def remind(stopping: Callable[[], bool]) -> None:
    """The reminders, once a day whatever the number of workers; after days of silence once."""
    now = clock.now()
    if limits.first_today("reminders", now=now):
        said = requests.say_what_is_due(now, stopping=stopping)
        if said:
            log.info("requests.reminded", **said)


def keep_periods(stopping: Callable[[], bool]) -> None:
    """The retention run, once a day whatever the number of workers; after days of silence once."""
    now = clock.now()
    if limits.first_today("retention", now=now):
        for rule in retention.run(now=now, stopping=stopping):
            if rule.gone or rule.refused:
                log.info("retention.rule", rule=rule.rule, gone=rule.gone, refused=rule.refused)


def ask_the_gate(*, before: str) -> str:
    """Why nothing may be done, or nothing; what has changed since `before` is logged."""
    with glance():
        why = gate.closed()
    if why and why != before:
        log.error("gate.closed", why=why)
        with transaction():
            gate.close_everywhere()
    if before and not why:
        log.info("gate.open")
    return why


def catch_up() -> None:
    """Bring the database up to the opt-out journal before anything is delivered, and note how far the journals go."""
    with transaction():
        applied = optouts.catch_up(now=clock.now())
        gate.remember()
    if applied:
        log.warning("journal.applied", lines=applied)


def answer_waiting(now: Callable[[], datetime]) -> int:
    """Answer each address that was typed into a page, in a transaction of its own; how many there were."""
    answered = 0
    while _answer_one(now()):
        answered += 1
    return answered


def _answer_one(now: datetime) -> bool:
    """Taking the row and writing its mail is one transaction: a crash in between loses neither.

    What a verb refuses is taken all the same, or it would stand before all that come after it.
    """
    with transaction():
        oldest = select(LinkRequest.id).order_by(LinkRequest.id).limit(1).scalar_subquery()
        taken = db.session.execute(
            delete(LinkRequest).where(LinkRequest.id == oldest).returning(LinkRequest.address, LinkRequest.wanted)
        ).one_or_none()
        if taken is None:
            return False
        try:
            with db.session.begin_nested():
                ANSWERS[taken.wanted](taken.address, now=now)
        except DomainError as refused:
            log.error("worker.not_answered", kind=type(refused).__name__)
        return True
