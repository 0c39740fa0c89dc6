"""Commands on members: import and export members.csv."""

from __future__ import annotations

import csv
import sys
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm.exc import StaleDataError

from portal import clock
from portal.cli.csv_import import bring
from portal.cli.groups import Group
from portal.domain import csv_file, imports, member_csv, members
from portal.extensions import glance, transaction
from portal.tokens import canonical_address

AT_ONCE = 100  # invitations in one transaction

group = Group("members", help="Members come in, and go out as a file.")


@group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--map", "map_", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Other names.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def import_(file: BinaryIO, map_: Path | None, dry_run: bool) -> None:
    """Create and update members from FILE, as docs/members-csv.md describes it; `-` reads standard input."""
    column_map = _read_map(map_)
    bring(file, partial(imports.import_members, column_map=column_map), dry_run=dry_run, of="members")


def _read_map(path: Path | None) -> csv_file.ColumnMap | None:
    if path is None:
        return None
    try:
        return csv_file.read_map(path, known=member_csv.COLUMNS, choices=member_csv.CHOICE_COLUMNS)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


@group.command("invite")
@click.argument("emails", nargs=-1, metavar="[EMAIL]...")
@click.option("--all", "everybody", is_flag=True, help="All without a password who may get broadcast mail.")
def invite(emails: tuple[str, ...], everybody: bool) -> None:
    """Mail the activation link. Somebody who is not known, or has a password already, is refused by name."""
    if bool(emails) == everybody:
        raise click.UsageError("Name the addresses to invite, or --all.")
    with glance():
        wanted = members.to_invite(None if everybody else emails)
    invited = 0
    with click.progressbar(wanted.values(), file=sys.stderr, label="Inviting", hidden=not sys.stderr.isatty()) as ids:
        for chunk in iter(lambda: list(islice(ids, AT_ONCE)), []):
            try:
                with transaction():
                    made = sum(members.invite(each, now=clock.now()) for each in chunk)
            except (DBAPIError, StaleDataError):
                if not invited:
                    raise
                click.echo(f"invited {invited}\nThe database refused the rest. Please run it again later.", err=True)
                raise SystemExit(1) from None
            invited += made
    refused = [each for each in emails if canonical_address(each) not in wanted]
    click.echo(f"invited {invited}\nrefused {len(refused)}", err=True)
    for each in refused:
        click.echo(f"{each}: not known here, suspended, or has a password already", err=True)
    if refused:
        raise SystemExit(1)


@group.command("export")
def export() -> None:
    """Write all members as CSV to standard output; importing it changes nothing."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    with glance():
        writer.writerows(member_csv.exported())
