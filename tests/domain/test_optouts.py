"""The journal of opt-outs: what was acknowledged counts, whatever happens to the database (rights §5.6, §6.2)."""

from __future__ import annotations

import io
import resource
import shutil
import signal
import threading
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
from portal.cli import worker
from portal.domain import choices, gate, imports, members, optouts, unsubscribe
from portal.domain.errors import UnknownChoice
from portal.extensions import db
from portal.models import ChoiceRow, JournalMark, LinkRequest, Member, Message, Subject, Suppression
from portal.models.suppression import may_be_mailed
from portal.purposes import SUPPRESS
from portal.tokens import EVERYTHING, UnsubscribeToken, sign_unsubscribe, suppression_hash
from portal.vocabulary import Door
from tests.conftest import Runner
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


def opt_out(people: People, code: str = SUPPRESS, value: str = "yes", *, ago: timedelta = LATER) -> None:
    """A line whose row never came into the database."""
    db.session.rollback()
    reference = people.alice.subject.unsubscribe_reference
    db.session.rollback()
    journal.note(reference, code, value, door=Door.ONE_CLICK, at=portal_clock.now() - ago)


def catch_up() -> int:
    with writes():
        return optouts.catch_up(now=portal_clock.now())


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


def test_a_disk_that_takes_half_a_line_is_no_acknowledgement(people: People) -> None:
    opt_out(people)
    [path] = journal.files()
    whole = path.stat().st_size
    most, hardest = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (whole + 40, hardest))
    try:
        with pytest.raises(OSError, match="No space left"):
            opt_out(people, "topic_events", "off")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hardest))
    assert path.stat().st_size == whole + 40
    assert catch_up() == 1
    assert gate.lag()[journal.OPT_OUTS] == 0, "a line that is half there is not waited for"
    opt_out(people, "topic_journal", "off")
    assert gate.lag()[journal.OPT_OUTS] > 0
    assert [line.code for line, _ in journal.read(path, position=0)] == [SUPPRESS, "topic_journal"]


