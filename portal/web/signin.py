"""Pages: sign in, sign out, activate, forgotten password, set a password (rights §7)."""

from __future__ import annotations

from datetime import timedelta

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    g,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import signin
from portal.domain.errors import PasswordRefused
from portal.extensions import limiter, settings
from portal.tokens import EVERYTHING
from portal.web.access import (
    ACCOUNT,
    PUBLIC,
    RECENT,
    access,
    afterwards,
    browser,
    by_address,
    by_network,
    links_by_address,
    links_by_network,
    network,
    next_path,
    no_address,
    remember_session,
)
from portal.web.download import PAGES_OF_FILES
from portal.web.forms import AddressForm
from portal.web.forms.signin import EmptyForm, PasswordAgainForm, SetPasswordForm, SignInForm

bp = Blueprint("signin", __name__)

WRONG = "This email address and password do not match. Check both, or ask for a new password."


@bp.route("/sign-in", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("1000 per 5 minutes", key_func=lambda: EVERYTHING, methods=["POST"])
@limiter.limit("30 per 5 minutes", key_func=by_network, methods=["POST"])
@limiter.limit("10 per 5 minutes", key_func=by_address, methods=["POST"], exempt_when=no_address)
def sign_in() -> ResponseReturnValue:
    """`/sign-in`."""
    if g.visit is not None and request.method != "POST":
        return redirect(_onward(), 303)
    form = SignInForm()
    if not form.validate_on_submit():
        return render_template("signin/sign_in.html", form=form, next=next_path("")), 422 if form.errors else 200
    proved = signin.prove(form.text("email"), form.text("password"))
    now, where = clock.now(), network()
    opened = proved and signin.open_sign_in(
        proved, form.text("password"), keep=form.keep.data, browser=browser(), network=where, now=now
    )
    if opened is None:
        typed = form.text("email")
        afterwards(lambda: signin.note_failure(typed, network=where, now=now))
        form.refuse("email", WRONG)
        return render_template("signin/sign_in.html", form=form, next=next_path("")), 422
    _end_held()
    remember_session(opened.sign_in)
    return _with_keep_cookie(redirect(_onward(), 303), opened.keep_token)


@bp.route("/sign-in/again", methods=["GET", "POST"])
@access(ACCOUNT, post=RECENT)
def sign_in_again() -> ResponseReturnValue:
    """`/sign-in/again`: the password once more, before something that matters."""
    form = PasswordAgainForm()
    if not form.asks_password or form.validate_on_submit():
        return redirect(_onward(), 303)
    return render_template("signin/again.html", form=form, next=next_path("/")), 422 if form.errors else 200


@bp.post("/sign-out")
@access(PUBLIC)
def sign_out() -> ResponseReturnValue:
    """`/sign-out`: ends this sign-in and, with it, every copy of its cookies."""
    form = EmptyForm()
    if form.validate_on_submit():
        _end_held()
    session.clear()
    flash("You are signed out.", "success")
    return _without_keep_cookie(redirect(url_for("overview.start"), 303))


@bp.route("/activate", methods=["GET", "POST"])
@access(PUBLIC)
@links_by_network
@links_by_address
def activate() -> ResponseReturnValue:
    """`/activate`: the first link."""
    return _mail_a_link("activation", "signin/activate.html")


@bp.route("/forgot-password", methods=["GET", "POST"])
@access(PUBLIC)
@links_by_network
@links_by_address
def forgot_password() -> ResponseReturnValue:
    """`/forgot-password`: a new link."""
    return _mail_a_link("password", "signin/forgot_password.html")


@bp.get("/link-sent")
@access(PUBLIC)
def link_sent() -> ResponseReturnValue:
    """`/link-sent`: the same words for every address."""
    return render_template("signin/link_sent.html")


@bp.route("/set-password/<token>", methods=["GET", "POST"])
@access(PUBLIC)
@limiter.limit("60 per hour", key_func=by_network, methods=["POST"])
def set_password(token: str) -> ResponseReturnValue:
    """`/set-password/<token>`: looking changes nothing, pressing the button spends the link."""
    now = clock.now()
    form = SetPasswordForm()
    if form.validate_on_submit():
        try:
            if signin.spend_link(token, form.text("new_password"), now=now) is None:
                abort(404)
        except PasswordRefused as error:
            form.refuse("new_password", str(error))
        else:
            flash("Your password is set. Sign in with it.", "success")
            return redirect(url_for("signin.sign_in"), 303)
    link = signin.link(token, now=now)
    if link is None:
        abort(404)
    return render_template("signin/set_password.html", form=form, link=link, token=token), 422 if form.errors else 200


def _onward() -> str:
    """Where the visitor was going; to the page of a file, since a file would leave the browser on this form."""
    path = next_path("/")
    return PAGES_OF_FILES.get(path, path)


def _mail_a_link(wanted: str, template: str) -> ResponseReturnValue:
    form = AddressForm()
    if form.validate_on_submit():
        signin.ask_for_link(form.text("email"), wanted=wanted, now=clock.now())
        return redirect(url_for("signin.link_sent"), 303)
    return render_template(template, form=form), 422 if form.errors else 200


def _end_held() -> None:
    """End the sign-in that this browser holds, if it holds one."""
    kept = request.cookies.get(current_app.config["KEEP_COOKIE_NAME"], "")
    signin.end_by_tokens(session.get("_user_id", ""), kept)


def _with_keep_cookie(answer: object, token: str | None) -> Response:
    response = make_response(answer)
    if token is not None:
        response.set_cookie(
            current_app.config["KEEP_COOKIE_NAME"],
            token,
            max_age=timedelta(days=30),
            secure=settings().secure,
            httponly=True,
            samesite="Lax",
        )
    return response


def _without_keep_cookie(answer: object) -> Response:
    response = make_response(answer)
    response.delete_cookie(
        current_app.config["KEEP_COOKIE_NAME"], secure=settings().secure, httponly=True, samesite="Lax"
    )
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response
