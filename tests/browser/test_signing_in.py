"""Staying signed in, coming back without the password, and a mailed link that only a press spends, in Chromium."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect
from sqlalchemy import delete, select, update

from portal import clock
from portal.extensions import db
from portal.models import ChoiceRow, SignIn
from tests.browser.conftest import OpenBrowser
from tests.browser.live import Live, link
from tests.browser.steps import box, follow, press, reads, sees, sign_in
from tests.browser.test_main_job import allowed
from tests.databases import everything, writes

NEW_PASSWORD = "walnut-orbit-saddle-36"
SESSION, KEEP = "session", "keep"


def test_kept_sign_in(live: Live, page: Page) -> None:
    """P2: the browser was closed in between; the visitor is known, but what matters asks for the password."""
    person = live.somebody()
    page.goto("/sign-in")
    box(page, "Email address").fill(person.email)
    box(page, "Password").fill(person.password)
    page.get_by_label("Keep me signed in", exact=True).check()
    press(page, "Sign in")
    sees(page, "Hello, Alice")
    page.context.clear_cookies(name=SESSION)

    page.goto("/")
    sees(page, "Hello, Alice")
    typed = "Everything since 2019, please.\nAnd who received it."
    page.goto("/requests/new/access")
    details = box(page, "Anything to add")
    details.fill(typed)
    press(page, "Send")
    expect(page.get_by_role("alert")).to_contain_text("Enter your password")
    expect(details).to_have_value(typed)
    box(page, "Password").fill("not the password at all")
    press(page, "Send")
    expect(page.get_by_role("alert")).to_contain_text("This is not your password.")
    expect(details).to_have_value(typed)
    box(page, "Password").fill(person.password)
    press(page, "Send")
    reads(page, "We have your request.")
    reads(page, "Everything since 2019, please.")
    page.goto("/requests/new/erasure")
    expect(box(page, "Password")).to_have_count(0)  # given a moment ago

    press(page, "Sign out")
    reads(page, "You are signed out.")
    assert KEEP not in {each["name"] for each in page.context.cookies()}
    page.goto("/profile")
    sees(page, "Sign in")


def test_what_was_typed_too_late_waits_for_its_writer(live: Live, page: Page) -> None:
    """WCAG 2.2.1: the sign-in ended while somebody wrote. After the next one the text is there, for them alone."""
    person, other = live.somebody(), live.somebody(first_name="Bob")
    typed = "A long question.\nWith two lines."
    sign_in(page, person)
    page.goto("/requests/new/question")
    details = page.locator("form textarea")
    for who, expected in ((other, ""), (person, typed)):
        details.fill(typed)
        with live.app.app_context(), writes():
            db.session.execute(delete(SignIn))
        press(page, "Send")
        sees(page, "Sign in")
        box(page, "Email address").fill(who.email)
        box(page, "Password").fill(who.password)
        press(page, "Sign in")
        sees(page, "Ask or suggest something")
        expect(details).to_have_value(expected)
        if who is other:
            page.context.clear_cookies()
            sign_in(page, person)
            page.goto("/requests/new/question")
    reads(page, "Here is what you had typed. It has not been sent yet.")
    press(page, "Send")
    reads(page, "We have your request.")
    page.goto("/requests/new/question")
    expect(details).to_have_value("")


def test_a_double_click_is_one_press(live: Live, page: Page) -> None:
    """The password given makes a new token: the second of two presses would come with the old one, and be refused."""
    person = live.somebody()
    presses: list[str] = []
    page.on("request", lambda sent: presses.append(sent.url) if sent.method == "POST" else None)
    page.goto("/sign-in")
    box(page, "Email address").fill(person.email)
    box(page, "Password").fill(person.password)
    page.get_by_role("button", name="Sign in", exact=True).dblclick(delay=40)
    sees(page, "Hello, Alice")
    with live.app.app_context(), writes():
        db.session.execute(update(SignIn).values(password_at=clock.now() - timedelta(minutes=9)))
    page.goto("/requests/new/access")
    box(page, "Password").fill(person.password)
    page.get_by_role("button", name="Send", exact=True).dblclick(delay=40)
    reads(page, "We have your request.")
    assert [urlsplit(each).path for each in presses] == ["/sign-in", "/requests/new/access"]


def test_lost_password(live: Live, open_browser: OpenBrowser) -> None:
    """The mailed link sets a new password, and whoever was signed in with the old one no longer is."""
    person = live.somebody()
    elsewhere, page = open_browser(), open_browser()
    sign_in(elsewhere, person)
    page.goto("/sign-in")
    follow(page, "Forgotten your password?")
    box(page, "Email address").fill(person.email)
    press(page, "Send")
    sees(page, "Check your email")
    url = link(live.mail(person.email, title="password"))
    page.goto(url)
    password = box(page, "New password")
    password.fill("too short")
    press(page, "Save")
    expect(page.get_by_role("alert")).to_contain_text("Use at least 15 characters.")
    password.fill(NEW_PASSWORD)
    press(page, "Show what I typed")
    expect(password).to_have_attribute("type", "text")
    press(page, "Save")
    reads(page, "Your password is set.")
    turn_away(elsewhere)
    page.goto(url)
    sees(page, "This link no longer works")
    page.goto("/sign-in")
    box(page, "Email address").fill(person.email)
    box(page, "Password").fill(person.password)
    press(page, "Sign in")
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    box(page, "Password").fill(NEW_PASSWORD)
    press(page, "Sign in")
    sees(page, "Hello, Alice")
    live.mail(person.email, title="new password")


def turn_away(page: Page) -> None:
    """This window's sign-in has ended."""
    page.goto("/profile")
    sees(page, "Sign in")
    expect(page.get_by_role("navigation", name="Main")).to_have_count(0)


