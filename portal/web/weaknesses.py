"""Pages for whoever has found a weakness of the portal: where to write, for programs (RFC 9116) and for people."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from portal import clock
from portal.extensions import settings
from portal.web.access import PUBLIC, access

bp = Blueprint("weaknesses", __name__)

GOOD_FOR = timedelta(days=180)  # of a file that is written at each look; RFC 9116 §2.5.5: less than a year
WARN_BEFORE = timedelta(days=30)
ADDRESS = re.compile(r"[^\s<>(),;:\"]+@[^\s<>(),;:\"]*[^\s<>(),;:\".]")


@bp.get("/.well-known/security.txt")
@access(PUBLIC, anonymous=True)
def security_txt() -> Response:
    """`/.well-known/security.txt` (RFC 9116)."""
    base = settings().url
    lines = {
        "Contact": contact(),
        "Expires": f"{_expires(clock.now()):%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages": "en",
        "Canonical": f"{base}{url_for('weaknesses.security_txt')}",
        "Policy": f"{base}{url_for('weaknesses.page')}",
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items())
    return Response(text, content_type="text/plain; charset=utf-8")


@bp.get("/security.txt")
@access(PUBLIC, anonymous=True)
def old_place() -> ResponseReturnValue:
    """`/security.txt`: where it stood before there was a place for it."""
    return redirect(url_for("weaknesses.security_txt"), 303)


@bp.get("/report-a-weakness")
@access(PUBLIC)
def page() -> ResponseReturnValue:
    """`/report-a-weakness`: the same for people, and what we ask of them."""
    return render_template("weaknesses/report.html", contact=contact(), shown=contact().removeprefix("mailto:"))


def contact() -> str:
    """Where to write, as a URI: what is set for it, else the first address that the portal publishes anyway."""
    config = settings()
    if config.security_contact:
        return config.security_contact
    published = " ".join((config.privacy_contact, config.dpo_contact, config.mail_default_sender))
    found = ADDRESS.search(published)
    return f"mailto:{quote(found[0], safe='@')}" if found else f"{config.url}{url_for('asks.ask')}"


def warning(today: date) -> str:
    """What an operator should do about the day that SECURITY_EXPIRES names; empty when there is nothing to do."""
    ends = settings().security_expires
    if ends is None:
        return ""
    if ends - today > timedelta(days=365):
        return "SECURITY_EXPIRES is more than a year away"
    if ends < today:
        return "SECURITY_EXPIRES has passed: security.txt counts as out of date"
    return "SECURITY_EXPIRES is less than 30 days away" if ends - today < WARN_BEFORE else ""


def _expires(now: datetime) -> datetime:
    """The end of the day that was set; else half a year from the first of this month, so that it changes monthly."""
    first = now.astimezone(UTC).date().replace(day=1)
    return datetime.combine(settings().security_expires or first + GOOD_FOR, time(23, 59, 59), UTC)
