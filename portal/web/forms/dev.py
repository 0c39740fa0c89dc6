"""A form for the page of components: every kind of field, well filled and badly. Only `web/dev` may call it."""

from __future__ import annotations

from wtforms import (
    BooleanField,
    DateField,
    EmailField,
    HiddenField,
    PasswordField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TelField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]

from portal.web.forms import Form


class SpecimenForm(Form):
    """One field of each kind."""

    seen = HiddenField()
    email = EmailField("Email address")
    password = PasswordField("New password")
    first_name = StringField("First name")
    last_name = StringField("Last name")
    phone = TelField("Phone")
    born_on = DateField("Birth date")
    country = SelectField(
        "Country",
        choices=[
            SelectChoice("", "Choose a country"),
            SelectChoice("PL", "Poland"),
            SelectChoice("GS", "South Georgia and the South Sandwich Islands"),
        ],
    )
    postal_code = StringField("Postal code")
    education = TextAreaField("Education")
    attendee_list = RadioField(
        "Attendee list",
        choices=[
            SelectChoice("nobody", "Nobody"),
            SelectChoice("attendees", "Other attendees"),
            SelectChoice("public", "Public roster"),
        ],
    )
    sponsor_sharing = RadioField("Sponsor sharing", choices=[SelectChoice("no", "No"), SelectChoice("yes", "Yes")])
    interests = SelectMultipleField(
        "Areas of interest",
        choices=[
            SelectChoice("packaging", "Advanced packaging"),
            SelectChoice("ceramics", "Ceramics and LTCC"),
            SelectChoice("bonding", "Wire bonding"),
        ],
    )
    suppress = BooleanField("Suppress Broadcast Emails")


MISTAKES = {
    "email": "Enter an email address, such as name@example.org.",
    "password": "Enter a password.",
    "first_name": "Enter your first name.",
    "phone": "This number is too long for its country.",
    "country": "Choose a country.",
    "education": "Shorten this to 4,000 characters.",
    "attendee_list": "Choose one of the answers.",
    "sponsor_sharing": "Choose one of the answers.",
    "interests": "Choose one at least.",
    "suppress": "Tick the box to go on.",
}


def specimens() -> tuple[SpecimenForm, SpecimenForm]:
    """The form well filled, and the same sent with mistakes."""
    filled = {
        "email": "anna@example.org",
        "first_name": "عبد الرحمن",
        "last_name": "Brzęczyszczykiewicz",
        "country": "PL",
        "postal_code": "50-038",
        "education": "Politechnika Wrocławska",
        "attendee_list": "attendees",
        "sponsor_sharing": "no",
        "interests": ["packaging", "bonding"],
        "suppress": True,
    }
    calm = SpecimenForm(formdata=None, data=filled, prefix="calm-")
    wrong = SpecimenForm(formdata=None, data={"email": "anna", "phone": "123456789012"})
    for name, text in MISTAKES.items():
        wrong.refuse(name, text)
    return calm, wrong
