"""Every route, every identifier, every visitor: whoever may not is refused, and has changed nothing (threat T20).

The identifiers are those of things of Alice that exist: a page that forgot to ask whose they are would show them.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from flask import Flask
from werkzeug.routing import Rule

from portal.extensions import db, limiter
from portal.models import Account
from portal.web import access
from portal.web.access import ACCOUNT, DESK, PUBLIC
from tests.browse import Browse
from tests.databases import everything, keep, writes
from tests.people import People
from tests.routes import of_alice, routes
from tests.rows import fill

OF_ONE_PERSON = {"reference", "sign_in_id", "after", "number"}
ON_A_RECORD = ("handling.", "changes.one", "changes.carried_one", "changes.conflict", "changes.keep", "changes.take")
NOT_OPEN = {  # to Alice, for what tests/rows.py has not: a deletion that waits
    "requests.do_not_wait",
}


class Try(NamedTuple):
    """One request: what for, and by which method."""

    method: str
    rule: Rule
    path: str
    mark: access.Mark

    @property
    def names_a_thing(self) -> bool:
        """Whether the address has the identifier of something of one member, and is the member's."""
        return bool(self.rule.arguments & OF_ONE_PERSON) and DESK not in (self.mark.read, self.mark.send)


class Somebody:
    """A visitor with a form's token, and every request there is."""

    def __init__(self, app: Flask, browse: Browse, people: People) -> None:
        things = of_alice(people)
        browse("/security" if browse.who else "/sign-in")
        (token,) = {str(each["value"]) for each in browse.page.tags if each.get("name") == "csrf_token"}
        self.form = {"csrf_token": token}
        cookies = "; ".join(f"{name}={text}" for name, text in browse.cookies().items())
        self.headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
        self.client = app.test_client(use_cookies=False)
        self.tries = [
            Try(method, rule, path, mark)
            for method in ("GET", "POST")
            for rule, path in routes(app, things, method)
            if (mark := access._mark(app, rule.endpoint)) is not None and PUBLIC not in (mark.read, mark.send)
        ]

    def answers(self, tries: list[Try]) -> dict[str, tuple[int, str]]:
        """Status and where it leads, by method and route."""
        found = {}
        for each in tries:
            data = self.form if each.method == "POST" else None
            with self.client.open(each.path, method=each.method, headers=self.headers, data=data) as answer:
                place = answer.headers.get("Location", "").partition("?")[0]
                found[f"{each.method} {each.rule.rule}"] = answer.status_code, place
        return found


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "enabled", False)


def test_whoever_may_not_is_refused_and_changes_nothing(app: Flask, browse: Browse, people: People) -> None:
    with writes():
        fill(people)
    for person, expected in ((None, (303, "/sign-in")), (people.bob, (403, "")), (people.dana, (403, ""))):
        browse.turn_to(person)
        if person is not None:
            browse.sign_in(person)
        visitor = Somebody(app, browse, people)
        closed = [
            each
            for each in visitor.tries
            if person is None
            or ((DESK in (each.mark.read, each.mark.send)) is (person is people.bob) and each.mark.read is not ACCOUNT)
        ]
        before = everything()
        answers = visitor.answers(closed)
        assert len(answers) > 25
        assert {name: answer for name, answer in answers.items() if answer != expected} == {}, person
        assert everything() == before


def test_bob_gets_nothing_by_the_identifiers_of_alice(app: Flask, browse: Browse, people: People) -> None:
    """404, as if there were nothing; `undo` counts within one's own answers, where Bob has none."""
    with writes():
        fill(people)
    browse.sign_in(people.bob)
    visitor = Somebody(app, browse, people)
    things = [each for each in visitor.tries if each.names_a_thing]
    assert len(things) == 10, "a route with an identifier came or went"
    before = everything()
    answers = visitor.answers(things)
    undone = {"POST /choices/undo/<int(max=2147483647):after>", "POST /events/<event>/undo/<int(max=2147483647):after>"}
    assert {name: status for name, (status, _) in answers.items() if name not in undone} == dict.fromkeys(
        answers.keys() - undone, 404
    )
    assert {answers[name][0] for name in undone} == {422}
    assert everything() == before


def test_alice_gets_hers_by_them(app: Flask, browse: Browse, people: People, database: str) -> None:
    """That they lead to something, so that Bob's 404 says something."""
    with writes():
        fill(people)
    browse.sign_in(people.alice)
    visitor = Somebody(app, browse, people)
    put_back = keep(database)
    for each in visitor.tries:
        if each.names_a_thing and each.rule.endpoint not in NOT_OPEN:
            ((status, _),) = visitor.answers([each]).values()
            assert status in (200, 303, 422), each
            put_back()


def test_nobody_of_the_desk_works_on_the_own_record(app: Flask, browse: Browse, people: People) -> None:
    with writes():
        fill(people)
        assert people.alice.account is not None
        db.session.get_one(Account, people.alice.account.id).staff = True
    browse.sign_in(people.alice)
    visitor = Somebody(app, browse, people)
    own = [each for each in visitor.tries if each.rule.endpoint.startswith(ON_A_RECORD)]
    before = everything()
    answers = visitor.answers(own)
    assert len(answers) > 20
    assert {name: status for name, (status, _) in answers.items() if status != 403} == {}
    assert everything() == before
