"""The form of a request: something to add, if one wishes, and who it is."""

from __future__ import annotations

from wtforms import HiddenField, TextAreaField
from wtforms.validators import InputRequired, Length

from portal.models.member import LONG
from portal.web.forms import RecentForm, trim


class RequestForm(RecentForm):
    """`operation_id` is random for each page: the same form sent twice makes one request."""

    operation_id = HiddenField(validators=[InputRequired("Please open this page again."), Length(max=64)])
    details = TextAreaField(
        "Anything to add",
        filters=[trim],
        validators=[Length(max=LONG, message=f"This is too long: {LONG:,} characters fit.")],
    )
