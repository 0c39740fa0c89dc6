"""The map itself: every column of every table with its note, and the check that none is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect

from portal.purposes import PERIODS, PURPOSES, Period
from portal.vocabulary import Erase, Internal, Keep, Owned, Owner, Personal

ALEMBICS = "alembic_version"  # its own table: a number


class MapError(Exception):
    """The map has holes; the message names each and says what to write."""


@dataclass(frozen=True)
class Entry:
    """One personal column: where it is and what its note says."""

    table: Table
    column: Column[Any]
    note: Personal

    @cached_property
    def name(self) -> str:
        """As in `member.first_name`."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def length(self) -> int | None:
        """The most characters that fit; None where the type has no limit."""
        return getattr(self.column.type, "length", None)


def entries(metadata: MetaData) -> Iterator[Entry]:
    """The personal columns, in the order in which tables and columns are declared."""
    for table in metadata.tables.values():
        yield from noted(table)


@lru_cache(maxsize=1024)
def noted(table: Table) -> tuple[Entry, ...]:
    """The personal columns of one table, as they are declared."""
    return tuple(
        Entry(table, column, note) for column in table.columns if isinstance(note := column.info.get("note"), Personal)
    )


def owner(table: Table) -> Owned | None:
    """How the table's rows find their person."""
    found = table.info.get("owned")
    return found if isinstance(found, Owned) else None


def owner_column(table: Table) -> Column[Any]:
    """The column by which the table's rows find their person; KeyError where there is none."""
    declared = owner(table)
    return table.columns[declared.column if declared else ""]


class Fate(StrEnum):
    """What an erasure does with a table's rows, as the notes of its columns say together; see `vocabulary.Erase`."""

    GOES = "goes"
    DETACHED = "stays without its owner"
    STAYS = "stays under a random number"


def fate(table: Table) -> Fate:
    """What becomes of a person's rows of this table."""
    said = [each.info["note"].erase for each in table.columns if isinstance(each.info.get("note"), Personal)]
    if any(isinstance(each, Keep) for each in said):
        return Fate.STAYS
    return Fate.DETACHED if Erase.DETACH in said else Fate.GOES


def _goes(table: Table) -> bool:
    """Whether a person's rows of this table go in an erasure; what is nobody's stays."""
    declared = owner(table)
    return declared is not None and declared.how is not Owner.NOBODY and fate(table) is Fate.GOES


def problems(metadata: MetaData, *, periods: Mapping[str, Period] = PERIODS) -> list[str]:
    """Every hole in the map, as sentences that say what to write."""
    holes = [
        problem
        for table in metadata.tables.values()
        for problem in (*_table_problems(table), *_column_problems(table), *_erasure_problems(table))
    ]
    return holes + [problem for code, period in periods.items() for problem in _period_problems(code, period, metadata)]


def check(metadata: MetaData, *, periods: Mapping[str, Period] = PERIODS) -> None:
    """Raise MapError if a column or a table says nothing: the portal then does not start."""
    found = problems(metadata, periods=periods)
    if found:
        raise MapError("The data map has holes:\n" + "\n".join(f"  - {text}" for text in found))


def unknown(metadata: MetaData, connection: Connection) -> list[str]:
    """What stands in the database and in no model, as sentences that say what to write.

    Nothing is said while the database lacks what the models know: it waits for a migration.
    """
    there = {
        name: {column["name"] for column in columns}
        for (_, name), columns in inspect(connection).get_multi_columns().items()
        if name != ALEMBICS
    }
    known = {name: {column.name for column in table.columns} for name, table in metadata.tables.items()}
    if any(columns - there.get(name, set()) for name, columns in known.items()):
        return []
    tables = [
        f"table {name} is in the database and in no model: write a model with info=owned(Owner.…) and a note on each"
        " column, or drop it by a migration"
        for name in sorted(there.keys() - known.keys())
    ]
    return tables + [
        f"{name}.{column} is in the database and in no model: write it there with info=personal(label, kind, purposes…)"
        " or info=internal(reason), or drop it by a migration"
        for name, columns in sorted(known.items())
        for column in sorted(there[name] - columns)
    ]


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
    elif declared.told and declared.told not in table.columns:
        yield f"table {table.name} names a day to tell that it does not have: {declared.told}"
    elif declared.how is Owner.SUBJECT and declared.column not in to_people:
        yield f"table {table.name}: {declared.column} does not refer to subject or member"
    elif declared.how is Owner.THROUGH and not table.columns[declared.column].foreign_keys:
        yield f"table {table.name}: {declared.column} refers to no table"


def _erasure_problems(table: Table) -> Iterator[str]:
    """What the notes ask of an erasure and the table cannot do."""
    noted = {column: note for column in table.columns if isinstance(note := column.info.get("note"), Personal)}
    become = fate(table)
    detached = [column.name for column, note in noted.items() if note.erase is Erase.DETACH]
    declared = owner(table)
    if become is Fate.STAYS and detached:
        yield (
            f"table {table.name} mixes Keep and DETACH ({', '.join(detached)}): a row stays under its random number or"
            " without an owner, so write the same for all that stays"
        )
    if become is Fate.DETACHED and declared is not None and declared.column in table.columns:
        key = table.columns[declared.column]
        if not key.nullable or key.primary_key:
            yield f"{table.name}.{key.name}: DETACH empties the owner column, so write it as Mapped[… | None]"
    if become is Fate.GOES:
        return
    owned_by = declared.column if become is Fate.DETACHED and declared is not None else ""
    for column, note in noted.items():
        for parent in [key.column.table for key in column.foreign_keys if key.column.table is not table]:
            if note.erase is not Erase.DELETE and column.name != owned_by and _goes(parent):
                yield (
                    f"{table.name}.{column.name} stays and refers to {parent.name}, whose rows go:"
                    " refer to subject, or write erase=Erase.DELETE and Mapped[… | None]"
                )
    for column, note in noted.items():
        if (
            column.name != owned_by
            and note.erase is Erase.DELETE
            and not (column.nullable or isinstance(column.type, String))
        ):
            yield f"{table.name}.{column.name}: DELETE in a row that stays empties it, so write it as Mapped[… | None]"


def _period_problems(code: str, period: Period, metadata: MetaData) -> Iterator[str]:
    if period.table not in metadata.tables:
        yield f"period {code}: there is no table {period.table}; write one that is in portal/models"
        return
    for name in (period.after, *period.clears):
        table, _, column = name.rpartition(".")
        there = metadata.tables.get(table or period.table)
        if there is None or column not in there.columns:
            yield f"period {code}: there is no column {table or period.table}.{column}; write one that is in the table"
