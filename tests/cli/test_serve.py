"""`serve` for real: a copy of the portal in a folder of its own, on a free port, with its worker."""

from __future__ import annotations

import mailbox
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest
from bs4 import BeautifulSoup

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds; a machine may be slow
MARIA = "maria.keller@example.org"


class Served:
    """A copy of the portal, and the process that serves it with everything that it started."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.log = folder / "log.txt"
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(("PORTAL_", "MAIL_"))}
        self.environment = {
            **theirs,
            "PORTAL_ENV": "development",
            "PORT": str(port),
            "DATABASE_URL": url,
            "JOURNAL_DIR": str(folder / "journal"),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def flask(self, *words: str) -> None:
        """A command with the same settings."""
        subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=self.folder, env=self.environment, check=True, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        """As make does it: the leader of a group of its own."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flask", "--app", "wsgi", "serve"],
                cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        return self.process

    def is_up(self) -> bool:
        """Whether `/healthz` answers 200."""
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.address}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask_for_password_link(self, email: str) -> None:
        """Fill the page "forgot password", as a browser does."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        page = f"{self.address}/forgot-password"
        with browser.open(page, timeout=PATIENCE) as answer:
            (token,) = BeautifulSoup(answer.read(), "html.parser").select("main input[name=csrf_token]")
        form = urlencode({"csrf_token": token["value"], "email": email}).encode()
        with browser.open(page, data=form, timeout=PATIENCE) as answer:
            assert answer.status == 200

    def mail_to(self, address: str, holding: str) -> list[Message]:
        """What the worker put into the development mailbox."""
        box = mailbox.Maildir(self.folder / "instance" / "mailbox", create=False)
        return [each for each in box if each["To"] == address and holding in each.as_string()]

    def kill(self) -> None:
        """Whatever is left of the group."""
        if self.process is not None and group_lives(self.process.pid):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds, and fail when it does not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {PATIENCE} seconds"
        time.sleep(0.1)


def group_lives(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def worker_of(group: int) -> int:
    """The process of a group that was called as the worker."""
    asked = ["ps", "-A", "-o", "pid=,pgid=,args="]
    lines = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    (found,) = (line for line in lines if line.split()[1] == str(group) and line.endswith(" worker"))
    return int(found.split()[0])


@pytest.fixture
def served(database: str, tmp_path: Path) -> Iterator[Served]:
    """A copy, so that its mailbox and its keys are this test's own."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "portal", folder / "portal", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("config.py", "wsgi.py"):
        shutil.copy(ROOT / name, folder)
    served = Served(folder, database)
    try:
        yield served
    finally:
        served.kill()


def test_pages_and_mail_come_from_one_command_and_end_with_it(served: Served) -> None:
    served.flask("demo", "load")
    process = served.start()
    until(served.is_up, "the portal answers")
    assert not served.mail_to(MARIA, "/set-password/")

    served.ask_for_password_link(MARIA)
    until(lambda: served.mail_to(MARIA, "/set-password/"), "the worker delivers the link")

    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert not group_lives(process.pid)
    assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_at_once_leaves_no_process_and_no_trace(served: Served, number: signal.Signals) -> None:
    """As Ctrl-C in a terminal does it; more than once is as good as once."""
    process = served.start()
    until(served.is_up, "the portal answers")
    for _ in range(3):
        os.killpg(process.pid, number)
    assert process.wait(PATIENCE) == 0
    until(lambda: not group_lives(process.pid), "the children end")
    assert "Traceback" not in served.log.read_text()


def test_a_worker_that_dies_ends_the_portal(served: Served) -> None:
    """So that a supervisor starts both anew, instead of pages whose mail never leaves."""
    process = served.start()
    until(served.is_up, "the portal answers")
    worker = worker_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert not group_lives(process.pid)
