"""The restore drill: yesterday's database comes back, and nobody is resurrected or mailed again (rights §5.7).

`python -m tests.drills.restore [--database sqlite|postgresql]` starts a portal, its worker and a mail server on
loopback, lives a day, restores yesterday's dump, and prints each step with what it saw. It ends with 1 at the first
thing that is not as it should be. `make drill` runs it on both databases.
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiosmtpd.controller import Controller
from flask import Flask
from sqlalchemy import select

from portal import clock, create_app
from portal.cli.serve import web_server
from portal.domain import erasures, requests, signin
from portal.extensions import Base, db
from portal.models import Account, DataSubjectRequest, LinkRequest, Member, Message, Subject
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests import databases
from tests.conftest import MailServer, free_port
from tests.people import ALICE, ALICE_PASSWORD, BOB, member, settle
from tests.settings import config_for, environment

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 90.0  # seconds; a busy machine is no failure
SILENCE = 4.0  # seconds in which a worker that does not wait would have sent
ALICE_EMAIL, BOB_EMAIL, ERIN_EMAIL = str(ALICE["email"]), str(BOB["email"]), "erin@moss.example.org"
NEW_PASSWORD = "seven-grey-herons-fly-south"
OLD_FILE = (
    "member_id,email,first_name,last_name,suppress_broadcast_emails\n"
    f"{ALICE['member_number']},{ALICE_EMAIL},Alice,Okonkwo-Lindqvist,no\n"
    f"{BOB['member_number']},{BOB_EMAIL},Bob,Tanaka,no\n"
    f"M-3003,{ERIN_EMAIL},Erin,Moss,no\n"
)


class NotSoError(Exception):
    """The first thing that is not as it should be."""


@dataclass(frozen=True)
class Answer:
    """What the portal answered."""

    status: int
    text: str
    cookies: dict[str, str]


@dataclass
class Browser:
    """Enough of one: it keeps cookies, follows nothing, and takes form tokens from pages."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answer:
        return self._send("GET", path, "")

    def post(self, path: str, **values: str) -> Answer:
        return self._send("POST", path, urlencode(values))

    def press(self, path: str, **values: str) -> Answer:
        """Open the page of a form and send it."""
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.get(path).text)
        return self.post(path, csrf_token=found[1] if found else "", **values)

    def _send(self, method: str, path: str, body: str) -> Answer:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as line:
            line.request(method, path, body, headers)
            response = line.getresponse()
            text = response.read().decode()
            for cookie in response.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return Answer(response.status, text, dict(self.cookies))


@dataclass
class Bed:
    """One portal under the drill: its database, its processes, its mail."""

    folder: Path
    url: str
    smtp: MailServer
    port: int
    app: Flask
    environ: dict[str, str]
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """The web server and the worker, as they run for people."""
        worker = ["-m", "flask", "--app", "wsgi", "worker", "--every", "0.1"]
        for command in (web_server("wsgi:app", port=self.port, workers=1), worker):
            self.start_one(command)
        wait_for("the portal to answer", self.answers)

    def start_one(self, command: list[str]) -> None:
        with (self.folder / "log").open("ab") as log:
            child = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=self.environ, stdout=log, stderr=log)
        self.children.append(child)

    def stop(self) -> None:
        """End the processes, and let go of the database."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(PATIENCE)
        self.children.clear()
        with self.app.app_context():
            db.session.remove()
            db.engine.dispose()

    def answers(self) -> bool:
        """Whether the web server is up."""
        try:
            return Browser(self.port).get("/healthz").status == 200
        except OSError:
            return False

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the portal, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=ROOT,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def read(self, look: Callable[[], Any]) -> Any:
        """What a look at the database finds."""
        with self.app.app_context():
            found = look()
            db.session.rollback()
            return found

    def write(self, act: Callable[[], Any]) -> Any:
        with self.app.app_context(), databases.writes():
            return act()

    def mails(self, to: str) -> list[str]:
        """The texts that an address received, oldest first."""
        return [_words(each.data) for each in list(self.smtp.received) if to in each.rcpt_tos]

    def holds(self, word: str) -> list[str]:
        """The tables in which a word stands anywhere."""

        def look() -> list[str]:
            return [
                table.name
                for table in Base.metadata.sorted_tables
                if any(word in str(row).lower() for row in db.session.execute(table.select()))
            ]

        found: list[str] = self.read(look)
        return found


def _words(data: bytes) -> str:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    return "" if body is None else str(body.get_content())


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """Look again until there is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise NotSoError(f"waited in vain for {what}")