@pytest.mark.parametrize("fragment", ["{}", "7", "null", '{"id": "x", "at": "then", "reference": "00"}', "}"])
def test_a_line_that_nobody_can_read_holds_up_none(people: People, fragment: str) -> None:
    opt_out(people)
    [path] = journal.files()
    path.write_text(f"{fragment}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    assert catch_up() == 1
    assert is_stopped(people)


@pytest.mark.parametrize(("code", "value"), [("topic_newsletter", "off"), ("topic_events", "less"), (SUPPRESS, "1")])
def test_a_line_that_the_catalogue_no_longer_knows_stops_everything(people: People, code: str, value: str) -> None:
    opt_out(people, code, value)
    opt_out(people, "topic_journal", "off")
    assert catch_up() == 2
    assert is_stopped(people)
    assert choices.standing(people.alice.id)["topic_journal"].value == "off"
    db.session.rollback()
    assert catch_up() == 0


def test_a_dropped_topic_whose_answer_is_known_stops_nothing_more(people: People) -> None:
    reference = people.alice.subject.unsubscribe_reference
    db.session.rollback()
    at = portal_clock.now() - LATER
    entry = journal.note(reference, "topic_newsletter", "off", door=Door.LINK, at=at)
    journal.note(reference, "topic_newsletter", "off", door=Door.LINK, at=at - LATER)  # a first try that failed
    with writes():
        told = {"subject_id": people.alice.id, "code": "topic_newsletter", "value": "off", "at": at, "door": "link"}
        db.session.add(ChoiceRow(**told, wording="Newsletter Off", journal_id=entry))
    assert catch_up() == 0
    assert not is_stopped(people)


def test_the_worker_outlives_what_it_cannot_do(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of a dropped topic, then a verb that refuses: the next round is worked all the same."""
    opt_out(people, "topic_newsletter", "off")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    rounds: list[str] = []

    def refuse(*, now: object) -> int:
        rounds.append("refused")
        monkeypatch.undo()
        threading.Timer(7, signal.raise_signal, [signal.SIGTERM]).start()
        raise UnknownChoice("not in the catalogue")

    monkeypatch.setattr(optouts, "catch_up", refuse)
    try:
        worker.run(every=0.1)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert rounds == ["refused"]
    assert is_stopped(people)


def test_a_request_that_a_verb_refuses_holds_up_no_other(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_address: str, *, now: object) -> None:
        raise UnknownChoice("not in the catalogue")

    monkeypatch.setitem(worker.ANSWERS, "password", refuse)
    with writes():
        db.session.add(LinkRequest(address="a@example.org", wanted="password", at=portal_clock.now()))
        db.session.flush()
        unsubscribe.ask_for_link(people.alice.email, now=portal_clock.now())
    assert worker.answer_waiting(portal_clock.now) == 2
    assert db.session.scalars(select(Message.name)).all() == ["unsubscribe_link"]


@pytest.mark.parametrize("ahead", [timedelta(seconds=16), timedelta(days=3650)])
def test_a_line_from_the_future_holds_up_none(people: People, clock: time_machine.Traveller, ahead: timedelta) -> None:
    opt_out(people, "topic_events", "off", ago=-ahead)
    opt_out(people)
    assert catch_up() == 2
    assert is_stopped(people)
    stand = choices.standing(people.alice.id)["topic_events"]
    assert (stand.value, stand.at) == ("off", portal_clock.now())


@pytest.mark.parametrize("seconds", [-14, 14])
def test_a_line_that_may_be_under_way_waits_on_either_side_of_now(
    people: People, clock: time_machine.Traveller, seconds: int
) -> None:
    opt_out(people, ago=timedelta(seconds=seconds))
    assert catch_up() == 0
    clock.shift(timedelta(seconds=40))
    assert catch_up() == 1


def test_a_file_that_was_replaced_is_read_from_its_beginning(people: People) -> None:
    for code in ("topic_events", "topic_journal"):
        opt_out(people, code, "off")
    assert catch_up() == 2
    [path] = journal.files()
    path.rename(path.with_suffix(".1"))
    opt_out(people)
    assert catch_up() == 1
    assert is_stopped(people)


def test_a_line_never_overrules_what_the_person_answered_after_it(people: People) -> None:
    opt_out(people)
    with writes():
        now = portal_clock.now()
        choices.change(people.alice.subject, SUPPRESS, to="yes", via=Door.PAGE, now=now - LATER / 2)
        choices.change(people.alice.subject, SUPPRESS, to="no", via=Door.PAGE, now=now - LATER / 3)
    assert catch_up() == 0
    assert not is_stopped(people)


def test_a_line_counts_over_an_older_answer_and_over_a_file(people: People) -> None:
    with writes():
        old = portal_clock.now() - 2 * LATER
        choices.change(people.alice.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=old)
    opt_out(people, "sponsor_sharing", "no")
    opt_out(people)
    content = f"email,suppress_broadcast_emails\n{people.alice.email},no\n".encode()
    db.session.rollback()
    with writes():
        assert imports.import_members(io.BytesIO(content), now=portal_clock.now()).updated == 1
    assert catch_up() == 2
    assert is_stopped(people)
    assert choices.standing(people.alice.id)["sponsor_sharing"].value == "no"


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
    shutil.rmtree(folder)
    folder.write_text("a file where a folder should be", encoding="utf-8")
    answer = client.post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert not is_stopped(people)


@pytest.mark.parametrize("reason", ["asked", "bounced"])
@pytest.mark.parametrize("way", ["imported", "imported anew", "confirmed"])
def test_an_address_that_gets_no_mail_gets_none_after_new_keys(
    app: Flask, people: People, reason: str, way: str
) -> None:
    """Whoever bears it later, by whatever door it came: the hash of the older key says so."""
    address = "erin@moss.example.org"
    with writes():
        db.session.add(Suppression(keyed_hash=suppression_hash(address), reason=reason, at=portal_clock.now()))
    app.config["SUPPRESSION_KEYS"] = (("s2", "another-key-of-some-length-4711"), *app.config["SUPPRESSION_KEYS"])
    with writes():
        if way == "confirmed":
            members.set_email(people.bob, address, now=portal_clock.now())
    if way != "confirmed":
        known = "M-3003" if way == "imported" else "M-4004"
        for email in ("before@moss.example.org", address) if way == "imported anew" else (address,):
            file = f"member_id,email,first_name,last_name\n{known},{email},Erin,Moss\n".encode()
            with writes():
                imports.import_members(io.BytesIO(file), now=portal_clock.now())
    query = select(Member.email).join(Member.subject).where(Member.email == address)
    assert db.session.scalars(query).one() == address
    assert db.session.scalars(query.where(may_be_mailed("events"))).all() == []


@pytest.mark.parametrize("words", [("mail", "deliver"), ("broadcasts", "filter", "--topic", "events"), ("worker",)])
def test_nothing_is_sent_while_a_key_is_dropped_by_which_somebody_is_silent(
    app: Flask, run: Runner, people: People, words: tuple[str, ...]
) -> None:
    newer = ("s2", "another-key-of-some-length-4711")
    with writes():
        db.session.add(Suppression(keyed_hash=suppression_hash("a@b.example"), reason="asked", at=portal_clock.now()))
    app.config["SUPPRESSION_KEYS"] = (newer,)
    refused = run(*words, stdin="email\n")
    assert (refused.exit_code, refused.stdout) == (3, "")
    assert "SUPPRESSION_KEYS lacks the key 's1'" in refused.stderr
    if words != ("worker",):
        app.config["SUPPRESSION_KEYS"] = (newer, ("s1", "whatever-it-is-it-bears-that-name"))
        assert run(*words, stdin="email\n").exit_code == 0
