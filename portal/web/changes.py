"""Pages of the desk: what was changed here and goes back to the membership system, and where that says otherwise.

Nobody is named on the first page; every look at a person leaves a row that the person can see.
"""

from __future__ import annotations

from typing import TextIO
from uuid import UUID

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import changes, conflicts, trail
from portal.domain.errors import NotNow, StaleRecord
from portal.extensions import db, transaction
from portal.models import Conflict, Member
from portal.web.access import DESK, RECENT, access
from portal.web.desk import OWN_RECORD, page_key
from portal.web.files import attached
from portal.web.forms import Form
from portal.web.forms.changes import CarriedForm, FileForm, TakeTheirsForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("changes", __name__)

MANY = 50  # people, or contradictions, on a page


@bp.get("/desk/changes")
@access(DESK)
def page() -> ResponseReturnValue:
    """`/desk/changes`: who has changes that wait, by member number, and where the membership system says otherwise."""
    return _page()


@bp.post("/desk/changes/file")
@access(DESK, post=RECENT)
def file() -> ResponseReturnValue:
    """`/desk/changes/file`: what waits, as rows of members.csv, for the import of the membership system."""
    form, now = FileForm(), clock.now()
    if not form.validate_on_submit():
        return _page(form), 422
    up_to = form["up_to"].data

    def write(out: TextIO) -> None:
        changes.write_file(out, up_to=up_to, now=now)

    return attached(f"changes-{up_to}.csv", write)


@bp.post("/desk/changes/carried")
@access(DESK)
def carried() -> ResponseReturnValue:
    """`/desk/changes/carried`: the file is in over there."""
    form = CarriedForm()
    if not form.validate_on_submit():
        return _page(form), 422
    many = changes.carried_by_file(up_to=form["up_to"].data, now=clock.now())
    flash(f"Noted: {many} changes are carried over. The members see it." if many else "Nothing waited.", "success")
    return redirect(url_for("changes.page"), 303)


@bp.get("/desk/changes/<int(max=2147483647):number>")
@access(DESK)
def one(number: int) -> ResponseReturnValue:
    """`/desk/changes/<number>`: what waits of one person, to type it in over there."""
    member = _member(number)
    _look(member.id)
    return _one(number)


@bp.post("/desk/changes/<int(max=2147483647):number>/carried")
@access(DESK)
def carried_one(number: int) -> ResponseReturnValue:
    """`/desk/changes/<number>/carried`: typed in over there."""
    form, member = CarriedForm(), _member(number)
    if not form.validate_on_submit():
        return redirect(url_for("changes.one", number=number), 303)
    trail.look(member.id, "worked on", now=clock.now())
    changes.carried_by_hand(member, up_to=form["up_to"].data, now=clock.now())
    flash("Noted as carried over. The member sees it.", "success")
    return redirect(url_for("changes.page"), 303)


@bp.get("/desk/conflicts/<int(max=2147483647):number>")
@access(DESK)
def conflict(number: int) -> ResponseReturnValue:
    """`/desk/conflicts/<number>`: what the file says, what stands here, since when, and who decided that."""
    _look(_conflict(number).member_id)
    return _contradiction(number)


@bp.post("/desk/conflicts/<int(max=2147483647):number>/keep")
@access(DESK)
def keep(number: int) -> ResponseReturnValue:
    """`/desk/conflicts/<number>/keep`: what stands here stays."""
    found = _conflict(number)
    if EmptyForm().validate_on_submit():
        conflicts.keep(found, now=clock.now())
        flash("Kept. It comes up again only if a file says something new.", "success")
    return redirect(url_for("changes.page"), 303)


@bp.post("/desk/conflicts/<int(max=2147483647):number>/take")
@access(DESK)
def take(number: int) -> ResponseReturnValue:
    """`/desk/conflicts/<number>/take`: a plain field becomes what the file says."""
    found, form = _conflict(number), TakeTheirsForm()
    if form.validate_on_submit():
        try:
            with db.session.begin_nested():
                conflicts.take(found, version=form["version"].data, now=clock.now())
            flash("Taken from the membership system. The member sees it.", "success")
            return redirect(url_for("changes.page"), 303)
        except (NotNow, StaleRecord) as error:
            form.refuse("", str(error))
    _look(found.member_id)
    return _contradiction(number, form), 422


# What they share ------------------------------------------------------------------------------------------


def _look(subject_id: UUID) -> None:
    """Note the look, in a transaction of its own, before anything is shown."""
    db.session.rollback()
    with transaction():
        trail.look(subject_id, "looked at", now=clock.now())


def _member(number: int) -> Member:
    member = changes.whose(number)
    if member is None:
        abort(404)
    return _not_me(member)


def _not_me(member: Member) -> Member:
    if member.id == g.sign_in.account.member_id:
        abort(403, OWN_RECORD)
    return member


def _conflict(number: int) -> Conflict:
    found = conflicts.one(number)
    if found is None:
        abort(404)
    _not_me(found.member)
    return found


def _page(failed: Form | None = None) -> str:
    after, later = page_key("after"), page_key("later")
    shown, more = changes.waiting(limit=MANY, after=after)
    contradictions, more_of_them = conflicts.waiting(limit=MANY, after=later)
    newest = changes.newest()
    return render_template(
        "changes/changes.html",
        form=failed,
        download=failed if isinstance(failed, FileForm) else FileForm(formdata=None, data={"up_to": newest}),
        carried=CarriedForm(formdata=None, data={"up_to": newest}),
        people=changes.how_many(),
        shown=shown,
        more=more,
        after=after,
        contradictions=contradictions,
        many_of_them=conflicts.how_many(),
        more_of_them=more_of_them,
        later=later,
        label=conflicts.label,
    )


def _one(number: int) -> str:
    member = _member(number)
    waiting, up_to = changes.of(member)
    return render_template(
        "changes/one.html",
        member=member,
        waiting=waiting,
        number=number,
        form=CarriedForm(formdata=None, data={"up_to": up_to}),
    )


def _contradiction(number: int, failed: Form | None = None) -> str:
    found = _conflict(number)
    taking = TakeTheirsForm(formdata=None, data={"version": found.member.version})
    return render_template(
        "changes/conflict.html",
        found=found,
        sides=conflicts.sides(found),
        member=found.member,
        form=failed,
        taking=taking,
    )
