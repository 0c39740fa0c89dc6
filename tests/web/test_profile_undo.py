"""A saved profile says what is now true, and can be undone for half an hour (P6, P7, GDPR Art. 16)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal import clock as our_clock
from portal.cli import worker
from portal.domain import choices, members
from portal.extensions import db
from portal.models import FormerValue, Trail
from portal.purposes import SUPPRESS
from portal.vocabulary import Door
from tests.browse import Browse
from tests.databases import writes
from tests.people import ALICE, People
from tests.web.test_profile import EDITED, edit, standing, told

LONG_WORD = "W" * 60
SAID = "Post town is now “Boston”. It was “Uppsala”."


@pytest.fixture
def saved(clock: Any, browse: Browse, people: People) -> Browse:
    """Alice has just moved to Boston."""
    browse.sign_in(people.alice)
    edit(browse, {"city": "Boston"})
    browse.follow()
    return browse


def kept() -> dict[str, str | None]:
    db.session.rollback()
    rows = db.session.execute(select(FormerValue.field, FormerValue.value).order_by(FormerValue.id))
    return {row.field: row.value for row in rows}


def trail() -> list[tuple[str, str, bool]]:
    rows = db.session.scalars(select(Trail).order_by(Trail.id))
    return [(row.field, row.door, row.carried_at is None) for row in rows]


def test_a_save_says_what_is_now_true_by_the_name_on_the_form(saved: Browse, people: People) -> None:
    assert told(saved.page) == [SAID]
    assert "You can undo this until 4 December 2026" in saved.page.said
    saved("/choices")
    assert told(saved("/profile")) == [SAID], "not only once"
    assert kept() == {"city": "Uppsala"}
    with saved.client.session_transaction() as cookie:
        assert "Boston" not in str(cookie)


def test_undo_puts_back_and_can_be_undone(saved: Browse, people: People) -> None:
    version = people.alice.version
    saved.press("Undo")
    page = saved.follow()
    assert "Undone. Your profile is as it was before." in page.said
    assert told(page) == ["Post town is now “Uppsala”. It was “Boston”."]
    assert (people.alice.city, people.alice.version) == ("Uppsala", version + 1)
    assert trail() == [("city", "page", True)] * 2
    saved.press("Undo")
    assert told(saved.follow()) == [SAID]
    assert people.alice.city == "Boston"


def test_every_field_comes_back(browse: Browse, people: People) -> None:
    before = {name: getattr(people.alice, name) for name in EDITED}
    browse.sign_in(people.alice)
    edit(browse, EDITED | {"Suppress Broadcast Emails": True})
    browse.follow()
    assert kept()["birth_date"] == str(ALICE["birth_date"])
    browse.press("Undo")
    browse.follow()
    assert {name: getattr(people.alice, name) for name in EDITED} == before
    assert isinstance(people.alice.birth_date, date)
    assert standing(people) == [("yes", "page"), ("no", "page")]


def test_what_was_cleared_and_what_was_empty(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"birth_date": "", "address_line2": "Box 7"})
    page = browse.follow()
    assert "Birth date is now empty. It was “17 May 1964”." in told(page)
    assert "Address line 2 is now “Box 7”. It was “Staircase B”." in told(page)
    browse.press("Undo")
    assert "Birth date is now “17 May 1964”. It was empty." in told(browse.follow())
    assert kept() == {"birth_date": None, "address_line2": "Box 7"}


def test_words_of_any_script_and_length_stand_by_themselves(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"city": "القاهرة", "organization": "日本の陶器", "job_title": LONG_WORD, "interests": "One\nTwo"})
    page = browse.follow()
    shown = [each.get_text() for each in page.soup.select(".notice.success bdi")]
    assert {"القاهرة", "日本の陶器", LONG_WORD} <= set(shown)
    assert "Areas of interest: the text below is new. Undo brings the former text back." in told(page)
    edit(browse, {"interests": ""})
    assert told(browse.follow()) == ["Areas of interest: now empty. Undo brings the former text back."]
    assert "One" not in page.soup.select(".notice.success")[0].get_text()


def test_the_check_box_alone(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"Suppress Broadcast Emails": True})
    version = people.alice.version
    assert told(browse.follow()) == ["Suppress Broadcast Emails is now “on”. It was “off”."]
    browse.press("Undo")
    assert told(browse.follow()) == ["Suppress Broadcast Emails is now “off”. It was “on”."]
    assert people.alice.version == version
    assert standing(people) == [("yes", "page"), ("no", "page")]


def test_an_answer_by_another_door_ends_the_undo(browse: Browse, people: People) -> None:
    """Unsubscribed by a link since: pressing Undo must not let mail out again, nor undo a half."""
    browse.sign_in(people.alice)
    with writes():
        choices.change(people.alice.subject, SUPPRESS, to="yes", via=Door.PAGE, now=our_clock.now())
    edit(browse, {"city": "Boston", "Suppress Broadcast Emails": False})
    browse.follow()
    with writes():
        subject = db.session.merge(people.alice.subject)
        choices.change(subject, SUPPRESS, to="yes", via=Door.LINK, now=our_clock.now())
    browse.press("Undo")
    page = browse.follow()
    assert "Nothing was undone" in page.said
    assert not page.has_button("Undo")
    assert people.alice.city == "Boston"
    assert standing(people)[-1] == ("yes", "link")


@pytest.mark.parametrize("minutes", [29, 30])
def test_a_link_that_says_the_same_ends_the_undo(browse: Browse, people: People, clock: Any, minutes: int) -> None:
    """Told "you get no more mail" by a link, after the box was ticked: the page's Undo lets none out again."""
    browse.sign_in(people.alice)
    edit(browse, {"city": "Boston", "Suppress Broadcast Emails": True})
    browse.follow()
    clock.shift(timedelta(minutes=minutes))
    for _ in "twice":
        with writes():
            subject = db.session.merge(people.alice.subject)
            choices.change(subject, SUPPRESS, to="yes", via=Door.ONE_CLICK, now=our_clock.now())
    assert standing(people) == [("yes", "page"), ("yes", "one-click")][: 1 + (minutes < 30)], (
        "once, while it can matter"
    )
    if minutes < 30:
        browse.press("Undo")
        assert "Nothing was undone" in browse.follow().said
        assert standing(people)[-1] == ("yes", "one-click")


