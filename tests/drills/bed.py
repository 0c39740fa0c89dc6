"""Drill: a portal as it runs for people, by production's settings, with a relay, members, and a hand to kill it."""

from __future__ import annotations

import io
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import func, insert, select, update

from config import from_environment
from portal import clock, create_app, journal
from portal.cli.serve import web_server
from portal.domain import broadcasts, erasures, gate, optouts, requests
from portal.extensions import db
from portal.models import Account, LinkRequest, Member, Message, Subject
from portal.models.message import MailState
from portal.tokens import canonical_address, sign_unsubscribe, suppression_hash
from portal.vocabulary import Door
from tests import databases
from tests.databases import writes
from tests.drills.restore import NotSoError, wait_for
from tests.mail.relay import Received, Relay
from tests.mail.test_transport import NAMED, Authority
from tests.people import ALICE, member
from tests.settings import KEYS

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "privacy.example.org"
PASSWORD = "copper-lantern-violin-41"
HASH = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
CANARY = "zq7canary"
TOPICS = ("announcements", "events", "magazine")


@dataclass(frozen=True)
class Size:
    """How much is going on. `flow`: what clients get done before the next fault; `processes`: of the web server."""

    members: int = 6
    readers: int = 400
    flow: int = 20
    processes: int = 2


FULL = Size()
SHORT = Size(members=3, readers=40, flow=8, processes=1)


@dataclass(frozen=True)
class Somebody:
    """One member as a client knows her."""

    id: UUID
    email: str
    links: dict[str, str]  # topic to the token of the unsubscribe link


@dataclass(frozen=True)
class Copy:
    """One message that the relay has taken."""

    at: float  # seconds since the epoch
    to: str
    message_id: str
    title: str
    text: str


