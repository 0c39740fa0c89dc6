"""The client's own journal: what it asked for and what it was told, forced to its disk before it goes on.

Only what somebody outside the portal has written down can say that nothing was lost.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


@dataclass
class Operation:
    """One thing that was asked for. `unknown`: no answer came, so it may be there or not, but never half."""

    id: str
    kind: str
    who: str
    more: dict[str, str] = field(default_factory=dict)
    outcome: str = UNKNOWN
    at: float = 0.0  # seconds since the epoch, when the answer came


class Journal:
    """A file of JSON lines: one when an operation begins, one when it has been answered."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()

    def begin(self, kind: str, who: str, **more: str) -> str:
        """Before anything is sent; the operation's number, which goes along as text."""
        ident = f"op{secrets.token_hex(6)}"
        self._write({"id": ident, "kind": kind, "who": who, "more": more})
        return ident

    def end(self, ident: str, outcome: str) -> None:
        """As soon as the answer is there."""
        self._write({"id": ident, "outcome": outcome, "at": time.time()})

    def _write(self, line: dict[str, object]) -> None:
        with self._lock:
            os.write(self._file, json.dumps(line).encode() + b"\n")
            os.fsync(self._file)

    def operations(self) -> list[Operation]:
        """Everything that was asked, in the order in which it began, as the file tells it."""
        found: dict[str, Operation] = {}
        for line in self._lines():
            if "kind" in line:
                found[line["id"]] = Operation(**line)
            else:
                found[line["id"]].outcome, found[line["id"]].at = line["outcome"], line["at"]
        return list(found.values())

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
