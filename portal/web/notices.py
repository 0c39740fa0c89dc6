"""Pages: the privacy notice in its versions, and the cookies (P2, P16, P31)."""

from __future__ import annotations

import nh3
from flask import Blueprint, abort, render_template
from flask.typing import ResponseReturnValue
from markdown_it import MarkdownIt
from markupsafe import Markup

from portal import clock
from portal.domain import notices
from portal.extensions import db
from portal.models import Notice
from portal.web.access import PUBLIC, access

bp = Blueprint("notices", __name__)

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@bp.get("/notice")
@access(PUBLIC)
def current() -> ResponseReturnValue:
    """`/notice`: the version in force."""
    return _page(notices.in_force(clock.now()))


@bp.get("/notice/<int(max=2147483647):version>")
@access(PUBLIC)
def one(version: int) -> ResponseReturnValue:
    """`/notice/<version>`: any version, at an address that stays."""
    found = db.session.get(Notice, version)
    if found is None:
        abort(404)
    return _page(found)


@bp.get("/cookies")
@access(PUBLIC)
def cookies() -> ResponseReturnValue:
    """`/cookies`: each cookie, what it holds, how long."""
    return render_template("notices/cookies.html")


def _page(notice: Notice | None) -> str:
    """The text is the society's own; it is sanitised all the same."""
    text = Markup(nh3.clean(_below_heading(notice.text))) if notice else ""  # noqa: S704
    return render_template("notices/notice.html", notice=notice, text=text, versions=notices.versions())


def _below_heading(text: str) -> str:
    """As HTML whose headings stand one level below the page's own."""
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
    return str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))
