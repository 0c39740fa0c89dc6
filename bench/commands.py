"""Bench: the commands that carry many rows, each against the plainest loop that does the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import create_engine, insert

from bench.bed import EMPTY, ROOT, Bed, copy_database
from bench.load import BenchError
from portal import clock
from portal.domain import values
from portal.models import ChoiceRow, Event, Member, Registration, Subject
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import canonical_address, suppression_hash

UNKNOWN_IN = 20  # one row in so many is of somebody whom the portal does not know
TOPIC = "announcements"
MOST_SECONDS = 600


@dataclass(frozen=True)
class Ran:
    """One run of a command: seconds from start to end, and the most memory it held, in MB."""

    seconds: float
    memory: float


def run(
    bed: Bed, words: list[str], *, given: Path | None = None, out: Path | None = None, database: Path | None = None
) -> Ran:
    """One command of the portal, in a process of its own. Raises BenchError if it fails."""
    environ = os.environ | bed.environ | ({"DATABASE_URL": f"sqlite:///{database}"} if database else {})
    said = bed.folder / "said.txt"
    with (
        (given or Path(os.devnull)).open("rb") as stdin,
        (out or Path(os.devnull)).open("wb") as stdout,
        said.open("wb") as stderr,
    ):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=ROOT, env=environ, stdin=stdin, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        memory = 0.0
        try:
            while process.poll() is None:
                memory = max(memory, _memory(process.pid))
                time.sleep(0.02)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - started
    if process.returncode:
        raise BenchError(f"{' '.join(words)} ended with {process.returncode}: {said.read_text()[-2000:]}")
    return Ran(seconds, memory)


def _memory(pid: int) -> float:
    """The most that a process has held so far, in MB. (What `wait` tells counts the process that started it too.)"""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), 0.0)


class Filter:
    """`broadcasts filter`, and the plain loop: csv, one keyed hash, one look-up and one token a line."""

    def __init__(self, bed: Bed, rows: int) -> None:
        self.bed = bed
        self.given, self.out = bed.folder / "recipients.csv", bed.folder / "allowed.csv"
        self.copied = bed.folder / "copied.csv"
        key = bed.environ["UNSUBSCRIBE_KEYS"].partition(":")[2]
        salt = f"portal/unsubscribe/{bed.app.config['PORTAL_HOST']}"
        self.key = hmac.digest(key.encode(), salt.encode(), "sha256")
        self.ready = {_keyed(each.email): each.reference for each in bed.recipients if not each.suppressed}
        with self.given.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["name", "email", "country"])
            for number in range(rows):
                each = bed.recipients[number % len(bed.recipients)]
                stranger = number % UNKNOWN_IN == 0
                writer.writerow([f"Member {number}", f"stranger{number}@example.org" if stranger else each.email, "PL"])

    def product(self) -> Ran:
        return run(self.bed, ["broadcasts", "filter", "--topic", TOPIC], given=self.given, out=self.out)

    def copy(self) -> float:
        """Seconds to copy the input."""
        started = time.perf_counter()
        self.copied.write_bytes(self.given.read_bytes())
        return time.perf_counter() - started

    def limit(self) -> float:
        """Seconds of the plain loop. Raises BenchError unless the product wrote the same bytes."""
        plain = self.bed.folder / "plain.csv"
        base = self.bed.environ["PORTAL_URL"]
        started = time.perf_counter()
        with self.given.open(encoding="utf-8", newline="") as source, plain.open("w", encoding="utf-8") as target:
            reader, writer = csv.reader(source), csv.writer(target, lineterminator="\n")
            writer.writerow([*next(reader), "unsubscribe_url"])
            for row in reader:
                reference = self.ready.get(_keyed(row[1]))
                if reference is not None:
                    writer.writerow([*row, f"{base}/unsubscribe/{self._token(reference)}"])
        seconds = time.perf_counter() - started
        if plain.read_bytes() != self.out.read_bytes():
            raise BenchError("the filter and the plain loop do not write the same bytes")
        return seconds

    def _token(self, reference: bytes) -> str:
        text = f"{base64.urlsafe_b64encode(reference).decode().rstrip('=')}.{TOPIC}.u1"
        signature = hmac.digest(self.key, text.encode(), "sha256")
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _keyed(address: str) -> bytes:
    return hashlib.blake2b(address.encode(), digest_size=12, key=b"bench").digest()


COLUMNS = [
    "member_id",
    "email",
    "first_name",
    "last_name",
    "kind",
    "organization",
    "job_title",
    "address_kind",
    "address_line1",
    "address_line2",
    "city",
    "region",
    "postal_code",
    "country",
    "phone",
    "mobile",
    "birth_date",
    "education",
    "interests",
    "business_type",
    "membership_status",
    "joined_on",
    "expires_on",
    "honorific",
    "suppress_broadcast_emails",
    "attendee_list",
    "sponsor_sharing",
]
ANSWERS = {
    SUPPRESS: "suppress_broadcast_emails",
    "attendee_list": "attendee_list",
    "sponsor_sharing": "sponsor_sharing",
}
DATES = ("birth_date", "joined_on", "expires_on")


class Import:
    """`members import` into an empty database; and the least that it could do: check every cell, then `executemany`."""

    def __init__(self, bed: Bed, rows: int) -> None:
        self.bed, self.rows = bed, rows
        self.given = bed.folder / "members.csv"
        self.product_database, self.limit_database = bed.folder / "imported.db", bed.folder / "plain.db"
        with self.given.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writeheader()
            for number in range(rows):
                writer.writerow(_member(number))

    def product(self) -> Ran:
        copy_database(self.bed.folder / EMPTY, self.product_database)
        return run(self.bed, ["members", "import", str(self.given)], database=self.product_database)

    def limit(self) -> float:
        """Seconds of the least. Raises BenchError unless both databases hold the same members and answers."""
        copy_database(self.bed.folder / EMPTY, self.limit_database)
        with self.bed.app.app_context(), closing(sqlite3.connect(self.limit_database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            started = time.perf_counter()
            with self.given.open(encoding="utf-8", newline="") as file, connection:
                self._write(connection, [_checked(row) for row in csv.DictReader(file)])
            seconds = time.perf_counter() - started
        if _stored(self.product_database) != _stored(self.limit_database):
            raise BenchError("the import and the plain loop do not store the same")
        return seconds

    def _write(self, connection: sqlite3.Connection, members: list[dict[str, str | None]]) -> None:
        now = clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")
        subjects, choices, trail, rows = [], [], [], []
        for each in members:
            ident = uuid4()
            subjects.append((ident.hex, ident.bytes))
            for code, column in ANSWERS.items():
                answer = each.pop(column)
                choices.append((ident.hex, code, answer, now, "import", CHOICES[code].question))
            trail.append((ident.hex, "created", "", "import", now, now))
            rows.append((ident.hex, 1, *each.values(), "", "", ""))
        names = ", ".join(["id", "version", *members[0], "work_experience", "certifications", "demographics"])
        for statement, many in (
            ("INSERT INTO subject (id, unsubscribe_reference) VALUES (?, ?)", subjects),
            (f"INSERT INTO member ({names}) VALUES ({', '.join('?' * (len(members[0]) + 5))})", rows),
            ("INSERT INTO choice (subject_id, code, value, at, door, wording) VALUES (?, ?, ?, ?, ?, ?)", choices),
            ("INSERT INTO trail (subject_id, act, field, door, at, carried_at) VALUES (?, ?, ?, ?, ?, ?)", trail),
        ):
            connection.executemany(statement, many)


class Release:
    """`lists release` of an event with so many registrations, all of whom agree; each time on a new copy."""

    def __init__(self, bed: Bed, rows: int) -> None:
        self.bed, self.rows = bed, rows
        self.ready, self.database = bed.folder / "fair.db", bed.folder / "released.db"
        self.out = bed.folder / "list.csv"
        copy_database(bed.folder / EMPTY, self.ready)
        now, ids = clock.now(), [uuid4() for _ in range(rows)]
        day = {"starts_on": now.date(), "ends_on": now.date()}
        answer = {"code": "sponsor_sharing", "value": "yes", "at": now, "door": "page", "wording": ""}
        engine = create_engine(f"sqlite:///{self.ready}")
        with engine.begin() as connection:
            for model, made in (
                (Event, [{"id": 1, "code": "FAIR", "name": "Fair", **day}]),
                (Subject, [{"id": each} for each in ids]),
                (Member, [_registered(number, each) for number, each in enumerate(ids)]),
                (Registration, [{"event_id": 1, "member_id": each} for each in ids]),
                (ChoiceRow, [{"subject_id": each, **answer} for each in ids]),
            ):
                connection.execute(insert(model), made)
        engine.dispose()

    def product(self) -> Ran:
        """Raises BenchError unless the file has each of them once, and the log the same lines."""
        copy_database(self.ready, self.database)
        words = ["lists", "release", "FAIR", "--for", "sponsors", "--to", "Acme"]
        ran = run(self.bed, words, out=self.out, database=self.database)
        with self.out.open(encoding="utf-8", newline="") as file:
            told = [row[-1] for row in csv.reader(file)][1:]
        with closing(sqlite3.connect(self.database)) as connection:
            logged = connection.execute("SELECT list_number || '-' || line FROM disclosure ORDER BY line").fetchall()
        if told != [line for (line,) in logged] or len(told) != self.rows:
            raise BenchError(f"the list has {len(told)} lines, the log {len(logged)}, instead of {self.rows}")
        return ran


def _registered(number: int, ident: UUID) -> dict[str, object]:
    email = f"person{number}@example.org"
    names = {"first_name": f"Agnieszka{number}", "last_name": "Brzęczyszczykiewicz", "organization": "Fabryka"}
    return {"id": ident, "version": 1, "email": email, "email_key": email, "address_hash": str(number), **names}


def _member(number: int) -> dict[str, str]:
    return {
        "member_id": f"N-{number}",
        "email": f"Person{number}@mail{number % 50}.example.org",
        "first_name": f"Agnieszka{number}",
        "last_name": "Brzęczyszczykiewicz",
        "kind": "member",
        "organization": "Fabryka Mikroukładów",
        "job_title": "Principal Packaging Engineer",
        "address_kind": "home",
        "address_line1": f"ul. Świdnicka {number}",
        "city": "Wrocław",
        "postal_code": "50-038",
        "country": "Poland",
        "phone": f"+4871{3000000 + number % 999983}",
        "birth_date": "1964-05-17",
        "education": "Politechnika Wrocławska, 1988",
        "membership_status": "Active",
        "joined_on": "2011-03-14",
        "suppress_broadcast_emails": "yes" if number % 10 == 0 else "no",
        "attendee_list": "attendees",
        "sponsor_sharing": "no",
    }


def _checked(row: dict[str, str]) -> dict[str, str | None]:
    """One row through the same library calls as the product: address, country, phone, dates, texts."""
    number, email = row.pop("member_id"), values.email(row.pop("email"))
    checked: dict[str, str | None] = {name: values.line(text) for name, text in row.items()}
    checked["country"] = values.country(row["country"])
    for name in ("phone", "mobile"):
        checked[name] = values.phone(row[name], checked["country"]) if row[name] else ""
    for name in DATES:
        checked[name] = values.iso_date(row[name]).isoformat() if row[name] else None
    key = canonical_address(email)
    checked |= {"member_number": number, "email": email, "email_key": key, "address_hash": suppression_hash(key)}
    return checked


def _stored(database: Path) -> list[tuple[object, ...]]:
    query = (
        "SELECT member.*, group_concat(code || '=' || value) FROM member LEFT JOIN"
        " (SELECT * FROM choice ORDER BY code) AS answer ON answer.subject_id = member.id"
        " GROUP BY member.id ORDER BY member_number"
    )
    with closing(sqlite3.connect(database)) as connection:
        return [row[1:] for row in connection.execute(query)]
