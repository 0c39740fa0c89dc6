"""Forms: what may come in, checked. They are drawn by our own macros, so a form here is only a validator."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from flask import current_app, g, session
from flask_wtf import FlaskForm
from flask_wtf.csrf import generate_csrf
from itsdangerous import URLSafeTimedSerializer
from wtforms import Field, PasswordField, StringField
from wtforms.validators import StopValidation, ValidationError

from portal.domain import values
from portal.tokens import LONGEST_ADDRESS
from portal.web import access


def form_token() -> str:
    """Flask-WTF's own token of this session, by a signer that is made once; the first of a session is made there."""
    token: str | None = g.get("csrf_token")
    if token is None:
        kept = session.get("csrf_token")
        token = _signer(current_app.config["WTF_CSRF_SECRET_KEY"]).dumps(kept) if kept else generate_csrf()
        g.csrf_token = token
    return str(token)


@lru_cache(maxsize=8)
def _signer(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="wtf-csrf-token")


def trim(text: object) -> object:
    """A filter: blanks around what was typed are not part of it."""
    return text.strip() if isinstance(text, str) else text


def email_address(form: FlaskForm, field: Field) -> None:
    """A validator: an address that could exist; stores it tidily."""
    if not field.data or len(field.data) > LONGEST_ADDRESS:
        raise ValidationError("Enter an email address, such as name@example.org.")
    try:
        field.data = values.email(field.data)
    except ValueError as error:
        raise ValidationError(str(error)) from error


def needed(sentence: str) -> Callable[[FlaskForm, Field], None]:
    """A validator: something can be read there. Blanks, and signs that nobody sees, are nothing."""

    def check(form: FlaskForm, field: Field) -> None:
        if all(unicodedata.category(letter) in UNSEEN for letter in field.data or ""):
            raise StopValidation(sentence)

    return check


UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})  # blanks, controls, and what only forms the writing


def at_most(length: int) -> Callable[[FlaskForm, Field], None]:
    """A validator: what is longer goes no further, so that no later step works on it."""

    def check(form: FlaskForm, field: Field) -> None:
        if len(field.data or "") > length:
            raise StopValidation(f"This is too long: {length:,} characters fit.")

    return check


class Form(FlaskForm):
    """Base of all forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def text(self, name: str) -> str:
        """What was typed into a field; empty text where nothing was."""
        return self[name].data or ""

    def refuse(self, name: str, text: str) -> None:
        """Put a sentence beside a field, or on top of the form where `name` is empty."""
        if name:
            self[name].errors = [*self[name].errors, text]
        else:
            self.form_errors.append(text)


class RecentForm(Form):
    """A form that acts only for somebody who gave the password in the last five minutes.

    Whoever did not finds one field **Password** at its end, and everything typed.
    """

    password = PasswordField("Password")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if access.is_recent():
            del self.password

    @property
    def asks_password(self) -> bool:
        return "password" in self

    def validate(self, extra_validators: Any = None) -> bool:
        """All other fields first; the password is proved only when they are right."""
        good: bool = super().validate(extra_validators)
        if not good or not self.asks_password:
            return good
        if self.password.data and access.confirm(self.password.data):
            return True
        text = "This is not your password." if self.password.data else "Enter your password, to show that it is you."
        self.refuse("password", text)
        return False


class Choice(NamedTuple):
    """One of the answers that a control offers, as WTForms gives them to a template."""

    value: str
    label: str
    selected: bool


class Control(NamedTuple):
    """A field as a template asks it, filled, before anything was sent: nothing is parsed, nothing can be wrong."""

    of: Field
    id: str
    name: str
    type: str
    label: Any
    description: str
    data: Any

    @property
    def errors(self) -> tuple[str, ...]:
        """None: nothing was sent yet."""
        return ()

    @classmethod
    def like(cls, field: Field | Control, data: Any) -> Control:
        """The same control with another value."""
        of = field.of if isinstance(field, Control) else field
        return cls(of, of.id, of.name, of.type, of.label, of.description, data)

    def _value(self) -> str:
        return "" if self.data is None else str(self.data)

    @staticmethod
    def text(field: Field | Control) -> str:
        """What stands in a control that is typed into."""
        written: str = field._value()  # type: ignore[union-attr]
        return written

    def iter_choices(self) -> Iterator[Choice]:
        """The answers, one of them selected."""
        return (Choice(each.value, each.label, each.value == self.data) for each in self.of.choices)  # type: ignore[attr-defined]

    def options(self) -> Any:
        """What stands between the tags of a control that draws its own answers."""
        return self.of.options_for(self.data)  # type: ignore[attr-defined]

    def has_groups(self) -> bool:
        """None of ours has."""
        return False


class Unsent:
    """A form as a GET shows it: the controls of a class of forms, with values. To take what was sent, make the form."""

    errors: Mapping[str, Any] = {}

    def __init__(self, form: type[Form], values: Mapping[str, Any]) -> None:
        self.controls = {name: Control.like(field, values.get(name)) for name, field in _fields(form).items()}

    def __getitem__(self, name: str) -> Control:
        return self.controls[name]


_bound: dict[type[Form], Mapping[str, Field]] = {}


def _fields(form: type[Form]) -> Mapping[str, Field]:
    """The fields of a form, made once; only what is the same for everybody may be read of them."""
    if form not in _bound:
        _bound[form] = {field.short_name: field for field in form(formdata=None) if field.type != "CSRFTokenField"}
    return _bound[form]


class AddressForm(Form):
    """One address, typed to have a link mailed."""

    email = StringField("Email address", filters=[trim], validators=[email_address])
