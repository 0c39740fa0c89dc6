"""atheris on what strangers write and we read: links, files of the membership system, incoming mail.

    python -m tests.audit.fuzz tokens --runs 1000000

A run ends at the first input that raises what the reader does not promise to raise, that is accepted though nobody
signed it, or that takes ten seconds; atheris leaves the input in the folder where it ran. atheris is no part of the
tests' environment: `make audit-attack` puts it into .audit/fuzzer, for PYTHONPATH.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["portal"]):
    from portal import tokens
    from portal.domain import csv_file, member_csv, values
    from portal.domain.errors import ImportRefused
    from portal.mail import inbound

from flask import Flask

from tests.settings import config_for

TODAY = date(2026, 12, 4)
REFERENCE, NUMBER = b"0123456789abcdef", "IM-2345-6789"
PURPOSES = (tokens.KEEP_LINK, tokens.STATUS_LINK, tokens.CONFIRM_LINK, tokens.WORKS_LINK)


def portal() -> Flask:
    """As much of a portal as tokens need."""
    app = Flask("fuzz")
    app.config.from_mapping(config_for("sqlite://", Path("/nowhere")).flask())
    return app


def read_tokens(data: bytes) -> None:
    """Text from nowhere, or put into a link of ours, is nobody's link; an address has one canonical form."""
    text = data.decode("utf-8", "surrogateescape")
    link = LINKS[len(data) % len(LINKS)]
    at = sum(data) % len(link)
    for written in (text, link[:at] + text + link[at + len(text) :], link[:at] + text + link[at:]):
        read = tokens.read_unsubscribe(written)
        assert read is None or (read.reference == REFERENCE and f".{read.topic}." in GOOD)
        found = [tokens.read_reference(written, purpose=purpose) for purpose in PURPOSES]
        assert set(found) <= {None, NUMBER}
        assert found.count(NUMBER) + (read is not None) <= 1, "a link of two purposes"
    address = tokens.canonical_address(text)
    assert tokens.canonical_address(address) == address
    with contextlib.suppress(ValueError):
        assert values.email(text)
    tokens.digest(text)


def read_csv(data: bytes) -> None:
    """A file is refused in words, or its rows are read or refused one by one."""
    with (
        contextlib.suppress(ImportRefused),
        csv_file.open_csv(io.BytesIO(data), known=member_csv.COLUMNS, needed=("email",)) as opened,
    ):
        for row in opened.rows:
            key = member_csv.read_key(row)
            with contextlib.suppress(ValueError):
                member_csv.read(row, key, today=TODAY)


def read_mail(data: bytes) -> None:
    """Whatever arrives is a letter at worst."""
    read = inbound.parse(data, names=("imaps",), ours=("privacy@portal.example.org",))
    assert len(read.subject) <= inbound.LONGEST_LINE
    if read.token:
        tokens.read_unsubscribe(read.token)


TARGETS: dict[str, Callable[[bytes], None]] = {"tokens": read_tokens, "csv": read_csv, "mail": read_mail}
with portal().app_context():
    SIGNED = {purpose: tokens.sign_reference(NUMBER, purpose=purpose) for purpose in PURPOSES}
    LINKS = [tokens.sign_unsubscribe(REFERENCE), tokens.sign_unsubscribe(REFERENCE, "events"), *SIGNED.values()]
    GOOD = f".{tokens.EVERYTHING}.events."


def seeds(name: str) -> list[bytes]:
    """What to begin with: our own links, a small file, the letters of the tests."""
    if name == "tokens":
        return [link.encode() for link in LINKS] + ["Ünï@Bücher.example.org".encode()]
    if name == "csv":
        cells = {"email": "alice@example.org", "birth_date": "1964-05-17", "country": "SE", "interests": '"a;b"'}
        head, row = ",".join(member_csv.COLUMNS), ",".join(cells.get(name, "") for name in member_csv.COLUMNS)
        return [f"{head}\r\n{row}\r\n".encode(), b"email\nalice@example.org\n"]
    from tests.mail.letters import CASES

    return [case.raw for case in CASES.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--corpus", type=Path, default=Path(".audit/corpus"))
    asked = parser.parse_args()
    corpus = asked.corpus / asked.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(asked.target)):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    app, read = portal(), TARGETS[asked.target]

    def one(data: bytes) -> None:
        with app.app_context():
            read(data)

    options = [f"-atheris_runs={asked.runs}", "-timeout=10", "-max_len=4096", "-rss_limit_mb=2048", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    try:
        atheris.Fuzz()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # its alarm outlives it, and would end this process as a failure


if __name__ == "__main__":
    main()
