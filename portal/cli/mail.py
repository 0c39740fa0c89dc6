"""Commands on mail: deliver the outbox."""

from __future__ import annotations

import click

from portal import clock
from portal.cli import worker
from portal.cli.groups import Group
from portal.mail import delivery

group = Group("mail", help="The outbox.")


@group.command("deliver")
@click.option("--watch", is_flag=True, help="Go on until stopped.")
def deliver(watch: bool) -> None:
    """Deliver what is due, once; what it did goes to standard error."""
    if watch:
        worker.run(every=1.0)
        return
    worker.catch_up()
    worker.answer_waiting(clock.now)
    done = delivery.deliver()
    for what in ("sent", "retried", "dead", "cancelled", "deferred"):
        click.echo(f"{what} {getattr(done, what)}", err=True)
    if done.dead or done.deferred:
        raise SystemExit(1)
