"""The style sheet as it is served says the same as the one that people read: Chromium makes the same rules of both."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page

from portal.web.static import squeezed

STYLE = (Path(__file__).parents[2] / "portal" / "static" / "portal.css").read_text(encoding="utf-8")
READ = """text => {
    // A comma in a property of our own stands as it was written.
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(text)
    return Array.from(sheet.cssRules, rule => rule.cssText.replace(/\\s+/g, " ").replaceAll(", ", ","))
}"""


def test_nothing_is_lost(page: Page) -> None:
    rules = page.evaluate(READ, STYLE)
    assert len(rules) > 300
    assert page.evaluate(READ, squeezed(STYLE)) == rules
