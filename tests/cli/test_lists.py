"""The command that releases a list: words, exits; a kill at any moment leaves all of it or nothing (P13, P20)."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.domain import lists
from portal.extensions import db
from portal.models import Disclosure, Event, ListRelease, Registration
from portal.purposes import AUDIENCES
from tests.conftest import Runner
from tests.databases import writes
from tests.domain.test_lists import answer, make_event
from tests.people import People, member
from tests.settings import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fair(people: People) -> Event:
    """An event at which Alice agrees to sponsors, and Bob is registered without a word."""
    with writes():
        made = make_event("FAIR")
        for each in (people.alice, people.bob):
            db.session.add(Registration(event_id=made.id, member_id=each.id))
        answer(people.alice.id, "sponsor_sharing", "yes", made)
    return made


def stored() -> dict[str, int]:
    db.session.rollback()
    return {
        model.__tablename__: db.session.execute(select(func.count()).select_from(model)).scalar_one()
        for model in (ListRelease, Disclosure)
    }


def test_a_release_writes_the_list_and_writes_it_down(run: Runner, people: People, fair: Event) -> None:
    looked = run("lists", "release", "FAIR", "--for", "sponsors", "--to", "Acme", "--preview")
    assert (looked.exit_code, stored()) == (0, {"list_release": 0, "disclosure": 0})
    assert "would release 1 people to Acme" in looked.stderr
    done = run("lists", "release", "FAIR", "--for", "sponsors", "--to", "Acme")
    assert done.exit_code == 0, done.stderr
    assert done.stderr == "L-1: 1 people for Acme\n"
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert list(row) == [*AUDIENCES["sponsors"].fields, "list"]
    assert (row["email"], row["list"]) == (people.alice.email, "L-1-1")
    assert looked.stdout == done.stdout.replace("L-1-1", "preview-1")
    told = db.session.scalars(select(Disclosure)).one()
    assert (told.recipient, told.event_id, told.list_number, told.line) == ("Acme", fair.id, "L-1", 1)
    empty = run("lists", "release", "FAIR", "--for", "public", "--to", "The web")
    assert (empty.exit_code, empty.stdout) == (0, "first_name,last_name,organization,country,list\n")
    with writes():
        make_event("TALKS", exhibition=False)
    for wrong in (
        ["--for", "sponsors", "--to", "Acme"],
        ["FAIR", "--for", "employers", "--to", "Acme"],
        ["NOWHERE", "--for", "sponsors", "--to", "Acme"],
        ["TALKS", "--for", "exhibitors", "--to", "Acme"],
        ["TALKS", "--for", "exhibitors", "--to", "Acme", "--preview"],
        ["FAIR", "--for", "friends", "--to", "Acme"],
        ["FAIR", "--for", "sponsors"],
        ["FAIR", "--for", "sponsors", "--to", " "],
    ):
        refused = run("lists", "release", *wrong)
        assert (refused.exit_code, refused.stdout) == (2, ""), wrong
    assert stored() == {"list_release": 2, "disclosure": 1}
    assert run("lists", "release", "--for", "employers", "--to", "Career centre").exit_code == 0


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_PERSON": "on"}])
def test_a_list_for_sponsors_waits_for_a_second_person(run: Runner, people: People, fair: Event) -> None:
    words = ("lists", "release", "FAIR", "--for", "sponsors", "--to", "Acme")
    filed = run(*words)
    assert (filed.exit_code, filed.stdout, filed.stderr.splitlines()[0]) == (1, "", "L-1")
    again = run(*words, "--approved", "L-1")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "second person" in again.stderr
    with writes():
        found = lists.by_number("L-1")
        assert found is not None
        lists.approve(found, by=people.dana, now=lists_now())
    other = run("lists", "release", "FAIR", "--for", "sponsors", "--to", "Somebody else", "--approved", "L-1")
    assert (other.exit_code, other.stdout) == (1, "")
    done = run(*words, "--approved", "1")
    assert (done.exit_code, done.stderr) == (0, "L-1: 1 people for Acme\n")
    once_more = run(*words, "--approved", "L-1")
    assert (once_more.exit_code, once_more.stdout) == (1, "")
    assert run("lists", "release", "FAIR", "--for", "attendees", "--to", "Badges").exit_code == 0
    assert stored() == {"list_release": 2, "disclosure": 1}


def lists_now() -> Any:
    return db.session.scalars(select(ListRelease.filed_at)).one()


# kill -9 --------------------------------------------------------------------------------------------------

PEOPLE = 60
MOMENTS = ("INSERT INTO list_release", "INSERT INTO disclosure", "UPDATE list_release", "commit")
# A process of its own, with one child for each moment: killed right after the statement that begins so, or after the
# commit and before a byte is handed out. Prints how each child ended.
STOPPING = """
import os, signal, sys
from flask.cli import main
from sqlalchemy import event
from sqlalchemy.orm import Session
from portal.domain import lists
from portal.extensions import db

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def attempt(moment):
    def look(_connection, _cursor, statement, *_):
        if statement.startswith(moment):
            die()
    taken = lists.take_turn
    def turn():
        taken()
        event.listen(db.engine, "after_cursor_execute", look)
        if moment == "commit":
            event.listen(Session, "after_commit", die)
    lists.take_turn = turn
    sys.argv[:] = ["flask", "--app", "wsgi", "lists", "release", "FAIR", "--for", "sponsors", "--to", "Acme"]
    main()

for moment in sys.argv[1:]:
    child = os.fork()
    if not child:
        attempt(moment)
    print(moment, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
"""


def test_a_kill_at_any_moment_leaves_all_or_nothing(app: Flask, people: People, fair: Event, tmp_path: Path) -> None:
    """Before the commit nothing is written down; after it, all; a file is handed out in neither."""
    with writes():
        for number in range(PEOPLE):
            made = member(email=f"p{number}@example.org", last_name=f"P{number}")
            db.session.add(made)
            db.session.flush()
            db.session.add(Registration(event_id=fair.id, member_id=made.id))
            answer(made.id, "sponsor_sharing", "yes")
    url = db.engine.url.render_as_string(hide_password=False)
    environ = os.environ | environment(url, JOURNAL_DIR=app.config["JOURNAL_DIR"], PYTHONPATH=str(ROOT))

    db.session.rollback()
    done = subprocess.run(
        [sys.executable, "-c", STOPPING, *MOMENTS], cwd=ROOT, env=environ, capture_output=True, timeout=120, check=True
    )
    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == [f"{moment} {-signal.SIGKILL}" for moment in MOMENTS]
    assert stored() == {"list_release": 1, "disclosure": PEOPLE + 1}  # by the last alone
