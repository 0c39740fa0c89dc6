"""Test bed: looks at a page as it stands open, in the ways in which people read, and collects what is wrong.

Wide and light, where axe asks all it knows; at 320 px and dark; with forced colours; with letters twice as large; with
the spacing of WCAG 1.4.12. Nowhere does a page scroll sideways or cut words off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDE, PHONE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 667}, {"width": 320, "height": 640}
SCRIPT = Axe().axe_script
BESIDES = {rule: {"enabled": True} for rule in ("target-size", "label-content-name-mismatch")}
THOROUGH = {"resultTypes": ["violations"], "preload": False, "rules": BESIDES}
# What another width can change, and what other colours can; all else was asked of the same page before.
BY_WIDTH = ("label", "link-in-text-block", "scrollable-region-focusable", "target-size")
BY_COLOUR = ("color-contrast",)
AS_LARGE = {"standard": 32, "fixed": 26}, {"standard": 16, "fixed": 13}  # what the reader set, and what is usual
SPACED = """* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
p { margin-bottom: 2em !important }"""
SPACE = """style => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(style)
    document.adoptedStyleSheets = style ? [sheet] : []
}"""
# Scrolls sideways; or a box hides what does not fit into it.
CUT_OFF = """() => {
    const most = document.documentElement.clientWidth
    const name = each => `${each.localName}.${each.className} “${each.textContent.trim().slice(0, 40)}”`
    const all = [...document.body.querySelectorAll("*")]
    const found = []
    if (document.documentElement.scrollWidth > most) {
        const beyond = all.filter(each => each.getBoundingClientRect().right > most + 1)
        found.push(`scrolls sideways by ${beyond.slice(0, 3).map(name)}`)
    }
    for (const each of all) {
        const fits = each.scrollWidth <= each.clientWidth + 1 && each.scrollHeight <= each.clientHeight + 1
        if (each.clientWidth < 2 || fits || each.matches("input, select, svg, svg *")) continue
        const {overflowX, overflowY} = getComputedStyle(each)
        const hides = [overflowX, overflowY].some(way => way === "hidden" || way === "clip")
        if (hides) found.push(`cuts off ${name(each)}`)
    }
    return found
}"""
# What a finger has to hit: 24 px at least (2.5.8), 44 px where it decides something (2.5.5). A circle with words beside
# it is as large as its whole option; links within sentences are as large as their words (axe looks at those).
TOO_SMALL = """() => [...document.querySelectorAll("button, .button, input, select, textarea, summary")]
    .filter(each => each.checkVisibility() && each.type !== "hidden")
    .map(each => [each, (each.closest(".option") ?? each).getBoundingClientRect()])
    .filter(([each, {width, height}]) => Math.min(width, height) < (each.matches(".main, .danger") ? 43.5 : 23.5))
    .map(([each, {width, height}]) => `${each.localName} “${each.textContent.trim()}” is ${width} by ${height}`)"""
# Where backgrounds are taken away, a button or a field is known by its edge alone, and a picture by its lines.
WITHOUT_EDGE = """() => [...document.querySelectorAll("button, .button, input, select, textarea, .status, .icon")]
    .filter(each => each.checkVisibility() && !["hidden", "checkbox", "radio"].includes(each.type))
    .filter(each => {
        const {stroke, borderTopColor, borderTopStyle, borderTopWidth} = getComputedStyle(each)
        const icon = each.matches(".icon")
        const edge = icon || borderTopStyle !== "none" && parseFloat(borderTopWidth) >= 1
        return !edge || (icon ? stroke : borderTopColor) === getComputedStyle(document.body).backgroundColor
    }).map(each => `${each.localName}.${each.className} has no edge`)"""
# Colours follow from tags, classes and states, not from words: one element of each such path is enough.
PATHS = """() => {
    const found = new Set()
    const telling = ({name}) => /^(aria-(invalid|current)|role|type|open|disabled|checked)$/.test(name)
    const told = each => [each.localName, each.className]
        .concat([...each.attributes].filter(telling).map(({name, value}) => `${name}=${value}`)).join(".")
    const walk = (each, path) => {
        found.add(path)
        for (const child of each.children) walk(child, `${path}>${told(child)}`)
    }
    walk(document.body, "")
    return [...found]
}"""


class Look:
    """Looks at pages and remembers their faults, so that one run tells of all."""

    met: dict[str, set[str]] = {}  # noqa: RUF012  what was seen in which colours, by any test of this process

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: list[str] = []

    def __call__(self, page: Page, state: str, *, status: int = 200) -> None:
        """Look at what stands open; `state` names it in a fault, `status` is what the server answered."""
        self.seen.append(state)
        page.wait_for_load_state()  # a click waits for the answer's head alone: its document may still be empty
        answered = page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus")
        if answered != status:
            self.faults.append(f"{state}: {page.url} answered {answered}, not {status}")
        page.evaluate(SCRIPT)
        for variant, fault in self._variants(page):
            self.faults.append(f"{state} ({page.url}), {variant}: {fault}")

    def _variants(self, page: Page) -> Iterator[tuple[str, str]]:
        yield from _named("wide, light", _axe(page, THOROUGH), page.evaluate(CUT_OFF))
        page.emulate_media(forced_colors="active")
        yield from _named("forced colours", self._in_colours(page, "forced"), page.evaluate(WITHOUT_EDGE))
        page.emulate_media(forced_colors="none")
        with _letters_twice_as_large(page):
            yield from _named("200 % text, wide", page.evaluate(CUT_OFF))
            page.set_viewport_size(PHONE)  # type: ignore[arg-type]
            yield from _named("200 % text, 375 px", page.evaluate(CUT_OFF))
        page.set_viewport_size(NARROW)  # type: ignore[arg-type]
        page.evaluate(SPACE, SPACED)
        yield from _named("320 px, text spaced out", page.evaluate(CUT_OFF))
        page.evaluate(SPACE, "")
        page.emulate_media(color_scheme="dark")
        yield from _named("320 px, dark", page.evaluate(CUT_OFF), page.evaluate(TOO_SMALL))
        yield from _named("320 px, dark", self._in_colours(page, "dark", BY_WIDTH))
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")

    def _in_colours(self, page: Page, scheme: str, besides: tuple[str, ...] = ()) -> list[str]:
        """Contrast in other colours, where anything stands on the page that was not yet seen in them."""
        met, there = self.met.setdefault(scheme, set()), set(page.evaluate(PATHS))
        rules = besides + (() if there <= met else BY_COLOUR)
        faults = _axe(page, _only(rules)) if rules else []
        if not any(fault.startswith(BY_COLOUR) for fault in faults):
            met |= there
        return faults


def _only(rules: tuple[str, ...]) -> dict[str, Any]:
    return {"resultTypes": ["violations"], "preload": False, "runOnly": {"type": "rule", "values": list(rules)}}


def _axe(page: Page, options: dict[str, Any]) -> list[str]:
    found = page.evaluate("async options => (await axe.run(document, options)).violations", options)
    return [_told(violation) for violation in found]


@contextmanager
def _letters_twice_as_large(page: Page) -> Iterator[None]:
    """As in the browser's own settings: style that speaks of `em` widths hears of it too."""
    larger, usual = AS_LARGE
    chromium = page.context.new_cdp_session(page)
    chromium.send("Page.setFontSizes", {"fontSizes": larger})
    try:
        yield
    finally:
        chromium.send("Page.setFontSizes", {"fontSizes": usual})
        chromium.detach()


def _named(variant: str, *faults: list[str]) -> Iterator[tuple[str, str]]:
    for some in faults:
        for fault in some:
            yield variant, fault


def _told(violation: dict[str, Any]) -> str:
    places = [f"{' '.join(map(str, node['target']))}: {node['failureSummary']}" for node in violation["nodes"]]
    return f"{violation['id']}, {violation['help']}\n    " + "\n    ".join(places[:3]).replace("\n", "\n    ")
