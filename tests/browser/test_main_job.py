"""The main job, walked as a person walks it, in Chromium: with scripts and without (P1, P5, P6, P15, P19, P29, P32)."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from portal import clock
from portal.web.filters import day
from tests.browser.conftest import OpenBrowser
from tests.browser.live import STAFF, Live, Person, link, words
from tests.browser.steps import at_the_desk, box, follow, give, pick, picked, press, reads, sees, turn_to
from tests.people import ALICE

PASSWORD = "granite-teapot-harvest-58"
REFERENCE = re.compile(r"IM-[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}")
HOME = {"country": "DE", "address_line1": "Am Planetarium 5", "postal_code": "07743", "city": "Jena", "region": ""}
TELLING = ("first_name", "last_name", "organization", "job_title", "mobile")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_main_job(live: Live, open_browser: OpenBrowser, scripts: bool) -> None:
    page = open_browser(java_script_enabled=scripts)
    person = live.newcomer(**HOME)
    activate(live, page, person)
    page.goto("/sign-in")
    give(page, Person(person.first_name, person.last_name, person.email, PASSWORD))
    sees(page, "Hello, Alice")
    correct_the_profile(page)
    assert not allowed(live, person), "suppressed, and yet on the list of a broadcast"
    choose(page)
    reference = ask_for_deletion(live, page, person)
    work_at_the_desk(live, open_browser(java_script_enabled=scripts), reference)
    withdraw(live, page, person, reference)
    press(page, "Sign out")
    reads(page, "You are signed out.")
    page.goto("/profile")
    sees(page, "Sign in")
    stop_by_link(live, open_browser(java_script_enabled=scripts), person)


def activate(live: Live, page: Page, person: Person) -> None:
    """From the front door to a password."""
    page.goto("/")
    follow(page, "First time here? Set a password")
    box(page, "Email address").fill(person.email)
    press(page, "Send")
    sees(page, "Check your email")
    page.goto(link(live.mail(person.email, title="ctivate")))
    sees(page, "Choose your password")
    box(page, "New password").fill(PASSWORD)
    press(page, "Save")
    sees(page, "Sign in")
    reads(page, "Your password is set.")


def correct_the_profile(page: Page) -> None:
    """Member Information > Change Contact/Profile Info."""
    turn_to(page, "Profile")
    sees(page, "Member Information")
    follow(page, "Change Contact/Profile Info")
    box(page, "City").fill("Ilmenau")
    box(page, "Phone").fill("+49 3677 690")
    last = page.locator("main form").locator("input:not([type=hidden]), select, textarea").last
    expect(last).to_have_accessible_name("Suppress Broadcast Emails")
    expect(last).not_to_be_checked()
    page.get_by_label("Suppress Broadcast Emails", exact=True).check()
    press(page, "Save")
    sees(page, "Member Information")
    for said in (
        "City is now “Ilmenau”",
        "Phone is now “+49 3677 690",
        "Suppress Broadcast Emails is now “on”. It was “off”.",
    ):
        expect(page.locator(".notice.success")).to_contain_text(said)
    reads(page, "Ilmenau")
    reads(page, "Yes: we send you no broadcast email")


def choose(page: Page) -> None:
    """Who sees me, taken back; and broadcast mail wanted again after all."""
    turn_to(page, "Choices")
    assert picked(page, "Attendee list") == "Nobody"
    assert picked(page, "Suppress Broadcast Emails") == "Yes, stop them"
    pick(page, "Attendee list", "Public roster")
    press(page, "Save")
    reads(page, "Attendee list is now “Public roster”. It was “Nobody”.")
    assert picked(page, "Attendee list") == "Public roster"
    press(page, "Undo")
    reads(page, "Undone.")
    assert picked(page, "Attendee list") == "Nobody"
    pick(page, "Suppress Broadcast Emails", "No, keep sending")
    press(page, "Save")
    reads(page, "Suppress Broadcast Emails is now “No, keep sending”")


def ask_for_deletion(live: Live, page: Page, person: Person) -> str:
    """Delete my data; the reference. The sign-in is recent, so no password is asked."""
    turn_to(page, "Requests")
    follow(page, "New request")
    page.get_by_role("link", name="Delete my data", exact=True).click()
    sees(page, "Delete my data")
    expect(page.get_by_label("Password")).to_have_count(0)
    box(page, "Anything to add").fill("I have moved to another field.")
    press(page, "Send")
    reads(page, "We have your request.")
    found = REFERENCE.search(page.get_by_role("main").inner_text())
    assert found is not None
    reference = found.group()
    receipt, notice = live.mail(person.email, title=reference), live.mail(STAFF, title=reference)
    due = re.search(r"Answer due\s+(\d+ \w+ \d{4})", page.get_by_role("main").inner_text())
    assert due is not None
    assert due[1] in {day(clock.society_date(clock.now()) + timedelta(days=days)) for days in (28, 29, 30)}
    assert due[1] in words(receipt)
    assert due[1] in words(notice)
    whole = notice.as_string() + words(notice)
    for told in (
        person.email,
        "another field",
        "Ilmenau",
        HOME["address_line1"],
        *(str(ALICE[name]) for name in TELLING),
    ):
        assert told not in whole, f"the mail to staff tells {told}"
    return reference


def work_at_the_desk(live: Live, page: Page, reference: str) -> None:
    """Staff follow the link of their mail."""
    at_the_desk(page, live.colleague(), link(live.mail(STAFF, title=reference)))
    sees(page, f"Delete my data, {reference}")
    reads(page, "I have moved to another field.")
    reads(page, "Okonkwo-Lindqvist")
    turn_to(page, "Desk")
    reads(page, reference)


def withdraw(live: Live, page: Page, person: Person, reference: str) -> None:
    """Take it back with one press."""
    turn_to(page, "Overview")
    reads(page, reference)
    follow(page, "Delete my data")
    press(page, "Withdraw this request")
    reads(page, "Your request is withdrawn.")
    reads(page, "Withdrawn by you")
    assert reference in words(live.mail(person.email, title=reference))
    page.goto("/requests/new")
    expect(page.get_by_role("link", name="Delete my data", exact=True)).to_be_visible()


def stop_by_link(live: Live, page: Page, person: Person) -> None:
    """The link at the end of a broadcast, signed out."""
    (url,) = allowed(live, person)
    page.goto(url)
    sees(page, "Stop “Events”?")
    press(page, "Unsubscribe")
    sees(page, "You are unsubscribed")
    assert not allowed(live, person)
    assert allowed(live, person, "magazine"), "one topic was stopped, and others went with it"
    press(page, "Stop all broadcast email")
    sees(page, "You are unsubscribed")
    assert not allowed(live, person, "magazine")
    press(page, "Undo")
    sees(page, "Undone")
    assert page.context.cookies() == []
    assert person.email not in page.content()


def allowed(live: Live, person: Person, topic: str = "events") -> list[str]:
    """The links that `broadcasts filter` gives to this person: one, or none if they may not be mailed."""
    run = live.app.test_cli_runner()
    result = run.invoke(args=["broadcasts", "filter", "--topic", topic], input=f"email\n{person.email}\n")
    assert result.exit_code == 0, result.stderr
    return [line.split(",")[-1] for line in result.stdout.splitlines()[1:]]
