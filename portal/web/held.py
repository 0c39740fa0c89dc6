"""Pages: what we hold about you, each value with its answers; long lists by pages (P11, P17, P24, P26, P35, P37)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType

from flask import Blueprint, abort, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Boolean, Date

from portal import clock
from portal.clock import in_words
from portal.datamap import held, inventory
from portal.datamap.held import Item, Listing
from portal.domain import at_a_glance, bounces, choices, conflicts, disclosures, trail, values
from portal.domain.erasures import HOLDS
from portal.domain.handling import EXTENSIONS, REFUSALS
from portal.domain.kinds import KINDS
from portal.domain.suspensions import REASONS
from portal.extensions import Base
from portal.models import Member
from portal.models.columns import UtcDateTime
from portal.purposes import (
    AUDIENCES,
    HOLDINGS,
    NEVER_HELD,
    PERIODS,
    PORTAL,
    PURPOSES,
    RECIPIENTS,
    TOPICS,
)
from portal.vocabulary import DOOR_WORDS, Kind
from portal.web.access import MEMBER, access
from portal.web.filters import BY, SHOWN, STATES, STEPS, act_words, label, moment

bp = Blueprint("held", __name__)

FEW = 3  # rows of a list on the first page
MANY = 25  # rows on a page of its own
RECIPIENTS_SHOWN = 3
NOBODY_OUTSIDE = held.NOBODY[:1].upper() + held.NOBODY[1:]

# What a list is called, and which columns say a row in one line; a table that is not here shows under its own name.
TITLES: Mapping[str, str] = {
    "email_change": "Changes of your address",
    "choice": "Your answers",
    "bounce": "Mail that came back",
    "former_value": "What stood in your profile before you saved it",
    "former_address": "Addresses you had before, as keyed hashes",
    "suppression": "Addresses that get no mail",
    "registration": "Registrations",
    "recognition": "Published recognition",
    "disclosure": "Handed out",
    "message": "Messages",
    "data_subject_request": "What you asked",
    "request_step": "Steps of your requests",
    "request_task": "Others who were asked to delete",
    "erasure_line": "What was deleted, in numbers",
    "sign_in": "Sign-ins",
    "failed_sign_in": "Sign-ins that were refused",
    "link_request": "Addresses typed to get a link",
    "password_link": "Links for a password",
    "recovery_code": "Codes for a lost phone",
    "ask": "Requests that wait for a word from your mailbox",
    "suspension": "Suspensions",
    "trail": "What was changed, and who looked",
    "list_step": "Lists that you worked on at the desk",
    "import_conflict": "Where the membership records say otherwise",
}
LINES: Mapping[str, Sequence[str]] = {
    "email_change": ("new_email",),
    "choice": ("event_id", "code", "value"),
    "former_value": ("field", "value"),
    "registration": ("event_id", "role"),
    "recognition": ("role", "name"),
    "import_conflict": ("field", "brought"),
    "list_step": ("step", "list_id"),
    "message": ("title",),
    "data_subject_request": ("kind", "reference"),
    "bounce": ("status",),
    "suppression": ("reason",),
    "erasure_line": ("what", "action", "rows"),
    "sign_in": ("browser", "network"),
    "failed_sign_in": ("network",),
    "password_link": ("purpose",),
    "ask": ("kind",),
    "suspension": ("reason", "ended_at"),
    "trail": ("act", "field", "door"),
}


@dataclass(frozen=True)
class Field:
    """One value as a person reads it."""

    label: str
    words: str
    control: str = ""
    control_words: str = ""
    until: str = ""


@dataclass(frozen=True)
class Answers:
    """Why, on which ground, from where, to whom and until when, for all the fields that share these answers."""

    labels: tuple[str, ...]
    why: tuple[tuple[str, str], ...]  # code and name of each purpose
    basis: str
    source: str
    recipients: tuple[str, ...]
    more: int  # recipients beyond those
    until: str


@dataclass(frozen=True)
class Row:
    """One row of a list: in one line, and in full."""

    line: str
    source: str
    until: str
    fields: tuple[Field, ...]
    recipients: tuple[str, ...]

    @property
    def changed_at(self) -> Field | None:
        """The field by which it is changed, where there is one."""
        return next((field for field in self.fields if field.control), None)


@dataclass(frozen=True)
class Rows:
    """A list, or a part of it."""

    table: str
    title: str
    total: int
    rows: tuple[Row, ...]
    before: str
    inner: bool
    reasons: tuple[Answers, ...]
    goes_back: str = PERIODS["disclosures"].words  # the log of what left the society


@dataclass(frozen=True)
class Group:
    """One group of the page."""

    slug: str
    title: str
    fields: tuple[Field, ...]
    empty: tuple[Field, ...]
    answers: tuple[Answers, ...]
    lists: tuple[Rows, ...]

    @property
    def begins_with_lists(self) -> bool:
        """Where the values beside the lists are none that the person gave."""
        return not any(field.control for field in (*self.fields, *self.empty))


SLUGS = {kind.value.lower().replace(" ", "-"): kind for kind in Kind}


@bp.get("/held")
@access(MEMBER)
def page(member: Member) -> ResponseReturnValue:
    """`/held`: every value with its reasons, the newest of every list, and what is held elsewhere or never.

    `?open` opens every detail; `?take=zip|json` offers that file, after the password was asked for.
    """
    now = clock.now()
    found = held.glimpse(member.id, few=FEW, now=now)
    seen = at_a_glance.answers(member.id, member.email_key, now=now)
    items = list(_in_words_of(member.country, found.items))
    return render_template(
        "held/held.html",
        groups=[_group(slug, kind, items, found.lists) for slug, kind in SLUGS.items()],
        restricted_at=found.facts.restricted_at,
        trouble=seen.trouble,
        address=member.email,
        now=now,
        stored=PORTAL,
        purposes=PURPOSES,
        recipients=RECIPIENTS,
        holdings=HOLDINGS,
        never_held=NEVER_HELD,
        opened="open" in request.args,
        take=request.args.get("take", ""),
        stands=seen.stands,
    )


@bp.get("/held/<group>")
@access(MEMBER)
def rows(member: Member, group: str) -> ResponseReturnValue:
    """`/held/<group>`: the lists of a group in full, the newest first; `?list=` and `&before=` go on in one of them."""
    kind = SLUGS.get(group)
    tables = [table.name for table, its in held.lists().items() if its is kind]
    asked, before = request.args.get("list", ""), request.args.get("before", "")
    if not tables or (asked and asked not in tables) or (before and not asked):
        abort(404)
    try:
        found = held.listings(member.id, [asked] if asked else tables, limit=MANY, now=clock.now(), before=before)
    except ValueError:
        abort(404)
    lists = [_rows(each) for each in found if each.total]
    return render_template(
        "held/list.html",
        title=str(kind),
        slug=group,
        lists=lists,
        asked=asked,
        before=before,
        stored=PORTAL,
    )


# Groups and answers ---------------------------------------------------------------------------------------


def _in_words_of(country: str, items: Iterable[Item]) -> Iterator[Item]:
    """The items, fields of the address under the names that they have in a country, as on the profile."""
    labels = values.address_labels(country)
    for item in items:
        column = item.name.removeprefix("member.")
        yield item if column == item.name else replace(item, label=label(labels, column, item.label))


def _group(slug: str, kind: Kind, items: Sequence[Item], lists: Sequence[Listing]) -> Group:
    its = sorted((item for item in items if item.kind is kind and not _names_the_record(item)), key=_is_derived)
    full = [item for item in its if _is_there(item)]
    mine = [each for each in lists if held.lists()[each.table] is kind and each.total]
    return Group(
        slug,
        str(kind),
        tuple(_field(item) for item in full),
        tuple(_field(item) for item in its if not _is_there(item) and item.name != "subject.erased_at"),
        tuple(_answers(full)),
        tuple(_rows(each) for each in mine),
    )


def _is_derived(item: Item) -> bool:
    """Whether the portal made this from another field, for itself: such values stand behind those of the person."""
    return item.name.partition(".")[2] in held.FOLLOWS


def _names_the_record(item: Item) -> bool:
    """Whether this is the random number again by which a row of another table finds its subject."""
    table = Base.metadata.tables[item.name.split(".")[0]]
    return table.name != "subject" and item.name == f"{table.name}.{inventory.owner_column(table).name}"


def _is_there(item: Item) -> bool:
    return item.value not in (None, "", [])


def _answers(items: Iterable[Item]) -> Iterator[Answers]:
    """The answers, each set once with all the fields that share it."""
    shared: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        key = (item.purposes, item.basis, item.source, item.recipients, item.until)
        shared.setdefault(key, []).append(item)
    for same in shared.values():
        first = same[0]
        newest = first.recipients[::-1]
        yield Answers(
            tuple(item.label for item in same),
            tuple((code, PURPOSES[code].name) for code in first.purposes),
            first.basis,
            first.source,
            newest[:RECIPIENTS_SHOWN] or (NOBODY_OUTSIDE,),
            len(newest[RECIPIENTS_SHOWN:]),
            until_words(first.until),
        )


def _rows(listing: Listing) -> Rows:
    name = listing.table.name
    whys: dict[tuple[str, ...], list[str]] = {}
    for entry in (each for each in inventory.noted(listing.table) if each.column is not _owner(listing)):
        whys.setdefault(entry.note.purposes, []).append(entry.note.label)
    return Rows(
        name,
        TITLES.get(name, name.replace("_", " ").capitalize()),
        listing.total,
        tuple(_row(listing, each) for each in listing.rows),
        listing.before,
        held.is_inner(listing),
        tuple(
            Answers(
                tuple(labels),
                tuple((code, PURPOSES[code].name) for code in codes),
                held.basis(codes),
                "",
                (),
                0,
                "",
            )
            for codes, labels in whys.items()
        ),
    )


def _owner(listing: Listing) -> object:
    return inventory.owner_column(listing.table)


def _row(listing: Listing, items: Sequence[Item]) -> Row:
    name, owner = listing.table.name, inventory.owner(listing.table)
    assert owner is not None
    by_name = {item.name.removeprefix(f"{name}."): item for item in items}
    by_name.pop(owner.column, None)
    until = _usual([item.until for item in by_name.values()])
    return Row(
        _line(name, owner.at, by_name),
        _usual([item.source for item in items]),
        until_words(until),
        tuple(
            _field(item, by_name, until_words(item.until) if item.until != until else "")
            for item in by_name.values()
            if _is_there(item)
        ),
        tuple(dict.fromkeys(name for item in by_name.values() for name in item.recipients)),
    )


def _usual(answers: Sequence[str]) -> str:
    return max(dict.fromkeys(answers), key=answers.count)


def _line(table: str, at: str, items: Mapping[str, Item]) -> str:
    """A row in one line: its day, and what tells it from the others."""
    if table == "trail":
        said = f"{_act(items)}, by {words(items['door'], items)}{_way(items)}"
    elif table == "disclosure":
        return _disclosed(items)
    else:
        chosen = LINES.get(table) or [name for name in items if name != at][:2]
        between = ": " if table == "choice" else ", "
        said = between.join(text for text in (words(items[name], items) for name in chosen) if text)
    moment_of = items[at].value if at else None
    return f"{in_words(datetime.fromisoformat(str(moment_of)))}: {said}" if moment_of else said


def _act(row: Mapping[str, Item]) -> str:
    """What a row of the trail tells, as the beginning of a sentence."""
    what = act_words(str(row["act"].value), str(row["field"].value))
    return f"{what[:1].upper()}{what[1:]}"


def _way(items: Mapping[str, Item]) -> str:
    """Whether a change that was made here is known to the membership records."""
    if items["act"].value not in trail.TO_CARRY or items["door"].value in trail.FROM_OUTSIDE:
        return ""
    carried = items["carried_at"].value
    return f"; carried over {moment(datetime.fromisoformat(str(carried)))}" if carried else "; not yet carried over"


def _disclosed(items: Mapping[str, Item]) -> str:
    texts = {name: str(item.value or "") for name, item in items.items()}
    return disclosures.sentence(
        at=datetime.fromisoformat(texts["at"]),
        recipient=texts["recipient"],
        fields=texts["fields"],
        audience=texts["audience"],
        event=texts["event_id"],
        reason=texts["reason"],
        list_number=texts["list_number"],
        recalled=texts["recalled"],
        recalled_at=datetime.fromisoformat(texts["recalled_at"]) if texts["recalled_at"] else None,
    )


# Words ----------------------------------------------------------------------------------------------------


def until_words(until: str) -> str:
    """An end as it reads after "Kept": until a day, or the rule."""
    try:
        return f"until {in_words(date.fromisoformat(until))}"
    except ValueError:
        return until


def _field(item: Item, row: Mapping[str, Item] = MappingProxyType({}), until: str = "") -> Field:
    there = "See Security" if item.control == "/security" else "Change"
    return Field(item.label, words(item, row), item.control, there, until)


def words(item: Item, row: Mapping[str, Item]) -> str:
    """A value as a person reads it; `row`: the other values of its row, by column."""
    value = item.value
    if value is None or value == "":
        return ""
    text = str(value)
    table, column = item.name.split(".")
    kind = Base.metadata.tables[table].columns[column].type
    if isinstance(kind, UtcDateTime):
        return moment(datetime.fromisoformat(text))
    if isinstance(kind, Date):
        return in_words(date.fromisoformat(text))
    if isinstance(kind, Boolean):
        return "Yes" if value else "No"
    return _coded(item.name, column, text, row)


def _coded(name: str, column: str, text: str, row: Mapping[str, Item]) -> str:
    """A code in the words that stand for it elsewhere in the portal; any other text as it is."""
    if column == "door":
        return DOORS.get(text, text)
    if name in ("member.phone", "member.mobile"):
        return values.phone_shown(text)
    if name in ("member.country", "recognition.country"):
        return values.country_name(text)
    if (found := _of_its_row(name, text, row)) is not None:
        return found
    if name == "message.name":
        return text.replace("_", " ").capitalize()
    found = CODES.get(name, {}).get(text)
    return found or SHOWN.get((column, text), text)


def _of_its_row(name: str, text: str, row: Mapping[str, Item]) -> str | None:
    """A code that other values of its row explain, or that names columns; None for any other."""
    if name == "choice.value" and row:
        return choices.answer_words(str(row["code"].value), text)
    if name == "choice.code":
        return choices.question_words(text)
    if name == "trail.act":
        return _act(row) if row else text
    if name == "trail.field" and row:
        return conflicts.label(conflicts.key(str(row["act"].value), text))
    if name in ("former_value.value", "import_conflict.brought") and row:
        field = str(row["field"].value)
        question = field.removeprefix(conflicts.OF_CHOICES)
        return choices.answer_words(question, text) if question != field else _coded(f"member.{field}", field, text, {})
    if name in ("disclosure.fields", "former_value.field", "import_conflict.field", "trail.field"):
        return ", ".join(conflicts.label(field) for field in text.split())
    return f"L-{text}" if name == "list_step.list_id" else None


DOORS: Mapping[str, str] = {door.value: text for door, text in DOOR_WORDS.items()}
CODES: Mapping[str, Mapping[str, str]] = {
    "message.kind": {
        "account": "About your account",
        "receipt": "An answer to you",
        "staff": "To our staff",
        "broadcast": "News and offers",
    },
    "message.state": {
        "queued": "Waiting",
        "claimed": "On its way",
        "sent": "Sent",
        "dead": "Could not be delivered",
        "cancelled": "Stopped before it was sent",
    },
    "message.topic": {code: topic.name for code, topic in TOPICS.items()},
    "data_subject_request.kind": {code: kind.title for code, kind in KINDS.items()},
    "data_subject_request.state": {code: text for code, (text, _) in STATES.items()},
    "data_subject_request.verified_how": {"password": "Your password", "journal": "Our journal of erasures"},
    "data_subject_request.hold": HOLDS,
    "data_subject_request.extension": EXTENSIONS,
    "data_subject_request.refusal": REFUSALS,
    "data_subject_request.scope": {code: purpose.name for code, purpose in PURPOSES.items()},
    "disclosure.audience": {code: each.name for code, each in AUDIENCES.items()} | disclosures.OUTSIDE,
    "disclosure.recalled": {"stop": "Not to use it for now", "delete": "To delete it"},
    "list_step.step": {"filed": "Filed", "approved": "Approved", "released": "Released", "recalled": "Recipient told"},
    "erasure_line.action": {"deleted": "Deleted", "detached": "Kept without your name", "kept": "Kept for a time"},
    "bounce.status": bounces.REASONS,
    "suppression.reason": {
        "erased": "A record was erased",
        "bounced": "Mail came back",
        "asked": "Somebody asked for silence",
        "suspended": "A person was suspended",
    },
    "suspension.reason": REASONS,
    "ask.kind": {code: kind.title for code, kind in KINDS.items()},
    "request_step.step": STEPS,
    "request_step.by": BY,
    "sign_in.kind": {"session": "One visit", "kept": "Kept signed in"},
    "password_link.purpose": {"activation": "First password", "reset": "New password"},
    "link_request.wanted": {
        "password": "New password",
        "activation": "First password",
        "unsubscribe": "A link that stops our emails",
    },
    "request_task.holding": {code: holding.name for code, holding in HOLDINGS.items()},
}
