"""`make screens`: a picture of every page, narrow and wide, light and dark, into `screens/`, to be looked at.

`python -m tests.screens the_desk asking` takes those parts of the way only. Where much stands side by side, more: at
320 and 1600 pixels, and in forced colours. `index.html` shows all of them; `sheet-1.png` and so on show them small,
two dozen pages each.

A portal with the demonstration's people on a database of its own; one walk through Chromium, four pictures at
each stop. Nothing is compared: people look.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from html import escape
from pathlib import Path

import pyotp
from flask import Flask
from flask_migrate import upgrade
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import select
from werkzeug.serving import make_server

from config import from_environment
from portal import clock, create_app
from portal.cli import demo
from portal.cli.demo import PASSWORD
from portal.domain import broadcasts, requests, signin
from portal.domain.kinds import HOLE
from portal.extensions import db, limiter, transaction
from portal.mail import bounces, transport
from portal.models import Member, Message
from portal.tokens import KEEP_LINK, sign_reference, sign_unsubscribe
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.conftest import free_port
from tests.settings import KEYS

FOLDER = Path(__file__).parents[1] / "screens"
WIDTHS = (375, 1280)
LEAST, MOST = 320, 1600
# Where much stands side by side, also as narrow as WCAG 1.4.10 asks, in forced colours, and as wide as screens are.
WITH_MUCH = {
    "overview", "profile", "profile-edit-errors", "choices", "events", "held-open", "security", "desk", "desk-request",
    "desk-lists", "desk-numbers", "desk-broadcast-done", "long-overview", "long-profile", "long-held",
    "long-desk-request",
}  # fmt: skip
A_SHEET = 24  # pages
SCHEMES = ("light", "dark")
A4 = 658  # pixels between the margins


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
            with self.app.app_context():
                limiter.reset()  # all of them come from one network, faster than people do
            self.press(page, "Sign in")
            page.wait_for_url(lambda url: not url.endswith("/sign-in"))
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
            self.measure(page, number, width)
        if name in WITH_MUCH:
            for width, forced in ((LEAST, "none"), (LEAST, "active"), (MOST, "none")):
                page.set_viewport_size({"width": width, "height": 800})
                page.emulate_media(color_scheme="light", forced_colors=forced)  # type: ignore[arg-type]
                look = "forced" if forced == "active" else "light"
                page.screenshot(path=FOLDER / f"{number}-{width}-{look}.png", full_page=True)
                self.measure(page, number, width)
            page.emulate_media(forced_colors="none")

    def measure(self, page: Page, number: str, width: int) -> None:
        """A page that scrolls sideways is a fault."""
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            self.faults.append(f"{number}: {wide} px wide at {width}")

    def paper(self, page: Page, name: str, path: str) -> None:
        """As it is printed: one picture of all, as wide as A4 between its margins, and the pages as a PDF."""
        page.goto(path)
        page.set_viewport_size({"width": A4, "height": 940})
        page.emulate_media(media="print", color_scheme="light")
        page.screenshot(path=FOLDER / f"{name}-on-paper.png", full_page=True)
        page.pdf(path=FOLDER / f"{name}-on-paper.pdf", format="A4")
        page.emulate_media(media="screen")

    def newest(self, who: str) -> str:
        """The reference of the newest request of the person whose address begins so: one of them moves on the way."""
        with self.app.app_context():
            member = db.session.scalars(select(Member).where(Member.email.startswith(who))).one()
            return requests.of(member.id)[0].reference

    def shot_of(self, email: str, name: str) -> None:
        """A person's newest request, as they see it, with a password set for them."""
        with self.app.app_context(), transaction():
            member = db.session.scalars(select(Member).where(Member.email == email)).one()
            signin.set_password(signin.account_of(member), PASSWORD, now=clock.now())
        with self.visitor(email) as page:
            self.shot(page, name, f"/requests/{self.newest(email)}")

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
        walk.shot(page, "held", "/held")
        walk.shot(page, "held-open", "/held?open")
        walk.paper(page, "held", "/held")
        walk.shot(page, "held-list", "/held/sign-ins-and-devices")
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


