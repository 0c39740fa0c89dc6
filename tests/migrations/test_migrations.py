"""Migrations: the newest revision is what the models say, and the way up and down loses nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import CheckConstraint, func, inspect, select, text
from sqlalchemy.exc import IntegrityError

from portal import create_app
from portal.extensions import Base, db
from portal.models import EmailChange, FormerAddress, Message
from portal.tokens import suppression_hash
from tests.databases import writes
from tests.people import NOW, settle
from tests.rows import fill
from tests.settings import config_for

# What a later revision may do: change tables that others refer to, and one that refers to others.
LATER = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{before}"


def upgrade():
    for table, column in (("subject", "erased_at"), ("member", "first_name"), ("account", "email")):
        with op.batch_alter_table(table, recreate="always" if op.get_bind().dialect.name == "sqlite" else "auto") as to:
            to.add_column(sa.Column("later", sa.String(10), nullable=True))


def downgrade():
    for table in ("account", "member", "subject"):
        with op.batch_alter_table(table) as to:
            to.drop_column("later")
"""
CARELESS = (
    LATER.split("def upgrade")[0]
    + """
def upgrade():
    op.execute("INSERT INTO limit_counter (name, count, ends_at) VALUES ('before', 1, '2026-01-01')")
    op.execute("DELETE FROM subject")


def downgrade():
    pass
"""
)


@pytest.fixture
def portal(bare_database: str, tmp_path: Path) -> Iterator[Flask]:
    """A portal whose database has no tables yet."""
    app = create_app(config_for(bare_database, tmp_path))
    with app.app_context():
        yield app
        db.session.rollback()
        db.session.remove()
        db.engine.dispose()


def folder_with(revision: str, tmp_path: Path) -> str:
    """A copy of the migrations with one more revision after the newest."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(__file__).parents[2] / "migrations", folder)
    newest = max(path.name[:4] for path in (folder / "versions").glob("[0-9]*.py"))
    (folder / "versions" / "9001_later.py").write_text(revision.replace("{before}", newest))
    return str(folder)


def counts() -> dict[str, int]:
    """How many rows each table has."""
    db.session.rollback()
    found = {
        table.name: db.session.execute(select(func.count()).select_from(table)).scalar_one()
        for table in Base.metadata.sorted_tables
    }
    db.session.rollback()
    return found


def triggers() -> list[str]:
    """The triggers that are there, and on PostgreSQL the functions as well."""
    statement = (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        if db.engine.dialect.name == "sqlite"
        else "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION"
        " SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    with db.engine.connect() as connection:
        return list(connection.execute(text(statement)).scalars())


def tables() -> set[str]:
    return set(inspect(db.engine).get_table_names())


def test_the_newest_revision_is_what_the_models_say(portal: Flask) -> None:
    upgrade()
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    assert differences == [], 'write a revision: flask --app wsgi db revision --autogenerate -m "What changed"'


def test_the_checks_are_what_the_models_say(portal: Flask) -> None:
    """Autogenerate does not look at CHECK constraints: a new word would be refused by the old list."""
    upgrade()
    inspector = inspect(db.engine)
    for table in Base.metadata.sorted_tables:
        declared = {
            str(each.name): _squeezed(str(each.sqltext))
            for each in table.constraints
            if isinstance(each, CheckConstraint)
        }
        found = {str(each["name"]): _squeezed(each["sqltext"]) for each in inspector.get_check_constraints(table.name)}
        advice = f"write a revision by hand that drops and creates the CHECK of {table.name}"
        if db.engine.dialect.name == "sqlite":
            assert found == declared, advice
        else:  # which rewrites the text
            assert found.keys() == declared.keys(), advice


def _squeezed(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip()


def test_down_and_up_again(portal: Flask) -> None:
    upgrade()
    there, guards = tables(), triggers()
    downgrade(revision="base")
    assert tables() == {"alembic_version"}
    assert triggers() == []
    upgrade()
    assert (tables(), triggers()) == (there, guards)


def test_down_and_up_again_with_rows(portal: Flask) -> None:
    upgrade()
    with writes():
        fill(settle())
    downgrade(revision="base")
    assert tables() == {"alembic_version"}
    upgrade()
    assert set(counts().values()) == {0}


def test_0005_fills_what_older_changes_of_an_address_say(portal: Flask) -> None:
    upgrade()
    with writes():
        people = settle()
        fill(people)
        change = db.session.scalars(select(EmailChange)).one()
        change.old_email, change.confirmed_at = "Was@bücher.example.org", NOW
        ended = db.session.scalars(select(Message)).one()
        ended.subject_id, ended.state = None, "dead"
    db.session.rollback()
    downgrade(revision="0004")
    upgrade()
    change = db.session.scalars(select(EmailChange)).one()
    assert (change.old_key, change.new_key) == ("was@xn--bcher-kva.example.org", "alice@new.example.org")
    former = set(db.session.execute(select(FormerAddress.subject_id, FormerAddress.keyed_hash, FormerAddress.at)).all())
    assert former == {(people.alice.id, suppression_hash(each), NOW) for each in (change.old_key, change.new_key)}
    assert db.session.scalars(select(Message.to_address)).all() == [""]


def test_a_later_revision_keeps_every_row(portal: Flask, tmp_path: Path) -> None:
    """SQLite changes a table by dropping it: the rows that refer to it must not go with it."""
    upgrade()
    with writes():
        fill(settle())
    before, guards = counts(), triggers()
    assert 0 not in before.values()

    folder = folder_with(LATER, tmp_path)
    upgrade(directory=folder)
    assert "later" in {column["name"] for column in inspect(db.engine).get_columns("member")}
    assert (counts(), triggers()) == (before, guards)

    downgrade(directory=folder)
    assert (counts(), triggers()) == (before, guards)
    _foreign_keys_hold()


def test_a_revision_that_would_lose_a_reference_changes_nothing(portal: Flask, tmp_path: Path) -> None:
    upgrade()
    with writes():
        fill(settle())
    before = counts()
    with pytest.raises(LookupError if db.engine.dialect.name == "sqlite" else IntegrityError):
        upgrade(directory=folder_with(CARELESS, tmp_path))
    assert counts() == before
    _foreign_keys_hold()


def _foreign_keys_hold() -> None:
    """The connection that migrated goes back to the pool as it came."""
    if db.engine.dialect.name == "sqlite":
        with db.engine.connect() as connection:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
            assert connection.execute(text("PRAGMA legacy_alter_table")).scalar_one() == 0
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
