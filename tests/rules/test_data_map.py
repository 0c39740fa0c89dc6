"""Rule: every column says what it holds, and the portal does not start while one says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Column, Date, ForeignKey, Integer, MetaData, String, Table, Text, text

from portal import create_app
from portal.datamap import inventory
from portal.datamap.inventory import MapError
from portal.extensions import Base, db, transaction
from portal.purposes import Period
from portal.vocabulary import Erase, Internal, Keep, Kind, Owned, Owner, Personal, internal, owned, personal
from tests.conftest import Runner
from tests.people import People
from tests.settings import config_for

# Every column that is said to hold nothing about a person. To add one is a decision: read its reason first.
INTERNAL = {
    "account.id",
    "ask.id",
    "bounce.id",
    "broadcast.created_at",
    "broadcast.dated_at",
    "broadcast.ended_at",
    "broadcast.html",
    "broadcast.id",
    "broadcast.not_sent",
    "broadcast.people",
    "broadcast.refused",
    "broadcast.sent",
    "broadcast.state",
    "broadcast.text",
    "broadcast.title",
    "broadcast.topic",
    "broadcast.unsubscribed",
    "choice.id",
    "choice.journal_id",
    "data_subject_request.id",
    "data_subject_request.operation_id",
    "disclosure.doubtful",
    "disclosure.id",
    "email_change.id",
    "erasure_line.id",
    "event.anonymous",
    "event.code",
    "event.ends_on",
    "event.exhibition",
    "event.id",
    "event.name",
    "event.place",
    "event.starts_on",
    "failed_sign_in.id",
    "former_address.id",
    "former_value.id",
    "former_value.version",
    "import_conflict.id",
    "journal_mark.file",
    "journal_mark.position",
    "limit_counter.count",
    "limit_counter.ends_at",
    "limit_counter.name",
    "link_request.id",
    "list_release.approved_at",
    "list_release.audience",
    "list_release.event_id",
    "list_release.filed_at",
    "list_release.id",
    "list_release.operation_id",
    "list_release.people",
    "list_release.recipient",
    "list_release.released_at",
    "list_step.id",
    "member.version",
    "message.attempts",
    "message.due_at",
    "message.id",
    "message.lease_by",
    "message.lease_until",
    "notice.change",
    "notice.effective_on",
    "notice.published_at",
    "notice.text",
    "notice.told_at",
    "notice.version",
    "password_link.id",
    "recognition.id",
    "recognition.left_at",
    "recognition.taken_down_at",
    "recovery_code.id",
    "request_step.id",
    "request_task.id",
    "sign_in.id",
    "suppression.id",
    "suspension.id",
    "trail.id",
}

# What such a column is usually about, by a word of its name.
TELLING = re.compile(
    r"(^|_)(name|names|email|mail|address|addresses|phone|mobile|fax|birth|born|age|gender|ip|network|agent|browser"
    r"|device|location|city|country|text|note|notes|comment|comments|remark|message|details|description|title|body"
    r"|subject|member|person|user|owner|sender|recipient|by|reason|answer|value|photo|url|link)(_|$)"
)
# Columns whose name tells of a person and whose content does not.
TELLING_OF_NOBODY = {
    "broadcast.text",
    "broadcast.title",
    "event.name",
    "limit_counter.name",
    "list_release.recipient",  # an organisation
    "message.lease_by",
    "notice.text",
}


def columns() -> Iterator[tuple[str, Column[object]]]:
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            yield f"{table.name}.{column.name}", column


def internal_columns() -> dict[str, Column[object]]:
    return {name: column for name, column in columns() if isinstance(column.info.get("note"), Internal)}


def test_the_map_has_no_holes() -> None:
    assert inventory.problems(Base.metadata) == []


def test_every_column_is_classified() -> None:
    """Asked without the inventory, so that a fault of the inventory is seen."""
    silent = [name for name, column in columns() if not isinstance(column.info.get("note"), Personal | Internal)]
    assert silent == [], "write info=personal(label, kind, purposes…) or info=internal(reason)"


def test_internal_columns_are_these() -> None:
    assert internal_columns().keys() == INTERNAL, (
        "if the column says nothing about anybody, not even together with its row, add it to INTERNAL;"
        " otherwise write personal(…)"
    )


def test_a_telling_name_is_not_internal() -> None:
    telling = {name for name, column in internal_columns().items() if TELLING.search(column.name)}
    assert telling == TELLING_OF_NOBODY, "write personal(…); free text, names, addresses and browsers are personal"


def test_free_text_in_a_persons_row_is_not_internal() -> None:
    found = [
        name
        for name, column in internal_columns().items()
        if (isinstance(column.type, Text) or (getattr(column.type, "length", None) or 0) > 100)
        and _owner(column.table).how is not Owner.NOBODY
    ]
    assert found == [], "write personal(…): whoever fills it may write anything"


def test_a_reference_to_a_person_is_not_internal() -> None:
    found = [
        name
        for name, column in internal_columns().items()
        if any(_owner(key.column.table).how is not Owner.NOBODY for key in column.foreign_keys)
    ]
    assert found == [], "write personal(…): the column leads to a person"


def _owner(table: Table) -> Owned:
    declared = inventory.owner(table)
    assert declared is not None, table.name
    return declared


def test_every_kept_value_has_a_reason_and_an_end() -> None:
    found = [
        entry.name
        for entry in inventory.entries(Base.metadata)
        if isinstance(entry.note.erase, Keep) and not (entry.note.erase.reason and entry.note.erase.days > 0)
    ]
    assert found == [], "write Keep(reason, days)"


def test_a_table_that_is_nobodys_holds_and_leads_to_nothing_personal() -> None:
    nobodys = {table for table in Base.metadata.sorted_tables if _owner(table).how is Owner.NOBODY}
    personal_there = [entry.name for entry in inventory.entries(Base.metadata) if entry.table in nobodys]
    leading = [
        f"{table.name} -> {key.column.table.name}"
        for table in nobodys
        for key in table.foreign_keys
        if key.column.table not in nobodys
    ]
    assert (personal_there, leading) == ([], []), "say whose row it is: info=owned(Owner.…)"


def test_every_owner_is_found_by_walking_the_foreign_keys() -> None:
    """From each table that is somebody's, the declared columns lead to `subject`, or the row is found by an address."""
    for table in Base.metadata.sorted_tables:
        seen = [table.name]
        here, declared = table, _owner(table)
        while declared.how is Owner.THROUGH:
            (key,) = here.columns[declared.column].foreign_keys
            here = key.column.table
            declared = _owner(here)
            assert here.name not in seen, f"{' -> '.join(seen)} -> {here.name} goes in a circle"
            seen.append(here.name)
        assert len(seen) == 1 or declared.how is Owner.SUBJECT, f"{' -> '.join(seen)} ends at nobody"


