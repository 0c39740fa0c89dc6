"""What every template may use: dates in words, and what the frame of a page shows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from flask import Flask, g, get_flashed_messages, request
from jinja2 import StrictUndefined
from werkzeug.exceptions import default_exceptions

from portal.domain import values
from portal.extensions import settings
from portal.models import Member, Trail
from portal.vocabulary import Door, Personal
from portal.web.headers import static_url

STATES = {
    "received": ("Received, we are at it", "wait"),
    "verifying": ("We need to know that it is you", "warn"),
    "working": ("We are at it", "wait"),
    "extended": ("We need longer", "wait"),
    "fulfilled": ("Done", "good"),
    "partly_fulfilled": ("Done in part", "good"),
    "refused": ("Refused", "stop"),
    "withdrawn": ("Withdrawn by you", "plain"),
}
STEPS = {"received": "Request received, receipt sent", "withdrawn": "Request withdrawn"}
SHOWN = {
    ("address_kind", "work"): "Business",
    ("address_kind", "home"): "Home",
    ("kind", "member"): "Member",
    ("kind", "registered"): "Registered, not a member",
    ("kind", "contact"): "Contact",
}
LIBRARY_WORDS = frozenset(each.description for each in default_exceptions.values())
HERE = {
    "overview": "overview",
    "members": "profile",
    "choices": "choices",
    "requests": "requests",
    "security": "security",
    "desk": "desk",
}


def init_app(app: Flask) -> None:
    """Strict templates, our filters, and the variables of the frame."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {
        "day": day,
        "moment": moment,
        "door": lambda code: Door(code).words,
        "label": label,
        "shown": shown,
        "act_words": act_words,
        "state_words": STATES.__getitem__,
        "step_words": lambda step: STEPS.get(step, step),
        "due_words": due_words,
        "own_words": lambda text: text not in LIBRARY_WORDS,
    }
    app.jinja_env.globals |= {"static_url": static_url, "flashes": _flashes}
    app.context_processor(frame)


def day(value: date | datetime | None) -> str:
    """As in "4 December 2026"."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        value = value.astimezone(UTC).date()
    return f"{value.day} {value:%B %Y}"


def moment(value: datetime | None) -> str:
    """As in "4 December 2026, 10:02 UTC"."""
    return f"{day(value)}, {value.astimezone(UTC):%H:%M} UTC" if value else ""


def label(labels: values.AddressLabels, name: str, otherwise: str) -> str:
    """A field's name, in the country's own words where it has some."""
    found: str = getattr(labels, name, "")
    return found or otherwise


def shown(member: Member, name: str) -> object:
    """A stored value as a person reads it."""
    value = getattr(member, name)
    if value and name in ("phone", "mobile"):
        return values.phone_shown(value)
    if value and name == "country":
        return values.country_name(value)
    if isinstance(value, date):
        return day(value)
    return SHOWN.get((name, value), value)


def act_words(act: Trail) -> str:
    """One row of the trail as half a sentence, as in "City changed"."""
    note = Member.__table__.columns[act.field].info["note"] if act.field in Member.__table__.columns else None
    what = note.label if isinstance(note, Personal) else "your record"
    return {"changed": f"{what} changed", "created": "your record was made"}.get(act.act, f"your record was {act.act}")


def due_words(due_on: date, today: date) -> tuple[str, str]:
    """How near a date is, in words and as a tone."""
    days = (due_on - today).days
    if days < 0:
        return f"{-days} day{'s' if days < -1 else ''} overdue", "stop"
    if days <= 7:
        return "due today" if days == 0 else f"due in {days} day{'s' if days > 1 else ''}", "warn"
    return f"due in {days} days", "plain"


def frame() -> dict[str, Any]:
    """What base.html shows around every page; asks neither the session nor the database."""
    config = settings()
    visitor = g.get("visitor")
    return {
        "society": config.society_name,
        "short_name": config.society_short_name,
        "privacy_contact": config.privacy_contact,
        "dpo_contact": config.dpo_contact,
        "development": config.env == "development",
        "signed_in": visitor is not None,
        "is_staff": visitor is not None and visitor.staff,
        "is_member": visitor is not None and visitor.member,
        "signed_in_name": visitor.name if visitor else "",
        "here": HERE.get(request.blueprint or "", ""),
    }


def _flashes() -> list[tuple[str, str]]:
    flashed: list[tuple[str, str]] = get_flashed_messages(with_categories=True)  # type: ignore[assignment]
    return flashed
