"""Without a mouse: Tab reaches every control in its order, one sees where one is, and keys alone do every job."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from portal import clock
from portal.domain import choices, events, requests
from portal.tokens import sign_unsubscribe
from portal.vocabulary import Door
from tests import databases
from tests.browser.conftest import OpenBrowser
from tests.browser.live import Colleague, Live, Person
from tests.browser.steps import box, reads, sees

# Numbers what Tab should reach, in the order of the page (of radio buttons, the chosen or first), and notes
# at each step where the focus is, whether it shows, and whether it is in sight with nothing on top of it.
FOLLOW = """() => {
    const able = "a[href], button, input:not([type=hidden]), select, textarea, summary"
    const seen = each => each.checkVisibility() && !each.disabled
    const named = name => `input[name="${name}"]`
    const one = name => document.querySelector(`${named(name)}:checked`) ?? document.querySelector(named(name))
    const stops = each => each.type !== "radio" || each === one(each.name)
    const found = [...document.querySelectorAll(able)].filter(each => seen(each) && stops(each))
    const drawn = each => {
        const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(each)
        return [outlineStyle, outlineWidth, boxShadow]
    }
    const on_top = (each, {left, width, top, bottom}) => {
        const there = document.elementFromPoint(
            left + Math.min(width / 2, 20), (Math.max(top, 0) + Math.min(bottom, innerHeight)) / 2
        )
        const own = [each, ...(each.labels ?? [])]
        return there && (there.contains(each) || own.some(one => one.contains(there)))
    }
    const calm = new Map(found.map(each => [each, drawn(each).join()]))
    window.steps = []
    document.addEventListener("focusin", ({target}) => {
        const [style, width, shadow] = drawn(target)
        const place = target.getBoundingClientRect()
        const faults = []
        const shows = style !== "none" && parseFloat(width) >= 2 || shadow !== "none"
        const inside = place.bottom > 0 && place.top < innerHeight && place.width > 1 && place.height > 1
        if (!shows || calm.get(target) === drawn(target).join()) faults.push("one does not see the focus")
        if (!inside) faults.push("out of sight")
        else if (!on_top(target, place)) faults.push("something lies on top")
        window.steps.push([found.indexOf(target), faults.join(", ")])
    })
    return found.map(each => `${each.localName} ${each.name || each.textContent.trim()}`)
}"""


def tab_through(page: Page) -> None:
    """Press Tab from the top of the page to its last control."""
    names: list[str] = page.evaluate(FOLLOW)
    for _ in range(len(names) + 4 * page.locator("input[type=date]").count()):  # a date is year, month, day, calendar
        page.keyboard.press("Tab")
    steps: list[tuple[int, str]] = page.evaluate("window.steps")
    for number, name in enumerate(names):
        assert number < len(steps), f"{page.url}: Tab never reached “{name}”"
        reached, faults = steps[number]
        there = names[reached] if reached >= 0 else "nothing that can be used"
        assert reached == number, f"{page.url}: Tab reached “{there}”, where “{name}” comes next"
        assert not faults, f"{page.url}: “{name}”: {faults}"


# What fingers do ------------------------------------------------------------------------------------------


def walk_to(page: Page, control: Locator) -> None:
    """Press Tab until the control has the focus."""
    for _ in range(120):
        if control.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{page.url}: Tab does not lead to {control}")


def go(page: Page, key: str = "Enter") -> None:
    """Press a key that leads to another page."""
    with page.expect_navigation():
        page.keyboard.press(key)


def press(page: Page, button: str) -> None:
    walk_to(page, page.get_by_role("main").get_by_role("button", name=button, exact=True).first)
    go(page, "Space")


def follow(page: Page, link: str) -> None:
    walk_to(page, page.get_by_role("link", name=link, exact=True).first)
    go(page)


def write(page: Page, label: str, text: str) -> None:
    walk_to(page, box(page, label))
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def choose(page: Page, question: str, answer: str) -> None:
    """Walk to a question, and with the arrows to its answer."""
    group = page.get_by_role("radiogroup", name=question, exact=True)
    wanted = group.get_by_label(answer, exact=True)
    chosen = group.get_by_role("radio", checked=True)
    walk_to(page, chosen if chosen.count() else group.get_by_role("radio").first)
    for _ in range(group.get_by_role("radio").count()):
        if wanted.is_checked():
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"the arrows do not lead to {answer}")


def unfold(page: Page, part: str) -> None:
    walk_to(page, page.locator("summary").filter(has_text=part).first)
    page.keyboard.press("Enter")


def give(page: Page, person: Person) -> None:
    write(page, "Email address", person.email)
    write(page, "Password", person.password)
    go(page)


def sign_in(page: Page, person: Person) -> None:
    page.goto("/sign-in")
    give(page, person)
    sees(page, f"Hello, {person.first_name}")


# Every flow -----------------------------------------------------------------------------------------------


def test_profile_and_choices(live: Live, page: Page) -> None:
    sign_in(page, live.somebody())
    follow(page, "Profile")
    follow(page, "Change Contact/Profile Info")
    write(page, "Job title", "Retired")
    go(page)
    reads(page, "Job title is now “Retired”.")
    press(page, "Undo")
    reads(page, "Undone. Your profile is as it was before.")
    follow(page, "Choices")
    choose(page, "Attendee list", "Other attendees")
    go(page)
    reads(page, "Attendee list is now “Other attendees”. It was “Nobody”.")
    press(page, "Undo")
    reads(page, "Undone.")


def test_an_answer_for_one_event(live: Live, page: Page) -> None:
    person = live.somebody()
    day = clock.society_date(clock.now())
    with live.app.app_context(), databases.writes():
        events.register(
            live.member(person),
            events.add("KEYS", name="Keys", starts_on=day, ends_on=day, place="Ulm", exhibition=False),
        )
    sign_in(page, person)
    page.goto("/events")
    follow(page, "Keys")
    choose(page, "Attendee list", "Public roster")
    press(page, "Save")
    reads(page, "Public roster")
    press(page, "Undo")
    reads(page, "Undone.")


def test_a_request_and_its_withdrawal(live: Live, page: Page) -> None:
    sign_in(page, live.somebody())
    follow(page, "Requests")
    follow(page, "New request")
    follow(page, "Delete my data")
    write(page, "Anything to add", "By keys alone.")
    press(page, "Send")
    reads(page, "We have your request.")
    press(page, "Withdraw this request")
    reads(page, "Withdrawn by you")


def test_download_and_the_end_of_a_sign_in(live: Live, page: Page, open_browser: OpenBrowser) -> None:
    person = live.somebody()
    sign_in(open_browser(), person)
    sign_in(page, person)
    follow(page, "What we hold")
    with page.expect_download() as waiting:
        walk_to(page, page.get_by_role("link", name="Download everything (zip)"))
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "your-data.zip"
    follow(page, "Security")
    walk_to(page, page.get_by_role("link", name="End this one").last)
    go(page)
    press(page, "Confirm")
    reads(page, "That sign-in has ended.")


def test_unsubscribing_and_asking(live: Live, page: Page) -> None:
    person = live.somebody()
    with live.app.app_context():
        token = sign_unsubscribe(live.member(person).subject.unsubscribe_reference, "events")
    page.goto(f"/unsubscribe/{token}")
    press(page, "Unsubscribe")
    sees(page, "You are unsubscribed")
    press(page, "Undo")
    sees(page, "Undone")
    page.goto("/ask")
    write(page, "Email address", "by.keys@elsewhere.example.org")
    press(page, "Send")
    sees(page, "Check your email")


def test_the_desk_answers(live: Live, page: Page) -> None:
    person = live.somebody()
    with live.app.app_context(), databases.writes():
        filed = requests.file(
            live.member(person), "complaint", details="Keys.", operation_id="keys", via=Door.PAGE, now=clock.now()
        )
        reference = filed.reference
    enter_desk(page, live.colleague())
    write(page, "Reference or email address", reference)
    go(page)
    follow(page, reference)
    press(page, "Take it")
    unfold(page, "Refuse")
    write(page, "Your answer", "We looked, and you are right.")
    press(page, "Answer and close")
    reads(page, "We looked, and you are right.")


def test_the_desk_releases_a_list(live: Live, page: Page, open_browser: OpenBrowser) -> None:
    person = live.somebody()
    day = clock.society_date(clock.now())
    with live.app.app_context(), databases.writes():
        fair = events.add("QUAY", name="Quay", starts_on=day, ends_on=day, place="Ulm", exhibition=True)
        member = live.member(person)
        events.register(member, fair)
        choices.change(member.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=clock.now())
    enter_desk(page, live.colleague())
    follow(page, "Lists")
    choose(page, "For whom", "Sponsors")
    walk_to(page, page.get_by_label("Event"))
    page.keyboard.type("Quay")
    write(page, "Who receives it", "Gold Wire Works")
    press(page, "Look first")
    press(page, "File it")
    second = open_browser()
    enter_desk(second, live.colleague())
    second.goto(page.url)
    press(second, "Approve")
    reads(second, "is approved")
    page.reload()
    walk_to(page, page.get_by_role("button", name="Release"))
    with page.expect_download():
        page.keyboard.press("Space")


def enter_desk(page: Page, colleague: Colleague) -> None:
    page.goto("/desk")
    give(page, colleague)
    sees(page, "Your code, please")
    write(page, "Code", colleague.code)
    go(page)
    sees(page, "Desk")


def test_skip_link_and_errors(live: Live, page: Page) -> None:
    """The first Tab offers to skip to the content; after a refused form the keyboard stands at what is wrong."""
    sign_in(page, live.somebody())
    follow(page, "Profile")
    sees(page, "Member Information")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="Change Contact/Profile Info")).to_be_focused()
    go(page)
    sees(page, "Change Contact/Profile Info")
    write(page, "First name", "")
    page.keyboard.press("Delete")
    go(page)
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(box(page, "First name")).to_be_focused()


# Every page -----------------------------------------------------------------------------------------------

Paths = tuple[str, ...]
OUTSIDE = ("/", "/sign-in", "/activate", "/ask", "/unsubscribe", "/notice", "/cookies")
INSIDE = (
    *("/", "/profile", "/profile/edit", "/profile/email", "/choices", "/events", "/held", "/history", "/requests"),
    *("/requests/new", "/requests/new/erasure", "/security", "/security/password"),
)
DESK = ("/desk", "/desk/requests/new", "/desk/lists", "/desk/disclosures", "/desk/changes", "/desk/broadcasts")


def test_tab_walks_through_every_page(live: Live, page: Page) -> None:
    walk_all(live, page, OUTSIDE, INSIDE, DESK)


def test_the_focus_is_seen_in_forced_colours(live: Live, open_browser: OpenBrowser) -> None:
    walk_all(live, open_browser(forced_colors="active"), ("/ask",), ("/choices", "/held"), ("/desk/lists",))


def walk_all(live: Live, page: Page, outside: Paths, inside: Paths, desk: Paths) -> None:
    for path in outside:
        page.goto(path)
        tab_through(page)
    sign_in(page, live.somebody())
    for path in inside:
        page.goto(path)
        tab_through(page)
    page.context.clear_cookies()
    enter_desk(page, live.colleague())
    for path in desk:
        page.goto(path)
        tab_through(page)
