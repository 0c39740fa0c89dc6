"""The way in: what an incoming message is read as. Pure: no database, no network."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from portal.mail import inbound, stop_words
from portal.mail.inbound import Sort, parse

from .letters import CASES, TOKEN, Case, mail, parts, report

OURS = ("privacy@portal.example.org", "stop@example.org")


@pytest.mark.parametrize("name", CASES)
def test_corpus(name: str) -> None:
    case = CASES[name]
    for raw in (case.raw, case.raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")):
        read = parse(raw, names=("imaps",), ours=OURS)
        found = Case(case.raw, read.sort, read.token, read.automatic, read.failures, read.returned, read.answers)
        assert found == Case(case.raw, *(getattr(case, field) for field in list(Case.__dataclass_fields__)[1:]))


def test_what_a_letter_keeps() -> None:
    read = parse(mail("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "First line\n\n> quoted", head="In-Reply-To: <1@x.example>\n"))
    assert (read.sort, read.sender, read.subject) == (Sort.LETTER, "alice@example.org", "Grüße")
    assert read.text == "First line\n\n> quoted"
    assert read.answers == "<1@x.example>"
    assert not read.cut


DEEP = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000))
HOSTILE = {
    "nested 3000 deep": b"From: a@example.org\nSubject: unsubscribe\n" + DEEP,
    "messages in messages": b"Subject: stop\n" + b"Content-Type: message/rfc822\n\n" * 3000,
    "a header of a megabyte": b"Subject: " + b"=?utf-8?q?=41" * 100_000,
    "folds": b"Subject: stop\n" + b" \t\n" * 80_000,
    "many headers": b"X: y\n" * 40_000 + b"\nunsubscribe",
    "many parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nstop\n" * 10_000,
    "angle brackets": mail("x", "<" * 60_000, kind="text/html"),
    "comments": mail("x", "<!--" * 15_000, kind="text/html"),
    "marked sections": mail("x", "<![x[" * 12_000, kind="text/html"),
    "addresses": b"From: " + b"a@b.example, " * 60_000 + b"\n\n",
    "brackets in From": b"From: " + b"(" * 30_000 + b"<" * 30_000 + b"\n\nstop",
    "NUL everywhere": mail("un\x00sub\x00scribe", "\x00stop\x00"),
    "a charset with NUL": mail("x", "stop").replace(b"charset=utf-8", b"charset=utf\x00-8"),
    "a charset with NUL over bytes": b'Subject: x\nContent-Type: text/plain; charset="a\x00"\n\nstop \xff',
    "odd charsets": mail("=?undefined?q?stop?=", "stop").replace(b"charset=utf-8", b"charset=idna"),
    "an encoding of no sort": mail("x", "stop").replace(b"8bit", b"uuencode"),
    "status fields": report("Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.1.1\n\n" * 5_000),
    "digits": mail("failure notice", "5.1." * 30_000, sender="MAILER-DAEMON@x.example"),
    "long lines": mail("x", "stop " * 40_000),
    "kanji without end": mail("x", "してしてて" * 40),
    "ids": mail("x", "<" + "a" * 50_000 + "@", head=f"In-Reply-To: {'<a@' * 5_000}\n"),
    "Re without end": mail("Re: " * 4_000 + "stop", ""),
    "nothing": b"",
    "only a mark": b"\xff\xfe",
    "no headers": b"\n\nunsubscribe",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_take_no_time_and_break_nothing(name: str) -> None:
    began = time.process_time()
    read = parse(HOSTILE[name])
    assert time.process_time() - began < 30  # what grows with the square of a message takes minutes
    assert len(read.text) <= inbound.MOST_TEXT
    assert "\x00" not in read.subject + read.text + read.sender


def test_a_long_message_is_read_up_to_its_limit() -> None:
    read = parse(mail("unsubscribe", "thank you\n" + "x" * 3 * inbound.MOST_BYTES))
    assert (read.sort, read.cut) == (Sort.STOP, True)


PIECES = [
    each.encode()
    for each in (
        *("From: a@example.org\n", "Subject: stop\n", "Subject: =?utf-8?b?", "\n\n", "\n", "\r\n", "--b\n", "--b--\n"),
        *(
            "Content-Type: multipart/report; boundary=b\n",
            "Content-Type: message/delivery-status\n\n",
            "Status: 5.1.1\n",
        ),
        *(
            "Content-Type: message/rfc822\n\n",
            "Content-Type: text/html; charset=",
            "utf-7",
            "\x00",
            "\ufeff",
            " \t",
            TOKEN,
        ),
        *("Content-Transfer-Encoding: base64\n", "Final-Recipient: rfc822;", "Return-Path: <>\n", "<blockquote>", "> "),
        *("Action: failed\n", "unsubscribe ", "<a@b.example>", "Content-Type: ", ";;=*0*=''%ff", "-- \n"),
    )
]


@examples(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=40).map(b"".join))
def test_any_bytes_are_something(raw: bytes) -> None:
    read = parse(raw, ours=OURS)
    assert isinstance(read.sort, Sort)
    (read.subject + read.text + read.sender + read.token).encode()  # no half characters: it is stored
    assert "\n" not in read.subject + read.sender
    assert (read.sort is Sort.TOKEN) == bool(read.token)
    assert len(read.failures) <= inbound.MOST_FAILURES


@examples(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["unsubscribe", "darme de baja", "abmelden", "stop"]))
def test_a_command_with_other_words_is_none(more: str, command: str) -> None:
    """Whatever is written beside it: it counts only if every other word is one of those that say nothing else."""
    words = stop_words.normal(f"{command} {more}").split()
    known = set().union(*(language.beside for language in stop_words._LANGUAGES), {"you"})
    if any(word not in known for word in words if word not in command.split()):
        assert not stop_words.asks_to_stop(f"{command} {more}")


def test_the_parts_of_a_report_are_not_read_as_the_persons_words() -> None:
    """A forwarded message with a command in it is a letter."""
    inner = ("message/rfc822", "From: b@example.org\nSubject: unsubscribe\n\nunsubscribe\n")
    read = parse(parts("Look at this", ("text/plain", "A colleague wrote this."), inner, kind="multipart/mixed"))
    assert (read.sort, read.text) == (Sort.LETTER, "A colleague wrote this.")
