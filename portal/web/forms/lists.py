"""Forms of the desk's lists and of disclosures outside."""

from __future__ import annotations

import secrets
from datetime import date

from wtforms import Field, HiddenField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import AnyOf, InputRequired, ValidationError

from portal import clock
from portal.domain import lists, values
from portal.domain.disclosures import FIELDS, MOST_UNTOLD, OUTSIDE
from portal.models import Event
from portal.models.member import SHORT
from portal.purposes import AUDIENCES
from portal.web.forms import Form, RecentForm, at_most, needed, trim
from portal.web.forms.desk import choices

NO_EVENT = "No event: the career centre"


class ListForm(RecentForm):
    """Which list, for whom. The password is asked for where the list leaves, not for a look before."""

    operation_id = HiddenField(validators=[InputRequired("Please open this page again."), at_most(64)])
    audience = RadioField(
        "For whom",
        choices=choices({code: each.name for code, each in AUDIENCES.items()}),
        validators=[AnyOf(list(AUDIENCES), message="Choose for whom the list is.")],
        validate_choice=False,
    )
    event = SelectField("Event", validate_choice=False)
    recipient = StringField(
        "Who receives it",
        filters=[trim],
        validators=[needed("Name the organisation that receives the list."), at_most(SHORT)],
    )

    def offer(self, events: list[Event], *, look_only: bool) -> None:
        """The events to choose from. `look_only`: nothing leaves, so no password."""
        self.known = {each.code: each for each in events}
        self.event.choices = choices({each.code: each.name for each in events}, NO_EVENT)
        if not self.operation_id.data:
            self.operation_id.data = secrets.token_urlsafe(24)
        if look_only and self.asks_password:
            del self.password

    def validate_event(self, field: Field) -> None:
        audience = AUDIENCES.get(self.audience.data or "")
        event = self.known.get(field.data)
        if field.data and event is None:
            raise ValidationError("Choose an event that is in the list.")
        if audience is not None and audience.of_event is (not field.data):
            raise ValidationError(
                "Choose the event." if audience.of_event else f"The list for {audience.name.lower()} has no event."
            )
        if audience is not None and event is not None and not lists.is_of(audience, event):
            raise ValidationError(lists.NO_EXHIBITION)


class OneListForm(RecentForm):
    """One button that approves or releases, for somebody who gave the password lately."""


class RecallForm(Form):
    """One button. `seen`: stands for the lines that its message names."""

    seen = HiddenField(validators=[InputRequired("Please open this page again."), at_most(64)])


UNTOLD = {"no": "Yes, at once", "yes": "Not yet: a law or a court forbids it"}


class UntoldForm(Form):
    """Until when, and why, a person may not be told."""

    untold_until = StringField("Not before", filters=[trim])
    untold_why = StringField("Which law or order", filters=[trim], validators=[at_most(SHORT)])

    @property
    def until(self) -> date:
        return values.iso_date(self.text("untold_until"))

    def validate_untold_until(self, field: Field) -> None:
        if not self.is_untold():
            return
        today = clock.society_date(clock.now())
        try:
            day = values.iso_date(field.data or "")
        except ValueError as error:
            raise ValidationError("Enter the day, such as 2026-11-30.") from error
        if not today < day <= today + MOST_UNTOLD:
            raise ValidationError("Choose a day within the next year: it is looked at again then.")

    def validate_untold_why(self, field: Field) -> None:
        if self.is_untold() and not field.data:
            raise ValidationError("Name the law or the order. The person reads it afterwards.")

    def is_untold(self) -> bool:
        """Whether the two fields count."""
        return True


class DisclosureForm(UntoldForm):
    """What left the society, and not by a list."""

    who = StringField(
        "Email address or member number of the person",
        filters=[trim],
        validators=[needed("Enter whose details they were."), at_most(254)],
    )
    to_whom = RadioField("To whom", choices=choices(OUTSIDE), default=next(iter(OUTSIDE)))
    recipient = StringField(
        "Name of the recipient",
        filters=[trim],
        validators=[needed("Name who received them."), at_most(SHORT)],
    )
    fields = SelectMultipleField("Which details", choices=choices(FIELDS))
    why = StringField(
        "For what",
        filters=[trim],
        validators=[needed("Say for what, in a few words. The person reads them."), at_most(SHORT)],
    )
    left_on = StringField("Day it left", filters=[trim])
    told = RadioField("May the person be told?", choices=choices(UNTOLD), default="no")

    def is_untold(self) -> bool:
        return bool(self.told.data == "yes")

    def validate_fields(self, field: Field) -> None:
        if not field.data:
            raise ValidationError("Choose at least one.")

    @property
    def day(self) -> date:
        return values.iso_date(self.text("left_on"))

    def validate_left_on(self, field: Field) -> None:
        try:
            day = values.iso_date(field.data or "")
        except ValueError as error:
            raise ValidationError("Enter the day it left, such as 2026-11-30.") from error
        if day > clock.society_date(clock.now()):
            raise ValidationError("This day is in the future.")
