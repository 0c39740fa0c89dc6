"""Pages: the start. Signed out, what the portal does; signed in, everything at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from flask import Blueprint, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import bounces, choices, events, members, notices, progress, requests, trail
from portal.domain.choices import Standing
from portal.domain.kinds import KINDS
from portal.models import Trail
from portal.models.notice import CHANGE_WORDS
from portal.vocabulary import Door
from portal.web.access import PUBLIC, access
from portal.web.filters import act_words

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
    standing = choices.standing(member.id)
    return render_template(
        "overview/overview.html",
        member=member,
        standing=standing,
        kinds=KINDS,
        due_on=progress.due_on,
        requests=[each for each in requests.of(member) if each.is_open],
        registrations=events.of(member),
        lately=_lately(trail.latest(member.id, limit=5), standing),
        waiting=members.waiting_change(member),
        stands=notices.for_member(member.id, clock.now()),
        change_words=CHANGE_WORDS,
        trouble=bounces.trouble(member),
    )


def _lately(acts: list[Trail], standing: Mapping[str, Standing]) -> list[tuple[datetime, str, str]]:
    """The five newest changes, of the record and of choices: when, what, by which door."""
    of_record = [(act.at, act_words(act.act, act.field), Door(act.door).words) for act in acts]
    of_choices = [
        (each.at, f"{each.choice.label}: {each.option.label}", each.door.words)
        for each in standing.values()
        if each.at is not None and each.door is not None
    ]
    return sorted(of_record + of_choices, reverse=True)[:5]
