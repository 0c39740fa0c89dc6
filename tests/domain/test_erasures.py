"""When an erasure runs, what it leaves behind for the person and the desk, and that no crash leaves it half done."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import delete, event, func, select, text, update

from portal import clock as portal_clock
from portal import journal
from portal.cli import erasures as command
from portal.cli import worker
from portal.datamap import erasure
from portal.datamap.erasure import Found
from portal.datamap.rows import Person, person
from portal.domain import choices, downloads, erasures, requests, trail
from portal.domain.errors import CannotWithdraw, NotDue
from portal.extensions import db
from portal.journal import Step
from portal.mail import delivery, outbox
from portal.models import (
    DataSubjectRequest,
    ErasureLine,
    Event,
    FailedSignIn,
    Member,
    Message,
    Registration,
    RequestStep,
    RequestTask,
    Subject,
    Trail,
)
from portal.models.message import MailKind, MailState
from portal.models.request import State
from portal.purposes import HOLDINGS, RECEIVERS
from portal.tokens import canonical_address, number_to_hash, sign_unsubscribe, suppression_hash
from portal.vocabulary import Door
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.datamap.test_erasure import as_text, dump
from tests.domain.test_races import together
from tests.letters import letter, letters
from tests.people import ALICE, NOW, People
from tests.rows import fill

Clock = time_machine.Traveller
HOUR = timedelta(hours=1)


@pytest.fixture
def asked(people: People, clock: Clock) -> UUID:
    """Alice, about whom every table holds something, has asked to be erased."""
    with writes():
        fill(people)
        db.session.execute(update(DataSubjectRequest).values(state=State.WITHDRAWN, closed_at=NOW))
    return ask(people)


@pytest.fixture
def due(asked: UUID, clock: Clock) -> UUID:
    """The same, approved, 72 hours later."""
    approve(asked)
    clock.shift(erasures.COOLING_OFF)
    return asked


def ask(people: People, kind: str = "erasure") -> UUID:
    with writes():
        made = requests.file(
            people.alice,
            kind.partition("-")[0],
            details="all of it",
            operation_id=kind,
            via=Door.PAGE,
            now=portal_clock.now(),
        )
        return made.id


def approve(ident: UUID) -> None:
    with writes():
        erasures.approve(stored(ident), now=portal_clock.now())


def stored(ident: UUID) -> DataSubjectRequest:
    return db.session.get_one(DataSubjectRequest, ident, populate_existing=True)


def why(ident: UUID) -> str:
    db.session.rollback()
    return erasures.why_not_yet(stored(ident), now=portal_clock.now())


def is_due(ident: UUID) -> bool:
    """Asked in both ways, which must agree."""
    db.session.rollback()
    listed = ident in erasures.due(now=portal_clock.now())
    assert listed == (why(ident) == "")
    return listed


def steps(ident: UUID) -> list[str]:
    """But that staff were told."""
    db.session.rollback()
    told = RequestStep.step == requests.STAFF_TOLD
    query = select(RequestStep.step).where(RequestStep.request_id == ident, ~told).order_by(RequestStep.id)
    found = list(db.session.scalars(query))
    db.session.rollback()
    return found


def carry_out(ident: UUID) -> None:
    with writes():
        erasures.carry_out(ident, now=portal_clock.now())


def lines() -> list[tuple[Step, str]]:
    """What the journal says of Alice; it knows Charlie, too."""
    return [(line.step, line.id) for line in all_lines() if line.subject != charlie()]


def all_lines() -> list[journal.Erasure]:
    return [line for path in journal.erasure_files() for line, _ in journal.read_erasures(path, position=0)]


def charlie() -> UUID:
    ident = db.session.scalars(select(Subject.id).where(Subject.erased_at < NOW)).one()
    db.session.rollback()
    return ident


def told() -> list[Step]:
    return [step for step, _ in lines()]


# Beside others --------------------------------------------------------------------------------------------


def stop(ident: UUID) -> None:
    choices.change(subject_of(ident), "topic_magazine", to="off", via=Door.ONE_CLICK, now=portal_clock.now())


def ask_more(ident: UUID) -> None:
    now, person_ = portal_clock.now(), subject_of(ident)
    requests.file_for(
        person_, "question", details="more", operation_id="more", verified_how="password", via=Door.PAGE, now=now
    )


def look(ident: UUID) -> None:
    trail.look(ident, "looked at", now=portal_clock.now())


def take_a_copy(ident: UUID) -> None:
    downloads.note(ident, name="zip", browser="A browser", now=portal_clock.now())


def subject_of(ident: UUID) -> Subject:
    return db.session.get_one(Subject, ident)


@pytest.mark.parametrize("act", [stop, ask_more, look, take_a_copy])
def test_what_comes_during_an_erasure_leaves_nothing_behind(app: Flask, due: UUID, act: Callable[[UUID], None]) -> None:
    """It waits, and finds nobody: a row that comes in right after would be found by no erasure, and ever again."""
    ident = stored(due).subject_id
    needles, _ = together(app, lambda: erasures.carry_out(due, now=portal_clock.now()), lambda: act(ident))
    db.session.rollback()
    assert erasure.verify(needles, Person(ident, (), needles.hashes)).left == []
    assert db.session.scalars(select(DataSubjectRequest.kind).where(DataSubjectRequest.kind == "question")).all() == []
    db.session.rollback()


def test_what_is_answered_at_the_same_moment_stays_answered(app: Flask, due: UUID) -> None:
    with writes():
        ask_more(stored(due).subject_id)

    def answered() -> None:
        query = select(DataSubjectRequest).where(DataSubjectRequest.kind == "question").with_for_update(key_share=True)
        question = db.session.scalars(query.execution_options(populate_existing=True)).one()
        question.state, question.closed_at = State.FULFILLED, portal_clock.now()

    together(app, answered, lambda: erasures.carry_out(due, now=portal_clock.now()))
    db.session.rollback()
    query = select(DataSubjectRequest.state).where(DataSubjectRequest.kind == "question")
    assert db.session.scalars(query).one() == State.FULFILLED
    db.session.rollback()


# When -----------------------------------------------------------------------------------------------------


def test_seventy_two_hours(asked: UUID, clock: Clock) -> None:
    approve(asked)
    clock.shift(erasures.COOLING_OFF - timedelta(minutes=1))
    assert not is_due(asked)
    assert "72 hours" in why(asked)
    with pytest.raises(NotDue, match="72 hours"), writes():
        erasures.carry_out(asked, now=portal_clock.now())
    clock.shift(timedelta(minutes=1))
    assert is_due(asked)
    carry_out(asked)


def test_do_not_wait(asked: UUID, people: People, clock: Clock) -> None:
    with writes():
        erasures.do_not_wait(people.alice, stored(asked), now=portal_clock.now())
    assert not is_due(asked), "staff have not looked yet"
    approve(asked)
    assert is_due(asked)
    clock.shift(HOUR)
    with writes():
        erasures.do_not_wait(people.alice, stored(asked), now=portal_clock.now())
    assert stored(asked).wait_until == NOW
    assert steps(asked) == ["received", "do_not_wait", "approved"]
    with pytest.raises(NotDue), writes():
        erasures.do_not_wait(people.bob, stored(asked), now=portal_clock.now())


def test_nothing_runs_that_the_desk_has_not_approved(asked: UUID, clock: Clock) -> None:
    clock.shift(30 * 24 * HOUR)
    assert not is_due(asked)
    assert "staff" in why(asked)
    approve(asked)
    approve(asked)
    assert is_due(asked)
    assert stored(asked).state == State.WORKING
    assert steps(asked) == ["received", "approved"]
    assert len(letters("erasure_approved")) == 1


@pytest.mark.parametrize("reason", erasures.HOLDS)
def test_a_hold(due: UUID, reason: str) -> None:
    with writes():
        erasures.hold(stored(due), reason, now=portal_clock.now())
    assert not is_due(due)
    assert why(due) == erasures.HOLDS[reason]
    with pytest.raises(NotDue), writes():
        erasures.carry_out(due, now=portal_clock.now())
    with writes():
        erasures.hold(stored(due), reason, now=portal_clock.now())
        erasures.resume(stored(due), now=portal_clock.now())
    assert is_due(due)
    assert steps(due) == ["received", "approved", "held", "resumed"]
    with pytest.raises(KeyError), writes():
        erasures.hold(stored(due), "mood", now=portal_clock.now())


@pytest.mark.parametrize("kind", ["access"])
def test_another_request_that_needs_the_data_goes_first(due: UUID, people: People, kind: str) -> None:
    other = ask(people, kind)
    reference = stored(other).reference
    assert not is_due(due)
    assert reference in why(due)
    with writes():
        requests.withdraw(people.alice, stored(other), now=portal_clock.now())
    assert is_due(due)


def test_a_request_from_before_the_hours_were_stored(due: UUID) -> None:
    with writes():
        db.session.execute(update(DataSubjectRequest).values(wait_until=None))
    assert is_due(due)
    with writes():
        db.session.execute(update(DataSubjectRequest).values(received_at=NOW + HOUR))
    assert not is_due(due)


def test_what_is_closed_or_done_stays_so(due: UUID, people: People) -> None:
    carry_out(due)
    assert not is_due(due)
    with pytest.raises(NotDue), writes():
        erasures.carry_out(due, now=portal_clock.now())
    with pytest.raises(NotDue), writes():
        erasures.approve(stored(due), now=portal_clock.now())
    with pytest.raises(NotDue), writes():
        erasures.hold(stored(due), "claim", now=portal_clock.now())


# What is left for the person and the desk -----------------------------------------------------------------


def test_it_is_carried_out(due: UUID, people: People) -> None:
    alice = people.alice.id
    with writes():
        who, looked_for = person(alice), erasure.needles(person(alice))
        planned = erasures.plan(alice, now=portal_clock.now())
        db.session.execute(delete(ErasureLine))
    carry_out(due)
    assert erasure.verify(looked_for, who).left == []
    request = stored(due)
    assert request.carried_out_at == NOW + erasures.COOLING_OFF
    assert (request.state, request.closed_at, request.details) == (State.WORKING, None, "")
    assert steps(due) == ["received", "approved", "carried_out"]
    assert letter("staff_erasure_done").text.count("\n- ") == len(request.tasks)
    asked = [code for code, each in HOLDINGS.items() if each.asked]
    assert [task.holding for task in request.tasks] == asked
    assert list(erasures.plan(people.bob.id, now=NOW).holdings) == [each for each in asked if each != RECEIVERS]
    assert erasures.receivers(request) == [("Exhibitors of the symposium", NOW)], "GDPR Art. 19: they can be told"
    done = {(line.what, line.action, line.reason): line.rows for line in request.lines}
    assert len(done) == len(request.lines) == len(planned.lines)
    assert done.keys() == {(line.what, line.action, line.reason) for line in planned.lines}
    farewell = letter("farewell")
    assert len(letters("farewell")) == 1
    assert (farewell.to_address, farewell.subject_id) == (ALICE["email"], alice)
    assert {row.name for row in letters(to=str(ALICE["email"]))} == {"farewell"}
    left = [place for place in as_text().splitlines() if str(ALICE["email"]).lower() in place.lower()]
    assert left == [ALICE["email"]], "the farewell has the last copy"


def test_nobody_outside_is_asked_before_it_is_approved(asked: UUID, clock: Clock) -> None:
    """From the approval on staff can write to them, and tick; it is done only when it is done here, too."""
    with pytest.raises(NotDue), writes():
        erasures.tick(stored(asked), "hotels", now=portal_clock.now())
    assert stored(asked).tasks == []
    approve(asked)
    approve(asked)
    holdings = [task.holding for task in stored(asked).tasks]
    assert holdings == [code for code, each in HOLDINGS.items() if each.asked]
    for code in holdings:
        with writes():
            erasures.tick(stored(asked), code, now=portal_clock.now())
    assert stored(asked).state == State.WORKING
    clock.shift(erasures.COOLING_OFF)
    carry_out(asked)
    assert [task.holding for task in stored(asked).tasks if task.done_at == NOW] == holdings
    with writes():
        erasures.checked(asked, Found([]), now=portal_clock.now())
    assert stored(asked).state == State.FULFILLED


def test_the_last_tick_closes_it(due: UUID) -> None:
    carry_out(due)
    holdings = [task.holding for task in stored(due).tasks]
    with writes():
        for code in holdings:
            erasures.tick(stored(due), code, now=portal_clock.now())
    assert stored(due).state == State.WORKING, "nothing has been checked yet"
    with writes():
        erasures.checked(due, Found([]), now=portal_clock.now())
        db.session.execute(update(RequestTask).values(done_at=None))
        again = update(DataSubjectRequest).where(DataSubjectRequest.id == due)
        db.session.execute(again.values(state=State.WORKING, closed_at=None))
    for code in holdings:
        assert stored(due).state == State.WORKING
        with writes():
            erasures.tick(stored(due), code, now=portal_clock.now())
            erasures.tick(stored(due), "nobody", now=portal_clock.now())
    request = stored(due)
    assert (request.state, request.closed_at) == (State.FULFILLED, portal_clock.now())
    assert {task.done_at for task in request.tasks} == {portal_clock.now()}
    assert steps(due)[-1] == "fulfilled"


def test_anonymous_people_still_count(people: People, clock: Clock, run: Runner) -> None:
    """As an erasure, with a number at each event in place of the name; nothing leads back, and twice counts once."""
    with writes():
        fill(people)
        db.session.execute(update(DataSubjectRequest).values(state=State.WITHDRAWN, closed_at=NOW))
    alice, came_to = people.alice.id, counts(people.alice.id)
    assert came_to
    ident = ask(people, "anonymisation")
    with writes():
        requests.keep(stored(ident), now=NOW)
    ident = ask(people, "anonymisation-again")
    approve(ident)
    assert letter("erasure_approved").title.startswith("Your data will be made anonymous")
    clock.shift(erasures.COOLING_OFF)
    assert is_due(ident)
    before = {code: number for code, (number, _) in everybody().items()}
    result = run("erasures", "run")
    assert (result.exit_code, steps(ident)[-1]) == (0, "checked")
    assert {code: number for code, (number, _) in everybody().items()} == before, "as many people came as before"
    assert counts(alice) == {}
    assert {code for code, (_, anonymous) in everybody().items() if anonymous} == set(came_to)
    assert letter("farewell").title.startswith("Your data is anonymous now")
    assert run("erasures", "run").exit_code == 3
    with writes():
        erasures.carry_out_again(alice, hashes=(), at=NOW, now=portal_clock.now())
    assert {code: number for code, (number, _) in everybody().items()} == before
    assert [value for value in hers() if value in as_text().lower()] == []


def counts(member_id: UUID) -> dict[str, int]:
    """The codes of the events that somebody is registered for."""
    db.session.rollback()
    query = select(Event.code).join(Registration).where(Registration.member_id == member_id).order_by(Event.code)
    return dict.fromkeys(db.session.scalars(query), 1)


def everybody() -> dict[str, tuple[int, int]]:
    """By event: how many came, and how many of them without a name."""
    db.session.rollback()
    named = select(func.count()).where(Registration.event_id == Event.id).scalar_subquery()
    rows = db.session.execute(select(Event.code, named, Event.anonymous).order_by(Event.code))
    return {code: (number + anonymous, anonymous) for code, number, anonymous in rows}


def test_what_else_was_asked_is_closed(due: UUID, people: People) -> None:
    with writes():
        first = stored(due)
        other = DataSubjectRequest(
            reference="IM-2222-2222", operation_id="o", subject_id=people.alice.id, kind="objection", details="why",
            door="page", received_at=NOW, **{name: getattr(first, name) for name in DATES},
        )  # fmt: skip
        db.session.add(other)
    ident = other.id
    carry_out(due)
    assert (stored(ident).state, stored(ident).details) == (State.WITHDRAWN, "")
    assert steps(ident) == ["closed_by_erasure"]
    assert letters("request_withdrawn") == []


DATES = (
    "received_on", "promise_on", "legal_1_on", "legal_1_rolled_on", "legal_3_on", "us_1_on", "us_2_on", "legal_on",
)  # fmt: skip


def review(people: People, scope: str) -> UUID:
    with writes():
        first = db.session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)).first()
        assert first is not None
        made = DataSubjectRequest(
            reference="IM-3333-3333", operation_id="r", subject_id=people.alice.id, kind="review", scope=scope,
            door="system", received_at=NOW, verified_at=NOW, verified_how="membership records", wait_until=NOW,
            **{name: getattr(first, name) for name in DATES},
        )  # fmt: skip
        db.session.add(made)
        db.session.flush()
        erasures.approve(made, now=NOW)
        return made.id


def test_a_review_of_everything_is_an_erasure(asked: UUID, people: People) -> None:
    ident, alice = review(people, ""), people.alice.id
    assert letters("erasure_approved") == []
    carry_out(ident)
    assert db.session.get_one(Subject, alice).erased_at == NOW
    assert stored(asked).state == State.WITHDRAWN
    assert letter("farewell").to_address == ALICE["email"]


def test_a_review_of_one_purpose_leaves_the_account(asked: UUID, people: People, run: Runner) -> None:
    ident, alice = review(people, "content"), people.alice.id
    result = run("erasures", "run")
    assert (result.exit_code, result.stderr.splitlines()[-3:]) == (0, ["done 1", "refused 0", "needs attention 0"])
    assert told() == [], "a replay of it would erase the whole person"
    member = db.session.get_one(Member, alice, populate_existing=True)
    assert (member.certifications, member.demographics, member.education) == ("", "", ALICE["education"])
    assert member.subject.erased_at is None
    assert member.account is not None
    request = stored(ident)
    assert request.carried_out_at == NOW
    assert {(line.what, line.action) for line in request.lines} >= {("Education", "kept"), ("Birth date", "kept")}
    changed = select(Trail.field).where(Trail.subject_id == alice, Trail.door == Door.SYSTEM).order_by(Trail.field)
    assert db.session.scalars(changed).all() == ["certifications", "demographics"]
    assert letters("farewell") == []
    assert (request.state, request.tasks) == (State.FULFILLED, []), "nobody outside is asked for this alone"


# Never again ----------------------------------------------------------------------------------------------


def test_an_old_file_does_not_bring_anybody_back(due: UUID, run: Runner, tmp_path: Path) -> None:
    carry_out(due)
    file = tmp_path / "old.csv"
    rows = ("M-1001,someone@else.example.org", f"M-9,{str(ALICE['email']).upper()}")
    file.write_text("\n".join(("member_id,email", *rows, "M-8,new@example.org")), encoding="utf-8")
    summary = run("members", "import", file).stderr
    assert "created 1\n" in summary
    assert "held back 2\n" in summary
    assert db.session.scalars(select(Member.email_key).order_by(Member.email_key)).all() == [
        "bob@tanaka.example.org", "new@example.org",
    ]  # fmt: skip


def test_the_unsubscribe_link_still_answers(due: UUID, people: People, app: Flask) -> None:
    token = sign_unsubscribe(people.alice.subject.unsubscribe_reference, "events")
    carry_out(due)
    before = dump()
    one_click = app.test_client().post(f"/unsubscribe/{token}", data={"List-Unsubscribe": "One-Click"})
    page = app.test_client().get(f"/unsubscribe/{token}")
    assert (one_click.status_code, page.status_code) == (200, 200)
    assert dump() == before


# The farewell ---------------------------------------------------------------------------------------------


def test_the_address_goes_with_the_farewell(due: UUID, people: People, smtp: MailServer) -> None:
    with writes():
        db.session.execute(delete(Message))
    alice = people.alice.id
    carry_out(due)
    with writes():  # a letter that was under way: written beside the erasure, committed after it
        late = letter("farewell")
        values = {each.key: getattr(late, each.key) for each in Message.__table__.columns}
        values |= {"id": UUID(int=1), "message_id": "<late@localhost>", "name": "reset"}
        db.session.execute(Message.__table__.insert().values(values))  # type: ignore[attr-defined]
    assert delivery.deliver(now=portal_clock.now).sent == 2  # the desk is told, too
    assert sorted(each.rcpt_tos for each in smtp.received) == [(ALICE["email"],), ("desk@example.org",)]
    sent, late = letters("farewell")[0], letters("reset")[0]
    assert (sent.state, sent.to_address, sent.subject_id, sent.text, sent.html) == (MailState.SENT, "", None, "", "")
    assert (late.state, late.to_address, late.subject_id) == (MailState.CANCELLED, "", None)
    everything = as_text().lower()
    assert [value for value in hers() if value in everything] == []
    assert erasure.verify(erasure.needles_left(alice, ()), person(alice)).left == []


PUBLISHED = {"last_name", "organization"}  # they stand in a recognition, which is kept as a record


def hers() -> list[str]:
    return [str(value).lower() for name, value in ALICE.items() if len(str(value)) > 6 and name not in PUBLISHED]


@pytest.mark.parametrize("smtp_answer", ["550 5.1.1 no such mailbox"])
def test_the_address_goes_with_a_farewell_that_nobody_takes(
    due: UUID, smtp: MailServer, smtp_answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> str:
        return smtp_answer

    monkeypatch.setattr(MailServer, "handle_DATA", refuse)
    with writes():
        db.session.execute(delete(Message))
    carry_out(due)
    delivery.deliver(now=portal_clock.now)
    dead = letters("farewell")[0]
    assert (dead.state, dead.to_address, dead.subject_id, dead.text) == (MailState.DEAD, "", None, "")
    assert str(ALICE["email"]).lower() not in as_text().lower()


# The run --------------------------------------------------------------------------------------------------


def test_a_run(due: UUID, people: People, run: Runner) -> None:
    alice = people.alice.id
    hashes = {suppression_hash(canonical_address(str(ALICE["email"]))), suppression_hash(number_to_hash("M-1001"))}
    result = run("erasures", "run")
    assert (result.exit_code, result.stderr.splitlines()[-3:]) == (0, ["done 1", "refused 0", "needs attention 0"])
    assert steps(due) == ["received", "approved", "begun", "carried_out", "checked"]
    intent, done = (line for line in all_lines() if line.subject == alice)
    assert (intent.step, done.step, intent.id) == (Step.INTENT, Step.DONE, done.id)
    assert intent.subject == done.subject == alice
    assert hashes < set(intent.hashes) == set(done.hashes), "and that of an address given up"
    written = "".join(path.read_text().lower() for path in journal.erasure_files())
    assert [value for value in hers() if value in written] == []
    again = run("erasures", "run")
    assert (again.exit_code, again.stderr.splitlines()[-3:]) == (3, ["done 0", "refused 0", "needs attention 0"])
    assert told() == [Step.INTENT, Step.DONE]


def test_nothing_due_is_nothing_done(asked: UUID, run: Runner) -> None:
    before = [path.read_bytes() for path in journal.erasure_files()]
    assert run("erasures", "run").exit_code == 3
    assert [path.read_bytes() for path in journal.erasure_files()] == before


def test_what_was_written_in_the_moment_of_an_erasure_loses_the_number(due: UUID, run: Runner) -> None:
    ident = stored(due).subject_id
    with writes():
        db.session.execute(text("CREATE TABLE stray (note TEXT)"))
        db.session.execute(text("INSERT INTO stray (note) VALUES (:address)"), {"address": ALICE["email"]})
    try:
        assert run("erasures", "run").exit_code == 1
    finally:
        with writes():
            db.session.execute(text("DROP TABLE stray"))
    with writes():
        trail.record(ident, "mail came back", door=Door.SYSTEM, now=portal_clock.now())
    assert run("erasures", "run").exit_code == 0
    assert steps(due)[-1] == "checked"
    assert db.session.scalars(select(Trail.subject_id).where(Trail.act == "mail came back")).one() is None
    db.session.rollback()


def test_what_is_found_is_told_and_nothing_is_called_done(due: UUID, run: Runner) -> None:
    with writes():
        db.session.execute(text("CREATE TABLE stray (id INTEGER, note TEXT)"))
        db.session.execute(text("INSERT INTO stray (note) VALUES (:address)"), {"address": ALICE["email"]})
    try:
        result = run("erasures", "run")
        assert (result.exit_code, result.stderr.splitlines()[-3:]) == (1, ["done 0", "refused 0", "needs attention 1"])
        assert command.run_due(portal_clock.now()) == command.Ran(), "the worker looks again once an hour"
        assert run("erasures", "run").exit_code == 1
        assert steps(due)[-1] == "needs_attention"
        assert told() == [Step.INTENT, Step.DONE], "that it is committed and that it is checked are two things"
        mail = letter("staff_erasure_needs_attention")
        assert len(letters("staff_erasure_needs_attention")) == 1
        assert "stray.note" in mail.text
        assert str(ALICE["email"]) not in mail.text
        with writes():
            for task in stored(due).tasks:
                erasures.tick(stored(due), task.holding, now=portal_clock.now())
        assert stored(due).state == State.WORKING
    finally:
        with writes():
            db.session.execute(text("DROP TABLE stray"))
    assert run("erasures", "run").exit_code == 0
    assert told() == [Step.INTENT, Step.DONE]
    assert stored(due).state == State.FULFILLED
    assert steps(due)[-2:] == ["checked", "fulfilled"]


def test_words_of_others_are_for_staff_and_stop_nothing(
    due: UUID, people: People, run: Runner, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a sign-in that is refused before the check, and mail to staff who have the same mailbox."""
    bob, email = people.bob.id, str(ALICE["email"])
    with writes():
        people.bob.education = f"Taught by {email}"

    def check_late(*arguments: Any) -> str:
        with writes():
            hashed = suppression_hash(canonical_address(email))
            db.session.add(FailedSignIn(address_hash=hashed, network="203.0.113.0/24", at=portal_clock.now()))
            outbox.put(
                "staff_reviews_opened",
                kind=MailKind.STAFF,
                to=email,
                subject_id=None,
                now=NOW,
                number=1,
                due_on=NOW.date(),
            )
        return check(*arguments)

    check = command._check
    monkeypatch.setattr(command, "_check", check_late)
    result = run("erasures", "run")
    assert (result.exit_code, result.stderr.splitlines()[-3:]) == (0, ["done 1", "refused 0", "needs attention 0"])
    mail = letter("staff_erasure_needs_attention")
    assert "member.education" in mail.text
    assert email not in mail.text
    assert steps(due)[-1] == "checked"
    request = stored(due)
    assert [task.holding for task in request.words] == [f"words.{bob.hex}"]
    assert erasures.worded(request) == [(request.words[0], "M-2002")]
    with writes():
        for task in stored(due).outside:
            erasures.tick(stored(due), task.holding, now=portal_clock.now())
    assert stored(due).state == State.WORKING
    with writes():
        erasures.tick(stored(due), f"words.{bob.hex}", now=portal_clock.now())
    assert stored(due).state == State.FULFILLED


