"""Room of commands: the kind of group that all of them stand in. A database that refuses is told in one sentence."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError


class Group(AppGroup):
    """A noun. A database error ends its commands with exit 3, and shows neither data nor the database's own words."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (exc.IntegrityError, StaleDataError):
            click.echo("Somebody else was changing the same records at the same time. Please run it again.", err=True)
        except (exc.DBAPIError, exc.TimeoutError) as error:
            kind = type(error).__name__
            click.echo(
                f"The database did not answer as it should ({kind}): it is away, busy, or waits for `db upgrade`. "
                "Please run it again later.",
                err=True,
            )
        raise SystemExit(3)
