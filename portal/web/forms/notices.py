"""The form of one button beside a version of the privacy notice: a yes, or a no."""

from __future__ import annotations

from wtforms import IntegerField, StringField
from wtforms.validators import AnyOf, InputRequired
from wtforms.widgets import HiddenInput

from portal.web.forms import Form


class AnswerForm(Form):
    """`version`: the one that the page asked about, so that an older page answers nothing else."""

    version = IntegerField(widget=HiddenInput(), validators=[InputRequired("Please read the page again.")])
    answer = StringField(widget=HiddenInput(), validators=[AnyOf(("yes", "no"), "Press Yes or No. Nothing was saved.")])
