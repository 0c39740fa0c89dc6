"""Every page in every state, looked at in all the ways of tests/browser/look.py: nothing wrong, nothing cut off."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from playwright.sync_api import Page
from sqlalchemy import delete, update

from portal import clock
from portal.domain import broadcasts, changes, choices, events, handling, lists, requests
from portal.extensions import db
from portal.mail import bounces
from portal.models import Conflict, Message, Notice, Recognition, SignIn, Suppression
from portal.purposes import AUDIENCES, SUPPRESS
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests import databases
from tests.browser.conftest import NOTICE
from tests.browser.live import Colleague, Live, Person, link
from tests.browser.look import Look
from tests.browser.steps import at_the_desk, box, follow, give, pick, press, sees, sign_in, turn_to, unfold

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


pytestmark = pytest.mark.usefixtures("published")


@pytest.fixture
def look() -> Look:
    return Look()


def test_looking_finds_what_is_wrong(page: Page, look: Look) -> None:
    page.goto("/cookies")
    page.locator("main").evaluate(
        """main => {
            main.append(document.createElement("input"))
            main.querySelector("h1").style.color = "#222"
            main.querySelector("table").style.width = "40rem"
            const [button, box] = ["button", "div"].map(name => main.appendChild(document.createElement(name)))
            button.textContent = "Go"
            Object.assign(button.style, {border: 0, padding: 0, minHeight: 0, height: "20px"})
            box.textContent = "Words that are cut off"
            Object.assign(box.style, {overflow: "hidden", maxHeight: "1.6em", width: "12.5rem"})
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
        "320 px, dark: button “Go” is",
        "forced colours: button. has no edge",
        "200 % text, wide: scrolls sideways by table",
        "320 px, text spaced out: cuts off div. “Words",
    ):
        assert fault in found, found
    assert "wide, light: scrolls" not in found
    assert "light: cuts off" not in found


def test_signed_out(live: Live, page: Page, look: Look) -> None:
    person = live.newcomer()
    for path in ("/", "/notice", "/notice/1", "/notice/2/changes", "/cookies", "/link-sent", "/unsubscribe/link-sent"):
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
    sees(page, "Nothing to undo here")
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
        "/held?open",
        "/held/your-choices",
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


def test_a_right_that_becomes_smaller(live: Live, page: Page, look: Look) -> None:
    sign_in(page, live.somebody())
    now = clock.now()
    smaller = Notice(
        version=3,
        text=NOTICE.replace("Plain words", f"Fewer words, {LONG}"),
        change="reduced-right",
        published_at=now,
        effective_on=clock.society_date(now),
        told_at=now,
    )
    with live.app.app_context(), databases.writes():
        db.session.add(smaller)
    try:
        for path in ("/", "/notice", "/notice/3", "/notice/3/changes?from=1", "/notice/answer"):
            page.goto(path)
            look(page, f"{path}, a yes is asked for")
    finally:
        with live.app.app_context(), databases.writes():
            db.session.execute(delete(Notice).where(Notice.version == 3))
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


def test_events_answered(live: Live, page: Page, look: Look) -> None:
    """The matrix, an event with an exhibition, its answers sent, the lines unfolded; the profile with a recognition."""
    person = live.somebody()
    day = clock.society_date(clock.now())
    with live.app.app_context(), databases.writes():
        member = live.member(person)
        for code in ("LOOK", "SEE"):
            event = events.add(code, name=LONG, starts_on=day, ends_on=day, place=LONG, exhibition=code == "LOOK")
            events.register(member, event, role=LONG)
        db.session.add(Recognition(code="LOOK", subject_id=member.id, name=LONG, role=LONG, starts_on=day))
    sign_in(page, person)
    look(page, "/events")
    page.goto("/events/LOOK")
    pick(page, "Attendee list", "Public roster")
    pick(page, "Sponsor sharing", "Yes")
    press(page, "Save")
    for each in page.locator("main summary").all():
        each.click()
    look(page, "/events/LOOK, saved, with its lines")
    press(page, "Undo")
    page.get_by_text("Undone").wait_for()
    look(page, "/profile")


def test_history_and_an_address_that_came_back(live: Live, page: Page, look: Look) -> None:
    person = live.somebody()
    sign_in(page, person)
    page.goto("/choices")
    pick(page, "Sponsor sharing", "Yes")
    press(page, "Save")
    for kind in ("", "?kind=choices", "?kind=lists"):
        page.goto(f"/history{kind}")
        look(page, f"/history{kind}")
    page.goto("/history")
    page.get_by_role("link", name="The answer in full").first.click()
    page.get_by_text("Counts now").wait_for()
    look(page, "one answer in full")
    with live.app.app_context(), databases.writes():
        member = live.member(person)
        db.session.add(Suppression(keyed_hash=member.address_hash, reason=bounces.BOUNCED, at=clock.now()))
    for path in ("/", "/held", "/choices"):
        page.goto(path)
        page.get_by_text("Mail to your address came back").first.wait_for()
        look(page, f"{path}, mail came back")
    press(page, "Send a message to try")
    url = link(live.mail(person.email, title="address work"))
    page.goto(url)
    look(page, "the link that shows that the address works")
    press(page, "Confirm")
    page.get_by_text("Your address works again").first.wait_for()
    page.goto(url)
    look(page, "that link, used", status=410)
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


