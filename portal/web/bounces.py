"""Pages: an address from which mail came back is tried again, and its person says that it works."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import bounces
from portal.domain.errors import DomainError
from portal.extensions import limiter
from portal.models import Member
from portal.tokens import WORKS_LINK, read_reference
from portal.web.access import MEMBER, PUBLIC, access, by_network
from portal.web.forms.signin import EmptyForm

bp = Blueprint("bounces", __name__)


@bp.post("/profile/email/works")
@access(MEMBER)
def send_check(member: Member) -> ResponseReturnValue:
    """`/profile/email/works`: send the message whose link lifts the silence."""
    if EmptyForm().validate_on_submit():
        try:
            bounces.send_check(member, now=clock.now())
            flash("We have sent a message to your address. If it arrives, open its link and press Confirm.", "success")
        except DomainError as error:
            flash(str(error), "warning")
    return redirect(url_for("choices.page"), 303)


@bp.route("/profile/email/works/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def works(token: str) -> ResponseReturnValue:
    """`/profile/email/works/<token>`: the link in that message. GET asks, POST acts."""
    if read_reference(token, purpose=WORKS_LINK) is None:
        abort(404)
    asks = bounces.find(token) is not None
    if asks and EmptyForm().validate_on_submit():
        bounces.lift(token, now=clock.now())
        flash("Your address works again. You get what is switched on under Choices, and nothing else.", "success")
        return redirect(url_for("overview.start"), 303)
    return render_template("bounces/works.html", token=token, asks=asks), 200 if asks else 410
