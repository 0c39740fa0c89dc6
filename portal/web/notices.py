"""Pages: the privacy notice in its versions, what differs, one's word on it; and the cookies (P2, P16, P31)."""

from __future__ import annotations

from flask import Blueprint, abort, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from portal import clock
from portal.datamap import notice_tables
from portal.datamap.notice_tables import Record
from portal.domain import agreements, notices
from portal.domain.errors import StaleRecord
from portal.domain.notices import NoticeFor
from portal.domain.signin import Visit
from portal.extensions import Base
from portal.models import Member, Notice
from portal.models.notice import CHANGE_WORDS
from portal.purposes import notice_choice
from portal.vocabulary import Door
from portal.web.access import MEMBER, PUBLIC, access
from portal.web.forms.notices import AnswerForm
from portal.web.notice_text import as_html, differences

bp = Blueprint("notices", __name__)

RECORD = notice_tables.record(Base.metadata)


@bp.get("/notice")
@access(PUBLIC)
def current() -> ResponseReturnValue:
    """`/notice`: the version that applies to whoever reads it; for somebody not signed in, the one in force."""
    stands = _for_visitor()
    return _page(notices.in_full(stands.applies.version) if stands.applies else None, stands, record=RECORD)


@bp.get("/notice/<int(max=2147483647):version>")
@access(PUBLIC)
def one(version: int) -> ResponseReturnValue:
    """`/notice/<version>`: any version, at an address that stays."""
    return _page(_in_full(version), _for_visitor())


@bp.get("/notice/<int(max=2147483647):version>/changes")
@access(PUBLIC)
def changes(version: int) -> ResponseReturnValue:
    """`/notice/<version>/changes`: against the version before, or against any other, `?from=<version>`."""
    notice = _in_full(version)
    other = _in_full(request.args["from"]) if "from" in request.args else notices.in_full(version - 1)
    older, newer = sorted((notice, other), key=lambda each: each.version) if other else (None, notice)
    return render_template(
        "notices/changes.html",
        notice=notice,
        older=older,
        newer=newer,
        parts=differences(older.text, newer.text) if older else (),
        versions=notices.published(),
        change_words=CHANGE_WORDS,
    )


@bp.route("/notice/answer", methods=["GET", "POST"])
@access(MEMBER)
def answer(member: Member) -> ResponseReturnValue:
    """`/notice/answer`: yes or no to a version that makes a right smaller; the same page changes it later."""
    form = AnswerForm()
    if form.validate_on_submit():
        try:
            agreements.answer(member, form.version.data or 0, to=form.text("answer"), via=Door.PAGE, now=clock.now())
            flash("Saved. You can change your answer here at any time.", "success")
        except StaleRecord as error:
            flash(f"{error} Please read this one.", "warning")
        return redirect(url_for("notices.answer"), 303)
    stands = notices.for_member(member.id, clock.now())
    return render_template(
        "notices/answer.html",
        form=form,
        stands=stands,
        choice=notice_choice(stands.asked.version) if stands.asked else None,
        parts=_at_stake(stands),
    ), 422 if form.errors else 200


@bp.get("/cookies")
@access(PUBLIC)
def cookies() -> ResponseReturnValue:
    """`/cookies`: each cookie, what it holds, how long."""
    return render_template("notices/cookies.html")


def _for_visitor() -> NoticeFor:
    visit: Visit | None = g.visit
    if visit is None or visit.member_id is None:
        return notices.for_anybody(clock.now())
    return notices.for_member(visit.member_id, clock.now())


def _in_full(version: int | str) -> Notice:
    written = str(version)
    number = int(written) if written.isascii() and written.isdigit() and len(written) <= 10 else 0
    found = notices.in_full(number) if 0 < number < 2**31 else None
    if found is None:
        abort(404)
    return found


def _at_stake(stands: NoticeFor) -> object:
    """What a yes would change, paragraph by paragraph."""
    if stands.without is None or stands.offered is None:
        return ()
    return differences(_in_full(stands.without.version).text, _in_full(stands.offered.version).text)


def _page(notice: Notice | None, stands: NoticeFor, *, record: Record | None = None) -> str:
    """`record`: as things are now, not as they were."""
    return render_template(
        "notices/notice.html",
        notice=notice,
        text=as_html(notice.text) if notice else Markup(),
        stands=stands,
        versions=notices.published(),
        change_words=CHANGE_WORDS,
        record=record,
    )
