"""Controls drawn once: the macros of components/form.html draw each the first time, then only its value is put in.

The markup stands in the macros alone, and a form of 25 fields costs 25 joins. What has an error is drawn anew.
Templates say `{{ drawn.field(form.city, …) }}` for `{{ field(form.city, …) }}`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from flask import current_app
from markupsafe import Markup, escape
from wtforms import Field

from portal.web.forms import Control

MARK = "\0here\0"  # no text has a NUL: `access` refuses it
PICKED = ("SelectField", "CountryField")  # the value stands in many places: drawn once for each value

_drawn: dict[Hashable, tuple[str, str]] = {}


def field(f: Field | Control, **said: Any) -> Markup:
    """As the macro of this name."""
    if f.errors:
        return _macro("field")(f, **said)
    value = f.data if f.type in PICKED else None
    key = (f.id, f.name, f.type, f.label.text, f.description, value, *said.items())
    around = _drawn.get(key)
    if around is None:
        shown = f if f.type in PICKED else Control.like(f, MARK)
        around = _drawn[key] = _around(_macro("field")(shown, **said))
    return Markup(around[0] if value is not None else f"{around[0]}{escape(Control.text(f))}{around[1]}")  # noqa: S704


def radios(
    f: Field | Control, legend: str, *, hint: Markup, meanings: Mapping[str, str], inline: bool = False
) -> Markup:
    """As the macro of this name; the hint may differ each time, the choices may not."""
    if f.errors:
        return _macro("radios")(f, legend, hint=hint, meanings=meanings, inline=inline)
    key = (f.id, f.name, legend, f.data, inline, *meanings.items())
    around = _drawn.get(key)
    if around is None:
        around = _drawn[key] = _around(_macro("radios")(f, legend, hint=MARK, meanings=meanings, inline=inline))
    return Markup(f"{around[0]}{escape(hint)}{around[1]}")  # noqa: S704  the macro's markup, and what was escaped


def _around(text: Markup) -> tuple[str, str]:
    before, _, after = str(text).partition(MARK)
    return before, after


def _macro(name: str) -> Callable[..., Markup]:
    macro: Callable[..., Markup] = getattr(current_app.jinja_env.get_template("components/form.html").module, name)
    return macro
