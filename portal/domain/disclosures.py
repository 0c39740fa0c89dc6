"""Verbs on the disclosure log: the sentence that tells a person of one disclosure, and what left outside the portal.

P13, P22, P26. A disclosure by a list is written by `lists` alone. Here the desk writes down what went to an authority,
a hotel, the library; where a law forbids to tell the person, with a day before which they are not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, cast
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Table, bindparam, or_, select, true

from portal.clock import in_words
from portal.datamap.rows import may_be_told
from portal.domain import subjects, trail
from portal.domain.errors import NotNow
from portal.extensions import db
from portal.models import Disclosure, Member
from portal.models.disclosure import AUTHORITY, DELETE, PARTNER
from portal.purposes import AUDIENCES
from portal.vocabulary import Door, Personal

OUTSIDE: Final = {PARTNER: "A partner or a provider", AUTHORITY: "An authority or a court"}
MOST_UNTOLD: Final = timedelta(days=366)  # then it is looked at again, or told

_SHORT: Final = {
    "organization": "company",
    "country": "country",
    "job_title": "job title",
    "email": "email address",
    "business_type": "type of business",
    "work_experience": "work experience",
    "interests": "areas of interest",
    "member_number": "member number",
}
_HIDDEN: Final = frozenset({"id", "version", "email_key", "address_hash"})
FIELDS: Final = {
    column.name: column.info["note"].label
    for column in Member.__table__.columns
    if column.name not in _HIDDEN and isinstance(column.info.get("note"), Personal)
}


# What a person reads --------------------------------------------------------------------------------------


def sentence(
    *,
    at: date | datetime,
    recipient: str,
    fields: str,
    audience: str = "",
    event: str = "",
    reason: str = "",
    list_number: str = "",
    recalled: str = "",
    recalled_at: date | datetime | None = None,
) -> str:
    """One disclosure, told to its person: day, what, to whom, for what. For /history and /held alike.

    `fields`: names of columns, separated by blanks; `event`: its name; `audience`: a code of AUDIENCES, or of OUTSIDE.
    """
    to = f"to {recipient}"
    if audience in AUDIENCES:
        whose = AUDIENCES[audience].name.lower()
        to += f" ({whose} of {event})" if event else f" ({whose})"
    elif event:
        to += f" ({event})"
    said = f"On {in_words(at)} your {fields_in_words(fields)} went {to}"
    if list_number:
        said += f", list {list_number}"
    elif reason:
        said += f": {reason}"
    said = said.rstrip(".") + "."
    if recalled_at is None:
        return said
    what = "to delete it" if recalled == DELETE else "not to use it for now"
    return f"{said} On {in_words(recalled_at)} we asked them {what}."


def fields_in_words(fields: str | Iterable[str]) -> str:
    """As in "name, company and country"."""
    names = list(fields.split() if isinstance(fields, str) else fields)
    words = ["name"] if {"first_name", "last_name"} & set(names) else []
    words += [_SHORT.get(each) or FIELDS.get(each, each).lower() for each in names if each not in _NAMES]
    words = list(dict.fromkeys(words)) or ["details"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_NAMES: Final = ("first_name", "last_name")


# What left outside the portal -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Untold:
    """Why somebody may not be told of a disclosure before a day."""

    until: date
    why: str


def write_down(
    member: Member,
    *,
    kind: str,
    recipient: str,
    fields: Iterable[str],
    reason: str,
    at: datetime,
    untold: Untold | None = None,
    now: datetime,
) -> Disclosure:
    """What went to somebody outside, and not by a list. `kind`: a code of OUTSIDE. KeyError for another, or a field.

    The person sees it at once, or, where that is forbidden, from the day on that `untold` names. Raises NotNow.
    """
    OUTSIDE[kind]
    names = [name for name in FIELDS if name in {each for each in fields if FIELDS[each]}]
    if not subjects.take_turn(member.id):
        raise NotNow("This person's record was erased a moment ago. Nothing was written down.")
    made = Disclosure(
        subject_id=member.id,
        recipient=recipient,
        reason=reason,
        fields=" ".join(names),
        audience=kind,
        at=at,
        told_on=untold.until if untold else None,
        untold_why=untold.why if untold else "",
    )
    db.session.add(made)
    trail.record(member.id, "worked on", door=Door.STAFF, now=now)
    db.session.flush()
    return made


def number(disclosure: Disclosure) -> str:
    """By what a recipient finds it: the list and the line, or the number that stands in our letter."""
    return f"{disclosure.list_number}-{disclosure.line}" if disclosure.list_number else f"D-{disclosure.id}"


def postpone(found: Disclosure, untold: Untold, *, today: date) -> None:
    """Looked at again, and still forbidden to tell. Raises NotNow when the person could see it already."""
    db.session.refresh(found, with_for_update=True)
    if found.told_on is None or found.told_on <= today:
        raise NotNow("The person can see this already.")
    found.told_on, found.untold_why = untold.until, untold.why
    db.session.flush()


def tell(found: Disclosure, *, today: date) -> None:
    """The reason not to tell is over: the person sees it from today on."""
    db.session.refresh(found, with_for_update=True)
    if found.told_on is not None and found.told_on > today:
        found.told_on = today
    db.session.flush()


def one(ident: int) -> Disclosure | None:
    """One disclosure outside, by its number."""
    found = db.session.get(Disclosure, ident)
    return found if found is not None and found.audience in OUTSIDE else None


# Written out in the statement, so that it can use the index of these rows.
_KINDS: BindParameter[Sequence[str]] = bindparam(
    "kinds", sorted(OUTSIDE, reverse=True), expanding=True, literal_execute=True
)


def newest(*, limit: int, before: int = 0, reader: UUID | None, today: date) -> list[Disclosure]:
    """Disclosures outside, the newest first. `reader`: the record of whoever reads them, if they have one."""
    query = select(Disclosure).where(Disclosure.audience.in_(_KINDS)).order_by(Disclosure.id.desc()).limit(limit)
    query = query.where(Disclosure.id < before) if before else query
    return list(db.session.scalars(query.where(_not_from(reader, today))))


def untold(*, reader: UUID | None, today: date) -> list[Disclosure]:
    """Those of which the person may not hear yet, the one to be looked at first on top; `reader` as in `newest`."""
    query = select(Disclosure).where(Disclosure.told_on > today).order_by(Disclosure.told_on, Disclosure.id)
    return list(db.session.scalars(query.where(_not_from(reader, today))))


def is_kept_from(found: Disclosure, reader: UUID | None, *, today: date) -> bool:
    """Whether this is about the reader, who may not hear of it yet: to them it is not there."""
    own = reader is not None and found.subject_id == reader
    return own and found.told_on is not None and found.told_on > today


def _not_from(reader: UUID | None, today: date) -> ColumnElement[bool]:
    """SQL: what is not kept from the reader."""
    told = may_be_told(cast(Table, Disclosure.__table__), today)
    return or_(Disclosure.subject_id.is_distinct_from(reader), told) if reader else true()
