"""Pages: somebody whose letter or call staff wrote down says, from their mailbox, that it was they."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import handling, requests
from portal.domain.kinds import KINDS
from portal.extensions import limiter
from portal.tokens import CONFIRM_LINK, read_reference
from portal.vocabulary import Door
from portal.web.access import PUBLIC, access, by_network
from portal.web.forms.signin import EmptyForm

bp = Blueprint("letters", __name__)


@bp.route("/requests/confirm/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def confirm(token: str) -> ResponseReturnValue:
    """`/requests/confirm/<token>`: GET asks, POST confirms. It works until we know who it is, or it is closed."""
    reference = read_reference(token, purpose=CONFIRM_LINK)
    found = requests.by_reference(reference) if reference else None
    if found is None or found.door != Door.STAFF:
        abort(404)
    state = "asks" if found.is_open and found.verified_at is None else "too_late"
    if state == "asks" and EmptyForm().validate_on_submit():
        state = "confirmed" if handling.confirm(found, now=clock.now()) else "too_late"
    shown = render_template(
        "letters/confirm.html",
        request=found,
        kind=KINDS[found.kind],
        token=token,
        state=state,
        today=clock.society_date(clock.now()),
    )
    return shown, 410 if state == "too_late" else 200
