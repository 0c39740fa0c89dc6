"""Pages: the second step of a sign-in, for the people of the desk."""

from __future__ import annotations

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from portal import clock
from portal.domain import second_factor
from portal.domain.errors import CodeRefused
from portal.models import Account
from portal.web.access import ACCOUNT, RECENT, access, next_path
from portal.web.forms.second_factor import CodeForm, SetUpForm

bp = Blueprint("second_factor", __name__)


@bp.route("/security/second-factor", methods=["GET", "POST"])
@access(ACCOUNT, post=RECENT)
def set_up() -> ResponseReturnValue:
    """`/security/second-factor`: a picture for the app, ten codes for the drawer, and the first code back."""
    account = _staff()
    if account.second_since is not None and g.sign_in.second_at is None:
        return redirect(url_for("second_factor.give", next=url_for("second_factor.set_up")), 303)
    form = SetUpForm()
    offer = _offer(form, account)
    if form.validate_on_submit():
        try:
            second_factor.set_up(g.sign_in, offer, form.text("code"), now=clock.now())
        except CodeRefused as error:
            form.refuse("code", str(error))
        else:
            flash("The second step is set up. Keep the recovery codes with your other important papers.", "success")
            return redirect(next_path(url_for("security.page")), 303)
    picture = Markup(offer.picture)  # noqa: S704  drawn by segno from our own words
    shown = render_template("security/second_factor.html", form=form, offer=offer, picture=picture, next=next_path(""))
    return shown, 422 if form.errors else 200


@bp.route("/sign-in/code", methods=["GET", "POST"])
@access(ACCOUNT)
def give() -> ResponseReturnValue:
    """`/sign-in/code`: the code of the app, or a recovery code."""
    account = _staff()
    if account.second_since is None or g.sign_in.second_at is not None:
        return redirect(next_path("/desk"), 303)
    form = CodeForm()
    if form.validate_on_submit():
        try:
            second_factor.give(g.sign_in, form.text("code"), now=clock.now())
        except CodeRefused as error:
            form.refuse("code", str(error))
        else:
            return redirect(next_path("/desk"), 303)
    return render_template("signin/code.html", form=form, next=next_path("")), 422 if form.errors else 200


def _staff() -> Account:
    account: Account = g.sign_in.account
    if not account.staff:
        abort(404)
    return account


def _offer(form: SetUpForm, account: Account) -> second_factor.Offer:
    """The offer that the form brings back, so that the app need not be set up twice; a fresh one otherwise."""
    try:
        offer = second_factor.offered(account, form.text("sealed"))
    except CodeRefused:
        offer = second_factor.offer(account)
    form.sealed.data = offer.sealed
    return offer
