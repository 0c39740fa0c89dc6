"""The drill of the mail: `kill -9` of the worker, at the worst moments too, while a broadcast leaves and people say no.

`python -m tests.drills workers [--times 20]`. A quarter of the kills fall between the relay's 250 and the commit that
marks the message: the relay stops the worker as it has read the dot, says 250 into the line, and then kills it. The
program knows nothing of it. The others: as the relay has the message and has said nothing; at any time of a worker's
life, its start and its erasures too.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models import Message
from portal.models.message import MailState
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import Journal
from tests.drills.bed import FULL, Size
from tests.drills.clients import Load
from tests.drills.judged import Verdict, judge
from tests.drills.restore import NotSoError

AFTER_250, BEFORE_250, ANY_TIME = "between 250 and commit", "before 250", "any time"
MOMENTS = (AFTER_250, BEFORE_250, ANY_TIME, ANY_TIME)
SAID = 0.05  # seconds in which a 250 has crossed the loopback


@dataclass
class Trap:
    """Kills a worker as the relay takes one more of its messages."""

    victim: int = 0
    wait_for: int = 0  # messages still to let pass
    moment: str = ""
    sprung: threading.Event = field(default_factory=threading.Event)

    def set(self, victim: int, moment: str, after: int) -> None:
        self.sprung.clear()
        self.victim, self.wait_for, self.moment = victim, after, moment

    def __call__(self, _copy: bed.Copy) -> None:
        """Called as the relay has read the dot, before it says anything."""
        if not self.moment:
            return
        self.wait_for -= 1
        if self.wait_for > 0:
            return
        moment, self.moment = self.moment, ""
        with suppress(ProcessLookupError):
            if moment == AFTER_250:
                os.kill(self.victim, signal.SIGSTOP)  # it will never read the 250 that is sent to it now
                threading.Timer(SAID, self._finish).start()
            else:
                self._finish()

    def _finish(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.victim, signal.SIGKILL)
        self.sprung.set()


def drill(folder: Path, *, database: str, times: int, size: Size = FULL, seed: int = 17) -> Verdict:
    """Kill so many times; what was found."""
    chance, port, trap = random.Random(seed), free_port(), Trap()
    moments: dict[str, int] = dict.fromkeys(MOMENTS, 0)
    with (
        bed.drill_database(database, folder) as (url, _),
        bed.portal(url, folder, members=size.members, recipients=size.readers) as portal,
    ):
        portal.on_copy = trap
        journal = Journal(folder / "acknowledged.jsonl")
        portal.start_web(port=port)
        load = Load(portal, journal, port, pause=0.1)
        load.start()
        load.flow(size.flow)
        for number in range(times):
            moment = MOMENTS[number % len(MOMENTS)]
            if _due(portal) < size.readers // 2:
                portal.send_broadcast()
            if number % 3 == 0:
                portal.ask_erasure()
            portal.start_worker()
            victim = portal.processes["worker"]
            if moment == ANY_TIME:
                time.sleep(1 + chance.random() * 3)
            else:
                trap.set(victim.pid, moment, chance.randrange(1, min(60, size.readers // 4)))
                if not trap.sprung.wait(60):
                    raise NotSoError("the relay got no message to kill at")
            portal.kill("worker")
            moments[moment] += 1
            portal.time_passes()  # two minutes, after which another worker takes what this one had claimed
        portal.on_copy = lambda _copy: None
        load.stop()
        portal.finish()
        verdict = judge(portal, journal, load, kills=times)
        verdict.counts.update({f"kills {moment}": count for moment, count in moments.items()})
    return verdict


def _due(portal: bed.Portal) -> int:
    queued = select(func.count()).select_from(Message).where(Message.state == MailState.QUEUED)
    count: int = portal.read(lambda: db.session.scalar(queued))
    return count
