"""Room of commands: the kind of group that all of them stand in. A database that refuses is told in one sentence.

So is a closed gate: while this database lacks an erasure that the journals tell, nothing is read from it or done; and
journals that cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError

from portal.domain import gate
from portal.extensions import glance, transaction


class Group(AppGroup):
    """A noun. A database error ends its commands with exit 3, and shows neither data nor the database's own words.

    `gated=False`, for the group or for one command: it runs while the gate is closed, too.
    """

    def __init__(self, *args: Any, gated: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gated = gated

    def command(  # type: ignore[override]
        self, *args: Any, gated: bool = True, **kwargs: Any
    ) -> Callable[[Callable[..., Any]], click.Command]:
        """As click's own, without the form that takes a function."""
        make = super().command(*args, **kwargs)

        def register(function: Callable[..., Any]) -> click.Command:
            made: click.Command = make(_behind_the_gate(function) if gated and self.gated else function)
            return made

        return register

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


def _behind_the_gate(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def gated(*args: Any, **kwargs: Any) -> Any:
        try:
            with glance():
                why = gate.closed()
        except OSError as error:
            click.echo(f"The journals could not be read ({type(error).__name__}): see JOURNAL_DIR.", err=True)
            raise SystemExit(3) from error
        if why:
            with transaction():
                gate.close_everywhere()
            click.echo(f"The portal is closed. {why} `erasures replay` opens it: see docs/restore.md.", err=True)
            raise SystemExit(3)
        return function(*args, **kwargs)

    return gated
