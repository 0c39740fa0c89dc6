"""Room of what we do: read a file of records that the society keeps elsewhere, each under an id of its own.

For events.csv and recognitions.csv; people have `member_csv`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from portal.domain import values
from portal.domain.csv_file import Row
from portal.domain.import_store import Difference, Run
from portal.models.member import SHORT

Value = str | date | bool
Reader = Callable[[str], Value]
LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its line, its id, and what it brings; an empty cell brings nothing."""

    line: int
    key: str
    values: Mapping[str, Value]


def records(rows: Iterable[Row], run: Run, *, key: str, readers: Mapping[str, Reader]) -> Iterator[Record]:
    """The rows that can be read; the others are refused. `key` is the column of the id."""
    for row in rows:
        name = values.line(row.cells.get(key, ""))
        if row.problem:
            run.refuse(row.line, row.problem)
        elif name and run.repeats(f"{key}:{name}"):
            run.refuse(row.line, f"a second row with this {key}")
        else:
            found, problems = _read(row, readers)
            if not name or len(name) > SHORT:
                problems.insert(0, f"{key}: more than {SHORT} characters" if name else f"no {key}")
            if problems:
                run.refuse(row.line, "; ".join(problems))
            else:
                yield Record(row.line, name, found)


def _read(row: Row, readers: Mapping[str, Reader]) -> tuple[dict[str, Value], list[str]]:
    found: dict[str, Value] = {}
    problems: list[str] = []
    for name, read in readers.items():
        cell = row.cells.get(name, "")
        if cell and not cell.isspace():
            try:
                found[name] = read(cell)
            except ValueError as error:
                problems.append(f"{name}: {error}")
    return {name: value for name, value in found.items() if value != ""}, problems


def text(cell: str) -> str:
    """A line of text. Raises ValueError."""
    read = values.line(cell)
    if len(read) > SHORT:
        raise ValueError(f"more than {SHORT} characters")
    return read


def yes_no(cell: str) -> bool:
    """Raises ValueError."""
    return bool(values.yes_no(cell))


def dates_wrong(first: Value | None, last: Value | None) -> str:
    """What is wrong with the days on which something begins and ends; "" where nothing is."""
    if isinstance(first, date) and isinstance(last, date) and last < first:
        return "ends_on: before starts_on"
    return ""


def differences(line: int, stored: object, changes: Mapping[str, Value]) -> list[Difference]:
    """What a dry run tells of a record that is known."""
    return [Difference(line, name, _shown(getattr(stored, name, None)), _shown(new)) for name, new in changes.items()]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