@dataclass
class Portal:
    """One portal under the drill: its processes, its relay, and what the relay received."""

    folder: Path
    environ: dict[str, str]
    app: Flask
    relay: Relay
    members: list[Somebody] = field(default_factory=list)  # with a password
    recipients: list[Somebody] = field(default_factory=list)
    erased: list[Somebody] = field(default_factory=list)  # whose erasure was asked for
    copies: list[Copy] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    broadcasts: int = 0
    on_copy: Callable[[Copy], None] = lambda _copy: None

    # Processes --------------------------------------------------------------------------------------------

    def start_web(self, name: str = "web", *, port: int, workers: int = 1) -> None:
        """As the unit does, and wait until it answers."""
        self.spawn(name, [*web_server("wsgi:app", port=port, workers=workers), "--respawn-failed-workers"])
        wait_for(f"{name} to answer", lambda: answers(port))

    def start_worker(self, name: str = "worker") -> None:
        self.spawn(name, ["-m", "flask", "--app", "wsgi", "worker", "--every", "0.1"])

    def spawn(self, name: str, command: list[str]) -> None:
        with (self.folder / "log" / f"{name}.log").open("ab", buffering=0) as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str) -> None:
        """`kill -9` of a process and its children, whatever they are doing."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self, name: str) -> None:
        """Ask a process to end, as systemd does, and wait until it has."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill_children(self, name: str) -> None:
        """`kill -9` of the processes that do the work; the one that looks after them is left."""
        for child in children(self.processes[name].pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def stop(self) -> None:
        """End everything that runs, kindly."""
        for process in self.processes.values():
            process.terminate()
        for name in list(self.processes):
            self.end(name)

    def logged(self) -> str:
        """What all processes have written, and PostgreSQL's own log beside it."""
        return "".join(path.read_text("utf-8", "replace") for path in sorted((self.folder / "log").glob("*.log")))

    # Records ----------------------------------------------------------------------------------------------

    def read(self, look: Callable[[], Any]) -> Any:
        """What a look at the database finds, by a fresh connection."""
        with self.app.app_context():
            try:
                return look()
            finally:
                db.session.rollback()
                db.session.remove()

    def write(self, act: Callable[[], Any]) -> Any:
        with self.app.app_context():
            try:
                with writes():
                    return act()
            finally:
                db.session.remove()

    def waiting(self) -> int:
        """Messages that are on their way, and addresses that wait for an answer."""

        def look() -> int:
            on_their_way = Message.state.in_((MailState.QUEUED, MailState.CLAIMED))
            messages = select(func.count()).select_from(Message).where(on_their_way)
            return db.session.scalar(messages) + db.session.scalar(select(func.count()).select_from(LinkRequest))  # type: ignore[operator]

        count: int = self.read(look)
        return count

    def opt_outs_are_known(self) -> bool:
        """Whether the database knows all that the journals of opt-outs tell. (An erasure's line waits for its end.)"""
        return self.read(gate.lag)[journal.OPT_OUTS] == 0  # type: ignore[no-any-return]

    def time_passes(self) -> None:
        """What waits for a later try is due now, and the leases of dead workers have run out: the drill's own hand."""

        def act() -> None:
            now = clock.now()
            queued = update(Message).where(Message.state == MailState.QUEUED, Message.due_at > now)
            db.session.execute(queued.values(due_at=now))
            claimed = update(Message).where(Message.state == MailState.CLAIMED)
            db.session.execute(claimed.values(lease_until=now - timedelta(seconds=1)))

        self.write(act)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the portal, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def finish(self) -> None:
        """What was begun is ended: journals are taken over, erasures carried out, and then mail is delivered.

        In this order: a line that is taken over may end a consent, and so put messages into the outbox.
        """
        if "worker" in self.processes:
            self.end("worker")
        self.write(lambda: optouts.catch_up(now=clock.now(), under_way=timedelta(0)))  # nobody is about to commit
        self.time_passes()
        self.command("erasures", "run")
        self.deliver_the_rest()

    def deliver_the_rest(self, patience: float = 180) -> None:
        """Until nothing waits any more."""
        until = time.monotonic() + patience
        while self.waiting():
            if time.monotonic() > until:
                raise NotSoError(f"{self.waiting()} messages do not leave")
            if "worker" in self.processes and self.processes["worker"].poll() is not None:
                self.kill("worker")
            if "worker" not in self.processes:
                self.start_worker()
                time.sleep(2)
            self.time_passes_for_retries()
            time.sleep(0.5)

    def time_passes_for_retries(self) -> None:
        """What waits for a later try is due now; leases stand."""

        def act() -> None:
            now = clock.now()
            queued = update(Message).where(Message.state == MailState.QUEUED, Message.due_at > now)
            db.session.execute(queued.values(due_at=now))

        self.write(act)

    def send_broadcast(self, topic: str = "events") -> int:
        """A broadcast for everybody who gets the topic; its number."""
        self.broadcasts += 1
        title = f"Programme for {{first_name}} #{self.broadcasts}"
        text = "Dear {first_name},\n\nthe programme is out.\n"

        def act() -> int:
            return broadcasts.queue(topic, broadcasts.compose(topic, title, text, ""), now=clock.now()).id

        number: int = self.write(act)
        return number

    def ask_erasure(self) -> Somebody:
        """One more member, full of canaries, whose erasure is due now; the worker carries it out."""
        number = len(self.erased)
        email = f"{CANARY}{number}@example.org"

        def act() -> Somebody:
            person = member(email=email, first_name=f"{CANARY}{number}", last_name=f"{CANARY}{number}", city=CANARY)
            person.account = Account(password_hash=HASH, password_at=clock.now())
            db.session.add(person)
            db.session.flush()
            asked = clock.now() - timedelta(days=4)
            request = requests.file(
                person, "erasure", details=CANARY, operation_id=uuid4().hex, via=Door.PAGE, now=asked
            )
            erasures.approve(request, now=clock.now())
            return Somebody(person.id, email, {})

        somebody: Somebody = self.write(act)
        self.erased.append(somebody)
        return somebody


def answers(port: int, path: str = "/healthz") -> bool:
    """Whether a server is up and says that all is well."""
    line = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        line.request("GET", path, headers={"Host": HOST})
        return line.getresponse().status == 200
    except OSError:
        return False
    finally:
        line.close()


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = entry.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(entry.parent.name))
    return found


# Made -----------------------------------------------------------------------------------------------------