def say(text: str) -> None:
    print(text, flush=True)


def see(what: str, seen: Any, expected: Any) -> None:
    """Print what was seen; the drill ends if it is something else."""
    say(f"    {what}: {seen}")
    if seen != expected:
        raise NotSoError(f"{what}: expected {expected}")


# Dumps ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sqlite:
    """A file; dumped by SQLite's own backup."""

    folder: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/portal.db"

    def dump(self) -> None:
        self._copy("portal.db", "yesterday.db")

    def restore(self) -> None:
        for path in self.folder.glob("portal.db*"):
            path.unlink()
        self._copy("yesterday.db", "portal.db")

    def _copy(self, source: str, target: str) -> None:
        with (
            closing(sqlite3.connect(self.folder / source)) as old,
            closing(sqlite3.connect(self.folder / target)) as new,
        ):
            old.backup(new)


@dataclass(frozen=True)
class Postgres:
    """A database of a server of our own; dumped by pg_dump."""

    folder: Path
    server: str
    programs: str
    url: str

    def dump(self) -> None:
        self._run("pg_dump", "--format=custom", f"--file={self.folder}/yesterday.dump", "portal")

    def restore(self) -> None:
        databases.make_postgres(self.server, "portal")
        self._run("pg_restore", "--exit-on-error", "--dbname=portal", f"{self.folder}/yesterday.dump")

    def _run(self, program: str, *arguments: str) -> None:
        where = ["--host", self.server, "--username", "portal"]
        subprocess.run([f"{self.programs}/{program}", *where, *arguments], check=True, timeout=60)


@contextmanager
def store_for(database: str, folder: Path) -> Iterator[Sqlite | Postgres]:
    """An empty database of this kind."""
    if database == "sqlite":
        yield Sqlite(folder)
        return
    programs = databases.postgres_programs()
    if programs is None:
        raise NotSoError("PostgreSQL is not installed (PORTAL_TEST_PG_BIN names its programs)")
    with databases.postgres_server(programs) as server:
        yield Postgres(folder, server, programs, databases.make_postgres(server, "portal"))


@contextmanager
def bed_for(store: Sqlite | Postgres) -> Iterator[Bed]:
    """A portal with Alice, Bob, Charlie, Dana and Erin in it; nothing runs yet."""
    smtp, port = MailServer("127.0.0.1", free_port()), free_port()
    controller = Controller(smtp, hostname=smtp.host, port=smtp.port)
    more = {
        "PORTAL_URL": f"http://127.0.0.1:{port}",
        "MAIL_SERVER": smtp.host,
        "MAIL_PORT": str(smtp.port),
        "JOURNAL_DIR": str(store.folder / "journal"),
        "RATELIMIT_STORAGE_URI": "database://",
    }
    databases.migrate(store.url, store.folder)
    app = create_app(config_for(store.url, store.folder, **more))
    environ = {"PATH": os.environ["PATH"], **environment(store.url, **more)}
    bed = Bed(store.folder, store.url, smtp, port, app, environ)
    controller.start()
    try:
        bed.write(_people)
        yield bed
    finally:
        bed.stop()
        controller.stop()


def _people() -> None:
    people = settle()
    erin = member(email=ERIN_EMAIL, first_name="Erin", last_name="Moss", member_number="M-3003")
    assert people.alice.account is not None
    erin.account = Account(
        password_hash=people.alice.account.password_hash, password_at=people.alice.account.password_at
    )
    db.session.add(erin)


def _member(email: str) -> Member | None:
    return db.session.scalars(select(Member).where(Member.email == email)).one_or_none()


