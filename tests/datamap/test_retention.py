"""The retention run: each period takes exactly its own rows, and the dry run knows it beforehand (P28)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, func, select, update
from sqlalchemy.orm import scoped_session

from portal.clock import SOCIETY_ZONE, society_date
from portal.datamap import retention
from portal.extensions import Base, db
from portal.models import (
    Account,
    Ask,
    Bounce,
    ChoiceRow,
    Conflict,
    DataSubjectRequest,
    Disclosure,
    EmailChange,
    Event,
    FailedSignIn,
    FormerValue,
    LinkRequest,
    ListRelease,
    ListStep,
    Message,
    PasswordLink,
    Recognition,
    Registration,
    RequestStep,
    SignIn,
    Subject,
    Suspension,
    Trail,
)
from portal.models.member import new_subject
from portal.purposes import PERIODS
from portal.tokens import digest, new_reference
from tests.databases import writes
from tests.people import People

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
# Before today, whenever that is: the database's own clock guards the answers. Midnight at the society's seat.
START = datetime(2026, 6, 1, tzinfo=SOCIETY_ZONE).astimezone(UTC)


# A row of each rule, whose days count from `at` ----------------------------------------------------------------


def account(people: People) -> Account:
    assert people.alice.account is not None
    return people.alice.account


def sign_in(people: People, at: datetime, kept_by: SignIn | None = None) -> SignIn:
    return SignIn(
        id=uuid4(), account_id=account(people).id, kept_by_id=kept_by.id if kept_by else None, browser="", network="",
        kind="session" if kept_by else "kept", token_hash=digest(uuid4().hex), created_at=at, seen_at=at, ends_at=at,
    )  # fmt: skip


def message(people: People, **values: Any) -> Message:
    usual: dict[str, Any] = {"name": "reset", "state": "sent", "to_address": "", "text": "", "html": ""}
    values = usual | {"message_id": uuid4().hex, "kind": "account", "title": "", "subject_id": people.alice.id} | values
    values.setdefault("created_at", values.get("sent_at"))
    return Message(due_at=values["created_at"], **values)


def answer(subject: Subject, at: datetime, code: str = "post") -> ChoiceRow:
    return ChoiceRow(subject_id=subject.id, code=code, value="no", at=at, door="page", wording="May we write?")


def disclosure(subject: Subject, at: datetime) -> Disclosure:
    return Disclosure(subject_id=subject.id, recipient="Sponsors", reason="List", fields="email", at=at)


def trail(subject: Subject | None, at: datetime, *, carried: bool = True, field: str = "city") -> Trail:
    carried_at = at if carried else None
    ident = subject.id if subject else None
    return Trail(subject_id=ident, act="changed", field=field, door="page", at=at, carried_at=carried_at)


def changed_twice(people: People, at: datetime) -> list[Trail]:
    """The older of two changes of a field: the newer says where its value came from."""
    field = uuid4().hex
    return [trail(people.alice.subject, at, field=field) for _ in range(2)]


def request(subject: Subject, closed_at: datetime) -> DataSubjectRequest:
    day = society_date(closed_at)
    made = DataSubjectRequest(
        id=uuid4(), reference=new_reference(), operation_id=uuid4().hex, subject_id=subject.id, kind="access",
        state="withdrawn", door="page", received_at=closed_at, received_on=day, promise_on=day, legal_1_on=day,
        legal_1_rolled_on=day, legal_3_on=day, legal_on=day, us_1_on=day, us_2_on=day, closed_at=closed_at,
    )  # fmt: skip
    made.steps.append(RequestStep(step="withdrawn", by="member", at=closed_at))
    return made


def link(people: People, at: datetime) -> PasswordLink:
    made = {"purpose": "reset", "token_hash": digest(uuid4().hex), "created_at": at, "ends_at": at}
    return PasswordLink(account_id=account(people).id, **made)


def email_change(people: People, at: datetime) -> EmailChange:
    return EmailChange(
        member_id=people.alice.id, old_email="old@example.org", new_email="new@example.org", door="page",
        confirm_hash=digest(uuid4().hex), cancel_hash=digest(uuid4().hex), created_at=at, confirm_until=at,
        cancel_until=at, cancelled_at=at,
    )  # fmt: skip


def registration(people: People, at: datetime) -> list[Any]:
    day = society_date(at)
    meeting = Event(code=uuid4().hex, name="Workshop", starts_on=day, ends_on=day)
    return [meeting, Registration(event=meeting, member_id=people.alice.id)]


def ask(at: datetime) -> Ask:
    return Ask(address="x@example.org", kind="access", token_hash=digest(uuid4().hex), at=at, ends_at=at)


def listed(at: datetime) -> ListRelease:
    return ListRelease(audience="sponsors", recipient="A sponsor", filed_at=at)


def list_step(_people: People, at: datetime) -> list[Any]:
    return [ListStep(release=listed(at), step="filed", at=at)]


def conflict(people: People, at: datetime) -> list[Any]:
    return [Conflict(member_id=people.alice.id, field=uuid4().hex, brought="Lund", at=at, seen_at=at)]


def erased(at: datetime) -> Subject:
    subject = new_subject()
    subject.erased_at = at
    db.session.add(subject)
    db.session.flush()
    return subject


def of_erased(row: Callable[[Subject, datetime], Any]) -> Callable[[People, datetime], list[Any]]:
    """Beside the row, one that keeps the subject's number: a change that is not carried over."""

    def rows(_people: People, at: datetime) -> list[Any]:
        subject = erased(at)
        return [row(subject, at), trail(subject, at, carried=False)]

    return rows


