"""The drills in short: two or three of each fault that is cheap, with real processes. `make drill` does all of it.

They judge by what the clients were told, never by the time it took: a busy machine is no failure.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import databases
from tests.conftest import missing
from tests.drills import postgres, web, workers
from tests.drills.bed import SHORT
from tests.drills.judged import Verdict

pytestmark = [pytest.mark.opens_smtp, pytest.mark.timeout(600)]


def holds(verdict: Verdict) -> None:
    assert verdict.wrong == []
    assert verdict.counts["acknowledged"] >= 8
    assert verdict.counts["erasures carried out"] == 1


def test_pages_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    holds(web.drill(tmp_path, database="sqlite", times=2, size=SHORT))


def test_workers_that_are_killed_lose_nothing(tmp_path: Path) -> None:
    """Once between the relay's 250 and the commit, once before the 250."""
    verdict = workers.drill(tmp_path, database="sqlite", times=2, size=SHORT)
    holds(verdict)
    assert verdict.counts["copies too many"] == 2


def test_a_database_that_stops_at_once_loses_nothing(tmp_path: Path) -> None:
    if databases.postgres_programs() is None:
        missing("PostgreSQL (PORTAL_TEST_PG_BIN names its programs)")
    verdict = postgres.drill(tmp_path, database="postgresql", times=1, size=SHORT, back_within=90)
    holds(verdict)
    assert verdict.counts["opt-outs acknowledged while it was away, or within that second"] > 0
