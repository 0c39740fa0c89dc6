"""`notices publish`: a version, or one clear sentence and nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models import Notice
from tests.conftest import Runner

FILE = "# Our notice\n\nWe keep little.\n"


@pytest.mark.usefixtures("clock")
def test_publishing(run: Runner, tmp_path: Path) -> None:
    def publish(content: bytes, *words: str, change: str = "wording") -> tuple[int, str]:
        file = tmp_path / "notice.md"
        file.write_bytes(content)
        result = run("notices", "publish", file, "--change", change, *words)
        return result.exit_code, result.stderr.replace(str(file), "FILE").splitlines()[-1]

    assert publish(b"", change="wording") == (3, "The file is empty. Nothing was published.")
    assert publish(FILE.encode("utf-16")) == (3, "FILE is not UTF-8. Nothing was published.")
    refused = "Error: The first version can take no right away: there is none before it. Nothing was published."
    assert publish(FILE.encode(), change="reduced-right") == (2, refused)
    refused = "Error: 3 December 2026 is past: a notice cannot apply before it is published. Nothing was published."
    assert publish(FILE.encode(), "--effective", "2026-12-03") == (2, refused)
    assert publish(FILE.encode(), "--effective", "tomorrow")[0] == 2
    assert run("notices", "publish", tmp_path / "none.md", "--change", "wording").exit_code == 2
    assert publish(FILE.encode("utf-8-sig")) == (0, "Version 1 is published, in force from 4 December 2026.")
    said = "Version 1 says the same, word for word. Nothing was published."
    assert publish(FILE.encode(), change="new-processing") == (3, said)
    told = "Everybody is told by email: the worker does it, or `notices tell`."
    more = FILE.encode() + b"\nAnd less.\n"
    assert publish(more, "--effective", "2027-01-01", change="reduced-right") == (0, told)
    rows = db.session.execute(select(Notice.version, Notice.change, Notice.text).order_by(Notice.version)).all()
    assert [tuple(row) for row in rows] == [(1, "wording", FILE), (2, "reduced-right", more.decode())]
