"""Leaf: the journals of opt-outs and of erasures, files outside the database and its backups. Lines are only added.

What a journal says is written and forced to the disk before the database commits it: so it survives a database that
is away, and one that is restored from an older backup. A line names a person by random numbers and keyed hashes,
nothing else. `domain/optouts` brings the database up to the opt-outs, which only ever tighten; `domain/gate` keeps
the portal shut while an erasure is missing. A file's name is never used twice, so a journal that was replaced by
another is seen to be another.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from flask import current_app

OPT_OUTS, ERASURES = "opt-outs", "erasures"
AT_ONCE = 500  # lines in one write
Line = TypeVar("Line")


@dataclass(frozen=True)
class OptOut:
    """One line: which question of whom was answered how, when, by which door. `event`: the code of the event for
    which alone it was answered; "": for all."""

    id: str
    at: datetime
    reference: bytes
    code: str
    value: str
    door: str
    event: str = ""


class Step(StrEnum):
    """How far an erasure is: about to begin, done and committed, or given up before anything was changed."""

    INTENT = "intent"
    DONE = "done"
    VOID = "void"


@dataclass(frozen=True)
class Erasure:
    """One line of an erasure. `id`: random, the same in all lines of one erasure; `hashes`: the keyed hashes
    under which the person is suppressed (`tokens.suppression_hashes`)."""

    id: str
    at: datetime
    step: Step
    subject: UUID
    hashes: tuple[str, ...]


# Opt-outs -------------------------------------------------------------------------------------------------


def note(reference: bytes, code: str, value: str, *, door: str, at: datetime, event: str = "") -> str:
    """Write one opt-out to this machine's file and wait until the disk has it; the line's id. Raises OSError."""
    line = OptOut(new_id(), at, reference, code, value, door, event)
    note_many([line])
    return line.id


def note_many(lines: Iterable[OptOut]) -> None:
    """The same for many at once, which the disk is asked for once. Raises OSError."""
    _append(own_file(OPT_OUTS), map(_told, lines))


def new_id() -> str:
    """For a line that is made before it is written."""
    return secrets.token_hex(16)


def _told(line: OptOut) -> dict[str, str]:
    told = {
        "id": line.id,
        "at": line.at.isoformat(),
        "reference": line.reference.hex(),
        "code": line.code,
        "value": line.value,
        "door": line.door,
    }
    return told | ({"event": line.event} if line.event else {})


def files() -> list[Path]:
    """The opt-out files of all machines that write to this folder."""
    return _files(OPT_OUTS)


def read(path: Path, *, position: int) -> Iterator[tuple[OptOut, int]]:
    """The whole lines after a position in bytes, each with the position behind it. A line cut short is left."""
    return _lines(path, position, _opt_out)


# Erasures -------------------------------------------------------------------------------------------------


def note_erasure(line: Erasure) -> None:
    """Write one step of an erasure to this machine's file and wait until the disk has it. Raises OSError."""
    told = {
        "id": line.id,
        "at": line.at.isoformat(),
        "step": line.step,
        "subject": line.subject.hex,
        "hashes": line.hashes,
    }
    _append(own_file(ERASURES), [told])


def erasure_files() -> list[Path]:
    """The erasure files of all machines that lie in this folder."""
    return _files(ERASURES)


def read_erasures(path: Path, *, position: int) -> Iterator[tuple[Erasure, int]]:
    """The whole lines after a position in bytes, each with the position behind it. A line cut short is left."""
    return _lines(path, position, _erasure)


def holds_lines(path: Path) -> bool:
    """Whether a file, of whatever name, holds at least one line of a journal. Raises OSError."""
    found = chain(read(path, position=0), read_erasures(path, position=0))
    return next(found, None) is not None


# Files ----------------------------------------------------------------------------------------------------


def own_file(sort: str) -> Path:
    """The file that this machine goes on with, its newest of the sort; a fresh one if it has none. Raises OSError."""
    own = [path for path in _files(sort) if is_own(path.name)]
    if own:
        return max(own, key=lambda path: (path.stat().st_mtime_ns, path.name))
    folder = _folder()
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _force(folder.parent)
    path = folder / f"{sort}-{socket.gethostname()}-{secrets.token_hex(4)}.jsonl"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    _force(folder)
    return path


def is_own(name: str) -> bool:
    """Whether a journal file of this name was made by this machine."""
    host = re.escape(socket.gethostname())
    return re.fullmatch(rf"({OPT_OUTS}|{ERASURES})-{host}-[0-9a-f]{{8}}\.jsonl", name) is not None


def _files(sort: str) -> list[Path]:
    return sorted(_folder().glob(f"{sort}-*.jsonl"))


def _force(folder: Path) -> None:
    """Wait until the disk knows the folder's names: a file that is not found after a crash has lost its lines."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _append(path: Path, lines: Iterable[Mapping[str, object]]) -> None:
    left = iter(lines)
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        while some := list(islice(left, AT_ONCE)):
            content = b"\n" * _is_cut(path) + b"".join(json.dumps(line).encode() + b"\n" for line in some)
            if os.write(file, content) < len(content):  # one write: lines never mix; a full disk takes a part
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def _is_cut(path: Path) -> bool:
    """Whether the file ends within a line, as after a full disk: the next line then begins on a new one."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"


def _lines(path: Path, position: int, parse: Callable[[Any], Line]) -> Iterator[tuple[Line, int]]:
    with path.open("rb") as file:
        file.seek(position)
        for line in file:
            if not line.endswith(b"\n"):
                return
            position += len(line)
            try:
                parsed = parse(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):  # a fragment that a full disk has left
                continue
            yield parsed, position


def _opt_out(told: Any) -> OptOut:
    return OptOut(
        told["id"],
        _moment(told),
        bytes.fromhex(told["reference"]),
        told["code"],
        told["value"],
        told["door"],
        told.get("event", ""),
    )


def _erasure(told: Any) -> Erasure:
    step, hashes = Step(told["step"]), tuple(map(str, told["hashes"]))
    return Erasure(told["id"], _moment(told), step, UUID(hex=told["subject"]), hashes)


def _moment(told: Any) -> datetime:
    return datetime.fromisoformat(told["at"]).astimezone(UTC)


def _folder() -> Path:
    return Path(current_app.config["JOURNAL_DIR"])
