"""The restore drill in short: the same dump and the same restore, without processes beside this one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal import clock
from portal.domain import choices, erasures, requests
from portal.extensions import db
from portal.models import Member, SignIn
from portal.purposes import SUPPRESS
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from portal.web import gate
from tests import databases
from tests.browse import Browse
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.drills.restore import BOB_EMAIL, OLD_FILE, Postgres, Sqlite
from tests.people import People


@pytest.fixture
def store(engine_name: str, database: str, tmp_path: Path, request: pytest.FixtureRequest) -> Sqlite | Postgres:
    """This test's database, to be dumped and restored."""
    if engine_name == "sqlite":
        return Sqlite(tmp_path)
    programs = databases.postgres_programs()
    assert programs is not None
    return Postgres(tmp_path, request.getfixturevalue("postgres_server"), programs, database)


def members() -> set[str]:
    db.session.rollback()
    found = set(db.session.scalars(select(Member.email)))
    db.session.rollback()
    return found


def test_yesterdays_dump_brings_nobody_back(
    store: Sqlite | Postgres,
    app: Flask,
    smtp: MailServer,
    run: Runner,
    client: FlaskClient,
    browse: Browse,
    people: People,
    tmp_path: Path,
) -> None:
    browse.sign_in(people.alice)
    with writes():
        alice, link = people.alice.id, sign_unsubscribe(people.alice.subject.unsubscribe_reference)
        asked = requests.file(
            people.bob,
            "erasure",
            details="",
            operation_id="one",
            via=Door.PAGE,
            now=clock.now() - timedelta(days=4),
        )
        erasures.approve(asked, now=clock.now())
    store.dump()
    assert run("erasures", "run").exit_code == 0
    assert run("mail", "deliver").exit_code == 0
    mailed = len(smtp.received)
    one_click = {"List-Unsubscribe": "One-Click"}
    assert client.post(f"/unsubscribe/{link}", data=one_click).status_code == 200

    db.session.remove()
    db.engine.dispose()
    store.restore()
    app.extensions.pop(gate.SEEN, None)  # as a process that has just begun
    assert BOB_EMAIL in members()
    assert client.get("/").status_code == 503
    assert run("mail", "deliver").exit_code == 3

    assert run("erasures", "replay").exit_code == 0
    assert client.get("/").status_code == 200
    assert BOB_EMAIL not in members()
    assert db.session.scalars(select(SignIn)).all() == []
    file = tmp_path / "members.csv"
    file.write_text(OLD_FILE, encoding="utf-8")
    assert "created 1\n" in run("members", "import", file).stderr, "Erin, whom this database never knew"
    assert BOB_EMAIL not in members()
    assert choices.standing(alice)[SUPPRESS].value == "yes"
    assert run("mail", "deliver").exit_code == 0
    to = {address for each in smtp.received[mailed:] for address in each.rcpt_tos}
    assert to == {"desk@example.org"}, "notes to staff may come twice, nothing else"
