"""Test bed: looks at a page as it stands open, wide and light, narrow and dark, and collects what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}
THOROUGH = {"resultTypes": ["violations"], "preload": False, "rules": {"target-size": {"enabled": True}}}
# What another width or another scheme can change; all else was asked of the same page before.
CHANGES = ["color-contrast", "label", "link-in-text-block", "scrollable-region-focusable", "target-size"]
AGAIN = {"resultTypes": ["violations"], "preload": False, "runOnly": {"type": "rule", "values": CHANGES}}
SCRIPT = Axe().axe_script
TOO_WIDE = """() => {
    const most = document.documentElement.clientWidth
    const beyond = each => each.getBoundingClientRect().right > most + 1
    const found = [...document.body.querySelectorAll("*")].filter(beyond).slice(0, 3)
    const words = found.map(each => `${each.localName}.${each.className}`)
    return document.documentElement.scrollWidth > most ? `scrolls sideways by ${words}` : ""
}"""


class Look:
    """Looks at pages and remembers their faults, so that one run tells of all."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: list[str] = []

    def __call__(self, page: Page, state: str, *, status: int = 200) -> None:
        """Look at what stands open; `state` names it in a fault, `status` is what the server answered."""
        self.seen.append(state)
        answered = page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus")
        if answered != status:
            self.faults.append(f"{state}: {page.url} answered {answered}, not {status}")
        page.evaluate(SCRIPT)
        for variant, fault in _variants(page):
            self.faults.append(f"{state} ({page.url}), {variant}: {fault}")
        page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        page.emulate_media(color_scheme="light")


def _variants(page: Page) -> Iterator[tuple[str, str]]:
    looks = (("wide, light", WIDE, "light", THOROUGH), ("320 px, dark", NARROW, "dark", AGAIN))
    for variant, size, scheme, options in looks:
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if words := page.evaluate(TOO_WIDE):
            yield variant, words
        for violation in page.evaluate("options => axe.run(document, options)", options)["violations"]:
            yield variant, _told(violation)


def _told(violation: dict[str, Any]) -> str:
    places = [f"{' '.join(map(str, node['target']))}: {node['failureSummary']}" for node in violation["nodes"]]
    return f"{violation['id']}, {violation['help']}\n    " + "\n    ".join(places[:3]).replace("\n", "\n    ")
