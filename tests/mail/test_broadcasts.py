"""A broadcast on its way: the same bytes as the ordinary message, nobody lost, nobody mailed who has said no."""

from __future__ import annotations

import html
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import select, update

from portal.domain import broadcasts
from portal.extensions import db
from portal.mail import broadcasts as letters
from portal.mail import outbox, transport
from portal.mail.broadcasts import Letter, Recipient
from portal.mail.delivery import Delivered, deliver
from portal.models import Broadcast, ChoiceRow, Member, Message, Subject, Suppression
from portal.tokens import canonical_address, read_unsubscribe, suppression_hash
from tests.databases import writes
from tests.drills.broadcast import play, queue, settle

from .conftest import START, MakePortal, member, put
from .relay import Relay
from .test_delivery import worker

pytestmark = pytest.mark.opens_smtp

MINUTE = timedelta(minutes=1)
PIECE = "<p>Dear {first_name} {last_name}, 100% {x} {{ 7*7 }}</p>" + "<p>word</p>" * 40
WHOLE = (
    "<!DOCTYPE html>\r\n<html><head><title>{first_name}</title><style>p { color: red }</style></head>\r\n"
    '<body><h1>News</h1><p>{last_name}</p><a href="{unsubscribe_url}">Stop</a></body></html>'
)


def at(moment: object) -> Delivered:
    """One run of the worker at this time."""
    return deliver(now=lambda: moment)  # type: ignore[arg-type, return-value]


def states(number: int) -> Counter[str]:
    found = Counter(db.session.scalars(select(Message.state).where(Message.broadcast_id == number)))
    db.session.rollback()
    return found


# Bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["", PIECE, WHOLE], ids=["text", "piece", "whole"])
@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.text(max_size=60) | st.just("{last_name} <b>&\r\nBcc: eve@example.net"),
    last=st.text(st.characters(codec="utf-8"), max_size=300),
    text=st.text(max_size=400),
)
def test_a_copy_is_what_the_ordinary_message_would_be(
    portal: Flask, page: str, first: str, last: str, text: str
) -> None:
    """P5: byte by byte, whatever stands in a name and whatever the author wrote around the slots."""
    author = f"Dear {{first_name}},\n{text}\n%s {{}} {{{{ 7*7 }}}} {{last_name}}\n"
    words = letters.compose("events", "{first_name}: 100% of {this}", author, page)
    broadcast = Broadcast(id=12, topic="events", title=words.title, text=words.text, html=words.html, dated_at=START)
    letter = Letter(broadcast)
    person = Recipient(first, last, "alice@bücher.example", b"0123456789abcdef")
    link, title = letter.link(person), outbox.one_line(letters.fill(words.title, person))
    names = {"{first_name}": outbox.one_line(first), "{last_name}": outbox.one_line(last), "{unsubscribe_url}": link}
    row = Message(
        broadcast_id=12,
        kind="broadcast",
        name="broadcast",
        topic="events",
        to_address=person.address,
        title=title,
        text=_replaced(words.text, names),
        html=_replaced(words.html, {slot: html.escape(value) for slot, value in names.items()}),
        calendar="",
        message_id="<0123@privacy.example.org>",
        unsubscribe_url=link,
        created_at=START,
    )
    assert (
        letter.message(person, title=title, message_id=row.message_id).as_bytes() == transport.Message(row).as_bytes()
    )
    assert "{{ 7*7 }}" in row.text
    assert title.endswith(": 100% of {this}")


def _replaced(text: str, names: dict[str, str]) -> str:
    """Each slot once, in one pass, by other means than the product's."""
    found, rest = "", text
    while rest:
        slot = next((each for each in names if rest.startswith(each)), None)
        found += names[slot] if slot else rest[0]
        rest = rest[len(slot) if slot else 1 :]
    return found


def test_what_a_member_gets(make_portal: MakePortal, relay: Relay) -> None:
    """P5: the list headers, the postal address, and one way out that works, in text and page, whoever wrote it."""
    app = make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), UNSUBSCRIBE_MAILBOX="stop@example.org")
    member(first_name="Zoë", last_name="<i>{first_name}</i>")
    without, by_author, alone = (
        queue(page=PIECE),
        queue(text="Dear {first_name}\n{unsubscribe_url}", page=WHOLE),
        queue(),
    )
    assert at(START).sent == 3
    for number, received in zip((without, by_author, alone), relay.received, strict=True):
        message = received.message
        link = received.raw("List-Unsubscribe")[0].partition("<")[2].rstrip(">,")
        token = read_unsubscribe(link.rpartition("/")[2])
        assert token is not None
        assert token.topic == "events"
        assert message["List-Unsubscribe"].startswith(f"<{link}>, <mailto:stop@example.org?subject=unsubscribe%20")
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["List-Id"] == "<events.privacy.example.org>"
        assert message["List-Help"] == "<https://privacy.example.org/unsubscribe>"
        assert message["Feedback-ID"] == f"broadcast-{number}:events:portal:imaps"
        assert message["Subject"] == "Programme for Zoë"
        assert message["Auto-Submitted"] is None
        assert not message.defects
        parts = received.parts if message.is_multipart() else [message.get_content()]
        assert len(parts) == (1 if number == alone else 2)
        for part in parts:
            assert part.count(link) == 1
            assert "P.O. Box 1, Springfield" in part
            assert "“Events” is switched on for you" in part
            assert "{unsubscribe_url}" not in part
    html_part = relay.received[0].parts[1]
    assert "&lt;i&gt;{first_name}&lt;/i&gt;" in html_part
    assert "{x} {{ 7*7 }}" in html_part
    assert 'style="color: red;"' in relay.received[1].parts[1]
    with app.app_context():
        row = db.session.scalars(select(Message).where(Message.broadcast_id == without)).one()
        assert (row.text, row.html, row.unsubscribe_url, row.title) == ("", "", "", "Programme for Zoë")
        db.session.rollback()


