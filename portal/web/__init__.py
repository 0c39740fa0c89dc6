"""Room of pages: one file a noun. `init_app` registers them, behind the guards."""

from __future__ import annotations

from flask import Flask

from portal.extensions import settings
from portal.web import (
    access,
    asks,
    bounces,
    broadcasts,
    changes,
    choices,
    commits,
    desk,
    dev,
    direct,
    disclosures,
    download,
    errors,
    events,
    filters,
    gate,
    handling,
    headers,
    health,
    held,
    history,
    letters,
    lists,
    members,
    metrics,
    notices,
    overview,
    requests,
    second_factor,
    security,
    signin,
    static,
    status,
    unsubscribe,
    weaknesses,
)

PAGES = (
    overview,
    signin,
    members,
    bounces,
    choices,
    events,
    held,
    history,
    download,
    requests,
    asks,
    status,
    security,
    second_factor,
    unsubscribe,
    notices,
    desk,
    broadcasts,
    handling,
    lists,
    disclosures,
    changes,
    letters,
    health,
    metrics,
    weaknesses,
)


def init_app(app: Flask) -> None:
    """Bind guards, pages and errors to the application. Raises AccessError for a page without a mark."""
    direct.init_app(app)
    gate.init_app(app)
    metrics.init_app(app)
    static.init_app(app)
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
