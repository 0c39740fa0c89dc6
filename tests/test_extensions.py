"""Transactions: what is written together stands together, and several processes share one database."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import scoped_session

from portal.extensions import db, glance, transaction, unhurried
from portal.models import Member
from tests.databases import writes
from tests.people import People, member

Session = scoped_session[Any]


def members() -> int:
    db.session.rollback()
    number = db.session.execute(select(func.count()).select_from(Member)).scalar_one()
    db.session.rollback()
    return number


def test_a_transaction_commits_at_its_end(session: Session) -> None:
    with transaction():
        session.add(member(email="one@example.org"))
    assert members() == 1


def test_a_transaction_that_fails_changes_nothing(session: Session) -> None:
    def fail_half_way() -> None:
        with transaction():
            session.add(member(email="one@example.org"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert members() == 0


def test_a_transaction_does_not_stand_beside_another(session: Session) -> None:
    """It would commit what the other has not finished."""
    session.add(member(email="half@example.org"))
    session.flush()
    with pytest.raises(RuntimeError, match="beside"), transaction():
        pytest.fail("it began")
    with pytest.raises(RuntimeError, match="before a transaction"), glance():
        pytest.fail("it began")
    session.rollback()
    assert members() == 0


def test_a_glance_keeps_nothing(session: Session) -> None:
    with glance():
        session.execute(select(Member)).all()
    assert not session().in_transaction()


def test_a_glance_waits_for_nobody_and_keeps_nobody_waiting(session: Session, people: People) -> None:
    with glance():
        assert people.alice.first_name == "Alice"
        with db.engine.connect() as other:  # begins IMMEDIATE: on SQLite it would wait for a writer for five seconds
            other.execute(text("UPDATE member SET first_name = 'Alicia' WHERE first_name = 'Alice'"))
            other.commit()
    with glance():
        assert people.alice.first_name == "Alicia"


@pytest.mark.parametrize(
    ("method", "begins"), [("GET", "BEGIN"), ("HEAD", "BEGIN"), ("OPTIONS", "BEGIN"), ("POST", "BEGIN IMMEDIATE")]
)
def test_only_a_post_reserves_the_right_to_write(
    app: Flask, client: FlaskClient, engine_name: str, method: str, begins: str
) -> None:
    said: list[str] = []

    def look() -> str:
        db.session.execute(select(Member)).all()
        return "seen"

    app.before_request_funcs.setdefault(None, []).insert(1, look)  # behind the clock of `metrics`
    event.listen(db.engine, "before_cursor_execute", lambda *details: said.append(details[2]))
    client.open("/", method=method)
    assert [word for word in said if word.startswith("BEGIN")] == ([begins] if engine_name == "sqlite" else [])


def test_a_command_may_ask_longer_than_a_page(session: Session, engine_name: str) -> None:
    """For one transaction; nothing of it is left on the connection. SQLite has no such limit."""
    found = []
    for taking_time in (True, False):
        with glance():
            if taking_time:
                unhurried()
            if engine_name == "postgresql":
                found.append(session.scalar(text("SHOW statement_timeout")))
    assert found == (["10min", "5s"] if engine_name == "postgresql" else [])


def test_a_broken_reference_is_refused_on_every_connection(session: Session, people: People) -> None:
    for _ in range(3):
        with pytest.raises(Exception, match=r"(?i)foreign key"), writes():
            session.execute(text("INSERT INTO registration (event_id, member_id, role) SELECT 99, id, '' FROM member"))
        db.session.remove()
        db.engine.dispose()


def test_sqlite_is_durable_and_lets_readers_read(app: Flask, engine_name: str) -> None:
    if engine_name == "sqlite":
        with db.engine.connect() as connection:
            found = [
                connection.execute(text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            ]
        assert found == ["wal", 2, 1, 5000]
    else:
        assert db.session.execute(text("SHOW statement_timeout")).scalar_one() == "5s"
        assert db.session.execute(text("SHOW lock_timeout")).scalar_one() == "2s"


COUNT = """
import sys
from pathlib import Path
from portal import create_app
from portal.domain.limits import DatabaseStorage
from tests.settings import config_for

app = create_app(config_for(sys.argv[1], Path(sys.argv[2])))
with app.app_context():
    sys.stdin.readline()
    for _ in range(100):
        print(DatabaseStorage("database://").incr("shared", 600))
"""


def test_three_processes_count_together(database: str, tmp_path: Path) -> None:
    """Nothing is lost, counted twice, or refused because another was writing (trap T8)."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", COUNT, database, str(tmp_path)],
            cwd=Path(__file__).parents[1],
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    ended = [process.communicate("go\n", timeout=60) for process in started]
    assert [errors for _, errors in ended] == [""] * 3
    counted = sorted(int(line) for printed, _ in ended for line in printed.split())
    assert counted == list(range(1, 301))


def test_writers_of_one_process_take_turns(app: Flask, session: Session, engine_name: str) -> None:
    """Nobody waits longer than their patience, and a turn ends with its transaction, however that ends."""
    if engine_name != "sqlite":
        pytest.skip("PostgreSQL locks rows")

    def write(email: str, patience: int) -> str:
        with app.app_context():
            try:
                with transaction(patience=patience):
                    db.session.add(member(email=email))
                    db.session.flush()
                    if email.startswith("broken"):
                        raise ZeroDivisionError
            except (OperationalError, ZeroDivisionError) as error:
                return type(error).__name__
            return "written"

    with ThreadPoolExecutor(1) as other:
        with transaction():
            session.add(member(email="first@example.org"))
            session.flush()
            assert other.submit(write, "second@example.org", 50).result(10) == "OperationalError"
            third = other.submit(write, "third@example.org", 5000)
        assert third.result(10) == "written"
        assert other.submit(write, "broken@example.org", 50).result(10) == "ZeroDivisionError"
        assert other.submit(write, "last@example.org", 50).result(10) == "written"
    assert members() == 3