def test_link_scanner(live: Live, open_browser: OpenBrowser) -> None:
    """P29: a mail filter opens every link in a whole browser, and people's presses still find it unspent."""
    newcomer, mover = live.newcomer(), live.somebody()
    page = open_browser()
    sign_in(page, mover)
    page.goto("/profile/email")
    new_address = f"new.{mover.email}"
    box(page, "Email address").fill(new_address)
    press(page, "Send")
    sees(page, "Member Information")
    visitor = open_browser()
    visitor.goto("/activate")
    box(visitor, "Email address").fill(newcomer.email)
    press(visitor, "Send")
    sees(visitor, "Check your email")
    activation = link(live.mail(newcomer.email, title="ctivate"))
    confirmation = link(live.mail(new_address, title="onfirm"))
    cancellation = link(live.mail(mover.email, title="address"))
    unsubscribe, *presses = (
        url for topic in ("events", "magazine", "journal") for url in allowed(live, newcomer, topic)
    )
    live.settle_mail()

    before = everything_in(live)
    for url in (activation, confirmation, cancellation, unsubscribe):
        scan(open_browser(bypass_csp=True), url)
    after = everything_in(live)
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}

    visitor.goto(activation)
    box(visitor, "New password").fill(NEW_PASSWORD)
    press(visitor, "Save")
    reads(visitor, "Your password is set.")
    visitor.goto(confirmation)
    press(visitor, "Confirm")
    reads(visitor, "Your new email address is confirmed.")
    visitor.goto(cancellation)
    press(visitor, "Confirm")
    reads(visitor, "Your old address is back.")
    visitor.goto(unsubscribe)
    press(visitor, "Unsubscribe")
    sees(visitor, "You are unsubscribed")
    ask, one_click = open_browser().context.request, {"List-Unsubscribe": "One-Click"}
    assert ask.post(presses[0], form={**one_click}).status == 200
    assert ask.post(presses[1], multipart={**one_click}).status == 200
    with live.app.app_context():
        stopped = db.session.scalars(select(ChoiceRow.code).where(ChoiceRow.subject_id == live.member(newcomer).id))
        assert sorted(stopped) == ["topic_events", "topic_journal", "topic_magazine"]
        db.session.rollback()


def scan(page: Page, url: str) -> None:
    """Look as filters do: ask for the head, prefetch, open and linger, hover, and open what the page leads to.

    The browser itself is told to fetch and to render the page ahead, as other sites may tell it.
    """
    ask = page.context.request
    assert ask.head(url).status == 200
    assert ask.get(url, headers={"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"}).status == 200
    answer = page.goto(url, wait_until="networkidle")
    assert answer is not None
    assert answer.status == 200
    with page.expect_request(lambda each: each.url == url):
        page.evaluate(
            """url => {
                const ahead = document.createElement("script")
                ahead.type = "speculationrules"
                ahead.textContent = JSON.stringify({
                    prefetch: [{urls: [url], eagerness: "immediate"}],
                    prerender: [{urls: [url + "?ahead"], eagerness: "immediate"}],
                })
                const link = document.createElement("link")
                link.rel = "prefetch"
                link.href = url
                document.head.append(ahead, link)
            }""",
            url,
        )
    page.wait_for_load_state("networkidle")
    for button in page.get_by_role("main").get_by_role("button").all():
        button.hover()
    onward = page.get_by_role("main").get_by_role("link")
    for href in onward.evaluate_all("links => links.map(each => each.href).filter(each => each.startsWith('http'))"):
        assert ask.get(href).ok


def everything_in(live: Live) -> dict[str, list[str]]:
    """Every row that a page could write; how far the journals are taken in is the worker's, at any moment."""
    with live.app.app_context():
        rows = everything()
    return {name: rows for name, rows in rows.items() if name not in ("journal_mark", "limit_counter")}
