"""Pages of the desk: what is due, one thing looked up, letters and calls written down, and who is suspended.

Every look at a person leaves a row that the person can see; nobody works on their own record.
"""

from __future__ import annotations

import secrets

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import figures, handling, queue, suspensions
from portal.domain.errors import AlreadyOpen
from portal.domain.kinds import KINDS
from portal.extensions import settings
from portal.models import Account, Member, Suspension
from portal.web.access import DESK, access
from portal.web.filters import day
from portal.web.forms.desk import LetterForm, SearchForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("desk", __name__)

MANY = 50  # requests on a page
OWN_RECORD = "Nobody works on their own record. A colleague has to do this."


@bp.get("/desk", endpoint="queue")
@access(DESK)
def start() -> ResponseReturnValue:
    """`/desk`: open requests, the one due first on top; `?whose=mine` only those that I have taken."""
    now, mine = clock.now(), request.args.get("whose") == "mine"
    after = request.args.get("after", "")
    try:
        shown, more = queue.page(assigned_to=_account().id if mine else None, after=after, limit=MANY)
    except ValueError:
        abort(404)
    return render_template(
        "desk/queue.html",
        shown=shown,
        more=more,
        after=after,
        mine=mine,
        me=_account().id,
        numbers=queue.numbers(now=now),
        kinds=KINDS,
        today=clock.society_date(now),
        search=SearchForm(formdata=None),
        to_look_at=suspensions.to_look_at(now=now),
        second_step=settings().desk_requires_second_factor,
        set_up=_account().second_since is not None,
    )


@bp.get("/desk/numbers")
@access(DESK)
def numbers() -> ResponseReturnValue:
    """`/desk/numbers`: requests by week, days to an answer, as charts that are tables."""
    now = clock.now()
    spans = ["more than 30" if most is None else f"{least} to {most}" for least, most in figures.SPANS]
    return render_template(
        "desk/numbers.html",
        weeks=[(day(monday), count) for monday, count in figures.requests_by_week(today=clock.society_date(now))],
        answers=list(zip(spans, figures.days_to_answer(now=now), strict=True)),
    )


@bp.post("/desk/search")
@access(DESK)
def search() -> ResponseReturnValue:
    """`/desk/search`: a reference or an address, sent and never in an address line; nothing is stored but the look."""
    form = SearchForm()
    found = None
    if form.validate_on_submit():
        found = queue.find(form.text("look_up"), now=clock.now())
        if found.member is not None:
            _not_me(found.member)
    shown = render_template(
        "desk/found.html", form=form, found=found, kinds=KINDS, today=clock.society_date(clock.now())
    )
    return shown, 422 if form.errors else 200


@bp.route("/desk/requests/new", methods=["GET", "POST"])
@access(DESK)
def new() -> ResponseReturnValue:
    """`/desk/requests/new`: a request that came by letter, telephone, mail or in person, from the day it arrived."""
    today = clock.society_date(clock.now())
    form = LetterForm(data={"operation_id": secrets.token_urlsafe(24), "arrived_on": today.isoformat()})
    if form.validate_on_submit() and (answer := _write_down(form)) is not None:
        return answer
    return render_template("desk/new.html", form=form), 422 if form.errors else 200


@bp.get("/desk/suspended")
@access(DESK)
def suspended() -> ResponseReturnValue:
    """`/desk/suspended`: who is suspended, the one to be looked at again first on top; names are a press away."""
    today = clock.society_date(clock.now())
    return render_template(
        "desk/suspended.html", standing=suspensions.all_standing(), reasons=suspensions.REASONS, today=today
    )


@bp.post("/desk/suspended/<int(max=2147483647):number>/end")
@access(DESK)
def let_in(number: int) -> ResponseReturnValue:
    """`/desk/suspended/<number>/end`: the person may come in again."""
    found = _suspension(number)
    if EmptyForm().validate_on_submit():
        ended = suspensions.end(found, now=clock.now())
        flash("They can sign in again." if ended else "This suspension had ended already.", "success")
    return redirect(url_for("desk.suspended"), 303)


@bp.post("/desk/suspended/<int(max=2147483647):number>/keep")
@access(DESK)
def keep_out(number: int) -> ResponseReturnValue:
    """`/desk/suspended/<number>/keep`: looked at again, and still needed."""
    found = _suspension(number)
    if EmptyForm().validate_on_submit():
        kept = suspensions.keep(found, now=clock.now())
        flash("It stands for one more year." if kept else "This suspension had ended already.", "success")
    return redirect(url_for("desk.suspended"), 303)


def page_key(name: str) -> int:
    """The key of a page of a list, from the address; 0 without one, 404 for what cannot be one."""
    typed = request.args.get(name, "0")
    if not (typed.isascii() and typed.isdigit()) or not 0 <= int(typed[:11]) < 2**31:
        abort(404)
    return int(typed[:11])


def _account() -> Account:
    account: Account = g.sign_in.account
    return account


def _not_me(member: Member) -> None:
    if member.id == _account().member_id:
        abort(403, OWN_RECORD)


def _suspension(number: int) -> Suspension:
    found = suspensions.one(number)
    if found is None:
        abort(404)
    if found.subject_id == _account().member_id:
        abort(403, OWN_RECORD)
    return found


def _write_down(form: LetterForm) -> ResponseReturnValue | None:
    """Where to go once it is written down; None if nobody has the member number."""
    now, who = clock.now(), form.text("who")
    member = queue.member_of(who) if who else None
    if member is not None:
        _not_me(member)
    if member is None and who and "@" not in who:
        form.refuse("who", "Nobody has this member number. Enter the email address, or leave the field empty.")
        return None
    try:
        made = handling.write_down(
            member.subject if member else None,
            form.text("kind"),
            details=form.text("letter_words"),
            contact="" if member else who,
            how=form.text("how"),
            received_at=handling.arrived_at(form.arrived, now=now),
            operation_id=form.text("operation_id"),
            now=now,
        )
    except AlreadyOpen as error:
        flash(
            "This person has an open request of this kind. Here it is; write a note if the letter adds to it.", "info"
        )
        return redirect(url_for("handling.one", reference=error.reference), 303)
    asked = made.is_open and made.identity_asked_at is not None
    said = "A link is on its way to their mailbox. With it they confirm that it was them." if asked else ""
    flash(f"Written down. Its time runs from the day it arrived. {said}".strip(), "success")
    return redirect(url_for("handling.one", reference=made.reference), 303)