# The check itself -----------------------------------------------------------------------------------------


def made(*columns: Column[object], info: dict[str, object] | None = None) -> MetaData:
    """A small schema: people, and one table `stray` with an own key and these columns."""
    metadata = MetaData()
    who = personal("Number", Kind.TRAIL, "rights")
    kept = personal("Number", Kind.TRAIL, "rights", erase=Keep("for a test", 1))
    Table("subject", metadata, Column("id", Integer, primary_key=True, info=kept), info=owned(Owner.SUBJECT, "id"))
    Table(
        "other",
        metadata,
        Column("id", ForeignKey("subject.id"), primary_key=True, info=who),
        info=owned(Owner.SUBJECT, "id"),
    )
    key: Column[object] = Column("id", Integer, primary_key=True, info=internal("key"))
    Table("stray", metadata, key, *columns, info=owned(Owner.NOBODY, reason="a thing") if info is None else info)
    return metadata


def to_subject(*, nullable: bool = True, **info: object) -> Column[object]:
    note = info or personal("Number", Kind.TRAIL, "rights")
    return Column("subject_id", Integer, ForeignKey("subject.id"), nullable=nullable, info=note)


KEPT = Keep("for a test", 1)


def noted(name: str, type_: type[object], erase: Erase | Keep, *, nullable: bool = False) -> Column[object]:
    return Column(name, type_, nullable=nullable, info=personal("A", Kind.ABOUT, "rights", erase=erase))  # type: ignore[arg-type]


OURS = owned(Owner.SUBJECT, "subject_id")

