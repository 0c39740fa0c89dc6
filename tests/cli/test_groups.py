"""What a command says when the database refuses: one sentence without anybody's data, and exit 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from portal.cli import COMMANDS
from portal.cli import members as commands
from portal.cli.groups import Group
from portal.domain import imports, members
from portal.domain.import_store import Chunk, Run, write
from portal.extensions import db
from portal.models import Member, Message
from tests.conftest import Runner
from tests.databases import writes
from tests.people import member

ROW = "M-7,grace.secret@mail.example.org,Grace,Hopperson"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "members.csv"
    path.write_text(f"member_id,email,first_name,last_name\n{ROW}\n", encoding="utf-8")
    return path


def is_calm(told: str) -> None:
    """No trace, nobody's data, and nothing in the database's own words."""
    for word in ("Traceback", "sqlalchemy", "DETAIL", "UNIQUE", "INSERT", "SELECT", "hmac", *ROW.split(",")):
        assert word not in told, told


@contextmanager
def somebody_else_writes() -> Iterator[None]:
    """For longer than a command waits."""
    with db.engine.connect() as other:  # its own BEGIN is IMMEDIATE on SQLite
        postgres = other.dialect.name == "postgresql"
        other.execute(text("LOCK TABLE member IN ACCESS EXCLUSIVE MODE" if postgres else "SELECT 1"))
        yield
        other.rollback()


def people() -> int:
    db.session.rollback()
    return db.session.execute(select(func.count(Member.id))).scalar_one()


@pytest.mark.parametrize("words", [("members", "import"), ("desk", "add")])
def test_a_busy_database_is_one_sentence_and_nothing_done(run: Runner, file: Path, words: tuple[str, str]) -> None:
    with somebody_else_writes():
        result = run(*words, file if "import" in words else "helper@desk.example.org")
    assert result.exit_code == 3
    assert "(OperationalError): it is away, busy" in result.stderr
    is_calm(result.output)
    assert people() == 0
    assert db.session.scalars(select(Message)).all() == []


def test_two_imports_of_one_file_end_in_one_sentence(run: Runner, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one has stored the same person between our look and our writing."""

    def too_late(chunk: Chunk, under_way: Run) -> None:
        db.session.add(member(email="grace.secret@mail.example.org"))
        db.session.flush()
        write(chunk, under_way)

    monkeypatch.setattr(imports, "write", too_late)
    result = run("members", "import", file)
    assert result.exit_code == 3
    assert "Somebody else was changing members at the same time. Nothing was changed" in result.stderr
    is_calm(result.output)
    assert people() == 0


def test_invitations_that_were_mailed_are_counted_when_the_rest_fails(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writes():
        db.session.add_all([member(email=f"{name}@mail.example.org") for name in ("ada", "bo")])
    real, asked = members.invite, []

    def fails_later(member_id: UUID, **given: object) -> bool:
        asked.append(member_id)
        if len(asked) > 1:
            db.session.execute(text("SELECT secret FROM no_such_table"))
        return real(member_id, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(members, "invite", fails_later)
    monkeypatch.setattr(commands, "AT_ONCE", 1)
    result = run("members", "invite", "--all")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == "invited 1"
    is_calm(result.output)
    assert db.session.scalars(select(Message.to_address)).all() == ["ada@mail.example.org"]
    asked.append(asked[0])
    assert run("members", "invite", "--all").exit_code == 3, "nothing at all was done"


def test_every_noun_tells_it_so() -> None:
    assert [each.name for each in COMMANDS if not isinstance(each, Group)] == ["worker", "serve"]
