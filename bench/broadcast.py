"""Bench: a broadcast delivered to a sink, beside building each message, and beside bytes that lie ready.

The sink is postfix's `smtp-sink`, or our own where that is not installed. Every copy is marked in a commit of its own,
and read back.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import flask_mail
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, insert, select

from bench import bed
from bench.load import BenchError
from config import from_environment
from portal import clock, create_app
from portal.domain import broadcasts
from portal.extensions import db, transaction
from portal.mail import broadcasts as letters
from portal.mail import delivery, transport
from portal.mail.broadcasts import Letter, Recipient
from portal.models import Broadcast, Member, Message, Subject
from portal.models.message import MailKind, MailState
from portal.tokens import suppression_hash
from tests import databases

FEW = 200  # messages built one by one: they take their time
TEXT = "Dear {first_name} {last_name},\n\nthe programme of the symposium is out.\n\n" + "A paper on ceramics.\n" * 40
PAGE = "<p>Dear {first_name} {last_name},</p>\n" + "<p>A paper on low-temperature co-fired ceramics.</p>\n" * 45


@dataclass(frozen=True)
class Rate:
    """Messages a second, and milliseconds of CPU for each: the steadier figure on a busy machine."""

    a_second: float
    cpu: float


@dataclass(frozen=True)
class Sending:
    """A portal with members, and a sink to send to."""

    app: Flask
    people: int

    def broadcast(self, workers: int = 1) -> Rate:
        """By so many workers. Raises BenchError unless each copy is marked as sent."""
        with self.app.app_context():
            number = _queue()
            db.session.rollback()
            db.engine.dispose()
        children = []
        started = time.perf_counter()
        for _ in range(workers):
            child = os.fork()
            if not child:
                with self.app.app_context():
                    delivery.deliver()
                os._exit(0)
            children.append(child)
        ended = [os.wait4(child, 0) for child in children]
        seconds = time.perf_counter() - started
        with self.app.app_context():
            sent = select(func.count()).where(Message.broadcast_id == number, Message.state == MailState.SENT)
            marked = db.session.execute(sent).scalar_one()
            db.session.rollback()
        if any(status for _, status, _ in ended) or marked != self.people:
            raise BenchError(f"{marked} of {self.people} copies are marked as sent")
        cpu = sum(used.ru_utime + used.ru_stime for _, _, used in ended)
        return Rate(self.people / seconds, 1e3 * cpu / self.people)

    def each_built(self) -> Rate:
        """Each put together by `EmailMessage`, over connections of as many messages as ours."""
        with self.app.app_context():
            rows = self._rows()
            return self._over_a_line(lambda nth: transport.Message(rows[nth % len(rows)]), FEW)

    def ready(self) -> Rate:
        """The same bytes, ready: the limit of one connection at a time."""
        with self.app.app_context():
            made = [transport.Message(row) for row in self._rows()]
            for message in made:
                message.as_bytes()
            return self._over_a_line(lambda nth: made[nth % len(made)], self.people)

    def by_flask_mail(self) -> Rate:
        """The library's own bulk connection and messages, without the safeguards."""
        with self.app.app_context():
            rows = self._rows()
            started, used = time.perf_counter(), time.process_time()
            with flask_mail.Connection(self.app.extensions["mail"]) as line:
                for nth in range(FEW):
                    row = rows[nth % len(rows)]
                    message = flask_mail.Message(row.title, [row.to_address], row.text, row.html)
                    message.sender = "privacy@example.org"
                    line.send(message)
            return _rate(FEW, started, used)

    @staticmethod
    def _over_a_line(make: Callable[[int], transport.Message], many: int) -> Rate:
        started, used = time.perf_counter(), time.process_time()
        for begin in range(0, many, delivery.BATCH):
            with transport.mail.connect() as line:
                for nth in range(begin, min(begin + delivery.BATCH, many)):
                    line.send(make(nth))
        return _rate(many, started, used)

    def _rows(self) -> list[Message]:
        """Some copies as rows of the ordinary sort. Raises BenchError unless both sorts write the same bytes."""
        words = broadcasts.compose("events", "The programme for {first_name}", TEXT, PAGE)
        broadcast = Broadcast(
            id=1, topic="events", title=words.title, text=words.text, html=words.html, dated_at=clock.now()
        )
        letter, rows = Letter(broadcast), []
        for nth in range(20):
            person = Recipient(f"Agnieszka{nth}", "Brzęczyszczykiewicz", f"m{nth}@example.org", bytes([nth]) * 16)
            link = letter.link(person)
            row = Message(
                broadcast_id=1,
                kind=MailKind.BROADCAST,
                name=letters.NAME,
                topic="events",
                to_address=person.address,
                title=broadcasts.title_for(broadcast, person),
                text=letters.fill(words.text, person, link=link),
                html=letters.fill(words.html, person, link=link, markup=True),
                calendar="",
                message_id=f"<{nth}@{bed.HOST}>",
                unsubscribe_url=link,
                created_at=broadcast.dated_at,
            )
            copy = letter.message(person, title=row.title, message_id=row.message_id)
            if copy.as_bytes() != transport.Message(row).as_bytes():
                raise BenchError("a copy of the letter and the message built whole are not the same bytes")
            rows.append(row)
        return rows


