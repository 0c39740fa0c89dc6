"""Pages: the start. Signed out, what the portal does; signed in, everything at a glance."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import at_a_glance, history
from portal.domain.kinds import KINDS
from portal.domain.signin import Visit
from portal.models.notice import CHANGE_WORDS
from portal.purposes import CHOICES
from portal.web.access import PUBLIC, access
from portal.web.history import Line, line

bp = Blueprint("overview", __name__)

LATELY = 4  # lines of what changed lately
READ = 12  # rows of the history that they are made of
TOPICS = [code for code in CHOICES if code.startswith("topic_")]


@bp.get("/")
@access(PUBLIC)
def start() -> ResponseReturnValue:
    """`/`: the front door, and the overview behind it."""
    visit: Visit | None = g.visit
    if visit is None:
        return render_template("overview/start.html")
    if visit.member_id is None:
        return redirect(url_for("desk.queue"), 303)
    now = clock.now()
    seen = at_a_glance.overview(visit.member_id, visit.email_key, now=now)
    lately = history.page(visit.member_id, limit=READ, today=clock.society_date(now)).entries
    return render_template(
        "overview/overview.html",
        member=visit,
        standing=seen.standing,
        kinds=KINDS,
        requests=seen.requests,
        coming=seen.coming,
        there=seen.there,
        topics=[seen.standing[code].choice.label for code in TOPICS if seen.standing[code].value == "on"],
        lately=_lately(line(entry) for entry in lately),
        waiting=seen.waiting,
        stands=seen.stands,
        change_words=CHANGE_WORDS,
        trouble=seen.trouble,
    )


def _lately(lines: Iterable[Line]) -> list[Line]:
    """The newest, each once a day: staff who look three times push nothing else away."""
    seen: dict[tuple[str, str, str], Line] = {}
    for each in lines:
        seen.setdefault((each.what, each.by, clock.in_words(each.at)), each)
    return list(seen.values())[:LATELY]
