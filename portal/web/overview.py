"""Pages: the start. Signed out, what the portal does; signed in, everything at a glance."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import choices, events, members, notices, requests, trail
from portal.domain.kinds import KINDS
from portal.web.access import PUBLIC, access

bp = Blueprint("overview", __name__)


@bp.get("/")
@access(PUBLIC)
def start() -> ResponseReturnValue:
    """`/`: the front door, and the overview behind it."""
    if g.sign_in is None:
        return render_template("overview/start.html")
    member = g.sign_in.account.member
    if member is None:
        return redirect(url_for("desk.queue"), 303)
    return render_template(
        "overview/overview.html",
        member=member,
        standing=choices.standing(member.id),
        kinds=KINDS,
        requests=[each for each in requests.of(member) if each.is_open],
        registrations=events.of(member),
        acts=trail.latest(member.id, limit=5),
        waiting=members.waiting_change(member),
        notice_in_force=notices.in_force(clock.now()),
    )
