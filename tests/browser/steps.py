"""Test bed: what a person does, by the words on labels and buttons."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.live import Colleague, Person


def box(page: Page, label: str) -> Locator:
    """The field to type in with this label, whether or not the label adds “(optional)”."""
    return page.get_by_label(re.compile(rf"^{re.escape(label)}( \(optional\))?$"))


def press(page: Page, name: str) -> None:
    """Press the button with these words, and stay until the page it leads to is there."""
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_load_state()


def follow(page: Page, name: str) -> None:
    """Follow the link with these words, and stay until the page it leads to is there."""
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_load_state()


def unfold(page: Page, name: str) -> None:
    """Open the part of the page that is folded behind these words."""
    page.locator("summary").get_by_text(name, exact=True).click()


def turn_to(page: Page, place: str) -> None:
    """Go to one of the places that every page leads to."""
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name=place, exact=True)
    link.click()
    expect(link).to_have_attribute("aria-current", re.compile("page|true"))


def pick(page: Page, question: str, answer: str) -> None:
    """Pick an answer to a question."""
    page.get_by_role("radiogroup", name=question, exact=True).get_by_label(answer, exact=True).check()


def picked(page: Page, question: str) -> str:
    """The answer that is picked."""
    chosen = page.get_by_role("radiogroup", name=question, exact=True).get_by_role("radio", checked=True)
    return chosen.evaluate("each => each.labels[0].textContent")  # type: ignore[no-any-return]


def sees(page: Page, heading: str) -> None:
    """The page whose heading this is stands open."""
    expect(page.get_by_role("heading", level=1, name=heading, exact=True)).to_be_visible()


def reads(page: Page, text: str) -> None:
    """These words stand on the page."""
    expect(page.get_by_role("main")).to_contain_text(text)


def give(page: Page, person: Person) -> None:
    """Fill in the form that stands open and sign in."""
    box(page, "Email address").fill(person.email)
    box(page, "Password").fill(person.password)
    press(page, "Sign in")


def at_the_desk(page: Page, colleague: Colleague, path: str = "/desk") -> None:
    """Open a page of the desk: password, then the code of the app."""
    page.goto(path)
    give(page, colleague)
    sees(page, "Your code, please")
    box(page, "Code").fill(colleague.code)
    press(page, "Confirm")


def sign_in(page: Page, person: Person) -> None:
    """Sign in by the front door; the overview greets."""
    page.goto("/")
    page.get_by_role("main").get_by_role("link", name="Sign in", exact=True).click()
    give(page, person)
    sees(page, f"Hello, {person.first_name}")
