"""Commands on data subject requests: the open ones, and the reminders. The worker calls `say_what_is_due`, too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.cli.groups import Group
from portal.domain import handling, reminders, requests, suspensions
from portal.extensions import glance, transaction

group = Group("requests", help="Data subject requests.")
log = structlog.get_logger()

NOBODY = "nobody"
SORTS = {reminders.GIVEN_UP: "closed", **dict.fromkeys(reminders.UNANSWERED.values(), "people")}


@group.command("list")
def list_() -> None:
    """Print the open requests, the one due first on top: reference, kind, state, received, due, who has it."""
    for request in sorted(requests.queue(), key=lambda each: (reminders.due_on(each), each.reference)):
        dates = request.received_on.isoformat(), reminders.due_on(request).isoformat()
        who = handling.colleague(request.assigned_to_id) or NOBODY
        click.echo("\t".join((request.reference, request.kind, request.state, *dates, who)))


@group.command("remind")
def remind() -> None:
    """Remind staff of what is due and people of what we wait for, and close what had no answer. Safe to repeat."""
    said = say_what_is_due(clock.now())
    for what in ("staff", "people", "closed"):
        click.echo(f"{what} {said[what]}", err=True)
    if said["refused"]:
        click.echo(f"refused by the database: {said['refused']}; the next run tries again", err=True)
        raise SystemExit(1)


def say_what_is_due(now: datetime, *, stopping: Callable[[], bool] = lambda: False) -> Counter[str]:
    """Each request in a transaction of its own, so that none keeps another waiting; how many reminders of each sort.

    `refused`: requests that the database would not change; the others are reminded of all the same.
    """
    said: Counter[str] = Counter()
    with glance():
        waiting = reminders.waiting(now=now)
    for request_id in waiting:
        if stopping():
            break
        try:
            with transaction():
                steps = reminders.remind(request_id, now=now)
        except SQLAlchemyError as error:
            log.error("reminders.broken_off", request=request_id.hex, kind=type(error).__name__)
            steps = ["refused"]
        said.update(SORTS.get(step, "refused" if step == "refused" else "staff") for step in steps)
    with transaction():
        said.update(["staff"] * suspensions.remind(now=now))
    return said