ROWS: dict[str, Callable[[People, datetime], list[Any]]] = {
    "sign-ins": lambda people, at: [sign_in(people, at)],
    "failed-sign-ins": lambda _people, at: [FailedSignIn(address_hash="x", network="", at=at)],
    "password-links": lambda people, at: [link(people, at)],
    "address-changes": lambda people, at: [email_change(people, at)],
    "typed-addresses": lambda _people, at: [LinkRequest(address="x@example.org", wanted="password", at=at)],
    "message-texts": lambda people, at: [message(people, sent_at=at, html="<p>Hello")],
    "unsent-addresses": lambda people, at: [message(people, state="dead", created_at=at, to_address="x@example.org")],
    "message-addresses": lambda people, at: [message(people, sent_at=at, to_address="x@example.org")],
    "bounces": lambda people, at: [
        Bounce(message=message(people, state="queued", created_at=at), status="5.2.2", final=False, at=at)
    ],
    "farewells": lambda people, at: [message(people, name="farewell", state="queued", created_at=at, text="Farewell")],
    "messages": lambda people, at: [message(people, state="dead", created_at=at)],
    "registrations": registration,
    "choices": lambda people, at: [answer(people.bob.subject, at), answer(people.bob.subject, at)],
    "requests": lambda people, at: [request(people.alice.subject, at)],
    "unconfirmed-asks": lambda _people, at: [ask(at)],
    "suspensions": lambda people, at: [
        Suspension(subject_id=people.alice.id, reason="abuse", at=at, review_on=society_date(at), ended_at=at)
    ],
    "trail": changed_twice,
    "former-values": lambda people, at: [
        FormerValue(member_id=people.alice.id, field=uuid4().hex, value="Lund", version=1, at=at)
    ],
    "detached-trail": lambda _people, at: [trail(None, at)],
    "disclosures": lambda people, at: [disclosure(people.alice.subject, at)],
    "list-steps": list_step,
    "conflicts": conflict,
    "requests-of-the-erased": of_erased(request),
    "proofs-of-the-erased": of_erased(answer),
    "disclosures-of-the-erased": of_erased(disclosure),
    "recognitions-of-the-erased": lambda _people, at: [Recognition(code=uuid4().hex, name="X", left_at=at)],
    "suspensions-of-the-erased": of_erased(
        lambda subject, at: Suspension(subject_id=subject.id, reason="fraud", at=at, review_on=society_date(at))
    ),
    "numbers-of-the-erased": lambda _people, at: [erased(at)],
}


def add(people: People, code: str, at: datetime) -> None:
    for row in ROWS[code](people, at):
        db.session.add(row)
        db.session.flush()


def outcome(now: datetime, *, dry_run: bool = False) -> dict[str, retention.Outcome]:
    db.session.rollback()
    return {each.rule: each for each in retention.run(now=now, dry_run=dry_run)}