def test_a_change_by_another_door_ends_the_undo(saved: Browse, people: People) -> None:
    with writes():
        alice = members.one(people.alice.id)
        members.save_profile(alice, {"phone": ""}, version=alice.version, via=Door.IMPORT, now=our_clock.now())
    saved.press("Undo")
    page = saved.follow()
    assert "changed in another place" in page.said
    assert "Nothing was undone" in page.said
    assert not page.has_button("Undo")
    assert (people.alice.city, people.alice.phone) == ("Boston", "")


def test_an_older_page_undoes_nothing_newer(saved: Browse, people: People) -> None:
    """Also where the newer save moved the check box alone, which leaves the record as it is."""
    older = saved.page
    for newer in ({"Suppress Broadcast Emails": True}, {"city": "Lund"}):
        edit(saved, newer)
        saved.open[saved.who] = older
        saved.press("Undo")
        assert "Nothing was undone" in saved.follow().said
    assert people.alice.city == "Lund"
    assert standing(people) == [("yes", "page")]
    assert kept() == {"city": "Boston"}, "only the last save is kept"


def test_undo_ends_after_half_an_hour(saved: Browse, people: People, clock: Any) -> None:
    clock.shift(29 * 60)
    assert saved("/profile").has_button("Undo")
    older = saved.page
    clock.shift(61)
    assert not saved("/profile").has_button("Undo")
    saved.open[saved.who] = older
    assert "nothing to undo" in saved.press("Undo", status=422).said
    assert people.alice.city == "Boston"
    db.session.rollback()
    worker.each_hour(lambda: True)
    assert kept() == {}


def test_the_worker_keeps_what_can_be_undone(saved: Browse, people: People, clock: Any) -> None:
    clock.shift(29 * 60)
    db.session.rollback()
    worker.each_hour(lambda: True)
    assert kept() == {"city": "Uppsala"}


def test_an_undo_of_somebody_else_does_nothing(saved: Browse, people: People) -> None:
    shown = saved.page.controls()["shown"]
    saved.sign_in(people.bob)
    token = saved("/choices").controls()["csrf_token"]
    page = saved("/profile/undo", method="POST", data={"csrf_token": token, "shown": shown}, status=422)
    assert "nothing to undo" in page.said
    assert people.alice.city == "Boston"
    assert told(saved("/profile")) == []


def test_what_we_hold_tells_of_it_in_words(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    edit(browse, {"country": "PL", "city": "Kraków", "Suppress Broadcast Emails": True})
    said = browse("/held/what-changed").said
    assert "What stood in your profile before you saved it" in said
    for words in ("City, Uppsala", "Country, Sweden", "Suppress Broadcast Emails, No, keep sending"):
        assert words in said


def test_nobody_undoes_what_somebody_else_saved(saved: Browse, people: People) -> None:
    """Neither by her number, signed in as another member, nor signed out."""
    shown = str(db.session.scalars(select(FormerValue.id)).one())
    db.session.rollback()
    saved.sign_in(people.bob)
    (token,) = {str(each["value"]) for each in saved("/security").tags if each.get("name") == "csrf_token"}
    answer = saved.client.post("/profile/undo", data={"csrf_token": token, "shown": shown})
    assert answer.status_code == 422
    assert "There is nothing to undo any more." in answer.text
    saved.client.delete_cookie(saved.client.application.config["SESSION_COOKIE_NAME"])
    assert saved.client.post("/profile/undo", data={"shown": shown}).status_code == 400
    assert people.alice.city == "Boston"
    assert kept() == {"city": "Uppsala"}
