"""Existing and invented addresses look the same: the same pages, the same limits, at all five doors (P38).

PROBES addresses of each sort are tried; the figures of long runs stand in docs/enumeration.md.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, event
from werkzeug.test import TestResponse

from portal.domain import passwords
from portal.extensions import db, limiter
from portal.models import Account, EmailChange, LimitCounter, Suspension
from tests.browse import Browse
from tests.databases import writes
from tests.people import NOW, People, member

PROBES = int(os.environ.get("PROBES", "200"))
PAGES = {  # the most tries by one address, and from one network
    "/sign-in": ({"password": "guess-after-guess-after-guess"}, 10, 30),
    "/forgot-password": ({}, 5, 20),
    "/activate": ({}, 5, 20),
    "/ask": ({"kind": "access", "details": ""}, 5, 20),
}
CHANGES_A_DAY = 10
CHANGING = re.compile(rb'(?<=name="csrf_token" value=")[^"]+|(?<=name="operation_id" value=")[^"]+|nonce-[\w-]+')
ADDRESS = re.compile(rb"(member|nobody)-\d{5}@example\.org")
NOT_COMPARED = {"Date", "Content-Length"}  # the address itself is longer or shorter
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Seen(NamedTuple):
    """What a stranger sees of an answer."""

    status: int
    leads_to: str
    headers: tuple[tuple[str, str], ...]
    body: str  # its hash, less what changes each time and the addresses themselves


def seen(response: TestResponse) -> Seen:
    with response:
        body = ADDRESS.sub(b"ADDRESS", CHANGING.sub(b"", response.get_data()))
        headers = []
        for name, text in response.headers.items():
            if name not in NOT_COMPARED:
                headers.append((name, text.partition("=")[0] if name == "Set-Cookie" else text))
        leads_to = response.headers.get("Location", "")
        return Seen(response.status_code, leads_to, tuple(sorted(headers)), sha256(body).hexdigest())


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> str:
    """Hashes made in no time, where times are not compared: that of an existing password, and the one of nobody."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_DUMMY", cheap.hash("a password that no account has"))
    return cheap.hash("the password of somebody")


@pytest.fixture
def unsafe_disk(app: Flask) -> None:
    """What a crash would leave is not looked at here, so SQLite need not wait for the disk at each commit."""
    if db.engine.dialect.name == "sqlite":
        event.listen(db.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        db.engine.dispose()


def settle_existing(addresses: Sequence[str], password_hash: str) -> None:
    """Of every sort that there is: active, not activated, never invited, suspended, of the desk."""
    for number, address in enumerate(addresses):
        sort = number % 5
        if sort == 4:
            db.session.add(Account(email=address, email_key=address, password_hash=password_hash, staff=True))
            continue
        each = member(email=address, first_name="Somebody", last_name="Existing")
        if sort != 2:
            each.account = Account(password_hash=None if sort == 1 else password_hash)
        db.session.add(each)
        if sort == 3:
            db.session.flush()
            db.session.add(Suspension(subject_id=each.id, reason="abuse", at=NOW, review_on=NOW.date()))


class Stranger:
    """A browser that types addresses into one page, from any network that it likes, with one form token."""

    def __init__(self, client: FlaskClient, path: str, form: dict[str, str]) -> None:
        token = TOKEN.search(client.get(path).text)
        assert token is not None
        self.client, self.path = client, path
        self.form = {"csrf_token": token.group(1), **form}

    def tries(self, address: str, network: int) -> tuple[Seen, ...]:
        """What is answered, and the page that it leads to."""
        where = {"REMOTE_ADDR": f"10.{network // 250}.{network % 250}.1"}
        typed = self.form | {"email": address}
        same = {"Sec-Fetch-Site": "same-origin"}
        answer = seen(self.client.post(self.path, data=typed, headers=same, environ_base=where))
        if answer.status != 303:
            return (answer,)
        return answer, seen(self.client.get(answer.leads_to, environ_base=where))


@contextmanager
def limits(*, counted: bool) -> Iterator[None]:
    """What was counted before, and is counted within, is forgotten; where it is not counted, all is quicker."""
    limiter.enabled = counted
    forget()
    yield
    forget()
    limiter.enabled = True


def forget() -> None:
    with writes():
        db.session.execute(delete(LimitCounter))
        db.session.execute(delete(EmailChange))


def alike(door: str, once: Callable[[str, int], object], existing: Sequence[str], invented: Sequence[str]) -> None:
    """Every address gets the one answer; existing and invented ones take turns."""
    answers: dict[object, str] = {}
    with limits(counted=False):
        for number, pair in enumerate(zip(existing, invented, strict=True)):
            for address in pair:
                answers.setdefault(once(address, number), address)
    assert len(answers) == 1, f"{door} tells {list(answers.values())} apart"


def stopped_alike(door: str, most: int, here: Sequence[tuple[Seen, ...]], there: Sequence[tuple[Seen, ...]]) -> None:
    """Both sorts are stopped after the same number of tries, by the same page."""
    assert here == there, door
    assert len(here) > most
    last = 422 if door == "/profile/email" else 429
    went = [answer[0].status for answer in here]
    assert went == [went[0]] * most + [last] * (len(here) - most), door
    assert went[0] != last


@pytest.mark.usefixtures("unsafe_disk")
def test_existing_and_invented_addresses_are_answered_alike(
    app: Flask, browse: Browse, people: People, cheap_passwords: str, clock: Any
) -> None:
    """T9: equal bodies, equal status, equal limits, in sign-in, forgotten password, activation, ask, new address."""
    existing = [f"member-{number:05}@example.org" for number in range(PROBES)]
    invented = [f"nobody-{number:05}@example.org" for number in range(PROBES)]
    with writes():
        settle_existing(existing, cheap_passwords)
    client = app.test_client()
    for door, (form, by_address, by_network) in PAGES.items():
        stranger = Stranger(client, door, form)
        alike(door, stranger.tries, existing, invented)
        on_and_on, from_one_place = [], []
        for sort in (existing, invented):
            with limits(counted=True):
                on_and_on.append([stranger.tries(sort[0], number) for number in range(by_address + 2)])
            with limits(counted=True):
                from_one_place.append([stranger.tries(each, 0) for each in sort[: by_network + 2]])
        stopped_alike(door, by_address, *on_and_on)
        stopped_alike(door, by_network, *from_one_place)
    browse.sign_in(people.alice)
    door = "/profile/email"
    inside = Stranger(browse.client, door, {})

    def changes(address: str, number: int) -> tuple[Seen, ...]:
        answers = inside.tries(address, number)
        if number % (CHANGES_A_DAY // 2) == 0:
            forget()
        return answers

    alike(door, changes, existing, invented)
    days = []
    for sort in (existing, invented):
        with limits(counted=True):
            days.append([inside.tries(each, 0) for each in sort[: CHANGES_A_DAY + 2]])
            days[-1].append((seen(browse.client.get(door)),))
    afterwards = [day.pop() for day in days]
    assert afterwards[0] == afterwards[1]
    stopped_alike(door, CHANGES_A_DAY, *days)
