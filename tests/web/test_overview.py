"""The overview and the places in every page's head: one answer a part, one way to change it, and where one is."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select

from portal.domain import event_choices, events, trail
from portal.extensions import db
from portal.models import Event
from portal.purposes import SAME
from portal.vocabulary import Door
from tests.browse import Browse, Page
from tests.databases import writes
from tests.people import NOW, People

PARTS = {
    "What we send you": "/choices",
    "Who sees you": "/events",
    "What we hold": "/held",
    "What you asked for": "/requests/new",
    "What changed lately": "/history",
}


def places(page: Page) -> dict[str, str]:
    """The places of the head by their words, each with how it is marked."""
    return {a.get_text(): str(a.get("aria-current", "")) for a in page.soup.select("nav.places a")}


def test_five_parts_each_with_one_way_on(browse: Browse, people: People) -> None:
    """What changed lately tells answers for single events, too; what comes next is named, what is over is not."""
    with writes():
        for code, day in (("OLD", date(2026, 5, 4)), ("FAR", date(2027, 9, 9)), ("NEXT", date(2027, 2, 3))):
            made = events.add(code, name=f"{code} days", starts_on=day, ends_on=day, place="", exhibition=True)
            events.register(people.alice, made)
        answers = {"attendee_list": SAME, "sponsor_sharing": "yes"}
        event_choices.change_many(people.alice.subject, made, answers, seen=0, via=Door.PAGE, now=NOW)
    browse.sign_in(people.alice)
    page = browse("/")
    heads = {
        each.h2.get_text(): str(each.a["href"]) for each in page.soup.select(".card > .head") if each.h2 and each.a
    }
    assert heads == PARTS
    assert "Sponsor sharing (NEXT days): Yes 4 December 2026, by you, on this site" in page.said
    assert "Next: NEXT days" in page.said
    assert "OLD days" not in page.said
    assert page.soup.select(".card > .head a")[0].get_text() == "Change – What we send you"
    assert "Nothing is open. You can ask" in page.said


def test_what_happened_three_times_a_day_is_said_once(browse: Browse, people: People) -> None:
    with writes():
        trail.record(people.alice.id, "changed", field="city", door=Door.STAFF, now=NOW - timedelta(days=1))
        for hour in range(5):
            trail.look(people.alice.id, "looked at", now=NOW - timedelta(hours=hour))
    browse.sign_in(people.alice)
    lately = [" ".join(each.get_text(" ").split()) for each in browse("/").soup.select(".lately li")]
    assert len(lately) == len(set(lately)) <= 4
    assert [each.partition(" 4 December")[0] for each in lately[:1]] == ["Your record was looked at"]
    assert any(each.startswith("City changed 3 December 2026") for each in lately)


def test_what_the_next_event_has_of_its_own_comes_first(browse: Browse, people: People) -> None:
    with writes():
        made = events.add(
            "NEXT", name="NEXT days", starts_on=date(2027, 2, 3), ends_on=date(2027, 2, 3), place="", exhibition=True
        )
        events.register(people.alice, made)
    browse.sign_in(people.alice)
    default = "Attendee list Nobody Sponsor sharing No Employer sharing No"
    assert f"{default} Next: NEXT days , 3 February 2027" in browse("/").said
    for number, (own, shown) in enumerate((("yes", "Yes"), (SAME, ""))):
        with writes():
            subject = db.session.merge(people.alice.subject)
            event = db.session.scalars(select(Event)).one()
            seen = event_choices.newest_row(subject.id, event.id)
            answers = {"attendee_list": SAME, "sponsor_sharing": own}
            event_choices.change_many(subject, event, answers, seen=seen, via=Door.PAGE, now=NOW)
        said = browse("/").said
        there = f"Next: NEXT days , 3 February 2027 Attendee list Nobody Sponsor sharing {shown} By default {default}"
        assert (there in said) == (number == 0)
        assert (f"{default} Next: NEXT days" in said) == (number == 1), "as by default"


def test_six_places_and_the_one_where_i_am(browse: Browse, people: People) -> None:
    """The same everywhere; the desk has places of its own, and whoever is both goes across."""
    browse.sign_in(people.alice)
    mine = ["Overview", "Profile", "Choices", "What we hold", "Requests", "Security"]
    for path, at, how in (
        ("/", "Overview", "page"),
        ("/profile/edit", "Profile", "true"),
        ("/events", "Choices", "true"),
        ("/history", "What we hold", "true"),
        ("/requests/new/access", "Requests", "true"),
        ("/security", "Security", "page"),
        ("/cookies", "", ""),
    ):
        shown = places(browse(path))
        assert list(shown) == mine, path
        assert {words: mark for words, mark in shown.items() if mark} == ({at: how} if at else {}), path
    browse.sign_in(people.dana)
    desk = places(browse("/desk"))
    assert list(desk) == ["Desk", "Lists", "Disclosures", "Changes", "Broadcasts", "Security"]
    assert desk["Desk"] == "page"
    assert places(browse("/desk/suspended"))["Desk"] == "true"
    assert list(places(browse("/security"))) == list(desk), "she has no record, so nothing of a member is hers"
    with writes():
        people.alice.account.staff = True  # type: ignore[union-attr]
    browse.sign_in(people.alice)
    assert browse("/").soup.select_one(".account a[href='/desk']") is not None
    assert list(places(browse("/desk"))) == list(desk)
    assert browse("/desk").soup.select_one(".account a[href='/']") is not None
