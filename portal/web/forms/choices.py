"""The form of the choices page: one question a field, made from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wtforms import IntegerField, RadioField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]
from wtforms.validators import InputRequired
from wtforms.widgets import HiddenInput

from portal.domain.choices import Standing
from portal.purposes import CHOICES, Choice
from portal.web.forms import Form, Unsent


class BaseChoicesForm(Form):
    """`seen`: the newest answer that the page knew, so that an older page overwrites nothing."""

    seen = IntegerField(widget=HiddenInput())

    def take_up(self, newest: int) -> None:
        """Go on from the answers as they stand now; what was picked on this page stays picked."""
        self.seen.data = newest
        self.seen.raw_data = [str(newest)]

    def answers(self) -> dict[str, str]:
        """The answer to each question."""
        return {code: self[code].data for code in CHOICES}


class UndoForm(Form):
    """One button. `shown`: the newest answer that its page knew."""

    shown = IntegerField(widget=HiddenInput())


def _question(choice: Choice) -> RadioField:
    return RadioField(
        choice.label,
        choices=[SelectChoice(option.value, option.label) for option in choice.options],
        validators=[InputRequired("Choose one of the answers.")],
    )


ChoicesForm = cast(
    type[BaseChoicesForm],
    type("ChoicesForm", (BaseChoicesForm,), {code: _question(choice) for code, choice in CHOICES.items()}),
)


def choices_form(standing: Mapping[str, Standing], *, seen: int) -> BaseChoicesForm:
    """The form filled from what stands, or from what was sent."""
    return ChoicesForm(data=_shown(standing, seen))


def choices_unsent(standing: Mapping[str, Standing], *, seen: int) -> Unsent:
    """The same, only to be shown."""
    return Unsent(ChoicesForm, _shown(standing, seen))


def _shown(standing: Mapping[str, Standing], seen: int) -> dict[str, str | int]:
    return {code: each.value for code, each in standing.items()} | {"seen": seen}
