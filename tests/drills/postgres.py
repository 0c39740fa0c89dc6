"""The drill of the database: PostgreSQL stops at once, as if its machine had lost its power, and comes back.

`python -m tests.drills postgres [--times 20]`. While it is away: pages answer 503 and keep what was typed, the
one-click of an email is still acknowledged. Back within ten seconds of the database.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import ACKNOWLEDGED, Journal
from tests.drills.bed import FULL, Size
from tests.drills.clients import AwayError, Browser, Load
from tests.drills.judged import Verdict, judge
from tests.drills.restore import wait_for

BACK_WITHIN = 10.0  # seconds
FEW = 5  # stops: fewer do not wait for the worker, which leaves a line of a journal alone for fifteen seconds


def drill(
    folder: Path, *, database: str, times: int, size: Size = FULL, back_within: float = BACK_WITHIN, seed: int = 11
) -> Verdict:
    """Stop it so many times; what was found."""
    chance, port = random.Random(seed), free_port()
    back, wrong, without = [], [], 0
    with (
        bed.drill_database(database, folder) as (url, server),
        bed.portal(url, folder, members=size.members, recipients=size.readers) as portal,
    ):
        assert server is not None
        journal = Journal(folder / "acknowledged.jsonl")
        portal.start_web(port=port, workers=size.processes)
        portal.start_worker()
        load = Load(portal, journal, port)
        load.start()
        for number in range(times):
            load.flow(size.flow)
            time.sleep(chance.random() * 0.5)
            if number % 4 == 0:
                portal.ask_erasure()
            if number % 10 == 0:
                portal.send_broadcast()
            server.stop_at_once()
            stopped = time.time()
            time.sleep(0.5 + chance.random())
            wrong += _while_away(port)
            server.start()
            began = time.monotonic()
            wait_for("a page that needs the database", lambda: _answers(port))
            back.append(time.monotonic() - began)
            away = range(int(stopped), int(time.time()))
            told = (each for each in journal.operations() if each.kind == "opt-out" and int(each.at) in away)
            without += sum(each.outcome == ACKNOWLEDGED for each in told)
        load.stop()
        if times >= FEW:
            wait_for("the worker to take the opt-outs over", portal.opt_outs_are_known)
        portal.finish()
        verdict = judge(portal, journal, load, kills=times)
        verdict.wrong += wrong
        verdict.counts["stops"] = times
        verdict.counts["slowest way back, ms"] = round(max(back) * 1000)
        verdict.counts["opt-outs acknowledged while it was away, or within that second"] = without
        if max(back) > back_within:
            verdict.add("back", f"a page came back {max(back):.1f} s after the database")
    return verdict


def _while_away(port: int) -> list[str]:
    """A page says so with 503; an unsubscribe page that needs no record is there."""
    browser, wrong = Browser(port, "10.77.0.1", {"__Host-session": "x"}), []
    try:
        answer = browser.get("/sign-in")
        if answer.status not in (200, 503):
            wrong.append(f"away: the sign-in answers {answer.status}")
        if browser.get("/healthz").status != 200:
            wrong.append("away: /healthz does not answer 200")
        if browser.get("/readyz").status != 503:
            wrong.append("away: /readyz does not answer 503")
    except AwayError:
        wrong.append("away: no answer at all")
    return wrong


def _answers(port: int) -> bool:
    try:
        return Browser(port, "10.77.0.1").get("/readyz").status == 200
    except AwayError:
        return False
