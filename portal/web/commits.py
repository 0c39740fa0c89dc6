"""The one place where a page's work is committed: a POST whose answer is below 400. All else is rolled back.

What must stand before anything is shown is written by the page itself, in a short transaction of its own: a look of
staff, the count of a download and its record.
"""

from __future__ import annotations

import structlog
from flask import Flask, Response, g, make_response, render_template, request, session
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import Forbidden

from portal import clock
from portal.domain import signin
from portal.extensions import db, transaction

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Close every request's transaction."""
    app.after_request(close)


def close(response: Response) -> Response:
    """Commit or roll back, then write what outlives a refusal, each in a short transaction of its own."""
    acted = request.method == "POST" and response.status_code < 400
    if acted and g.get("unconfirmed"):
        acted = False
        response = make_response(render_template("errors/error.html", error=Forbidden(), reference="", wait=""), 403)
    if acted:
        db.session.commit()
        _renew_cookie()
    else:
        db.session.close()  # rolls back, and spends nothing on what nobody reads any more
    _write_afterwards()
    return response


def _write_afterwards() -> None:
    """What outlives the answer must not change it: a database that is busy is not waited for long, and is logged."""
    seen = g.pop("seen", None)
    writes = g.pop("afterwards", [])
    now = clock.now()
    if seen is not None and seen[1] < now - signin.SEEN_EVERY:
        writes = [*writes, lambda: signin.see(seen[0], now=now)]
    for write in writes:
        try:
            with transaction(patience=500):
                write()
        except SQLAlchemyError as error:
            log.warning("afterwards.lost", kind=type(error).__name__)


def _renew_cookie() -> None:
    """A sign-in whose password was given again has a new token; the cookie follows once that is committed."""
    sign_in = g.get("sign_in")
    if sign_in is not None and sign_in.token and "_user_id" in session and session["_user_id"] != sign_in.token:
        session["_user_id"] = sign_in.token
