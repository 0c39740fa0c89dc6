"""Room of commands: one file a noun, as thin as a view. Exit: 0 done, 1 something refused, 2 wrong use, 3 nothing."""

from __future__ import annotations

from flask import Flask

from portal.cli import (
    broadcasts,
    datamap,
    demo,
    desk,
    erasures,
    events,
    lists,
    mail,
    members,
    notices,
    recognitions,
    requests,
    retention,
    serve,
    worker,
)

COMMANDS = (
    members.group,
    desk.group,
    events.group,
    recognitions.group,
    broadcasts.group,
    lists.group,
    mail.group,
    notices.group,
    requests.group,
    erasures.group,
    retention.group,
    datamap.group,
    demo.group,
    worker.worker,
    serve.serve,
)


def init_app(app: Flask) -> None:
    """Add the commands of docs/commands.md to `flask --app wsgi`."""
    for command in COMMANDS:
        app.cli.add_command(command)
