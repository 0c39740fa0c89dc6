"""Pages: state a request, follow it against its clock, take it back (P25 to P27, P32)."""

from __future__ import annotations

import secrets

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import requests
from portal.domain.errors import AlreadyOpen
from portal.domain.kinds import KINDS
from portal.models import Member
from portal.vocabulary import Door
from portal.web.access import MEMBER, RECENT, access
from portal.web.forms.requests import RequestForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("requests", __name__)


@bp.get("/requests")
@access(MEMBER)
def mine(member: Member) -> ResponseReturnValue:
    """`/requests`: what I asked and where it stands."""
    return render_template("requests/mine.html", requests=requests.of(member), kinds=KINDS)


@bp.get("/requests/new")
@access(MEMBER)
def new(member: Member) -> ResponseReturnValue:
    """`/requests/new`: the kinds, each in plain words."""
    opened = {kind: requests.open_request(member, kind) for kind in KINDS if KINDS[kind].once}
    return render_template("requests/new.html", kinds=KINDS, opened=opened)


@bp.route("/requests/new/<kind>", methods=["GET", "POST"])
@access(MEMBER, post=RECENT)
def file(member: Member, kind: str) -> ResponseReturnValue:
    """`/requests/new/<kind>`: what will happen, and the button that sends it."""
    if kind not in KINDS:
        abort(404)
    form = RequestForm(data={"operation_id": secrets.token_urlsafe(24)})
    if form.validate_on_submit():
        return _file(member, kind, form)
    standing = requests.open_request(member, kind) if KINDS[kind].once else None
    if standing is not None and not form.is_submitted():
        return redirect(url_for("requests.one", reference=standing.reference), 303)
    return render_template("requests/file.html", form=form, kind=KINDS[kind]), 422 if form.errors else 200


@bp.get("/requests/<reference>")
@access(MEMBER)
def one(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>`: where it stands, the day the answer is due, every step."""
    request = requests.one_of(member, reference)
    if request is None:
        abort(404)
    return render_template("requests/one.html", request=request, kind=KINDS[request.kind], form=EmptyForm())


@bp.post("/requests/<reference>/withdraw")
@access(MEMBER)
def withdraw(member: Member, reference: str) -> ResponseReturnValue:
    """`/requests/<reference>/withdraw`: take it back, with one press."""
    request = requests.one_of(member, reference)
    if request is None:
        abort(404)
    if EmptyForm().validate_on_submit():
        requests.withdraw(member, request, now=clock.now())
        flash("Your request is withdrawn. You can send a new one at any time.", "success")
    return redirect(url_for("requests.one", reference=reference), 303)


def _file(member: Member, kind: str, form: RequestForm) -> ResponseReturnValue:
    try:
        request = requests.file(
            member,
            kind,
            details=form.text("details"),
            operation_id=form.text("operation_id"),
            via=Door.PAGE,
            now=clock.now(),
        )
    except AlreadyOpen as error:
        return redirect(url_for("requests.one", reference=error.reference), 303)
    if request.is_open:
        flash("We have your request. A receipt is on its way to you by email.", "success")
    else:  # the same form once more, from a page that stayed open
        flash("This request was sent before and is closed now. You can send a new one at any time.", "info")
    return redirect(url_for("requests.one", reference=request.reference), 303)
