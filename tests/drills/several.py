"""The drill of several machines: two servers of pages and two workers at one database, which need nothing local.

`python -m tests.drills several [--database postgresql]`. Signed in at one, known at the other; signed out at
one, unknown at both; limits count across; a link works once, at either; every copy of a broadcast leaves once, though
both workers send.
"""

from __future__ import annotations

import time
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models import LimitCounter, Message
from portal.models.message import MailState
from tests.conftest import free_port
from tests.drills import bed
from tests.drills.acknowledged import Journal
from tests.drills.bed import PASSWORD, Portal
from tests.drills.clients import Browser, Load, form_of
from tests.drills.judged import Verdict, judge
from tests.drills.restore import wait_for

WRONG = "wrong-wrong-wrong"


def drill(folder: Path, *, database: str, times: int) -> Verdict:
    """Once, with ten readers for each of the `times`; what was found."""
    one, other = free_port(), free_port()
    found: dict[str, bool] = {}
    with (
        bed.drill_database(database, folder) as (url, _),
        bed.portal(url, folder, members=8, recipients=20 * times) as portal,
    ):
        portal.start_web("one", port=one)
        portal.start_web("other", port=other)
        for name in ("worker", "second"):
            portal.start_worker(name)
        found |= _sign_ins(portal, one, other)
        found["eleven guesses, by turns: the eleventh is refused"] = _limits(one, other)
        found["a link works once, at either"] = _link(portal, one, other)
        portal.write(lambda: db.session.query(LimitCounter).delete())
        journal = Journal(folder / "acknowledged.jsonl")
        loads = [Load(portal, journal, port) for port in (one, other)]
        loads[0].start()
        portal.send_broadcast()
        both = _who_sends(portal)
        found["both workers send at one time"] = both
        loads[0].flow(5 * times)
        loads[0].stop()
        portal.deliver_the_rest()
        verdict = judge(portal, journal, loads[0])
    for what, good in found.items():
        verdict.counts[what] = good
        if not good:
            verdict.add("several", f"NOT: {what}")
    return verdict


def _sign_in(port: int, email: str, network: str, password: str = PASSWORD) -> tuple[Browser, int]:
    browser = Browser(port, network)
    form = form_of(browser.get("/sign-in").text, "/sign-in") or {}
    return browser, browser.post("/sign-in", form | {"email": email, "password": password}).status


def _sign_ins(portal: Portal, one: int, other: int) -> dict[str, bool]:
    browser, _ = _sign_in(one, portal.members[6].email, "10.31.0.1")
    elsewhere = Browser(other, "10.31.0.1", browser.cookies)
    form = form_of(elsewhere.get("/profile/edit").text, "/profile/edit") or {}
    saved = Browser(one, "10.31.0.1", browser.cookies).post("/profile/edit", form | {"city": "Across"}).status
    known = elsewhere.get("/profile").status
    copied = dict(browser.cookies)
    out = form_of(elsewhere.get("/profile").text, "/sign-out") or {}
    elsewhere.post("/sign-out", out)
    after = [Browser(port, "10.31.0.1", dict(copied)).get("/profile").status for port in (one, other)]
    return {
        "signed in at one, known at the other": known == 200,
        "a form of one is taken by the other": saved == 303,
        "signed out at one, unknown at both": after == [303, 303],
    }


def _limits(one: int, other: int) -> bool:
    tries = [_sign_in((one, other)[turn % 2], "nobody@example.org", f"10.32.{turn}.1", WRONG)[1] for turn in range(11)]
    return tries == [422] * 10 + [429]


def _link(portal: Portal, one: int, other: int) -> bool:
    who = portal.members[7]
    browser = Browser(one, "10.33.0.1")
    form = form_of(browser.get("/forgot-password").text, "/forgot-password") or {}
    browser.post("/forgot-password", form | {"email": who.email})
    copy = wait_for("the mail with the link", lambda: [each for each in portal.copies if each.to == who.email])[0]
    link = next(word for word in copy.text.split() if "/set-password/" in word).partition(bed.HOST)[2]
    spent = form_of(Browser(other, "10.33.0.2").get(link).text, link) or {}
    answers = []
    for port in (other, one):
        stranger = Browser(port, "10.33.0.3")
        fresh = form_of(stranger.get(link).text, link) or spent
        answers.append(stranger.post(link, fresh | {"new_password": "seven-grey-herons-fly-south"}).status)
    return answers[0] == 303 and answers[1] in (400, 410)


def _who_sends(portal: Portal) -> bool:
    """Whether two have messages of the broadcast under a lease at one moment."""
    holders = select(func.count(func.distinct(Message.lease_by))).where(
        Message.state == MailState.CLAIMED, Message.broadcast_id.is_not(None)
    )
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if portal.read(lambda: db.session.scalar(holders)) >= 2:
            return True
        time.sleep(0.02)
    return False
