"""Pages: the start. Signed out, what the portal does; signed in, everything at a glance."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import bounces, choices, events, history, members, notices, progress, requests
from portal.domain.kinds import KINDS
from portal.models.notice import CHANGE_WORDS
from portal.web.access import PUBLIC, access
from portal.web.history import line

bp = Blueprint("overview", __name__)

LATELY = 4  # rows of what changed lately


@bp.get("/")
@access(PUBLIC)
def start() -> ResponseReturnValue:
    """`/`: the front door, and the overview behind it."""
    if g.sign_in is None:
        return render_template("overview/start.html")
    member = g.sign_in.account.member
    if member is None:
        return redirect(url_for("desk.queue"), 303)
    standing, today = choices.standing(member.id), clock.society_date(clock.now())
    return render_template(
        "overview/overview.html",
        member=member,
        standing=standing,
        kinds=KINDS,
        due_on=progress.due_on,
        requests=[each for each in requests.of(member) if each.is_open],
        coming=[each.event for each in reversed(events.of(member)) if each.event.ends_on >= today],
        lately=[line(entry) for entry in history.page(member.id, limit=LATELY, today=today).entries],
        waiting=members.waiting_change(member),
        stands=notices.for_member(member.id, clock.now()),
        change_words=CHANGE_WORDS,
        trouble=bounces.trouble(member),
    )
