"""Commands on broadcasts: filter a list of recipients for another program that sends."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator

import click

from portal.cli.groups import Group
from portal.domain import broadcasts
from portal.extensions import glance, settings
from portal.purposes import TOPICS
from portal.tokens import unsubscribe_signer

group = Group("broadcasts", help="Broadcast email.")


@group.command("filter")
@click.option("--topic", required=True, type=click.Choice(sorted(TOPICS)), help="What the broadcast is about.")
def filter_(topic: str) -> None:
    """Read recipients as CSV, write those who may get TOPIC, each with the link that stops it.

    Needs a column `email`; keeps all columns and adds `unsubscribe_url` last. Who may not be mailed, or is not
    known, is dropped and counted.
    """
    reader = csv.reader(sys.stdin, strict=True)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = next(reader, [])
    names = [name.strip().lower().removeprefix("\ufeff") for name in header]
    if "email" not in names:
        click.echo("The input has no column called email.", err=True)
        raise SystemExit(3)
    with glance():
        references = broadcasts.allowed(topic)
    sign = unsubscribe_signer(topic)
    base = settings().url
    dropped = kept = 0
    writer.writerow([header[0].removeprefix("\ufeff"), *header[1:], "unsubscribe_url"])
    for row in _rows(reader):
        email = row[names.index("email")] if len(row) == len(names) else ""
        reference = references.get(broadcasts.short_key(email))
        if reference is None:
            dropped += 1
            continue
        writer.writerow([*row, f"{base}/unsubscribe/{sign(reference)}"])
        kept += 1
    click.echo(f"allowed {kept}\ndropped {dropped}", err=True)


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows that hold something; a file that breaks off in a quoted cell ends with a sentence, not a trace."""
    try:
        yield from (row for row in reader if row)
    except (csv.Error, UnicodeDecodeError) as error:
        click.echo(f"The input breaks off or is not CSV in UTF-8: {error}", err=True)
        raise SystemExit(1) from error
