"""Commands on data subject requests."""

from __future__ import annotations

import click

from portal.cli.groups import Group
from portal.domain import requests

group = Group("requests", help="Data subject requests.")


@group.command("list")
def list_() -> None:
    """Print the open requests, the one due first on top: reference, kind, state, received, due."""
    for request in requests.queue():
        dates = (request.received_on.isoformat(), request.promise_on.isoformat())
        click.echo("\t".join((request.reference, request.kind, request.state, *dates)))
