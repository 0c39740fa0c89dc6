"""The member privacy portal. `create_app` is the only wiring: it binds the rooms to one Flask application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import cli, logs, mail, web
from portal.datamap import inventory
from portal.domain import limits
from portal.extensions import Base, Portal, csrf, db, limiter, login_manager, migrate, prepare_engine
from portal.tokens import purpose_key

if TYPE_CHECKING:
    from config import Config


LIMIT_STORAGE = limits.DatabaseStorage  # importing it makes `database://` known


def create_app(config: Config) -> Flask:
    """A portal with these settings. Raises MapError or AccessError if a column or a page says nothing about itself."""
    app = Portal(__name__)
    app.config.from_mapping(config.flask())
    app.extensions["portal.config"] = config
    if config.trusted_proxies:
        hops = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]

    logs.init_app(app)
    inventory.check(Base.metadata)
    with app.app_context():
        app.config["WTF_CSRF_SECRET_KEY"] = purpose_key("csrf")
    db.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent.parent / "migrations"))
    with app.app_context():
        prepare_engine(db.engine)
    login_manager.init_app(app, add_context_processor=False)
    limiter.init_app(app)
    csrf.init_app(app)
    mail.init_app(app)
    web.init_app(app)
    cli.init_app(app)
    return app