def test_asking_without_account(live: Live, page: Page, look: Look) -> None:
    for path in ("/ask", "/authorities"):
        page.goto(path)
        look(page, path)
    page.goto("/ask")
    box(page, "Email address").fill("nonsense")
    press(page, "Send")
    look(page, "/ask with an error", status=422)
    box(page, "Email address").fill("yves@elsewhere.example.org")
    box(page, "Anything to add").fill(LONG)
    press(page, "Send")
    look(page, "/ask sent")
    url = link(live.mail("yves@elsewhere.example.org", title="Confirm your request"))
    page.goto(url)
    look(page, "/ask, confirm?")
    press(page, "Confirm")
    look(page, "/ask, confirmed: its status")
    page.goto(url)
    look(page, "/ask, confirmed before", status=410)
    assert not look.faults, "\n".join(look.faults)


SHOWN_TO_MEMBER = ("portability", "complaint", "restriction", "correction")  # extended, refused, restricted, asked who
SHOWN_TO_DESK = ("access", "objection", "restriction", "complaint", "correction", "erasure")


def in_every_state(live: Live, person: Person, colleague: Colleague) -> dict[str, str]:
    """One request of each of these kinds, each in another state; from kind to reference."""
    now = clock.now()
    with live.app.app_context(), databases.writes():
        member, account = live.member(person), live.account(colleague)
        made = {
            kind: requests.file(
                member,
                kind,
                details=LONG,
                operation_id=f"{kind} of {person.email}",
                controller=LONG if kind == "portability" else "",
                via=Door.PAGE,
                now=now - timedelta(days=2),
            )
            for kind in ("access", "portability", "complaint", "objection", "restriction", "erasure")
        }
        for kind in ("access", "portability", "complaint", "restriction"):
            handling.take(made[kind], account, now=now)
        handling.extend(made["portability"], "complexity", LONG, now=now)
        handling.refuse(made["complaint"], "others", LONG, by=account, now=now)
        handling.refuse(made["objection"], "excessive", LONG, by=account, now=now)
        handling.restrict(made["restriction"], now=now)
        made["correction"] = handling.write_down(
            member.subject,
            "correction",
            details=LONG,
            contact="",
            how="letter",
            received_at=now,
            operation_id=f"letter of {person.email}",
            now=now,
        )
        return {kind: request.reference for kind, request in made.items()}


def test_requests_in_every_state(live: Live, page: Page, look: Look) -> None:
    person = live.somebody(organization=LONG)
    sign_in(page, person)
    page.goto("/requests/new/portability")
    look(page, "/requests/new/portability")
    page.goto("/requests/new/child")
    press(page, "Send")
    look(page, "/requests/new/child with an error", status=422)
    made = in_every_state(live, person, live.colleague())
    page.goto(link(live.mail(person.email, title="question about your request")))
    look(page, "a letter, was it you?")
    for kind in SHOWN_TO_MEMBER:
        page.goto(f"/requests/{made[kind]}")
        look(page, f"a request: {kind}")
    for path in ("/requests", "/choices"):
        page.goto(path)
        look(page, f"{path}, restricted, with requests in every state")
    page.goto(link(live.mail(person.email, title="question about your request")))
    press(page, "Confirm")
    look(page, "a letter, it was me")
    assert not look.faults, "\n".join(look.faults)


def test_second_step(live: Live, page: Page, look: Look) -> None:
    colleague = live.colleague(set_up=False)
    page.goto("/desk")
    give(page, colleague)
    sees(page, "Set up the second step")
    look(page, "/security/second-factor")
    press(page, "Save")
    look(page, "/security/second-factor with an error", status=422)
    app = Colleague("", "", "", "", seed=page.locator("code.seed").text_content() or "")
    box(page, "Code").fill(app.code)
    press(page, "Save")
    sees(page, "Desk")
    page.goto("/security")
    look(page, "/security, second step set up")
    press(page, "Sign out")
    page.goto("/desk")
    give(page, colleague)
    look(page, "/sign-in/code")
    press(page, "Confirm")
    look(page, "/sign-in/code with an error", status=422)
    assert not look.faults, "\n".join(look.faults)


