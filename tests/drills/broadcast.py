"""The broadcast drill: a worker is killed again and again in the middle of a broadcast, while people unsubscribe.

`python -m tests.drills.broadcast [--people 20000] [--kills 50] [--database sqlite|postgresql]` prints what became of
it; it ends with 1 if somebody was lost, mailed after an opt-out, or got more copies than there were kills. The tests
play it with a thousand people and five kills.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from flask import Flask
from sqlalchemy import func, insert, select

from portal import create_app
from portal.domain import broadcasts
from portal.extensions import db, settings
from portal.models import Broadcast, Member, Message, Subject
from portal.models.message import MailState
from portal.tokens import sign_unsubscribe, suppression_hash
from tests import databases
from tests.databases import writes
from tests.mail.relay import Received, Relay
from tests.settings import config_for, environment

ROOT = Path(__file__).resolve().parent.parent.parent
START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
LEASE_AND_MORE = timedelta(minutes=3)
SETTINGS = {"PORTAL_URL": "https://privacy.example.org", "SOCIETY_POSTAL_ADDRESS": "P.O. Box 1, Springfield"}
TEXT = "Dear {first_name} {last_name},\n\nthe programme of the symposium is out.\n"


@dataclass(frozen=True)
class Played:
    """What became of a broadcast. `late`: copies that the relay got after their person's opt-out was acknowledged."""

    people: int
    kills: int
    copies: int
    duplicates: int
    strange: int  # duplicates with another Message-ID
    lost: int
    opted_out: int
    spared: int  # of those, how many got nothing at all
    late: int
    marked: int  # rows that say sent
    seconds: float


def settle(people: int) -> list[tuple[str, bytes]]:
    """Members, committed; each one's address and the reference of the unsubscribe link."""
    idents = [uuid4() for _ in range(people)]
    addresses = [f"member{number}@example.org" for number in range(people)]
    with writes():
        db.session.execute(insert(Subject), [{"id": each, "unsubscribe_reference": each.bytes} for each in idents])
        db.session.execute(
            insert(Member),
            [
                {
                    "id": each,
                    "version": 1,
                    "first_name": f"Member {number}",
                    "last_name": "Núñez",
                    "email": address,
                    "email_key": address,
                    "address_hash": suppression_hash(address),
                }
                for number, (each, address) in enumerate(zip(idents, addresses, strict=True))
            ],
        )
    return [(address, each.bytes) for each, address in zip(idents, addresses, strict=True)]


def queue(title: str = "Programme for {first_name}", text: str = TEXT, page: str = "") -> int:
    """A broadcast on events, queued for everybody; its number."""
    with writes():
        number = broadcasts.queue("events", broadcasts.compose("events", title, text, page), now=START).id
    filled = 1
    while filled:
        with writes():
            filled = broadcasts.fill_some(number, now=START)
    return number


