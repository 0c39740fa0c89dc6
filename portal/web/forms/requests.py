"""The forms of a request: of which kind, something to add, and who it is."""

from __future__ import annotations

from wtforms import HiddenField, RadioField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import InputRequired

from portal.domain.kinds import FILED, RequestKind
from portal.models.member import LONG, SHORT
from portal.web.forms import AddressForm, Form, RecentForm, at_most, needed, trim


class RequestForm(RecentForm):
    """`operation_id` is random for each page: the same form sent twice makes one request.

    `about`: the reference of the earlier request that this one goes on from.
    """

    operation_id = HiddenField(validators=[InputRequired("Please open this page again."), at_most(64)])
    about = HiddenField(validators=[at_most(12)])
    controller = StringField("Another organisation", filters=[trim], validators=[at_most(SHORT)])
    details = TextAreaField("Anything to add", filters=[trim], validators=[at_most(LONG)])

    def fit(self, kind: RequestKind) -> None:
        """Leave out what this kind does not ask, and ask for the words without which it says nothing."""
        if kind.code != "portability":
            del self.controller
        if kind.wants_words:
            required = needed("Tell us in a few words: without them we cannot help you.")
            self.details.validators = [required, *self.details.validators]


class AskForm(AddressForm):
    """The same without a sign-in."""

    kind = RadioField(
        "What do you ask for",
        choices=[SelectChoice(kind.code, kind.title) for kind in FILED.values()],
        default="access",
        validators=[InputRequired("Choose what you ask for.")],
    )
    details = TextAreaField("Anything to add", filters=[trim], validators=[at_most(LONG)])


class AddForm(Form):
    """Something more to a request that is open, or the answer to a question."""

    words = TextAreaField(
        "Add something", filters=[trim], validators=[needed("Write what you would like to add."), at_most(LONG)]
    )


class DoNotWaitForm(RecentForm):
    """One button, for somebody who gave the password lately: the 72 hours are given up."""
