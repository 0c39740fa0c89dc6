"""The map itself: every column of every table with its note, and the check that none is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, MetaData, Table

from portal.purposes import PURPOSES
from portal.vocabulary import Edit, Internal, Owned, Owner, Personal


class MapError(Exception):
    """The map has holes; the message names each and says what to write."""


@dataclass(frozen=True)
class Entry:
    """One personal column: where it is and what its note says."""

    table: Table
    column: Column[Any]
    note: Personal

    @property
    def name(self) -> str:
        """As in `member.first_name`."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def length(self) -> int | None:
        """The most characters that fit; None where the type has no limit."""
        return getattr(self.column.type, "length", None)


def entries(metadata: MetaData, *, edit: Edit | None = None, table: str | None = None) -> Iterator[Entry]:
    """The personal columns, in the order in which tables and columns are declared."""
    for each in metadata.tables.values():
        if table is not None and each.name != table:
            continue
        for column in each.columns:
            note = column.info.get("note")
            if isinstance(note, Personal) and (edit is None or note.edit is edit):
                yield Entry(each, column, note)


def owner(table: Table) -> Owned | None:
    """How the table's rows find their person."""
    found = table.info.get("owned")
    return found if isinstance(found, Owned) else None


def problems(metadata: MetaData) -> list[str]:
    """Every hole in the map, as sentences that say what to write."""
    return [
        problem for table in metadata.tables.values() for problem in (*_table_problems(table), *_column_problems(table))
    ]


def check(metadata: MetaData) -> None:
    """Raise MapError if a column or a table says nothing: the portal then does not start."""
    found = problems(metadata)
    if found:
        raise MapError("The data map has holes:\n" + "\n".join(f"  - {text}" for text in found))


def _column_problems(table: Table) -> Iterator[str]:
    for column in table.columns:
        name = f"{table.name}.{column.name}"
        note = column.info.get("note")
        if isinstance(note, Internal):
            if not note.reason:
                yield f"{name}: internal() needs a reason"
        elif not isinstance(note, Personal):
            yield f"{name} says nothing: write info=personal(label, kind, purposes…) or info=internal(reason)"
        elif not note.purposes or any(purpose not in PURPOSES for purpose in note.purposes):
            yield f"{name}: name at least one purpose, each as it stands in portal/purposes.py"


def _table_problems(table: Table) -> Iterator[str]:
    declared = owner(table)
    to_people = {key.parent.name for key in table.foreign_keys if key.column.table.name in ("subject", "member")} | (
        {"id"} if table.name == "subject" else set()
    )
    if declared is None:
        yield f"table {table.name} does not say whose row it is: write info=owned(Owner.…) in __table_args__"
    elif declared.how is Owner.NOBODY:
        if to_people:
            yield f"table {table.name} claims to be nobody's and refers to a person by {', '.join(sorted(to_people))}"
        if not declared.reason:
            yield f"table {table.name}: a table that is nobody's needs a reason"
    elif declared.column not in table.columns:
        yield f"table {table.name} names an owner column that it does not have: {declared.column}"
    elif declared.how is Owner.SUBJECT and declared.column not in to_people:
        yield f"table {table.name}: {declared.column} does not refer to subject or member"
    elif declared.how is Owner.THROUGH and not table.columns[declared.column].foreign_keys:
        yield f"table {table.name}: {declared.column} refers to no table"
