"""The choices: what stands, since when and by whom, change it, take the change back (P5, P10, P19 to P21, P33)."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from portal import clock
from portal.extensions import db
from portal.models import ChoiceRow, Notice
from portal.purposes import CHOICES, SUPPRESS, TOPICS
from portal.tokens import sign_unsubscribe
from tests.browse import Browse, Page
from tests.databases import writes
from tests.people import NOW, People

OTHER = [
    (choice.label, option.label, code, option.value)
    for code, choice in CHOICES.items()
    for option in choice.options
    if option.value != choice.default
]


def rows() -> list[ChoiceRow]:
    db.session.rollback()
    return list(db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)))


def newest() -> dict[str, str]:
    return {row.code: row.value for row in rows()}


def question(page: Page, label: str) -> str:
    (found,) = [each for each in page.soup.find_all("fieldset", role="radiogroup") if each.find("legend").text == label]
    return " ".join(found.get_text(" ").split())


def test_until_one_chooses_nobody_sees_one(browse: Browse, people: People) -> None:
    """P19, P20, P21: nobody and no, until the person says otherwise; saying nothing leaves no row."""
    browse.sign_in(people.alice)
    page = browse("/choices")
    held = page.controls()
    assert (held["attendee_list"], held["sponsor_sharing"], held["employer_sharing"]) == ("nobody", "no", "no")
    assert (held["post"], held["phone"], held[SUPPRESS]) == ("no", "no", "no")
    assert {name for name in held if name.startswith("topic_") and held[name] == "off"} == {
        "topic_sponsor_offers",
        "topic_recruiting",
    }
    assert "It stays like this until you choose" in question(page, "Sponsor sharing")
    assert rows() == []


def test_the_questions_have_the_words_of_the_contract(browse: Browse, people: People) -> None:
    """P10, P29: every topic and publication by itself, and every other choice, on one page."""
    browse.sign_in(people.alice)
    page = browse("/choices")
    labels = [each.find("legend").get_text() for each in page.soup.find_all("fieldset", role="radiogroup")]
    assert labels == [
        "Suppress Broadcast Emails",
        *(topic.name for topic in TOPICS.values()),
        "Attendee list",
        "Sponsor sharing",
        "Employer sharing",
        "Post",
        "Phone",
    ]
    for words in (
        "name, company, country, job title, email address and type of business",
        "education, work experience",
    ):
        assert words in page.said


@pytest.mark.parametrize(("label", "option", "code", "value"), OTHER, ids=[f"{each[2]}-{each[3]}" for each in OTHER])
def test_each_choice_can_be_changed_and_taken_back(
    browse: Browse, people: People, clock: Any, label: str, option: str, code: str, value: str
) -> None:
    """P5, P10, P33: each answer is kept with its wording, the notice in force, the door and the time."""
    with writes():
        db.session.add(Notice(version=1, text="#", change="wording", published_at=NOW, effective_on=NOW.date()))
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {label: option})
    said = browse.follow().said
    assert f"{label} is now “{option}”" in said
    (row,) = [each for each in rows() if each.code == code]
    assert (row.value, row.door, row.at, row.notice_version) == (value, "page", NOW, 1)
    meant = CHOICES[code].option(value)
    assert row.wording == f"{CHOICES[code].question} {meant.label}: {meant.meaning}"
    assert f"Now: {option}, since 4 December 2026, set by you, on this site." in question(browse.page, label)
    browse.press("Undo")
    assert "Undone" in browse.follow().said
    assert newest()[code] == CHOICES[code].default
    assert len([each for each in rows() if each.code == code]) == 2, "nothing is overwritten"


def test_the_door_is_named(browse: Browse, people: People) -> None:
    doors = {"import": "the society's membership records", "staff": "the society's staff", "link": "you, by the link"}
    browse.sign_in(people.alice)
    for door, words in doors.items():
        with writes():
            subject = db.session.merge(people.alice).id
            db.session.add(
                ChoiceRow(subject_id=subject, code="post", value="yes", at=clock.now(), door=door, wording="x")
            )
        assert f"set by {words}" in question(browse("/choices"), "Post")


def test_undo_ends_after_half_an_hour(browse: Browse, people: People, clock: Any) -> None:
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Post": "Yes"})
    browse.follow()
    clock.shift(29 * 60)
    page = browse(browse.page.path)
    assert page.has_button("Undo")
    clock.shift(61)
    page = browse.press("Undo", status=422)
    assert "nothing to undo" in page.said
    assert newest()["post"] == "yes"


def test_an_undo_of_somebody_else_does_nothing(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Post": "Yes"})
    browse.sign_in(people.bob)
    token = browse("/choices").controls()["csrf_token"]
    newest_row = str(rows()[-1].id)
    browse("/choices/undo/0", method="POST", data={"csrf_token": token, "shown": newest_row}, status=422)
    assert newest()["post"] == "yes"


def test_an_older_page_takes_back_nothing(browse: Browse, people: People) -> None:
    """What the page never showed is not taken back with what it did: a topic stopped by its link meanwhile."""
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Post": "Yes"})
    browse.follow()
    press_link(browse, people)
    browse.turn_to(people.alice)
    count = len(rows())
    browse.press("Undo")
    page = browse.follow()
    assert "another place" in page.said
    assert "Nothing was undone" in page.said
    assert len(rows()) == count
    assert "Post is now “Yes”. It was “No”." in page.said
    assert "Events: now" not in page.said
    browse.press("Undo")
    browse.follow()
    assert (newest()["post"], newest()["topic_events"]) == ("no", "off")


def test_what_a_link_has_stopped_since_is_not_offered_back(browse: Browse, people: People) -> None:
    """The page said “on”, the link said “off” after it: there is nothing of the page's left to take back."""
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Events": "Off"})
    browse.follow()
    browse.press("Save", {"Events": "On"})
    browse.follow()
    press_link(browse, people)
    browse.turn_to(people.alice)
    browse.press("Undo")
    page = browse.follow()
    assert "Nothing was undone" in page.said
    assert not page.has_button("Undo")
    assert newest()["topic_events"] == "off"


