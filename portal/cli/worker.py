"""The worker: answers asked-for links, delivers the outbox, tidies up. One process, any number of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import FrameType

import click
import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.domain import limits, optouts, signin, unsubscribe
from portal.domain.errors import DomainError
from portal.extensions import db, transaction
from portal.mail import delivery
from portal.models import LinkRequest

log = structlog.get_logger()
A_FEW = 50  # messages at a time, so that a long broadcast holds up no password link
TIDY_EVERY = timedelta(hours=1)
ANSWERS = {"unsubscribe": unsubscribe.answer, "password": signin.answer, "activation": signin.answer}


@click.command("worker")
@click.option("--every", default=1.0, show_default=True, help="Seconds between two looks at the outbox.")
def worker(every: float) -> None:
    """Deliver mail and do the daily jobs until stopped (SIGINT or SIGTERM)."""
    run(every=every)


def run(*, every: float) -> None:
    """Look, work, wait; a database that is away is waited for, and nothing that one job refuses ends the others."""
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    tidied = datetime.min.replace(tzinfo=clock.now().tzinfo)
    log.info("worker.started")
    while not stop.is_set():
        busy = False
        try:
            catch_up()
            answer_waiting(clock.now)
            busy = delivery.deliver(limit=A_FEW, stopping=stop.is_set).sent > 0
            if clock.now() - tidied > TIDY_EVERY:
                with transaction():
                    limits.forget_ended()
                tidied = clock.now()
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


def catch_up() -> None:
    """Bring the database up to the opt-out journal: before anything is delivered."""
    with transaction():
        applied = optouts.catch_up(now=clock.now())
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
