"""Room of what we do: members.csv, the file in which the membership system and the portal speak of people.

Its columns, how a cell becomes a value and a value a cell, and the export. `imports` applies what is read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from portal.domain import values
from portal.domain.csv_file import Row
from portal.extensions import db
from portal.models import ChoiceRow, Member, Subject
from portal.models.member import KINDS, LONG, SHORT, is_too_young
from portal.purposes import CHOICES, SUPPRESS, TOPICS, topic_choice
from portal.tokens import canonical_address

Value = str | date | None

COLUMNS = (
    "member_id", "email", "first_name", "last_name", "kind", "organization", "job_title",
    "address_kind", "address_line1", "address_line2", "city", "region", "postal_code", "country", "phone", "mobile",
    "birth_date", "education", "work_experience", "certifications", "interests", "business_type",
    "suppress_broadcast_emails", "attendee_list", "sponsor_sharing", "employer_sharing",
    "membership_status", "joined_on", "expires_on", "honorific", "demographics", "topics_off",
)  # fmt: skip
LONG_COLUMNS = frozenset(("education", "work_experience", "certifications", "interests"))
YES_NO_COLUMNS = (SUPPRESS, "sponsor_sharing", "employer_sharing")
CHOICE_COLUMNS = frozenset((*YES_NO_COLUMNS, "attendee_list", "topics_off"))
PHONES = frozenset(("phone", "mobile"))
FIELDS = tuple(name for name in COLUMNS if name not in CHOICE_COLUMNS and name not in ("member_id", "email"))
BATCH = 1000

TOPICS_OF = {topic_choice(topic): topic for topic in TOPICS}


class Key(NamedTuple):
    """By what a row finds its person; `address` is the compared form of `email`."""

    number: str
    email: str
    address: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row as read: the values it brings, the fields it leaves empty, and its answers by the choice's code."""

    line: int
    key: Key
    values: Mapping[str, Value]
    empty: tuple[str, ...]
    answers: Mapping[str, str]


# Reading --------------------------------------------------------------------------------------------------


def read_key(row: Row) -> Key:
    """Member number and address of a row, the address empty where it is none; never raises."""
    try:
        email = values.email(row.cells.get("email", ""))
    except ValueError:
        email = ""
    return Key(values.line(row.cells.get("member_id", "")), email, canonical_address(email) if email else "")


def read(row: Row, key: Key, *, today: date, address_needed: bool = True) -> Entry:
    """The whole row. Raises ValueError that says everything that is wrong with it."""
    problems: list[str] = []
    found: dict[str, Value] = {}
    answers: dict[str, str] = {}
    empty: list[str] = []
    typed = row.cells.get("email", "").strip()
    if not key.email and (typed or address_needed):
        problems.append("malformed email address" if typed else "no email address")
    if len(key.number) > SHORT:
        problems.append(f"member_id: more than {SHORT} characters")
    for name, cell in row.cells.items():
        if name in ("email", "member_id"):
            continue
        if not cell or cell.isspace():
            empty.append(name)
            continue
        try:
            if name in CHOICE_COLUMNS:
                answers.update(_answers(name, cell))
            else:
                found[name] = _birth_date(cell, today) if name == "birth_date" else read_cell(name, cell)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise ValueError("; ".join(problems))
    return Entry(row.line, key, found, tuple(empty), answers)


def read_cell(name: str, cell: str) -> Value:
    """One cell that is neither key nor choice. A phone comes out as typed: how it is read depends on the country."""
    reader = _READERS.get(name)
    if reader is not None:
        return reader(cell)
    longest = LONG if name in LONG_COLUMNS else SHORT
    text = values.line(cell)
    if len(text) > longest:
        raise ValueError(f"more than {longest:,} characters")
    return text


def read_phone(text: str, country: str) -> str:
    """A number as it is stored; as it was typed where nobody can read it, so that no row is lost for it."""
    try:
        return values.phone(text, country)
    except ValueError:
        return text


