"""Room of pages: one file a noun. `init_app` registers them, behind the guards."""

from __future__ import annotations

from flask import Flask

from portal.extensions import settings
from portal.web import (
    access,
    choices,
    commits,
    desk,
    dev,
    errors,
    filters,
    headers,
    health,
    members,
    notices,
    overview,
    requests,
    security,
    signin,
    unsubscribe,
)

PAGES = (overview, signin, members, choices, requests, security, unsubscribe, notices, desk, health)


def init_app(app: Flask) -> None:
    """Bind guards, pages and errors to the application. Raises AccessError for a page without a mark."""
    headers.init_app(app)
    commits.init_app(app)
    access.init_app(app)
    filters.init_app(app)
    errors.init_app(app)
    for room in PAGES:
        app.register_blueprint(room.bp)
    with app.app_context():
        if settings().env == "development":
            app.register_blueprint(dev.bp)
    access.check(app)
