"""Forms of the desk's changes to carry over, and of contradictions."""

from __future__ import annotations

from wtforms import IntegerField
from wtforms.validators import InputRequired, NumberRange
from wtforms.widgets import HiddenInput

from portal.web.forms import Form, RecentForm

AGAIN = "Please open this page again."
NUMBER = (InputRequired(AGAIN), NumberRange(0, 2**31 - 1, AGAIN))


class FileForm(RecentForm):
    """One button that hands out data, for somebody who gave the password lately. `up_to`: the newest change shown."""

    up_to = IntegerField(widget=HiddenInput(), validators=NUMBER)


class CarriedForm(Form):
    """One button. `up_to`: the newest change that its page has shown."""

    up_to = IntegerField(widget=HiddenInput(), validators=NUMBER)


class TakeTheirsForm(Form):
    """One button. `version`: of the record that its page has shown."""

    version = IntegerField(widget=HiddenInput(), validators=NUMBER)
