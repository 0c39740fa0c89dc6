"""Pages of development only: the messages that were sent, and the components. Not registered elsewhere."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, abort, current_app, render_template
from flask.typing import ResponseReturnValue

from portal.mail import transport
from portal.web.access import PUBLIC, access
from portal.web.forms.dev import specimens

bp = Blueprint("dev", __name__, url_prefix="/dev")

STATES = {":hover": ".pointed-at", ":focus-visible": ".focused"}  # as classes, so that a picture shows them


@bp.get("/mailbox")
@access(PUBLIC)
def mailbox() -> ResponseReturnValue:
    """`/dev/mailbox`: every message, newest first."""
    return render_template("dev/mailbox.html", messages=transport.mailbox_messages())


@bp.get("/mailbox/<key>")
@access(PUBLIC)
def message(key: str) -> ResponseReturnValue:
    """`/dev/mailbox/<key>`: one message as text, as HTML, and its headers."""
    found = transport.mailbox_message(key)
    if found is None:
        abort(404)
    return render_template("dev/message.html", message=found)


@bp.get("/components")
@access(PUBLIC)
def components() -> ResponseReturnValue:
    """`/dev/components`: each component in every state."""
    calm, wrong = specimens()
    return render_template("dev/components.html", calm=calm, form=wrong)


@bp.get("/states.css")
@access(PUBLIC)
def states() -> ResponseReturnValue:
    """`/dev/states.css`: the whole style sheet, in which classes stand for what is pointed at or has the focus."""
    style = (Path(current_app.static_folder or "") / "portal.css").read_text(encoding="utf-8")
    for state, name in STATES.items():
        style = style.replace(state, f":is({state}, {name})")
    return Response(style, mimetype="text/css")
