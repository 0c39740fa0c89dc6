"""Leaf: the journal of opt-outs, a file outside the database and its backups. Lines are added, never changed.

An opt-out is written here, and forced to the disk, before the database commits it: so it survives a database that
is away, and one that is restored from an older backup. A line names the person by the random reference of the
unsubscribe link, nothing else. `domain/optouts` brings the database up to the journal; lines only ever tighten.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flask import current_app


@dataclass(frozen=True)
class OptOut:
    """One line: which question of whom was answered how, when, by which door."""

    id: str
    at: datetime
    reference: bytes
    code: str
    value: str
    door: str


def note(reference: bytes, code: str, value: str, *, door: str, at: datetime) -> str:
    """Write one opt-out to this machine's file and wait until the disk has it; the line's id. Raises OSError."""
    entry = secrets.token_hex(16)
    line = {"id": entry, "at": at.isoformat(), "reference": reference.hex(), "code": code, "value": value, "door": door}
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"opt-outs-{socket.gethostname()}.jsonl"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        content = b"\n" * _is_cut(path) + json.dumps(line).encode() + b"\n"
        if os.write(file, content) < len(content):  # one write: lines never mix; a full disk takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)
    return entry


def files() -> list[Path]:
    """The opt-out files of all machines that write to this folder."""
    return sorted(_folder().glob("opt-outs-*.jsonl"))


def read(path: Path, *, position: int) -> Iterator[tuple[OptOut, int]]:
    """The whole lines after a position in bytes, each with the position behind it. A line cut short is left."""
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            parsed = _parse(line)
            if parsed is not None:
                yield parsed, position


def _is_cut(path: Path) -> bool:
    """Whether the file ends within a line, as after a full disk: the next line then begins on a new one."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"


def _parse(line: bytes) -> OptOut | None:
    """A line's content; None for a fragment that a full disk has left."""
    try:
        told = json.loads(line)
        at, reference = datetime.fromisoformat(told["at"]).astimezone(UTC), bytes.fromhex(told["reference"])
        return OptOut(told["id"], at, reference, told["code"], told["value"], told["door"])
    except (ValueError, KeyError, TypeError):
        return None


def _folder() -> Path:
    return Path(current_app.config["JOURNAL_DIR"])
