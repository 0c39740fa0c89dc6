"""Two at once: what one has begun and not committed, the other waits for or is refused; nothing is half done."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import Context
from threading import Event
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal import clock as portal_clock
from portal.domain import choices, unsubscribe
from portal.domain.errors import DomainError, NothingToUndo, StaleRecord
from portal.extensions import db, transaction
from portal.models import ChoiceRow, Subject
from portal.purposes import CHOICES, SUPPRESS
from portal.tokens import EVERYTHING, UnsubscribeToken
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import People

Verb = Callable[[], Any]


def together(app: Flask, first: Verb, second: Verb) -> tuple[Any, Any]:
    """What both came to, a refusal included. The second begins when the first is done and has not committed yet."""
    db.session.rollback()
    done, go = Event(), Event()

    def early() -> Any:
        with app.app_context(), transaction():
            try:
                made = first()
                db.session.flush()
            finally:
                done.set()
            assert go.wait(20)
            return made

    def late() -> Any:
        assert done.wait(20)
        with app.app_context(), transaction():
            return second()

    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(Context().run, each) for each in (early, late)]
        assert done.wait(20)
        wait(futures, timeout=0.3)  # as far as the second comes
        go.set()
    one, two = (future.exception() or future.result() for future in futures)
    assert all(not isinstance(each, BaseException) or isinstance(each, DomainError) for each in (one, two)), (one, two)
    return one, two


@pytest.fixture
def link(people: People) -> UnsubscribeToken:
    """Alice's link that stops everything."""
    return UnsubscribeToken(people.alice.subject.unsubscribe_reference, EVERYTHING)


def answers(code: str = SUPPRESS) -> list[tuple[str, str]]:
    db.session.rollback()
    query = select(ChoiceRow).where(ChoiceRow.code == code).order_by(ChoiceRow.id)
    return [(row.value, row.door) for row in db.session.scalars(query)]


# Choices --------------------------------------------------------------------------------------------------


def test_a_page_that_knows_nothing_of_a_one_click_overrides_it_not(
    app: Flask, people: People, link: UnsubscribeToken
) -> None:
    ident = people.alice.id
    shown = {code: choice.default for code, choice in CHOICES.items()}

    def save() -> Any:
        subject = db.session.get_one(Subject, ident)
        return choices.change_many(subject, shown, seen=0, via=Door.PAGE, now=portal_clock.now())

    _, saved = together(app, lambda: unsubscribe.stop(link, via=Door.ONE_CLICK, now=portal_clock.now()), save)
    assert isinstance(saved, StaleRecord)
    assert answers() == [("yes", "one-click")]


def test_a_one_click_during_a_first_save_is_the_last_word(app: Flask, people: People, link: UnsubscribeToken) -> None:
    ident = people.alice.id
    shown = {code: choice.default for code, choice in CHOICES.items()}

    def save() -> Any:
        subject = db.session.get_one(Subject, ident)
        return choices.change_many(subject, shown, seen=0, via=Door.PAGE, now=portal_clock.now())

    together(app, save, lambda: unsubscribe.stop(link, via=Door.ONE_CLICK, now=portal_clock.now()))
    assert answers() == [("no", "page"), ("yes", "one-click")]


def test_two_presses_at_once_are_one_answer_and_can_be_given_back(
    app: Flask, people: People, link: UnsubscribeToken
) -> None:
    together(app, *[lambda: unsubscribe.stop(link, via=Door.LINK, now=portal_clock.now())] * 2)
    assert answers() == [("yes", "link")]
    with writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("no", "link")


def test_what_came_twice_before_is_given_back_whole(people: People, link: UnsubscribeToken, clock: Any) -> None:
    """Two equal rows of two presses, as an older portal could leave them: what stood before both comes back."""
    with writes():
        for value, door in (("no", "page"), ("yes", "link"), ("yes", "one-click")):
            db.session.add(answer(people, value, door))
            db.session.flush()
    with writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("no", "link")


def test_a_link_gives_back_only_what_links_stopped(people: People, link: UnsubscribeToken, clock: Any) -> None:
    with writes():
        for value, door in (("yes", "page"), ("yes", "one-click")):
            db.session.add(answer(people, value, door))
            db.session.flush()
    with pytest.raises(NothingToUndo), writes():
        unsubscribe.give_back(link, now=portal_clock.now())
    assert answers()[-1] == ("yes", "one-click")


def answer(people: People, value: str, door: str) -> ChoiceRow:
    return ChoiceRow(
        subject_id=people.alice.id, code=SUPPRESS, value=value, at=portal_clock.now(), door=door, wording="Suppress"
    )
