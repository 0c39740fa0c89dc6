"""Without a mouse: Tab reaches every control in its order, one sees where one is, and Enter sends the form."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.live import Live
from tests.browser.steps import box, press, reads, sees, sign_in, turn_to

# Numbers what Tab should reach, in the order of the page: of a group of radio buttons, the one that is chosen.
NUMBER = """() => {
    const able = "a[href], button, input:not([type=hidden]), select, textarea, summary"
    const seen = each => each.checkVisibility() && !each.disabled
    const stops = each => each.type !== "radio" || each.checked
        || !document.querySelector(`input[name="${each.name}"]:checked`)
    const found = [...document.querySelectorAll(able)].filter(each => seen(each) && stops(each))
    found.forEach((each, number) => {
        const style = getComputedStyle(each)
        each.number = number
        each.calm = [style.outlineStyle, style.outlineWidth, style.boxShadow].join()
    })
    return found.map(each => `${each.localName} ${each.name || each.textContent.trim()}`)
}"""
# Where the focus is: the number, whether it shows, and whether it stands inside the window.
WHERE = """() => {
    const here = document.activeElement
    const style = getComputedStyle(here)
    const place = here.getBoundingClientRect()
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
    const changed = here.calm !== [style.outlineStyle, style.outlineWidth, style.boxShadow].join()
    const inside = place.bottom > 0 && place.top < innerHeight && place.width > 1 && place.height > 1
    return [here.number ?? -1, changed && (outlined || style.boxShadow !== "none"), inside]
}"""


def tab_through(page: Page) -> None:
    """Press Tab from the top of the page to its last control."""
    names: list[str] = page.evaluate(NUMBER)
    for number, name in enumerate(names):
        page.keyboard.press("Tab")
        reached, shown, inside = page.evaluate(WHERE)
        there = names[reached] if reached >= 0 else "nothing numbered"
        assert reached == number, f"Tab reached “{there}”, where “{name}” comes next"
        assert shown, f"one does not see the focus on “{name}”"
        assert inside, f"“{name}” has the focus outside the window"


def test_sign_in(live: Live, page: Page) -> None:
    person = live.somebody()
    page.goto("/sign-in")
    tab_through(page)
    box(page, "Email address").focus()
    page.keyboard.type(person.email)
    page.keyboard.press("Tab")
    page.keyboard.type(person.password)
    page.keyboard.press("Enter")
    sees(page, "Hello, Alice")


def test_profile(live: Live, page: Page) -> None:
    sign_in(page, live.somebody())
    page.goto("/profile/edit")
    tab_through(page)
    box(page, "Job title").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Retired")
    page.keyboard.press("Enter")
    reads(page, "Saved: Job title.")


def test_choices(live: Live, page: Page) -> None:
    sign_in(page, live.somebody())
    page.goto("/choices")
    tab_through(page)
    group = page.get_by_role("radiogroup", name="Attendee list", exact=True)
    group.get_by_label("Nobody", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(group.get_by_label("Other attendees", exact=True)).to_be_checked()
    page.keyboard.press("Enter")
    reads(page, "Attendee list: now “Other attendees”, before “Nobody”.")


def test_skip_link_and_errors(live: Live, page: Page) -> None:
    """The first Tab offers to skip to the content; after a refused form the keyboard stands at what is wrong."""
    sign_in(page, live.somebody())
    turn_to(page, "Profile")
    sees(page, "Member Information")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="Change Contact/Profile Info")).to_be_focused()
    page.keyboard.press("Enter")
    sees(page, "Change Contact/Profile Info")
    box(page, "First name").fill("")
    press(page, "Save")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(box(page, "First name")).to_be_focused()
