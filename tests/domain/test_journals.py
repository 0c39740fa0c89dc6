"""The journals beside the database, and the gate that they close (rights §5.6)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import structlog
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, text

from portal import clock as portal_clock
from portal import journal
from portal.cli import worker
from portal.domain import choices, gate, requests
from portal.extensions import db
from portal.journal import Erasure, Step
from portal.models import ChoiceRow, JournalMark, RequestStep
from portal.models.request import State
from portal.purposes import SUPPRESS
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People

A_MOMENT = timedelta(seconds=11)  # after which a process asks again


def tell(subject: UUID, step: Step, *, ident: str = "e1", ago: timedelta = timedelta(0)) -> None:
    journal.note_erasure(Erasure(ident, portal_clock.now() - ago, step, subject, ("v1.s1.aa",)))


def untell() -> None:
    """Take the last line back: the database has not got a mark behind it."""
    path = journal.own_file(journal.ERASURES)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def why() -> str:
    db.session.rollback()
    found = gate.closed()
    db.session.rollback()
    return found


def remember() -> dict[str, int]:
    with writes():
        gate.remember()
    return {row.file: row.position for row in db.session.scalars(select(JournalMark).order_by(JournalMark.file))}


def stop_all(people: People) -> None:
    with writes():
        choices.change(people.bob.subject, SUPPRESS, to="yes", via=Door.PAGE, now=portal_clock.now())


@contextmanager
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


# Files ----------------------------------------------------------------------------------------------------


def test_a_line_of_an_erasure_tells_nobody_who_it_was(app: Flask, people: People) -> None:
    line = Erasure("e1", portal_clock.now(), Step.INTENT, people.bob.id, ("v1.s1.aa", "v1.s1.bb"))
    journal.note_erasure(line)
    [path] = journal.erasure_files()
    found = [each for each, _ in journal.read_erasures(path, position=0)]
    assert found[-1] == line
    assert path.stat().st_mode & 0o077 == 0
    assert not [word for word in ("bob", "tanaka", "M-2002") if word in path.read_text(encoding="utf-8").lower()]


def test_each_line_is_forced_to_the_disk(app: Flask, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of either journal, whole, before it counts as written; a new file's name too."""
    force, forced = os.fsync, dict[str, bytes]()

    def look(handle: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        forced[str(path)] = path.read_bytes() if path.is_file() else b""
        force(handle)

    for path in (*journal.files(), *journal.erasure_files()):
        path.unlink()
    monkeypatch.setattr(os, "fsync", look)
    journal.note(b"0123456789abcdef", "topic_events", "off", door="link", at=NOW)
    tell(people.bob.id, Step.INTENT)
    for path in (*journal.files(), *journal.erasure_files()):
        assert forced[str(path)] == path.read_bytes() != b""
        assert str(path.parent) in forced


def test_a_machine_goes_on_with_its_newest_file_and_no_name_comes_twice(app: Flask) -> None:
    first = journal.own_file(journal.ERASURES)
    assert journal.own_file(journal.ERASURES) == first
    assert first.name.startswith(f"erasures-{socket.gethostname()}-")
    other = first.with_name("erasures-another-00000000.jsonl")
    other.touch()
    assert not journal.is_own(other.name)
    assert journal.own_file(journal.ERASURES) == first
    first.unlink()
    assert journal.own_file(journal.ERASURES) not in (first, other)
    assert not journal.is_own(f"opt-outs-{socket.gethostname()}.jsonl")


def test_a_fragment_of_an_erasure_costs_only_itself(app: Flask, people: People) -> None:
    tell(people.bob.id, Step.INTENT)
    [path] = journal.erasure_files()
    with path.open("ab") as file:
        file.write(b'{"id": "e2", "at": "2026')
    tell(people.bob.id, Step.VOID)
    assert [line.step for line, _ in journal.read_erasures(path, position=0)][-2:] == [Step.INTENT, Step.VOID]


# Open or closed -------------------------------------------------------------------------------------------


def test_it_is_open_in_life_and_costs_one_query(app: Flask, people: People) -> None:
    assert why() == ""
    stop_all(people)
    assert why() == ""
    worker.catch_up()
    remember()
    with statements() as seen:
        assert why() == ""
    assert len([each for each in seen if each.startswith("SELECT")]) == 1


def test_a_new_portal_is_open(app: Flask) -> None:
    assert why() == ""


def test_an_erasure_that_the_database_does_not_know_closes_it(app: Flask, people: People) -> None:
    tell(people.charlie.id, Step.DONE)
    assert why() == ""
    tell(people.bob.id, Step.INTENT)
    tell(people.bob.id, Step.DONE)
    tell(uuid4(), Step.DONE, ident="e2")
    assert why() == "The journals tell of 2 erasures that this database does not know."


@pytest.mark.parametrize(("end", "closed"), [(None, True), (Step.VOID, False)])
def test_one_that_was_begun_and_that_nobody_here_asked_for_closes_it(
    app: Flask, people: People, end: Step | None, closed: bool
) -> None:
    tell(people.bob.id, Step.INTENT)
    if end is not None:
        other = journal.own_file(journal.ERASURES).with_name("erasures-another-00000000.jsonl")
        before = journal.own_file(journal.ERASURES).stat().st_size
        tell(people.bob.id, end)
        own = journal.own_file(journal.ERASURES)
        other.write_bytes(own.read_bytes()[before:])
        own.write_bytes(own.read_bytes()[:before])
    assert bool(why()) is closed


@pytest.mark.parametrize(
    ("state", "closed"),
    [("asked", True), ("approved", True), ("begun", False), ("withdrawn before", True), ("withdrawn after", False)],
)
def test_one_that_was_begun_is_left_to_the_worker_where_a_request_stands(
    app: Flask, people: People, state: str, closed: bool
) -> None:
    now = portal_clock.now()
    with writes():
        asked = requests.file(
            people.bob, "erasure", details="", operation_id="one", via=Door.PAGE, now=now - timedelta(days=9)
        )
        if state in ("approved", "begun"):
            asked.approved_at, asked.state = now - timedelta(days=8), State.WORKING
            for days in (5, 1) if state == "begun" else (5,):  # the first was given up
                at = now - timedelta(days=days)
                db.session.add(RequestStep(request_id=asked.id, step="begun", by="portal", at=at))
        elif state != "asked":
            asked.state = State.WITHDRAWN
            asked.closed_at = now - timedelta(days=8 if state == "withdrawn before" else 1)
    tell(people.bob.id, Step.INTENT, ago=timedelta(days=2))
    assert bool(why()) is closed
    before = remember()
    tell(people.charlie.id, Step.DONE, ident="e9")
    assert remember() == before, "the mark waits before what is begun"


def test_the_marks_follow_and_stop_before_what_is_missing(app: Flask, people: People) -> None:
    path = journal.own_file(journal.ERASURES)
    assert remember() == {path.name: path.stat().st_size}
    whole = path.stat().st_size
    tell(people.bob.id, Step.DONE)
    assert remember() == {path.name: whole}
    assert why() != ""


def test_a_journal_that_is_not_what_it_was_closes_it(app: Flask, people: People) -> None:
    remember()
    path = journal.own_file(journal.ERASURES)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    assert "shorter than it was" in why()
    path.rename(path.with_suffix(".kept"))
    assert "of this machine is gone" in why()
    path.with_suffix(".kept").rename(path)
    path.write_bytes(content)
    assert why() == ""


def test_an_empty_folder_closes_it_and_a_fresh_file_does_not_open_it(app: Flask, people: People) -> None:
    with writes():
        db.session.add(JournalMark(file="opt-outs-another-00000000.jsonl", position=10))
    shutil.rmtree(app.config["JOURNAL_DIR"])
    assert "none that this database knows" in why()
    journal.note(people.alice.subject.unsubscribe_reference, SUPPRESS, "yes", door=Door.LINK, at=portal_clock.now())
    assert "none that this database knows" in why()


def test_what_one_machine_has_found_closes_every_machine(
    app: Flask, people: People, run: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each has a folder of its own; only the first one's journal tells of an erasure since the backup."""
    bob, here = people.bob.id, app.config["JOURNAL_DIR"]

    def move_to(name: str, folder: Path | str) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: name)
        app.config["JOURNAL_DIR"] = folder

    first = socket.gethostname()
    remember()
    move_to("second", tmp_path / "second")
    with writes():
        gate.settle()
    move_to(first, here)
    tell(bob, Step.DONE)
    move_to("second", tmp_path / "second")
    assert why() == ""
    move_to(first, here)
    assert run("requests", "list").exit_code == 3
    move_to("second", tmp_path / "second")
    assert why() == "Another machine has a journal of erasures that this database does not know."
    move_to(first, here)
    assert run("erasures", "replay").exit_code == 0
    assert why() == ""
    move_to("second", tmp_path / "second")
    assert why() == ""


# Those who ask --------------------------------------------------------------------------------------------


def test_pages_answer_503_and_an_opt_out_is_taken(
    app: Flask, client: FlaskClient, people: People, clock: time_machine.Traveller
) -> None:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference)
    assert client.get("/").status_code == 200
    tell(people.bob.id, Step.DONE)
    assert client.get("/").status_code == 200, "asked every ten seconds"
    clock.shift(A_MOMENT)
    for path in ("/", "/sign-in", "/desk", "/nothing", f"/unsubscribe/{token}", "/notice"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), path
        assert "putting our records in order" in answer.text
    assert client.post("/sign-in", data={"email": "a@example.org", "password": "x"}).status_code == 503
    assert client.post(f"/unsubscribe/{token}", data={"undo": "everything"}).status_code == 503
    assert client.get("/healthz").status_code == 200
    with client.get("/static/portal.css") as static:
        assert static.status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.get_json()["gate"].startswith("closed: The journals tell of 1 erasure that")
    one_click = client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"})
    assert (one_click.status_code, one_click.text) == (200, "You are unsubscribed.\n")
    assert client.post(f"/unsubscribe/{token}", data={"confirm": "1"}).status_code == 200
    assert len([line for path in journal.files() for line in journal.read(path, position=0)]) == 2
    db.session.rollback()
    assert db.session.scalars(select(ChoiceRow)).all() == []
    untell()
    assert client.get("/").status_code == 200, "asked again at once while closed"
    assert client.get("/readyz").get_json()["status"] == "ok"


