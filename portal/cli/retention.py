"""Commands on retention: carry out the periods of the catalogue."""

from __future__ import annotations

import click

from portal import clock
from portal.cli.groups import Group
from portal.datamap import retention

group = Group("retention", help="How long rows stay.")

COLUMNS = ("rule", "how long", "gone", "stays", "until")


@group.command("run")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
def run(*, dry_run: bool) -> None:
    """Delete what is past its time; print each rule: how long, rows gone, rows that stay, when the next one goes."""
    gone, refused = 0, []
    click.echo("\t".join(COLUMNS))
    for rule in retention.run(now=clock.now(), dry_run=dry_run):
        until = rule.until.isoformat() if rule.until else "no date"
        click.echo("\t".join((rule.rule, rule.words, str(rule.gone), str(rule.stays), until)))
        gone += rule.gone
        refused += [rule.rule] if rule.refused else []
    click.echo(f"{'would go' if dry_run else 'gone'} {gone}", err=True)
    if refused:
        click.echo(f"refused by the database: {', '.join(refused)}; the next run tries again", err=True)
        raise SystemExit(1)
