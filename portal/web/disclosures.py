"""Pages of the desk: what left the society and not by a list: to an authority, a hotel, the library (P13, P22)."""

from __future__ import annotations

from flask import Blueprint, abort, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import disclosures, handling, queue
from portal.domain.disclosures import Untold
from portal.domain.errors import NotNow
from portal.models import Disclosure
from portal.web.access import DESK, access
from portal.web.desk import OWN_RECORD, page_key
from portal.web.forms.lists import DisclosureForm, UntoldForm
from portal.web.forms.signin import EmptyForm

bp = Blueprint("disclosures", __name__)

MANY = 50


@bp.route("/desk/disclosures", methods=["GET", "POST"])
@access(DESK)
def page() -> ResponseReturnValue:
    """`/desk/disclosures`: write one down; those that the person may not hear of yet; the newest."""
    form = DisclosureForm(data={"left_on": clock.society_date(clock.now()).isoformat()})
    if form.validate_on_submit() and (made := _write_down(form)) is not None:
        number = disclosures.number(made)
        flash(
            f"Written down as {number}. Name {number} in your letter: with it the recipient can find it again.",
            "success",
        )
        return redirect(url_for("disclosures.page"), 303)
    return _page(form), 422 if form.errors else 200


@bp.post("/desk/disclosures/<int(max=2147483647):number>/later")
@access(DESK)
def later(number: int) -> ResponseReturnValue:
    """`/desk/disclosures/<number>/later`: looked at again, and still forbidden to tell."""
    found, form = _found(number), UntoldForm()
    if form.validate_on_submit():
        try:
            untold = Untold(form.until, form.text("untold_why"))
            disclosures.postpone(found, untold, today=clock.society_date(clock.now()))
            flash(f"D-{number} will be told later.", "success")
            return redirect(url_for("disclosures.page"), 303)
        except NotNow as error:
            form.refuse("", str(error))
    return _page(DisclosureForm(formdata=None), again=form, number=number), 422


@bp.post("/desk/disclosures/<int(max=2147483647):number>/tell")
@access(DESK)
def tell(number: int) -> ResponseReturnValue:
    """`/desk/disclosures/<number>/tell`: nothing forbids it any more; the person sees it from now on."""
    found = _found(number)
    if EmptyForm().validate_on_submit():
        disclosures.tell(found, today=clock.society_date(clock.now()))
        flash(f"The person sees D-{number} from now on.", "success")
    return redirect(url_for("disclosures.page"), 303)


def _write_down(form: DisclosureForm) -> Disclosure | None:
    """None, with a sentence beside the field, if nobody has this address or number."""
    now, member = clock.now(), queue.member_of(form.text("who"))
    if member is None:
        form.refuse("who", "Nobody has this address or member number.")
        return None
    if member.id == g.sign_in.account.member_id:
        abort(403, OWN_RECORD)
    return disclosures.write_down(
        member,
        kind=form.text("to_whom"),
        recipient=form.text("recipient"),
        fields=form["fields"].data or (),
        reason=form.text("why"),
        at=handling.arrived_at(form.day, now=now),
        untold=Untold(form.until, form.text("untold_why")) if form.is_untold() else None,
        now=now,
    )


def _found(number: int) -> Disclosure:
    """404 also for what is about oneself and may not be told yet: a refusal would tell it."""
    found, reader = disclosures.one(number), g.sign_in.account.member_id
    if found is None or disclosures.is_kept_from(found, reader, today=clock.society_date(clock.now())):
        abort(404)
    if found.subject_id == reader:
        abort(403, OWN_RECORD)
    return found


def _page(form: DisclosureForm, *, again: UntoldForm | None = None, number: int = 0) -> str:
    today, before = clock.society_date(clock.now()), page_key("before")
    reader = g.sign_in.account.member_id
    shown = disclosures.newest(limit=MANY + 1, before=before, reader=reader, today=today)
    return render_template(
        "disclosures/disclosures.html",
        form=again or form,
        new=form,
        again=again,
        again_of=number,
        shown=shown[:MANY],
        more=shown[MANY - 1].id if len(shown) > MANY else 0,
        before=before,
        untold=disclosures.untold(reader=reader, today=today),
        kinds=disclosures.OUTSIDE,
        today=today,
        in_words=disclosures.fields_in_words,
    )
