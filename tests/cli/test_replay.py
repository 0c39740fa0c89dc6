"""`erasures replay`: after a restore everybody stays erased and unsubscribed, and what was spent stays spent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from portal import clock, journal
from portal.datamap.erasure import identifying_hashes
from portal.datamap.rows import person
from portal.domain import choices, erasures, gate, members, requests, restored, signin
from portal.extensions import db
from portal.journal import Erasure, Step
from portal.models import (
    DataSubjectRequest,
    EmailChange,
    JournalMark,
    LinkRequest,
    Member,
    Message,
    PasswordLink,
    SignIn,
    Subject,
    Suppression,
)
from portal.models.message import MailState
from portal.purposes import SUPPRESS
from portal.vocabulary import Door
from tests.browse import Browse
from tests.conftest import Runner
from tests.databases import writes
from tests.letters import letter
from tests.people import People

STRANGER = uuid4()


@pytest.fixture
def yesterday(people: People, browse: Browse) -> People:
    """A restored database: Bob was erased since, and somebody it never knew; Alice stopped all mail since.

    In it wait a sign-in, links, a change of address, account mail, receipts, Bob's request and another of his.
    """
    browse.sign_in(people.alice)
    now = clock.now()
    with writes():
        assert people.alice.account is not None
        requests.file(people.bob, "erasure", details="all", operation_id="one", via=Door.PAGE, now=now)
        requests.file(people.bob, "access", details="", operation_id="two", via=Door.PAGE, now=now)
        signin.ask_for_link(people.bob.email, wanted="password", now=now)
        members.ask_email_change(people.alice, "alice@new.example.org", via=Door.PAGE, now=now)
        signin.mail_link(people.alice.account, now=now)
    with writes():
        hashes = identifying_hashes(person(people.bob.id))
        reference = people.alice.subject.unsubscribe_reference
        subject = people.bob.id
    earlier = now - timedelta(hours=1)
    journal.note(reference, SUPPRESS, "yes", door=Door.ONE_CLICK, at=now)
    for step in (Step.INTENT, Step.DONE):
        journal.note_erasure(Erasure("e1", earlier, step, subject, hashes))
    journal.note_erasure(Erasure("e2", earlier, Step.DONE, STRANGER, ("v1.s1.stranger",)))
    return people


def count(model: Any, *where: Any) -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(model).where(*where)).scalar_one()


def is_closed() -> bool:
    db.session.rollback()
    return bool(gate.closed())


def test_nobody_comes_back_and_nothing_spent_lives(yesterday: People, run: Runner, client: FlaskClient) -> None:
    bob, farewells = yesterday.bob.id, Message.name == "farewell"
    assert is_closed()
    result = run("erasures", "replay")
    assert result.exit_code == 0, result.stderr
    lines = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert lines[:2] == ["opt outs 1", "erasures 2"]
    assert [line.rsplit(" ", 1)[0] for line in lines[2:]] == ["sign ins", "links", "address changes", "messages"]
    assert all(int(line.rsplit(" ", 1)[1]) > 0 for line in lines)
    assert not is_closed()

    assert count(Member, Member.id == bob) == 0
    assert count(Subject, Subject.id.in_([bob, STRANGER]), Subject.erased_at < clock.now()) == 2
    assert count(Suppression, Suppression.reason == "erased", Suppression.keyed_hash == "v1.s1.stranger") == 1
    assert count(Suppression) == 3, "his address and his number, too"
    states = db.session.execute(
        select(DataSubjectRequest.kind, DataSubjectRequest.state, DataSubjectRequest.details).order_by(
            DataSubjectRequest.kind
        )
    ).all()
    assert [tuple(row) for row in states] == [("access", "withdrawn", ""), ("erasure", "working", "")]
    request = db.session.scalars(select(DataSubjectRequest).where(DataSubjectRequest.kind == "erasure")).one()
    assert request.carried_out_at is not None
    assert request.tasks
    assert request.lines
    assert count(Message, farewells) == 0
    assert [step.step for step in request.steps][-2:] == ["carried_out", "checked"]
    mail = letter("staff_erasures_repeated")
    assert request.reference in mail.text
    assert "1 whose request is not in the restored database" in mail.text

    assert choices.standing(yesterday.alice.id)[SUPPRESS].value == "yes"
    assert (count(SignIn), count(LinkRequest), count(EmailChange, EmailChange.cancelled_at.is_(None))) == (0, 0, 0)
    assert count(PasswordLink, PasswordLink.ends_at > clock.now()) == 0
    waiting = db.session.scalars(select(Message.kind).where(Message.state == MailState.QUEUED)).all()
    assert set(waiting) == {"staff"}, "receipts of Bob have gone with him"
    ended = db.session.scalars(select(Message).where(Message.state == MailState.CANCELLED)).all()
    assert {each.failure for each in ended} == {restored.NOT_SENT}
    assert {each.text + each.html for each in ended} == {""}
    assert client.get("/readyz").status_code == 200

    again = run("erasures", "replay")
    assert (again.exit_code, again.stderr.splitlines()[:2]) == (0, ["opt outs 0", "erasures 0"])
    assert count(Suppression) == 3
    assert run("erasures", "run").exit_code == 3, "nothing is left to do"


def test_no_second_farewell_where_the_end_is_missing(people: People, run: Runner) -> None:
    """The backup was made after the approval; the portal had crashed between the commit and the end in the journal."""
    now, bob = clock.now(), people.bob.id
    with writes():
        asked = requests.file(people.bob, "erasure", details="", operation_id="one", via=Door.PAGE, now=now)
        asked.wait_until = now
        erasures.approve(asked, now=now)
        hashes = identifying_hashes(person(bob))
    journal.note_erasure(Erasure("e1", now + timedelta(minutes=1), Step.INTENT, bob, hashes))
    assert is_closed()
    assert run("erasures", "run").exit_code == 3
    assert run("erasures", "replay").exit_code == 0
    assert not is_closed()
    assert count(Member, Member.id == bob) == 0
    assert run("erasures", "run").exit_code == 3
    assert count(Message, Message.name == "farewell") == 0


def test_a_crash_in_the_middle_changes_nothing(yesterday: People, run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gate, "settle", crash)
    with pytest.raises(ZeroDivisionError):
        run("erasures", "replay")
    assert is_closed()
    assert count(Member) == 2
    assert count(SignIn) > 0
    monkeypatch.undo()
    assert run("erasures", "replay").exit_code == 0
    assert not is_closed()


def test_the_other_machines_journals_count(people: People, run: Runner, tmp_path: Path) -> None:
    """Their files lie anywhere, under any name; a file that is no journal is refused before anything is done."""
    reference, bob = people.alice.subject.unsubscribe_reference, people.bob.id
    db.session.rollback()
    journal.note(reference, SUPPRESS, "yes", door=Door.LINK, at=clock.now())
    journal.note_erasure(Erasure("e1", clock.now(), Step.DONE, bob, ("v1.s1.bob",)))
    files = []
    for number, path in enumerate([*journal.files(), *journal.erasure_files()]):
        files.append(tmp_path / f"from-the-other-{number}")
        path.rename(files[-1])
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("email\n", encoding="utf-8")
    refused = run("erasures", "replay", *files, wrong)
    assert (refused.exit_code, refused.stderr) == (3, f"{wrong}: no line of a journal in it\n")
    assert count(Member) == 2
    result = run("erasures", "replay", *files)
    assert (result.exit_code, result.stderr.splitlines()[:2]) == (0, ["opt outs 1", "erasures 1"])
    assert count(Member) == 1
    assert len(journal.files()) == len(journal.erasure_files()) == 1, "this machine has files of its own again"
    assert not is_closed()


def test_a_journal_that_is_lost_is_given_up(people: People, run: Runner) -> None:
    with writes():
        gate.remember()
    [path] = journal.erasure_files()
    path.unlink()
    assert is_closed()
    assert run("erasures", "replay").exit_code == 0
    assert not is_closed()
    assert count(JournalMark, JournalMark.file == path.name) == 0
    assert count(JournalMark) == 2
