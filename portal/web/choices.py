"""Pages: the choices, all on one page, and the way to take a change back (P5, P10, P19 to P21, P33)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import at_a_glance, choices, subjects
from portal.domain.at_a_glance import Answers
from portal.domain.errors import StaleRecord
from portal.domain.signin import Visit
from portal.purposes import CHOICES
from portal.vocabulary import Door
from portal.web.access import MEMBER, access
from portal.web.forms import Unsent
from portal.web.forms.choices import BaseChoicesForm, UndoForm, choices_form, choices_unsent

bp = Blueprint("choices", __name__)

MEANINGS = {code: {each.value: each.meaning for each in choice.options} for code, choice in CHOICES.items()}
MOST = 2**31 - 1  # the largest number that a row can have


@bp.route("/choices", methods=["GET", "POST"])
@access(MEMBER)
def page(member_id: UUID) -> ResponseReturnValue:
    """`/choices`; after a change `?after=<row>` shows what is now different, with a button to take it back."""
    now = clock.now()
    seen = at_a_glance.answers(member_id, g.visit.email_key, now=now)
    shown = max(each.row for each in seen.standing.values())
    if request.method != "POST":
        return _page(member_id, seen, choices_unsent(seen.standing, seen=shown), now)
    form = choices_form(seen.standing, seen=shown)
    if form.validate_on_submit():
        before = form.seen.data or 0
        try:
            choices.change_many(subjects.one(member_id), form.answers(), seen=before, via=Door.PAGE, now=now)
            return redirect(url_for("choices.page", after=before), 303)
        except StaleRecord as error:
            form.refuse("", str(error))
            form.take_up(choices.newest_row(member_id))
    return _page(member_id, seen, form, now), 422


def _page(member_id: UUID, seen: Answers, form: BaseChoicesForm | Unsent, now: datetime) -> str:
    visit: Visit = g.visit
    after = request.args.get("after", type=row_number)
    changes = choices.changes_since(member_id, after, now=now) if after is not None else []
    return render_template(
        "choices/choices.html",
        form=form,
        standing=seen.standing,
        catalogue=CHOICES,
        meanings=MEANINGS,
        changes=changes,
        after=after,
        shown=max(each.row for each in seen.standing.values()),
        restricted_at=visit.restricted_at,
        stands=seen.stands,
        trouble=seen.trouble,
        address=visit.email,
    )


@bp.post("/choices/undo/<int(max=2147483647):after>")
@access(MEMBER)
def undo(member_id: UUID, after: int) -> ResponseReturnValue:
    """`/choices/undo/<row>`: put back what the page listed as changed; if there is more, show that first."""
    form = UndoForm()
    if form.validate_on_submit():
        seen = form.shown.data or 0
        try:
            choices.undo_since(subjects.one(member_id), after, shown=seen, via=Door.PAGE, now=clock.now())
        except StaleRecord as error:
            flash(f"{error} Nothing was undone. This is how they are now.", "warning")
            left = choices.changes_since(member_id, after, now=clock.now())
            return redirect(url_for("choices.page", after=after if left else None), 303)
        flash("Undone. Your choices are as they were before.", "success")
    return redirect(url_for("choices.page"), 303)


def row_number(text: str) -> int:
    """A row's number; ValueError for what no row can have."""
    number = int(text)
    if not 0 <= number <= MOST:
        raise ValueError(text)
    return number
