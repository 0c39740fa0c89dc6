"""Looking changes nothing: every page is opened, and the database listens to what is written meanwhile.

The whole list of what may be written during a GET, each in a short transaction of its own: `seen_at` of a
sign-in (at most once a minute), the exchange of a keep-me-signed-in cookie, the trail row of a staff look,
the counter, the trail row and the mail of a download.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from portal.extensions import db
from portal.models import DataSubjectRequest
from portal.tokens import STATUS_LINK, sign_reference, sign_unsubscribe
from tests.browse import Browse
from tests.databases import writes
from tests.letters import answer_links, letter, link_in
from tests.people import People
from tests.rows import fill
from tests.rules.test_access import FILLED_IN

WRITING = re.compile(r"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+\"?(\w+)", re.IGNORECASE)
LOOKS_AT = re.compile("/desk/requests/IM-|/desk/changes/|/desk/conflicts/")
SEEN = [("UPDATE", "sign_in")]
EXCHANGE = [("UPDATE", "sign_in"), ("DELETE FROM", "sign_in"), ("INSERT INTO", "sign_in")]
LOOK = [("INSERT INTO", "trail")]
DOWNLOAD = [("INSERT INTO", "limit_counter"), ("INSERT INTO", "trail"), ("INSERT INTO", "message")]


@contextmanager
def written() -> Iterator[list[tuple[str, str]]]:
    """What is written while it stands: verb and table, in order."""
    found: list[tuple[str, str]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        match = WRITING.match(statement)
        if match:
            found.append((" ".join(match.group(1).upper().split()), match.group(2)))
        elif not re.match(r"\s*(SELECT|WITH|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|PRAGMA|SHOW|SET)\b", statement, re.I):
            found.append(("?", statement[:60]))

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)


@pytest.fixture
def looks(app: Flask, browse: Browse, people: People) -> list[str]:
    """A path for every route that can be looked at, with things that exist."""
    with writes():
        fill(people)
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference, "events")
    reference = db.session.scalars(select(DataSubjectRequest.reference)).one()
    browse("/forgot-password", as_=None)
    browse.press("Send", {"Email address": people.bob.email})
    answer_links()
    things = {"reference": reference, "kind": "erasure", "token": token}
    found = [link_in(letter("reset")), f"/ask/status/{sign_reference(reference, purpose=STATUS_LINK)}"]
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()):
            _, path = rule.build(FILLED_IN | {name: things[name] for name in things if name in rule.arguments}) or (
                "",
                "",
            )
            found.append(path.partition("?")[0])
    return sorted(found)


def _look(browse: Browse, path: str) -> int:
    """Open a path whatever it answers."""
    for method in ("HEAD", "GET"):
        with browse.client.open(path, method=method, base_url=browse.base) as response:
            assert response.status_code < 500, path
    return response.status_code


def test_signed_out(browse: Browse, looks: list[str]) -> None:
    with written() as found:
        answers = {path: _look(browse, path) for path in looks}
    assert found == []
    assert sorted(set(answers.values())) == [200, 303, 404], answers


@pytest.mark.parametrize("who", ["alice", "bob", "dana"])
def test_signed_in(browse: Browse, people: People, looks: list[str], who: str) -> None:
    browse.sign_in(getattr(people, who))
    for path in looks:
        with written() as found:
            answer = _look(browse, path)
        staff_look = who == "dana" and LOOKS_AT.match(path) and answer == 200
        assert found == (LOOK * 2 if staff_look else []), path


def test_use_is_noted_once_a_minute(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    with written() as found:
        browse("/profile")
        assert found == []
        clock.shift(timedelta(seconds=61))
        browse("/profile")
        browse("/choices")
        assert found == SEEN
        clock.shift(timedelta(seconds=61))
        browse("/nothing", status=404)
    assert found == SEEN * 2


def test_a_kept_sign_in_opens_a_session_once(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice, keep=True)
    clock.shift(timedelta(minutes=31))
    with written() as found:
        browse("/profile")
        assert found == EXCHANGE
        browse("/profile")
    assert found == EXCHANGE


def test_a_download_is_counted_written_down_and_told(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    for method, path, expected in (
        ("GET", "/held/download?format=json", DOWNLOAD),
        ("HEAD", "/held/download?format=json", []),
        ("GET", "/held/download?format=pdf", []),
    ):
        with written() as found, browse.client.open(path, method=method, base_url=browse.base) as answer:
            assert answer.status_code == (400 if "pdf" in path else 200)
            answer.get_data()
        assert sorted(found) == sorted(expected), path


def test_a_refused_form_writes_no_more_than_its_limit(browse: Browse, people: People) -> None:
    """What outlives a refusal: the counters of limits, and the row of a failed sign-in."""
    browse("/sign-in", as_=None)
    with written() as found:
        browse.press("Sign in", {"Email address": people.alice.email, "Password": "wrong-wrong-wrong"}, status=422)
    assert set(found) == {("INSERT INTO", "limit_counter"), ("INSERT INTO", "failed_sign_in")}
    browse.sign_in(people.bob)
    browse("/profile/edit")
    with written() as found:
        browse.press("Save", {"Last name": ""}, status=422)
    assert found == []
