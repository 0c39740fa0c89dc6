"""The profile form, made from the data map: what a member may edit, its label, why we ask, its length (P7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple, cast

from markupsafe import Markup
from sqlalchemy import Date, Row, Text
from wtforms import BooleanField, Field, HiddenField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.fields import EmailField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import ValidationError
from wtforms.widgets import HiddenInput

from portal import clock
from portal.datamap import inventory
from portal.datamap.inventory import Entry
from portal.domain import values
from portal.extensions import Base
from portal.models import Member
from portal.models.member import LONG
from portal.purposes import CHOICES, SUPPRESS
from portal.vocabulary import Edit, Kind
from portal.web.forms import Form, RecentForm, Unsent, at_most, email_address, needed, trim

ENTRIES: Mapping[str, Entry] = {
    entry.column.name: entry
    for entry in inventory.noted(Base.metadata.tables["member"])
    if entry.note.edit is Edit.MEMBER
}
COUNTRIES = {"": "Choose a country", **dict(values.countries())}
PHONES = ("phone", "mobile")
GROUPS = (Kind.IDENTITY, Kind.CONTACT, Kind.WORK, Kind.ABOUT)
NOTHING_MORE = "Please write nothing about health, religion, politics or origin."
HINTS = {
    **dict.fromkeys(("education", "work_experience", "certifications", "demographics"), NOTHING_MORE),
    "interests": f"One on each line. {NOTHING_MORE}",
    "birth_date": "As year-month-day, for example 1964-05-31.",
    **dict.fromkeys(PHONES, "With the country code, for example +1 919 555 0143."),
}


class Asked(NamedTuple):
    """A field of the form as its page words it: its name, its label, and what the macro `field` is told beside."""

    name: str
    label: str
    said: Mapping[str, Any]


def _asked(name: str, entry: Entry) -> Asked:
    note = entry.note
    return Asked(
        name,
        note.label,
        {
            "hint": HINTS.get(name),
            "why": note.why or None,
            "autocomplete": note.autocomplete,
            "optional": not note.required,
            "type": "tel" if name in PHONES else None,
        },
    )


SECTIONS: Mapping[Kind, tuple[Asked, ...]] = {
    group: tuple(_asked(name, entry) for name, entry in ENTRIES.items() if entry.note.kind is group) for group in GROUPS
}


class BaseProfileForm(Form):
    """What the form has beside the fields of the map. `suppress` is the last control (P6)."""

    version = IntegerField(widget=HiddenInput())
    suppress = BooleanField(CHOICES[SUPPRESS].label)
    suppress_shown = HiddenField()

    @property
    def moved_suppress(self) -> bool:
        """Whether the check box was moved on this page; one that was only carried along changes nothing."""
        return bool(self.suppress.data) != (self.suppress_shown.data == "yes")

    def take_up(self, member: Member) -> dict[str, str]:
        """Go on from the record as it stands now: from label to present value, where it differs from what was typed."""
        self.version.data = member.version
        self.version.raw_data = [str(member.version)]
        differing = {
            name: getattr(member, name) for name, typed in self.stored().items() if getattr(member, name) != typed
        }
        return {ENTRIES[name].note.label: str(value or "empty") for name, value in differing.items()}

    def stored(self) -> dict[str, str | date | None]:
        """The values as they are stored."""
        return {name: self[name].data for name in ENTRIES}


class CountryField(StringField):
    """A country, picked from the list of all. The list is drawn once for each answer, not for each visitor."""

    def options(self) -> Markup:
        """The options as HTML, with the answer selected."""
        return self.options_for(self.data)

    @staticmethod
    def options_for(chosen: str | None) -> Markup:
        """The same for another answer."""
        return _country_options(chosen if chosen in COUNTRIES else "")


@lru_cache(maxsize=300)
def _country_options(chosen: str | None) -> Markup:
    option, selected = Markup('<option value="{}"{}>{}</option>'), Markup(" selected")
    shown = COUNTRIES.items()
    return Markup("\n").join(option.format(code, selected if code == chosen else "", name) for code, name in shown)


def _checked(parse: Callable[[str], Any]) -> Callable[[Form, Field], None]:
    """A validator that turns typed text into its stored value, or shows the parser's sentence."""

    def check(form: Form, field: Field) -> None:
        try:
            field.data = parse(field.data or "")
        except ValueError as error:
            raise ValidationError(str(error)) from error

    return check


def _phone(form: Form, field: Field) -> None:
    _checked(lambda text: values.phone(text, form["country"].data or "") if text else "")(form, field)


def _birth_date(text: str) -> date | None:
    return values.birth_date(text, clock.society_date(clock.now())) if text else None


def _country(text: str) -> str:
    return values.country(text) if text else ""


CHECKS: Mapping[str, Callable[[Form, Field], None]] = {
    "phone": _phone,
    "mobile": _phone,
    "birth_date": _checked(_birth_date),
    "country": _checked(_country),
}


def _field(name: str, entry: Entry) -> Field:
    """One column as a form field: label, why we ask, length and whether it is needed come from the map.

    The length is asked twice: as it is stored, a text may be longer than as it was typed (NFC writes क़ as two letters).
    """
    note = entry.note
    there = [needed(f"Enter your {note.label.lower()}.")] if note.required else []
    if name == "country":
        return CountryField(note.label, validators=[*there, CHECKS[name]])
    if note.options:
        return SelectField(
            note.label,
            choices=[SelectChoice("", "Choose"), *(SelectChoice(*each) for each in note.options)],
            validators=there,
        )
    if isinstance(entry.column.type, Text):
        long = at_most(LONG)
        return TextAreaField(note.label, filters=[trim], validators=[*there, long, _checked(values.long_text), long])
    fits = at_most(entry.length or LONG)
    if isinstance(entry.column.type, Date):
        return StringField(note.label, filters=[trim], validators=[*there, CHECKS[name]])
    check = CHECKS.get(name, _checked(values.line))
    return StringField(note.label, filters=[trim], validators=[*there, fits, check, fits])


ProfileForm = cast(
    type[BaseProfileForm],
    type("ProfileForm", (BaseProfileForm,), {name: _field(name, entry) for name, entry in ENTRIES.items()}),
)


def profile_form(member: Member, *, suppressed: bool) -> BaseProfileForm:
    """The form filled from the record, or from what was sent."""
    return ProfileForm(data=_shown(member, suppressed))


def profile_unsent(record: Row[Any], *, suppressed: bool) -> Unsent:
    """The same, only to be shown."""
    return Unsent(ProfileForm, _shown(record, suppressed))


def _shown(record: Member | Row[Any], suppressed: bool) -> dict[str, Any]:
    shown = {name: getattr(record, name) for name in ENTRIES}
    shown |= {name: values.phone_shown(shown[name]) for name in PHONES if shown[name]}
    return shown | {
        "version": record.version,
        "suppress": suppressed,
        "suppress_shown": "yes" if suppressed else "no",
    }


def reachable(form: Form, field: Field) -> None:
    """A validator: an address to which every mail server can deliver; not all take other letters before the @."""
    if not str(field.data).rpartition("@")[0].isascii():
        raise ValidationError("Only plain letters, digits and signs can stand before the @: our mail would not arrive.")


class EmailForm(RecentForm):
    """A new sign-in address."""

    email = EmailField("Email address", filters=[trim], validators=[email_address, reachable])
