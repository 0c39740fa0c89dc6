"""Pages: the events one is registered for, who sees one there and why, and the answers for one event (P19, P34)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.clock import in_words, society_date
from portal.domain import event_choices, events, lists, visibility
from portal.domain.choices import Standing
from portal.domain.errors import StaleRecord
from portal.domain.event_choices import AtEvent
from portal.domain.visibility import Cell, Why
from portal.models import Member, Registration
from portal.purposes import AUDIENCES
from portal.vocabulary import Door
from portal.web.access import MEMBER, access
from portal.web.choices import row_number
from portal.web.forms.choices import UndoForm
from portal.web.forms.events import event_form

bp = Blueprint("events", __name__)

SHORT_WHY: Mapping[Why, str] = {
    Why.RESTRICTED: "restricted",
    Why.NO_EXHIBITION: "no exhibition",
    Why.NOT_OF_EVENTS: "not by event",
    Why.OWN: "your answer here",
    Why.DEFAULT: "your default",
    Why.UNASKED: "not chosen yet",
}
FIELDS = {
    code: tuple(Member.__table__.columns[name].info["note"].label for name in audience.fields)
    for code, audience in AUDIENCES.items()
}


@bp.get("/events")
@access(MEMBER)
def mine(member: Member) -> ResponseReturnValue:
    """`/events`: who sees me, by default and at each event, and which details."""
    today = society_date(clock.now())
    usual, *rows = visibility.matrix(member, today=today)
    return render_template(
        "events/mine.html",
        usual=usual,
        rows=rows,
        lines={each.audience.code: lists.line(member, each.audience) if each.sees else None for each in usual.cells},
        fields=FIELDS,
        short_why=SHORT_WHY,
        why=why,
        today=today,
        restricted_at=member.subject.restricted_at,
    )


@bp.route("/events/<event>", methods=["GET", "POST"])
@access(MEMBER)
def one(member: Member, event: str) -> ResponseReturnValue:
    """`/events/<event>`: my answers for one event, and the very line that each audience would get."""
    registration = _mine_or_404(member, event)
    now, there = clock.now(), registration.event
    standing = event_choices.standing(member.id, there.id)
    shown = event_choices.newest_row(member.id, there.id)
    form = event_form(standing, seen=shown)
    if form.validate_on_submit():
        before = form.seen.data or 0
        try:
            event_choices.change_many(member.subject, there, form.answers(), seen=before, via=Door.PAGE, now=now)
            return redirect(url_for("events.one", event=event, after=before), 303)
        except StaleRecord as error:
            form.refuse("", str(error))
            form.take_up(event_choices.newest_row(member.id, there.id))
    after = request.args.get("after", type=row_number)
    return render_template(
        "events/event.html",
        form=form,
        event=there,
        registration=registration,
        standing=standing,
        cells=visibility.at(member, there),
        lines={code: lists.seen(member, each, there) for code, each in AUDIENCES.items() if each.of_event},
        fields=FIELDS,
        why=why,
        is_over=there.ends_on < society_date(now),
        has_roster=lists.roster(event, limit=1) is not None,
        changes=event_choices.changes_since(member.id, there.id, after, now=now) if after is not None else [],
        after=after,
        shown=shown,
        restricted_at=member.subject.restricted_at,
    ), 422 if form.errors else 200


@bp.post("/events/<event>/undo/<int(max=2147483647):after>")
@access(MEMBER)
def undo(member: Member, event: str, after: int) -> ResponseReturnValue:
    """`/events/<event>/undo/<row>`: put back what the page listed as changed; if there is more, show that first."""
    there = _mine_or_404(member, event).event
    form, now = UndoForm(), clock.now()
    if form.validate_on_submit():
        seen = form.shown.data or 0
        try:
            event_choices.undo_since(member.subject, there, after, shown=seen, via=Door.PAGE, now=now)
        except StaleRecord as error:
            flash(f"{error} Nothing was undone. This is how they are now.", "warning")
            left = event_choices.changes_since(member.id, there.id, after, now=now)
            return redirect(url_for("events.one", event=event, after=after if left else None), 303)
        flash("Undone. Your answers for this event are as they were before.", "success")
    return redirect(url_for("events.one", event=event), 303)


def why(cell: Cell) -> str:
    """Why an audience sees somebody or does not, as a sentence."""
    if cell.why is Why.RESTRICTED:
        return "The use of your data is restricted: you are on no list, whatever you chose."
    if cell.why is Why.UNASKED:
        return "You have not chosen anything yet, so the answer is no."
    stands = cell.stands
    if cell.why is Why.OWN:
        assert stands is not None
        return f"Your answer for this event: “{stands.option.label}”{_since(stands)}."
    usual = stands.usual if isinstance(stands, AtEvent) else stands
    assert usual is not None
    return f"Your default: “{usual.option.label}”{_since(usual)}."


def _since(stands: Standing | AtEvent) -> str:
    return f", since {in_words(stands.at)}, set by {stands.door.words}" if stands.at and stands.door else ""


def _mine_or_404(member: Member, code: str) -> Registration:
    registration = events.one_of(member, code)
    if registration is None:
        abort(404)
    return registration
