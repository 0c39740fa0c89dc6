"""The zip and its list of files; and data.json alone. Nothing is stored, and no whole file stands in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC

from portal.datamap.export import contact, diary, report, tables, terms, values
from portal.datamap.export.copy import Copy

ENOUGH = 64 * 1024  # characters or bytes that are handed on together


def files(copy: Copy) -> Iterator[tuple[str, Iterable[str]]]:
    """Name and text, piece by piece, of every file; the one for reading comes first."""
    yield "your-data.html", report.written(copy)
    yield "data.json", values.written(copy)
    yield "contact.vcf", contact.written(copy)
    yield "events.ics", diary.written(copy)
    yield "about.json", terms.written(copy)
    for name in copy.snapshot.rows:
        yield f"tables/{name}.csv", tables.written(copy, name)


def archive(copy: Copy) -> Iterator[bytes]:
    """The zip, piece by piece."""
    sink = _Sink()
    made = copy.snapshot.now.astimezone(UTC).timetuple()[:6]
    with zipfile.ZipFile(sink, "w") as bundle:
        for name, pieces in files(copy):
            entry = zipfile.ZipInfo(name, made)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            with bundle.open(entry, "w") as file:
                for text in gathered(pieces):
                    file.write(text.encode())
                    yield from sink.taken()
    yield from sink.taken(0)


def data_json(copy: Copy) -> Iterator[bytes]:
    """data.json, piece by piece."""
    return (text.encode() for text in gathered(values.written(copy)))


def gathered(pieces: Iterable[str]) -> Iterator[str]:
    """The same text in pieces that are worth a call."""
    kept: list[str] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= ENOUGH:
            yield "".join(kept)
            kept.clear()
            size = 0
    yield "".join(kept)


class _Sink(io.RawIOBase):
    """Where `zipfile` writes: it cannot go back, and gives away what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self.kept += data
        return len(data)

    def taken(self, least: int = ENOUGH) -> Iterator[bytes]:
        """What came in, once it is this much."""
        if len(self.kept) > least:
            yield bytes(self.kept)
            self.kept.clear()
