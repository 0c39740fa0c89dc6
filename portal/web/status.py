"""Page: where a request stands, for whoever holds its link; without cookie, account or data (P15, P32)."""

from __future__ import annotations

from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue

from portal import clock
from portal.domain import erasures, progress, requests
from portal.domain.kinds import KINDS
from portal.models.request import ERASING
from portal.tokens import STATUS_LINK, read_reference
from portal.web.access import PUBLIC, access

bp = Blueprint("status", __name__)


@bp.get("/ask/status/<token>")
@access(PUBLIC, anonymous=True)
def page(token: str) -> ResponseReturnValue:
    """`/ask/status/<token>`: state, dates, steps; after an erasure its certificate. Never anything about the person."""
    reference = read_reference(token, purpose=STATUS_LINK)
    request = requests.by_reference(reference) if reference else None
    if request is None:
        abort(404)
    now = clock.now()
    waiting = request.kind in ERASING and request.is_open and request.carried_out_at is None
    why = erasures.why_not_yet(request, now=now) if waiting else ""
    return render_template(
        "status/status.html",
        request=request,
        kind=KINDS[request.kind],
        why=why,
        due_on=progress.due_on(request),
        steps=requests.told(request),
    )
