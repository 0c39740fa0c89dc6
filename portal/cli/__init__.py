"""Room of commands: one file a noun, as thin as a view."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Add the commands of docs/commands.md to `flask --app wsgi`."""
