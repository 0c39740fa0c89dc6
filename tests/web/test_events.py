"""The events: who sees a member and why, an answer for one event, undo, and what a recognition's owner can do."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select

from portal import journal
from portal.domain import choices, event_choices, events
from portal.extensions import db
from portal.models import ChoiceRow, DataSubjectRequest, Event, Recognition
from portal.vocabulary import Door
from tests.browse import Browse, Page
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import recognition

SAME = "Same as my default (now: Nobody)"


@pytest.fixture(autouse=True)
def registered(people: People, clock: Any) -> None:
    """Alice goes to both events, Bob to the symposium."""
    day = date(2027, 2, 10)
    with writes():
        symposium = events.add("SYM 27", name="Symposium", starts_on=day, ends_on=day, place="Raleigh", exhibition=True)
        over = date(2026, 3, 4)
        workshop = events.add("WS", name="Workshop", starts_on=over, ends_on=over, place="", exhibition=False)
        events.register(people.alice, symposium, role="Speaker")
        events.register(people.alice, workshop)
        events.register(people.bob, symposium)


def cell(page: Page, row: str, audience: str) -> str:
    """What the matrix says."""
    (found,) = [each for each in page.soup.select(".matrix tbody tr") if row in each.select("th")[0].get_text()]
    return " ".join(found.select(f'td[data-heading="{audience}"]')[0].get_text(" ").split())


def card(page: Page, audience: str) -> str:
    (found,) = [
        each
        for each in page.soup.select("section.card")
        if each.select("h3") and each.select("h3")[0].get_text() == audience
    ]
    return " ".join(found.get_text(" ").split())


def test_an_answer_for_one_event_and_its_undo(browse: Browse, people: People) -> None:
    """P19: inherited until chosen; the page says what stands and why, and shows the very line."""
    browse.sign_in(people.alice)
    page = browse("/events")
    assert [cell(page, "By default", name) for name in ("Public roster", "Employers")] == [
        "Not shown not chosen yet"
    ] * 2
    assert (cell(page, "Workshop", "Exhibitors"), cell(page, "Workshop", "Employers")) == (
        "no exhibition",
        "not by event",
    )
    page = browse("/events/SYM%2027")
    assert (page.controls()["attendee_list"], page.controls()["sponsor_sharing"]) == ("default", "default")
    assert "You have not chosen anything yet" in card(page, "Sponsors")
    assert "Nothing. You are not on this list." in card(page, "Sponsors")

    browse.press("Save", {"Attendee list": "Other attendees", "Sponsor sharing": "Yes"})
    page = browse.follow()
    assert f"Attendee list is now “Other attendees”. It was “{SAME}”." in page.said
    assert "Now: Yes, chosen for this event on 4 December 2026, set by you, on this site." in page.said
    for words in ("Shown", "Alice", "Okonkwo-Lindqvist", "SE", "Alice.Okonkwo@mail.example.org", "Ceramic substrates"):
        assert words in card(page, "Sponsors")
    assert "Principal Packaging Engineer" in card(page, "Other attendees")
    assert "Not shown" in card(page, "Public roster")
    page = browse("/events")
    assert cell(page, "Symposium", "Exhibitors") == "Shown your answer here"
    assert cell(page, "Workshop", "Sponsors") == "Not shown not chosen yet"
    rows = db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)).all()
    assert [(row.code, row.value, row.door, row.at) for row in rows] == [
        ("attendee_list", "attendees", Door.PAGE, NOW),
        ("sponsor_sharing", "yes", Door.PAGE, NOW),
    ]
    assert rows[0].wording.startswith("Symposium: When you register for an event, who may see that you are coming?")

    browse("/events/SYM%2027?after=0")
    browse.press("Undo")
    page = browse.follow()
    assert "Undone" in page.said
    assert (page.controls()["attendee_list"], page.controls()["sponsor_sharing"]) == ("default", "default")
    lines = [line for path in journal.files() for line, _ in journal.read(path, position=0)]
    assert sorted((line.code, line.value, line.event) for line in lines) == [
        ("attendee_list", "nobody", "SYM 27"),
        ("sponsor_sharing", "no", "SYM 27"),
    ], "what tightens stands in the journal, as what then stood"


def test_the_next_event_comes_first_and_what_is_over_last(browse: Browse, people: People) -> None:
    """Its days say once what they share."""
    with writes():
        for code, first, last in (
            ("FAR", date(2027, 12, 30), date(2028, 1, 2)),
            ("OLD", date(2025, 3, 30), date(2025, 4, 2)),
            ("NEXT", date(2026, 12, 7), date(2026, 12, 9)),
        ):
            made = events.add(code, name=code, starts_on=first, ends_on=last, place="", exhibition=False)
            events.register(people.alice, made)
    browse.sign_in(people.alice)
    heads = [each.get_text(" ", strip=True) for each in browse("/events").soup.select(".matrix tbody th")][1:]
    assert heads == [
        "NEXT 7 to 9 December 2026",
        "Symposium 10 February 2027, Raleigh",
        "FAR 30 December 2027 to 2 January 2028",
        "Workshop 4 March 2026. It is over.",
        "OLD 30 March to 2 April 2025. It is over.",
    ]


def test_it_follows_the_default_until_it_has_an_answer(browse: Browse, people: People) -> None:
    with writes():
        choices.change(people.alice.subject, "attendee_list", to="public", via=Door.IMPORT, now=NOW)
    browse.sign_in(people.alice)
    page = browse("/events/WS")
    assert "This event is over" in page.said
    assert "no exhibition" in page.said
    assert "Your default: “Public roster”, since 4 December 2026, set by the society's membership records." in page.said
    browse.press("Save")
    page = browse.follow()
    assert "as they were before" in page.said
    assert "You chose “same as my default” here" in page.said
    with writes():
        choices.change(people.alice.subject, "attendee_list", to="nobody", via=Door.PAGE, now=NOW)
    page = browse.press("Save", {"Attendee list": "Public roster"}, status=422)
    assert "another place" in page.said
    assert page.controls()["attendee_list"] == "public", "what was picked stays picked"
    browse.press("Save")
    assert "Attendee list is now “Public roster”" in browse.follow().said
    browse("/events/WS", method="POST", data={"csrf_token": page.controls()["csrf_token"]}, status=422)
    with writes():
        db.session.merge(people.alice).subject.restricted_at = NOW
    page = browse("/events")
    assert cell(page, "Workshop", "Public roster") == "Not shown restricted"


def test_bob_finds_no_event_that_is_not_his(browse: Browse, people: People) -> None:
    browse.sign_in(people.bob)
    token = browse("/events/SYM%2027").controls()["csrf_token"]
    assert "Workshop" not in browse("/events").said
    data = {"csrf_token": token, "attendee_list": "public", "sponsor_sharing": "yes", "seen": "0", "shown": "0"}
    for path in ("/events/WS", "/events/nothing", "/events/WS/undo/0"):
        browse(path, status=404, method="POST", data=data)
    browse("/events/WS", status=404)
    assert "About pictures" not in browse("/requests/new/objection?event=WS").said
    assert db.session.scalars(select(ChoiceRow)).first() is None
    browse.sign_in(people.dana)
    browse("/events", status=403)


def test_pictures_and_recognitions_lead_to_a_request(browse: Browse, people: People) -> None:
    """P34: an objection to images begins at the event. P18: who is named sees it, corrects it and objects to it."""
    with writes():
        db.session.add_all(
            [recognition(people.alice.id, "R-1", "Alice O."), recognition(people.bob.id, "R-2", "Bob T.")]
        )
    browse.sign_in(people.alice)
    page = browse("/events/SYM%2027")
    (path,) = [str(each["href"]) for each in page.soup.select("main a") if each.get_text() == "object to it"]
    assert browse(path).controls()["details"].strip() == "About pictures and recordings of me at Symposium:"
    browse.press(
        "Send", {"What we need to know": "About pictures and recordings of me at Symposium: the stage, please."}
    )
    assert db.session.scalars(select(DataSubjectRequest.details)).one().endswith("the stage, please.")
    page = browse("/profile")
    assert "Head of the ceramics committee" in page.said
    assert "1 January 2024 to 31 December 2026" in page.said
    assert "Bob T." not in page.said
    for kind in ("correction", "objection"):
        begun = browse(f"/requests/new/{kind}?recognition=R-1").controls()["details"]
        assert begun.strip() == "About my published entry R-1 (“Head of the ceramics committee”):"
        assert browse(f"/requests/new/{kind}?recognition=R-2").controls()["details"] == ""
    page = browse("/held/your-membership")
    assert "Alice O." in page.said
    assert "everybody who reads what the society publishes" in page.said


def test_other_pages_lead_there(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    for path in ("/", "/choices"):
        assert "/events" in [each["href"] for each in browse(path).soup.select("main a")]
    with writes():
        event = db.session.scalars(select(Event).where(Event.code == "WS")).one()
        answers = {"sponsor_sharing": "default"}
        alice = db.session.merge(people.alice)
        event_choices.change_many(alice.subject, event, answers, seen=0, via=Door.PAGE, now=NOW)
    page = browse("/held/your-choices")
    assert "Same as your default" in page.said
    assert "/events" in [each["href"] for each in page.soup.select("main a")]
    assert db.session.scalars(select(Recognition)).first() is None
