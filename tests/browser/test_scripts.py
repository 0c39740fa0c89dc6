"""Scripts in every field, opened in Chromium by their owner and at the desk: none runs (threats T15, T16).

That no policy had to refuse one either is seen on the way: every report in the console fails the test.
"""

from __future__ import annotations

from playwright.sync_api import Dialog, Page

from portal import clock
from portal.domain import requests
from portal.vocabulary import Door
from tests.browser.conftest import OpenBrowser
from tests.browser.live import Live
from tests.browser.steps import at_the_desk, box, press, reads, sign_in
from tests.databases import writes

# From OWASP's sheet on how filters are evaded; each would run in another place: text, attribute, address, style.
SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    '<a href="jav&#x09;ascript:alert(1)" autofocus onfocus=alert(1)>x</a>',
    "javascript:alert(1)//",
    "{{constructor.constructor('alert(1)')()}}",
    "</textarea></title></style><iframe srcdoc='<script>alert(1)</script>'>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    "\u2028alert(1)\u2029<!--><script>alert(1)</script-->",
)
FIELDS = (
    "honorific", "last_name", "address_line1", "address_line2", "city", "region", "postal_code", "organization",
    "job_title", "business_type", "education", "work_experience", "certifications", "interests", "demographics",
    "membership_status", "phone", "mobile",
)  # fmt: skip
OWN = (
    "/",
    "/profile",
    "/profile/edit",
    "/choices",
    "/held",
    "/held/what-changed",
    "/history",
    "/requests",
    "/security",
)


def test_no_script_runs(live: Live, open_browser: OpenBrowser) -> None:
    fields = {name: SCRIPTS[at % len(SCRIPTS)] for at, name in enumerate(FIELDS)}
    person = live.somebody(**fields)
    with live.app.app_context(), writes():
        filed = requests.file(
            live.member(person), "question", details="\n".join(SCRIPTS), operation_id="scripts", via=Door.PAGE,
            now=clock.now(),
        )  # fmt: skip
        reference = filed.reference
    page, desk = open_browser(), open_browser()
    ran: list[str] = []

    def note(dialog: Dialog) -> None:
        ran.append(dialog.message)
        dialog.dismiss()

    for window in (page, desk):
        window.on("dialog", note)
    sign_in(page, person)
    for path in (*OWN, f"/requests/{reference}"):
        page.goto(path)
        assert_nothing_came_in(page)
    reads(page, SCRIPTS[0])
    page.goto("/profile/edit")
    box(page, "Education").fill("".join(SCRIPTS))
    box(page, "Last name").fill("")
    press(page, "Save")
    assert_nothing_came_in(page)
    colleague = live.colleague()
    at_the_desk(desk, colleague)
    for path in ("/desk", f"/desk/requests/{reference}", "/desk/changes"):
        desk.goto(path)
        assert_nothing_came_in(desk)
    desk.goto(f"/desk/requests/{reference}")
    reads(desk, SCRIPTS[0])
    desk.goto("/desk")
    box(desk, "Reference or email address").fill(person.email)
    press(desk, "Look up")
    assert_nothing_came_in(desk)
    assert ran == []


def assert_nothing_came_in(page: Page) -> None:
    """No element of theirs became one of the page."""
    strange = page.locator("iframe, math, mglyph, [onerror], [onload], [onfocus], a[href^=jav], script:not([src])")
    assert strange.count() == 0, page.url