def gone(outcomes: dict[str, retention.Outcome]) -> dict[str, int]:
    return {code: each.gone for code, each in outcomes.items() if each.gone}


def counts() -> dict[str, int]:
    db.session.rollback()
    tables = Base.metadata.tables
    each = [select(func.count()).select_from(table).scalar_subquery() for table in tables.values()]
    found = dict(zip(tables, db.session.execute(select(*each)).one(), strict=True))
    db.session.rollback()
    return found


# The rules --------------------------------------------------------------------------------------------------


def test_each_period_takes_exactly_its_rows_to_the_second(people: People) -> None:
    """P28: the clock passes one period each second: at its own it takes its row, and a second before nothing of it."""
    assert list(ROWS) == list(PERIODS), "a new period: write the row that it takes into ROWS"
    codes = sorted(PERIODS, key=lambda code: code != "registrations")  # their days end at midnight, where START is
    ends = {code: START + nth * SECOND for nth, code in enumerate(codes)}
    with writes():
        for code, end in ends.items():
            add(people, code, end - timedelta(days=PERIODS[code].days))
    assert gone(outcome(START - SECOND)) == {}
    for code, end in ends.items():
        rows = counts()
        before = outcome(end, dry_run=True)
        assert gone(before) == {code: 1}
        assert (before[code].until or society_date(end) + DAY) > society_date(end)
        assert counts() == rows
        assert outcome(end) == before
        lost = {table: number - left for table, left in counts().items() if (number := rows[table]) != left}
        steps = {"request_step": 1} if PERIODS[code].table == "data_subject_request" else {}
        assert lost == ({} if PERIODS[code].clears else {PERIODS[code].table: 1} | steps)
    assert gone(outcome(end)) == {}
    texts = select(Message.to_address, Message.html).where(Message.state == "sent").order_by(Message.sent_at.desc())
    assert db.session.execute(texts).all() == [("", ""), ("", "")]


def test_the_day_on_which_the_next_row_goes(people: People) -> None:
    with writes():
        for code in PERIODS:
            add(people, code, START)
    for code, each in outcome(START - DAY, dry_run=True).items():
        assert each.until == society_date(START) + timedelta(days=PERIODS[code].days), code
        assert each.stays >= 1
        assert each.words == PERIODS[code].words


def test_what_must_stay_stays_however_old(people: People, session: scoped_session[Any]) -> None:
    """An answer that stands, a change not carried over, a message on its way, an open request, a number in use."""
    long_ago = START - timedelta(days=30 * 365)
    with writes():
        change = email_change(people, long_ago)
        change.cancelled_at, change.confirmed_at = None, long_ago
        alice = people.alice.subject
        session.add_all([change, answer(alice, long_ago), trail(alice, long_ago, carried=False)])
        session.add_all([trail(alice, long_ago, field="title"), trail(alice, long_ago)])  # the last says where from
        session.add(Trail(subject_id=alice.id, act="created", door="import", at=long_ago, carried_at=long_ago))
        session.add(Trail(subject_id=alice.id, act="changed", field="email", door="page", at=long_ago))
        session.add(message(people, state="queued", created_at=long_ago, text="Hello", to_address="x@example.org"))
        waiting = request(alice, long_ago)
        waiting.closed_at, waiting.state = None, "received"
        session.add(waiting)
        kept = sign_in(people, long_ago)
        session.add(kept)
        session.flush()
        session.add(sign_in(people, START, kept_by=kept))
        used = erased(long_ago)
        session.add(trail(used, long_ago, carried=False))
    rows = counts()
    assert gone(outcome(START)) == {}
    assert counts() == rows


def test_a_kept_sign_in_goes_after_what_it_opened_and_each_is_counted(people: People) -> None:
    with writes():
        kept = sign_in(people, START - DAY)
        db.session.add(kept)
        db.session.flush()
        db.session.add_all(sign_in(people, START, kept_by=kept) for _ in range(3))
    end = START + timedelta(days=90)
    assert gone(outcome(end - SECOND)) == {}
    assert gone(outcome(end, dry_run=True)) == gone(outcome(end)) == {"sign-ins": 4}