def test_what_fails_in_one_keeps_no_other_waiting(due: UUID, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    other = erasures.due(now=portal_clock.now())
    db.session.rollback()
    broken = uuid4()
    monkeypatch.setattr(erasures, "due", lambda *, now: [broken, *other])
    erase = command._erase

    def fail_first(request_id: UUID, now: datetime) -> str:
        if request_id == broken:
            raise ZeroDivisionError
        return erase(request_id, now)

    monkeypatch.setattr(command, "_erase", fail_first)
    assert command.run_due(portal_clock.now()) == command.Ran(done=1, refused=1)


def test_what_was_begun_and_taken_back_is_given_up(due: UUID, people: People, run: Runner) -> None:
    line = journal.Erasure("1" * 32, portal_clock.now(), Step.INTENT, people.alice.id, ("v1.s1.x",))
    journal.note_erasure(line)
    with writes():
        requests.withdraw(people.alice, stored(due), now=portal_clock.now())
    assert command.run_due(portal_clock.now()) == command.Ran()
    assert told() == [Step.INTENT, Step.VOID]
    assert db.session.get_one(Subject, people.alice.id).erased_at is None


def test_the_worker_runs_it(due: UUID, people: People) -> None:
    alice = people.alice.id
    rounds: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop_when_done() -> bool:
        rounds.append(len(rounds))
        if told() == [Step.INTENT, Step.DONE] or len(rounds) > 50:
            signal.raise_signal(signal.SIGTERM)
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "answer_waiting", lambda _now: stop_when_done())
        db.session.rollback()
        try:
            worker.run(every=0.1)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    assert len(rounds) == 2, "in the first round"
    assert db.session.get_one(Subject, alice).erased_at == portal_clock.now()


