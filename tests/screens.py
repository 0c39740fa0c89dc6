"""`make screens`: a picture of every page, narrow and wide, light and dark, into `screens/`, to be looked at.

A portal with the demonstration's people on a database of its own; one walk through Chromium, four pictures at
each stop. Nothing is compared: people look.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import select
from werkzeug.serving import make_server

from config import from_environment
from portal import create_app
from portal.cli.demo import PASSWORD
from portal.extensions import db
from portal.mail import transport
from portal.models import Member
from portal.tokens import sign_unsubscribe
from tests.conftest import free_port
from tests.settings import KEYS

FOLDER = Path(__file__).parents[1] / "screens"
WIDTHS = (375, 1280)
SCHEMES = ("light", "dark")
CHROMIUM = {
    "executable_path": shutil.which("chromium") or "/usr/bin/chromium",
    "args": [
        "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--no-first-run",
    ],
}  # fmt: skip


@contextmanager
def running_portal(folder: Path) -> Iterator[tuple[Flask, str]]:
    """The portal with the demonstration, served on a free port from this process; and its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **KEYS,
        "PORTAL_ENV": "development",
        "PORTAL_URL": address,
        "DATABASE_URL": f"sqlite:///{folder}/portal.db",
        "STAFF_EMAILS": "desk@example.org",
        "PRIVACY_CONTACT": "privacy@example.org",
        "DPO_CONTACT": "dpo@example.org",
    }
    app = create_app(from_environment(environment, root=folder))
    with app.app_context():
        upgrade()
    command(app, "demo", "load")
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield app, address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def command(app: Flask, *words: str) -> None:
    """Run one of the portal's commands."""
    result = app.test_cli_runner().invoke(args=list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output


@dataclass
class Walk:
    """One way through the portal; `shot` takes the four pictures of the page that is open."""

    app: Flask
    address: str
    browser: Browser
    taken: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def visitor(self, email: str = "") -> Iterator[Page]:
        """A browser of its own; signed in, where an address is named."""
        context = self.browser.new_context(base_url=self.address, reduced_motion="reduce")
        page = context.new_page()
        page.on("response", lambda answer: self.faults.append(f"{answer.url}: 500") if answer.status == 500 else None)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        if email:
            page.goto("/sign-in")
            page.get_by_label("Email address").fill(email)
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            self.press(page, "Sign in")
        yield page
        context.close()

    def press(self, page: Page, button: str) -> None:
        """A button of the main part, in forms that the browser itself would hold back too."""
        page.evaluate("document.querySelectorAll('form').forEach(form => form.noValidate = true)")
        page.locator("main").get_by_role("button", name=button, exact=True).first.click()

    def shot(self, page: Page, name: str, path: str = "") -> None:
        if path:
            page.goto(path)
        number = f"{len(self.taken) + 1:02}-{name}"
        self.taken.append(number)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                page.screenshot(path=FOLDER / f"{number}-{width}-{scheme}.png", full_page=True)
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                self.faults.append(f"{number}: {wide} px wide at {width}")

    def mails(self) -> list[transport.ReadMessage]:
        with self.app.app_context():
            return transport.mailbox_messages()

    def link(self, part: str, to: str) -> str:
        """The newest mailed link to one address whose path holds a part."""
        for mail in self.mails():
            for word in mail.text.split():
                if mail.to == to and word.startswith(self.address) and part in word:
                    return word.removeprefix(self.address)
        raise LookupError(f"no mail to {to} has a link with {part}")

    def unsubscribe_path(self, email: str, topic: str) -> str:
        with self.app.app_context():
            member = db.session.scalars(select(Member).where(Member.email == email)).one()
            return f"/unsubscribe/{sign_unsubscribe(member.subject.unsubscribe_reference, topic)}"


# The way --------------------------------------------------------------------------------------------------


def outside(walk: Walk) -> None:
    """What anybody sees without signing in."""
    with walk.visitor() as page:
        walk.shot(page, "start", "/")
        walk.shot(page, "sign-in", "/sign-in")
        page.get_by_label("Email address").fill("maria.keller@example.org")
        page.get_by_label("Password", exact=True).fill("not this one, surely")
        walk.press(page, "Sign in")
        walk.shot(page, "sign-in-refused")
        walk.shot(page, "activate", "/activate")
        walk.shot(page, "forgot-password", "/forgot-password")
        walk.press(page, "Send")
        walk.shot(page, "forgot-password-error")
        page.get_by_label("Email address").fill("james.okafor@example.org")
        walk.press(page, "Send")
        walk.shot(page, "link-sent")
        walk.shot(page, "notice", "/notice")
        walk.shot(page, "notice-before", "/notice/1")
        walk.shot(page, "cookies", "/cookies")
        walk.shot(page, "not-found", "/there-is-no-such-page")


def passwords(walk: Walk) -> None:
    """The link that sets a first password, in its states."""
    with walk.visitor() as page:
        path = walk.link("/set-password/", "claire.duvallon@example.org")
        walk.shot(page, "set-password", path)
        page.get_by_label("New password", exact=True).fill("password1234567")
        walk.press(page, "Save")
        walk.shot(page, "set-password-error")
        page.get_by_label("New password", exact=True).fill("violet gravel under nine bridges")
        walk.press(page, "Save")
        walk.shot(page, "set-password-done")
        walk.shot(page, "set-password-used-up", path)


def unsubscribing(walk: Walk) -> None:
    """The link of a broadcast in each of its states; and the page for whoever lost it."""
    with walk.visitor() as page:
        walk.shot(page, "unsubscribe-lost-link", "/unsubscribe")
        walk.press(page, "Send")
        walk.shot(page, "unsubscribe-lost-link-error")
        page.get_by_label("Email address").fill("peter.aldous@example.org")
        walk.press(page, "Send")
        walk.shot(page, "unsubscribe-link-sent")
        walk.shot(page, "unsubscribe-topic", walk.unsubscribe_path("lindiwe.dube-carlsson@example.org", "magazine"))
        walk.press(page, "Unsubscribe")
        walk.shot(page, "unsubscribe-topic-done")
        walk.press(page, "Undo")
        walk.shot(page, "unsubscribe-topic-undone")
        walk.shot(page, "unsubscribe-all", walk.unsubscribe_path("yating.lin@example.org", "all"))
        walk.press(page, "Unsubscribe")
        walk.shot(page, "unsubscribe-all-done")
        walk.shot(page, "unsubscribe-bad-link", "/unsubscribe/not.a.real.link")


def maria(walk: Walk) -> None:
    """A member with much to see."""
    with walk.visitor("maria.keller@example.org") as page:
        walk.shot(page, "overview", "/")
        walk.shot(page, "profile", "/profile")
        walk.shot(page, "profile-edit", "/profile/edit")
        page.get_by_label("Last name").fill("")
        page.get_by_label("Mobile phone").fill("call the lab")
        page.get_by_label("Birth date").fill("yesterday")
        walk.press(page, "Save")
        walk.shot(page, "profile-edit-errors")
        page.goto("/profile/edit")
        page.get_by_label("Job title").fill("Head of Assembly, Test and Reliability")
        walk.press(page, "Save")
        walk.shot(page, "profile-saved")
        walk.shot(page, "profile-email", "/profile/email")
        page.get_by_label("Email address").fill("maria at home")
        walk.press(page, "Send")
        walk.shot(page, "profile-email-error")
        walk.shot(page, "choices", "/choices")
        page.locator("input[name=employer_sharing][value=yes]").check()
        page.locator("input[name=topic_bulletin][value=off]").check()
        walk.press(page, "Save")
        walk.shot(page, "choices-saved")
        walk.press(page, "Undo")
        walk.shot(page, "choices-undone")
        walk.shot(page, "requests", "/requests")
        walk.shot(page, "requests-new", "/requests/new")
        walk.shot(page, "request-file", "/requests/new/erasure")
        walk.press(page, "Send")
        walk.shot(page, "request-sent")
        walk.press(page, "Withdraw this request")
        walk.shot(page, "request-withdrawn")
        walk.shot(page, "request-open", "/requests/new/access")
        walk.shot(page, "security", "/security")
        walk.shot(page, "security-password", "/security/password")
        page.get_by_label("New password", exact=True).fill("short")
        walk.press(page, "Save")
        walk.shot(page, "security-password-error")
        page.goto("/security")
        page.get_by_role("link", name="End this one").last.click()
        walk.shot(page, "security-end-one")
        walk.shot(page, "security-everywhere", "/security/everywhere")
        walk.shot(page, "sign-in-again", "/sign-in/again?next=/profile/email")
        walk.shot(page, "desk-refused", "/desk")


def others(walk: Walk) -> None:
    """Members whose pages look different: other scripts, a waiting address, nothing asked yet."""
    with walk.visitor("misaki.sasaki@example.org") as page:
        walk.shot(page, "overview-waiting", "/")
        walk.shot(page, "profile-japan", "/profile")
        walk.shot(page, "profile-email-waiting", "/profile/email")
        walk.shot(page, "email-cancel", walk.link("/profile/email/cancel/", "misaki.sasaki@example.org"))
        walk.shot(page, "email-confirm", walk.link("/profile/email/confirm/", "misaki.new@example.org"))
        walk.press(page, "Confirm")
        walk.shot(page, "email-confirmed")
    with walk.visitor("layla.mansour@example.org") as page:
        walk.shot(page, "overview-stopped", "/")
        walk.shot(page, "profile-egypt", "/profile")
        walk.shot(page, "choices-stopped", "/choices")
    with walk.visitor("xiaomei.wang@example.org") as page:
        walk.shot(page, "requests-closed", "/requests")


def the_desk(walk: Walk) -> None:
    """The staff's pages."""
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "desk", "/desk")
        page.locator("main tbody a").first.click()
        walk.shot(page, "desk-request")
        walk.shot(page, "desk-security", "/security")
        walk.shot(page, "desk-not-found", "/desk/requests/IM-2222-2222")


