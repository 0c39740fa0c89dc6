"""What every template may use: dates in words, and what the frame of a page shows."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from flask import Flask, g, get_flashed_messages, request
from jinja2 import StrictUndefined
from jinja2.utils import urlize
from markupsafe import Markup
from werkzeug.exceptions import default_exceptions

from portal import clock
from portal.clock import society_date
from portal.domain import values
from portal.extensions import settings
from portal.models import Member
from portal.purposes import BACKUP_DAYS, CHOICES, HOLDINGS
from portal.vocabulary import Door, Personal
from portal.web import drawn
from portal.web.forms import form_token

STATES = {
    "received": ("Received, in progress", "wait"),
    "verifying": ("We need to know that it is you", "warn"),
    "working": ("In progress", "wait"),
    "extended": ("We need more time", "wait"),
    "fulfilled": ("Done", "good"),
    "partly_fulfilled": ("Done in part", "good"),
    "refused": ("Refused", "stop"),
    "withdrawn": ("Withdrawn by you", "plain"),
}
DESK_STATES = STATES | {
    "received": ("New", "warn"),
    "verifying": ("Waiting to know who it is", "wait"),
    "working": ("In progress", "wait"),
    "extended": ("Extended, in progress", "wait"),
    "withdrawn": ("Withdrawn", "plain"),
}
STEPS = {
    "received": "Request received, receipt sent",
    "opened": "Opened by this portal",
    "withdrawn": "Request withdrawn",
    "do_not_wait": "The 72 hours were given up",
    "approved": "Looked at and approved",
    "held": "Put on hold",
    "resumed": "The hold is over",
    "begun": "Deletion began",
    "carried_out": "Deleted from this portal",
    "checked": "Checked: nothing is left here",
    "needs_attention": "Something is left here: we are looking into it",
    "closed_by_erasure": "Closed, because the data was deleted",
    "stands_again": "Stopped: what had ended is active again",
    "nothing_to_erase": "Looked at: everything is still needed",
    "fulfilled": "Done, here and elsewhere",
    "turned_off": "All news and offers turned off",
    "taken": "Taken by somebody of our staff",
    "identity_asked": "Asked who it is",
    "identity_reminder_7": "Reminder sent: we are waiting for an answer",
    "identity_reminder_21": "Second reminder sent: we are waiting for an answer",
    "verified": "We know who it is",
    "added": "Something added",
    "extended": "Extended, with the reason",
    "answered": "Answered",
    "refused": "Refused, with the reason",
    "refusal_proposed": "Refusal proposed; a second person has to agree",
    "note": "Note from staff to staff",
    "sent_elsewhere": "Sent to the other organisation, or not possible",
    "restricted": "The data is now only stored",
    "restriction_lifted": "The restriction is over",
    "staff_told": "Staff told by email",
    "staff_told_together": "Staff told by email, together with others",
    "due_14": "Staff reminded: 14 days left",
    "due_7": "Staff reminded: 7 days left",
    "due_3": "Staff reminded: 3 days left",
    "due_1": "Staff reminded: the last day",
    "overdue": "Staff told that it is overdue",
    "demonstration": "Part of the demonstration",
}
BY = {"member": "You", "staff": "The society", "portal": "This portal"}
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
    "events": "choices",
    "held": "held",
    "requests": "requests",
    "history": "held",
    "download": "held",
    "security": "security",
    "second_factor": "security",
    "desk": "desk",
    "handling": "desk",
    "lists": "lists",
    "disclosures": "disclosures",
    "changes": "changes",
    "broadcasts": "broadcasts",
}
# The six places of each side of the portal, in every page's head: name, address, words.
PLACES = (
    ("overview", "/", "Overview"),
    ("profile", "/profile", "Profile"),
    ("choices", "/choices", "Choices"),
    ("held", "/held", "What we hold"),
    ("requests", "/requests", "Requests"),
    ("security", "/security", "Security"),
)
DESK_PLACES = (
    ("desk", "/desk", "Desk"),
    ("lists", "/desk/lists", "Lists"),
    ("disclosures", "/desk/disclosures", "Disclosures"),
    ("changes", "/desk/changes", "Changes"),
    ("broadcasts", "/desk/broadcasts", "Broadcasts"),
    ("security", "/security", "Security"),
)
AT_DESK = {name for name, path, _ in DESK_PLACES if path.startswith("/desk")}


def init_app(app: Flask) -> None:
    """Strict templates, our filters, and the variables of the frame."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {
        "day": day,
        "days": clock.days_in_words,
        "moment": moment,
        "door": lambda code: Door(code).words,
        "label": label,
        "shown": shown,
        "state_words": STATES.__getitem__,
        "desk_words": DESK_STATES.__getitem__,
        "step_words": lambda step: STEPS.get(step, step),
        "by_words": lambda by: BY.get(by, "The society"),
        "due_words": due_words,
        "country": lambda code: values.country_name(code) if code else "",
        "holding": HOLDINGS.__getitem__,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}.",
        "backups_end": lambda at: society_date(at) + timedelta(days=BACKUP_DAYS),
        "said": said,
        "own_words": lambda text: text not in LIBRARY_WORDS,
    }
    app.jinja_env.globals |= {"csrf_token": form_token, "flashes": _flashes, "drawn": drawn, "backup_days": BACKUP_DAYS}
    drawn_once = app.jinja_env.get_template("components/icons.html").module
    icons = {name: drawn_once.icon(name) for name in drawn_once.names}  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"icons": icons, "wordmark": drawn_once.wordmark()}  # type: ignore[attr-defined]
    app.context_processor(frame)


