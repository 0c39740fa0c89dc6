"""Test bed: the portal as it runs for people, its worker beside it, and what a mail server received from them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import TypeVar

import pyotp
from flask import Flask
from sqlalchemy import delete, func, select

from portal import clock, create_app
from portal.cli.serve import web_server
from portal.domain import second_factor
from portal.extensions import db
from portal.models import Account, LimitCounter, LinkRequest, Member, Message
from portal.models.message import MailState
from portal.tokens import seal
from tests import databases
from tests.conftest import MailServer, Received
from tests.people import ALICE, ALICE_PASSWORD, DANA_EMAIL, DANA_PASSWORD, member, settle
from tests.settings import config_for, environment

ROOT = Path(__file__).resolve().parent.parent.parent
STAFF = "desk@example.org"
PATIENCE = 30.0  # seconds; a machine under load is no failure
LINK = re.compile(r"https?://[^\s<>\"]+")

Found = TypeVar("Found")
_numbers = count(1)


@dataclass(frozen=True)
class Person:
    """What somebody knows of themselves, and types."""

    first_name: str
    last_name: str
    email: str
    password: str


@dataclass(frozen=True)
class Colleague(Person):
    """Somebody of the desk, with the telephone that has the codes; without a seed, the app is yet to be set up."""

    seed: str = ""

    @property
    def code(self) -> str:
        """What the app shows now; each counts once."""
        return pyotp.TOTP(self.seed).now()


@dataclass(frozen=True)
class Live:
    """One running portal."""

    url: str
    app: Flask
    smtp: MailServer

    def newcomer(self, **fields: object) -> Person:
        """Somebody in the records, with every field filled, who has never signed in."""
        number = next(_numbers)
        email = f"alice.{number}@mail.example.org"
        with self.app.app_context(), databases.writes():
            db.session.add(member(**ALICE | {"email": email, "member_number": f"M-9{number:03}"} | fields))
        return Person(str(ALICE["first_name"]), str(ALICE["last_name"]), email, ALICE_PASSWORD)

    def somebody(self, **fields: object) -> Person:
        """The same, with a password."""
        person = self.newcomer(**fields)
        with self.app.app_context(), databases.writes():
            found = self.member(person)
            alice = db.session.scalars(select(Account).join(Member).where(Member.member_number == "M-1001")).one()
            found.account = Account(password_hash=alice.password_hash, password_at=alice.password_at)
        return person

    def colleague(self, *, set_up: bool = True) -> Colleague:
        """Somebody new at the desk; `set_up`: whose second step is set up already."""
        email, seed = f"dana.{next(_numbers)}@desk.example.org", pyotp.random_base32() if set_up else ""
        with self.app.app_context(), databases.writes():
            dana = db.session.scalars(select(Account).where(Account.email == DANA_EMAIL)).one()
            account = Account(email=email, email_key=email, staff=True)
            account.password_hash, account.password_at = dana.password_hash, dana.password_at
            if set_up:
                account.second_secret, account.second_since = seal(seed, purpose=second_factor.PURPOSE), clock.now()
            db.session.add(account)
        return Colleague("", "", email, DANA_PASSWORD, seed)

    def forget_limits(self) -> None:
        """As if the hour were over: all tests of this folder come from one machine and count against one limit."""
        jobs = LimitCounter.name.startswith("daily/") | LimitCounter.name.startswith("hourly/")
        with self.app.app_context(), databases.writes():
            db.session.execute(delete(LimitCounter).where(~jobs))

    def account(self, colleague: Colleague) -> Account:
        """The colleague's sign-in; ask inside the portal's application context."""
        return db.session.scalars(select(Account).where(Account.email == colleague.email)).one()

    def member(self, person: Person) -> Member:
        """The person's record; ask inside the portal's application context."""
        return db.session.scalars(select(Member).where(Member.email == person.email)).one()

    def mails(self, to: str) -> list[EmailMessage]:
        """What an address received, oldest first."""
        return [_read(each) for each in list(self.smtp.received) if to in each.rcpt_tos]

    def mail(self, to: str, *, title: str) -> EmailMessage:
        """The newest mail to an address whose subject holds these words; waited for."""

        def newest() -> EmailMessage | None:
            return next((each for each in reversed(self.mails(to)) if title in each["Subject"]), None)

        found = until(newest, f"a mail “{title}” to {to}")
        assert found is not None
        return found

    def settle_mail(self) -> None:
        """Wait until everything that is to be mailed by now is mailed."""

        def nothing_waits() -> bool:
            with self.app.app_context():
                under_way = Message.state.in_([MailState.QUEUED, MailState.CLAIMED])
                waiting = db.session.execute(select(func.count()).select_from(Message).where(under_way)).scalar_one()
                asked = db.session.execute(select(func.count()).select_from(LinkRequest)).scalar_one()
                db.session.rollback()
            return waiting + asked == 0

        until(nothing_waits, "an empty outbox")


def words(message: EmailMessage) -> str:
    """The text of a mail, the part that is complete by itself."""
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link(message: EmailMessage) -> str:
    """The first link of a mail: the one that acts."""
    found = LINK.search(words(message))
    assert found is not None, f"no link in {message['Subject']}"
    return found.group().rstrip(".,)")


def until(look: Callable[[], Found], what: str) -> Found:
    """Look again until there is something; fails after half a minute."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


@contextmanager
def running(folder: Path, smtp: MailServer, port: int, address: str = "") -> Iterator[Live]:
    """Serve a portal on a new database with Alice, Bob and Dana in it; afterwards it has logged no fault of ours.

    `address`: of an empty database to take; by default a SQLite file in the folder.
    """
    url = f"http://127.0.0.1:{port}"
    address = address or f"sqlite:///{folder}/portal.db"
    databases.migrate(address, folder)
    more = {
        "PORTAL_URL": url,
        "MAIL_SERVER": smtp.host,
        "MAIL_PORT": str(smtp.port),
        "STAFF_EMAILS": STAFF,
        "PRIVACY_CONTACT": "privacy@example.org",
        "DPO_CONTACT": "dpo@example.org",
        "JOURNAL_DIR": str(folder / "journal"),
        "DESK_REQUIRES_SECOND_FACTOR": "on",
        "DESK_REQUIRES_SECOND_PERSON": "on",
    }
    app = create_app(config_for(address, folder, **more))
    with app.app_context(), databases.writes():
        settle()
    commands = (
        web_server("wsgi:app", port=port, workers=1),
        ["-m", "flask", "--app", "wsgi", "worker", "--every", "0.3"],
    )
    environ = {"PATH": os.environ["PATH"], **environment(address, **more)}
    with (folder / "log").open("wb") as log:
        children = [
            subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environ, stdout=log, stderr=log)
            for command in commands
        ]
        try:
            until(lambda: _answers(url, children), f"the portal on {url}: {(folder / 'log').read_text()}")
            yield Live(url, app, smtp)
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait(PATIENCE)
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
    told = (folder / "log").read_text()
    assert not re.search(r"page\.broken|Traceback|database\.away|database_away", told), told


def _answers(url: str, children: list[subprocess.Popen[bytes]]) -> bool:
    assert all(child.poll() is None for child in children), "the portal or its worker has ended"
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _read(received: Received) -> EmailMessage:
    message = message_from_bytes(received.data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message
