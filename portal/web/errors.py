"""What a visitor reads when something went wrong: what happened, that nothing was lost, and the way on."""

from __future__ import annotations

import math
import secrets
from urllib.parse import urlsplit

import structlog
from flask import Flask, current_app, g, render_template, request, session
from flask.typing import ResponseReturnValue
from flask_limiter import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    InternalServerError,
    SecurityError,
    ServiceUnavailable,
    TooManyRequests,
)

from portal import clock
from portal.domain.errors import DomainError, LinkUsedUp
from portal.extensions import db, limiter
from portal.web import access

log = structlog.get_logger()
# StaleDataError: the row went at this moment, as a sign-in that is ended elsewhere; OSError: the journal's disk.
AWAY = (OperationalError, InterfaceError, PoolTimeout, StaleDataError, OSError)
RETRY_AFTER = 30  # seconds
NEVER_KEPT = ("csrf_token", "password", "new_password", "current_password")


def init_app(app: Flask) -> None:
    """Register the handlers; a domain error that no form has shown ends here too."""
    app.register_error_handler(HTTPException, page)
    app.register_error_handler(CSRFError, form_expired)
    app.register_error_handler(LinkUsedUp, used_up)
    app.register_error_handler(DomainError, refused)
    for error in AWAY:
        app.register_error_handler(error, away)
    app.register_error_handler(InternalServerError, broken)


def page(error: HTTPException) -> ResponseReturnValue:
    """Any refusal with a status of its own."""
    if error.response is not None:
        return error.response
    if isinstance(error, SecurityError):  # its words repeat the foreign host
        error = BadRequest()
    wait = _retry_after(error)
    headers = {"Retry-After": str(wait)} if error.code in (429, 503) else {}
    if error.code == 405 and (allowed := error.get_headers()):
        headers |= {name: value for name, value in allowed if name == "Allow"}
    shown = render_template("errors/error.html", error=error, reference="", wait=_waiting(wait))
    return shown, error.code or 500, headers


def form_expired(error: CSRFError) -> ResponseReturnValue:
    """A form without a valid token. What was typed is offered again, if it was sent from our own page."""
    own = _is_own()
    return render_template("errors/form_expired.html", kept=_typed() if own else [], action=_here(), own=own), 400


def used_up(error: LinkUsedUp) -> ResponseReturnValue:
    """A mailed link that no longer works: why, and the way on."""
    return render_template("errors/used_up.html", reason=str(error)), 410


def refused(error: DomainError) -> ResponseReturnValue:
    """A refusal that the view did not expect: its sentence is still the right one."""
    shown = BadRequest(str(error))
    return render_template("errors/error.html", error=shown, reference="", wait=""), 422


def away(error: Exception) -> ResponseReturnValue:
    """The database is away or busy: try again, with what was typed. A page that can do without it does."""
    db.session.rollback()
    _unsay()
    without_database = g.pop("without_database", None)
    if without_database is not None and not isinstance(error, OSError):
        return without_database()  # type: ignore[no-any-return]
    log.error("database.away", kind=type(error).__name__)
    if request.method == "POST" and not _is_anonymous() and _is_own():
        shown = render_template("errors/away.html", kept=_typed(), action=_here())
    else:
        shown = render_template("errors/error.html", error=ServiceUnavailable(), reference="", wait="")
    return shown, 503, {"Retry-After": str(RETRY_AFTER)}


def broken(error: InternalServerError) -> ResponseReturnValue:
    """A fault of ours: a reference to quote, and no detail. Errors of the database say only their kind in the log."""
    cause = error.original_exception
    if isinstance(cause, AWAY):
        return away(cause)
    _unsay()
    reference = secrets.token_hex(4)
    trace = None if cause is None or "sqlalchemy" in type(cause).__module__ else cause
    log.error("page.broken", reference=reference, kind=type(cause).__name__, endpoint=request.endpoint, exc_info=trace)
    return render_template("errors/error.html", error=error, reference=reference, wait=""), 500


def _unsay() -> None:
    """Drop what this request was about to say: it was rolled back. Pages without a session have said nothing."""
    if not _is_anonymous():
        session.pop("_flashes", None)


def _is_anonymous() -> bool:
    """Whether the page asked for has no session, or is none of ours."""
    mark = getattr(current_app.view_functions.get(request.endpoint or ""), "access", None)
    return mark is None or bool(mark.anonymous)


def _typed() -> list[tuple[str, str]]:
    """What was typed into a form, to be sent again. A password is typed anew."""
    return [(name, text) for name, text in request.form.items(multi=True) if name not in NEVER_KEPT]


def _here() -> str:
    """Where the form was sent, its query too, without a question mark after nothing."""
    return request.full_path if request.query_string else request.path


def _is_own() -> bool:
    """Whether a form was sent from one of our pages."""
    return request.headers.get("Sec-Fetch-Site", _by_origin()) in ("same-origin", "none")


def _by_origin() -> str:
    """For browsers without Sec-Fetch-Site: whether Origin or Referer is one of ours."""
    source = request.headers.get("Origin") or request.headers.get("Referer") or ""
    try:
        host = urlsplit(source).netloc
    except ValueError:  # as of an address with half a bracket
        return ""
    return "same-origin" if host == urlsplit(current_app.config["PORTAL_URL"]).netloc else ""


def _retry_after(error: HTTPException) -> int:
    """Seconds, in whole minutes: until the limit's window ends, or as long as the limit on guessed passwords is."""
    if error.code != 429:
        return RETRY_AFTER
    if isinstance(error, TooManyRequests) and isinstance(error.retry_after, int):
        return math.ceil(error.retry_after / 60) * 60
    if not isinstance(error, RateLimitExceeded) or limiter.current_limit is None:
        return access.PASSWORDS_AGAIN.get_expiry()
    left = limiter.current_limit.reset_at - 1 - clock.now().timestamp()
    return max(1, math.ceil(left / 60)) * 60


def _waiting(seconds: int) -> str:
    """As in "five minutes": rounded up, so that whoever waits that long is let in."""
    minutes = math.ceil(seconds / 60)
    if minutes < 60:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{math.ceil(minutes / 60)} hours" if minutes > 60 else "an hour"
