"""The journal of opt-outs: what was acknowledged counts, whatever happens to the database (rights §5.6, §6.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, text, update

from portal import clock as portal_clock
from portal import journal
from portal.domain import choices, optouts, unsubscribe
from portal.extensions import db
from portal.models import ChoiceRow, JournalMark, Subject
from portal.purposes import SUPPRESS
from portal.tokens import EVERYTHING, UnsubscribeToken, sign_unsubscribe
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import People

LATER = timedelta(minutes=1)


def link_of(people: People) -> UnsubscribeToken:
    return UnsubscribeToken(people.alice.subject.unsubscribe_reference, EVERYTHING)


def is_stopped(people: People) -> bool:
    return choices.standing(people.alice.id)[SUPPRESS].value == "yes"


@contextmanager
def busy() -> Iterator[None]:
    """Another program holds what the portal wants to write, for longer than the portal waits."""
    with db.engine.connect() as other:  # its own BEGIN is IMMEDIATE on SQLite
        if other.dialect.name == "postgresql":
            other.execute(text("LOCK TABLE subject IN ACCESS EXCLUSIVE MODE"))
        else:
            other.execute(text("SELECT 1"))
        yield
        other.rollback()


def rows() -> int:
    return db.session.execute(select(func.count(ChoiceRow.id))).scalar_one()


def test_an_opt_out_stands_in_the_journal_before_it_is_committed(people: People, clock: time_machine.Traveller) -> None:
    unsubscribe.stop(link_of(people), via=Door.LINK, now=portal_clock.now())
    db.session.rollback()
    [path] = journal.files()
    [(line, _)] = journal.read(path, position=0)
    assert (line.code, line.value, line.door) == (SUPPRESS, "yes", "link")
    assert people.alice.email not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o077 == 0


def test_a_line_without_its_row_is_applied_once_and_after_a_moment(
    people: People, clock: time_machine.Traveller
) -> None:
    unsubscribe.stop(link_of(people), via=Door.LINK, now=portal_clock.now())
    db.session.rollback()
    with writes():
        assert optouts.catch_up(now=portal_clock.now()) == 0, "the request may still be about to commit"
    with writes():
        assert optouts.catch_up(now=portal_clock.now() + LATER) == 1
    assert is_stopped(people)
    with writes():
        assert optouts.catch_up(now=portal_clock.now() + LATER) == 0
    assert rows() == 1


def test_a_line_whose_row_is_known_is_not_applied_over_a_later_opt_in(
    people: People, clock: time_machine.Traveller
) -> None:
    with writes():
        unsubscribe.stop(link_of(people), via=Door.LINK, now=portal_clock.now())
        choices.change(people.alice.subject, SUPPRESS, to="no", via=Door.PAGE, now=portal_clock.now())
    with writes():
        assert optouts.catch_up(now=portal_clock.now() + LATER) == 0
    assert not is_stopped(people)


def test_a_restored_older_database_is_brought_up_again(people: People, clock: time_machine.Traveller) -> None:
    with writes():
        unsubscribe.stop(link_of(people), via=Door.ONE_CLICK, now=portal_clock.now())
    with writes():
        optouts.catch_up(now=portal_clock.now() + LATER)
    with writes():  # as if yesterday's copy had come back: neither the row nor the mark
        db.session.execute(update(Subject).values(erased_at=portal_clock.now()))
        db.session.execute(delete(ChoiceRow))
        db.session.execute(delete(JournalMark))
        db.session.execute(update(Subject).where(Subject.id == people.alice.id).values(erased_at=None))
    assert not is_stopped(people)
    with writes():
        assert optouts.catch_up(now=portal_clock.now() + LATER) == 1
    assert is_stopped(people)


def test_an_opt_in_is_not_in_the_journal(people: People, clock: time_machine.Traveller) -> None:
    with writes():
        choices.change(people.alice.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=portal_clock.now())
    assert journal.files() == []


def test_a_line_cut_by_a_full_disk_costs_only_itself(people: People, clock: time_machine.Traveller) -> None:
    reference = people.alice.subject.unsubscribe_reference
    journal.note(reference, SUPPRESS, "yes", door=Door.LINK, at=portal_clock.now())
    [path] = journal.files()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert len(list(journal.read(path, position=0))) == 1
    journal.note(reference, "topic_events", "off", door=Door.LINK, at=portal_clock.now())
    assert [line.code for line, _ in journal.read(path, position=0)] == [SUPPRESS, "topic_events"]


@pytest.mark.parametrize("body", [{"List-Unsubscribe": "One-Click"}, {"confirm": "1"}])
def test_while_the_database_is_away_the_link_still_acknowledges(
    app: Flask, client: FlaskClient, people: People, body: dict[str, str]
) -> None:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference)
    db.session.rollback()
    with busy():
        answer = client.post(f"/unsubscribe/{token}", data=body)
    assert answer.status_code == 200
    assert not is_stopped(people)
    db.session.rollback()
    with writes():
        assert optouts.catch_up(now=portal_clock.now() + LATER) == 1
    assert is_stopped(people)


def test_a_journal_that_cannot_be_written_refuses_with_retry_after(
    app: Flask, client: FlaskClient, people: People
) -> None:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference)
    folder = Path(app.config["JOURNAL_DIR"])
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where a folder should be", encoding="utf-8")
    answer = client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert not is_stopped(people)
