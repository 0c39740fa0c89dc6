"""Room of words: the notes that every column carries about the personal data in it.

`personal(...)` and `internal(...)` are written on the column, `owner` on the table; `datamap` reads them, and
the portal refuses to start while one is missing. Nothing here knows of the database or the web.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The groups in which a person thinks of what is held about them."""

    IDENTITY = "Who you are"
    CONTACT = "How to reach you"
    WORK = "Your work"
    ABOUT = "About you"
    MEMBERSHIP = "Your membership"
    CHOICE = "Your choices"
    EVENT = "Events"
    DISCLOSURE = "Who received your details"
    MESSAGE = "Messages we sent"
    REQUEST = "Requests"
    SIGN_IN = "Sign-ins and devices"
    TRAIL = "What changed"


class Basis(StrEnum):
    """The ground on which data is processed (GDPR Art. 6(1), P23)."""

    CONSENT = "consent, Art. 6(1)(a)"
    CONTRACT = "contract, Art. 6(1)(b)"
    OBLIGATION = "legal obligation, Art. 6(1)(c)"
    INTEREST = "legitimate interest, Art. 6(1)(f)"


# The same in the terms of the W3C Data Privacy Vocabulary 2.1, for machines that read the download.
DPV = "https://w3id.org/dpv#"
DPV_DATA = "https://w3id.org/dpv/pd#"
DPV_GDPR = "https://w3id.org/dpv/legal/eu/gdpr#"

CATEGORIES = {
    Kind.IDENTITY: f"{DPV_DATA}Identifying",
    Kind.CONTACT: f"{DPV_DATA}Contact",
    Kind.WORK: f"{DPV_DATA}Professional",
    Kind.ABOUT: f"{DPV_DATA}Profile",
    Kind.MEMBERSHIP: f"{DPV_DATA}GroupMembership",
    Kind.CHOICE: f"{DPV_DATA}PrivacyPreference",
    Kind.EVENT: f"{DPV_DATA}ServiceConsumptionBehavior",
    Kind.DISCLOSURE: f"{DPV_DATA}Historical",
    Kind.MESSAGE: f"{DPV_DATA}Communication",
    Kind.REQUEST: f"{DPV_DATA}Communication",
    Kind.SIGN_IN: f"{DPV_DATA}AuthenticationHistory",
    Kind.TRAIL: f"{DPV_DATA}Historical",
}
GROUNDS = {
    Basis.CONSENT: f"{DPV_GDPR}A6-1-a",
    Basis.CONTRACT: f"{DPV_GDPR}A6-1-b",
    Basis.OBLIGATION: f"{DPV_GDPR}A6-1-c",
    Basis.INTEREST: f"{DPV_GDPR}A6-1-f",
}


class Edit(StrEnum):
    """Who changes a value: the profile form, a page of its own, the society's records, or nobody."""

    MEMBER = "profile form"
    PAGE = "page of its own"
    RECORDS = "membership records"
    NOBODY = "nobody"


class Erase(StrEnum):
    """What an erasure does with a value that is not kept.

    A row goes when every value in it is DELETE. A row with DETACH stays, and its owner column is emptied, so that it
    leads to nobody. A row with a `Keep` stays under its random number; what is DELETE in it is emptied.
    """

    DELETE = "deleted"
    DETACH = "kept without your name"


@dataclass(frozen=True)
class Keep:
    """A value that outlives an erasure: never without a reason and an end (P15)."""

    reason: str
    days: int

    def __post_init__(self) -> None:
        if not self.reason.strip() or self.days < 1:
            raise ValueError("nothing is kept without a reason and an end: write Keep(reason, days)")


@dataclass(frozen=True)
class Personal:
    """The note on a column that holds something about a person."""

    label: str
    kind: Kind
    purposes: tuple[str, ...]
    erase: Erase | Keep = Erase.DELETE
    edit: Edit = Edit.NOBODY
    why: str = ""
    required: bool = False
    autocomplete: str = ""
    options: tuple[tuple[str, str], ...] = ()
    secret: bool = False


@dataclass(frozen=True)
class Internal:
    """The note on a column that says nothing about a person."""

    reason: str


def personal(label: str, kind: Kind, *purposes: str, **details: Any) -> dict[str, Any]:
    """A column's `info` when it holds something about a person; see `Personal` for the details."""
    return {"note": Personal(label, kind, purposes, **details)}


def internal(reason: str) -> dict[str, Any]:
    """A column's `info` when it holds nothing about a person; the reason is checked by a reader, not a program."""
    return {"note": Internal(reason)}


class Owner(StrEnum):
    """How a table's rows find the person they are about."""

    SUBJECT = "by subject"  # the column refers to subject.id, itself or by member.id
    THROUGH = "through another row"  # the column refers to a table that has an owner
    ADDRESS = "by address"  # the column holds an address or its keyed hash
    NOBODY = "nobody"


@dataclass(frozen=True)
class Owned:
    """A table's declaration: how, by which column, since when (the column with a row's own moment); or why nobody's.

    `told`: the column with the day before which a row may not be told to its person; empty in a row: told at once.
    """

    how: Owner
    column: str = ""
    at: str = ""
    reason: str = ""
    told: str = ""


def owned(how: Owner, column: str = "", *, at: str = "", reason: str = "", told: str = "") -> dict[str, Any]:
    """A table's `info`."""
    return {"owned": Owned(how, column, at, reason, told)}


class Door(StrEnum):
    """The ways by which a change comes in; each is stored with what it changed."""

    PAGE = "page"
    LINK = "link"
    ONE_CLICK = "one-click"
    MAILTO = "mailto"
    REPLY = "reply"
    STAFF = "staff"
    IMPORT = "import"
    REGISTRATION = "registration"
    SYSTEM = "system"

    @property
    def words(self) -> str:
        """As in "Set by … on 4 December 2026"."""
        return DOOR_WORDS[self]


DOOR_WORDS = {
    Door.PAGE: "you, on this site",
    Door.LINK: "you, by the link in an email",
    Door.ONE_CLICK: "you, by the unsubscribe button of your mail program",
    Door.MAILTO: "you, by an unsubscribe email",
    Door.REPLY: "you, by answering an email",
    Door.STAFF: "the society's staff",
    Door.IMPORT: "the society's membership records",
    Door.REGISTRATION: "you, when registering for an event",
    Door.SYSTEM: "this portal",
}
