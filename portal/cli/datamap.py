"""Commands on the data map: show it, check it."""

from __future__ import annotations

from collections.abc import Iterable

import click
from sqlalchemy.exc import SQLAlchemyError

from portal.cli.groups import Group
from portal.datamap import inventory, notice_tables
from portal.extensions import Base, db, glance
from portal.purposes import PURPOSES
from portal.vocabulary import Keep

group = Group("map", gated=False, help="The data map: every column that holds something about a person.")


@group.command("show")
def show() -> None:
    """Print the record of processing, a block a purpose, and the places outside; then the map, a line a column.

    A line has: column, group, label, purposes with their basis, what an erasure does, who edits it.
    """
    record = notice_tables.record(Base.metadata)
    for processing in record.purposes:
        _block(f"{processing.purpose.name} ({processing.code})", processing.rows())
    _block("Held outside this portal", ((each.name, [each.what, each.reach, each.ends]) for each in record.holdings))
    _block("Never held", (("", [each]) for each in record.never_held))
    for entry in inventory.entries(Base.metadata):
        note = entry.note
        why = "; ".join(f"{PURPOSES[name].name} ({PURPOSES[name].basis})" for name in note.purposes)
        erase = f"kept {note.erase.days} days: {note.erase.reason}" if isinstance(note.erase, Keep) else note.erase
        secret = "never shown" if note.secret else "shown"
        click.echo("\t".join((entry.name, note.kind, note.label, why, erase, note.edit, secret)))


def _block(title: str, rows: Iterable[tuple[str, list[str]]]) -> None:
    click.echo(title)
    for heading, lines in rows:
        for number, line in enumerate(lines):
            click.echo(f"  {heading if number == 0 else '':<43}{line}")
    click.echo()


@group.command("check")
def check() -> None:
    """Say every hole in the map, and what the database holds beside it; exit 1 if there is one."""
    found = inventory.problems(Base.metadata)
    try:
        found += unknown()
    except SQLAlchemyError:
        click.echo("The database is away: only the models were looked at.", err=True)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        raise SystemExit(1)
    click.echo("The data map is complete.", err=True)


def unknown() -> list[str]:
    """What the database holds and no model knows."""
    with glance():
        return inventory.unknown(Base.metadata, db.session.connection())


def refuse_unknown() -> None:
    """For what serves or works: raises ClickException if the database holds what no model knows.

    A database that is away is waited for, by the server and by the worker.
    """
    try:
        found = unknown()
    except SQLAlchemyError:
        return
    if found:
        raise click.ClickException("The data map has holes:\n" + "\n".join(f"  - {text}" for text in found))
