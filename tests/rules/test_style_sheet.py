"""Rule: the look is decided in one place, the tokens at the top of the style sheet; and the whole of it stays small."""

from __future__ import annotations

import re
from pathlib import Path

from portal.web.static import served, squeezed

STATIC = Path(__file__).parents[2] / "portal" / "static"
COLOUR = r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl|oklch)a?\("
SIZE = r"(?<![\w-])\d*\.?\d+(?:rem|pt)\b|(?<![\w.-])(?:[4-9]|\d\d+)px\b"
BUDGET = 40_000  # bytes of style and script, so that a page with both stays below 60 KB


def sheet() -> str:
    return re.sub(r"/\*.*?\*/", "", (STATIC / "portal.css").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_colours_and_sizes_are_tokens() -> None:
    """Outside `:root` no colour and no size; a hairline of 1 to 3 px, %, em and fr are no sizes of their own."""
    rules = re.sub(r":root\s*\{[^}]*\}", "", sheet())
    declared = re.findall(r"([\w-]+)\s*:\s*([^;{}]+)(?=[;}])", rules)
    strays = [f"{name}: {value.strip()}" for name, value in declared if re.search(f"{COLOUR}|{SIZE}", value)]
    assert not strays, f"name these in :root of portal.css, or use what is named there: {strays}"


def test_every_token_is_known_and_used() -> None:
    used = set(re.findall(r"var\((--[\w-]+)", sheet()))
    declared = set(re.findall(r"(--[\w-]+)\s*:", sheet()))
    assert used == declared, f"not declared: {used - declared}; used by nothing: {declared - used}"


def test_the_two_schemes_name_the_same_colours() -> None:
    """What has a colour in the light has one in the dark, but for what lies on the same ground in both."""
    light, dark = (
        set(re.findall(r"(--[\w-]+):[^;]*(?:#|rgb)", block))
        for block in re.findall(r":root\s*\{([^}]*color-scheme[^}]*)\}", sheet())
    )
    assert light - dark == {"--white", "--black", "--on-danger", "--gold-bright"}
    assert dark <= light


def test_style_and_script_are_small() -> None:
    size = sum(len(served(file)) for file in STATIC.iterdir() if file.suffix in (".css", ".js"))
    assert size < BUDGET, f"{size} bytes"


def test_what_is_served_is_squeezed() -> None:
    """Words in quotation marks stay, and so does each blank that parts something."""
    style = """
    /* The look. */
    a :hover, b > i { content: ": {";  margin: 0 calc(1px - 2px) } /* Once
    more. */
    @media (min-width: 40em) and (hover) { .x + .y { color: red; } }
    """
    assert squeezed(style) == (
        'a :hover,b>i{content:": {";margin:0 calc(1px - 2px)}@media (min-width:40em) and (hover){.x + .y{color:red;}}'
    )
    assert len(served(STATIC / "portal.css")) < len(sheet().encode())
