"""Bench: the limits, pages that do the least that could be done; and beside them the obvious build of the form."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

from flask import Flask, Response, abort, request
from flask.typing import ResponseReturnValue
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from bench import obvious
from config import Config, from_environment
from portal import clock, journal
from portal.tokens import read_unsubscribe

PAGE = "<!doctype html><title>Ready</title>" + "<p>A page that was ready before it was asked for." * 240
TABLE = "CREATE TABLE IF NOT EXISTS bench_commit (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"


def create_limits(config: Config) -> Flask:
    """A Flask application with three views: a ready page, the check of a link, one durable row."""
    app = Flask("limits")
    app.config.from_mapping(config.flask())
    database = config.database_url.removeprefix("sqlite:///")
    local = threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(database, isolation_level=None)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
                local.connection.execute(f"PRAGMA {pragma}")
            local.connection.execute(TABLE)
        made: sqlite3.Connection = local.connection
        return made

    @app.get("/bare")
    def bare() -> str:
        return PAGE

    @app.post("/token/<token>")
    def token(token: str) -> ResponseReturnValue:
        """The link is checked and the journal has it on the disk; no database."""
        read = read_unsubscribe(token)
        if read is None or request.form.get("List-Unsubscribe") != "One-Click":
            abort(404)
        journal.note(read.reference, "suppress_broadcast_emails", "yes", door="one-click", at=clock.now())
        return Response("You are unsubscribed.\n", mimetype="text/plain")

    @app.post("/commit")
    def commit() -> ResponseReturnValue:
        with connection() as own:
            own.execute("BEGIN IMMEDIATE")
            own.execute("INSERT INTO bench_commit (text) VALUES (?)", (request.form["city"],))
        return Response("", 303, {"Location": "/bare"})

    return app


def served() -> DispatcherMiddleware:
    """The limits, and under /obvious the obvious build. Their journal is their own."""
    environ = os.environ | {"JOURNAL_DIR": str(Path(os.environ["JOURNAL_DIR"]).with_name("limits"))}
    config = from_environment(environ)
    return DispatcherMiddleware(create_limits(config), {"/obvious": obvious.create_obvious(config)})
