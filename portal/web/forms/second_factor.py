"""Forms of the second step."""

from __future__ import annotations

from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired

from portal.web.forms import Form, RecentForm, at_most, trim

ASKED = "Enter the six digits that your app shows."


class CodeForm(Form):
    """A code of the app, or a recovery code."""

    code = StringField("Code", filters=[trim], validators=[InputRequired(ASKED), at_most(40)])


class SetUpForm(RecentForm):
    """The first code of an app; `sealed` carries the offer that it answers."""

    code = StringField("Code", filters=[trim], validators=[InputRequired(ASKED), at_most(40)])
    sealed = HiddenField()
