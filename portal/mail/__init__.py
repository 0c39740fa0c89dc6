"""Room of mail: words (`messages`), the outbox (`outbox`), the way out (`transport`, `delivery`)."""

from __future__ import annotations

from flask import Flask


def init_app(app: Flask) -> None:
    """Bind Flask-Mail to the application."""
