"""The test bed itself: what every other test leans on."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import scoped_session

from portal import clock as portal_clock
from portal.datamap import inventory
from portal.extensions import Base, db, transaction
from portal.models import Member
from tests.conftest import MailServer, missing
from tests.databases import writes
from tests.people import NOW, People, member


def test_alice_and_bob_have_something_in_every_field(people: People) -> None:
    for entry in inventory.noted(Base.metadata.tables["member"]):
        for person in (people.alice, people.bob):
            assert getattr(person, entry.column.name) not in (None, ""), f"fill {entry.name} in tests/people.py"


def test_alice_and_bob_share_no_value(people: People) -> None:
    shared = [
        entry.name
        for entry in inventory.noted(Base.metadata.tables["member"])
        if getattr(people.alice, entry.column.name) == getattr(people.bob, entry.column.name)
    ]
    assert shared == []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_without_rows(session: scoped_session[Any], turn: int) -> None:
    for table in Base.metadata.sorted_tables:
        assert session.execute(select(table)).first() is None, table.name
    with writes():
        session.add(member(email="someone@example.org"))


def test_a_request_has_a_session_of_its_own(app: Flask, client: FlaskClient, people: People) -> None:
    """It neither sees what the test holds nor waits for it, and the test sees what it committed."""
    email = people.alice.email

    def rename() -> str:
        with transaction():
            db.session.scalars(select(Member).where(Member.email == email)).one().first_name = "Alicia"
        return "the test's context" if "mine" in g else "its own context"

    app.before_request_funcs.setdefault(None, []).insert(1, rename)  # behind the clock of `metrics`
    g.mine = True
    assert people.alice.first_name == "Alice"
    assert client.get("/").text == "its own context"
    assert people.alice.first_name == "Alicia"


def test_a_test_that_forgets_to_commit_is_told(client: FlaskClient, session: scoped_session[Any]) -> None:
    session.add(member(email="someone@example.org"))
    session.flush()
    with pytest.raises(pytest.fail.Exception, match="with writes"):
        client.get("/")
    assert session.execute(select(func.count()).select_from(Member)).scalar_one() == 0


def test_opening_smtp_unawares_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="smtp"):
        smtplib.SMTP("127.0.0.1", 9)
    with pytest.raises(pytest.fail.Exception, match="smtp"):
        smtplib.SMTP_SSL("127.0.0.1", 9)


def test_the_mail_server_keeps_what_it_received(smtp: MailServer) -> None:
    with smtplib.SMTP(smtp.host, smtp.port) as connection:
        connection.sendmail("a@example.org", ["b@example.org", "c@example.org"], b"Subject: x\r\n\r\nHello\r\n")
    (received,) = smtp.received
    assert (received.mail_from, received.rcpt_tos) == ("a@example.org", ("b@example.org", "c@example.org"))
    assert received.data == b"Subject: x\r\n\r\nHello\r\n"


def test_what_is_missing_is_skipped_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="a harpsichord is not installed"):
        missing("a harpsichord")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="a harpsichord is needed"):
        missing("a harpsichord")


def test_time_stands_still(clock: Any) -> None:
    assert portal_clock.now() == NOW == portal_clock.now()
