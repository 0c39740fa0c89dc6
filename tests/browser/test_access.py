"""A request to see one's data, from the question to the kept answer, as member, stranger, desk and mailbox walk it."""

from __future__ import annotations

import json
import re
import zipfile
from datetime import timedelta

from playwright.sync_api import Page, expect
from sqlalchemy import update

from portal import clock
from portal.domain.kinds import HOLE
from portal.extensions import db
from portal.models import SignIn
from portal.purposes import HOLDINGS, RECEIVERS
from tests import databases
from tests.browser.conftest import OpenBrowser
from tests.browser.live import STAFF, Colleague, Live, Person, link, words
from tests.browser.steps import at_the_desk, box, follow, give, press, reads, sees, sign_in, turn_to, unfold

ASKED = [holding.name for code, holding in HOLDINGS.items() if holding.asked and code != RECEIVERS]
WHY_LONGER = "Two of those outside answer by post."
ONLY_HERE = "The library has one loan of 2019."


def test_access(live: Live, open_browser: OpenBrowser) -> None:
    """P15, P27: asked, received, taken, extended, collected, handed out, read, fetched, and still there next time."""
    person, colleague = live.somebody(), live.colleague(set_up=False)
    page, desk = (open_browser(java_script_enabled=False) for _ in range(2))
    sign_in(page, person)
    reference = ask(page)
    receipt = live.mail(person.email, title=f"received your request {reference}")
    due = due_day(words(receipt))
    page.goto(link(receipt))
    reads(page, due)

    news = live.mail(STAFF, title=reference)
    assert due in news["Subject"]
    assert [each.get_filename() for each in news.iter_attachments()] == ["due.ics"]
    assert person.last_name not in news.as_string()
    desk.goto(link(news))
    give(desk, colleague)
    codes = set_up(desk)
    sees(desk, f"See my data, {reference}")
    press(desk, "Take it")
    reads(desk, "You have this request.")
    assert reference in live.mail(colleague.email, title="is yours")["Subject"]
    unfold(desk, "Extend")
    box(desk, "In your words").locator("visible=true").fill(WHY_LONGER)
    press(desk, "Extend")
    reads(desk, "Extended.")
    longer = live.mail(person.email, title="need more time")
    assert WHY_LONGER in words(longer)
    page.goto(link(longer))
    reads(page, WHY_LONGER)
    reads(page, due_day(words(longer)))

    hand_out(live, desk, colleague)
    answer = live.mail(person.email, title="Our answer")
    assert ONLY_HERE not in words(answer)
    page.goto(link(answer))
    reads(page, ONLY_HERE)
    reads(page, "Closed")
    page.locator("blockquote a[href='/held']").click()
    sees(page, "What we hold about you")
    follow(page, "Download everything (zip)")
    sees(page, "Your password, please")
    box(page, "Password").fill(person.password)
    press(page, "Confirm")
    sees(page, "What we hold about you")
    with page.expect_download() as waiting:
        follow(page, "Download everything (zip)")
    with zipfile.ZipFile(waiting.value.path()) as bundle:
        items = {each["name"]: each["value"] for each in json.loads(bundle.read("data.json"))["items"]}
    assert items["member.email"] == person.email
    assert ONLY_HERE in json.dumps(items)

    press(page, "Sign out")
    page.goto(link(answer))
    give(page, person)
    reads(page, ONLY_HERE)
    press(desk, "Sign out")
    desk.goto("/desk")
    give(desk, colleague)
    sees(desk, "Your code, please")
    box(desk, "Code").fill(codes[3])
    press(desk, "Confirm")
    sees(desk, "Desk")
    expect(desk.get_by_role("link", name=reference)).to_have_count(0)
    box(desk, "Reference or email address").fill(reference)
    press(desk, "Look up")
    follow(desk, reference)
    reads(desk, ONLY_HERE)
    assert "9" in words(live.mail(colleague.email, title="recovery code"))