@contextmanager
def drill_database(kind: str, folder: Path, *, durable: bool = True) -> Iterator[tuple[str, databases.Postgres | None]]:
    """The address of an empty database, and its server where there is one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/portal.db", None
        return
    programs = databases.postgres_programs()
    if programs is None:
        raise NotSoError("PostgreSQL is not installed (PORTAL_TEST_PG_BIN names its programs)")
    with databases.postgres_running(programs, durable=durable) as server:
        yield databases.make_postgres(str(server.folder), "portal"), server


@contextmanager
def portal(url: str, folder: Path, *, members: int = 6, recipients: int = 600, **more: str) -> Iterator[Portal]:
    """A migrated portal with people in it and a relay that speaks verified TLS; nothing runs yet."""
    (folder / "log").mkdir(exist_ok=True)
    authority = Authority(folder)
    relay = Relay(pipelining=True)
    with ExitStack() as stack:
        stack.enter_context(relay.serving(starttls=authority.server(NAMED)))
        environ = {
            "PATH": os.environ["PATH"],
            "SSL_CERT_FILE": str(authority.bundle),
            "PYTHONDONTWRITEBYTECODE": "1",
            **settings(url, folder, relay.port),
            **more,
        }
        with redirect_stderr(io.StringIO()):
            databases.migrate(url, folder)
        own = from_environment(
            environ | {"PORTAL_ENV": "testing"}, root=folder
        )  # so that it does not log in their name
        made = Portal(folder, environ, create_app(own), relay)
        relay.on_data = lambda received: _take(made, received)
        made.write(lambda: _settle(made, members, recipients))
        try:
            yield made
        finally:
            made.stop()
            with made.app.app_context():
                db.engine.dispose()


def settings(url: str, folder: Path, relay: int) -> dict[str, str]:
    """A production portal behind one proxy."""
    return {
        "PORTAL_ENV": "production",
        "PORTAL_URL": f"https://{HOST}",
        "DATABASE_URL": url,
        "JOURNAL_DIR": str(folder / "journal"),
        "MAIL_SERVER": "localhost",
        "MAIL_PORT": str(relay),
        "MAIL_USE_TLS": "on",
        "MAIL_DEFAULT_SENDER": f"privacy@{HOST}",
        "STAFF_EMAILS": "desk@example.org",
        "PRIVACY_CONTACT": "privacy@example.org",
        "DPO_CONTACT": "dpo@example.org",
        "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1, Springfield",
        "TRUSTED_PROXIES": "1",
        **KEYS,
    }


def _take(made: Portal, received: Received) -> str | None:
    message = received.message
    body = message.get_body(("plain",))
    copy = Copy(
        time.time(),
        received.rcpt_tos[0],
        str(message["Message-ID"]),
        str(message["Subject"]),
        "" if body is None else str(body.get_content()),
    )
    made.copies.append(copy)
    made.on_copy(copy)
    return None


def _settle(made: Portal, members: int, recipients: int) -> None:
    for number in range(members):
        email = f"member{number}@example.org"
        person = member(**{**ALICE, "member_number": f"M-{number}", "email": email})
        person.account = Account(password_hash=HASH, password_at=clock.now() - timedelta(days=9))
        db.session.add(person)
        db.session.flush()
        made.members.append(_known(person.id, person.email, person.subject.unsubscribe_reference))
    rows = []
    for number in range(recipients):
        ident = uuid4()
        email = f"reader{number}@example.org"
        key = canonical_address(email)
        rows.append(
            {
                "id": ident,
                "version": 1,
                "first_name": f"Reader {number}",
                "last_name": "Núñez",
                "email": email,
                "email_key": key,
                "address_hash": suppression_hash(key),
            }
        )
        made.recipients.append(_known(ident, email, ident.bytes))
    if rows:
        subjects = [{"id": row["id"], "unsubscribe_reference": row["id"].bytes} for row in rows]  # type: ignore[attr-defined]
        db.session.execute(insert(Subject), subjects)
        db.session.execute(insert(Member), rows)


def _known(ident: UUID, email: str, reference: bytes) -> Somebody:
    return Somebody(ident, email, {topic: sign_unsubscribe(reference, topic) for topic in TOPICS})


@contextmanager
def scratch(prefix: str = "portal-drill-") -> Iterator[Path]:
    """A folder for one drill, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield Path(name)


def bad_certificate(folder: Path) -> ssl.SSLContext:
    """A server's side of TLS that nobody should trust."""
    return Authority(folder).server(NAMED, itself=True)