def at_events(walk: Walk) -> None:
    """Events: answers of their own and none, the line that would be released, a change and its undo."""
    with walk.visitor("maria.keller@example.org") as page:
        walk.shot(page, "events", "/events")
        walk.shot(page, "event-over", "/events/DEMO-WORKSHOP")
        walk.shot(page, "event-default", "/events/DEMO-POWER")
        page.goto("/events/DEMO-SYMPOSIUM")
        for summary in page.locator("main summary").all():
            summary.click()
        walk.shot(page, "event-lines")
        page.locator("input[name=attendee_list][value=public]").check()
        walk.press(page, "Save")
        walk.shot(page, "event-saved")
        walk.press(page, "Undo")
        walk.shot(page, "event-undone")
        walk.shot(page, "event-objection", "/requests/new/objection?event=DEMO-SYMPOSIUM")
        walk.shot(page, "profile-recognition", "/profile")
        walk.shot(page, "held-recognition", "/held/your-membership")
    with walk.visitor("layla.mansour@example.org") as page:
        walk.shot(page, "events-none", "/events")


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


def asking(walk: Walk) -> None:
    """The same without an account."""
    with walk.visitor() as page:
        walk.shot(page, "ask", "/ask")
        walk.press(page, "Send")
        walk.shot(page, "ask-error")
        page.get_by_label("Email address").fill("yves@elsewhere.example.org")
        page.get_by_label("Anything to add").fill("I was at the workshop in Delft, in 2019.")
        walk.press(page, "Send")
        walk.shot(page, "ask-sent")
        command(walk.app, "mail", "deliver")
        path = walk.link("/ask/", "yves@elsewhere.example.org")
        walk.shot(page, "ask-confirm", path)
        walk.press(page, "Confirm")
        walk.shot(page, "ask-status")
        walk.shot(page, "ask-used-up", path)
        walk.shot(page, "authorities", "/authorities")
        walk.shot(page, "letter-was-it-you", walk.link("/requests/confirm/", "tomasz.wrzosek@example.org"))


def kinds(walk: Walk) -> None:
    """Each kind's form, sent without what it needs; and requests in their states, as the member sees them."""
    with walk.visitor("xiaomei.wang@example.org") as page:
        for kind in ("correction", "portability", "restriction", "marketing", "complaint", "child"):
            page.goto(f"/requests/new/{kind}")
            if kind not in ("portability", "marketing"):
                walk.press(page, "Send")
            walk.shot(page, f"request-{kind}")
    for email, state in (
        ("giulia.ferrandi@example.org", "extended"),
        ("claire.duvallon@example.org", "answered"),
        ("tomasz.wrzosek@example.org", "who-is-it"),
    ):
        walk.shot_of(email, f"request-{state}")


def the_desk(walk: Walk) -> None:
    """The staff's pages: the queue, looking up, and a request from the question to the answer."""
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "desk", "/desk")
        walk.shot(page, "desk-mine", "/desk?whose=mine")
        walk.shot(page, "desk-numbers", "/desk/numbers")
        page.goto("/desk")
        for asked in ("maria.keller@example.org", "nobody@elsewhere.example.org"):
            page.get_by_label("Reference or email address").fill(asked)
            walk.press(page, "Look up")
            walk.shot(page, f"desk-look-up-{asked.partition('@')[0].partition('.')[0]}")
        walk.shot(page, "desk-new", "/desk/requests/new")
        walk.press(page, "Write it down")
        walk.shot(page, "desk-new-error")
        page.goto("/desk")
        page.locator("main tbody a").first.click()
        walk.shot(page, "desk-request")
        walk.press(page, "Take it")
        walk.shot(page, "desk-request-taken")
        page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
        walk.shot(page, "desk-request-unfolded")
        while page.get_by_role("button", name="Done").count():
            with page.expect_navigation():
                page.get_by_role("button", name="Done").first.click()
        page.get_by_role("link", name="Everything is ready").click()
        walk.shot(page, "desk-request-reply")
        walk.press(page, "Hand out")
        walk.shot(page, "desk-request-holes")
        answer = page.locator("#answer_words")
        answer.fill(answer.input_value().replace(HOLE, "Nobody but the membership system holds anything."))
        walk.press(page, "Hand out")
        walk.shot(page, "desk-request-handed-out")
        for email, kind in (
            ("tomasz.wrzosek@example.org", "correction"),
            ("giulia.ferrandi@example.org", "objection"),
            ("misaki.", "access-refused"),
        ):
            page.goto(f"/desk/requests/{walk.newest(email)}")
            if kind == "access-refused":
                page.get_by_text("Refuse", exact=True).first.click()
                page.get_by_label("The request is manifestly unfounded, or repeats itself beyond measure.").check()
                page.locator("#refusal_words").fill("The fifth request of the same sort in this year.")
                walk.press(page, "Refuse")
            walk.shot(page, f"desk-{kind}")
        page.get_by_text("Suspend this person", exact=True).click()
        page.get_by_label("Harassment, or abuse of the portal").check()
        walk.press(page, "Suspend")
        walk.shot(page, "desk-suspended", "/desk/suspended")
        walk.shot(page, "desk-not-found", "/desk/requests/IM-2222-2222")