# The drill ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Yesterday:
    """What people had in their hands when the dump was taken."""

    reset_link: str
    erins: Browser
    alices_link: str
    erins_link: str


def drill(database: str) -> None:
    """The whole drill. Raises NotSoError at the first thing that is not as it should be."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-drill-", dir="/tmp")))
        store = stack.enter_context(store_for(database, folder))
        bed = stack.enter_context(bed_for(store))
        say(f"The restore drill, on {database}")
        before = yesterday(bed)
        store.dump()
        today(bed, before)
        say("The disk fails: yesterday's dump comes back")
        bed.stop()
        store.restore()
        see("Bob is in the database again", bed.read(lambda: _member(BOB_EMAIL) is not None), True)
        shut(bed, before)
        replayed(bed)
        afterwards(bed, before)
        say("All as it should be")


def yesterday(bed: Bed) -> Yesterday:
    say("Yesterday: Erin signs in and asks for a new password; Bob asks to be erased; mail waits")
    bed.start()
    erins = Browser(bed.port)
    see("Erin's sign-in", erins.press("/sign-in", email=ERIN_EMAIL, password=ALICE_PASSWORD).status, 303)
    see("her profile", erins.get("/profile").status, 200)
    Browser(bed.port).press("/forgot-password", email=ERIN_EMAIL)
    links = wait_for("Erin's reset link", lambda: re.findall(r"/set-password/[\w-]+", "".join(bed.mails(ERIN_EMAIL))))
    references = bed.read(_references)
    with bed.app.app_context():
        stops = [
            f"/unsubscribe/{sign_unsubscribe(references[ALICE_EMAIL])}",
            f"/unsubscribe/{sign_unsubscribe(references[ERIN_EMAIL], 'events')}",
        ]
    bed.write(_file_erasure)
    wait_for("the receipts", lambda: bed.mails(BOB_EMAIL))
    bed.stop()
    bed.write(lambda: signin.answer(ALICE_EMAIL, now=clock.now()))  # a message that waits
    bed.write(lambda: signin.ask_for_link(BOB_EMAIL, wanted="password", now=clock.now()))  # a question that waits
    return Yesterday(links[0], erins, *stops)


def _references() -> dict[str, bytes]:
    return {each.email: each.subject.unsubscribe_reference for each in db.session.scalars(select(Member))}


def _file_erasure() -> None:
    bob = _member(BOB_EMAIL)
    assert bob is not None
    now = clock.now() - timedelta(days=4)
    requests.file(bob, "erasure", details="", operation_id="drill", via=Door.PAGE, now=now)


def today(bed: Bed, before: Yesterday) -> None:
    say("Today: Bob is erased, Alice presses the unsubscribe button, Erin uses her link")
    bed.write(_approve)
    see("erasures run", bed.command("erasures", "run").returncode, 0)
    see("Bob's record", bed.read(lambda: _member(BOB_EMAIL)), None)
    bed.start()
    wait_for("the farewell", lambda: len(bed.mails(BOB_EMAIL)) > 1 and not bed.read(_waiting))
    one_click = {"List-Unsubscribe": "One-Click"}
    see("Alice's one-click", Browser(bed.port).post(before.alices_link, **one_click).status, 200)
    see("Erin's new password", Browser(bed.port).press(before.reset_link, new_password=NEW_PASSWORD).status, 303)
    see("her old cookie leads to the sign-in", before.erins.get("/profile").status, 303)
    wait_for("the outbox to be empty", lambda: not bed.read(_waiting))


def _approve() -> None:
    request = db.session.scalars(select(DataSubjectRequest).where(DataSubjectRequest.kind == "erasure")).one()
    erasures.approve(request, now=clock.now())


def _waiting() -> int:
    rows = db.session.scalars(select(Message.id).where(Message.state.in_(("queued", "claimed")))).all()
    return len(rows) + len(db.session.scalars(select(LinkRequest.id)).all())


def shut(bed: Bed, before: Yesterday) -> None:
    say("The gate is shut")
    received = len(bed.smtp.received)
    bed.start()
    for path in ("/", "/sign-in", "/profile", before.reset_link, before.alices_link):
        see(f"GET {path[:20]}", Browser(bed.port).get(path).status, 503)
    see("GET /healthz", Browser(bed.port).get("/healthz").status, 200)
    ready = Browser(bed.port).get("/readyz")
    see("GET /readyz", ready.status, 503)
    see("which says why", "tell of 1 erasure that this database does not know" in ready.text, True)
    answer = Browser(bed.port).post(before.erins_link, **{"List-Unsubscribe": "One-Click"})
    see("Erin stops mail on events; it is taken all the same", answer.status, 200)
    for words in (("members", "export"), ("mail", "deliver"), ("erasures", "run"), ("requests", "list")):
        done = bed.command(*words)
        see(f"flask {' '.join(words)}", (done.returncode, done.stdout), (3, ""))
    time.sleep(SILENCE)
    see("messages sent meanwhile", len(bed.smtp.received) - received, 0)
    see("waiting in the outbox, or for an answer", bed.read(_waiting) > 1, True)


def replayed(bed: Bed) -> None:
    say("flask erasures replay")
    done = bed.command("erasures", "replay")
    for line in done.stderr.splitlines():
        say(f"    {line}" if not line.startswith("{") else "    (logged)")
    see("exit", done.returncode, 0)
    told = dict(line.rsplit(" ", 1) for line in done.stderr.splitlines() if line[-1:].isdigit())
    see("opt-outs, erasures", (told.get("opt outs"), told.get("erasures")), ("2", "1"))
    wait_for("the portal to open", lambda: Browser(bed.port).get("/sign-in").status == 200)
    see("GET /readyz", Browser(bed.port).get("/readyz").status, 200)
    again = bed.command("erasures", "replay")
    see("once more", (again.returncode, "erasures 0" in again.stderr), (0, True))


def afterwards(bed: Bed, before: Yesterday) -> None:
    say("Afterwards: an old file is imported, a list is filtered, mail is delivered")
    file = bed.folder / "members.csv"
    file.write_text(OLD_FILE, encoding="utf-8")
    done = bed.command("members", "import", str(file))
    see("members import", (done.returncode, "created 0" in done.stderr), (0, True))
    see("Bob's record", bed.read(lambda: _member(BOB_EMAIL)), None)
    see("tables with his address", bed.holds("tanaka"), [])
    request = bed.read(lambda: db.session.scalars(select(DataSubjectRequest.carried_out_at)).one())
    see("his request is carried out", request is not None, True)
    erased = bed.read(lambda: len(db.session.scalars(select(Subject.id).where(Subject.erased_at.is_not(None))).all()))
    see("people known as erased", erased, 2)
    everybody = f"email\n{ALICE_EMAIL}\n{BOB_EMAIL}\n{ERIN_EMAIL}\n"
    for topic, expected in (("announcements", [ERIN_EMAIL]), ("events", [])):
        done = bed.command("broadcasts", "filter", "--topic", topic, stdin=everybody)
        allowed = [line.split(",")[0] for line in done.stdout.splitlines()[1:]]
        see(f"who may get a broadcast on {topic}", allowed, expected)
    received = len(bed.smtp.received)
    see("members invite --all", bed.command("members", "invite", "--all").returncode, 0)
    see("the spent link", Browser(bed.port).get(before.reset_link).status, 410)
    see("the old cookie leads to the sign-in", before.erins.get("/profile").status, 303)
    Browser(bed.port).press("/forgot-password", email=ERIN_EMAIL)
    wait_for("a fresh link for Erin", lambda: len(bed.smtp.received) > received)
    wait_for("the outbox to be empty", lambda: not bed.read(_waiting))
    new = sorted(to for each in bed.smtp.received[received:] for to in each.rcpt_tos)
    see("who was mailed since", new, [ERIN_EMAIL])


def main() -> None:
    """The command; exit 1 at the first false step."""
    parser = argparse.ArgumentParser(description="Restore yesterday's dump and see that nobody comes back.")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    try:
        drill(parser.parse_args().database)
    except NotSoError as found:
        print(f"NOT SO: {found}", file=sys.stderr)
        raise SystemExit(1) from found


if __name__ == "__main__":
    main()
