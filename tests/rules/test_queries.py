"""What pages ask of the database: seldom, and never by reading through a table that grows with the membership."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from portal import clock
from portal.datamap import inventory
from portal.domain import erasures, requests, signin
from portal.extensions import Base, db
from portal.vocabulary import Door, Owner
from tests.browse import Browse
from tests.databases import writes
from tests.people import People
from tests.rows import fill
from tests.rules.test_get_never_writes import looks

__all__ = ["looks"]  # a fixture

MOST = 3
MEMBERS_PAGES = (
    "/",
    "/profile",
    "/profile/edit",
    "/choices",
    "/events",
    "/requests",
    "/requests/new",
    "/history",
    "/security",
)
# Tables with a row or more for each member, request or message: all that belong to somebody.
GROWING = {
    name
    for name, table in Base.metadata.tables.items()
    if (own := inventory.owner(table)) is not None and own.how is not Owner.NOBODY
}

# Indexes of what waits for somebody: reading one to its end reads no more than that.
WHAT_WAITS = {
    index.name
    for table in Base.metadata.tables.values()
    for index in table.indexes
    if index.dialect_options["sqlite"]["where"] is not None and index.name != "ix_choice_usual"
}


@contextmanager
def asked() -> Iterator[list[tuple[str, Any]]]:
    """The statements put to the database while it stands, with their values; those of transactions apart."""
    found: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if re.match(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", statement, re.I):
            found.append((statement, values))

    event.listen(db.engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        event.remove(db.engine, "before_cursor_execute", listen)


def test_a_members_page_asks_little(browse: Browse, people: People) -> None:
    """Three questions at most, that for the sign-in included; /held one a table. An erasure shows its plan besides."""
    with writes():
        fill(people)
        asked_for = requests.file(
            people.alice, "question", details="Why?", operation_id="q", via=Door.PAGE, now=clock.now()
        ).reference
    browse.sign_in(people.alice)
    counts: dict[str, int] = {}
    for path in (*MEMBERS_PAGES, f"/requests/{asked_for}", "/held"):
        browse(path)  # what is asked once a minute, or for the first time
        with asked() as found, browse.client.open(path, base_url=browse.base) as answer:
            assert answer.status_code == 200
        counts[path] = len(found)
    assert counts.pop("/held") <= len(Base.metadata.tables)
    assert {path: count for path, count in counts.items() if count > MOST} == {}


@pytest.mark.parametrize("who", ["alice", "dana", None])
def test_every_question_is_answered_by_an_index(browse: Browse, people: People, looks: list[str], who: str) -> None:
    if who is None:
        browse("/", as_=None)
    else:
        browse.sign_in(getattr(people, who))
    through: dict[str, set[str]] = {}
    known: set[str] = set()
    for path in looks:
        with asked() as found, browse.client.open(path, base_url=browse.base) as answer:
            answer.get_data()
        for statement, values in found:
            if statement not in known:
                known.add(statement)
                for step in plan(statement, values):
                    through.setdefault(f"{step} | {' '.join(statement.split())[:3000]}", set()).add(path)
    assert {step: sorted(paths)[:2] for step, paths in through.items()} == {}


def test_an_address_is_found_by_an_index(people: People) -> None:
    """Whoever signs in, asks for a link or gives another address: members and staff are two looks, not one join."""
    address = people.dana.address
    db.session.rollback()
    with asked() as found:
        assert signin.prove(address, "not the password") is None
        assert signin.find_account(address) is not None
    db.session.rollback()
    assert [step for statement, values in found for step in plan(statement, values)] == []


def test_what_an_erasure_would_do_is_told_by_few_questions(people: People) -> None:
    """Somebody waits for it: all counts are one question, and each is answered by an index."""
    with writes():
        fill(people)
    with asked() as found:
        erasures.plan(people.alice.id, now=clock.now())
    db.session.rollback()
    assert len(found) <= 15
    assert [step for statement, values in found for step in plan(statement, values)] == []


def plan(statement: str, values: Any) -> list[str]:
    """Steps of a statement's plan that read through a growing table."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            steps = [str(row[3]) for row in rows]
            aliases = dict(re.findall(r'\b(?:FROM|JOIN|,)\s+"?(\w+)"?\s+AS\s+"?(\w+)"?', statement))
            return [step for step in steps if scans(step, {alias: table for table, alias in aliases.items()})]
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        steps = [str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values)]
        return [step.strip() for step in steps if (on := re.search(r"Seq Scan on (\w+)", step)) and on[1] in GROWING]


def scans(step: str, tables: dict[str, str]) -> bool:
    """Whether a step of SQLite's plan reads a growing table to its end."""
    found = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    return found is not None and tables.get(found[1], found[1]) in GROWING and found[2] not in WHAT_WAITS