def test_desk(live: Live, page: Page, look: Look) -> None:
    person, colleague = live.somebody(organization=LONG), live.colleague()
    made = in_every_state(live, person, live.colleague())
    at_the_desk(page, colleague, "/desk?whose=mine")
    look(page, "/desk, none of mine")
    turn_to(page, "Desk")
    look(page, "/desk")
    for asked in (person.email, "nobody@elsewhere.example.org"):
        box(page, "Reference or email address").fill(asked)
        press(page, "Look up")
        look(page, f"looked up: {asked}")
    for kind in SHOWN_TO_DESK:
        page.goto(f"/desk/requests/{made[kind]}")
        open_everything(page)
        look(page, f"{kind} at the desk")
    page.goto(f"/desk/requests/{made['access']}")
    press(page, "Take it over")
    unfold(page, "Refuse")
    press(page, "Refuse")
    look(page, "refused without a reason", status=422)
    unfold(page, "Suspend this person")
    pick(page, "Why?", "Harassment, or abuse of the portal")
    press(page, "Suspend")
    look(page, "suspended")
    follow(page, "See who is suspended")
    look(page, "/desk/suspended")
    page.goto("/desk/numbers")
    look(page, "/desk/numbers")
    page.goto("/desk/broadcasts")
    look(page, "/desk/broadcasts, none yet")
    with live.app.app_context(), databases.writes():
        words = broadcasts.compose("events", f"{LONG} for {{first_name}}", f"Dear {{first_name}},\n\n{LONG * 3}")
        number = broadcasts.queue("events", words, now=clock.now()).id
        broadcasts.fill_some(number, now=clock.now())
        later = clock.now() + timedelta(hours=1)  # so that it does not end meanwhile
        db.session.execute(update(Message).where(Message.broadcast_id == number).values(due_at=later))
    page.goto("/desk/broadcasts")
    look(page, "/desk/broadcasts")
    page.goto(f"/desk/broadcasts/{number}")
    look(page, "a broadcast that runs")
    press(page, "Pause")
    look(page, "a broadcast that is paused")
    press(page, "Stop")
    look(page, "a broadcast that was stopped")
    page.goto("/desk/requests/new")
    look(page, "/desk/requests/new")
    press(page, "Write it down")
    look(page, "/desk/requests/new with an error", status=422)
    page.goto("/desk/requests/IM-2222-2222")
    look(page, "no such request", status=404)
    page.goto("/profile")
    look(page, "/profile as desk", status=403)
    assert not look.faults, "\n".join(look.faults)


def test_lists_and_the_way_back(live: Live, page: Page, look: Look) -> None:
    person, colleague = live.somebody(organization=LONG), live.colleague()
    with live.app.app_context(), databases.writes():
        member = live.member(person)
        day = clock.society_date(clock.now())
        fair = events.add(LONG, name=LONG, starts_on=day, ends_on=day, place="Delft", exhibition=True)
        events.register(member, fair)
        for code, value in (("attendee_list", "public"), ("sponsor_sharing", "yes")):
            choices.change(member.subject, code, to=value, via=Door.PAGE, now=clock.now())
        for audience, to in (("public", "The web"), ("sponsors", LONG)):
            made = lists.file(AUDIENCES[audience], fair, to=to, by=None, now=clock.now())
            lists.approve(made, by=live.account(colleague), now=clock.now())
            lists.release(made, io.StringIO(), by=None, now=clock.now())
        choices.change(member.subject, "sponsor_sharing", to="no", via=Door.PAGE, now=clock.now())
        conflict = Conflict(member_id=member.id, field="city", brought=LONG, at=clock.now(), seen_at=clock.now())
        db.session.add(conflict)
        db.session.flush()
        number, first, contradiction = made.number, changes.waiting(limit=99)[0][-1].first, conflict.id
    page.goto(f"/events/{LONG}/roster")
    look(page, "a public roster")
    at_the_desk(page, colleague, "/desk/lists")
    look(page, "/desk/lists")
    press(page, "Look first")
    look(page, "/desk/lists with errors", status=422)
    pick(page, "For whom", "Public roster")
    page.get_by_label("Event").select_option(LONG)
    box(page, "Who receives it").fill(LONG)
    press(page, "Look first")
    look(page, "a look before a list leaves")
    page.goto("/desk/disclosures")
    box(page, "Email address or member number of the person").fill(person.email)
    pick(page, "May the person be told?", "Not yet: a law or a court forbids it")
    press(page, "Write it down")
    look(page, "/desk/disclosures with errors", status=422)
    box(page, "Name of the recipient").fill(LONG)
    box(page, "For what").fill(LONG)
    page.get_by_label("Birth date").check()
    box(page, "Not before").fill((day + timedelta(days=9)).isoformat())
    box(page, "Which law or order").fill(LONG)
    press(page, "Write it down")
    look(page, "/desk/disclosures, not told yet")
    paths = ("lists/" + number, "recalls", "changes", f"changes/{first}", f"conflicts/{contradiction}")
    for path in paths:
        page.goto(f"/desk/{path}")
        look(page, f"/desk/{path}")
    assert not look.faults, "\n".join(look.faults)


def open_everything(page: Page) -> None:
    """Unfold each part that is folded."""
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
