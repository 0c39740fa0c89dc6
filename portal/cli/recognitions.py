"""Commands on published recognitions: officers, committee members and helpers."""

from __future__ import annotations

from typing import BinaryIO

import click

from portal import clock
from portal.cli.csv_import import bring
from portal.cli.groups import Group
from portal.domain import recognitions
from portal.domain.recognition_imports import import_recognitions
from portal.extensions import transaction

group = Group("recognitions", help="Published officers and volunteers.")


@group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def import_(file: BinaryIO, dry_run: bool) -> None:
    """Create and update entries from FILE, as docs/events-csv.md describes it; `-` reads standard input."""
    bring(file, import_recognitions, dry_run=dry_run, of="recognitions")


@group.command("take-down")
@click.argument("codes", nargs=-1, required=True, metavar="RECOGNITION_ID...")
def take_down(codes: tuple[str, ...]) -> None:
    """Empty entries to which somebody objected; no file brings them back."""
    with transaction():
        refused = [code for code in codes if not recognitions.take_down(code, now=clock.now())]
    click.echo(f"taken down {len(codes) - len(refused)}\nrefused {len(refused)}", err=True)
    for code in refused:
        click.echo(f"{code}: not known here, or taken down already", err=True)
    if refused:
        raise SystemExit(1)
