"""tables/….csv: one file a table, for a spreadsheet, with nothing in it that a spreadsheet would carry out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from portal.datamap.export.copy import Copy
from portal.datamap.held import Value
from portal.datamap.inventory import noted
from portal.extensions import Base

# A cell that begins with one of these is a formula to some spreadsheet, the wide forms too (threat T19).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")


def written(copy: Copy, table: str) -> Iterator[str]:
    """The file, line by line: the names of the columns, then the rows, the oldest first."""
    line = io.StringIO(newline="")
    writer = csv.writer(line, quoting=csv.QUOTE_ALL)
    names = [entry.column.name for entry in noted(Base.metadata.tables[table])]
    for cells in [names], ([cell(item.value) for item in row] for row in copy.rows[table]):
        for each in cells:
            writer.writerow(each)
            yield line.getvalue()
            line.seek(0)
            line.truncate()


def cell(value: Value) -> str:
    """A value as a cell; an apostrophe stands before a text that a spreadsheet would take for a formula."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
