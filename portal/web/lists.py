"""Pages: lists that leave, at the desk; whom to tell afterwards; the public roster of an event (P13, P18 to P21)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import handling, lists, recalls, trail
from portal.domain.disclosures import FIELDS, fields_in_words
from portal.domain.errors import NotNow, StaleRecord
from portal.extensions import db, settings
from portal.models import Account, Event, ListRelease
from portal.purposes import AUDIENCES, PURPOSES
from portal.web.access import DESK, PUBLIC, RECENT, access
from portal.web.desk import page_key
from portal.web.files import attached
from portal.web.forms.lists import ListForm, OneListForm, RecallForm

bp = Blueprint("lists", __name__)

MANY = 50  # lists on a page
FEW = 5  # people of a preview
ON_A_PAGE = 500  # people of a public roster


@bp.get("/desk/lists")
@access(DESK)
def page() -> ResponseReturnValue:
    """`/desk/lists`: a new list, those that wait, and those that left, the newest first."""
    before = page_key("before")
    form = ListForm(formdata=None)
    form.offer(lists.events_to_choose(), look_only=True)
    return _page(form, before=before)


@bp.post("/desk/lists/look")
@access(DESK)
def look() -> ResponseReturnValue:
    """`/desk/lists/look`: look before a release; whoever is shown sees that on their own page."""
    events = lists.events_to_choose()
    form = ListForm()
    form.offer(events, look_only=True)
    if not form.validate_on_submit():
        return _page(form), 422
    audience, event = AUDIENCES[form.text("audience")], _event(events, form.text("event"))
    shown = lists.preview(audience, event, few=FEW)
    for ident in sorted(ident for ident, _ in shown.first):
        trail.look(ident, "looked at", now=clock.now())
    releasing = ListForm()
    releasing.operation_id.data = ""  # each look is of a list of its own, also one begun by going back to the last form
    releasing.offer(events, look_only=False)
    return _preview(releasing, event, shown)


@bp.post("/desk/lists/release")
@access(DESK, post=RECENT)
def release() -> ResponseReturnValue:
    """`/desk/lists/release`: the file; or the list is filed, where a second person has to approve it."""
    events, now = lists.events_to_choose(), clock.now()
    form = ListForm()
    form.offer(events, look_only=False)
    if not form.validate_on_submit():
        event = _event(events, form.text("event"))
        return (_preview(form, event, None) if form.errors.keys() <= {"password"} else _page(form)), 422
    audience = AUDIENCES[form.text("audience")]
    lists.take_turn()
    found = lists.file(
        audience,
        _event(events, form.text("event")),
        to=form.text("recipient"),
        by=_account(),
        operation_id=form.text("operation_id"),
        now=now,
    )
    if lists.needs_second(audience):
        flash(f"{found.number} is filed. A colleague has to approve it here; then it can be released.", "success")
        return redirect(url_for("lists.one", number=found.number), 303)
    return _file(found, form)


@bp.get("/desk/lists/<number>")
@access(DESK)
def one(number: str) -> ResponseReturnValue:
    """`/desk/lists/<number>`: one list: who filed it, approved it, released it; nobody on it is named."""
    return _one(_found(number))


@bp.post("/desk/lists/<number>/approve")
@access(DESK, post=RECENT)
def approve(number: str) -> ResponseReturnValue:
    """`/desk/lists/<number>/approve`: a second person agrees."""

    def act(found: ListRelease) -> ResponseReturnValue:
        lists.approve(found, by=_account(), now=clock.now())
        flash(f"{found.number} is approved. It can be released once, within {lists.GOOD_FOR.days} days.", "success")
        return redirect(url_for("lists.one", number=found.number), 303)

    return _act(number, act)


@bp.post("/desk/lists/<number>/release")
@access(DESK, post=RECENT)
def release_filed(number: str) -> ResponseReturnValue:
    """`/desk/lists/<number>/release`: the file, of those alone who agree now."""
    return _act(number, lambda found: _file(found, OneListForm()))


# Recalls --------------------------------------------------------------------------------------------------


@bp.get("/desk/recalls")
@access(DESK)
def recalled() -> ResponseReturnValue:
    """`/desk/recalls`: whom to tell that somebody on their list has since said no, with the message (Art. 19)."""
    return _recalls()


@bp.post("/desk/recalls/<number>/done")
@access(DESK)
def told(number: str) -> ResponseReturnValue:
    """`/desk/recalls/<number>/done`: the recipient was told."""
    form = RecallForm()
    if not form.validate_on_submit():
        return _recalls(form), 422
    try:
        many = recalls.done(number, seen=form.text("seen"), by=_account(), now=clock.now())
    except StaleRecord as error:
        form.refuse("", str(error))
        return _recalls(form), 422
    flash("Noted. Each of them sees that you told the recipient." if many else "That was done already.", "success")
    return redirect(url_for("lists.recalled"), 303)


def _recalls(form: RecallForm | None = None) -> str:
    waiting = [(each, recalls.message(each)) for each in recalls.waiting(now=clock.now())]
    return render_template("lists/recalls.html", form=form, waiting=waiting, audiences=AUDIENCES)


# The public page ------------------------------------------------------------------------------------------


@bp.get("/events/<event>/roster")
@access(PUBLIC)
def roster(event: str) -> ResponseReturnValue:
    """`/events/<event>/roster`: the last released public list, less those who have since said no."""
    found = lists.roster(event, after=page_key("after"), limit=ON_A_PAGE)
    if found is None:
        abort(404)
    shown = render_template("lists/roster.html", roster=found, after="after" in request.args)
    return shown, {"X-Robots-Tag": "noindex"}


# What they share ------------------------------------------------------------------------------------------


def _account() -> Account:
    account: Account = g.sign_in.account
    return account


def _event(events: list[Event], code: str) -> Event | None:
    return next((each for each in events if each.code == code), None)


def _found(number: str) -> ListRelease:
    found = lists.by_number(number)
    if found is None:
        abort(404)
    return found


def _act(number: str, act: Callable[[ListRelease], ResponseReturnValue]) -> ResponseReturnValue:
    """Check the form, act once; what is not possible any more changes nothing and says why."""
    form = OneListForm()
    if not form.validate_on_submit():
        return _one(_found(number), form), 422
    lists.take_turn()
    found = _found(number)
    try:
        return act(found)
    except NotNow as error:
        form.refuse("", str(error))
        return _one(found, form), 422


def _file(found: ListRelease, form: ListForm | OneListForm) -> ResponseReturnValue:
    """The list as a file. It leaves after the commit: without its disclosures written down nobody gets it."""
    now, by = clock.now(), _account()

    def write(out: TextIO) -> None:
        lists.release(found, out, by=by, now=now)

    try:
        with db.session.begin_nested():
            return attached(f"{found.number}.csv", write, mark=True)
    except NotNow as error:
        form.refuse("", str(error))
        return _one(found, form), 422


def _page(form: ListForm, *, before: int = 0) -> str:
    shown = lists.newest(limit=MANY + 1, before=before)
    return render_template(
        "lists/lists.html",
        form=form,
        audiences=AUDIENCES,
        purposes=PURPOSES,
        shown=shown[:MANY],
        more=shown[MANY - 1].id if len(shown) > MANY else 0,
        before=before,
        seconded=settings().desk_requires_second_person,
        good_for=lists.GOOD_FOR.days,
        to_tell=len(recalls.waiting(now=clock.now())),
    )


def _preview(form: ListForm, event: Event | None, shown: lists.Preview | None) -> str:
    audience = AUDIENCES[form.text("audience")]
    return render_template(
        "lists/preview.html",
        form=form,
        audience=audience,
        event=event,
        shown=shown,
        purpose=PURPOSES[audience.purpose],
        needs_second=lists.needs_second(audience),
        header=[FIELDS[name] for name in audience.fields],
        field_words=fields_in_words(audience.fields),
    )


def _one(found: ListRelease, form: Any = None) -> str:
    audience, me = AUDIENCES[found.audience], _account().id
    filed_by = {step.account_id for step in found.steps if step.step == lists.FILED}
    return render_template(
        "lists/one.html",
        found=found,
        form=form,
        button_form=form if isinstance(form, OneListForm) else OneListForm(formdata=None),
        audience=audience,
        purpose=PURPOSES[audience.purpose],
        field_words=fields_in_words(audience.fields),
        why=lists.why_not(found, now=clock.now()),
        may_approve=lists.needs_second(audience) and not found.approved_at and me not in filed_by,
        waits=lists.needs_second(audience) and not found.approved_at and not found.released_at,
        colleague=handling.colleague,
    )
