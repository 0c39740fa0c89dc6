"""Bench: a member's pages in a small society and in a great one, for somebody with ten years of history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import insert, select, text

from bench import bed
from bench.inside import asker
from bench.society import TOKEN, YEARS, Size, settle
from config import from_environment
from portal import clock, create_app
from portal.extensions import db, transaction
from portal.models import Account, ChoiceRow, Disclosure, SignIn, Trail
from portal.tokens import digest

FEW = 1_000
PAGES = ("/", "/profile", "/profile/edit", "/choices", "/events", "/held", "/history", "/requests", "/security")
EACH_YEAR = 40  # rows of each kind


@contextmanager
def among(folder: Path, *, contacts: int) -> Iterator[Flask]:
    """A portal with a society of this size."""
    folder.mkdir()
    app = create_app(from_environment(bed.environment(folder), root=folder))
    with app.app_context():
        upgrade()
        with transaction():
            db.session.execute(text("PRAGMA cache_size = -400000"))  # KB: indexes grow in memory
            settle(Size(contacts, max(1, contacts // 500)))
            _grow_old()
        db.session.execute(text("ANALYZE"))
        db.session.remove()
    try:
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()


def _grow_old() -> None:
    """Ten years of changes, answers and disclosures for the one who looks."""
    hers = select(Account.member_id).join(SignIn, SignIn.account_id == Account.id)
    ident = db.session.scalars(hers.where(SignIn.token_hash == digest(TOKEN))).one()
    days = [clock.now() - timedelta(days=number * 365 / EACH_YEAR) for number in range(YEARS * EACH_YEAR)]
    choice = {"code": "topic_events", "door": "page", "wording": "Events"}
    for model, row in (
        (Trail, {"act": "changed", "field": "city", "door": "page"}),
        (ChoiceRow, choice | {"value": "on"}),
        (Disclosure, {"recipient": "The sponsors", "reason": "Badges", "fields": "first_name", "audience": "sponsors"}),
    ):
        rows = [row | {"subject_id": ident, "at": at} for at in days]
        db.session.execute(insert(model), rows)


def askers(few: Flask, many: Flask) -> dict[str, Callable[[], None]]:
    """Each page twice, in the small society and in the great one."""
    found: dict[str, Callable[[], None]] = {}
    for path in PAGES:
        for name, app in (("few", few), ("many", many)):
            found[f"{path} among {name}"] = asker(app, path, bed._signed_in(app, uuid4(), TOKEN).cookie)
    return found
