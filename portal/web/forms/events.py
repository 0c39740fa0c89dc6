"""The form of an event's page: the questions that an event has, each with "Same as my default" as its first answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wtforms import RadioField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import InputRequired

from portal.domain.event_choices import ASKED, AtEvent
from portal.web.forms.choices import BaseChoicesForm


class BaseEventForm(BaseChoicesForm):
    """`seen`: the newest answer that the page knew, for the event or for all."""

    def answers(self) -> dict[str, str]:
        """The answer to each question of the event."""
        return {code: self[code].data for code in ASKED}


def _question(label: str) -> RadioField:
    return RadioField(label, choices=[], validators=[InputRequired("Choose one of the answers.")])


EventForm = cast(
    type[BaseEventForm],
    type("EventForm", (BaseEventForm,), {code: _question(choice.label) for code, choice in ASKED.items()}),
)


def event_form(standing: Mapping[str, AtEvent], *, seen: int) -> BaseEventForm:
    """The form filled from what stands, or from what was sent."""
    form = EventForm(data={code: each.own for code, each in standing.items()} | {"seen": seen})
    for code, each in standing.items():
        form[code].choices = [SelectChoice(option.value, option.label) for option in each.options]
    return form