def test_a_journal_that_cannot_be_written_stops_it(due: UUID, app: Flask, tmp_path: Path) -> None:
    blocked = tmp_path / "journal"
    app.config["JOURNAL_DIR"] = str(blocked)
    before = dump()
    blocked.mkdir()
    (blocked / "erasures.lock").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        command.run_due(portal_clock.now())
    assert dump() == before


# Two at once ----------------------------------------------------------------------------------------------


def test_two_runs_at_once_carry_out_once(due: UUID, app: Flask) -> None:
    db.session.rollback()
    now = portal_clock.now()

    def go() -> command.Ran:
        with app.app_context():
            return command.run_due(now)

    with ThreadPoolExecutor(4) as threads:
        ran = [future.result() for future in [threads.submit(Context().run, go) for _ in range(4)]]
    assert sum(each.done for each in ran) == 1
    assert sum(each.refused + each.attention for each in ran) == 0
    assert told() == [Step.INTENT, Step.DONE]
    assert len(letters("farewell")) == 1


def test_two_machines_at_once_carry_out_once(due: UUID, app: Flask) -> None:
    first, second = together(
        app,
        lambda: erasures.carry_out(due, now=portal_clock.now()),
        lambda: erasures.carry_out(due, now=portal_clock.now()),
    )
    assert not isinstance(first, NotDue)
    assert isinstance(second, NotDue)
    assert len(letters("farewell")) == 1


