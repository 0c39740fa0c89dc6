"""Forms of the desk. Several stand on the page of one request, so each names its own fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from wtforms import Field, HiddenField, RadioField, SelectField, StringField, TextAreaField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import InputRequired, ValidationError

from portal import clock
from portal.domain import suspensions, values
from portal.domain.erasures import HOLDS
from portal.domain.handling import BY_LETTER, EXTENSIONS, PARTLY, REFUSALS, SEEN_BY, SENT
from portal.domain.kinds import FILED, HOLE
from portal.models.member import LONG, SHORT
from portal.web.forms import Form, RecentForm, at_most, needed, trim

A_YEAR = timedelta(days=366)


def choices(words: Mapping[str, str], nothing: str = "") -> list[SelectChoice]:
    """The options of a list, by code; `nothing`: words for none of them, as the first."""
    options = {"": nothing, **words} if nothing else words
    return [SelectChoice(*each) for each in options.items()]


def no_holes(_form: Form, field: Field) -> None:
    """A validator: what a reply left open has been filled in."""
    if HOLE in (field.data or ""):
        raise ValidationError(f"Replace each {HOLE} by your own words, or delete the sentence that has it.")


def words(label: str, without: str, *more: Callable[[Form, Field], None]) -> TextAreaField:
    """A text that has to be there. `without`: the sentence where it is not; `more`: what else it has to be."""
    return TextAreaField(label, filters=[trim], validators=[needed(without), at_most(LONG), *more])


class ApproveForm(RecentForm):
    """One button, for somebody of the desk who gave the password lately."""


class HoldForm(Form):
    """Why it has to wait: one of the reasons that the person may be told."""

    reason = RadioField("Why it has to wait", choices=choices(HOLDS), default=next(iter(HOLDS)))


class SearchForm(Form):
    """One thing to look up. It is sent, so that no address ever stands in the browser's history."""

    look_up = StringField(
        "Reference or email address",
        filters=[trim],
        validators=[needed("Enter a reference, such as IM-7K3F-92QD, or an email address."), at_most(300)],
    )


class LetterForm(Form):
    """A request that came by letter, telephone, mail or in person."""

    operation_id = HiddenField(validators=[InputRequired("Please open this page again."), at_most(64)])
    kind = SelectField("What they ask for", choices=choices({code: kind.title for code, kind in FILED.items()}))
    who = StringField("Email address or member number", filters=[trim], validators=[at_most(254)])
    how = RadioField(
        "How it came", choices=choices({code: text.capitalize() for code, text in BY_LETTER.items()}), default="letter"
    )
    arrived_on = StringField("Day it arrived", filters=[trim])
    letter_words = words("What was asked", "Write down what was asked, in their words where you can.")

    def validate_arrived_on(self, field: Field) -> None:
        today = clock.society_date(clock.now())
        try:
            day = values.iso_date(field.data or "")
        except ValueError as error:
            raise ValidationError("Enter the day it arrived, such as 2026-11-30.") from error
        if day > today:
            raise ValidationError("This day is in the future.")
        if day < today - A_YEAR:
            raise ValidationError("This is more than a year ago. Look at the year again.")

    @property
    def arrived(self) -> date:
        return values.iso_date(self.text("arrived_on"))

    def validate_who(self, field: Field) -> None:
        if "@" in (field.data or ""):
            try:
                field.data = values.email(field.data)
            except ValueError as error:
                raise ValidationError(str(error)) from error


class TakeForm(Form):
    """One button. `seen`: who had it when the page was opened."""

    seen = HiddenField()


class IdentityForm(Form):
    """What we ask to know who it is."""

    identity_words = words(
        "What do you ask, and why?", "Say what is missing and why you ask. The person reads these words."
    )


class VerifiedForm(Form):
    """How we know now who it is: never a number, never a copy."""

    verified_how = RadioField("How do you know?", choices=choices(SEEN_BY), default="letter")


class ExtendForm(Form):
    """Why it takes longer."""

    extension = RadioField("Why does it take longer?", choices=choices(EXTENSIONS), default="complexity")
    extension_words = words(
        "In your words", "Say why, for this request. The person reads it at once, with the new day."
    )


class AnswerForm(Form):
    """The answer."""

    answer_words = words("Your answer", "Write the answer, or start with one of the texts above.", no_holes)
    left_out = SelectField("Is a part refused?", choices=choices(PARTLY, "No, this is everything"))


class HandOutForm(RecentForm):
    """The answer that hands out data, for somebody of the desk who gave the password lately."""

    answer_words = words("Your answer", "Write the answer, or start with one of the texts above.", no_holes)
    left_out = SelectField("Is a part refused?", choices=choices(PARTLY, "No, this is everything"))


class RefuseForm(Form):
    """Why nothing of it is done."""

    refusal = RadioField("Why?", choices=choices(REFUSALS), default="duty")
    refusal_words = words("In your words", "Say which data, why, and what you looked at. The person reads it today.")


class NoteForm(Form):
    """From staff to staff."""

    note_words = words("Note", "Write the note first.")


class SentForm(Form):
    """To whom the data went, and how; or why they could not."""

    sent_to = StringField(
        "Which organisation", filters=[trim], validators=[needed("Name the organisation."), at_most(SHORT)]
    )
    sent_outcome = RadioField("Can they take the data safely?", choices=choices(SENT), default=next(iter(SENT)))
    sent_how = words(
        "What they answered, and how it was sent", "Say what they answered, and how it was sent or why not."
    )


class SuspendForm(Form):
    """Why somebody may not use the portal for now."""

    suspension = RadioField("Why?", choices=choices(suspensions.REASONS), default=next(iter(suspensions.REASONS)))