def test_batches_of_any_size_take_the_same(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one moment, as an import writes them, and rows that stay among them: none is left or taken twice."""
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "PAUSE", 0)
    old = START - timedelta(days=7 * 365)
    with writes():
        for number in range(5):
            add(people, "trail", old)
            add(people, "registrations", old)
            add(people, "messages", old)
            db.session.add(answer(people.alice.subject, old, f"stands-{number}"))
            db.session.add(answer(people.alice.subject, old))
            db.session.flush()
    expected = {"messages": 5, "registrations": 5, "choices": 4, "trail": 5}
    assert gone(outcome(START, dry_run=True)) == gone(outcome(START)) == expected
    assert gone(outcome(START)) == {}


def test_a_run_told_to_stop_ends_between_two_batches(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    with writes():
        for _ in range(5):
            add(people, "failed-sign-ins", START - 91 * DAY)
    asked = iter([False] * 4 + [True] * 99)
    *_, last = retention.run(now=START, stopping=lambda: next(asked))
    assert last.rule == "failed-sign-ins"
    assert counts()["failed_sign_in"] == 3
    assert gone(outcome(START)) == {"failed-sign-ins": 3}


OLDEST = 8 * 365 * 24 * 3600
AGED = st.lists(
    st.tuples(st.sampled_from([code for code in PERIODS if code != "choices"]), st.integers(0, OLDEST)), max_size=25
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(aged=AGED)
def test_what_goes_is_what_is_old_enough(people: People, aged: list[tuple[str, int]]) -> None:
    """Against an oracle that knows each row's age, whatever the ages: dry run, run and oracle agree."""
    expected: Counter[str] = Counter()
    with writes():
        for code, age in aged:
            at = START - timedelta(seconds=age)
            add(people, code, at)
            old = at + timedelta(days=PERIODS[code].days) <= START
            if code == "registrations":
                old = society_date(START) >= society_date(at) + timedelta(days=PERIODS[code].days)
            expected[code] += old
            if code in ("message-texts", "message-addresses", "unsent-addresses"):
                expected["messages"] += at + timedelta(days=PERIODS["messages"].days) <= START
    dry = outcome(START, dry_run=True)
    assert gone(dry) == {code: number for code, number in expected.items() if number}
    assert outcome(START) == dry
    assert gone(outcome(START)) == {}
    _empty(people)


EMPTIED = (
    *("registration", "event", "choice", "disclosure", "trail", "message", "data_subject_request"),
    *("list_step", "list_release", "import_conflict"),
    *("sign_in", "link_request", "ask", "suspension", "failed_sign_in", "password_link", "email_change"),
    "former_value",
)


def _empty(people: People) -> None:
    """Take the rows of one example out, also those that the database guards."""
    with writes():
        guarded = db.session.execute(select(ChoiceRow.subject_id).distinct()).scalars().all()
        db.session.execute(update(Subject).where(Subject.id.in_(guarded)).values(erased_at=START))
        mine = (people.alice.id, people.bob.id, people.charlie.id)
        for name in EMPTIED:
            db.session.execute(delete(Base.metadata.tables[name]))
        db.session.execute(delete(Subject).where(Subject.id.not_in(mine)))


# How it is found --------------------------------------------------------------------------------------------

SMALL = ("event", "newer", "later", "opened", "suspension")  # few rows, or looked up for one row


def test_every_rule_finds_its_rows_by_an_index(people: People, engine_name: str) -> None:
    """No batch reads a whole table: told by the database itself."""
    plans: list[str] = []
    explain = "EXPLAIN QUERY PLAN " if engine_name == "sqlite" else "EXPLAIN "

    def look(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "LIMIT" in statement and "count(" not in statement:
            rows = connection.connection.cursor()
            if engine_name == "postgresql":
                rows.execute("SET LOCAL enable_seqscan = off")
            rows.execute(explain + statement, parameters)
            plans.append("\n".join([statement, *(str(row) for row in rows.fetchall())]))

    event.listen(db.engine, "before_cursor_execute", look)
    try:
        outcome(START)
    finally:
        event.remove(db.engine, "before_cursor_execute", look)
    assert len(plans) >= 2 * len(PERIODS)
    for plan in plans:
        for line in plan.splitlines():
            whole = (
                line.startswith("(") and "SCAN" in line and "INDEX" not in line
                if engine_name == "sqlite"
                else "Seq Scan" in line
            )
            assert not whole or any(name in line for name in SMALL), plan
