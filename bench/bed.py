"""Bench: a portal of its own in a temporary folder, with members, sign-ins and a history; gone afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from flask import Flask, session
from flask_migrate import upgrade
from flask_wtf.csrf import generate_csrf
from sqlalchemy import insert

from config import from_environment
from portal import clock, create_app
from portal.extensions import db, transaction
from portal.models import (
    Account,
    ChoiceRow,
    Event,
    Member,
    Notice,
    Registration,
    SignIn,
    Subject,
    Trail,
)
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import canonical_address, digest, new_secret, sign_unsubscribe, suppression_hash

ROOT = Path(__file__).resolve().parent.parent
HOST = "privacy.example.org"
SIGNED_IN = 1500  # members with an open sign-in
ONE_SUPPRESSED_IN = 10
EMPTY = "empty.db"  # migrated, without rows
CITIES = ("Kraków", "Phoenix", "Uppsala", "Sendai", "Grenoble", "Tampere", "Penang", "Guadalajara")


@dataclass(frozen=True)
class Person:
    """One member as the bench plays her: her record, the cookie of her sign-in, the token for her forms."""

    id: UUID
    cookie: str
    form_token: str


@dataclass(frozen=True)
class Recipient:
    """One member as a mailing knows her."""

    email: str
    reference: bytes
    suppressed: bool


@dataclass(frozen=True)
class Bed:
    """The folder, the settings as an environment, the portal in this process, and its members."""

    folder: Path
    environ: dict[str, str]
    app: Flask
    people: list[Person]  # signed in
    recipients: list[Recipient]  # everybody, those signed in first

    def read(self, query: str, *values: object) -> list[Any]:
        """What is stored, asked past the portal."""
        with closing(sqlite3.connect(self.folder / "portal.db")) as connection:
            return connection.execute(query, values).fetchall()

    def write(self, query: str, *values: object) -> None:
        """Set something ready between two rounds."""
        with closing(sqlite3.connect(self.folder / "portal.db", timeout=5)) as connection, connection:
            connection.execute(query, values)

    def link(self, recipient: Recipient) -> str:
        """The token of a recipient's unsubscribe link; within the portal's context."""
        return sign_unsubscribe(recipient.reference)


def copy_database(source: Path, target: Path) -> None:
    """A copy of an SQLite database, with what its log still holds."""
    target.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as write:
        read.backup(write)


def environment(folder: Path) -> dict[str, str]:
    """A production portal. Its mail server is never called, as no worker runs."""
    return {
        "PORTAL_ENV": "production",
        "PORTAL_URL": f"https://{HOST}",
        "SECRET_KEY": new_secret(),
        "UNSUBSCRIBE_KEYS": f"u1:{new_secret()}",
        "SUPPRESSION_KEYS": f"s1:{new_secret()}",
        "DATABASE_URL": f"sqlite:///{folder}/portal.db",
        "JOURNAL_DIR": f"{folder}/journal",
        "MAIL_SERVER": "127.0.0.1",
        "MAIL_USE_TLS": "yes",
        "MAIL_DEFAULT_SENDER": f"privacy@{HOST}",
        "STAFF_EMAILS": "desk@example.org",
        "PRIVACY_CONTACT": "privacy@example.org",
        "DESK_REQUIRES_SECOND_PERSON": "no",
    }


@contextmanager
def made(folder: Path, *, members: int) -> Iterator[Bed]:
    """A migrated database with so many members, and the portal in this process too."""
    environ = environment(folder)
    app = create_app(from_environment(environ, root=folder))
    with app.app_context():
        upgrade()
        copy_database(folder / "portal.db", folder / EMPTY)
        with transaction():
            rows = _settle(members)
        db.session.remove()
    people = [_signed_in(app, row["id"], f"token-{number}") for number, row in enumerate(rows["member"][:SIGNED_IN])]
    recipients = [
        Recipient(member["email"], subject["unsubscribe_reference"], number % ONE_SUPPRESSED_IN == 0)
        for number, (member, subject) in enumerate(zip(rows["member"], rows["subject"], strict=True))
    ]
    try:
        yield Bed(folder, environ, app, people, recipients)
    finally:
        with app.app_context():
            db.engine.dispose()


def _settle(members: int) -> dict[str, list[dict[str, Any]]]:
    """Members with every field, their choices and trail, one event, one notice; the first ones are signed in."""
    now = clock.now()
    notice = Notice(
        version=1,
        text="# Notice",
        change="wording",
        published_at=now - timedelta(days=90),
        effective_on=date(2026, 1, 1),
    )
    event = Event(
        id=1,
        code="SYM",
        name="Symposium",
        starts_on=date(2026, 10, 5),
        ends_on=date(2026, 10, 8),
        place="Boston",
        exhibition=True,
    )
    db.session.add_all([notice, event])
    db.session.flush()
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("subject", "member", "account", "sign_in", "choice", "registration", "trail")
    }
    for number in range(members):
        _add_member(rows, number, number < SIGNED_IN)
    for model in (Subject, Member, Account, SignIn, ChoiceRow, Registration, Trail):
        if rows[model.__tablename__]:
            db.session.execute(insert(model.__table__), rows[model.__tablename__])  # type: ignore[arg-type]
    return rows


def _add_member(rows: dict[str, list[dict[str, Any]]], number: int, signed_in: bool) -> None:
    ident, now = uuid4(), clock.now()
    email = f"member{number}@mail{number % 50}.example.org"
    key = canonical_address(email)
    rows["subject"].append({"id": ident, "unsubscribe_reference": ident.bytes})
    rows["member"].append(
        {
            "id": ident,
            "version": 1,
            "member_number": f"M-{number}",
            "kind": "member",
            "membership_status": "Active",
            "joined_on": date(2011, 3, 14),
            "expires_on": date(2027, 3, 31),
            "honorific": "Dr.",
            "first_name": f"Agnieszka{number}",
            "last_name": "Brzęczyszczykiewicz",
            "birth_date": date(1964, 5, 17),
            "email": email,
            "email_key": key,
            "address_hash": suppression_hash(key),
            "address_kind": "home",
            "country": "PL",
            "address_line1": f"ul. Świdnicka {number % 200}",
            "address_line2": "m. 4",
            "postal_code": "50-038",
            "city": CITIES[number % len(CITIES)],
            "region": "Dolny Śląsk",
            "phone": "+48713456789",
            "mobile": "+48601234567",
            "organization": "Fabryka Mikroukładów",
            "job_title": "Principal Packaging Engineer",
            "business_type": "Assembly services",
            "education": "Politechnika Wrocławska, 1988",
            "work_experience": "Thirty years of co-fired ceramics & wire bonding",
            "certifications": "IPC-A-610 specialist",
            "interests": "Ceramics\nThermal management",
            "demographics": "",
        }
    )
    suppressed = "yes" if number % ONE_SUPPRESSED_IN == 0 else "no"
    answers = {SUPPRESS: suppressed, "attendee_list": "attendees", "sponsor_sharing": "no"}
    rows["choice"] += [
        {
            "subject_id": ident,
            "code": code,
            "value": value,
            "at": now,
            "door": "import",
            "wording": CHOICES[code].question,
            "notice_version": 1,
        }
        for code, value in (answers if signed_in else {SUPPRESS: suppressed}).items()
    ]
    if not signed_in:
        return
    account = uuid4()
    rows["account"].append({"id": account, "member_id": ident, "staff": False})
    rows["sign_in"].append(
        {
            "id": uuid4(),
            "account_id": account,
            "kind": "session",
            "token_hash": digest(f"token-{number}"),
            "browser": "Firefox on Linux",
            "network": "127.0.0.0/24",
            "created_at": now,
            "seen_at": now,
            "password_at": now,
            "ends_at": now + timedelta(hours=12),
        }
    )
    rows["registration"].append({"event_id": 1, "member_id": ident, "role": "Speaker"})
    rows["trail"] += [
        {"subject_id": ident, "act": "changed", "field": field, "door": "page", "at": now}
        for field in ("city", "phone", "job_title", "organization", "postal_code", "mobile")
    ]


def _signed_in(app: Flask, ident: UUID, token: str) -> Person:
    """The cookie that a browser holds after signing in and opening a form."""
    with app.test_request_context(base_url=f"https://{HOST}"):
        session["_user_id"] = token
        form_token = generate_csrf()
        serializer = app.session_interface.get_signing_serializer(app)  # type: ignore[attr-defined]
        cookie = f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps(dict(session))}"
    return Person(ident, cookie, form_token)
