"""Rule: every column says what it holds, and the portal does not start while one says nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, Text

from portal import create_app
from portal.datamap import inventory
from portal.datamap.inventory import MapError
from portal.extensions import Base
from portal.vocabulary import Internal, Keep, Kind, Owned, Owner, Personal, internal, owned, personal
from tests.settings import config_for

# Every column that is said to hold nothing about a person. To add one is a decision: read its reason first.
INTERNAL = {
    "account.id",
    "choice.id",
    "choice.journal_id",
    "data_subject_request.id",
    "data_subject_request.operation_id",
    "email_change.id",
    "event.code",
    "event.ends_on",
    "event.exhibition",
    "event.id",
    "event.name",
    "event.place",
    "event.starts_on",
    "failed_sign_in.id",
    "journal_mark.file",
    "journal_mark.position",
    "limit_counter.count",
    "limit_counter.ends_at",
    "limit_counter.name",
    "link_request.id",
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
    "notice.version",
    "password_link.id",
    "request_step.id",
    "sign_in.id",
    "suppression.id",
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
    "event.name",
    "limit_counter.name",
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
    Table("subject", metadata, Column("id", Integer, primary_key=True, info=who), info=owned(Owner.SUBJECT, "id"))
    key: Column[object] = Column("id", Integer, primary_key=True, info=internal("key"))
    Table("stray", metadata, key, *columns, info=owned(Owner.NOBODY, reason="a thing") if info is None else info)
    return metadata


def to_subject(**info: object) -> Column[object]:
    note = info or personal("Number", Kind.TRAIL, "rights")
    return Column("subject_id", Integer, ForeignKey("subject.id"), info=note)


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
    "an owner through no table": (made(info=owned(Owner.THROUGH, "id")), "refers to no table"),
}


@pytest.mark.parametrize("hole", HOLES)
def test_a_hole_is_named(hole: str) -> None:
    metadata, words = HOLES[hole]
    (problem,) = inventory.problems(metadata)
    assert words in problem
    with pytest.raises(MapError, match=re.escape(problem)):
        inventory.check(metadata)


def test_a_whole_map_passes() -> None:
    inventory.check(made(Column("a", String(5), info=internal("a thing"))))
    inventory.check(made(to_subject(), info=owned(Owner.SUBJECT, "subject_id")))


def test_all_holes_are_named_at_once() -> None:
    with pytest.raises(MapError) as raised:
        inventory.check(made(Column("a", String(5)), Column("b", String(5)), info={}))
    assert [word in str(raised.value) for word in ("stray.a", "stray.b", "table stray")] == [True, True, True]


def test_the_portal_does_not_start_with_a_hole(tmp_path: Path) -> None:
    stray = Table("stray", Base.metadata, Column("shoe_size", String(5)), info=owned(Owner.NOBODY, reason="a thing"))
    try:
        with pytest.raises(MapError, match=r"stray\.shoe_size says nothing"):
            create_app(config_for("sqlite://", tmp_path))
    finally:
        Base.metadata.remove(stray)
