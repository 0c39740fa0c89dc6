"""The soak: half an hour of ordinary days at half load; memory, open connections and files, errors.

`python -m tests.drills.soak [--minutes 30] [--database postgresql]` prints a line every half minute and ends with 1
if memory or connections grew, or anything went wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import Journal
from tests.drills.bed import Portal
from tests.drills.clients import Load
from tests.drills.judged import judge

EVERY = 30.0  # seconds
GROWTH = 0.05  # of memory, from the second quarter to the last one
PAUSE = 0.5  # seconds between two things that a member does
READERS = 2000


@dataclass(frozen=True)
class Reading:
    """One look: memory in MB of the largest process of each sort; open files and sockets; connections."""

    web: float
    worker: float
    files: int
    connections: int

    def __str__(self) -> str:
        told = f"web {self.web:.1f} MB  worker {self.worker:.1f} MB  files {self.files}"
        return f"{told}  connections {self.connections}"


def main() -> int:
    """Run it once."""
    words = argparse.ArgumentParser(prog="python -m tests.drills.soak", description=__doc__)
    words.add_argument("--minutes", type=float, default=30)
    words.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    wish = words.parse_args()
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    with (
        bed.scratch() as folder,
        bed.drill_database(wish.database, folder) as (url, server),
        bed.portal(url, folder, members=8, recipients=READERS) as portal,
    ):
        port, journal = free_port(), Journal(folder / "acknowledged.jsonl")
        portal.start_web(port=port, workers=2)
        portal.start_worker()
        load = Load(portal, journal, port, pause=PAUSE)
        load.start()
        readings = _watch(portal, load, url if server else "", wish.minutes * 60)
        load.stop()
        portal.finish()
        verdict = judge(portal, journal, load)
    verdict.wrong += _grown(readings)
    errors = sum(count for name, count in load.seen.items() if " 5" in name or name == "no answer")
    if errors:
        verdict.wrong.append(f"{errors} answers that were none, or 500 and above")
    answers = sum(count for name, count in load.seen.items() if name.rpartition(" ")[2].isdigit())
    print(f"{answers} answers in {wish.minutes:.0f} minutes, {answers / wish.minutes / 60:.1f} a second")
    for what, count in sorted(verdict.counts.items()):
        print(f"    {what}: {count}")
    for wrong in verdict.wrong:
        print(f"    NOT SO: {wrong}")
    return 1 if verdict.wrong else 0


def _watch(portal: Portal, load: Load, url: str, seconds: float) -> list[Reading]:
    readings: list[Reading] = []
    began = told = time.monotonic()
    while time.monotonic() - began < seconds:
        time.sleep(1)
        if time.monotonic() - told < EVERY:
            continue
        told = time.monotonic()
        readings.append(_read(portal, url))
        print(f"{(told - began) / 60:5.1f} min  {readings[-1]}  acknowledged {load.acknowledged}", flush=True)
        if len(readings) % 6 == 0:
            portal.send_broadcast()
    return readings


def _read(portal: Portal, url: str) -> Reading:
    web = [portal.processes["web"].pid, *bed.children(portal.processes["web"].pid)]
    worker = [portal.processes["worker"].pid]
    return Reading(
        max(map(_memory, web)), max(map(_memory, worker)), sum(map(_files, (*web, *worker))), _connections(url)
    )


def _memory(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _connections(url: str) -> int:
    if not url:
        return 0
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def _grown(readings: list[Reading]) -> list[str]:
    """What is larger in the last quarter than in the second: in the first one, caches fill."""
    quarter = len(readings) // 4
    if not quarter:
        return ["too short to say anything: four looks are needed"]
    early, late = readings[quarter : 2 * quarter], readings[-quarter:]
    wrong = []
    for name in ("web", "worker"):
        before, after = (statistics.median(getattr(each, name) for each in part) for part in (early, late))
        if after > before * (1 + GROWTH):
            wrong.append(f"memory of {name} grew from {before:.1f} to {after:.1f} MB")
    for name in ("files", "connections"):
        before, after = (max(getattr(each, name) for each in part) for part in (early, late))
        if after > before + 5:
            wrong.append(f"{name} grew from {before} to {after}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
