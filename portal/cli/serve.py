"""The portal and its worker, started together: what `make run` ends in. They stop together too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType
from urllib.parse import urlsplit

import click
from flask import current_app
from flask.cli import with_appcontext

from portal.cli import datamap, worker
from portal.extensions import db, settings

GRACE = 10  # seconds to finish what is under way
KILL = 5  # seconds after which the server ends a web process that does not end itself
THREADS = 4  # a web process; each may hold connections to the database, whose pool has 15


@click.command("serve")
@click.option("--workers", default=1, show_default=True, help="Web processes.")
@with_appcontext
def serve(workers: int) -> None:
    """Serve the portal on 127.0.0.1, at the port of PORTAL_URL, with the mail worker beside it.

    Refuses while the database holds a table or a column that the data map does not know.
    """
    port = urlsplit(settings().url).port or 8000
    web = web_server("wsgi:app", port=port, workers=workers)
    datamap.refuse_unknown()
    worker.refuse_missing_key()
    db.engine.dispose()
    root = os.path.dirname(current_app.root_path)
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # and so in the children, until they listen for themselves
    children: list[subprocess.Popen[bytes]] = []
    try:
        for command in (web, ["-m", "flask", "--app", "wsgi", "worker"]):
            children.append(subprocess.Popen([sys.executable, *command], cwd=root))  # noqa: S603, PERF401
        signal.signal(signal.SIGINT, end)
        while all(child.poll() is None for child in children) and not stop.wait(0.2):
            pass
    finally:
        _end(children)
    if not stop.is_set():  # one of the two has died: an operator, or make, should see it
        raise SystemExit(1)


def web_server(target: str, *, port: int, workers: int) -> list[str]:
    """What the interpreter is called with to serve a WSGI application on loopback; the bench serves its limits so."""
    command = ["-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", str(THREADS), "--workers-kill-timeout", str(KILL)]
    return [*command, "--no-ws", "--log-level", "warning", target]


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    until = time.monotonic() + GRACE
    for child in children:
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
