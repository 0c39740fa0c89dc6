"""Pages of the desk on broadcasts: how far each is, and three buttons. Nothing on them is about any one person."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import broadcasts, figures
from portal.domain.errors import NotNow
from portal.models import Broadcast
from portal.purposes import TOPICS
from portal.web.access import DESK, access
from portal.web.filters import day
from portal.web.forms.signin import EmptyForm

bp = Blueprint("broadcasts", __name__)
log = structlog.get_logger()

MANY = 30  # broadcasts on a page
# By state: the word of it, its tone, and what it means.
STATES = {
    "filling": ("Being queued", "wait", "The list of recipients is being made. Sending begins after that."),
    "running": ("Being sent", "wait", "It is being sent, one email after the other."),
    "paused": ("Paused", "warn", "No more of it is sent until you press Go on."),
    "stopped": ("Stopped", "stop", "What was not sent by then will never be sent."),
    "ended": ("Done", "good", "Nothing is left to send."),
}


@bp.get("/desk/broadcasts")
@access(DESK)
def several() -> ResponseReturnValue:
    """`/desk/broadcasts`: the newest on top; `?before=` goes on."""
    before = request.args.get("before", "")
    if before and not (before.isdecimal() and len(before) < 10):
        abort(404)
    shown, more = broadcasts.page(before=int(before) if before else None, limit=MANY)
    far = [(each, broadcasts.count(each)) for each in shown]
    return render_template("broadcasts/several.html", far=far, more=more, before=before, states=STATES, topics=TOPICS)


@bp.get("/desk/broadcasts/<int(max=2147483647):number>")
@access(DESK)
def one(number: int) -> ResponseReturnValue:
    """`/desk/broadcasts/<number>`: how far it is, what it says, and how to hold or end it."""
    found = _broadcast(number)
    return render_template(
        "broadcasts/one.html",
        broadcast=found,
        numbers=broadcasts.count(found),
        opt_outs=broadcasts.opt_outs(found),
        by_day=[
            (day(on), count) for on, count in figures.opt_outs_by_day(found, today=clock.society_date(clock.now()))
        ],
        counted_until=found.ended_at + broadcasts.COUNTED_FOR if found.ended_at else None,
        states=STATES,
        topics=TOPICS,
    )


@bp.post("/desk/broadcasts/<int(max=2147483647):number>/pause")
@access(DESK)
def pause(number: int) -> ResponseReturnValue:
    """`/desk/broadcasts/<number>/pause`: hold what waits."""
    return _press(number, lambda: broadcasts.pause(number), "Paused. Nothing more is sent for now.")


@bp.post("/desk/broadcasts/<int(max=2147483647):number>/go-on")
@access(DESK)
def go_on(number: int) -> ResponseReturnValue:
    """`/desk/broadcasts/<number>/go-on`: send what was held."""
    return _press(number, lambda: broadcasts.go_on(number, now=clock.now()), "Sending goes on.")


@bp.post("/desk/broadcasts/<int(max=2147483647):number>/stop")
@access(DESK)
def stop(number: int) -> ResponseReturnValue:
    """`/desk/broadcasts/<number>/stop`: for good."""
    return _press(number, lambda: broadcasts.stop(number), "Stopped. What was not sent by now will never be sent.")


def _press(number: int, verb: Callable[[], None], done: str) -> ResponseReturnValue:
    _broadcast(number)
    if EmptyForm().validate_on_submit():
        try:
            verb()
            flash(done, "success")
            log.info("broadcast.pressed", number=number, button=request.endpoint)
        except NotNow as error:  # somebody was faster, or it has ended meanwhile
            flash(str(error), "info")
    return redirect(url_for("broadcasts.one", number=number), 303)


def _broadcast(number: int) -> Broadcast:
    found = broadcasts.one(number)
    if found is None:
        abort(404)
    return found
