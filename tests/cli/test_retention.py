"""`retention run`: what an operator reads, and the worker that runs it once a day (P28)."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import func, select, text

from portal.cli import worker
from portal.extensions import db
from portal.models import LinkRequest
from portal.purposes import PERIODS
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People

DAY = timedelta(days=1)


def typed(days: int) -> None:
    """An address that was typed that many days ago, and that no worker has answered."""
    with writes():
        db.session.add(LinkRequest(address="x@example.org", wanted="password", at=NOW - days * DAY))


def waiting() -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(LinkRequest)).scalar_one()


def test_the_dry_run_prints_what_the_run_prints(run: Runner, people: People, clock: time_machine.Traveller) -> None:
    """P28: a line a rule, with its words, and the day on which the next row goes."""
    for days in (0, 2, 3):
        typed(days)
    dry = run("retention", "run", "--dry-run")
    assert waiting() == 3
    done = run("retention", "run")
    assert waiting() == 1
    assert (dry.exit_code, done.exit_code) == (0, 0)
    assert dry.stdout == done.stdout
    assert (dry.stderr, done.stderr) == ("would go 2\n", "gone 2\n")
    heading, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert heading == ["rule", "how long", "gone", "stays", "until"]
    assert [line[:2] for line in lines] == [[code, period.words] for code, period in PERIODS.items()]
    assert ["typed-addresses", "until answered, a day at most", "2", "1", "2026-12-05"] in lines
    assert ["failed-sign-ins", "90 days", "0", "0", "no date"] in lines
    assert run("retention", "run").stderr == "gone 0\n"


REFUSES = {
    "sqlite": "CREATE TRIGGER refuse BEFORE DELETE ON link_request BEGIN SELECT RAISE(ABORT, 'no'); END",
    "postgresql": "CREATE TRIGGER refuse BEFORE DELETE ON link_request FOR EACH ROW EXECUTE FUNCTION choice_refuse()",
}


@pytest.mark.usefixtures("people", "clock")
def test_what_the_database_refuses_stops_nothing_else(run: Runner, engine_name: str) -> None:
    typed(2)
    with writes():
        db.session.execute(text(REFUSES[engine_name]))
    try:
        done = run("retention", "run")
    finally:
        with writes():
            db.session.execute(text("DROP TRIGGER refuse" + " ON link_request" * (engine_name == "postgresql")))
    assert done.exit_code == 1
    assert done.stderr == "gone 0\nrefused by the database: typed-addresses; the next run tries again\n"
    assert len(done.stdout.splitlines()) == 1 + len(PERIODS)
    assert waiting() == 1


@pytest.mark.usefixtures("people")
def test_the_workers_run_it_once_a_day(clock: time_machine.Traveller) -> None:
    """The first of several has the day's run; after days of silence there is one."""

    def come_by() -> int:
        db.session.rollback()
        worker.keep_periods(lambda: False)
        return waiting()

    typed(2)
    assert come_by() == 0
    typed(2)
    assert come_by() == 1
    clock.shift(timedelta(hours=13, minutes=59))  # half past midnight in UTC is still the same day at the seat
    assert come_by() == 1
    clock.shift(timedelta(minutes=2))
    assert come_by() == 0
    clock.shift(9 * DAY)
    typed(2)
    assert come_by() == 0