def lists_that_leave(walk: Walk) -> None:
    """The desk's lists from the look to the recall, what left otherwise, and the way back; what others see of it."""
    with walk.visitor() as page:
        walk.shot(page, "roster", "/events/DEMO-WORKSHOP/roster")
    with walk.visitor("maria.keller@example.org") as page:
        walk.shot(page, "profile-with-the-way-back", "/profile")
        walk.shot(page, "held-who-received", "/held/who-received-your-details")
    file = Path(tempfile.mkdtemp()) / "members.csv"
    file.write_text("member_id,email,job_title\nD-1001,maria.keller@example.org,Head of Assembly\n")
    command(walk.app, "members", "import", str(file))
    shutil.rmtree(file.parent)
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "desk-lists", "/desk/lists")
        walk.press(page, "Look first")
        walk.shot(page, "desk-lists-error")
        page.get_by_label("Other attendees").check()
        page.get_by_label("Event").select_option("DEMO-WORKSHOP")
        page.get_by_label("Who receives it").fill("Prentwerk Delft")
        walk.press(page, "Look first")
        walk.shot(page, "desk-lists-look")
        walk.shot(page, "desk-list", "/desk/lists/L-3")
        walk.shot(page, "desk-recalls", "/desk/recalls")
        walk.shot(page, "desk-disclosures", "/desk/disclosures")
        page.get_by_label("Email address or member number").fill("maria.keller@example.org")
        page.get_by_label("An authority or a court").check()
        page.get_by_label("Name of the recipient").fill("District court of Dresden")
        page.get_by_label("For what").fill("Case 4711")
        page.get_by_label("Last name").check()
        page.get_by_label("Not yet: a law or a court forbids it").check()
        walk.press(page, "Write it down")
        walk.shot(page, "desk-disclosures-error")
        page.get_by_label("Not before").fill((clock.now().date() + timedelta(days=10)).isoformat())
        page.get_by_label("Which law or order").fill("Order 12 of the court")
        walk.press(page, "Write it down")
        walk.shot(page, "desk-disclosures-untold")
        walk.shot(page, "desk-changes", "/desk/changes")
        page.locator("main tbody a").first.click()
        walk.shot(page, "desk-changes-one")
        page.goto("/desk/changes")
        page.locator("main a[href^='/desk/conflicts/']").first.click()
        walk.shot(page, "desk-conflict")


def long_names(walk: Walk) -> None:
    """Names, organisations and addresses as long as forms take them; other letters, another direction."""
    email = "lucja.zdzblowska@example.org"
    with walk.app.app_context(), transaction():
        member = db.session.scalars(select(Member).where(Member.email == email)).one()
        member.first_name, member.last_name = "Świętosława Konstancja", "Brzęczyszczykiewicz-Szczepańska"
        member.organization = "Wrocławsko-Górnośląskie Towarzystwo Mikroelektroniki Hybrydowej"
        member.job_title = "Mikroelektronikverbindungstechnologieforschungsgemeinschaftsbeauftragte"
        member.address_line1 = "معهد الإلكترونيات الدقيقة والتغليف المتقدم، شارع النيل الطويل"
        member.address_line2 = "新竹科學園區工業東四路二十七號微電子組裝與封裝技術研究中心"
    with walk.visitor(email) as page:
        walk.shot(page, "long-overview", "/")
        walk.shot(page, "long-profile", "/profile")
        walk.shot(page, "long-profile-edit", "/profile/edit")
        walk.shot(page, "long-held", "/held")
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "long-desk-request", f"/desk/requests/{walk.newest(email)}")


def second_step(walk: Walk) -> None:
    """The second step of the staff's sign-in, set up and asked for."""
    with walk.visitor("second.desk@example.org") as page:
        walk.shot(page, "second-factor", "/security/second-factor")
        walk.press(page, "Save")
        walk.shot(page, "second-factor-error")
        page.get_by_label("Code", exact=True).fill(pyotp.TOTP(page.locator("code.seed").text_content() or "").now())
        walk.press(page, "Save")
        walk.shot(page, "second-factor-on")
    with walk.visitor("second.desk@example.org") as page:
        walk.shot(page, "sign-in-code", "/desk")
        walk.press(page, "Confirm")
        walk.shot(page, "sign-in-code-error")


