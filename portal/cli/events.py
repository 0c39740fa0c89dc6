"""Commands on events: the events themselves, and who registered for them."""

from __future__ import annotations

from typing import BinaryIO

import click

from portal.cli.csv_import import bring
from portal.cli.groups import Group
from portal.domain.event_imports import import_events
from portal.domain.registration_imports import import_registrations

group = Group("events", help="Events, and who registered for them.")


@group.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def import_(file: BinaryIO, dry_run: bool) -> None:
    """Create and update events from FILE, as docs/events-csv.md describes it; `-` reads standard input."""
    bring(file, import_events, dry_run=dry_run, of="events")


@group.command("registrations")
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
def registrations(file: BinaryIO, dry_run: bool) -> None:
    """Register members and others from FILE, with what they chose; `-` reads standard input."""
    bring(file, import_registrations, dry_run=dry_run, of="members or registrations")