def worker(app: Flask, relay: Relay, folder: Path) -> subprocess.Popen[str]:
    """A process whose children deliver; see tests/mail/worker_process.py."""
    with app.app_context():
        words = environment(settings().database_url, **SETTINGS, MAIL_SERVER="localhost", MAIL_PORT=str(relay.port))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/mail/worker_process.py"), "-", str(folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **words},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def play(app: Flask, relay: Relay, folder: Path, *, people: int, kills: int, opt_outs: int, seed: int = 7) -> Played:
    """Send to everybody; kill the worker at `kills` copies, at the worst moment by turns, and unsubscribe by one click.

    The worst moments: the relay has the copy and has not said so; it knows the recipient only.
    """
    members = settle(people)
    references = dict(members)
    number = queue()
    moments = random.Random(seed).sample(range(2, people - opt_outs - 2), kills + opt_outs)
    to_kill, to_opt_out = set(moments[:kills]), set(moments[kills:])
    waiting = [address for address, _ in members]
    random.Random(seed + 1).shuffle(waiting)
    victim = [0]
    seen: set[str] = set()
    said_no: dict[str, float] = {}
    got_at: dict[str, list[tuple[float, str]]] = defaultdict(list)

    def opt_out() -> None:
        while waiting[-1] in seen:
            waiting.pop()
        address = waiting.pop()
        link = f"/unsubscribe/{sign_unsubscribe(references[address], 'events')}"
        answer = app.test_client().post(link, base_url=SETTINGS["PORTAL_URL"], data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        said_no[address] = time.monotonic()

    def on_rcpt(address: str) -> None:
        seen.add(address)
        at = len(relay.received)
        if at in to_opt_out:
            to_opt_out.discard(at)
            with app.app_context():
                opt_out()
        if at in to_kill and at % 3 == 0:
            to_kill.discard(at)
            os.kill(victim[0], signal.SIGKILL)

    def on_data(received: Received) -> None:
        got_at[received.rcpt_tos[0]].append((time.monotonic(), received.raw("Message-ID")[0]))
        at = len(relay.received)
        if at in to_kill and at % 3:
            to_kill.discard(at)
            os.kill(victim[0], signal.SIGKILL)

    relay.on_rcpt, relay.on_data = on_rcpt, on_data
    process = worker(app, relay, folder)
    begun = time.monotonic()
    try:
        for run in range(kills + 2):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{(START + run * LEASE_AND_MORE).isoformat()}\n")
            process.stdin.flush()
            victim[0] = int(process.stdout.readline())
            assert process.stdout.readline() == "ended\n"
    finally:
        process.kill()
        process.communicate(timeout=10)
    seconds = time.monotonic() - begun
    relay.on_rcpt, relay.on_data = lambda _address: None, lambda _received: None
    assert not to_kill
    with app.app_context():
        state = select(func.count()).select_from(Message).where(Message.broadcast_id == number)
        marked = db.session.execute(state.where(Message.state == MailState.SENT)).scalar_one()
        db.session.rollback()
    copies = Counter({address: len(each) for address, each in got_at.items()})
    return Played(
        people=people,
        kills=kills,
        copies=copies.total(),
        duplicates=copies.total() - len(copies),
        strange=sum(len({ident for _, ident in each}) - 1 for each in got_at.values()),
        lost=sum(address not in got_at and address not in said_no for address, _ in members),
        opted_out=len(said_no),
        spared=sum(address not in got_at for address in said_no),
        late=sum(at > said_no[address] for address in said_no for at, _ in got_at.get(address, [])),
        marked=marked,
        seconds=seconds,
    )


def main() -> int:
    """Play it once at the size of a real broadcast."""
    words = argparse.ArgumentParser(prog="python -m tests.drills.broadcast", description=__doc__)
    words.add_argument("--people", type=int, default=20_000)
    words.add_argument("--kills", type=int, default=50)
    words.add_argument("--opt-outs", type=int, default=500)
    words.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    wish = words.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portal-drill-")))
        url = f"sqlite:///{folder}/portal.db"
        if wish.database == "postgresql":
            programs = databases.postgres_programs()
            if programs is None:
                print("PostgreSQL is not installed", file=sys.stderr)
                return 1
            url = databases.make_postgres(stack.enter_context(databases.postgres_server(programs)), "drill")
        databases.migrate(url, folder)
        relay = stack.enter_context(Relay().serving())
        app = create_app(config_for(url, folder, **SETTINGS, MAIL_SERVER="localhost", MAIL_PORT=str(relay.port)))
        stack.enter_context(app.app_context())
        played = play(app, relay, folder, people=wish.people, kills=wish.kills, opt_outs=wish.opt_outs)
        with writes():
            while broadcasts.tend(now=START):
                pass
        told = db.session.get_one(Broadcast, 1)
        print(f"{played}\n{told.state}: {told.people} people, {told.sent} sent, {told.not_sent} not sent")
        db.session.rollback()
        db.engine.dispose()
    good = not played.lost and not played.late and not played.strange and played.duplicates <= played.kills
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
