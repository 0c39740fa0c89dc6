"""Bench: the profile form as most would build it: Flask-Login, ORM, Flask-WTF, a widget for each field.

It shows what the portal's own form costs beside it. It keeps none of the portal's promises.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, render_template_string
from flask_login import LoginManager, UserMixin, current_user, login_required
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import FlaskForm
from sqlalchemy import String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from wtforms import BooleanField, DateField, Field, SelectField, StringField, SubmitField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import DataRequired, Length

from config import Config
from portal.domain import values
from portal.tokens import digest
from portal.web.forms.members import ENTRIES

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Change profile</title></head>
<body><header><p>Signed in as {{ current_user.first_name }} {{ current_user.last_name }}</p>
<nav><a href="/">Overview</a> <a href="/profile">Profile</a> <a href="/choices">Choices</a></nav></header>
<main><h1>Change profile</h1>
<form method="post">{{ form.hidden_tag() }}
{% for field in form if field.type not in ("CSRFTokenField", "SubmitField") %}
<div class="field">{{ field.label }}{% if field.description %}<p class="hint">{{ field.description }}</p>{% endif %}
{{ field(class="control") }}{% for error in field.errors %}<p class="error">{{ error }}</p>{% endfor %}</div>
{% endfor %}
{{ form.submit }}</form></main></body></html>"""


class Base(DeclarativeBase):
    """The tables of the portal, seen by a model of its own."""


def _control(name: str, required: bool, label: str, why: str) -> Field:
    needed = [DataRequired()] if required else []
    if name == "country":
        return SelectField(label, choices=[SelectChoice(*each) for each in values.countries()], validators=needed)
    if name == "address_kind":
        return SelectField(label, choices=[SelectChoice("work", "Business"), SelectChoice("home", "Home")])
    if name == "birth_date":
        return DateField(label, description=why)
    if isinstance(ENTRIES[name].column.type, Text):
        return TextAreaField(label, description=why, validators=[Length(max=4000)])
    return StringField(label, description=why, validators=[*needed, Length(max=300)])


FIELDS: dict[str, Any] = {
    name: _control(name, entry.note.required, entry.note.label, entry.note.why) for name, entry in ENTRIES.items()
}
ObviousForm = type(
    "ObviousForm",
    (FlaskForm,),
    FIELDS | {"suppress": BooleanField("Suppress Broadcast Emails"), "submit": SubmitField("Save")},
)


def create_obvious(config: Config) -> Flask:
    """An application of one page, `/profile`, on the portal's database."""
    app = Flask("obvious")
    app.config.from_mapping(config.flask())
    app.config["SESSION_COOKIE_PATH"] = "/"
    db = SQLAlchemy(model_class=Base)
    login = LoginManager()

    class User(UserMixin, db.Model):  # type: ignore[name-defined]
        """The columns of the form."""

        __tablename__ = "member"
        __table_args__ = {"extend_existing": True}  # noqa: RUF012
        id: Mapped[str] = mapped_column(String(32), primary_key=True)

    for name, entry in ENTRIES.items():
        setattr(
            User,
            name,
            mapped_column(name, entry.column.type.copy() if hasattr(entry.column.type, "copy") else entry.column.type),
        )
    db.init_app(app)
    login.init_app(app)

    @login.user_loader
    def load(token: str) -> User | None:
        query = "SELECT member_id FROM account JOIN sign_in ON account_id = account.id WHERE token_hash = :hash"
        ident = db.session.execute(db.text(query), {"hash": digest(token)}).scalar()
        return db.session.get(User, ident)

    @app.route("/profile", methods=["GET", "POST"])
    @login_required
    def profile() -> str:
        form = ObviousForm(obj=current_user)
        return render_template_string(TEMPLATE, form=form)

    return app
