"""The drill of the clock: libfaketime moves it under web and worker, by an hour, a year, over the odd days, and back.

`python -m tests.drills clocks`. What has ended stays ended, whichever way the clock goes: links that were used,
replaced or too old, sign-ins that were ended, idle or too old. No deadline moves.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy import inspect, select

from portal.domain import signin
from portal.extensions import db
from portal.models import DataSubjectRequest, LimitCounter, Member, Message, PasswordLink
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.bed import PASSWORD, Portal, Somebody
from tests.drills.clients import Browser, form_of
from tests.drills.judged import Verdict
from tests.drills.restore import NotSoError, wait_for

LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
NEW_PASSWORD = "seven-grey-herons-fly-south"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2027, 6, 15, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Move:
    """From one moment to another."""

    name: str
    start: datetime
    end: datetime


def _over(name: str, moment: datetime) -> Move:
    """From ten seconds before to a minute after."""
    return Move(name, moment - timedelta(seconds=10), moment + MINUTE)


MOVES = (
    Move("an hour ahead", NOON, NOON + HOUR),
    Move("an hour back", NOON, NOON - HOUR),
    Move("a year ahead", NOON, NOON.replace(year=2028)),
    Move("a year back", NOON, NOON.replace(year=2026)),
    _over("into summer time, New York", datetime(2027, 3, 14, 7, tzinfo=UTC)),
    _over("out of it, New York", datetime(2027, 11, 7, 6, tzinfo=UTC)),
    _over("into summer time, Brussels", datetime(2027, 3, 28, 1, tzinfo=UTC)),
    _over("out of it, Brussels", datetime(2027, 10, 31, 1, tzinfo=UTC)),
    _over("onto 29 February", datetime(2028, 2, 29, 5, tzinfo=UTC)),
    _over("off 29 February", datetime(2028, 3, 1, 5, tzinfo=UTC)),
    _over("onto 31 December", datetime(2027, 12, 31, 5, tzinfo=UTC)),
    _over("off 31 December", datetime(2028, 1, 1, 5, tzinfo=UTC)),
)


@dataclass
class FakeClock:
    """The file that libfaketime reads at each question for the time: so many seconds ahead of the real one."""

    file: Path

    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": LIBRARY,
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, moment: datetime) -> None:
        ahead = moment.timestamp() - time.time()
        scratch = self.file.with_suffix(".new")
        scratch.write_text(f"{ahead:+.3f}\n", encoding="ascii")
        scratch.replace(self.file)


@dataclass
class Ended:
    """What must never work again."""

    links: dict[str, str]  # why, and the address of a link that sets a password
    cookies: dict[str, dict[str, str]]  # why, and the cookies of a sign-in


def drill(folder: Path, *, database: str, times: int) -> Verdict:
    """Each move there and back; `times` is no matter here: nothing of it is left to chance."""
    verdict = Verdict()
    if not Path(LIBRARY).exists():
        verdict.counts["left out: libfaketime is not installed (Debian: libfaketime)"] = 1
        return verdict
    clock, port = FakeClock(folder / "clock"), free_port()
    clock.set(NOON)
    with bed.drill_database(database, folder) as (url, _), bed.portal(url, folder, recipients=0) as portal:
        portal.environ |= {name: value for name, value in clock.environ().items() if value}
        portal.start_web(port=port)
        portal.start_worker()
        deadlines: dict[UUID, dict[str, object]] = {}
        for move in MOVES:
            ended, request = _prepare(portal, clock, port, move.start)
            deadlines[request] = portal.read(partial(_dates, request))
            for moment in (move.start, move.end, move.start):
                clock.set(moment)
                _look(portal, port, move.name, ended, verdict)
                now_say = {each: portal.read(partial(_dates, each)) for each in deadlines}
                if now_say != deadlines:
                    verdict.add("clock", f"{move.name}: a deadline has moved")
                verdict.counts["deadlines compared"] += sum(map(len, deadlines.values()))
            verdict.counts["moves, there and back"] += 1
        died = [name for name, process in portal.processes.items() if process.poll() is not None]
        if died or " 500" in portal.logged() or "page.broken" in portal.logged():
            verdict.add("I9", f"a process died ({died}), or a page broke")
        clock.set(datetime.now(UTC))
        _mail_leaves(portal, verdict)
    return verdict


def _prepare(portal: Portal, clock: FakeClock, port: int, start: datetime) -> tuple[Ended, UUID]:
    """Live through the half day before, so that there is something of each sort that has ended."""
    anna, used, aged, replaced = portal.members[:4]
    portal.write(lambda: db.session.query(LimitCounter).delete())
    clock.set(start - 13 * HOUR)
    old = _sign_in(port, anna)
    clock.set(start - 85 * MINUTE)
    idle = _sign_in(port, anna)
    links = {
        "too old": _mail_link(portal, aged, start - 70 * MINUTE),
        "replaced": _mail_link(portal, replaced, start - 70 * MINUTE),
    }
    _mail_link(portal, replaced, start - 65 * MINUTE)
    clock.set(start - 5 * MINUTE)
    links["used"] = _mail_link(portal, used, start - 6 * MINUTE)
    _spend(port, links["used"])
    out = _sign_in(port, anna)
    page = out.get("/profile")
    before = dict(out.cookies)
    assert out.post("/sign-out", form_of(page.text, "/sign-out") or {}).status == 303
    live = _sign_in(port, anna)
    request = _file(portal, live)
    closed = select(PasswordLink.id).where(PasswordLink.used_at.is_(None), PasswordLink.token_hash.not_like("x%"))
    wait_for("the worker to close what has ended", lambda: not portal.read(lambda: db.session.scalars(closed).all()))
    clock.set(start)
    time.sleep(1)
    return Ended(links, {"too old": old.cookies, "idle": idle.cookies, "signed out": before}), request


def _look(portal: Portal, port: int, move: str, ended: Ended, verdict: Verdict) -> None:
    for why, link in ended.links.items():
        page = Browser(port, "10.55.0.1")
        status = page.get(link).status
        verdict.counts[f"links {why}, tried"] += 1
        if status != 410:
            verdict.add("clock", f"{move}: a link that is {why} is answered {status}")
    for why, cookies in ended.cookies.items():
        status = Browser(port, "10.55.0.1", dict(cookies)).get("/profile").status
        verdict.counts[f"sign-ins {why}, tried"] += 1
        if status != 303:
            verdict.add("clock", f"{move}: a sign-in that is {why} is answered {status}")


def _mail_link(portal: Portal, who: Somebody, at: datetime) -> str:
    def act() -> str:
        account = db.session.get_one(Member, who.id).account
        assert account is not None
        account.password_hash = bed.HASH  # so that it is a reset, whatever a move before has left
        resets = select(Message).where(Message.name == "reset", Message.subject_id == who.id)
        before = set(db.session.scalars(resets))
        signin.mail_link(account, now=at)
        (text,) = (each.text for each in set(db.session.scalars(resets)) - before)
        found = re.search(r"/set-password/\S+", text)
        assert found is not None
        return found[0]

    link: str = portal.write(act)
    return link


def _spend(port: int, link: str) -> None:
    browser = Browser(port, "10.54.0.1")
    form = form_of(browser.get(link).text, link)
    assert form is not None
    assert browser.post(link, form | {"new_password": NEW_PASSWORD}).status == 303


def _sign_in(port: int, who: Somebody) -> Browser:
    browser = Browser(port, "10.53.0.1")
    form = form_of(browser.get("/sign-in").text, "/sign-in")
    assert form is not None
    answer = browser.post("/sign-in", form | {"email": who.email, "password": PASSWORD})
    assert answer.status == 303, answer.status
    return browser


def _file(portal: Portal, browser: Browser) -> UUID:
    form = form_of(browser.get("/requests/new/question").text, "/requests/new/question")
    assert form is not None
    answer = browser.post("/requests/new/question", form | {"details": "When?"})
    assert answer.status == 303
    mine = select(DataSubjectRequest.id).where(DataSubjectRequest.reference == answer.location.rpartition("/")[2])
    found: UUID = portal.read(lambda: db.session.scalars(mine).one())
    return found


def _dates(request: UUID) -> dict[str, object]:
    """Every day and moment that stands in the row of a request."""
    row = db.session.get_one(DataSubjectRequest, request)
    columns = inspect(DataSubjectRequest).columns.keys()
    return {name: getattr(row, name) for name in columns if isinstance(getattr(row, name), date)}


def _mail_leaves(portal: Portal, verdict: Verdict) -> None:
    """What was written while the clock was a year ahead leaves now, and not in a year."""
    try:
        wait_for("the outbox to be empty", lambda: not portal.waiting())
    except NotSoError:
        verdict.add("clock", f"{portal.waiting()} messages wait for a day that the clock has made up")
    verdict.counts["messages that left"] = len(portal.copies)
