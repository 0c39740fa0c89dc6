"""Pages: the start. Signed out, what the portal does; signed in, everything at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import at_a_glance
from portal.domain.at_once import Line
from portal.domain.choices import Standing
from portal.domain.kinds import KINDS
from portal.domain.signin import Visit
from portal.models.notice import CHANGE_WORDS
from portal.purposes import CHOICES
from portal.vocabulary import Door
from portal.web.access import PUBLIC, access
from portal.web.filters import act_words

bp = Blueprint("overview", __name__)

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
    seen = at_a_glance.overview(visit.member_id, visit.email_key, now=clock.now())
    return render_template(
        "overview/overview.html",
        member=visit,
        standing=seen.standing,
        kinds=KINDS,
        requests=seen.requests,
        events=seen.events,
        topics=[seen.standing[code].choice.label for code in TOPICS if seen.standing[code].value == "on"],
        lately=_lately(seen.acts, seen.standing),
        waiting=seen.waiting,
        stands=seen.stands,
        change_words=CHANGE_WORDS,
        trouble=seen.trouble,
    )


def _lately(acts: list[Line], standing: Mapping[str, Standing]) -> list[tuple[datetime, str, str]]:
    """The five newest changes, of the record and of choices: when, what, by which door."""
    of_record = [(each.at, act_words(each.code, each.word), Door(each.more).words) for each in acts]
    of_choices = [
        (each.at, f"{each.choice.label}: {each.option.label}", each.door.words)
        for each in standing.values()
        if each.at is not None and each.door is not None
    ]
    return sorted(of_record + of_choices, reverse=True)[:5]