def test_a_database_that_does_not_answer_is_no_closed_gate(app: Flask, client: FlaskClient, people: People) -> None:
    """The page meets it itself: here only the gate's own table is away."""
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference)
    with writes():
        db.session.execute(text("ALTER TABLE journal_mark RENAME TO journal_away"))
    try:
        with structlog.testing.capture_logs() as logs:
            assert client.get("/").status_code == 200
            assert client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"}).status_code == 200
        assert {each["event"] for each in logs} == {"gate.not_asked"}
        assert client.get("/readyz").get_json()["database"] == "away"
    finally:
        with writes():
            db.session.execute(text("ALTER TABLE journal_away RENAME TO journal_mark"))
    assert choices.standing(people.alice.id)[SUPPRESS].value == "yes"


def test_ready_says_when_mail_waits_and_when_the_journal_cannot_be_written(
    app: Flask, client: FlaskClient, people: People, clock: time_machine.Traveller
) -> None:
    with writes():
        requests.file(people.bob, "access", details="", operation_id="one", via=Door.PAGE, now=portal_clock.now())
    assert client.get("/readyz").get_json()["status"] == "ok"
    clock.shift(timedelta(minutes=61))
    assert "mail has been waiting" in client.get("/readyz").get_json()["warnings"][-1]
    shutil.rmtree(app.config["JOURNAL_DIR"])
    Path(app.config["JOURNAL_DIR"]).write_text("a file where a folder should be", encoding="utf-8")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["journals"]) == (503, "cannot be written")


