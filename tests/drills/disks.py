"""The drill of the disk: small file systems of the database, of the journals and of the logs fill up, and are emptied.

`python -m tests.drills disks [--times 20]`, as root, as it mounts file systems in memory. Whatever is full: what was
acknowledged is there afterwards, nothing is torn, and where the database can still be read, pages are read.
"""

from __future__ import annotations

import errno
import io
import math
import os
import subprocess
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from tests import databases
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import Journal
from tests.drills.clients import AwayError, Browser, Load, form_of
from tests.drills.judged import Verdict, judge
from tests.drills.restore import NotSoError, wait_for

SMALL = {"journal": 1, "log": 1}  # MB, and what so many episodes leave behind:
DATA = {"sqlite": 16, "postgresql": 160}
EACH = {"journal": 0.01, "log": 0.02, "data": 0.3}
SETTINGS = "max_wal_size = 32MB\nmin_wal_size = 32MB\nshared_buffers = 16MB\n"
PLACES = (("data",), ("journal",), ("log",), ("data", "journal", "log"))
FULL_FOR = 1.5  # seconds


def drill(folder: Path, *, database: str, times: int) -> Verdict:
    """Fill each place by turns, so many times in all; what was found."""
    verdict = Verdict()
    with ExitStack() as stack:
        try:
            for place, size in {**SMALL, "data": DATA[database]}.items():
                stack.enter_context(_mounted(folder / place, size + EACH[place] * times))
        except (OSError, subprocess.CalledProcessError):
            verdict.counts["left out: nothing can be mounted here (be root, outside a container)"] = 1
            return verdict
        server = _server(stack, database, folder)
        url = databases.make_postgres(str(server.folder), "portal") if server else f"sqlite:///{folder}/data/portal.db"
        portal = stack.enter_context(bed.portal(url, folder))
        journal, port = Journal(folder / "acknowledged.jsonl"), free_port()
        portal.start_web(port=port, workers=2)
        portal.start_worker()
        load = Load(portal, journal, port)
        load.start()
        reads: Counter[str] = Counter()
        for number in range(times):
            load.flow()
            full = PLACES[number % len(PLACES)]
            for place in full:
                fill(folder / place)
            _look_while_full(port, full, portal, reads, number)
            for place in full:
                (folder / place / "filler").unlink()
            _see_that_it_runs(server, portal, port)
        load.stop()
        wait_for("the worker to take the opt-outs over", portal.opt_outs_are_known)
        portal.finish()
        verdict = judge(portal, journal, load, kills=times)
        verdict.counts.update({f"while full: {what}": count for what, count in reads.items()})
        verdict.counts["episodes"] = times
        for name in reads:
            if name.startswith("NOT SO"):
                verdict.add("disk", name)
    return verdict


def _server(stack: ExitStack, database: str, folder: Path) -> databases.Postgres | None:
    if database == "sqlite":
        return None
    programs = databases.postgres_programs()
    if programs is None:
        raise NotSoError("PostgreSQL is not installed (PORTAL_TEST_PG_BIN names its programs)")
    folder.chmod(0o755)
    running = databases.postgres_running(programs, durable=True, settings=SETTINGS, folder=folder / "data")
    return stack.enter_context(running)


@contextmanager
def _mounted(place: Path, megabytes: float) -> Iterator[None]:
    place.mkdir()
    size = f"size={math.ceil(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "drill", str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


def fill(place: Path) -> None:
    """Until not one byte more fits."""
    with (place / "filler").open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError as full:
                if full.errno != errno.ENOSPC:
                    raise
    os.sync()


def _look_while_full(port: int, full: tuple[str, ...], portal: bed.Portal, reads: Counter[str], number: int) -> None:
    """Pages are read; a download is whole, or there is none."""
    until = time.monotonic() + FULL_FOR
    reader = Browser(port, "10.44.0.1")
    while time.monotonic() < until:
        with suppress(AwayError):
            status = reader.get("/sign-in").status
            reads[f"/sign-in {status}"] += 1
            if status != 200 and "data" not in full:
                reads[f"NOT SO: with a full {full} /sign-in answers {status}"] += 1
        time.sleep(0.1)
    _download(port, portal, reads, number, full)


def _download(port: int, portal: bed.Portal, reads: Counter[str], number: int, full: tuple[str, ...]) -> None:
    who = portal.members[number % len(portal.members)]
    browser = Browser(port, f"10.43.{number % 250}.1")
    try:
        form = form_of(browser.get("/sign-in").text, "/sign-in") or {}
        if browser.post("/sign-in", form | {"email": who.email, "password": bed.PASSWORD}).status != 303:
            reads["no sign-in, so no download"] += 1
            return
    except AwayError:
        return
    line = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        line.request("GET", "/held/download?format=zip", headers={"Host": bed.HOST, "Cookie": cookies})
        answer = line.getresponse()
        content = answer.read()
    except OSError:
        reads["NOT SO: a download broke off"] += 1
        return
    finally:
        line.close()
    if answer.status == 200 and zipfile.ZipFile(io.BytesIO(content)).testzip() is not None:
        reads["NOT SO: a torn download"] += 1
    elif answer.status not in (200, 303, 429, 503):
        reads[f"NOT SO: a download is answered {answer.status} while {full} is full"] += 1
    reads[f"download {answer.status}"] += 1


def _see_that_it_runs(server: databases.Postgres | None, portal: bed.Portal, port: int) -> None:
    """PostgreSQL ends itself where it has no room for its log; as systemd would, we start it, and what else ended."""
    for name, process in list(portal.processes.items()):
        if process.poll() is not None:
            portal.processes.pop(name)
            portal.start_worker() if name == "worker" else portal.start_web(port=port, workers=2)
    if server is not None and not server.runs:
        server.start()
    wait_for("the portal to be ready", lambda: bed.answers(port, "/readyz"))