def erasing(walk: Walk) -> None:
    """An erasure on its way: the member, the mailbox, the desk, and the page that is left."""
    james = "james.okafor@example.org"
    with walk.visitor("lucja.zdzblowska@example.org") as page:
        page.goto("/requests")
        page.locator("main .card a").first.click()
        walk.shot(page, "erasure-waits")
        page.get_by_role("link", name="Delete without waiting").click()
        walk.shot(page, "erasure-do-not-wait")
        walk.shot(page, "erasure-keep", walk.link("/requests/keep/", "lucja.zdzblowska@example.org"))
        walk.press(page, "Confirm")
        walk.shot(page, "erasure-kept")
    with walk.visitor(james) as page:
        page.goto("/requests")
        page.locator("main .card a").first.click()
        walk.shot(page, "erasure-open")
        path = page.url.removeprefix(walk.address)
    with walk.app.app_context():
        keep = f"/requests/keep/{sign_reference(path.rpartition('/')[2], purpose=KEEP_LINK)}"
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "desk-erasure", f"/desk{path}")
        page.get_by_text("Hold", exact=True).first.click()
        walk.press(page, "Hold")
        walk.shot(page, "desk-erasure-held")
        walk.press(page, "Go on")
        walk.press(page, "Approve erasure")
        walk.shot(page, "desk-erasure-approved")
        command(walk.app, "erasures", "run")
        command(walk.app, "mail", "deliver")
        walk.shot(page, "desk-erasure-done", f"/desk{path}")
        walk.press(page, "Done The library (Allen Press)")
        walk.shot(page, "desk-erasure-ticked")
    with walk.visitor() as page:
        walk.shot(page, "status", walk.link("/ask/status/", james))
        walk.shot(page, "erasure-keep-too-late", keep)


def notices(walk: Walk) -> None:
    """What differs between versions; and one that makes a right smaller, before and after the answer."""
    older = (Path(demo.__file__).parent / "demo" / "notice-2.md").read_text(encoding="utf-8")
    with walk.visitor("maria.keller@example.org") as page, tempfile.TemporaryDirectory() as folder:
        walk.shot(page, "notice-changes", "/notice/2/changes")
        walk.shot(page, "notice-changes-none", "/notice/1/changes")
        file = Path(folder) / "notice-3.md"
        file.write_text(
            older.replace("Requests: two years.", "Requests: one year.").replace("30 days at most", "a month at most")
        )
        command(walk.app, "notices", "publish", str(file), "--change", "reduced-right")
        command(walk.app, "notices", "tell")
        walk.shot(page, "notice-asks", "/notice")
        walk.shot(page, "overview-asks", "/")
        walk.shot(page, "notice-answer", "/notice/answer")
        walk.press(page, "No, I do not agree")
        walk.shot(page, "notice-answered")
        walk.shot(page, "overview-earlier", "/")
        walk.shot(page, "notice-earlier", "/notice/3")


def breakage(walk: Walk) -> None:
    """Forms that were open too long, a database that is busy, and too many tries."""
    with walk.visitor("lucja.zdzblowska@example.org") as page:
        page.goto("/requests/new/access")
        page.get_by_label("Anything to add").fill("Everything since 2015, please.")
        page.evaluate("document.querySelector('main input[name=csrf_token]').value = 'old'")
        walk.press(page, "Send")
        walk.shot(page, "form-expired")
        page.goto("/requests/new/access")
        page.get_by_label("Anything to add").fill("Everything since 2015, please.")
        with walk.app.app_context(), db.engine.begin():  # the one writer of the file
            walk.press(page, "Send")
        walk.shot(page, "database-away")
    with walk.visitor() as page:
        for _ in range(12):
            page.goto("/sign-in")
            page.get_by_label("Email address").fill("nobody@example.org")
            page.get_by_label("Password", exact=True).fill("guess after guess after guess")
            walk.press(page, "Sign in")
        walk.shot(page, "too-many-tries")


def history(walk: Walk) -> None:
    """What changed, one answer in full, and an address from which mail comes back."""
    with walk.app.app_context(), transaction():
        member = db.session.scalars(select(Member).where(Member.email == "james.okafor@example.org")).one()
        query = select(Message).where(Message.subject_id == member.id, Message.to_address == member.email)
        newest = db.session.scalars(query.order_by(Message.created_at.desc()).limit(1)).one()
        bounces.note(newest, "5.1.1", proven=True, now=clock.now())
    with walk.visitor("james.okafor@example.org") as page:
        walk.shot(page, "overview-came-back", "/")
        walk.shot(page, "choices-came-back", "/choices")
        walk.shot(page, "held-came-back", "/held")
        page.goto("/choices")
        walk.press(page, "Send a message to try")
        walk.shot(page, "choices-tried")
        command(walk.app, "mail", "deliver")
        walk.shot(page, "address-works", walk.link("/profile/email/works/", "james.okafor@example.org"))
        walk.press(page, "Confirm")
        walk.shot(page, "address-worked")
    with walk.visitor("maria.keller@example.org") as page:
        walk.shot(page, "history", "/history")
        walk.shot(page, "history-choices", "/history?kind=choices")
        walk.shot(page, "history-lists", "/history?kind=lists")
        page.goto("/history?kind=choices")
        page.get_by_role("link", name="The answer in full").first.click()
        walk.shot(page, "history-answer")
        page.emulate_media(media="print")
        walk.shot(page, "history-answer-printed")
        walk.shot(page, "history-printed", "/history")


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


