"""Pages of the desk: what is due, and one request. Every look at a person leaves a row that the person can see."""

from __future__ import annotations

from flask import Blueprint, abort, g, render_template
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import requests, trail
from portal.domain.kinds import KINDS
from portal.extensions import db, transaction
from portal.models import DataSubjectRequest, Member
from portal.vocabulary import Door
from portal.web.access import DESK, access

bp = Blueprint("desk", __name__)


@bp.get("/desk")
@access(DESK)
def queue() -> ResponseReturnValue:
    """`/desk`: open requests, the one due first on top."""
    today = clock.society_date(clock.now())
    return render_template("desk/queue.html", requests=requests.queue(), kinds=KINDS, today=today)


@bp.get("/desk/requests/<reference>")
@access(DESK)
def request_page(reference: str) -> ResponseReturnValue:
    """`/desk/requests/<reference>`: what is asked, by whom, and every step."""
    request = requests.by_reference(reference)
    if request is None:
        abort(404)
    if request.subject_id == g.sign_in.account.member_id:
        abort(403, "Nobody works on their own record. A colleague has to open this request.")
    request = _look(request)
    member = db.session.get(Member, request.subject_id)
    today = clock.society_date(clock.now())
    return render_template("desk/request.html", request=request, kind=KINDS[request.kind], member=member, today=today)


def _look(request: DataSubjectRequest) -> DataSubjectRequest:
    """Note that staff look at this person, in a transaction of its own, before anything is shown."""
    subject_id, reference = request.subject_id, request.reference
    db.session.rollback()
    with transaction():
        trail.record(subject_id, "looked at", door=Door.STAFF, now=clock.now())
    found = requests.by_reference(reference)
    assert found is not None
    return found
