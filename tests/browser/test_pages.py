"""Every page in every state: axe finds nothing wrong, wide and light, at 320 px and dark; none scrolls sideways."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Page
from sqlalchemy import update

from portal import clock
from portal.domain import choices, notices
from portal.extensions import db
from portal.models import SignIn
from portal.purposes import SUPPRESS
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests import databases
from tests.browser.conftest import OpenBrowser
from tests.browser.live import DESK, Live, Person, link
from tests.browser.look import Look
from tests.browser.steps import box, follow, give, pick, press, reads, sees, sign_in, turn_to

NOTICE = """# What we do with your data

Plain words, and **one** [link](https://example.org/policy).

| What | Why |
| --- | --- |
| Name | To know you |

- one
- two

## Longwordslongwordslongwordslongwordslongwordslongwords
"""
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


@pytest.fixture
def look() -> Look:
    return Look()


@pytest.fixture(autouse=True, scope="module")
def published(live: Live) -> None:
    """A privacy notice in two versions."""
    now = clock.now()
    with live.app.app_context(), databases.writes():
        for change in ("wording", "new-processing"):
            notices.publish(NOTICE, change=change, effective_on=clock.society_date(now), now=now - timedelta(days=9))


def test_looking_finds_what_is_wrong(page: Page, look: Look) -> None:
    page.goto("/cookies")
    page.locator("main").evaluate(
        """main => {
            main.append(document.createElement("input"))
            main.querySelector("h1").style.color = "#222"
            main.querySelector("table").style.width = "40rem"
        }"""
    )
    look(page, "spoilt", status=404)
    found = "\n".join(look.faults)
    for fault in (
        "not 404",
        "wide, light: label,",
        "320 px, dark: label,",
        "320 px, dark: color-contrast,",
        "320 px, dark: scrolls sideways by",
    ):
        assert fault in found, found
    assert "wide, light: scrolls" not in found


def test_signed_out(live: Live, page: Page, look: Look) -> None:
    person = live.newcomer()
    for path in ("/", "/notice", "/notice/1", "/cookies", "/link-sent", "/unsubscribe/link-sent"):
        page.goto(path)
        look(page, path)
    for path, button in (
        ("/sign-in", "Sign in"),
        ("/activate", "Send"),
        ("/forgot-password", "Send"),
        ("/unsubscribe", "Send"),
    ):
        page.goto(path)
        look(page, path)
        press(page, button)
        look(page, f"{path} sent empty", status=422)
    page.goto("/sign-in")
    give(page, person)
    look(page, "/sign-in with a wrong password", status=422)
    page.goto("/activate")
    box(page, "Email address").fill(person.email)
    press(page, "Send")
    url = link(live.mail(person.email, title="ctivate"))
    page.goto(url)
    look(page, "choose a password")
    box(page, "New password").fill("short")
    press(page, "Save")
    look(page, "choose a password, too short", status=422)
    box(page, "New password").fill(person.password)
    press(page, "Save")
    look(page, "/sign-in, password set")
    page.goto(url)
    look(page, "a used link", status=410)
    assert not look.faults, "\n".join(look.faults)


def test_errors(live: Live, page: Page, look: Look) -> None:
    for path, status in (("/nothing", 404), ("/unsubscribe/x", 404), ("/sign-out", 405)):
        page.goto(path)
        look(page, f"{path}, {status}", status=status)
    page.goto("/activate")
    box(page, "Email address").fill("nobody@example.org")
    page.context.clear_cookies()
    press(page, "Send")
    look(page, "a form open too long", status=400)
    for _ in range(6):
        page.goto("/forgot-password")
        box(page, "Email address").fill("impatient@example.org")
        press(page, "Send")
    look(page, "too many tries", status=429)
    assert not look.faults, "\n".join(look.faults)


def test_unsubscribe_links(live: Live, page: Page, look: Look) -> None:
    person = live.somebody()
    with live.app.app_context():
        reference = live.member(person).subject.unsubscribe_reference
        topic, everything = sign_unsubscribe(reference, "events"), sign_unsubscribe(reference)
    page.goto(f"/unsubscribe/{topic}")
    look(page, "unsubscribe from a topic?")
    press(page, "Unsubscribe")
    look(page, "unsubscribed from a topic")
    press(page, "Undo")
    look(page, "a topic taken back")
    page.goto(f"/unsubscribe/{everything}")
    look(page, "unsubscribe from everything?")
    press(page, "Unsubscribe")
    look(page, "unsubscribed from everything")
    press(page, "Undo")
    look(page, "everything taken back")
    page.goto(f"/unsubscribe/{topic}")
    press(page, "Stop all broadcast email")
    look(page, "stopped all by a topic's link")
    press(page, "Undo")
    look(page, "stopped all by a topic's link, taken back")
    page.goto(f"/unsubscribe/{everything}")
    press(page, "Unsubscribe")
    with live.app.app_context(), databases.writes():
        subject = live.member(person).subject
        choices.change(subject, SUPPRESS, to="no", via=Door.PAGE, now=clock.now())
    press(page, "Undo")
    sees(page, "Nothing to take back here")
    look(page, "too late to take back")
    assert not look.faults, "\n".join(look.faults)


def test_member(live: Live, page: Page, look: Look) -> None:
    person = live.somebody(organization=LONG)
    sign_in(page, person)
    look(page, "overview")
    for path in (
        "/profile",
        "/profile/edit",
        "/profile/email",
        "/choices",
        "/requests",
        "/requests/new",
        "/requests/new/access",
        "/requests/new/erasure",
        "/security",
        "/security/password",
        "/security/everywhere",
    ):
        page.goto(path)
        look(page, path)
    page.goto("/security")
    page.get_by_role("link", name="End this one").click()
    look(page, "end one sign-in")
    for path, status in (("/nothing", 404), ("/desk", 403)):
        page.goto(path)
        look(page, f"{path} as a member", status=status)
    press(page, "Sign out")
    look(page, "signed out")
    assert not look.faults, "\n".join(look.faults)


def test_profile_sent(live: Live, page: Page, look: Look) -> None:
    sign_in(page, live.somebody(organization=LONG))
    other = page.context.new_page()
    page.goto("/profile/edit")
    other.goto("/profile/edit")
    box(page, "First name").fill("")
    box(page, "Phone").fill("12")
    box(page, "Birth date").fill("yesterday")
    box(page, "Education").fill("x" * 4001)
    press(page, "Save")
    look(page, "/profile/edit with errors", status=422)
    page.goto("/profile/edit")
    box(page, "Job title").fill(LONG)
    press(page, "Save")
    look(page, "/profile, saved")
    box(other, "Job title").fill("Something else")
    press(other, "Save")
    look(other, "/profile/edit, saved elsewhere in the meantime", status=422)
    assert not look.faults, "\n".join(look.faults)


def test_address_and_password_sent(live: Live, page: Page, look: Look) -> None:
    person = live.somebody()
    sign_in(page, person)
    page.goto("/profile/email")
    box(page, "Email address").fill("nonsense")
    press(page, "Send")
    look(page, "/profile/email with an error", status=422)
    box(page, "Email address").fill(f"new.{person.email}")
    press(page, "Send")
    for path in ("/profile", "/", "/profile/email"):
        page.goto(path)
        look(page, f"{path}, an address waits")
    for title, mail in (("onfirm", f"new.{person.email}"), ("address", person.email)):
        page.goto(link(live.mail(mail, title=title)))
        look(page, f"the link of a mail, {title}")
    page.goto("/security/password")
    box(page, "New password").fill("short")
    press(page, "Save")
    look(page, "/security/password with an error", status=422)
    assert not look.faults, "\n".join(look.faults)


def test_choices_sent(live: Live, page: Page, look: Look) -> None:
    sign_in(page, live.somebody())
    other = page.context.new_page()
    page.goto("/choices")
    other.goto("/choices")
    pick(page, "Attendee list", "Public roster")
    pick(page, "Sponsor sharing", "Yes")
    press(page, "Save")
    look(page, "/choices, saved")
    pick(other, "Attendee list", "Other attendees")
    press(other, "Save")
    look(other, "/choices, saved elsewhere in the meantime", status=422)
    press(page, "Undo")
    look(page, "/choices, taken back")
    assert not look.faults, "\n".join(look.faults)


def test_requests_sent(live: Live, page: Page, look: Look) -> None:
    person = live.somebody()
    sign_in(page, person)
    forget_the_password(live)
    page.goto("/profile/email")
    sees(page, "Your password, please")
    look(page, "/sign-in/again")
    press(page, "Confirm")
    look(page, "/sign-in/again sent empty", status=422)
    page.goto("/requests/new/access")
    look(page, "/requests/new/access, not recent")
    box(page, "Anything to add").fill(LONG)
    press(page, "Send")
    look(page, "/requests/new/access without the password", status=422)
    box(page, "Password").fill(person.password)
    press(page, "Send")
    look(page, "a request, sent")
    page.goto("/requests/new")
    look(page, "/requests/new, one open")
    turn_to(page, "Requests")
    look(page, "/requests, one open")
    turn_to(page, "Overview")
    look(page, "overview, one open")
    page.get_by_role("main").get_by_role("link", name="See my data").click()
    press(page, "Withdraw this request")
    look(page, "a request, withdrawn")
    assert not look.faults, "\n".join(look.faults)


def forget_the_password(live: Live) -> None:
    """Every sign-in is ten minutes old."""
    with live.app.app_context(), databases.writes():
        db.session.execute(update(SignIn).values(password_at=clock.now() - timedelta(minutes=10)))


def test_desk(live: Live, open_browser: OpenBrowser, look: Look) -> None:
    person = live.somebody(organization=LONG)
    member, page = open_browser(), open_browser()
    page.goto("/desk")
    give(page, Person("", "", *DESK))
    sees(page, "Desk")
    sign_in(member, person)
    member.goto("/requests/new/erasure")
    box(member, "Anything to add").fill(LONG)
    press(member, "Send")
    reads(member, "We have your request.")
    reference = member.url.rpartition("/")[2]
    turn_to(page, "Desk")
    look(page, "/desk, one open")
    follow(page, reference)
    look(page, "a request at the desk")
    for place in page.get_by_role("navigation", name="Main").get_by_role("link").all_inner_texts():
        turn_to(page, place)
        look(page, f"{place}, as desk")
    page.goto("/desk/requests/IM-2222-2222")
    look(page, "no such request", status=404)
    page.goto("/profile")
    look(page, "/profile as desk", status=403)
    assert not look.faults, "\n".join(look.faults)
