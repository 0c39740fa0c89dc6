"""The style sheet's colours, light and dark: what is not text can be told from its ground too (WCAG 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[2] / "portal" / "static" / "portal.css").read_text(encoding="utf-8")
MAIL = (Path(__file__).parents[2] / "portal" / "templates" / "email" / "_base.html").read_text(encoding="utf-8")
LEAST = 3.0
# Edges of fields and buttons, the focus, the mark of the current place, the edge of what is wrong.
SEEN_ON = [
    *((edge, ground) for edge in ("control", "focus", "stop", "danger-edge") for ground in ("surface", "paper")),
    ("gold", "surface"),
    ("gold-bright", "band"),
    ("brand", "brand-wash"),
]


def tokens(scheme: str) -> dict[str, str]:
    """The colours of a scheme by name; dark ones stand over the light ones."""
    light, _, rest = STYLE.partition("prefers-color-scheme: dark")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", light))
    return found | (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", rest)) if scheme == "dark" else {})


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_edges_are_seen(scheme: str) -> None:
    colours = tokens(scheme)
    faint = {
        (edge, ground): round(contrast(colours[edge], colours[ground]), 2)
        for edge, ground in SEEN_ON
        if contrast(colours[edge], colours[ground]) < LEAST
    }
    assert faint == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_mails_wear_the_colours_of_pages(scheme: str) -> None:
    """A button is the brand's, and its words are read on it, as is a link on the card (WCAG 1.4.3)."""
    light, _, dark = MAIL.partition("prefers-color-scheme: dark")
    rules = dark if scheme == "dark" else light
    (ground, words), (link,), (card,) = (
        re.findall(r"(#[0-9a-f]{6})", re.findall(rf"(?m)^ *{name} \{{([^}}]*)\}}", rules)[0])[:most]
        for name, most in ((r"\.button", 2), ("a", 1), (r"\.card", 1))
    )
    colours = tokens(scheme)
    assert (ground, link) == (colours["brand"], colours["brand"])
    assert contrast(words, ground) >= 4.5
    assert contrast(link, card) >= 4.5