def broadcasting(walk: Walk) -> None:
    """Broadcasts at the desk: none under way, one being sent, paused, stopped."""
    with walk.visitor("desk@example.org") as page:
        walk.shot(page, "desk-broadcasts", "/desk/broadcasts")
        page.locator("tbody a").last.click()
        walk.shot(page, "desk-broadcast-done")
        with walk.app.app_context(), transaction():
            words = broadcasts.compose(
                "bulletin", "The week in packaging, for {first_name}", "Dear {first_name},\n\nnews."
            )
            number = broadcasts.queue("bulletin", words, now=clock.now()).id
            broadcasts.fill_some(number, now=clock.now())
            broadcasts.tend(now=clock.now())
        walk.shot(page, "desk-broadcast-running", f"/desk/broadcasts/{number}")
        walk.press(page, "Pause")
        walk.shot(page, "desk-broadcast-paused")
        walk.press(page, "Stop")
        walk.shot(page, "desk-broadcast-stopped")


WAY: tuple[Callable[[Walk], None], ...] = (
    outside, passwords, unsubscribing, maria, at_events, others, kinds, history, erasing, the_desk, broadcasting,
    lists_that_leave, long_names, second_step, asking, breakage, notices, mailbox,
)  # fmt: skip


# The contact sheet ----------------------------------------------------------------------------------------


def contact_sheet(taken: list[str], *, height: int = 420) -> str:
    """A page with all pictures of these stops."""
    rows = []
    for name in taken:
        pictures = "".join(
            f'<a href="{each.name}"><img loading="lazy" src="{each.name}" alt="{each.stem}" height="{height}"></a>'
            for each in sorted(FOLDER.glob(f"{name}-*.png"))
            if re.fullmatch(r"\d+-\w+", each.stem.removeprefix(f"{name}-"))
        )
        rows.append(f'<section id="{name}"><h2>{escape(name)}</h2><p>{pictures}</p></section>')
    ways = " ".join(f'<a href="#{name}">{escape(name)}</a>' for name in taken)
    style = (
        "body{font:16px sans-serif;margin:2rem} h2{font-size:1rem;margin:0} p{margin:.5rem 0 1.5rem}"
        " img{border:1px solid #999;margin-right:8px;vertical-align:top;object-fit:cover;object-position:top}"
        " main{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,64rem),1fr))}"
    )
    head = f'<meta charset="utf-8"><title>Pages</title><style>{style}</style>'
    return f'<!doctype html><html lang="en">{head}<h1>Pages</h1><nav>{ways}</nav><main>{"".join(rows)}</main></html>'


def sheets(browser: Browser, taken: list[str]) -> None:
    """The same small, as pictures that can be looked at beside each other."""
    page = browser.new_page(viewport={"width": 2200, "height": 900})
    for number, start in enumerate(range(0, len(taken), A_SHEET), 1):
        file = FOLDER / "sheet.html"
        text = contact_sheet(taken[start : start + A_SHEET], height=240).replace(' loading="lazy"', "")
        file.write_text(text.replace("<nav>", "<nav hidden>"), encoding="utf-8")
        page.goto(file.as_uri())
        page.screenshot(path=FOLDER / f"sheet-{number}.png", full_page=True)
        file.unlink()
    page.close()


def main(wanted: list[str]) -> None:
    """Take all pictures; a page that is too wide, or a script that failed, ends in exit status 1."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_portal(Path(folder)) as (app, address),
        sync_playwright() as playwright,
    ):
        walk = Walk(app, address, playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS)))
        for part in WAY:
            if not wanted or part.__name__ in wanted:
                part(walk)
        (FOLDER / "index.html").write_text(contact_sheet(walk.taken), encoding="utf-8")
        sheets(walk.browser, walk.taken)
    print(f"{len(walk.taken)} pages, four pictures each and more: {FOLDER / 'index.html'}")
    if walk.faults:
        raise SystemExit("\n".join(walk.faults))


if __name__ == "__main__":
    main(sys.argv[1:])
