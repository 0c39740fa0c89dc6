"""Addresses change hands: what each holder sees and loses, and that an old list brings nobody back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select
from time_machine import Traveller

from portal.datamap import erasure, held
from portal.datamap.rows import person
from portal.domain import choices, erasures, members
from portal.extensions import db
from portal.models import EmailChange, FailedSignIn, FormerAddress, LinkRequest, Member, Message, Suppression, Trail
from portal.models.suppression import may_be_mailed
from portal.purposes import SUPPRESS
from portal.tokens import canonical_address, digest, suppression_hash
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import fill

DAY = timedelta(days=1)
OFFICE = "Office@bücher.example.org"
CODE = "retention-of-changes"


def move(member: Member, address: str, *, now: datetime) -> None:
    """By the page: asked, and confirmed from the mailbox."""
    with writes():
        members.ask_email_change(member, address, via=Door.PAGE, now=now)
        change = db.session.scalars(select(EmailChange).order_by(EmailChange.id.desc())).first()
        assert change is not None
        change.confirm_hash = digest(f"{CODE}{change.id}")
        db.session.flush()
        assert members.confirm_email(f"{CODE}{change.id}", now=now) is not None


def seen(member: Member, table: str) -> list[object]:
    """The moments of the rows that the member is shown."""
    db.session.rollback()
    items = held.items(held.collect(member.id, now=NOW), table=table)
    return [item.value for item in items if item.name == f"{table}.at"]


# What each holder sees ------------------------------------------------------------------------------------


def test_an_address_shows_to_each_holder_their_own_time(people: People) -> None:
    """P26: Bob gave the office's address up, and Alice has it now."""
    alice, bob = people.alice, people.bob
    before = bob.email
    move(bob, OFFICE, now=NOW - 40 * DAY)
    move(bob, before, now=NOW - 20 * DAY)
    move(alice, OFFICE, now=NOW - 10 * DAY)
    hers, his = NOW - 5 * DAY, NOW - 30 * DAY
    with writes():
        for at in (his, hers):
            db.session.add(FailedSignIn(address_hash=alice.address_hash, network="203.0.113.0/24", at=at))
            db.session.add(LinkRequest(address=alice.email_key, wanted="password", at=at))
    for table in ("failed_sign_in", "link_request"):
        assert seen(alice, table) == [hers.isoformat()], table
        assert seen(bob, table) == [], f"{table}: it is hers now"
    with writes():
        db.session.add(Suppression(keyed_hash=alice.address_hash, reason="bounced", at=his))
    assert seen(alice, "suppression") == [his.isoformat()], "why she gets no mail, whoever began it"
    assert seen(bob, "suppression") == []
    move(alice, "alice@home.example.org", now=NOW - 2 * DAY)
    assert seen(alice, "failed_sign_in") == [hers.isoformat()]
    assert seen(bob, "failed_sign_in") == [his.isoformat()], "nobody has it now: to each their own time"


# What an erasure silences ---------------------------------------------------------------------------------


def silent() -> set[str]:
    db.session.rollback()
    return set(db.session.scalars(select(Suppression.keyed_hash)))


def test_her_own_address_is_silenced_though_it_once_was_his(people: People) -> None:
    alice, bob = people.alice, people.bob
    before, hers = bob.email, alice.email
    move(bob, OFFICE, now=NOW - 40 * DAY)
    move(bob, before, now=NOW - 20 * DAY)
    move(alice, OFFICE, now=NOW - 10 * DAY)
    ident = alice.id
    looked_for = erasure.needles(person(ident))
    with writes():
        erasure.carry_out(person(ident), now=NOW)
    assert {suppression_hash(canonical_address(each)) for each in (OFFICE, hers)} <= silent()
    assert erasure.verify(looked_for, person(ident)).left == [], "what he had before stays his"
    assert erasure.verify(erasure.needles_left(ident, looked_for.hashes), person(ident)).left == []
    assert db.session.scalars(select(FormerAddress.subject_id)).all() == [bob.id]


def test_what_is_known_by_its_hash_alone_is_silenced_unless_it_is_anothers(people: People) -> None:
    """Long after the changes were forgotten."""
    alice, bob = people.alice, people.bob
    first, second = alice.email, bob.email
    move(bob, "bob@new.example.org", now=NOW - 9 * DAY)
    move(alice, second, now=NOW - 8 * DAY)
    move(alice, OFFICE, now=NOW - 7 * DAY)
    move(bob, second, now=NOW - 6 * DAY)
    move(alice, "alice@desk.example.org", now=NOW - 5 * DAY)
    with writes():
        db.session.execute(EmailChange.__table__.delete())  # type: ignore[attr-defined]
        db.session.add(FailedSignIn(address_hash=suppression_hash(canonical_address(first)), network="", at=NOW))
    with writes():
        erasure.carry_out(person(alice.id), now=NOW)
    names = {suppression_hash(canonical_address(each)) for each in (first, OFFICE, "alice@desk.example.org")}
    assert names <= silent()
    assert bob.address_hash not in silent()
    assert db.session.scalars(select(FailedSignIn)).all() == []


