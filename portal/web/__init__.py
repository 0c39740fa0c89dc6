"""Room of pages: one file a noun. `init_app` registers them, behind the guards."""

from __future__ import annotations

from flask import Flask

from portal.domain import limits

LIMITS = limits.DatabaseStorage  # importing it registers the scheme `database://`


def init_app(app: Flask) -> None:
    """Bind guards, pages and errors to the application."""
