"""`demo load`: a demonstration that is made by the portal's own verbs, once, and never in production."""

from __future__ import annotations

import csv
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import scoped_session

from portal import clock
from portal.cli.demo import FOLDER, PASSWORD, SHOWN
from portal.domain import choices, notices, requests, signin
from portal.extensions import Base
from portal.mail import transport
from portal.models import Account, ChoiceRow, DataSubjectRequest, Event, Member, Message, PasswordLink, Registration
from portal.models.message import MailState
from portal.models.request import State
from portal.purposes import SUPPRESS
from portal.vocabulary import Door
from tests.conftest import Runner


def counts(session: scoped_session[Any]) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: session.execute(select(func.count()).select_from(table)).scalar_one()
        for table in Base.metadata.sorted_tables
    }


def test_it_is_loaded_once(run: Runner, session: scoped_session[Any]) -> None:
    first = run("demo", "load")
    assert (first.exit_code, first.stderr) == (0, "The demonstration is loaded.\n")
    held = counts(session)
    again = run("demo", "load")
    assert (again.exit_code, again.stderr) == (0, "The demonstration is there already.\n")
    assert again.stdout == first.stdout
    assert counts(session) == held


def test_it_shows_what_the_issue_asks_for(run: Runner, session: scoped_session[Any]) -> None:
    """Some forty people of a dozen countries, staff, events past and coming, requests in several states and ages."""
    run("demo", "load")
    people = session.scalars(select(Member).order_by(Member.id)).all()
    with (FOLDER / "people.csv").open(encoding="utf-8", newline="") as file:
        imported = list(csv.DictReader(file))
    assert len(imported) == 40
    assert len(people) == 42, "and two who only registered"
    assert len({each.country for each in people}) > 12
    assert all(each.email.endswith("@example.org") for each in people)
    assert {each.kind for each in people} == {"member", "registered", "contact"}
    assert any(len(each.organization) == 60 for each in people)

    staff = session.scalars(select(Account).where(Account.staff).order_by(Account.email)).all()
    assert [each.member for each in staff] == [None, None]
    today = clock.society_date(clock.now())
    events = session.scalars(select(Event).order_by(Event.starts_on)).all()
    assert [each.ends_on < today for each in events] == [True, False, False]
    assert set(session.scalars(select(Registration.event_id))) == {each.id for each in events}

    asked = session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)).all()
    assert {each.state for each in asked} == {
        *(State.RECEIVED, State.VERIFYING, State.EXTENDED),
        *(State.FULFILLED, State.WITHDRAWN),
    }
    assert {each.kind for each in asked} == {"access", "erasure", "question", "objection", "correction"}
    assert run("requests", "remind").stderr == "staff 0\npeople 0\nclosed 0\n", "nobody is reminded of it"
    assert asked[0].received_on < today < requests.queue()[-1].promise_on
    assert requests.queue()[0].promise_on < today, "one is overdue"


def test_choices_came_by_every_door_under_the_notice_of_their_time(run: Runner, session: scoped_session[Any]) -> None:
    run("demo", "load")
    rows = session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)).all()
    assert {row.door for row in rows} == {
        Door.PAGE,
        Door.LINK,
        Door.ONE_CLICK,
        Door.STAFF,
        Door.IMPORT,
        Door.REGISTRATION,
    }
    assert {row.notice_version for row in rows} == {1, 2}
    assert all(row.notice_version == notices.version_for(row.subject_id, row.at) for row in rows)
    stopped = session.scalars(select(Member).where(Member.email == "carlos.ibarrola@example.org")).one()
    assert choices.standing(stopped.id)[SUPPRESS].door is Door.ONE_CLICK


def test_its_mail_counts_as_delivered(run: Runner, session: scoped_session[Any]) -> None:
    """Nothing waits that the worker would send; of each sort, one can be read in the development mailbox."""
    run("demo", "load")
    messages = session.scalars(select(Message).order_by(Message.created_at)).all()
    assert {(each.state, each.text, each.html) for each in messages} == {(MailState.SENT, "", "")}
    assert run("mail", "deliver").stderr.startswith("sent 0\n")
    shown = transport.mailbox_messages()
    assert len(shown) == len({each.name for each in messages})
    assert all(each.to.endswith("@example.org") for each in shown)
    links = session.scalars(select(PasswordLink).where(PasswordLink.ends_at > clock.now())).all()
    assert any("/set-password/" in each.text for each in shown)
    assert links, "an invitation that still works"


@pytest.mark.parametrize("address", [address for address, _ in SHOWN])
def test_the_people_it_prints_can_sign_in(run: Runner, address: str) -> None:
    assert f"{address}\t{PASSWORD}\t" in run("demo", "load").stdout
    assert signin.prove(address, PASSWORD) is not None


@pytest.mark.parametrize("settings", [{"MAIL_SERVER": "127.0.0.1", "MAIL_PORT": "9"}])
def test_a_mail_server_hears_nothing_of_it(run: Runner, session: scoped_session[Any], settings: dict[str, str]) -> None:
    assert run("demo", "load").exit_code == 0
    assert set(session.scalars(select(Message.state))) == {MailState.SENT}
    assert transport.mailbox_messages() == []


PRODUCTION = {
    "PORTAL_ENV": "production",
    "PORTAL_URL": "https://privacy.example.org",
    "MAIL_SERVER": "mail.example.org",
    "MAIL_USE_TLS": "1",
    "MAIL_DEFAULT_SENDER": "privacy@example.org",
    "JOURNAL_DIR": "/nonexistent/journal",
}


@pytest.mark.parametrize("settings", [PRODUCTION])
def test_production_refuses_it(run: Runner, session: scoped_session[Any], settings: dict[str, str]) -> None:
    refused = run("demo", "load")
    assert refused.exit_code == 3
    assert "not in production" in refused.stderr
    assert refused.stdout == ""
    assert not any(counts(session).values())
