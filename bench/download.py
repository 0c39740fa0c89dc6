"""Bench: one person's download among few others and among many, beside the zipping of the same files, ready."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Table, insert, text

from bench import bed
from config import from_environment
from portal import clock, create_app
from portal.datamap import held
from portal.datamap.export import archive
from portal.datamap.export.copy import Copy
from portal.extensions import Base, db, glance, transaction
from portal.models import ChoiceRow, Disclosure, Member, Subject, Trail
from portal.web.held import TITLES, words

FEW = 1_000
ROWS = 1_000  # of the one who downloads, in each table that grows
EACH = {"choice": 1, "trail": 3, "disclosure": 1}  # rows of every other member


@contextmanager
def among(folder: Path, *, others: int) -> Iterator[tuple[Flask, UUID]]:
    """A portal with so many others in it, and the number of the one who downloads."""
    folder.mkdir()
    app = create_app(from_environment(bed.environment(folder), root=folder))
    with app.app_context():
        upgrade()
        with transaction():
            subject_id = _one()
            _multiply(others)
        db.session.execute(text("ANALYZE"))
        db.session.rollback()
        try:
            yield app, subject_id
        finally:
            db.session.remove()
            db.engine.dispose()


def askers(few: tuple[Flask, UUID], many: tuple[Flask, UUID]) -> dict[str, Callable[[], float]]:
    """CPU seconds of a whole download in both, and of zipping its files when they lie ready."""
    with few[0].app_context():
        ready = [(name, "".join(pieces).encode()) for name, pieces in archive.files(_copy(few[1]))]
    return {
        "among few": lambda: _download(*few),
        "among many": lambda: _download(*many),
        "ready files, zipped": lambda: _zipped(ready),
    }


def _download(app: Flask, subject_id: UUID) -> float:
    with app.app_context():
        begin = time.process_time()
        for _ in archive.archive(_copy(subject_id)):
            pass
        return time.process_time() - begin


def _copy(subject_id: UUID) -> Copy:
    with glance(consistent=True):
        snapshot = held.collect(subject_id, now=clock.now())
    return Copy(snapshot, f"https://{bed.HOST}", "Society", "", words, TITLES)


def _zipped(ready: list[tuple[str, bytes]]) -> float:
    begin = time.process_time()
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in ready:
            bundle.writestr(name, content)
    return time.process_time() - begin


# Rows -----------------------------------------------------------------------------------------------------


def _one() -> UUID:
    """A member with a long history."""
    member: dict[str, list[dict[str, object]]] = {name: [] for name in ("subject", "member", "choice")}
    bed._add_member(member, 0, False)
    ident = member["subject"][0]["id"]
    assert isinstance(ident, UUID)
    now = clock.now()
    moments = [now - timedelta(hours=hours) for hours in range(ROWS)]
    choice = {"subject_id": ident, "code": "topic_events", "value": "on", "door": "page", "wording": "Events"}
    disclosure = {"subject_id": ident, "recipient": "Other attendees", "reason": "", "fields": "first_name last_name"}
    for model, rows in (
        (Subject, member["subject"]),
        (Member, member["member"]),
        (ChoiceRow, [choice | {"at": at} for at in moments]),
        (Trail, [{"subject_id": ident, "act": "changed", "field": "city", "door": "page", "at": at} for at in moments]),
        (Disclosure, [disclosure | {"at": at} for at in moments]),
    ):
        db.session.execute(insert(model), rows)
    return ident


def _multiply(others: int) -> None:
    """So many copies of her, each with a number, an address and rows of their own, made by the database itself."""
    tables = Base.metadata.tables
    db.session.execute(text("PRAGMA cache_size = -200000"))
    db.session.execute(text("CREATE TEMPORARY TABLE other (n INTEGER PRIMARY KEY, id TEXT)"))
    db.session.execute(
        text(
            "INSERT INTO other WITH RECURSIVE numbers(n) AS"
            " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :others)"
            " SELECT n, lower(hex(randomblob(16))) FROM numbers"
        ),
        {"others": others},
    )
    address = "'other' || n || '@mail.example.org'"
    _copies(tables["subject"], {"id": "other.id", "unsubscribe_reference": "randomblob(16)"})
    own = {"id": "other.id", "member_number": "'O-' || n", "email": address, "email_key": address}
    _copies(tables["member"], own | {"address_hash": "'s1:' || other.id"})
    for name, each in EACH.items():
        for _ in range(each):
            _copies(tables[name], {"id": "NULL", "subject_id": "other.id", "journal_id": "NULL"})


def _copies(table: Table, own: dict[str, str]) -> None:
    names = [f'"{column.name}"' for column in table.columns]
    values = [own.get(column.name, f'one."{column.name}"') for column in table.columns]
    one = f"(SELECT * FROM {table.name} ORDER BY rowid LIMIT 1) AS one"
    others = "(SELECT n, id FROM other ORDER BY id) AS other"  # so that every index grows at its end
    db.session.execute(
        text(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {others}, {one}")
    )
