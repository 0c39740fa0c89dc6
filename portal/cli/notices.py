"""Commands on the privacy notice."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from portal import clock
from portal.cli.groups import Group
from portal.domain import notices
from portal.extensions import transaction
from portal.models.notice import CHANGES

group = Group("notices", help="The privacy notice and its versions.")


@group.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--change", required=True, type=click.Choice(CHANGES), help="What kind of change it is.")
@click.option("--effective", type=click.DateTime(["%Y-%m-%d"]), help="In force from this day; today if left out.")
def publish(file: Path, change: str, effective: datetime | None) -> None:
    """Publish FILE (Markdown, UTF-8) as the next version of the notice."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is not UTF-8.") from error
    with transaction():
        day = effective.date() if effective else None
        notice = notices.publish(text, change=change, effective_on=day, now=clock.now())
        version, effective_on = notice.version, notice.effective_on
    click.echo(f"Version {version} is in force from {effective_on.isoformat()}.", err=True)