def breakage(walk: Walk) -> None:
    """Forms that were open too long, and too many tries."""
    with walk.visitor("lucja.zdzblowska@example.org") as page:
        page.goto("/requests/new/access")
        page.get_by_label("Anything to add").fill("Everything since 2015, please.")
        page.evaluate("document.querySelector('main input[name=csrf_token]').value = 'old'")
        walk.press(page, "Send")
        walk.shot(page, "form-expired")
    with walk.visitor() as page:
        for _ in range(12):
            page.goto("/sign-in")
            page.get_by_label("Email address").fill("nobody@example.org")
            page.get_by_label("Password", exact=True).fill("guess after guess after guess")
            walk.press(page, "Sign in")
        walk.shot(page, "too-many-tries")


def mailbox(walk: Walk) -> None:
    """Every sort of mail, as the development mailbox shows it, and as a mail program does."""
    command(walk.app, "mail", "deliver")
    with walk.visitor() as page:
        walk.shot(page, "mailbox", "/dev/mailbox")
        walk.shot(page, "components", "/dev/components")
        newest = {mail.title.partition("IM-")[0]: mail for mail in reversed(walk.mails())}
        for mail in newest.values():
            name = "-".join("".join(c if c.isalnum() else " " for c in mail.title.partition("IM-")[0].lower()).split())
            walk.shot(page, f"message-{name}", f"/dev/mailbox/{mail.key}")
            page.goto("about:blank")
            page.set_content(mail.html)
            walk.shot(page, f"mail-{name}")


