"""How a migration runs: one transaction for the whole way, on SQLite and PostgreSQL. Alembic calls it.

On SQLite a change to a table copies it, drops the old one and renames the new one. With foreign keys on, the
drop would delete the rows that refer to it; so they are off on the way, and checked before the commit.
"""

from __future__ import annotations

from typing import Any

import click
from alembic import context
from alembic.operations.ops import CreateTableOp
from flask import current_app
from sqlalchemy import Connection

from portal.extensions import Base, db
from portal.models.columns import UtcDateTime

# On while a table is copied: a trigger may name a table that is away for a moment.
ON_THE_WAY = ("PRAGMA foreign_keys=OFF", "PRAGMA legacy_alter_table=ON")
AFTERWARDS = ("PRAGMA legacy_alter_table=OFF", "PRAGMA foreign_keys=ON")


def render_item(kind: str, item: Any, _context: Any) -> str | bool:
    """A revision stands by itself: it names no class of the portal that may change later."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def tidy_revision(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Revisions are counted, 0001, 0002, and hold no notes of the map; where nothing changed, none is made."""
    script = directives[0]
    if getattr(context.config.cmd_opts, "autogenerate", False) and script.upgrade_ops.is_empty():
        directives.clear()
        click.echo("nothing to migrate", err=True)
        return
    before = [int(found.revision) for found in context.script.walk_revisions()]
    script.rev_id = f"{max(before, default=0) + 1:04}"
    for operation in (*script.upgrade_ops.ops, *script.downgrade_ops.ops):
        if isinstance(operation, CreateTableOp):
            operation.info = {}


def say(*, step: Any, **_: Any) -> None:
    """A word on each step, on standard error."""
    click.echo(f"{'upgrade' if step.is_upgrade else 'downgrade'} {step.up_revision_id}", err=True)


def run(connection: Connection) -> None:
    """Run every step in one transaction: all of them, or none."""
    sqlite = connection.dialect.name == "sqlite"
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        transactional_ddl=True,
        render_item=render_item,
        process_revision_directives=tidy_revision,
        on_version_apply=say,
        **current_app.extensions["migrate"].configure_args,
    )
    _speak_to_sqlite(connection, ON_THE_WAY)
    try:
        with context.begin_transaction():
            if not sqlite:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            context.run_migrations()
            if sqlite:
                _check_references(connection)
    finally:
        _speak_to_sqlite(connection, AFTERWARDS)


def _speak_to_sqlite(connection: Connection, pragmas: tuple[str, ...]) -> None:
    """Outside any transaction, where alone these settings take effect."""
    if connection.dialect.name == "sqlite":
        for pragma in pragmas:
            connection.connection.cursor().execute(pragma)


def _check_references(connection: Connection) -> None:
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if lost:
        tables = ", ".join(sorted({row[0] for row in lost}))
        raise LookupError(f"{len(lost)} rows would refer to rows that are not there, in {tables}: nothing was changed")


if context.is_offline_mode():
    raise click.UsageError("migrations run on a database; SQL for offline use is not written")
with db.engine.connect() as connection:
    run(connection)
