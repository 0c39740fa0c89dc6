"""Pages: one's own data to take along, and the schema of its JSON (GDPR Art. 15(3) and 20, P26, P27)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from flask import Blueprint, Response, abort, g, request
from flask.typing import ResponseReturnValue
from limits import parse
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ServiceUnavailable, TooManyRequests

from portal import clock
from portal.datamap import held
from portal.datamap.export import archive
from portal.datamap.export.copy import SCHEMA_PATH, Copy
from portal.domain import downloads
from portal.extensions import db, glance, limiter, settings, transaction
from portal.models import Member
from portal.tokens import keyed_digest
from portal.web.access import PUBLIC, RECENT, access, browser
from portal.web.held import TITLES, words

bp = Blueprint("download", __name__)

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "member-data-1.json"
A_DAY = parse("10 per day")


class Format(NamedTuple):
    """One way to take the data along."""

    file: str
    mimetype: str
    written: Callable[[Copy], Iterator[bytes]]


FORMATS = {
    "zip": Format("your-data.zip", "application/zip", archive.archive),
    "json": Format("your-data.json", "application/json", archive.data_json),
}
# A file that was asked for before the password, and the page that offers it afterwards.
PAGES_OF_FILES = {f"/held/download?format={name}": f"/held?take={name}" for name in FORMATS}


@bp.get("/held/download")
@access(RECENT)
def download(member: Member) -> ResponseReturnValue:
    """`/held/download?format=zip|json`: read at once, then written while it is sent; nothing is stored.

    Nobody takes it along unseen: without the row of the trail and the mail about it there is no answer.
    """
    name = request.args.get("format", "")
    if name not in FORMATS:
        abort(400, "There are two formats to choose from: zip and json.")
    chosen, subject_id = FORMATS[name], member.id
    answer = Response(mimetype=chosen.mimetype)
    answer.headers["Content-Disposition"] = f'attachment; filename="{chosen.file}"'
    if request.method == "HEAD":
        return answer
    _count(g.sign_in.account_id)
    now, by = clock.now(), browser()
    db.session.rollback()
    try:
        with transaction():
            downloads.note(subject_id, name=name, browser=by, now=now)
    except SQLAlchemyError as error:
        raise ServiceUnavailable from error
    with glance(consistent=True):
        snapshot = held.collect(subject_id, now=now)
    config = settings()
    answer.response = chosen.written(
        Copy(snapshot, config.url, config.society_name, config.privacy_contact, words, TITLES)
    )
    return answer


@bp.get(SCHEMA_PATH)
@access(PUBLIC, anonymous=True)
def schema() -> ResponseReturnValue:
    """`/schemas/member-data-1.json`: what data.json looks like, at an address that stays."""
    return Response(SCHEMA.read_bytes(), mimetype="application/schema+json")


def _count(account_id: UUID) -> None:
    """Ten a day an account; a limit is counted in a transaction of its own. Raises TooManyRequests."""
    key = keyed_digest(str(account_id), purpose="limits")
    db.session.rollback()
    if not limiter.limiter.hit(A_DAY, "download", key):
        ends_at = limiter.limiter.get_window_stats(A_DAY, "download", key).reset_time
        raise TooManyRequests(retry_after=max(1, round(ends_at - clock.now().timestamp())))
