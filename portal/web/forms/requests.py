"""The form of a request: something to add, if one wishes, and who it is."""

from __future__ import annotations

from wtforms import HiddenField, TextAreaField
from wtforms.validators import InputRequired

from portal.models.member import LONG
from portal.web.forms import RecentForm, at_most, trim


class RequestForm(RecentForm):
    """`operation_id` is random for each page: the same form sent twice makes one request."""

    operation_id = HiddenField(validators=[InputRequired("Please open this page again."), at_most(64)])
    details = TextAreaField(
        "Anything to add",
        filters=[trim],
        validators=[at_most(LONG)],
    )
