"""What assistive technology is told: roles and names of the main pages, from Chromium's accessibility tree.

`pytest tests/browser --golden` writes `golden/` anew; look at the difference before you commit it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from portal.tokens import sign_unsubscribe
from tests.browser.live import Live
from tests.browser.steps import press, reads, sign_in

GOLDEN = Path(__file__).parent / "golden"
# What a reader is led by: words between these are for other tests.
ROLES = "banner|navigation|main|contentinfo|heading|link|button|textbox|combobox|checkbox|radiogroup|radio|group|status"
TOLD = re.compile(rf" *- '?(?:{ROLES}|alert|table|columnheader|rowheader|img)\b.*")
# What is another one at each run.
CHANGING = (
    (re.compile(r"IM-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}"), "IM-XXXX-XXXX"),
    (re.compile(r"\b\d{1,2} [A-Z][a-z]+ \d{4}(, \d\d:\d\d UTC)?"), "1 January 2030"),
    (re.compile(r"(?<=- )'|'?:$", re.MULTILINE), ""),
)


@pytest.mark.usefixtures("published")
def test_main_pages(live: Live, page: Page, request: pytest.FixtureRequest) -> None:
    person = live.somebody()
    with live.app.app_context():
        token = sign_unsubscribe(live.member(person).subject.unsubscribe_reference, "events")
    found = {}
    for name, path in (("sign-in", "/sign-in"), ("unsubscribe", f"/unsubscribe/{token}")):
        page.goto(path)
        found[name] = told(page)
    sign_in(page, person)
    for name, path in (("overview", "/"), ("profile", "/profile"), ("choices", "/choices")):
        page.goto(path)
        found[name] = told(page)
    page.goto("/requests/new/access")
    press(page, "Send")
    reads(page, "We have your request.")
    page.reload()
    found["request"] = told(page)
    for name, tree in found.items():
        file = GOLDEN / f"{name}.yaml"
        if request.config.getoption("--golden"):
            file.write_text(tree, encoding="utf-8")
        assert tree == file.read_text(encoding="utf-8"), f"names and roles of the page {name} have changed"


def told(page: Page) -> str:
    """Roles and names of the whole page, in its order."""
    tree = "".join(f"{line}\n" for line in page.locator("body").aria_snapshot().splitlines() if TOLD.fullmatch(line))
    for what, instead in CHANGING:
        tree = what.sub(instead, tree)
    return tree
