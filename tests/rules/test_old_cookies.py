"""Every cookie that was ever set, tried again after an erasure or a change of role: none lets in (threat T10).

After signing out, a new password and a mailed link: tests/web/test_signin.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http.cookies import SimpleCookie
from itertools import combinations
from typing import Any

import pyotp
import pytest
from sqlalchemy import select

from portal import clock as portal_clock
from portal.domain import desk, erasures, requests, second_factor, suspensions
from portal.extensions import db
from portal.models import Account, Subject
from portal.vocabulary import Door
from tests.browse import Browse, Page
from tests.databases import writes
from tests.people import ALICE_PASSWORD, People

DOORS = ("/profile", "/security", "/held/download", "/desk")
End = Callable[[Browse, People, Any], None]


def be_erased(browse: Browse, people: People, clock: Any) -> None:
    with writes():
        asked = requests.file(
            people.alice, "erasure", details="", operation_id="1", via=Door.PAGE, now=portal_clock.now()
        )
        erasures.approve(asked, now=portal_clock.now())
        number = asked.id
    clock.shift(erasures.COOLING_OFF)
    with writes():
        erasures.carry_out(number, now=portal_clock.now())
    clock.shift(-erasures.COOLING_OFF)


def be_suspended(browse: Browse, people: People, _: Any) -> None:
    with writes():
        assert suspensions.suspend(db.session.get_one(Subject, people.alice.id), "abuse", now=portal_clock.now())


def get_the_role(browse: Browse, people: People, _: Any) -> None:
    """What was opened as a member lasts longer than staff may stay, and may have been copied."""
    with writes():
        desk.add(people.alice.email, now=portal_clock.now())


def lose_the_role(browse: Browse, people: People, _: Any) -> None:
    with writes():
        assert desk.remove(people.alice.email)


def set_up_the_second_step(browse: Browse, people: People, _: Any) -> None:
    browse("/security/second-factor")
    seed = browse.page.soup.select_one("code.seed")
    assert seed is not None
    browse.press("Save", {"Code": pyotp.TOTP(seed.get_text()).at(portal_clock.now())})


def have_the_second_step_forgotten(browse: Browse, people: People, _: Any) -> None:
    with writes():
        account = db.session.scalars(select(Account).where(Account.member_id == people.alice.id)).one()
        second_factor.forget(account, now=portal_clock.now())


MEMBERS: list[End] = [be_erased, be_suspended, get_the_role]
STAFFS: list[End] = [lose_the_role, set_up_the_second_step, have_the_second_step_forgotten]


@pytest.mark.parametrize(
    ("end", "staff"),
    [(end, False) for end in MEMBERS] + [(end, True) for end in STAFFS],
    ids=[end.__name__ for end in MEMBERS + STAFFS],
)
def test_no_cookie_outlives_what_ends_it(browse: Browse, people: People, clock: Any, end: End, staff: bool) -> None:
    """P2, ASVS V7.4: each alone and together with each, at once and after half an hour."""
    if staff:
        with writes():
            db.session.get_one(Account, people.alice.account.id).staff = True  # type: ignore[union-attr]
        db.session.expire_all()
    cookies = walk(browse, people, clock)
    assert len(cookies) >= 4
    end(browse, people, clock)
    taken = lets_in(browse, cookies)
    clock.shift(timedelta(minutes=31))
    assert taken + lets_in(browse, cookies) == []


def walk(browse: Browse, people: People, clock: Any) -> list[tuple[str, str]]:
    """A visit in which every sort of cookie is set and renewed; each that was ever set, and that held something."""
    seen: dict[tuple[str, str], None] = {}
    take = browse._take

    def keep(*args: Any) -> Page:
        page = take(*args)
        for text in page.headers.getlist("Set-Cookie"):
            ((name, cookie),) = SimpleCookie(text).items()
            seen[name, cookie.value] = None
        return page

    browse._take = keep  # type: ignore[assignment, method-assign]
    browse.sign_in(people.alice, password=ALICE_PASSWORD, keep=True)
    if not db.session.get_one(Account, people.alice.account.id).staff:  # type: ignore[union-attr]
        clock.shift(timedelta(minutes=31))
        browse("/profile")  # the kept sign-in opens a session
    clock.shift(timedelta(minutes=6))
    browse("/sign-in/again")
    browse.press("Confirm", {"Password": ALICE_PASSWORD})
    browse("/security")
    browse._take = take  # type: ignore[method-assign]
    return [each for each in seen if each[1]]


def lets_in(browse: Browse, cookies: list[tuple[str, str]]) -> list[str]:
    """The doors that one of them, or a pair, still opens."""
    pairs = [dict(pair) for pair in combinations(cookies, 2) if pair[0][0] != pair[1][0]]
    opened = []
    for copied in [*(dict([each]) for each in cookies), *pairs]:
        browse.with_cookies(copied)
        opened += [door for door in DOORS if browse.client.get(door).status_code != 303]
    return opened
