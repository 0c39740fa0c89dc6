"""Room of what we do: read a CSV file that another system wrote, row by row, without holding it in memory.

For the import verbs. A file that is cut off, not UTF-8 or without a header raises ImportRefused; a row that
cannot be read comes out with the reason, so that the caller counts it as refused.
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from portal.domain.errors import ImportRefused

LONGEST_LINE = 1024 * 1024  # characters
LONGEST_CELL = 128 * 1024  # characters, the limit of the csv module


@dataclass(frozen=True)
class ColumnMap:
    """How another system's columns and words become ours (`--map`, docs/members-csv.md)."""

    columns: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the physical line where it starts, and its cells; or why it cannot be read."""

    line: int
    cells: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True)
class CsvFile:
    """A file whose header has been read. `rows` may be walked once. `columns`: ours that it has."""

    columns: frozenset[str]
    ignored: tuple[str, ...]
    rows: Iterator[Row]


def read_map(path: Path, *, known: Collection[str], choices: Collection[str] = ()) -> ColumnMap:
    """The map in a TOML file. Raises ValueError, as a plain sentence, for a map that does not fit.

    `known` are our columns; `choices` those for which no default may be set, because nobody has chosen it.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"The map cannot be read: {error}") from error
    if odd := sorted(content.keys() - {"columns", "values", "defaults"}):
        raise ValueError(f"The map has [{odd[0]}]; it may have [columns], [values.…] and [defaults].")
    columns = _texts(content.get("columns", {}), "[columns]")
    _check_known(columns.values(), known, "[columns]")
    if len(set(columns.values())) < len(columns):
        raise ValueError("The map gives one of our columns to two columns of the file.")
    tables = content.get("values", {})
    if not isinstance(tables, dict):
        raise ValueError("The map's values stand under the name of a column, such as [values.kind].")
    _check_known(tables, known, "[values.…]")
    words = {name: _texts(table, f"[values.{name}]") for name, table in tables.items()}
    defaults = _texts(content.get("defaults", {}), "[defaults]")
    _check_known(defaults, known, "[defaults]")
    for_empty = {name for name, table in words.items() if "" in map(str.strip, table)}  # a default by another name
    if chosen := sorted((defaults.keys() | for_empty) & set(choices)):
        raise ValueError(f"The map has a default for {chosen[0]}: a choice is made by the person, never by default.")
    return ColumnMap(
        {_heading(name): ours for name, ours in columns.items()},
        {name: {word.strip().lower(): ours for word, ours in table.items()} for name, table in words.items()},
        defaults,
    )


def _texts(table: object, where: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise ValueError(f"In {where} of the map, each line is a name and a text in quotation marks.")
    return table


def _check_known(names: Collection[str], known: Collection[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where} of the map names {name!r}, which is not one of our columns.")


def _heading(cell: str) -> str:
    return cell.strip().lower()


@contextmanager
def open_csv(
    stream: BinaryIO,
    *,
    known: Collection[str],
    needed: Collection[str],
    column_map: ColumnMap | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[CsvFile]:
    """Read the header; rows follow as they are asked for, and the stream stays open. `progress` hears the bytes read.

    Raises ImportRefused, here or while the rows are walked.
    """
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="")
    try:
        columns, ignored, rows = _opened(text, known, needed, column_map or ColumnMap())
        yield CsvFile(columns, ignored, _told(rows, stream, progress) if progress and stream.seekable() else rows)
    finally:
        text.detach()


def _opened(
    text: io.TextIOWrapper,
    known: Collection[str],
    needed: Collection[str],
    column_map: ColumnMap,
) -> tuple[frozenset[str], tuple[str, ...], Iterator[Row]]:
    records = _records(text)
    first = next(records, None)
    if first is None:
        raise ImportRefused("The file is empty.")
    heading = [column_map.columns.get(_heading(cell), _heading(cell)) for cell in first[1]]
    ours = [name if name in known else "" for name in heading]
    if missing := sorted(set(needed) - set(ours)):
        hint = " Its columns must be separated by commas." if len(heading) == 1 and ";" in heading[0] else ""
        raise ImportRefused(f"The file has no header with the column {' and '.join(missing)}.{hint}")
    if twice := sorted({name for name in ours if name and ours.count(name) > 1}):
        raise ImportRefused(f"The file has the column {twice[0]} twice.")
    ignored = tuple(cell.strip() or "(no name)" for cell, name in zip(first[1], ours, strict=True) if not name)
    return frozenset(filter(None, ours)), ignored, _rows(records, ours, column_map)


def _told(rows: Iterator[Row], stream: BinaryIO, progress: Callable[[int], None]) -> Iterator[Row]:
    for count, row in enumerate(rows):
        if count % 500 == 0:
            progress(stream.tell())
        yield row
    progress(stream.tell())


def _rows(records: Iterator[tuple[int, list[str], str]], ours: list[str], column_map: ColumnMap) -> Iterator[Row]:
    """Cells under our names. A last row that is too short says that the file was cut off."""
    width, short = len(ours), 0
    for line, cells, problem in records:
        short = 0
        if problem:
            yield Row(line, {}, problem)
        elif len(cells) != width:
            short = line if len(cells) < width else 0
            yield Row(line, {}, f"{len(cells)} cell{'s' * (len(cells) > 1)} where the header has {width}")
        else:
            named = {name: cell for name, cell in zip(ours, cells, strict=True) if name}
            yield Row(line, _mapped(named, column_map) if column_map.words or column_map.defaults else named)
    if short:
        raise ImportRefused(f"The file is cut off: its last row, at line {short}, has too few cells.")


def _mapped(cells: dict[str, str], column_map: ColumnMap) -> dict[str, str]:
    for name, words in column_map.words.items():
        if name in cells:
            cells[name] = words.get(cells[name].strip().lower(), cells[name])
    for name, default in column_map.defaults.items():
        if not cells.get(name, "").strip():
            cells[name] = default
    return cells


def _records(text: io.TextIOWrapper) -> Iterator[tuple[int, list[str], str]]:
    """Records with the physical line where each starts; blank lines are counted and passed over."""
    reader = csv.reader(_lines(text), strict=True)
    try:
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, [], _odd_quotes(line, str(error))
                continue
            if cells:
                yield line, cells, ""
    except UnicodeDecodeError as error:
        raise ImportRefused("The file is not UTF-8: save it as “CSV UTF-8”.") from error


def _odd_quotes(line: int, error: str) -> str:
    if "unexpected end of data" in error:
        raise ImportRefused(f"The file is cut off: a quotation mark opened in the row at line {line} is never closed.")
    if "field limit" in error:
        raise ImportRefused(f"A cell of the row at line {line} is far too long: is a quotation mark missing?")
    return "a quotation mark stands in the wrong place"


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    first = True
    while line := text.readline(LONGEST_LINE):
        if len(line) >= LONGEST_LINE:
            raise ImportRefused("The file is not CSV: a line has more than a million characters.")
        if first and line.startswith(("PK\x03\x04", "%PDF", "\x00")):
            raise ImportRefused("The file is not CSV: save the spreadsheet as “CSV UTF-8”.")
        first = False
        yield line