def test_a_withdrawal_a_moment_before_wins(due: UUID, people: People, app: Flask) -> None:
    alice = people.alice.id
    _, erased = together(app, lambda: withdraw(alice, due), lambda: erasures.carry_out(due, now=portal_clock.now()))
    assert isinstance(erased, NotDue)
    assert stored(due).state == State.WITHDRAWN
    assert db.session.get(Member, alice) is not None


def test_a_withdrawal_a_moment_late_is_told_so(due: UUID, people: People, app: Flask) -> None:
    alice = people.alice.id
    _, withdrawn = together(app, lambda: erasures.carry_out(due, now=portal_clock.now()), lambda: withdraw(alice, due))
    assert isinstance(withdrawn, CannotWithdraw)
    assert stored(due).carried_out_at is not None
    assert letters("request_withdrawn") == []


def withdraw(alice: UUID, ident: UUID) -> None:
    member = db.session.get(Member, alice)
    if member is None:  # SQLite: whoever comes second reads what the first has left
        raise CannotWithdraw("gone")
    requests.withdraw(member, db.session.get_one(DataSubjectRequest, ident), now=portal_clock.now())


# Faults ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Power failed."""


class Faults:
    """Kills the process before its k-th statement, commit, or journal write, or right after such a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.at = 0, 0
        write = journal.note_erasure

        def note(line: journal.Erasure) -> None:
            self.step()
            write(line)
            self.step()

        monkeypatch.setattr(journal, "note_erasure", note)
        event.listen(db.engine, "before_cursor_execute", self.step)
        event.listen(db.engine, "commit", self.step)

    def step(self, *_: object) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed

    def killed(self, at: int, work: Callable[[], object]) -> bool:
        """Whether the work was killed at its step `at`; it has fewer otherwise."""
        self.count, self.at = 0, at
        try:
            work()
        except Killed:
            return True
        finally:
            self.at = 0
            db.session.rollback()
        return False


@pytest.mark.timeout(300)  # some hundred runs
def test_killed_at_any_step_it_is_finished_by_the_next_run(
    due: UUID, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the commit nothing has changed, after it only the end is missing; each is finished exactly once.

    Every step on SQLite; on PostgreSQL, which takes the same ones, each seventh. Of the check, which only reads
    between its first and its last words, each seventh and those at both ends.
    """
    now, alice = portal_clock.now(), people.alice.id
    stride = 1 if db.engine.dialect.name == "sqlite" else 7
    before = but_steps(dump())
    faults = Faults(monkeypatch)
    seen: set[tuple[Step, ...]] = set()
    k = 1
    while faults.killed(k, lambda: command.run_due(now)) and but_steps(dump()) == before:
        seen.add(tuple(told()))
        forget_journal()
        k += stride
    assert seen == {(), (Step.INTENT,)}
    assert k > 60, "steps before the commit"
    assert db.session.get_one(Subject, alice).erased_at == now
    assert told() == [Step.INTENT] or (stride > 1 and told() == [Step.INTENT, Step.DONE]), (
        "killed right after the commit"
    )
    after, j = but_steps(dump()), 1
    while faults.killed(j, lambda: command.run_due(now)) and "checked" not in steps(due):
        j += stride if j < 12 else 7
    assert j > 40, "steps of the check"
    assert but_steps(dump()) == after
    last = faults.count
    with writes():
        db.session.execute(delete(RequestStep).where(RequestStep.step == "checked"))
    for j in range(last - 12, last + 2, stride):
        if not faults.killed(j, lambda: command.run_due(now)) or "checked" in steps(due):
            break
    assert but_steps(dump()) == after
    assert command.run_due(now) in (command.Ran(), command.Ran(done=1))
    assert told() == [Step.INTENT, Step.DONE]
    assert len(letters("farewell")) == 1
    assert steps(due) == ["received", "approved", "begun", "carried_out", "checked"]
    assert len(stored(due).tasks) == sum(each.asked for each in HOLDINGS.values())


def but_steps(tables: dict[str, list[tuple[str, ...]]]) -> dict[str, list[tuple[str, ...]]]:
    return {name: rows for name, rows in tables.items() if name != "request_step"}


def forget_journal() -> None:
    """As if this run had been the first."""
    known = charlie().hex
    for path in journal.erasure_files():
        path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if known in line))


@pytest.mark.parametrize("begun", [True, False])
def test_what_a_killed_run_left_is_carried_out(
    due: UUID, people: People, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """From either of the two states that the test above has found before the commit."""
    now, alice = portal_clock.now(), people.alice.id
    monkeypatch.setattr(erasures, "carry_out", _kill)
    db.session.rollback()
    with pytest.raises(Killed):
        command.run_due(now)
    monkeypatch.undo()
    assert told() == [Step.INTENT]
    if not begun:
        forget_journal()
    assert command.run_due(now) == command.Ran(done=1)
    assert told() == [Step.INTENT, Step.DONE]
    assert len({ident for _, ident in lines()}) == 1
    assert len(letters("farewell")) == 1
    assert db.session.get(Member, alice) is None


def _kill(*_: object, **__: object) -> None:
    raise Killed