def press_link(browse: Browse, people: People) -> None:
    """Stop the topic Events by the link in an email."""
    reference = people.alice.subject.unsubscribe_reference
    browse(f"/unsubscribe/{sign_unsubscribe(reference, 'events')}", as_=None)
    browse.press("Unsubscribe", status=200)


def test_an_older_page_overwrites_nothing(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    older = browse("/choices")
    browse.press("Save", {"Suppress Broadcast Emails": "Yes, stop them"})
    count = len(rows())
    browse.open[browse.who] = older
    page = browse.press("Save", {"Sponsor sharing": "Yes"}, status=422)
    assert "another place" in page.said
    assert len(rows()) == count
    assert newest()[SUPPRESS] == "yes"


def test_saving_what_stands_is_an_answer_once(browse: Browse, people: People) -> None:
    """So that no import can loosen later what the person has seen and left as it is."""
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save")
    assert "as they were before" in browse.follow().said
    assert newest() == {code: choice.default for code, choice in CHOICES.items()}
    browse.press("Save")
    assert len(rows()) == len(CHOICES)


@pytest.mark.parametrize("code", list(CHOICES))
def test_a_made_up_answer_is_refused(browse: Browse, people: People, code: str) -> None:
    browse.sign_in(people.alice)
    browse("/choices")
    page = browse.press("Save", {code: "everything"}, status=422)
    assert page.beside(code)
    assert rows() == []


def test_a_question_left_out_is_asked_again(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    form = browse("/choices").controls()
    form.pop("employer_sharing")
    assert browse.client.post("/choices", data=form).status_code == 422
    assert rows() == []


@pytest.mark.parametrize("statement", ["UPDATE choice SET value = 'no'", "DELETE FROM choice"])
def test_the_database_itself_refuses_to_change_an_answer(browse: Browse, people: People, statement: str) -> None:
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Post": "Yes"})
    with pytest.raises(DatabaseError):
        db.session.execute(text(statement))
    assert newest()["post"] == "yes"


def test_choices_are_one_persons_own(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Attendee list": "Public roster"})
    browse.sign_in(people.bob)
    assert browse("/choices").controls()["attendee_list"] == "nobody"
