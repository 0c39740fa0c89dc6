"""The drill of the pages: `kill -9` of web processes while members use them, restarted at once.

`python -m tests.drills web [--times 20] [--database sqlite|postgresql]`. By turns the whole service dies, as with its
machine, and is started again; or only its working process, which the service itself starts anew.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import Journal
from tests.drills.bed import FULL, Size
from tests.drills.clients import Load
from tests.drills.judged import Verdict, judge


def drill(folder: Path, *, database: str, times: int, size: Size = FULL, seed: int = 5) -> Verdict:
    """Kill so many times; what was found."""
    chance, port = random.Random(seed), free_port()
    with (
        bed.drill_database(database, folder) as (url, _),
        bed.portal(url, folder, members=size.members, recipients=size.readers) as portal,
    ):
        journal = Journal(folder / "acknowledged.jsonl")
        portal.start_web(port=port, workers=size.processes)
        portal.start_worker()
        load = Load(portal, journal, port)
        load.start()
        back = []
        for number in range(times):
            load.flow(size.flow)
            time.sleep(chance.random() * 0.5)
            if number % 4 == 0:
                portal.ask_erasure()
            died = time.monotonic()
            if number % 2:
                portal.kill_children("web")
            else:
                portal.kill("web")
                portal.start_web(port=port, workers=size.processes)
            load.flow(1)
            back.append(time.monotonic() - died)
        load.stop()
        portal.finish()
        verdict = judge(portal, journal, load, kills=0)
        verdict.counts["kills"] = times
        verdict.counts["slowest way back, ms"] = round(max(back) * 1000)
    return verdict
