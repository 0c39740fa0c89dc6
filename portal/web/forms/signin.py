"""Forms of coming in: sign in, a new password, a changed password."""

from __future__ import annotations

from wtforms import BooleanField, PasswordField, StringField
from wtforms.validators import InputRequired

from portal.web.forms import Form, RecentForm, trim


class SignInForm(Form):
    """Address and password. Never says which of the two is wrong, nor how long a password must be."""

    email = StringField("Email address", filters=[trim], validators=[InputRequired("Enter your email address.")])
    password = PasswordField("Password", validators=[InputRequired("Enter your password.")])
    keep = BooleanField("Keep me signed in")


class PasswordAgainForm(RecentForm):
    """The password once more, on a page of its own."""


class SetPasswordForm(Form):
    """A first or a new password, by a mailed link."""

    new_password = PasswordField("New password", validators=[InputRequired("Choose a password.")])


class ChangePasswordForm(RecentForm):
    """A new password, by somebody who is signed in."""

    new_password = PasswordField("New password", validators=[InputRequired("Choose a new password.")])


class EmptyForm(Form):
    """One button."""


class ConfirmForm(RecentForm):
    """One button, for somebody who gave the password lately."""