# Who and when ---------------------------------------------------------------------------------------------


def test_asked_again_right_before(portal: Flask, relay: Relay) -> None:
    """P4, P5: suppressed, topic off, erased, restricted, address silenced, and moved, since it was queued."""
    names = ("suppressed", "off", "erased", "restricted", "silenced", "moved", "odd")
    idents = {name: member(f"{name}@example.org") for name in names}
    number = queue()
    with writes():
        for name, code, value in (("suppressed", "suppress_broadcast_emails", "yes"), ("off", "topic_events", "off")):
            row = ChoiceRow(subject_id=idents[name], code=code, value=value, at=START, door="page", wording="")
            db.session.add(row)
        for name, column in (("erased", "erased_at"), ("restricted", "restricted_at")):
            db.session.execute(update(Subject).where(Subject.id == idents[name]).values({column: START}))
        silenced = suppression_hash(canonical_address("silenced@example.org"))
        db.session.execute(update(Member).where(Member.id == idents["silenced"]).values(address_hash=silenced))
        db.session.add(Suppression(keyed_hash=silenced, reason="asked", at=START))
        for name, address in (("moved", "moved.on@example.org"), ("odd", "ödd@example.org")):
            db.session.execute(update(Member).where(Member.id == idents[name]).values(email=address))
    assert at(START) == Delivered(sent=2, cancelled=5, dead=1)  # the second one sent is the alarm
    assert sorted(each.rcpt_tos[0] for each in relay.received) == ["desk@example.org", "moved.on@example.org"]
    marked = db.session.scalars(select(Message).where(Message.state == "sent", Message.broadcast_id == number)).one()
    assert (marked.to_address, marked.sent_at, marked.attempts, marked.lease_by) == (
        "moved.on@example.org",
        START,
        1,
        "",
    )
    db.session.rollback()


def test_refusals_of_a_copy(portal: Flask, relay: Relay) -> None:
    """For now: again later, as the same message; for good: the others go on. The relay breaks off: all wait."""
    for name in ("later", "never", "good"):
        member(f"{name}@example.org")
    number = queue()
    answers = {"later@example.org": "450 4.2.0 later", "never@example.org": "550 5.1.1 no"}
    relay.on_rcpt = answers.get
    assert at(START) == Delivered(sent=2, retried=1, dead=1)
    relay.on_rcpt = lambda _address: None
    relay.drop_after_data = True
    assert at(START + MINUTE) == Delivered(retried=1)
    relay.drop_after_data = False
    assert at(START + 6 * MINUTE) == Delivered(sent=1)
    copies = [each for each in relay.received if each.rcpt_tos == ("later@example.org",)]
    assert len(copies) == 2
    assert copies[0].content == copies[1].content
    assert states(number) == {"sent": 2, "dead": 1}


def test_paused_gone_on_and_stopped(portal: Flask, relay: Relay) -> None:
    """Each takes hold before the next copy; personal mail and other broadcasts go on."""
    settle(30)
    number, other = queue(), 0

    def on_rcpt(_address: str) -> None:
        with portal.app_context():
            if len(relay.received) == 9:
                with writes():
                    broadcasts.pause(number)
            if len(relay.received) == 25:
                with writes():
                    broadcasts.stop(number)

    relay.on_rcpt = on_rcpt
    assert at(START) == Delivered(sent=10)
    assert states(number) == {"sent": 10, "queued": 20}
    put()
    assert at(START) == Delivered(sent=1)
    with writes():
        broadcasts.go_on(number, now=START + 3 * 24 * 60 * MINUTE)
    assert at(START + 3 * 24 * 60 * MINUTE) == Delivered(sent=15)
    assert relay.received[-1].message["Date"].datetime == START + 3 * 24 * 60 * MINUTE
    with writes():
        while broadcasts.tend(now=START):
            pass
    assert states(number) == {"sent": 25, "cancelled": 5}
    other = queue("Another")
    assert at(START).sent == 30
    assert states(other) == {"sent": 30}


def test_a_worker_that_is_told_to_end_marks_what_the_relay_has(portal: Flask, relay: Relay) -> None:
    settle(5)
    number = queue()
    assert deliver(now=lambda: START, stopping=lambda: len(relay.received) == 2) == Delivered(sent=2, deferred=3)
    assert states(number) == {"sent": 2, "queued": 3}
    assert at(START) == Delivered(sent=3)
    assert len({each.rcpt_tos for each in relay.received}) == len(relay.received) == 5


# Killed, and several --------------------------------------------------------------------------------------


def test_killed_in_the_middle(portal: Flask, relay: Relay, tmp_path: Path) -> None:
    """P5, I3, I5: 1,000 people and 5 kills: nobody lost, one copy more for a kill at most, the same Message-ID; nobody
    is mailed after the opt-out was acknowledged."""
    played = play(portal, relay, tmp_path, people=1000, kills=5, opt_outs=20)
    assert (played.lost, played.late, played.strange) == (0, 0, 0)
    assert 0 < played.duplicates <= 5
    assert played.opted_out == 20
    assert played.spared == 20
    assert played.marked == played.copies - played.duplicates == 980


def test_two_workers_share_a_broadcast(portal: Flask, relay: Relay, tmp_path: Path) -> None:
    settle(200)
    number = queue()
    relay.hold_seconds = 0.01  # long enough for the other worker to wake up on a busy machine
    both = [worker(tmp_path, relay, START) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(counts) == len({each.rcpt_tos for each in relay.received}) == len(relay.received) == 200
    assert all(counts)
    assert states(number) == {"sent": 200}
