"""Guard before every page: while the gate is closed the portal takes opt-outs and nothing else (rights §5.6)."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from flask import Flask, current_app, g, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable

from portal import clock
from portal.domain import gate
from portal.extensions import glance

log = structlog.get_logger()
ASK_AGAIN = timedelta(seconds=10)
ALWAYS = ("static", "health.up", "health.ready", "metrics.page", "weaknesses.security_txt")
SEEN = "portal.gate.seen"  # by this process: when it was last open, or why it is closed


def init_app(app: Flask) -> None:
    """Ask before every other guard, those of the extensions too: they read and count in the database."""
    app.before_request_funcs.setdefault(None, []).insert(0, guard)


def guard() -> None:
    """503 while the gate is closed. The button and the one-click of an unsubscribe link go on to the journal."""
    g.sign_in = g.visit = None
    g.closed = request.endpoint not in ALWAYS and _is_closed(clock.now())
    if g.closed and not _is_opt_out():
        raise ServiceUnavailable(
            "We are putting our records in order. Nothing is lost, but it may take some hours. Please come back later. "
            "The unsubscribe links in our emails still work."
        )


def _is_closed(now: datetime) -> bool:
    """Asked at most every ten seconds while it is open, each time while it is closed.

    A database that is away is no closed gate: the page meets it itself, and says so or does without.
    """
    seen: datetime | str | None = current_app.extensions.get(SEEN)
    if isinstance(seen, datetime) and abs(now - seen) < ASK_AGAIN:
        return False
    try:
        with glance():
            why = gate.closed()
    except SQLAlchemyError as error:
        log.warning("gate.not_asked", kind=type(error).__name__)
        return False
    current_app.extensions[SEEN] = why or now
    if why and why != seen:
        log.error("gate.closed", why=why)
    return bool(why)


def _is_opt_out() -> bool:
    return request.endpoint == "unsubscribe.by_link" and request.method == "POST" and "undo" not in request.form
