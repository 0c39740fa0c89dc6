"""Bench: what processes cost apart from pages: a sign-in beside its hash, the start, the memory of web and worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextvars import Context
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

from bs4 import BeautifulSoup
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bench.bed import HOST, ROOT, Bed
from bench.load import BenchError, Server, pages
from portal.domain.passwords import HASHER, matches

PASSWORD = "correct horse battery staple"
REQUESTS = 10_000
WORKS_FOR = 5  # seconds that the worker runs before its memory is read
STARTS = """
import json, time
began = time.perf_counter()
from config import from_environment
from portal import create_app
loaded = time.perf_counter()
create_app(from_environment())
print(json.dumps({"import": loaded - began, "create_app": time.perf_counter() - loaded}))
"""


def sign_ins(bed: Bed) -> dict[str, Callable[[], None]]:
    """One hash, and a whole sign-in: form token, limits, password, row, cookie, commit. CPU of this process."""
    stored = HASHER.hash(PASSWORD)
    bed.write("UPDATE account SET password_hash = ?", stored)
    addresses = iter(bed.recipients * 100)
    page, cookie = _open(bed)
    control = BeautifulSoup(page, "html.parser").select_one("main [name=csrf_token]")
    if control is None:
        raise BenchError("the sign-in has no form")
    token = str(control["value"])
    signed_in = {each.id for each in bed.people}
    known = [each for each, person in zip(bed.recipients, bed.people, strict=False) if person.id in signed_in]
    addresses = iter(known * 1000)

    def sign_in() -> None:
        bed.write("DELETE FROM limit_counter")
        body = urlencode({"csrf_token": token, "email": next(addresses).email, "password": PASSWORD}).encode()
        builder = EnvironBuilder(
            "/sign-in", base_url=f"https://{HOST}", method="POST", input_stream=BytesIO(body), content_length=len(body),
            content_type="application/x-www-form-urlencoded",
            headers=[("Cookie", cookie), ("Referer", f"https://{HOST}/sign-in"), ("User-Agent", "Firefox Linux")],
        )  # fmt: skip
        _, status, _ = Context().run(run_wsgi_app, bed.app.wsgi_app, builder.get_environ(), buffered=True)
        if not status.startswith("303"):
            raise BenchError(f"/sign-in answers {status}")

    return {"one hash": lambda: _hash(stored), "sign-in": sign_in}


def _hash(stored: str) -> None:
    if not matches(stored, PASSWORD):
        raise BenchError("the hash does not match")


def _open(bed: Bed) -> tuple[str, str]:
    environ = EnvironBuilder("/sign-in", base_url=f"https://{HOST}").get_environ()
    body, _, headers = Context().run(run_wsgi_app, bed.app.wsgi_app, environ, buffered=True)
    return b"".join(body).decode(), headers["Set-Cookie"].partition(";")[0]


def start(bed: Bed) -> dict[str, float]:
    """Seconds that importing the portal takes, and then `create_app`, in a fresh process."""
    told = subprocess.run(
        [sys.executable, "-c", STARTS],
        cwd=ROOT, env=os.environ | bed.environ, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    seconds: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return seconds


def memory_of_web(bed: Bed, portal: Server, folder: Path) -> float:
    """MB of a web process after 10,000 requests for the pages of a member."""
    cookie, asked, turn = bed.people[-1].cookie, 0, 0
    paths = ("/", "/profile", "/profile/edit", "/choices", "/events", "/held", "/history", "/requests", "/security")
    while asked < REQUESTS:
        asked += pages(portal.port, paths[turn % len(paths)], cookie, seconds=2, folder=folder).answers
        turn += 1
    return portal.memory()


def memory_of_worker(bed: Bed) -> float:
    """MB of a mail worker that has looked for work for a while."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "worker"]
    with (bed.folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | bed.environ, stdout=log, stderr=log, start_new_session=True
        )
        try:
            time.sleep(WORKS_FOR)
            if worker.poll() is not None:
                raise BenchError("the worker ended")
            return Server(0, worker).memory()
        finally:
            worker.terminate()
            worker.wait(15)
