"""A list from a no for one event to what the member reads of it, as member, two of the desk, and a stranger walk it."""

from __future__ import annotations

import csv
from pathlib import Path

from portal import clock
from portal.domain import choices, events
from portal.extensions import db
from portal.models import ChoiceRow
from portal.vocabulary import Door
from tests import databases
from tests.browser.conftest import OpenBrowser
from tests.browser.live import Live, Person
from tests.browser.steps import at_the_desk, box, follow, pick, press, reads, sees, sign_in, turn_to

FAIR = "BONDING-26"


def test_a_list_for_sponsors(live: Live, open_browser: OpenBrowser) -> None:
    """P19, P20: who says no for this event is not on it; who is on it reads what went; a later no is passed on."""
    ada, ben = live.somebody(last_name="Quist"), live.somebody(last_name="Orlov")
    register(live, ada, ben)
    say_no_for_this_event(live, ben)
    page, desk, second = (open_browser(java_script_enabled=False) for _ in range(3))

    at_the_desk(desk, live.colleague(), "/desk/lists")
    pick(desk, "For whom", "Sponsors")
    desk.get_by_label("Event").select_option(FAIR)
    box(desk, "Who receives it").fill("Gold Wire Works")
    press(desk, "Look first")
    reads(desk, "People who agree now 1")
    reads(desk, "Quist")
    press(desk, "File it")
    reads(desk, "It waits for a second person")
    at_the_desk(second, live.colleague(), desk.url.removeprefix(live.url))
    press(second, "Approve")
    reads(second, "is approved")
    desk.reload()
    with desk.expect_download() as waiting:
        press(desk, "Release")
    (line,) = rows(waiting.value.path())
    assert (line["email"], line["last_name"]) == (ada.email, "Quist")
    number = line["list"].rpartition("-")[0]

    sign_in(page, ada)
    turn_to(page, "What we hold")
    reads(page, f"went to Gold Wire Works (sponsors of Wire Bonding Days), list {number}.")
    turn_to(page, "Choices")
    pick(page, "Sponsor sharing", "No")
    press(page, "Save")
    turn_to(page, "Profile")
    sees(page, "Member Information")
    press(page, "Sign out")
    sign_in(page, ben)
    turn_to(page, "What we hold")
    assert "Gold Wire Works" not in page.content()
    press(page, "Sign out")

    desk.goto("/desk/lists")
    follow(desk, "See whom to tell")
    reads(desk, f"use them no more: {line['list']}.")
    assert "Quist" not in desk.content()
    told = desk.locator("section", has_text=number).get_by_role("button", name="Told")
    told.click()
    sign_in(page, ada)
    turn_to(page, "What we hold")
    reads(page, "we asked them to delete it.")


def register(live: Live, *people: Person) -> None:
    """Both come, and both let sponsors know as a rule."""
    with live.app.app_context(), databases.writes():
        day = clock.society_date(clock.now())
        made = events.add(FAIR, name="Wire Bonding Days", starts_on=day, ends_on=day, place="Delft", exhibition=True)
        for person in people:
            member = live.member(person)
            events.register(member, made)
            choices.change(member.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=clock.now())


def say_no_for_this_event(live: Live, person: Person) -> None:
    with live.app.app_context(), databases.writes():
        member = live.member(person)
        (there,) = events.of(member)
        row = ChoiceRow(subject_id=member.id, code="sponsor_sharing", value="no", event_id=there.event_id)
        row.at, row.door, row.wording = clock.now(), Door.PAGE, "May sponsors of this event receive your details?"
        db.session.add(row)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))