def day(value: date | datetime | None) -> str:
    """As in "4 December 2026"."""
    return "" if value is None else clock.in_words(value)


def moment(value: datetime | None) -> str:
    """As in "4 December 2026, 10:02 UTC"."""
    return f"{day(value)}, {value.astimezone(UTC):%H:%M} UTC" if value else ""


def label(labels: values.AddressLabels, name: str, otherwise: str) -> str:
    """A field's name, in the country's own words where it has some."""
    found: str = getattr(labels, name, "")
    return found or otherwise


def shown(member: Member, name: str) -> object:
    """A field of a record as a person reads it."""
    return in_words(name, getattr(member, name))


def in_words(name: str, value: Any) -> object:
    """A stored value of a field as a person reads it."""
    if value and name in ("phone", "mobile"):
        return values.phone_shown(value)
    if value and name == "country":
        return values.country_name(value)
    if isinstance(value, date):
        return day(value)
    return SHOWN.get((name, value), value)


def said(text: str) -> Markup:
    """What somebody wrote, with its line breaks; links lead to this portal and nowhere else."""
    base = settings().url
    link = Markup('<a href="{}">{}</a>')
    found = re.split(rf"({re.escape(base)}/(?!/)[\w/.-]*\w)", text)  # two slashes would begin another host
    words = [link.format(each.removeprefix(base), each) if number % 2 else each for number, each in enumerate(found)]
    return Markup('<bdi class="lines">{}</bdi>').format(Markup("").join(words))


def act_words(act: str, field: str = "") -> str:
    """What a row of the trail tells as half a sentence, as in "City changed"."""
    note = Member.__table__.columns[field].info["note"] if field in Member.__table__.columns else None
    what = note.label if isinstance(note, Personal) else "your record"
    words = {
        "answered": f"{CHOICES[field].label if field in CHOICES else what} changed",
        "changed": f"{what} changed",
        "exported": "your changes were written into a file for the membership system",
        "created": "your record was made",
        "restricted": "the use of your data was restricted",
        "used again": "the restriction of your data ended",
        "suspended": "your sign-in was suspended",
        "let in again": "the suspension of your sign-in ended",
        "mail came back": "broadcast email stopped, because mail to your address came back",
        "address works": "mail to your address works again",
    }
    return words.get(act, f"your record was {act}")


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
    visit = g.get("visit")
    here = HERE.get(request.blueprint or "", "")
    is_staff, is_member = visit is not None and visit.staff, visit is not None and visit.member_id is not None
    at_desk = is_staff and (here in AT_DESK or not is_member)
    return {
        "society": config.society_name,
        "short_name": config.society_short_name,
        "privacy_contact": _contact(config.privacy_contact),
        "dpo_contact": _contact(config.dpo_contact),
        "development": config.env == "development",
        "signed_in": visit is not None,
        "is_staff": is_staff,
        "is_member": is_member,
        "signed_in_name": visit.name if visit else "",
        "at_desk": at_desk,
        "places": [
            (path, words, "" if name != here else "page" if path == request.path else "true")
            for name, path, words in (DESK_PLACES if at_desk else PLACES)
        ],
    }


@lru_cache(maxsize=8)
def _contact(written: str) -> Markup:
    """Where to write to, as a link."""
    return Markup(urlize(written, rel="noopener"))  # noqa: S704  it escapes


def _flashes() -> list[tuple[str, str]]:
    flashed: list[tuple[str, str]] = get_flashed_messages(with_categories=True)  # type: ignore[assignment]
    return flashed
