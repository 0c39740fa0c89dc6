"""What comes in by mail, from the pipe to the pages: it stops, is told, is counted; nobody is answered twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from portal import clock as our_clock
from portal import journal
from portal.domain import bounces, choices, gate, inbound
from portal.extensions import db
from portal.mail import bounces as counted
from portal.mail import outbox
from portal.models import Bounce, ChoiceRow, Member, Message, Suppression, Trail
from portal.models.message import MailKind, MailState
from portal.models.suppression import may_be_mailed
from portal.purposes import SUPPRESS
from portal.tokens import read_unsubscribe, sign_unsubscribe
from portal.vocabulary import Door
from tests.browse import Browse
from tests.conftest import Runner
from tests.databases import writes
from tests.mail.letters import failed, mail, report
from tests.people import People

ALICE = "Alice.Okonkwo@mail.example.org"
DAY = timedelta(days=1)


@pytest.fixture
def settings() -> dict[str, str]:
    return {"STAFF_EMAILS": "desk@example.org", "UNSUBSCRIBE_MAILBOX": "stop@example.org"}


def answers(people: People) -> list[tuple[str, str, str]]:
    rows = db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id)).all()
    assert {row.subject_id for row in rows} <= {people.alice.id}
    return [(row.code, row.value, row.door) for row in rows]


def outgoing() -> list[tuple[str, str]]:
    return [(row.name, row.to_address) for row in db.session.scalars(select(Message).order_by(Message.created_at))]


def sent(member: Member, *, days_ago: int = 0, name: str = "receipt", to: str = "") -> str:
    """A message that was delivered; its Message-ID."""
    at = our_clock.now() - days_ago * DAY
    with writes():
        row = Message(
            message_id=outbox.message_id(f"m{days_ago}.{len(outgoing())}"),
            subject_id=member.id,
            kind=MailKind.RECEIPT,
            name=name,
            to_address=to or member.email,
            title="Hello",
            text="",
            html="",
            state=MailState.SENT,
            created_at=at,
            due_at=at,
            sent_at=at,
        )
        db.session.add(row)
        return row.message_id


def may_get(member: Member) -> bool:
    query = select(Member.id).join(Member.subject).where(Member.id == member.id, may_be_mailed(None))
    return db.session.scalars(query).one_or_none() is not None


def test_who_says_stop_is_stopped_and_hears_nothing(
    run: Runner, people: People, browse: Browse, clock: time_machine.Traveller
) -> None:
    """P4: a plain word stops all; a token stops what it names. Twice is once; the door stands in the history."""
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference, "events")
    assert (
        run("mail", "receive", stdin=mail(f"unsubscribe {token}", sender="forwarded@elsewhere.example")).exit_code == 0
    )
    assert answers(people) == [("topic_events", "off", "mailto")]
    for _ in range(2):
        done = run("mail", "receive", stdin=mail("Re: Programme", "Unsubscribe\n", sender=f"A <{ALICE.upper()}>"))
        assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "stopped")
    assert answers(people)[1:] == [(SUPPRESS, "yes", "reply")]
    assert not may_get(people.alice)
    assert outgoing() == []  # who says stop gets silence (rights 6.4)
    assert len(list(journal.read(journal.files()[0], position=0))) == 2

    browse.sign_in(people.alice)
    page = browse("/history")
    assert "Suppress Broadcast Emails: Yes, stop them" in page.text
    assert "By you, by answering an email" in page.text
    assert "By you, by an unsubscribe email" in page.text
    with writes():  # undone where everything is
        choices.change(people.alice.subject, SUPPRESS, to="no", via=Door.PAGE, now=our_clock.now())
    assert may_get(people.alice)


def test_an_unknown_address_is_shown_the_way_once_a_day(
    run: Runner, people: People, clock: time_machine.Traveller
) -> None:
    ask = mail("unsubscribe", sender="alias@elsewhere.example")
    for _ in range(3):
        assert run("mail", "receive", stdin=ask).exit_code == 0
    assert outgoing() == [("unsubscribe_elsewhere", "alias@elsewhere.example")]
    assert answers(people) == []
    run("mail", "receive", stdin=mail("stop", sender="robot@x.example", head="Auto-Submitted: auto-generated\n"))
    assert len(outgoing()) == 1
    run("mail", "receive", stdin=mail("stop", sender="j\u00fcrgen@x.example"))  # no mail of ours can be written there
    assert sorted(outgoing())[:1] == [("staff_letter", "desk@example.org")]

    answered = sent(people.alice)
    reply = mail("Re: Hello", "stop", sender="other@elsewhere.example", head=f"In-Reply-To: {answered}\n")
    run("mail", "receive", stdin=reply)
    row = db.session.scalars(select(Message).where(Message.to_address == "other@elsewhere.example")).one()
    token = read_unsubscribe(row.text.split("/unsubscribe/")[1].split()[0])
    assert token is not None
    assert token.reference == people.alice.subject.unsubscribe_reference
    assert row.subject_id is None  # the address is nobody's, and goes when it was delivered
    assert answers(people) == []


def test_a_broken_token_counts_as_its_word(run: Runner, people: People, clock: time_machine.Traveller) -> None:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference, "events")[:-2] + "xx"
    run("mail", "receive", stdin=mail(f"unsubscribe {token}", sender=ALICE))
    assert answers(people) == [(SUPPRESS, "yes", "reply")]


def test_everything_else_reaches_a_person(run: Runner, people: People, clock: time_machine.Traveller) -> None:
    body = "Please don't unsubscribe me.\n<script>x</script>\r\nBcc: eve@example.net\n" + "more\n" * 2000
    done = run("mail", "receive", stdin=mail("Question\n about: lists", body, sender=ALICE))
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "passed on")
    (row,) = db.session.scalars(select(Message))
    assert (row.name, row.to_address, row.subject_id, row.kind) == ("staff_letter", "desk@example.org", None, "staff")
    for words in (
        f"From: {ALICE}",
        "Known here: yes",
        "Subject: Question about: lists",
        "> Please don't unsub",
        "The rest",
    ):
        assert words in row.text
    assert "&lt;script&gt;" in row.html
    assert "Question" not in row.title  # the title stays in the log for years
    assert len(row.text) < 3 * inbound.LETTER_LENGTH
    assert answers(people) == []
    for raw in (mail("Automatic reply: x", "I am away"), mail("x", sender="stop@example.org")):
        assert run("mail", "receive", stdin=raw).stderr.splitlines()[-1] == "ignored"
    with writes():
        for number in range(inbound.LETTERS_AN_HOUR - 1):
            outbox.put_to_staff("staff_letter", now=our_clock.now(), **LETTER, number=number)
    assert run("mail", "receive", stdin=mail("Hello", "One too many", sender="a@b.example")).exit_code == 75


LETTER: dict[str, Any] = {"sender": "a@b.example", "letter_subject": "x", "lines": ["x"], "cut": False, "known": False}


@pytest.mark.parametrize("trouble", ["gate", "database", "journal", "staff", "bug"])
def test_what_cannot_be_done_now_is_kept_by_the_mail_server(
    app: Flask, run: Runner, people: People, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = mail("unsubscribe", sender=ALICE)

    def away(*_: object, **__: object) -> None:
        raise {"journal": OSError(28, "full"), "bug": KeyError("x")}.get(
            trouble, OperationalError("x", {}, Exception("away"))
        )

    if trouble == "gate":
        monkeypatch.setattr(gate, "closed", lambda: "The journals tell of one erasure.")
    elif trouble == "staff":
        app.extensions["portal.config"] = replace(app.extensions["portal.config"], staff_emails=())
        raw = mail("Hello", "a letter")
    else:
        where = {"database": (db.session, "commit"), "journal": (journal, "note"), "bug": (inbound, "take")}[trouble]
        monkeypatch.setattr(*where, away)
    done = run("mail", "receive", stdin=raw)
    monkeypatch.undo()
    assert done.exit_code == 75
    assert "Alice" not in done.stderr
    assert answers(people) == []
    assert outgoing() == []


# Bounces --------------------------------------------------------------------------------------------------


def test_an_address_that_is_gone_gets_no_broadcasts_until_it_works(
    run: Runner, people: People, browse: Browse, clock: time_machine.Traveller
) -> None:
    ident = sent(people.alice)
    assert run("mail", "receive", stdin=report(failed("5.1.1"), f"Message-ID: {ident}")).exit_code == 0
    run("mail", "receive", stdin=report(failed("5.1.1"), f"Message-ID: {ident}"))
    assert not may_get(people.alice)
    assert may_get(people.bob)
    (row,) = db.session.scalars(select(Bounce))
    assert (row.status, row.final) == ("5.1.1", True)
    assert [each.act for each in db.session.scalars(select(Trail))] == [counted.CAME_BACK]
    assert answers(people) == []  # what was chosen stays

    browse.sign_in(people.alice)
    for path in ("/choices", "/held", "/"):
        words = browse(path).text
        assert "On 4 December 2026 we stopped sending news, publications and offers" in words, path
        assert "there is no such mailbox, says its mail server (5.1.1)" in words, path
    browse("/choices")
    browse.press("Send a message to try")
    check = db.session.scalars(select(Message).where(Message.name == bounces.CHECK)).one()
    path = "/profile/email/works/" + check.text.split("/profile/email/works/")[1].split()[0]
    browse(path, as_=None)
    assert not may_get(people.alice), "a look changes nothing"
    browse.press("Confirm")
    assert "Your address works again" in browse.follow().text
    assert may_get(people.alice)
    assert "no longer needed" in browse(path, as_=None, status=410).text
    browse(path + "x", as_=None, status=404)
    browse.sign_in(people.alice)
    assert "came back" not in browse("/choices").text
    assert "Mail to your address works again" in browse("/history").text


def test_soft_bounces_count_by_days_and_forged_ones_hardly(
    run: Runner, people: People, clock: time_machine.Traveller
) -> None:
    """Five days within thirty; a report that names no message never ends anything alone; a stranger's none at all."""
    with writes():
        people.bob.subject.restricted_at = None
    ids = [sent(people.alice, days_ago=number) for number in range(0, 40, 2)]
    run("mail", "receive", stdin=report(failed("5.1.1"), ""))  # by the recipient alone: counts as one that failed
    run(
        "mail", "receive", stdin=report(failed("5.1.1", to=people.bob.email), "Message-ID: <guess@privacy.example.org>")
    )
    run("mail", "receive", stdin=report(failed("5.7.1"), f"Message-ID: {ids[7]}"))  # about us, not the address
    run("mail", "receive", stdin=report(failed("4.2.2", action="delayed"), f"Message-ID: {ids[8]}"))
    assert db.session.scalars(select(Bounce)).all() == []  # none of it is about Alice: other address
    address = people.alice.email
    for _ in range(3):
        run("mail", "receive", stdin=report(failed("5.1.1", to=address), ""))
    assert [(row.status, row.final) for row in db.session.scalars(select(Bounce))] == [("5.1.1", False)]
    for number in (1, 2, 3):
        clock.shift(DAY)
        run("mail", "receive", stdin=report(failed("5.2.2", to=address), f"Message-ID: {ids[number]}"))
        run("mail", "receive", stdin=report(failed("5.2.2", to=address), f"Message-ID: {ids[number + 10]}"))
    assert may_get(people.alice)
    clock.shift(DAY)
    run("mail", "receive", stdin=report(failed("4.4.1", to=address), f"Message-ID: {ids[4]}"))
    assert not may_get(people.alice)
    trouble = bounces.trouble(people.alice)
    assert trouble is not None
    assert (trouble.final, trouble.days) == (False, 5)
    with writes():
        db.session.execute(update(Suppression).values(reason="asked"))
    assert bounces.trouble(people.alice) is None


def test_an_address_given_up_is_no_trouble(run: Runner, people: People, clock: time_machine.Traveller) -> None:
    ident = sent(people.alice, to="before@example.org")
    run("mail", "receive", stdin=report(failed("5.1.1"), f"Message-ID: {ident}"))
    assert may_get(people.alice)
    assert db.session.execute(text("SELECT count(*) FROM bounce")).scalar_one() == 0
