"""Commands on the data map: show it, check it."""

from __future__ import annotations

import click

from portal.cli.groups import Group
from portal.datamap import inventory
from portal.extensions import Base
from portal.purposes import PURPOSES
from portal.vocabulary import Keep

group = Group("map", help="The data map: every column that holds something about a person.")


@group.command("show")
def show() -> None:
    """Print the map as a table: column, label, purposes with their basis, what an erasure does, who edits it."""
    for entry in inventory.entries(Base.metadata):
        note = entry.note
        why = "; ".join(f"{PURPOSES[name].name} ({PURPOSES[name].basis})" for name in note.purposes)
        erase = f"kept {note.erase.days} days: {note.erase.reason}" if isinstance(note.erase, Keep) else note.erase
        secret = "never shown" if note.secret else "shown"
        click.echo("\t".join((entry.name, note.kind, note.label, why, erase, note.edit, secret)))


@group.command("check")
def check() -> None:
    """Say every hole in the map; exit 1 if there is one."""
    found = inventory.problems(Base.metadata)
    for problem in found:
        click.echo(problem, err=True)
    if found:
        raise SystemExit(1)
    click.echo("The data map is complete.", err=True)
