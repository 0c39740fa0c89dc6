"""Files that a page hands out: written into a file without a name, sent after the commit, stored nowhere."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO, TextIO, cast

from flask import Response

PIECE = 1 << 16
MARK = "\ufeff"  # by which spreadsheets know UTF-8


def attached(name: str, write: Callable[[TextIO], object], *, mark: bool = False) -> Response:
    """An answer with a CSV file to save, written at once by `write`; `mark`: for a spreadsheet, not for a program."""
    with ExitStack() as stack:
        spool = cast(IO[str], stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", newline="")))
        if mark:
            spool.write(MARK)
        write(cast(TextIO, spool))
        spool.seek(0)
        kept = stack.pop_all()
    answer = Response(_pieces(spool, kept), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.call_on_close(kept.close)
    return answer


def _pieces(spool: IO[str], kept: ExitStack) -> Iterator[bytes]:
    with kept:
        while piece := spool.read(PIECE):
            yield piece.encode()
