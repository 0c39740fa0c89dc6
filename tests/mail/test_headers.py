"""What a member's mail program sees: every cell of the header matrix, on the bytes that a real server received."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from portal.extensions import db
from portal.mail import outbox, transport
from portal.mail.delivery import deliver
from portal.models import Message
from portal.models.message import MailKind
from tests.databases import writes

from .conftest import START, MakePortal, member, put, stored
from .relay import Received, Relay

pytestmark = pytest.mark.opens_smtp

LIST_HEADERS = ("List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Help", "Feedback-ID")


def sent(relay: Relay, kind: MailKind, *, first_name: str = "Alice") -> tuple[Received, Message]:
    """Put and deliver one message; what the server got, and the row as it was when it was put."""
    subject_id = member() if kind is not MailKind.STAFF else None
    ident = put(kind, subject_id=subject_id, thread="IM-7K3F-92QD" if kind in THREADED else "", first_name=first_name)
    row = stored(ident)
    assert deliver(now=lambda: START).sent == 1
    (received,) = relay.received
    return received, row


THREADED = (MailKind.RECEIPT, MailKind.STAFF)


@pytest.mark.parametrize("kind", list(MailKind))
def test_matrix(portal: Flask, relay: Relay, kind: MailKind) -> None:
    received, row = sent(relay, kind)
    message = received.message
    answers = {MailKind.RECEIPT: "desk@example.org", MailKind.BROADCAST: "desk@example.org"}
    broadcast = kind is MailKind.BROADCAST
    thread = "<IM-7K3F-92QD@privacy.example.org>" if kind in THREADED else None

    assert not message.defects
    assert message["From"] == "IMAPS <privacy@portal.example.org>"
    assert message["Sender"] is None
    assert message["To"] == "alice@example.org"
    assert received.mail_from == "privacy@portal.example.org"
    assert received.rcpt_tos == ("alice@example.org",)
    assert message["Reply-To"] == answers.get(kind)
    assert message["Auto-Submitted"] == (None if broadcast else "auto-generated")
    assert message["X-Auto-Response-Suppress"] == (None if broadcast else "OOF, DR, RN, NRN, AutoReply")
    assert message["Message-ID"] == row.message_id
    assert re.fullmatch(r"<(IM-7K3F-92QD\.)?[0-9a-f]{16}@privacy\.example\.org>", row.message_id)
    assert row.message_id.startswith("<IM-7K3F-92QD.") == (kind in THREADED)
    assert message["In-Reply-To"] == thread
    assert message["References"] == thread
    for name in LIST_HEADERS:
        assert (message[name] is not None) == broadcast, name
    assert message["Precedence"] is None
    assert message["Date"].datetime == START
    assert message["Subject"] == "Hello Alice"


def test_broadcast_says_how_to_stop_it(make_portal: MakePortal, relay: Relay) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(relay.port), UNSUBSCRIBE_MAILBOX="stop@example.org")
    received, row = sent(relay, MailKind.BROADCAST)
    message = received.message
    token = row.unsubscribe_url.rpartition("/")[2]
    assert message["List-Unsubscribe"] == (
        f"<https://privacy.example.org/unsubscribe/{token}>, <mailto:stop@example.org?subject=unsubscribe%20{token}>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Reply-To"] == "stop@example.org"
    assert message["List-Help"] == "<https://privacy.example.org/unsubscribe>"
    assert message["List-Id"] == "<events.privacy.example.org>"
    assert message["Feedback-ID"] == "hello:events:portal:imaps"
    assert token not in message["Feedback-ID"] + message["List-Id"]

    first, second = received.raw("List-Unsubscribe")
    assert first == f"List-Unsubscribe: <{row.unsubscribe_url}>,"
    assert second.startswith(" <mailto:")
    assert second.endswith(">")
    assert received.parts[0].endswith(
        f"\n\nYou get this because “Events” is switched on for you.\nUnsubscribe: {row.unsubscribe_url}\n"
    )
    for part in received.parts:
        assert row.unsubscribe_url in part
        assert "P.O. Box 1, Springfield" in part


def test_a_long_link_arrives_whole(portal: Flask, relay: Relay) -> None:
    link = "https://privacy.example.org/unsubscribe/" + "aB3-_" * 150
    ident = put(MailKind.BROADCAST, subject_id=member())
    with writes():
        db.session.get_one(Message, ident).unsubscribe_url = link
    deliver(now=lambda: START)
    assert relay.received[0].raw("List-Unsubscribe") == [f"List-Unsubscribe: <{link}>"]
    assert relay.received[0].message["List-Unsubscribe"] == f"<{link}>"


@pytest.mark.parametrize("kind", list(MailKind))
def test_bytes_are_plain_and_narrow(portal: Flask, relay: Relay, kind: MailKind) -> None:
    name = "Zoë Łukasiewicz-Þórðarson, 王小明, " + "endless" * 200
    received, row = sent(relay, kind, first_name=name)
    assert received.content.isascii()
    head, _, body = received.content.partition(b"\r\n\r\n")
    assert b"\n" not in received.content.replace(b"\r\n", b"")
    assert b"\r" not in received.content.replace(b"\r\n", b"")
    assert max(map(len, body.split(b"\r\n"))) <= 76
    long = [line for line in head.split(b"\r\n") if len(line) > 78]
    assert all(line.startswith(b"List-Unsubscribe: <https://") for line in long)
    message = received.message
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert {part["Content-Transfer-Encoding"] for part in message.iter_parts()} == {"quoted-printable"}
    text, html = received.parts
    assert text == row.text
    assert html.strip() == row.html.strip()
    assert message["Subject"] == f"Hello {name}"


@pytest.mark.parametrize("end", ["\r\nBcc: eve@example.net", "\nBcc: eve@example.net", "\n", "\r", "\x00", "\u2028x"])
@pytest.mark.parametrize("field", ["title", "to_address", "message_id", "in_reply_to", "unsubscribe_url", "topic"])
def test_a_line_break_reaches_no_header(portal: Flask, relay: Relay, field: str, end: str) -> None:
    """Even from a row that somebody wrote past the outbox: it is given up, and the next message is unharmed."""
    kind = MailKind.BROADCAST if field in ("unsubscribe_url", "topic") else MailKind.RECEIPT
    ident = put(kind, subject_id=member(), thread="" if kind is MailKind.BROADCAST else "IM-7K3F-92QD")
    row = stored(ident)
    setattr(row, field, getattr(row, field) + end)
    if field == "title" and end in ("\x00", "\u2028x"):
        assert transport.Message(row).as_bytes().isascii()  # hidden in an encoded word, it harms nobody
        return
    with pytest.raises(ValueError, match=r".") as refusal:
        transport.Message(row).as_bytes()
    assert "alice" not in str(refusal.value)


def test_a_message_that_cannot_be_written_is_given_up(portal: Flask, relay: Relay) -> None:
    bad = put(to="alice@example.org\r\nRCPT TO:<eve@example.net>", first_name="Bad")
    good = put(first_name="Good")
    done = deliver(now=lambda: START)
    assert (done.dead, done.sent) == (1, 2)  # the second one sent is the alarm
    assert stored(bad).state == "dead"
    assert stored(good).state == "sent"
    assert all(to != "eve@example.net" for each in relay.received for to in each.rcpt_tos)


def test_flask_mail_extras_cannot_smuggle(portal: Flask, relay: Relay) -> None:
    row = stored(put())
    for extra in ({"X-A": "v\r\nBcc: eve@example.net"}, {"X-A": "v\n"}, {"Reply-To": "a@example.org\r\nX: y"}):
        message = transport.Message(row)
        message.extra_headers = {**(message.extra_headers or {}), **extra}
        with pytest.raises(ValueError, match="may hold one line"):
            message.as_bytes()
    message = transport.Message(row)
    message.cc = ["eve@example.net"]
    with pytest.raises(ValueError, match="one recipient"), transport.mail.connect() as line:
        line.send(message)
    assert relay.received == []


def test_names_are_data(portal: Flask, relay: Relay) -> None:
    name = "Anna <b>\"&' {{ 7*7 }} {% raw %}\r\nBcc: eve@example.net"
    received, _ = sent(relay, MailKind.RECEIPT, first_name=name)
    one_line = "Anna <b>\"&' {{ 7*7 }} {% raw %} Bcc: eve@example.net"
    message = received.message
    assert message["Subject"] == f"Hello {one_line}"
    assert message["Bcc"] is None
    text, html = received.parts
    assert "Dear Anna <b>\"&' {{ 7*7 }} {% raw %}\nBcc" in text
    assert "Anna <b>" not in html
    assert "Anna &lt;b&gt;" in html
    assert "<b>" not in html


@examples(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=st.text(max_size=300), name=st.text(max_size=80))
def test_any_title_survives_the_way(portal: Flask, title: str, name: str) -> None:
    """Headers parsed by the standard library's parser are those that were meant, whatever the title."""
    row = Message(
        id=UUID(int=1),
        kind="receipt",
        name="hello",
        topic="",
        to_address="alice@example.org",
        title=outbox.one_line(title),
        text=outbox.plain(name),
        html="",
        message_id="<1@privacy.example.org>",
        in_reply_to="",
        unsubscribe_url="",
        created_at=START,
    )
    content = transport.Message(row).as_bytes()
    assert content.isascii()
    assert all(len(line) <= 78 for line in content.split(b"\r\n"))
    received = Received("", (), content, "", False, ("", 0), "")
    assert (received.message["Subject"] or "") == row.title
    assert received.message.keys() == [
        "Date",
        "From",
        "To",
        "Reply-To",
        *(["Subject"] if row.title else []),
        "Message-ID",
        "Auto-Submitted",
        "X-Auto-Response-Suppress",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    ]
    assert received.message.get_content().replace("\r\n", "\n") == row.text


def test_the_same_row_gives_the_same_bytes(portal: Flask) -> None:
    row = stored(put())
    assert transport.Message(row).as_bytes() == transport.Message(row).as_bytes()


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("alice@example.org", "alice@example.org"),
        ("Alice.O'Neil+x@Example.ORG", "Alice.O'Neil+x@example.org"),
        ("jürgen@bücher.example", None),
        ("jurgen@bücher.example", "jurgen@xn--bcher-kva.example"),
        ("a@b@example.org", None),
        ("alice@example.org, eve@example.net", None),
        ("Alice <alice@example.org>", None),
        ("alice", None),
        ("@example.org", None),
        ("alice@", None),
    ],
)
def test_wire_address(address: str, wire: str | None) -> None:
    if wire is None:
        with pytest.raises(ValueError, match="not an address"):
            transport.wire_address(address)
    else:
        assert transport.wire_address(address) == wire