def test_commands_refuse_in_one_sentence(app: Flask, run: Runner, people: People, tmp_path: Path) -> None:
    tell(people.bob.id, Step.DONE)
    file = tmp_path / "members.csv"
    file.write_text("email\nnew@example.org\n", encoding="utf-8")
    for words in (
        ("members", "export"),
        ("members", "import", file),
        ("mail", "deliver"),
        ("erasures", "run"),
        ("broadcasts", "filter", "--topic", "events"),
        ("requests", "list"),
        ("retention", "run"),
    ):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (3, ""), words
        assert result.stderr == (
            "The portal is closed. The journals tell of 1 erasure that this database does not know. "
            "`erasures replay` opens it: see docs/restore.md.\n"
        )
    assert run("map", "check").exit_code == 0
    assert run("members", "import", "--help").exit_code == 0
    own = journal.own_file(journal.ERASURES)
    own.rename(own.with_suffix(".kept"))
    own.mkdir()
    result = run("members", "export")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "The journals could not be read (IsADirectoryError): see JOURNAL_DIR.\n"


def test_the_worker_waits(app: Flask, people: People) -> None:
    tell(people.bob.id, Step.DONE)
    db.session.rollback()
    with structlog.testing.capture_logs() as logs:
        told = worker.ask_the_gate(before="")
        assert told == worker.ask_the_gate(before=told)
        untell()
        assert "Another machine" in worker.ask_the_gate(before=told), "no other journal tells of it, and none opens"
        with writes():
            gate.settle()
        assert worker.ask_the_gate(before=told) == ""
    assert [each["event"] for each in logs] == ["gate.closed", "gate.closed", "gate.open"]


def test_a_list_is_filtered_with_the_opt_outs_that_wait(app: Flask, run: Runner, people: People) -> None:
    email = people.bob.email
    journal.note(
        people.bob.subject.unsubscribe_reference,
        SUPPRESS,
        "yes",
        door=Door.ONE_CLICK,
        at=portal_clock.now() - timedelta(minutes=1),
    )
    result = run("broadcasts", "filter", "--topic", "events", stdin=f"email\n{email}\n{people.alice.email}\n")
    assert result.exit_code == 0
    assert [line.split(",")[0] for line in result.stdout.splitlines()[1:]] == [people.alice.email]