def test_what_was_typed_in_another_form_goes_too(people: People) -> None:
    """IDN: `bücher` and `xn--bcher-kva` are one domain."""
    move(people.alice, "Alice@xn--bcher-kva.example.org", now=NOW - DAY)
    with writes():
        members.ask_email_change(people.bob, "alice@BÜCHER.example.org", via=Door.PAGE, now=NOW)
        for number in range(2):
            to = ("aliCe@Bücher.example.org", "else@example.org")[number]
            db.session.add(
                Message(
                    message_id=f"<{number}@localhost>", subject_id=None, kind="account", name="x", to_address=to,
                    title="", text="", html="", created_at=NOW, due_at=NOW,
                )
            )  # fmt: skip
    with writes():
        erasure.carry_out(person(people.alice.id), now=NOW)
    assert db.session.scalars(select(EmailChange)).all() == []
    left = set(db.session.scalars(select(Message.to_address)))
    assert left == {people.bob.email, "else@example.org"}


# What an old list brings back -----------------------------------------------------------------------------


def bring(run: Runner, folder: Path, text: str) -> str:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8")
    db.session.rollback()
    done = run("members", "import", path)
    assert done.exit_code == 0, done.stderr
    return done.stderr


def mailable() -> set[str]:
    db.session.rollback()
    query = select(Member.email_key).join(Member.subject).where(may_be_mailed("events"))
    return set(db.session.scalars(query))


@pytest.mark.parametrize("door", ["import", "page"])
def test_an_old_list_brings_nobody_back(
    door: str, people: People, run: Runner, clock: Traveller, tmp_path: Path
) -> None:
    """P5, P15: after an opt-out and after an erasure, long after the change of the address was forgotten."""
    bring(run, tmp_path, f"member_id,email\nM-9,{OFFICE}\n")
    carol = db.session.scalars(select(Member).where(Member.member_number == "M-9")).one()
    if door == "import":
        bring(run, tmp_path, "member_id,email\nM-9,carol@new.example.org\n")
    else:
        move(carol, "carol@new.example.org", now=NOW)
        with writes():
            for row in db.session.scalars(select(Trail)):
                row.carried_at = NOW
    with writes():
        choices.change(carol.subject, SUPPRESS, to="yes", via=Door.PAGE, now=NOW)
    clock.shift(100 * DAY)
    assert run("retention", "run").exit_code == 0
    assert db.session.scalars(select(EmailChange)).all() == []
    assert "created 1" in bring(run, tmp_path, f"email\n{OFFICE.upper()}\n")
    key = canonical_address(OFFICE)
    assert key not in mailable()
    with writes():
        erasure.carry_out(person(db.session.scalars(select(Member.id).where(Member.email_key == key)).one()), now=NOW)
        db.session.execute(Suppression.__table__.delete())  # type: ignore[attr-defined]
        erasure.carry_out(person(carol.id), now=NOW)
    assert "held back 1" in bring(run, tmp_path, f"email\n{OFFICE}\n")


def test_an_address_that_came_back_is_no_former_one(people: People) -> None:
    first = people.alice.email
    move(people.alice, OFFICE, now=NOW - 2 * DAY)
    move(people.alice, first, now=NOW - DAY)
    move(people.alice, first.upper(), now=NOW)
    hashes = db.session.scalars(select(FormerAddress.keyed_hash)).all()
    assert hashes == [suppression_hash(canonical_address(OFFICE))]


# Speed ----------------------------------------------------------------------------------------------------


def test_a_plan_finds_rows_by_an_index(people: People) -> None:
    """So that the rows of others cost nothing, on either database."""
    with writes():
        fill(people)
    move(people.alice, OFFICE, now=NOW)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        erasures.plan(people.alice.id, now=NOW)
        held.collect(people.alice.id, now=NOW)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(asked) > 20
    for statement, parameters in asked:
        assert list(_scans(statement, parameters)) == [], statement


def _scans(statement: str, parameters: Any) -> Iterator[str]:
    """The tables of which this would read every row. The index of what waits for nobody in particular is short."""
    if not statement.startswith("SELECT"):
        return
    connection = db.session.connection()
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters):
            if row[3].startswith("SCAN") and not any(each in row[3] for each in ("CONSTANT ROW", "(sub", "nobodys")):
                yield row[3]
        return
    connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    # A handful of rows, once counted, is cheapest read whole, index or not. Until the rollback nobody has counted.
    connection.exec_driver_sql("DELETE FROM pg_statistic")
    connection.exec_driver_sql("UPDATE pg_class SET relpages = 0, reltuples = -1 WHERE relkind = 'r'")
    found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    nodes = [(json.loads(found) if isinstance(found, str) else found)[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        whole = "Index" in node["Node Type"] and "Index Cond" not in node
        if node["Node Type"] == "Seq Scan" or (whole and node["Index Name"] != "ix_message_nobodys"):
            yield f"{node['Node Type']} {node.get('Relation Name') or node.get('Index Name')}"