def _address_line(cell: str) -> str:
    text = values.address_line(cell)
    if len(text) > SHORT:
        raise ValueError(f"more than {SHORT} characters")
    return text


def _word(*known: str) -> Callable[[str], str]:
    def read_word(cell: str) -> str:
        word = cell.strip().lower()
        if word not in known:
            raise ValueError(f"unknown word “{values.line(cell)[:40]}”")
        return word

    return read_word


def _interests(cell: str) -> str:
    text = "\n".join(item for item in map(values.line, cell.split(";")) if item)
    if len(text) > LONG:
        raise ValueError(f"more than {LONG:,} characters")
    return text


def _birth_date(cell: str, today: date) -> date:
    born = values.iso_date(cell)
    if is_too_young(born, today):
        raise ValueError("under 13 years of age")
    return born


_READERS: Mapping[str, Callable[[str], Value]] = {
    "kind": _word(*KINDS),
    "address_kind": _word("work", "home"),
    "address_line1": _address_line,
    "address_line2": _address_line,
    "country": values.country,
    "joined_on": values.iso_date,
    "expires_on": values.iso_date,
    "birth_date": values.iso_date,
    "interests": _interests,
}
_attendee_list = _word(*(option.value for option in CHOICES["attendee_list"].options))
_topic = _word(*TOPICS)


def _answers(name: str, cell: str) -> dict[str, str]:
    if name == "topics_off":
        return {topic_choice(_topic(part)): "off" for part in cell.split(";") if part.strip()}
    if name == "attendee_list":
        return {name: _attendee_list(cell)}
    return {name: "yes" if values.yes_no(cell) else "no"}


# Writing --------------------------------------------------------------------------------------------------


def write_cell(name: str, value: Value) -> str:
    """A stored value as a cell."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return ";".join(value.splitlines()) if name == "interests" else value


def same(name: str, stored: Value, brought: Value) -> bool:
    """Whether a file brings what is stored, also where the file cannot write it as it is (breaks of lines)."""
    if stored == brought or not stored:
        return stored == brought
    try:
        return read_cell(name, write_cell(name, stored)) == brought
    except ValueError:
        return False


def exported() -> Iterator[list[str]]:
    """The header, then every member, in the order of the random numbers; read in batches."""
    yield [*COLUMNS, "restricted"]
    table = Member.__table__
    query = select(table, Subject.restricted_at).join(Subject, Subject.id == table.c.id).order_by(table.c.id)
    last: UUID | None = None
    while True:
        batch = query if last is None else query.where(table.c.id > last)
        people = [dict(row) for row in db.session.execute(batch.limit(BATCH)).mappings()]
        if not people:
            return
        answers = standing_answers([person["id"] for person in people])
        yield from (_exported(person, answers.get(person["id"], {})) for person in people)
        last = people[-1]["id"]


def _exported(person: Mapping[str, Any], answers: Mapping[str, str]) -> list[str]:
    off = [topic for code, topic in TOPICS_OF.items() if answers.get(code) == "off"]
    cells = {name: write_cell(name, person[name]) for name in FIELDS}
    cells |= {name: answers.get(name, "") for name in CHOICE_COLUMNS}
    cells |= {"member_id": person["member_number"] or "", "email": person["email"], "topics_off": ";".join(off)}
    return [*(cells[name] for name in COLUMNS), "yes" if person["restricted_at"] else "no"]


def standing_answers(ids: list[UUID]) -> dict[UUID, dict[str, str]]:
    """The answers that were given and stand, by person and code."""
    found: dict[UUID, dict[str, str]] = {}
    query = select(ChoiceRow.subject_id, ChoiceRow.code, ChoiceRow.value).where(
        ChoiceRow.subject_id.in_(ids), ChoiceRow.event_id.is_(None)
    )
    for person, code, value in db.session.execute(query.order_by(ChoiceRow.id)):
        found.setdefault(person, {})[code] = value
    return found