def test_access_of_a_stranger(live: Live, open_browser: OpenBrowser) -> None:
    """P25, T1, T32: without an account; nothing counts before the mailbox says so, and the answer comes by mail."""
    stranger = "zoe@elsewhere.example.org"
    page, desk = (open_browser(java_script_enabled=False) for _ in range(2))
    page.goto("/ask")
    box(page, "Email address").fill(stranger)
    box(page, "Anything to add").fill("I was at a workshop once.")
    press(page, "Send")
    sees(page, "Check your email")
    first = live.mail(stranger, title="Confirm your request")
    live.settle_mail()
    told = len(live.mails(STAFF))
    page.goto(link(first))
    sees(page, "Confirm your request")
    live.settle_mail()
    assert len(live.mails(STAFF)) == told
    press(page, "Confirm")
    reads(page, "We have your request")
    receipt = live.mail(stranger, title="received your request")
    page.goto(link(receipt))
    reference = page.get_by_role("heading", level=1).inner_text().removeprefix("Request ")
    assert "workshop" not in page.content()

    at_the_desk(desk, live.colleague(), link(live.mail(STAFF, title=reference)))
    reads(desk, stranger)
    press(desk, "Take it")
    follow(desk, "We hold nothing")
    press(desk, "Hand out")
    reads(desk, "Handed out.")
    assert "Nobody holds anything about you" in words(live.mail(stranger, title="Our answer"))
    page.reload()
    reads(page, "Closed")
    page.goto(link(first))
    sees(page, "This link no longer works")
    follow(page, "See how far it is")
    sees(page, f"Request {reference}")


def ask(page: Page) -> str:
    """Ask to see everything, from the page of all kinds; the reference."""
    turn_to(page, "Requests")
    page.get_by_role("main").get_by_role("link", name="New request", exact=True).click()
    follow(page, "See my data")
    box(page, "Anything to add").fill("Everything since 2011.")
    press(page, "Send")
    reads(page, "We have your request.")
    reads(page, "You had just given your password")
    return page.url.rpartition("/")[2]


def due_day(text: str) -> str:
    """The day in the facts of a mail."""
    found = re.search(r"Answer due:?\s+(\d+ \w+ \d{4})", text)
    assert found is not None, text
    return found.group(1)


def set_up(page: Page) -> list[str]:
    """Put the seed into an app, print the codes, show that it works; the codes."""
    sees(page, "Set up the second step")
    expect(page.get_by_role("img", name="square code")).to_be_visible()
    codes = page.locator(".codes code").all_inner_texts()
    assert len(set(codes)) == 10
    app = Colleague("", "", "", "", seed=page.locator("code.seed").inner_text())
    box(page, "Code").fill("000 000")
    press(page, "Save")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert page.locator(".codes code").all_inner_texts() == codes
    box(page, "Code").fill(app.code)
    press(page, "Save")
    return codes


def hand_out(live: Live, page: Page, colleague: Person) -> None:
    """Not before all outside have answered; then with the password, which was given long ago."""
    reads(page, "Not everybody outside has answered.")
    unfold(page, "Hand out a part before that")
    follow(page, "Everything is ready")
    press(page, "Hand out")
    expect(page.get_by_role("alert")).to_contain_text("your own words")
    reply = box(page, "Your answer")
    reply.fill(reply.input_value().replace(HOLE, ONLY_HERE))
    press(page, "Hand out")
    reads(page, "Nothing was changed")
    for name in ASKED:
        press(page, f"Done {name}")
        reads(page, "Noted as done.")
    with live.app.app_context(), databases.writes():
        db.session.execute(update(SignIn).values(password_at=clock.now() - timedelta(minutes=10)))
    follow(page, "Everything is ready")
    reply.fill(reply.input_value().replace(HOLE, ONLY_HERE))
    press(page, "Hand out")
    expect(page.get_by_role("alert")).to_contain_text("password")
    expect(reply).to_have_value(re.compile(re.escape(ONLY_HERE)))
    box(page, "Password").fill(colleague.password)
    press(page, "Hand out")
    reads(page, "Handed out.")
