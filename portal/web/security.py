"""Pages: the password and the sign-ins of one's own account."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import second_factor, signin
from portal.domain.errors import PasswordRefused
from portal.web.access import ACCOUNT, PUBLIC, RECENT, access, remember_session
from portal.web.forms.signin import ChangePasswordForm, ConfirmForm

bp = Blueprint("security", __name__)


@bp.get("/security")
@access(ACCOUNT)
def page() -> ResponseReturnValue:
    """`/security`: the password's age, the sign-ins, the tries that failed."""
    now = clock.now()
    return render_template(
        "security/security.html",
        account=g.sign_in.account,
        sign_ins=signin.sign_ins(g.sign_in.account, now=now),
        this_one=g.sign_in.kept_by_id or g.sign_in.id,
        codes_left=second_factor.left(g.sign_in.account) if g.sign_in.account.second_since else 0,
        failures=signin.failures(g.sign_in.account, since=now - timedelta(days=30)),
    )


@bp.route("/security/password", methods=["GET", "POST"])
@access(ACCOUNT, post=RECENT)
def password() -> ResponseReturnValue:
    """`/security/password`: a new password; every other sign-in ends, this browser stays signed in."""
    form = ChangePasswordForm()
    if form.validate_on_submit():
        try:
            opened = signin.change_password(g.sign_in, form.text("new_password"), now=clock.now())
        except PasswordRefused as error:
            form.refuse("new_password", str(error))
        else:
            remember_session(opened)
            flash("Your password is changed. Every other sign-in has ended.", "success")
            return redirect(url_for("security.page"), 303)
    return render_template("security/password.html", form=form), 422 if form.errors else 200


@bp.route("/security/end/<uuid:sign_in_id>", methods=["GET", "POST"])
@access(ACCOUNT, post=RECENT)
def end_one(sign_in_id: UUID) -> ResponseReturnValue:
    """`/security/end/<id>`: end one of one's own sign-ins."""
    found = signin.one_of(g.sign_in.account, sign_in_id)
    if found is None:
        abort(404)
    form = ConfirmForm()
    if form.validate_on_submit():
        signin.end(found)
        flash("That sign-in has ended.", "success")
        return redirect(url_for("security.page"), 303)
    return render_template("security/end_one.html", form=form, sign_in=found), 422 if form.errors else 200


@bp.route("/security/everywhere", methods=["GET", "POST"])
@access(ACCOUNT, post=RECENT)
def end_everywhere() -> ResponseReturnValue:
    """`/security/everywhere`: end every sign-in, this one too."""
    form = ConfirmForm()
    if form.validate_on_submit():
        signin.end_all(g.sign_in.account)
        flash("You are signed out everywhere.", "success")
        return redirect(url_for("signin.sign_in"), 303)
    return render_template("security/everywhere.html", form=form), 422 if form.errors else 200


@bp.get("/.well-known/change-password")
@access(PUBLIC)
def change_password() -> ResponseReturnValue:
    """`/.well-known/change-password`: where password managers look."""
    return redirect(url_for("security.page"), 303)
