"""Pages of development only: the messages that were sent, and the components. Not registered elsewhere."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from portal.mail import transport
from portal.web.access import PUBLIC, access
from portal.web.forms.dev import specimens

bp = Blueprint("dev", __name__, url_prefix="/dev")


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