def _rate(many: int, started: float, used: float) -> Rate:
    return Rate(many / (time.perf_counter() - started), 1e3 * (time.process_time() - used) / many)


@contextmanager
def made(folder: Path, *, people: int) -> Iterator[tuple[Sending, Sending | None]]:
    """A portal on SQLite, and one on PostgreSQL where that is installed; both send to one sink."""
    folder.mkdir()
    with ExitStack() as stack:
        port = stack.enter_context(_sink())
        sqlite = stack.enter_context(_portal(folder, f"sqlite:///{folder}/portal.db", port, people))
        programs = databases.postgres_programs()
        postgres = None
        if programs is not None:
            server = stack.enter_context(databases.postgres_server(programs, durable=True))
            postgres = stack.enter_context(_portal(folder, databases.make_postgres(server, "bench"), port, people))
        yield sqlite, postgres


def targets(sqlite: Sending, postgres: Sending | None) -> dict[str, Callable[[], Rate]]:
    """What is measured by turns."""
    found = {
        "each built with EmailMessage": sqlite.each_built,
        "Flask-Mail, bulk connection": sqlite.by_flask_mail,
        "bytes that lie ready": sqlite.ready,
        "broadcast, SQLite, 1 worker": sqlite.broadcast,
    }
    if postgres is not None:
        found["broadcast, PostgreSQL, 1 worker"] = postgres.broadcast
        found["broadcast, PostgreSQL, 2 workers"] = lambda: postgres.broadcast(workers=2)
    return found


@contextmanager
def _sink() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    postfix = shutil.which("smtp-sink", path=f"{os.environ['PATH']}:/usr/sbin")
    other = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = (
        [postfix, *other, f"127.0.0.1:{port}", "100"] if postfix else [sys.executable, "-m", "bench.sink", str(port)]
    )
    print(f"sink       {'smtp-sink' if postfix else 'our own'}", flush=True)
    process = subprocess.Popen(command, cwd=bed.ROOT, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@contextmanager
def _portal(folder: Path, url: str, port: int, people: int) -> Iterator[Sending]:
    """As in production, but for TLS, which a sink does not speak."""
    environ = bed.environment(folder) | {
        "DATABASE_URL": url,
        "MAIL_PORT": str(port),
        "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1, Springfield",
    }
    config = replace(from_environment(environ, root=folder), env="testing", mail_use_tls=False, mail_use_ssl=False)
    app = create_app(config)
    with app.app_context():
        upgrade()
        with transaction():
            settle(people)
        db.session.remove()
        db.engine.dispose()
    try:
        yield Sending(app, people)
    finally:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


def settle(people: int) -> None:
    """So many members, with no answer of their own."""
    idents = [uuid4() for _ in range(people)]
    addresses = [f"member{number}@mail{number % 50}.example.org" for number in range(people)]
    db.session.execute(insert(Subject), [{"id": each, "unsubscribe_reference": each.bytes} for each in idents])
    names = {"version": 1, "last_name": "Brzęczyszczykiewicz"}
    members = [
        {"id": ident, "email": key, "email_key": key, "address_hash": suppression_hash(key), "first_name": f"A{nth}"}
        for nth, (ident, key) in enumerate(zip(idents, addresses, strict=True))
    ]
    db.session.execute(insert(Member), [each | names for each in members])


def _queue() -> int:
    words = broadcasts.compose("events", "The programme for {first_name}", TEXT, PAGE)
    with transaction():
        number = broadcasts.queue("events", words, now=clock.now()).id
    filled = 1
    while filled:
        with transaction():
            filled = broadcasts.fill_some(number, now=clock.now())
    return number
