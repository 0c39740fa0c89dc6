"""Every committed message leaves at least once, whatever the relay does, and nothing leaves that may not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, update

from portal.extensions import db, settings
from portal.mail import delivery, outbox, transport
from portal.mail.delivery import Delivered, deliver
from portal.models import Member, Message, Subject, Suppression
from portal.models.choice import ChoiceRow
from portal.models.message import MailKind
from portal.tokens import canonical_address, suppression_hash
from tests.databases import writes
from tests.settings import environment

from .conftest import SETTINGS, START, MakePortal, member, one_by_one, outbox_rows, put, stored
from .relay import Relay, free_port, speaking

pytestmark = pytest.mark.opens_smtp

ROOT = Path(__file__).parents[2]
MINUTE = timedelta(minutes=1)
YEAR = timedelta(days=365)


def at(moment: datetime) -> Delivered:
    """One run of the worker at this time."""
    return deliver(now=lambda: moment)


# The way it should go -------------------------------------------------------------------------------------


def test_sent_and_cleared(portal: Flask, relay: Relay) -> None:
    ident = put()
    assert "Dear Alice" in stored(ident).text
    assert at(START) == Delivered(sent=1)
    row = stored(ident)
    assert (row.state, row.sent_at, row.attempts, row.failure) == ("sent", START, 1, "")
    assert (row.text, row.html, row.unsubscribe_url, row.lease_until, row.lease_by) == ("", "", "", None, "")
    assert at(START + timedelta(days=1)) == Delivered()
    assert len(relay.received) == 1


def test_nothing_leaves_of_a_transaction_that_failed(portal: Flask, relay: Relay) -> None:
    def put_and_fail() -> None:
        with writes():
            outbox.put("hello", kind=MailKind.ACCOUNT, to="a@example.org", subject_id=None, now=START, first_name="")
            db.session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put_and_fail()
    assert at(START) == Delivered()


def test_one_line_a_batch_and_one_recipient_a_message(portal: Flask, relay: Relay) -> None:
    for number in range(60):
        put(to=f"m{number}@example.org")
    assert at(START) == Delivered(sent=60)
    assert sorted(Counter(each.peer for each in relay.received).values()) == [10, 50]
    assert all(len(each.rcpt_tos) == 1 for each in relay.received)
    assert {each.hello for each in relay.received} == {"privacy.example.org"}


def test_limit(portal: Flask, relay: Relay) -> None:
    for number in range(3):
        put(to=f"m{number}@example.org")
    assert deliver(now=lambda: START, limit=2) == Delivered(sent=2)


def test_personal_mail_goes_before_broadcasts(portal: Flask, relay: Relay) -> None:
    subject_id = member()
    put(MailKind.BROADCAST, subject_id=subject_id, now=START - MINUTE)
    put(MailKind.ACCOUNT, subject_id=subject_id, now=START)
    at(START)
    assert [each.message["List-Id"] is None for each in relay.received] == [True, False]


def test_a_message_waits_until_it_is_due(portal: Flask, relay: Relay) -> None:
    put(now=START)
    assert at(START - MINUTE) == Delivered()
    assert at(START) == Delivered(sent=1)


# Read again right before ----------------------------------------------------------------------------------


def choose(code: str, value: str) -> None:
    subject_id = db.session.query(Member.id).scalar()
    db.session.add(ChoiceRow(subject_id=subject_id, code=code, value=value, at=START, door="page", wording=""))


def erase() -> None:
    db.session.execute(update(Subject).values(erased_at=START))


def restrict() -> None:
    db.session.execute(update(Subject).values(restricted_at=START))


def suppress_address() -> None:
    hashed = suppression_hash(canonical_address("alice@example.org"))
    db.session.add(Suppression(keyed_hash=hashed, reason="asked", at=START))


@pytest.mark.parametrize(
    "change",
    [
        lambda: choose("suppress_broadcast_emails", "yes"),
        lambda: choose("topic_events", "off"),
        erase,
        restrict,
        suppress_address,
    ],
    ids=["suppressed", "topic-off", "erased", "restricted", "address"],
)
def test_no_broadcast_to_whoever_has_said_no_meanwhile(portal: Flask, relay: Relay, change: object) -> None:
    ident = put(MailKind.BROADCAST, subject_id=member())
    assert callable(change)
    with writes():
        change()
    assert at(START) == Delivered(cancelled=1)
    row = stored(ident)
    assert (row.state, row.text, row.unsubscribe_url) == ("cancelled", "", "")
    assert row.failure
    assert relay.received == []


def test_broadcasts_follow_a_changed_address_and_other_mail_does_not(portal: Flask, relay: Relay) -> None:
    subject_id = member()
    put(MailKind.BROADCAST, subject_id=subject_id)
    put(MailKind.ACCOUNT, subject_id=subject_id)
    with writes():
        found = db.session.get_one(Member, subject_id)
        found.email = found.email_key = "alice.new@example.org"
        found.address_hash = suppression_hash("alice.new@example.org")
    assert at(START).sent == 2
    assert [each.rcpt_tos for each in relay.received] == [("alice@example.org",), ("alice.new@example.org",)]


def test_no_mail_after_erasure_but_the_farewell(portal: Flask, relay: Relay) -> None:
    subject_id = member()
    receipt = put(MailKind.RECEIPT, subject_id=subject_id)
    farewell = put(MailKind.RECEIPT, subject_id=subject_id, name="farewell")
    with writes():
        erase()
    assert at(START) == Delivered(sent=1, cancelled=1)
    assert (stored(receipt).state, stored(farewell).state) == ("cancelled", "sent")


def test_receipts_reach_whoever_suppressed_broadcasts(portal: Flask, relay: Relay) -> None:
    subject_id = member()
    put(MailKind.RECEIPT, subject_id=subject_id)
    with writes():
        choose("suppress_broadcast_emails", "yes")
        restrict()
        suppress_address()
    assert at(START) == Delivered(sent=1)


# Refusals -------------------------------------------------------------------------------------------------


def test_backoff(portal: Flask, relay: Relay) -> None:
    """1, 5, 15, 60 minutes, then hourly, until 72 hours after it was written; then the staff hear of it."""
    relay.on_rcpt = lambda address: "450 4.2.0 later" if address == "alice@example.org" else None
    ident = put()
    now, waits = START, []
    while (row := stored(ident)).state == "queued":
        now = row.due_at
        done = at(now)
        after = stored(ident)
        if after.state == "queued":
            assert done == Delivered(retried=1)
            assert after.failure == "refused by the receiving side (450 4.2.0)"
            assert at(after.due_at - timedelta(seconds=1)) == Delivered()
            waits.append(int((after.due_at - now) / MINUTE))
    assert waits[:6] == [1, 5, 15, 60, 60, 60]
    assert set(waits[4:]) == {60}
    assert timedelta(hours=72) <= now - START < timedelta(hours=73)
    assert row.state == "dead"
    assert (row.text, row.html) == ("", "")
    assert at(now).sent == 0  # the alarm left in the same run
    assert [each.rcpt_tos for each in relay.received] == [("desk@example.org",)]


def test_the_relay_was_away_for_long(portal: Flask, relay: Relay) -> None:
    """A message that never had its chance still gets its quick tries after 72 hours."""
    relay.on_rcpt = lambda _address: "450 4.2.0 later"
    put()
    assert at(START + timedelta(hours=100)) == Delivered(retried=1)


@one_by_one
@pytest.mark.parametrize("hook", ["on_rcpt", "on_data"])
def test_a_final_refusal_is_dead_at_once_and_harms_no_other(portal: Flask, relay: Relay, hook: str) -> None:
    if hook == "on_rcpt":
        relay.on_rcpt = lambda address: "550 5.1.1 no such user alice" if address == "alice@example.org" else None
    else:
        relay.on_data = lambda each: "554 5.7.1 no thanks" if "alice@example.org" in each.rcpt_tos else None
    dead, good = put(), put(to="bob@example.org")
    assert at(START) == Delivered(sent=2, dead=1)
    assert (stored(dead).state, stored(good).state) == ("dead", "sent")
    code = "550 5.1.1" if hook == "on_rcpt" else "554 5.7.1"
    assert stored(dead).failure == f"refused by the receiving side ({code})"
    assert sorted(each.rcpt_tos for each in relay.received) == [("bob@example.org",), ("desk@example.org",)]


@one_by_one
@pytest.mark.parametrize("hook", ["on_mail", "on_rcpt", "on_data"])
def test_a_refusal_for_now_is_tried_again(portal: Flask, relay: Relay, hook: str) -> None:
    answers = iter(["450 4.3.2 later", None, None])
    setattr(relay, hook, lambda _: next(answers))
    first, second = put(), put(to="bob@example.org")
    assert at(START) == Delivered(sent=1, retried=1)
    assert at(START + MINUTE) == Delivered(sent=1)
    assert (stored(first).state, stored(second).state) == ("sent", "sent")


@one_by_one
@pytest.mark.parametrize(
    ("hook", "answer"), [("on_mail", "550 5.7.1 you may not send here"), ("on_rcpt", "530 5.7.0 who are you")]
)
def test_a_relay_that_refuses_us_is_no_messages_fault(portal: Flask, relay: Relay, hook: str, answer: str) -> None:
    setattr(relay, hook, lambda _address: answer)
    ident = put()
    assert at(START) == Delivered(deferred=1)
    assert (stored(ident).attempts, stored(ident).state) == (0, "queued")


@one_by_one
def test_421_stops_the_run_and_counts_only_for_the_message_under_way(portal: Flask, relay: Relay) -> None:
    relay.on_rcpt = lambda _address: "421 4.3.2 closing"
    for number in range(3):
        put(to=f"m{number}@example.org")
    assert at(START) == Delivered(retried=1, deferred=2)
    relay.on_rcpt = lambda _address: None
    assert at(START + MINUTE) == Delivered(sent=3)


# The relay is away ----------------------------------------------------------------------------------------


def check_deferred(count: int) -> None:
    idents = [put(to=f"m{number}@example.org") for number in range(count)]
    assert at(START) == Delivered(deferred=count)
    for ident in idents:
        row = stored(ident)
        assert (row.state, row.attempts, row.due_at, row.lease_by) == ("queued", 0, START + MINUTE, "")
        assert row.text
    assert at(START + timedelta(days=30)).dead == 0


def test_nobody_listens(make_portal: MakePortal) -> None:
    make_portal(MAIL_SERVER="localhost", MAIL_PORT=str(free_port()))
    check_deferred(3)


def test_a_busy_greeting(make_portal: MakePortal) -> None:
    with speaking(b"421 4.3.2 too busy\r\n") as port:
        make_portal(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(port))
        check_deferred(2)


def test_a_silent_server_times_out(make_portal: MakePortal) -> None:
    with speaking(b"") as port:
        app = make_portal(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(port))
        app.config["MAIL_TURN_SECONDS"] = 0.3
        check_deferred(2)


def test_a_server_that_says_a_byte_now_and_then_wins_no_time(make_portal: MakePortal) -> None:
    with speaking(b"2", pause=0.1) as port:
        app = make_portal(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(port))
        app.config["MAIL_TURN_SECONDS"] = 0.5
        began = time.monotonic()
        check_deferred(2)
        assert time.monotonic() - began < 10, "the text of a greeting goes on for ever"


def test_a_server_that_falls_silent_under_a_message(portal: Flask, relay: Relay) -> None:
    portal.config["MAIL_TURN_SECONDS"] = 0.3
    relay.hold_seconds = 0.8
    ident, other = put(now=START - MINUTE), put(to="bob@example.org")
    assert at(START) == Delivered(retried=1, deferred=1)
    assert (stored(ident).attempts, stored(other).attempts) == (1, 0)


def test_dropped_after_data_is_sent_again_as_the_same_message(portal: Flask, relay: Relay) -> None:
    relay.drop_after_data = True
    ident = put()
    assert at(START) == Delivered(retried=1)
    relay.drop_after_data = False
    assert at(START + MINUTE) == Delivered(sent=1)
    first, second = relay.received
    assert first.message["Message-ID"] == second.message["Message-ID"] == stored(ident).message_id
    assert first.content == second.content


# Dead letters ---------------------------------------------------------------------------------------------


def refuse_all_but_the_desk(address: str) -> str | None:
    return None if address == "desk@example.org" else "550 5.1.1 no"


def test_the_alarm_names_nobody(portal: Flask, relay: Relay, capfd: pytest.CaptureFixture[str]) -> None:
    relay.on_rcpt = refuse_all_but_the_desk
    ident = put(MailKind.RECEIPT, subject_id=member(), first_name="Alice")
    assert at(START) == Delivered(dead=1, sent=1)
    (alarm,) = relay.received
    assert alarm.rcpt_tos == ("desk@example.org",)
    assert alarm.message["Auto-Submitted"] == "auto-generated"
    for part in alarm.parts:
        assert str(ident) in part
        assert "550 5.1.1" in part
        assert "https://privacy.example.org/desk" in part
    logged = capfd.readouterr().err
    (record,) = [told for line in logged.splitlines() if (told := json.loads(line))["level"] == "error"]
    assert (record["event"], record["message"], record["kind"]) == ("mail.dead", str(ident), "receipt")
    for text in (logged, alarm.content.decode().replace("=\r\n", "")):
        assert "alice" not in text.lower()


def test_no_alarm_about_an_alarm(portal: Flask, relay: Relay) -> None:
    relay.on_rcpt = lambda _address: "550 5.1.1 no"
    put()
    assert at(START) == Delivered(dead=2)
    assert len(outbox_rows("dead_letter")) == 1


def test_a_topic_raises_one_alarm_a_day(portal: Flask, relay: Relay) -> None:
    relay.on_rcpt = refuse_all_but_the_desk
    for number in range(5):
        address = f"m{number}@example.org"
        put(MailKind.BROADCAST, address, subject_id=member(address))
    assert at(START) == Delivered(dead=5, sent=1)
    put(MailKind.BROADCAST, "late@example.org", subject_id=member("late@example.org"))
    assert at(START + timedelta(hours=25)) == Delivered(dead=1, sent=1)


def test_logs_hold_no_address_and_no_text(portal: Flask, relay: Relay, capfd: pytest.CaptureFixture[str]) -> None:
    portal.debug = True
    for answer in (
        "550 5.1.1 <alice@example.org> unknown",
        "450 4.2.0 alice@example.org later",
        "421 4.0.0 alice",
        None,
    ):
        relay.on_rcpt = lambda address, answer=answer: answer if "alice" in address else None  # type: ignore[misc]
        put(first_name="Xanthippe")
        at(START)
    relay.on_rcpt = lambda _address: None
    relay.drop_after_data = True
    put(first_name="Xanthippe")
    at(START)
    out = "".join(capfd.readouterr())
    assert "mail.dead" in out
    assert "mail.relay_away" in out
    assert "alice" not in out
    assert "Xanthippe" not in out


# Several workers ------------------------------------------------------------------------------------------


def worker(root: Path, relay: Relay, moment: datetime) -> subprocess.Popen[str]:
    url = settings().database_url
    words = environment(url, **SETTINGS, MAIL_SERVER="localhost", MAIL_PORT=str(relay.port))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/mail/worker_process.py"), moment.isoformat(), str(root)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **words},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_workers_deliver_each_message_once(portal: Flask, relay: Relay, tmp_path: Path) -> None:
    with writes():
        for number in range(100):
            outbox.put(
                "hello",
                kind=MailKind.ACCOUNT,
                to=f"m{number}@example.org",
                subject_id=None,
                now=START,
                first_name=f"Member {number}",
            )
    both = [worker(tmp_path, relay, START) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(counts) == 100
    assert all(counts)
    assert Counter(each.rcpt_tos[0] for each in relay.received) == Counter(f"m{n}@example.org" for n in range(100))


def test_a_killed_workers_messages_are_sent_when_its_lease_has_run_out(
    portal: Flask, relay: Relay, tmp_path: Path
) -> None:
    relay.hold_seconds = 1.5
    first, second = put(), put(to="bob@example.org")
    process = worker(tmp_path, relay, START)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    while stored(first).state != "claimed" and process.poll() is None:
        pass
    process.kill()
    process.communicate(timeout=10)
    relay.hold_seconds = 0.0
    assert {stored(first).state, stored(second).state} == {"claimed"}
    assert at(START + MINUTE) == Delivered()
    assert at(START + 3 * MINUTE) == Delivered(sent=2)
    assert {each.message["Message-ID"] for each in relay.received} == {
        stored(first).message_id,
        stored(second).message_id,
    }


def test_what_a_clock_that_was_ahead_has_put_off_waits_for_no_such_day(portal: Flask, relay: Relay) -> None:
    written, claimed = put(now=START + YEAR), put(to="bob@example.org", now=START)
    delivery._claim("of that time", at=START + YEAR - MINUTE, most=50)
    assert stored(claimed).state == "claimed"
    assert at(START) == Delivered(sent=1)
    assert delivery.mend_times(now=START) == 1
    assert at(START) == Delivered(sent=1)
    later = put(now=START)
    relay.on_rcpt = lambda _address: "450 4.2.1 later"
    assert at(START) == Delivered(retried=1)
    assert delivery.mend_times(now=START) == 0
    assert stored(later).due_at == START + MINUTE
    assert stored(written).state == "sent"


def test_a_worker_whose_lease_ran_out_sends_nothing_twice(portal: Flask, relay: Relay) -> None:
    """It wakes up after another has taken its batch over: it finds its claim gone."""
    ident = put()
    (claimed,) = delivery._claim("sleeper", at=START, most=50).idents
    assert claimed == ident
    assert at(START + 3 * MINUTE) == Delivered(sent=1)
    with transport.mail.connect() as line:
        outcome = delivery._deliver_one(line, ident, "sleeper", now=lambda: START + 3 * MINUTE)
    assert outcome == "lost"
    assert len(relay.received) == 1


def test_who_holds_a_message_waits_for_no_other(portal: Flask, relay: Relay) -> None:
    """An erasure holds some messages of a person and waits for the one under way: it must not be waited for."""
    if db.engine.dialect.name == "sqlite":
        return  # one transaction writes at a time there
    subject_id = member()
    first, second, held = (put(subject_id=subject_id, now=START + number * MINUTE / 60) for number in range(3))
    assert len(delivery._claim("worker", at=START + MINUTE, most=50).idents) == 3
    with db.engine.connect() as erasing, erasing.begin() as cut_off:
        erasing.execute(delete(Message).where(Message.id == held))
        with transport.mail.connect() as line:
            assert delivery._deliver_one(line, first, "worker", now=lambda: START + MINUTE) == "sent"
        assert delivery._release("worker", due_at=None) == 1
        assert delivery._claim("another", at=START + 4 * MINUTE, most=50).idents == [second]
        cut_off.rollback()
    assert at(START + 10 * MINUTE) == Delivered(sent=2)


def test_a_slow_batch_renews_its_lease(portal: Flask, relay: Relay) -> None:
    """Three messages at ninety seconds each: a second worker, come while the last one is under way, finds nothing."""
    for number in range(3):
        put(to=f"m{number}@example.org")
    time = [START]
    second: list[Delivered] = []

    def on_rcpt(_address: str) -> None:
        time[0] += timedelta(seconds=90)
        if len(relay.received) == 2:
            with portal.app_context():
                second.append(at(time[0]))

    relay.on_rcpt = on_rcpt
    assert deliver(now=lambda: time[0]) == Delivered(sent=3)
    assert second == [Delivered()]


def test_a_worker_that_is_told_to_end_ends_between_two_messages(portal: Flask, relay: Relay) -> None:
    for number in range(3):
        put(to=f"m{number}@example.org")
    assert deliver(now=lambda: START, stopping=lambda: len(relay.received) == 1) == Delivered(sent=1, deferred=2)
    assert at(START) == Delivered(sent=2)


def test_an_interrupted_worker_puts_its_batch_back(portal: Flask, relay: Relay) -> None:
    put()
    put(to="bob@example.org")
    ticks = iter([START, START])

    def now() -> datetime:
        try:
            return next(ticks)
        except StopIteration:
            raise KeyboardInterrupt from None

    with pytest.raises(KeyboardInterrupt):
        deliver(now=now)
    assert at(START).sent == 2
    assert len({each.message["Message-ID"] for each in relay.received}) == 2
