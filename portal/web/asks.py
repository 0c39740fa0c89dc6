"""Pages: ask without an account. An address is typed, a link goes there, and its button makes the request (P25, P27).

Every address gets the same answer; before the button is pressed, nothing counts as received (threats T1, T32).
"""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.authorities import AUTHORITIES
from portal.domain import asks, values
from portal.domain.errors import LinkUsedUp
from portal.domain.kinds import FILED, KINDS
from portal.extensions import limiter
from portal.models import DataSubjectRequest
from portal.tokens import STATUS_LINK, sign_reference
from portal.web.access import PUBLIC, access, by_network, links_by_address, links_by_network
from portal.web.forms.requests import AskForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("asks", __name__)


@bp.route("/ask", methods=["GET", "POST"])
@access(PUBLIC)
@links_by_network
@links_by_address
def ask() -> ResponseReturnValue:
    """`/ask`: address, what is asked, send. The same answer for every address."""
    form = AskForm()
    if form.validate_on_submit():
        asks.ask(form.text("email"), form.text("kind"), details=form.text("details"), now=clock.now())
        return redirect(url_for("asks.link_sent"), 303)
    questions = {code: kind.question for code, kind in FILED.items()}
    return render_template("asks/ask.html", form=form, questions=questions), 422 if form.errors else 200


@bp.get("/ask/link-sent")
@access(PUBLIC)
def link_sent() -> ResponseReturnValue:
    """`/ask/link-sent`."""
    return render_template("asks/link_sent.html")


@bp.route("/ask/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def confirm(token: str) -> ResponseReturnValue:
    """`/ask/<token>`: what was asked. Looking changes nothing; pressing **Confirm** is the receipt."""
    now = clock.now()
    try:
        if EmptyForm().validate_on_submit():
            request = asks.confirm(token, now=now)
            return redirect(_status(request), 303) if request else abort(404)
        found = asks.waiting(token, now=now)
    except LinkUsedUp as error:
        made = asks.made_by(token)
        shown = render_template("asks/used_up.html", reason=str(error), status=_status(made) if made else "")
        return shown, 410
    if found is None:
        abort(404)
    return render_template("asks/confirm.html", ask=found, kind=KINDS[found.kind], token=token)


@bp.get("/authorities")
@access(PUBLIC)
def authorities() -> ResponseReturnValue:
    """`/authorities`: where anybody may complain, by country (GDPR Art. 77)."""
    named = sorted((values.country_name(code), authority) for code, authority in AUTHORITIES.items())
    return render_template("asks/authorities.html", authorities=named)


def _status(request: DataSubjectRequest) -> str:
    return url_for("status.page", token=sign_reference(request.reference, purpose=STATUS_LINK))
