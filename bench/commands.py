"""Bench: the commands that carry many rows, each against the plainest loop that does the same."""

from __future__ import annotations

import base64
import csv
import hashlib
import hmac
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.bed import ROOT, Bed
from bench.load import BenchError

UNKNOWN_IN = 20  # one row in so many is of somebody whom the portal does not know
TOPIC = "announcements"
MOST_SECONDS = 600


@dataclass(frozen=True)
class Ran:
    """One run of a command: seconds from start to end, and the most memory it held, in MB."""

    seconds: float
    memory: float


def run(bed: Bed, words: list[str], *, given: Path | None = None, out: Path | None = None) -> Ran:
    """One command of the portal, in a process of its own. Raises BenchError if it fails."""
    said = bed.folder / "said.txt"
    with (
        (given or Path(os.devnull)).open("rb") as stdin,
        (out or Path(os.devnull)).open("wb") as stdout,
        said.open("wb") as stderr,
    ):
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", *words],
            cwd=ROOT, env=os.environ | bed.environ, stdin=stdin, stdout=stdout, stderr=stderr,
        )  # fmt: skip
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"{' '.join(words)} ended with {process.returncode}: {said.read_text()[-600:]}")
    return Ran(seconds, used.ru_maxrss / 1e3)


class Filter:
    """`broadcasts filter`, and the plain loop: csv, one keyed hash, one look-up and one token a line."""

    def __init__(self, bed: Bed, rows: int) -> None:
        self.bed = bed
        self.given, self.out = bed.folder / "recipients.csv", bed.folder / "allowed.csv"
        self.copied = bed.folder / "copied.csv"
        key = bed.environ["UNSUBSCRIBE_KEYS"].partition(":")[2]
        salt = f"portal/unsubscribe/{bed.app.config['PORTAL_HOST']}"
        self.key = hmac.digest(key.encode(), salt.encode(), "sha256")
        self.ready = {_keyed(each.email): each.reference for each in bed.recipients if not each.suppressed}
        with self.given.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["name", "email", "country"])
            for number in range(rows):
                each = bed.recipients[number % len(bed.recipients)]
                stranger = number % UNKNOWN_IN == 0
                writer.writerow([f"Member {number}", f"stranger{number}@example.org" if stranger else each.email, "PL"])

    def product(self) -> Ran:
        return run(self.bed, ["broadcasts", "filter", "--topic", TOPIC], given=self.given, out=self.out)

    def copy(self) -> float:
        """Seconds to copy the input."""
        started = time.perf_counter()
        self.copied.write_bytes(self.given.read_bytes())
        return time.perf_counter() - started

    def limit(self) -> float:
        """Seconds of the plain loop. Raises BenchError unless the product wrote the same bytes."""
        plain = self.bed.folder / "plain.csv"
        base = self.bed.environ["PORTAL_URL"]
        started = time.perf_counter()
        with self.given.open(encoding="utf-8", newline="") as source, plain.open("w", encoding="utf-8") as target:
            reader, writer = csv.reader(source), csv.writer(target, lineterminator="\n")
            writer.writerow([*next(reader), "unsubscribe_url"])
            for row in reader:
                reference = self.ready.get(_keyed(row[1]))
                if reference is not None:
                    writer.writerow([*row, f"{base}/unsubscribe/{self._token(reference)}"])
        seconds = time.perf_counter() - started
        if plain.read_bytes() != self.out.read_bytes():
            raise BenchError("the filter and the plain loop do not write the same bytes")
        return seconds

    def _token(self, reference: bytes) -> str:
        text = f"{base64.urlsafe_b64encode(reference).decode().rstrip('=')}.{TOPIC}.u1"
        signature = hmac.digest(self.key, text.encode(), "sha256")
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _keyed(address: str) -> bytes:
    return hashlib.blake2b(address.encode(), digest_size=12, key=b"bench").digest()
