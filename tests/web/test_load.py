"""What costs much, and who may make it cost: long texts, odd passwords, busy databases, guesses from many cookies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, update

from portal import clock as portal_clock
from portal.domain import passwords
from portal.domain.errors import PasswordRefused
from portal.extensions import db
from portal.models import SignIn
from portal.tokens import canonical_address
from portal.web.access import network
from tests.browse import Browse
from tests.people import People

LEET = ("4@a8({[<c36g9&#!1/|i0o$5s+7t%x2z" * 3)[:72]
MARKS = "a" + "\u0301" * 20000 + "\u0316" * 20000 + "@x.org"
A_MOMENT = 6  # seconds of CPU, a wide guard against work that grows with the square: it was 12 to 25


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def test_a_password_of_chosen_signs_is_judged_in_a_moment() -> None:
    with within(A_MOMENT):
        passwords.check(LEET, about=("alice@example.org", "Alice"))


@pytest.mark.parametrize("password", ["claire.duvallon1", "Duvallon-Claire-2026", "imapsmember.claire"])
def test_a_password_made_of_ones_own_words_is_refused(password: str) -> None:
    with pytest.raises(PasswordRefused):
        passwords.check(password, about=("claire.duvallon@example.org", "Claire", "Duvallon"))


def test_what_is_too_long_for_an_address_is_nobodys() -> None:
    with within(A_MOMENT):
        assert canonical_address(MARKS) == ""
        assert canonical_address("a" * 300 + "@example.org") == ""


def test_long_texts_cost_little_on_every_form(browse: Browse, people: People) -> None:
    with within(A_MOMENT):
        for path in ("/sign-in", "/forgot-password", "/activate", "/unsubscribe"):
            browse(path, as_="stranger")
            browse.post(path, {"email": MARKS}, status=422)
    browse.sign_in(people.alice)
    browse("/profile/edit")
    with within(A_MOMENT):
        page = browse.press("Save", {"education": MARKS}, status=422)
    assert "This is too long" in page.beside("education")


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1", "2001:db8::/64"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", ""),
    ],
)
def test_a_network_is_kept_instead_of_the_address(app: Flask, address: str, kept: str) -> None:
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": address}):
        assert network() == kept


def test_the_limit_of_an_address_is_shared_by_all_pages_that_mail_a_link(browse: Browse, people: People) -> None:
    paths = ["/activate", "/forgot-password", "/unsubscribe"] * 2
    answers = []
    for path in paths:
        browse(path, as_="stranger")
        form = {**browse.page.controls(), "email": "somebody@example.org"}
        answers.append(browse.client.post(path, data=form).status_code)
    assert answers == [303] * 5 + [429]


def test_guesses_at_a_password_are_counted_by_account_not_by_cookie(browse: Browse, people: People) -> None:
    """A stolen keep-me cookie opens new sessions, but no new guesses."""
    browse.sign_in(people.alice, keep=True)
    name = browse.app.config["KEEP_COOKIE_NAME"]
    stolen = {name: browse.cookies()[name]}
    answers = []
    for number in range(3):
        browse.with_cookies(stolen, f"thief {number}")
        browse.addresses[f"thief {number}"] = people.alice.email  # what the thief sees is hers
        browse("/security/everywhere")
        form = {**browse.page.controls(), "password": "a guess that is wrong"}
        answers += [browse.client.post("/security/everywhere", data=form).status_code for _ in range(4)]
    assert answers == [422] * 10 + [429] * 2


def test_noting_that_a_sign_in_is_used_waits_for_nobody_and_changes_no_answer(
    browse: Browse, people: People, clock: time_machine.Traveller
) -> None:
    browse.sign_in(people.alice)
    clock.shift(timedelta(minutes=2))
    db.session.rollback()
    with db.engine.connect() as other:  # on SQLite this holds the one write lock, on PostgreSQL the row
        other.execute(update(SignIn).values(browser="held by another"))
        assert browse("/profile").status == 200
        other.rollback()
    assert browse("/profile").status == 200
    seen = db.session.scalars(select(SignIn.seen_at)).one()
    assert seen == portal_clock.now()