HOLES = {
    "a column without a note": (made(Column("shoe_size", String(5))), "stray.shoe_size says nothing"),
    "an internal column without a reason": (made(Column("a", String(5), info=internal(""))), "stray.a: internal()"),
    "no purpose": (made(Column("a", String(5), info=personal("A", Kind.ABOUT))), "stray.a: name at least one"),
    "an unknown purpose": (
        made(Column("a", String(5), info=personal("A", Kind.ABOUT, "world-domination"))),
        "as it stands in portal/purposes.py",
    ),
    "a table that says nothing": (made(info={}), "table stray does not say whose row it is"),
    "nobody's table without a reason": (made(info=owned(Owner.NOBODY)), "needs a reason"),
    "nobody's table that leads to a person": (
        made(to_subject()),
        "claims to be nobody's and refers to a person by subject_id",
    ),
    "an owner column that is not there": (made(info=owned(Owner.SUBJECT, "member_id")), "does not have: member_id"),
    "an owner column that leads to nobody": (made(info=owned(Owner.SUBJECT, "id")), "does not refer to subject"),
    "a day to tell that is not there": (
        made(to_subject(), info=owned(Owner.SUBJECT, "subject_id", told="told_on")),
        "table stray names a day to tell that it does not have: told_on",
    ),
    "an owner through no table": (made(info=owned(Owner.THROUGH, "id")), "refers to no table"),
    "Keep beside DETACH": (
        made(to_subject(), noted("a", String, KEPT), noted("b", String, Erase.DETACH), info=OURS),
        "table stray mixes Keep and DETACH (b): a row stays under its random number or without an owner, so write",
    ),
    "DETACH with an owner column that cannot be empty": (
        made(to_subject(nullable=False), noted("a", String, Erase.DETACH), info=OURS),
        "stray.subject_id: DETACH empties the owner column, so write it as Mapped[… | None]",
    ),
    "what is deleted in a row that stays and cannot be empty": (
        made(to_subject(), noted("a", String, KEPT), noted("b", Date, Erase.DELETE), info=OURS),
        "stray.b: DELETE in a row that stays empties it, so write it as Mapped[… | None]",
    ),
    "what is kept and refers to what goes": (
        made(
            to_subject(),
            noted("a", String, KEPT),
            Column("other_id", ForeignKey("other.id"), info=personal("A", Kind.ABOUT, "rights", erase=KEPT)),
            info=OURS,
        ),
        "stray.other_id stays and refers to other, whose rows go",
    ),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_named(hole: str) -> None:
    metadata, words = HOLES[hole]
    (problem,) = inventory.problems(metadata, periods={})
    assert words in problem
    with pytest.raises(MapError, match=re.escape(problem)):
        inventory.check(metadata, periods={})


def test_a_whole_map_passes() -> None:
    inventory.check(made(Column("a", String(5), info=internal("a thing"))), periods={})
    inventory.check(made(to_subject(), info=OURS), periods={})
    inventory.check(made(to_subject(), noted("a", String, Erase.DETACH), info=OURS), periods={})
    inventory.check(
        made(
            to_subject(nullable=False, **personal("Number", Kind.TRAIL, "rights", erase=KEPT)),
            noted("a", String, KEPT),
            noted("b", String, Erase.DELETE),
            noted("c", Date, Erase.DELETE, nullable=True),
            info=OURS,
        ),
        periods={},
    )


@pytest.mark.parametrize(
    ("period", "words"),
    [
        (Period("", "strays", "a", 1, ""), "there is no table strays"),
        (Period("", "stray", "b", 1, ""), "there is no column stray.b"),
        (Period("", "stray", "subject.born_on", 1, ""), "there is no column subject.born_on"),
        (Period("", "stray", "nobody.a", 1, ""), "there is no column nobody.a"),
        (Period("", "stray", "subject.id", 1, "", ("a", "c")), "there is no column stray.c"),
    ],
)
def test_a_period_of_what_is_not_there_is_named(period: Period, words: str) -> None:
    metadata = made(Column("a", String(5), info=internal("a thing")))
    (problem,) = inventory.problems(metadata, periods={"ours": period})
    assert problem.startswith(f"period ours: {words}; write one that is in")
    assert inventory.problems(metadata, periods={"ours": Period("", "stray", "subject.id", 1, "", ("a",))}) == []


@pytest.mark.parametrize(("reason", "days"), [("", 30), ("  ", 30), ("proof", 0), ("proof", -1)])
def test_keep_without_a_reason_and_an_end_cannot_be_said(reason: str, days: int) -> None:
    with pytest.raises(ValueError, match=r"write Keep\(reason, days\)"):
        Keep(reason, days)


def test_all_holes_are_named_at_once() -> None:
    with pytest.raises(MapError) as raised:
        inventory.check(made(Column("a", String(5)), Column("b", String(5)), info={}), periods={})
    assert [word in str(raised.value) for word in ("stray.a", "stray.b", "table stray")] == [True, True, True]


def test_the_portal_does_not_start_with_a_hole(tmp_path: Path) -> None:
    stray = Table("stray", Base.metadata, Column("shoe_size", String(5)), info=owned(Owner.NOBODY, reason="a thing"))
    try:
        with pytest.raises(MapError, match=r"stray\.shoe_size says nothing"):
            create_app(config_for("sqlite://", tmp_path))
    finally:
        Base.metadata.remove(stray)


STRAY = {
    "ALTER TABLE member ADD secret_note VARCHAR(20)": (
        "member.secret_note is in the database and in no model: write it there with info=personal(",
        "ALTER TABLE member DROP COLUMN secret_note",
    ),
    "CREATE TABLE shoe (size INTEGER)": ("table shoe is in the database and in no model", "DROP TABLE shoe"),
}


@pytest.mark.parametrize("added", STRAY)
def test_the_portal_serves_nothing_beside_what_no_model_knows(
    people: People, client: FlaskClient, run: Runner, added: str
) -> None:
    """What a migration added without a word stops `/readyz`, the server, the worker and the check."""
    told, back = STRAY[added]
    assert client.get("/readyz").status_code == 200
    _execute(added)
    try:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert told in answer.get_json()["map"]
        for command in (["serve"], ["worker"], ["map", "check"]):
            refused = run(*command)
            assert (refused.exit_code, told in refused.stderr) == (1, True), (command, refused.stderr)
    finally:
        _execute(back)
    assert run("map", "check").exit_code == 0


def test_a_database_that_waits_for_a_migration_is_not_judged(people: People) -> None:
    lacking = MetaData()
    Base.metadata.tables["subject"].to_metadata(lacking)
    with db.engine.connect() as connection:
        assert "member" in " ".join(inventory.unknown(lacking, connection))
        Table("later", lacking, Column("id", Integer))
        assert inventory.unknown(lacking, connection) == []


def _execute(statement: str) -> None:
    db.session.rollback()
    with transaction():
        db.session.execute(text(statement))