WAY: tuple[Callable[[Walk], None], ...] = (
    outside, passwords, unsubscribing, maria, others, the_desk, breakage, mailbox,
)  # fmt: skip


# The contact sheet ----------------------------------------------------------------------------------------


def contact_sheet(taken: list[str]) -> str:
    rows = []
    for name in taken:
        pictures = "".join(
            f'<a href="{name}-{width}-{scheme}.png"><img loading="lazy" src="{name}-{width}-{scheme}.png"'
            f' alt="{width} px, {scheme}" height="420"></a>'
            for width in WIDTHS
            for scheme in SCHEMES
        )
        rows.append(f"<h2>{escape(name)}</h2><p>{pictures}</p>")
    style = "body{font:16px sans-serif;margin:2rem} img{border:1px solid #999;margin-right:8px;vertical-align:top}"
    head = f'<meta charset="utf-8"><title>Pages</title><style>{style}</style>'
    return f'<!doctype html><html lang="en">{head}<h1>Pages</h1>{"".join(rows)}</html>'


def main() -> None:
    """Take all pictures; a page that is too wide, or a script that failed, ends in exit status 1."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_portal(Path(folder)) as (app, address),
        sync_playwright() as playwright,
    ):
        options: dict[str, Any] = CHROMIUM
        walk = Walk(app, address, playwright.chromium.launch(**options))
        for part in WAY:
            part(walk)
    (FOLDER / "index.html").write_text(contact_sheet(walk.taken), encoding="utf-8")
    print(f"{len(walk.taken)} pages, four pictures each: {FOLDER / 'index.html'}")
    if walk.faults:
        raise SystemExit("\n".join(walk.faults))


if __name__ == "__main__":
    main()
