"""An erasure from the plan to the last tick, as member, desk and mailbox walk it, in Chromium (P15)."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from sqlalchemy import select

from portal.extensions import db
from portal.models import Member
from portal.purposes import HOLDINGS, RECEIVERS
from tests.browser.conftest import OpenBrowser
from tests.browser.live import Live, link, words
from tests.browser.steps import at_the_desk, box, follow, give, press, reads, sees, sign_in

ASKED = [holding.name for code, holding in HOLDINGS.items() if holding.asked and code != RECEIVERS]


def test_erasure(live: Live, open_browser: OpenBrowser) -> None:
    """P15: seen before it is sent, stopped once by mail, not waited for, approved, done, told, ticked, and over."""
    person = live.somebody()
    page, desk, mailbox = (open_browser(java_script_enabled=False) for _ in range(3))
    sign_in(page, person)
    ask(page)
    mailbox.goto(link(live.mail(person.email, title="received your request")))
    sees(mailbox, "Keep your data")
    press(mailbox, "Confirm")
    sees(mailbox, "Your data stays")
    page.reload()
    reads(page, "Withdrawn by you")

    reference = ask(page)
    follow(page, "Delete without waiting")
    reads(page, "nobody can bring it back")
    press(page, "Delete without waiting")
    reads(page, "Our staff have not looked at it yet.")
    at_the_desk(desk, live.colleague(), f"/desk/requests/{reference}")
    for name in ("What we keep, and why", "Whom else we ask", "Approve"):
        expect(desk.get_by_role("heading", level=2, name=name, exact=True)).to_be_visible()
    press(desk, "Approve erasure")
    reads(desk, "Approved.")
    ran = live.app.test_cli_runner().invoke(args=["erasures", "run"])
    assert ran.exit_code in (0, 3), ran.output  # 3: the worker was first

    farewell = live.mail(person.email, title="Your data is deleted")
    for name in ASKED:
        assert name in words(farewell)
    with live.app.app_context():
        assert db.session.scalars(select(Member).where(Member.email == person.email)).first() is None
        db.session.rollback()
    mailbox.goto(link(farewell))
    sees(mailbox, f"Request {reference}")
    reads(mailbox, "Deleted here, not yet everywhere")
    assert person.last_name not in mailbox.content()
    desk.reload()
    reads(desk, "The record is gone")
    for name in ASKED:
        press(desk, f"Done {name}")
        reads(desk, "Noted")
    reads(desk, "done, everywhere")
    mailbox.reload()
    reads(mailbox, "Done, here and elsewhere")
    expect(mailbox.get_by_text("no answer yet")).to_have_count(0)

    page.goto("/sign-in")
    give(page, person)
    expect(page.get_by_role("alert")).to_contain_text("do not match")


def ask(page: Page) -> str:
    """Ask for deletion, having seen what it does; the reference."""
    page.goto("/requests/new/erasure")
    for name in ("What is deleted", "What we keep, and why", "Whom else we ask", "Backups"):
        expect(page.get_by_role("heading", level=2, name=name, exact=True)).to_be_visible()
    box(page, "Anything to add").fill("Private words")
    press(page, "Send")
    reads(page, "Nothing is deleted yet")
    found = re.search(r"IM-[2-9A-Z]{4}-[2-9A-Z]{4}$", page.url)
    assert found is not None, page.url
    return found.group()
