"""What the tools attack: a portal that runs on loopback, full of Alice's things, and cookies of everybody's.

Limits are forgotten as soon as they are counted, since a tool that is told to wait finds nothing; they have tests of
their own. A sign-in stays as recent as it was at first, for the same reason. When the portal ends it must have logged
no fault (tests/browser/live.py).
"""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiosmtpd.controller import Controller
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import OperationalError

from portal import clock
from portal.domain import signin
from portal.extensions import db, glance
from portal.models import Account, Member, SignIn, Subject, Trail
from tests.browser.live import Live, running
from tests.conftest import MailServer, free_port
from tests.databases import writes
from tests.people import ALICE, BOB, DANA_EMAIL, People
from tests.routes import of_alice, routes
from tests.rows import fill

UNLIMITED = """CREATE TRIGGER unlimited AFTER INSERT ON limit_counter
WHEN NEW.name NOT LIKE 'daily/%' AND NEW.name NOT LIKE 'hourly/%'
BEGIN DELETE FROM limit_counter WHERE name = NEW.name; END"""
VISITORS = ("nobody", "alice", "bob", "staff")


@dataclass(frozen=True)
class Target:
    """A running portal, and an address for every route that can be looked at."""

    live: Live
    paths: tuple[str, ...]

    @property
    def url(self) -> str:
        return self.live.url

    def cookie(self, who: str) -> str:
        """The Cookie header of somebody who just signed in, staff with the second step; for nobody, one of forms."""
        if who == "nobody":
            return self._sealed({"csrf_token": secrets.token_hex(20)})
        with self.live.app.app_context(), writes():
            if who == "staff":
                account = _staff()
            else:
                email = {"alice": ALICE, "bob": BOB}[who]["email"]
                account = db.session.scalars(select(Account).join(Member).where(Member.email == email)).one()
            now = clock.now()
            proved = signin.Proved(account.id, account.password_hash or "")
            opened = signin.open_sign_in(proved, "", keep=False, browser="A tool", network="127.0.0.0/24", now=now)
            assert opened is not None
            opened.sign_in.second_at = now if who == "staff" else None
            content = {"_user_id": opened.sign_in.token, "csrf_token": secrets.token_hex(20)}
        return self._sealed(content)

    def _sealed(self, content: dict[str, str]) -> str:
        signer = self.live.app.session_interface.get_signing_serializer(self.live.app)  # type: ignore[attr-defined]
        return f"{self.live.app.config['SESSION_COOKIE_NAME']}={signer.dumps(content)}"


def _staff() -> Account:
    dana = db.session.scalars(select(Account).where(Account.email == DANA_EMAIL)).one()
    dana.second_since = clock.now()
    return dana


@contextmanager
def portal() -> Iterator[Target]:
    """Start it, fill it, and stop it at the end."""
    smtp = MailServer("127.0.0.1", free_port())
    controller = Controller(smtp, hostname=smtp.host, port=smtp.port)
    controller.start()
    stop = threading.Event()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="portal-audit-") as folder,
            running(Path(folder), smtp, free_port()) as live,
        ):
            with live.app.app_context():
                with writes():
                    people = _people()
                    fill(people)
                    db.session.execute(text(UNLIMITED))
                things = of_alice(people)
                paths = tuple(path for _, path in routes(live.app, things, "GET"))
                db.session.remove()
            minder = threading.Thread(target=_keep_recent, args=(live, stop))
            minder.start()
            try:
                yield Target(live, paths)
            finally:
                stop.set()
                minder.join()
    finally:
        controller.stop()


def _people() -> People:
    alice, bob = (db.session.scalars(select(Member).where(Member.email == who["email"])).one() for who in (ALICE, BOB))
    charlie = db.session.scalars(select(Subject).where(Subject.erased_at.is_not(None))).one()
    return People(alice, bob, charlie, db.session.scalars(select(Account).where(Account.email == DANA_EMAIL)).one())


def _keep_recent(live: Live, stop: threading.Event) -> None:
    while not stop.wait(20):
        with live.app.app_context(), suppress(OperationalError), writes():
            now = clock.now()
            db.session.execute(update(SignIn).values(password_at=now, seen_at=now))


def is_signed_in(target: Target, cookie: str) -> bool:
    """Whether a cookie still opens a page: a tool that was signed out has looked at nothing."""
    with target.live.app.app_context(), glance():
        signer = target.live.app.session_interface.get_signing_serializer(target.live.app)  # type: ignore[attr-defined]
        token = signer.loads(cookie.partition("=")[2])["_user_id"]
        return signin.find(token, now=clock.now()) is not None


def acts(target: Target) -> int:
    """How many acts of people the portal has noted: more than before, if a tool was signed in and sent forms."""
    with target.live.app.app_context(), glance():
        return db.session.execute(select(func.count()).select_from(Trail)).scalar_one()
