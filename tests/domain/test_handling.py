"""The desk's verbs on a request: no way through them leads where the law or the tables forbid (rights §4.4)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from sqlalchemy import func, select

from portal.clock import SOCIETY_ZONE, society_date
from portal.datamap import retention
from portal.domain import desk, erasures, figures, handling, queue, reminders, requests, restrictions, suspensions
from portal.domain.errors import DomainError, NotNow
from portal.domain.handling import EXTENSIONS, REFUSALS
from portal.domain.kinds import FILED, KINDS
from portal.extensions import db
from portal.models import (
    Account,
    DataSubjectRequest,
    ErasureLine,
    Member,
    Message,
    RequestStep,
    Suppression,
    Suspension,
    Trail,
)
from portal.models.request import ERASING, OPEN, State
from portal.models.suppression import SAFETY
from portal.purposes import HOLDINGS, RECEIVERS
from portal.tokens import new_secret
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.letters import letter, letters
from tests.people import NOW, People

TWO = {"DESK_REQUIRES_SECOND_PERSON": "true"}
DAY = timedelta(days=1)
ASKED = [code for code, holding in HOLDINGS.items() if holding.asked and code != RECEIVERS]


def filed(people: People, kind: str = "correction", *, at: datetime = NOW) -> DataSubjectRequest:
    alice = db.session.get_one(Member, people.alice.id)
    return requests.file(alice, kind, details="Words", operation_id=new_secret(), via=Door.PAGE, now=at)


def by_letter(people: People, kind: str = "access", *, arrived: datetime = NOW) -> DataSubjectRequest:
    subject = db.session.get_one(Member, people.alice.id).subject
    return handling.write_down(
        subject, kind, details="Words", contact="", how="letter", received_at=arrived, operation_id="one", now=NOW
    )


def steps(request: DataSubjectRequest) -> list[str]:
    query = select(RequestStep.step).where(RequestStep.request_id == request.id).order_by(RequestStep.id)
    return list(db.session.scalars(query))


def tick_all(request: DataSubjectRequest, now: datetime) -> None:
    for code in ASKED:
        handling.tick(request, code, now=now)


# Every way ------------------------------------------------------------------------------------------------

Act = Callable[[DataSubjectRequest, Member, Account, datetime], object]
WORDS = "Because of this and that."
ACTS: dict[str, Act] = {
    "take": lambda r, m, a, t: handling.take(r, a, seen=r.assigned_to_id, now=t),
    "ask": lambda r, m, a, t: handling.ask_identity(r, f"Who are you? {t}", now=t),
    "verify": lambda r, m, a, t: handling.verify(r, "seen by letter", now=t),
    "confirm": lambda r, m, a, t: handling.confirm(r, now=t),
    "extend": lambda r, m, a, t: handling.extend(r, "number", WORDS, now=t),
    "answer": lambda r, m, a, t: handling.answer(r, WORDS, now=t),
    "answer in part": lambda r, m, a, t: handling.answer(r, WORDS, not_done="others", now=t),
    "hand out": lambda r, m, a, t: handling.hand_out(r, WORDS, now=t),
    "refuse": lambda r, m, a, t: handling.refuse(r, "duty", WORDS, by=a, now=t),
    "refuse as excessive": lambda r, m, a, t: handling.refuse(r, "excessive", WORDS, by=a, now=t),
    "give up": lambda r, m, a, t: handling.give_up(r, WORDS, now=t),
    "note": lambda r, m, a, t: handling.note(r, f"Seen {t}", now=t),
    "send": lambda r, m, a, t: handling.sent(r, "Another society", "yes", WORDS, now=t),
    "tick": lambda r, m, a, t: tick_all(r, t),
    "restrict": lambda r, m, a, t: handling.restrict(r, now=t),
    "lift": lambda r, m, a, t: handling.lift(r, now=t),
    "add": lambda r, m, a, t: requests.add(m, r, f"And this {t}", now=t),
    "withdraw": lambda r, m, a, t: requests.withdraw(m, r, now=t),
    "withdrawn by call": lambda r, m, a, t: requests.withdraw_for(r, now=t),
    "approve": lambda r, m, a, t: erasures.approve(r, now=t),
    "hold": lambda r, m, a, t: erasures.hold(r, "claim", now=t),
    "resume": lambda r, m, a, t: erasures.resume(r, now=t),
    "remind": lambda r, m, a, t: reminders.remind(r.id, now=t),
}
WAYS = st.lists(
    st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 1), st.sampled_from([0, 1, 25, 24 * 8, 24 * 40])),
    min_size=1,
    max_size=14,
)
RECEIPTS = ("request_received", "erasure_received", "request_answered")


@pytest.mark.parametrize("settings", [TWO])
@bounded(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(FILED)),
    letter=st.booleans(),
    first=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    way=WAYS,
)
@example(kind="complaint", letter=False, first=NOW, way=[("take", 0, 1), ("extend", 0, 25), ("answer", 1, 24 * 40)])
@example(kind="access", letter=True, first=NOW, way=[("confirm", 0, 1), ("take", 0, 1), ("refuse as excessive", 0, 1)])
def test_no_way_leads_to_a_forbidden_state(
    people: People, kind: str, letter: bool, first: datetime, way: list[tuple[str, int, int]]
) -> None:
    """Whatever is pressed, by whom and when: along the table, once closed for good, dates moved by law alone."""
    dana_id, now = people.dana.id, first
    try:
        erin = desk.add("erin@desk.example.org", now=now)
        staff = (db.session.get_one(Account, dana_id), erin)
        member = db.session.get_one(Member, people.alice.id)
        request = (
            handling.write_down(
                member.subject,
                kind,
                details=WORDS,
                contact="",
                how="phone",
                received_at=now - DAY,
                operation_id="one",
                now=now,
            )
            if letter
            else requests.file(member, kind, details=WORDS, operation_id="one", via=Door.PAGE, now=now)
        )
        look(request)
        for act, who, hours in way:
            if act in ("approve", "hold", "resume") and kind not in ERASING:
                continue  # the page has no such button
            now += timedelta(hours=hours)
            before = standing(request)
            refused = True
            with suppress(DomainError), db.session.begin_nested():
                ACTS[act](request, member, staff[who], now)
                refused = False
            db.session.flush()
            db.session.refresh(request)
            look(request)
            compare(before, standing(request), act, refused=refused)
    finally:
        db.session.rollback()


def standing(request: DataSubjectRequest) -> dict[str, object]:
    columns = DataSubjectRequest.__table__.columns.keys()
    return {name: getattr(request, name) for name in columns} | {"steps": steps(request)}


def look(request: DataSubjectRequest) -> None:
    """What holds of every request at every moment."""
    assert request.reference.startswith("IM-")
    sent = select(func.count()).where(Message.name.in_(RECEIPTS), Message.subject_id == request.subject_id)
    assert db.session.execute(sent).scalar_one() > 0, "no receipt"
    assert request.promise_on <= request.legal_1_on <= request.legal_on
    assert request.promise_on <= request.received_on + 30 * DAY
    assert (request.closed_at is None) == (request.state in OPEN)
    if request.state in (State.WORKING, State.EXTENDED, State.FULFILLED, State.PARTLY_FULFILLED):
        assert request.verified_at is not None, "handled before we knew who it is"
    if request.refusal == "excessive":
        assert request.seconded_at is not None, "one person alone"
    if request.extended_at is not None:
        assert request.legal_on == request.legal_3_on, "Alice lives in Sweden"
    told = {"extended": "request_extended", "refused": "request_refused", "answered": "request_answered"}
    for step, name in told.items():
        if step in steps(request):
            mailed = select(func.count()).where(Message.name == name, Message.subject_id == request.subject_id)
            assert db.session.execute(mailed).scalar_one() == steps(request).count(step), f"{step}: nobody was told"


def compare(before: dict[str, object], after: dict[str, object], act: str, *, refused: bool) -> None:
    """What may change between two moments."""
    old, new = State(str(before["state"])), State(str(after["state"]))
    if refused:
        assert after == before, f"{act} was refused and changed something"
    if old != new:
        # What starts work and ends it in one press goes both ways of the table at once.
        through = {step for middle in requests.TRANSITIONS[old] for step in requests.TRANSITIONS.get(middle, ())}
        assert new in requests.TRANSITIONS[old] or new in through, f"{act}: {old} to {new}"
        assert after["steps"] != before["steps"], f"{act}: a new state without a step"
    assert list(after["steps"])[: len(list(before["steps"]))] == before["steps"]  # type: ignore[call-overload]
    for fixed in ("reference", "kind", "received_on", "promise_on", "legal_1_on", "legal_3_on", "us_1_on", "us_2_on"):
        assert after[fixed] == before[fixed], f"{act} moved {fixed}"
    if before["closed_at"] is not None:
        assert (old, before["closed_at"]) == (new, after["closed_at"]), f"{act} opened what was closed"
    assert before["extended_at"] in (None, after["extended_at"]), "extended twice"


# One by one -----------------------------------------------------------------------------------------------


def test_a_letter_counts_from_the_day_it_arrived_and_the_mailbox_confirms_it(people: People) -> None:
    with writes():
        request = by_letter(people, arrived=handling.arrived_at(date(2026, 11, 30), now=NOW))
    assert (request.received_on, request.promise_on) == (date(2026, 11, 30), date(2026, 12, 30))
    assert (request.state, request.verified_at) == (State.VERIFYING, None)
    assert "A letter with this request" in letter("identity_asked", to=people.alice.email).text
    with writes():
        again = by_letter(people)
        assert again.id == request.id
        assert handling.confirm(request, now=NOW + 5 * DAY)
    assert request.state == State.WORKING
    assert request.legal_on == request.legal_1_on, "asked on the fourth day: no pause"
    with writes():
        assert not handling.confirm(request, now=NOW + 6 * DAY)
    assert steps(request).count("verified") == 1


def test_the_pause_is_added_to_the_law_and_not_to_the_promise(people: People) -> None:
    with writes():
        request = by_letter(people)
        promise, legal = request.promise_on, request.legal_on
        handling.ask_identity(request, "And in which year did you join?", now=NOW + DAY)
        handling.ask_identity(request, "And in which year did you join?", now=NOW + DAY)
    assert steps(request).count("identity_asked") == 2
    with writes():
        handling.verify(request, "seen by phone", now=NOW + 9 * DAY)
    assert (request.promise_on, request.legal_on) == (promise, legal + 9 * DAY)
    assert "9 days" in handling.why_due(request)
    with writes(), pytest.raises(NotNow):
        handling.ask_identity(request, "Who?", now=NOW + 10 * DAY)


def test_an_arrival_is_never_later_than_now(people: People) -> None:
    early = datetime(2026, 12, 4, 9, 0, tzinfo=UTC)
    assert handling.arrived_at(date(2026, 12, 4), now=early) == early
    assert society_date(handling.arrived_at(date(2026, 3, 8), now=early)) == date(2026, 3, 8)


def test_somebody_without_a_record(people: People) -> None:
    with writes():
        request = handling.write_down(
            None,
            "access",
            details="Words",
            contact="ottilie@example.org",
            how="mail",
            received_at=NOW,
            operation_id="one",
            now=NOW,
        )
    assert {each.name for each in letters(to="ottilie@example.org")} == {"request_received", "identity_asked"}
    with writes():
        handling.verify(request, "seen by mail", now=NOW)
        handling.take(request, people.dana, now=NOW)
        assert request.tasks == []
        handling.hand_out(request, "We hold nothing.", now=NOW)
    assert "We hold nothing." in letter("request_answered", to="ottilie@example.org").text


def test_data_are_handed_out_when_everybody_outside_has_answered(people: People) -> None:
    with writes():
        request = filed(people, "access")
        with pytest.raises(NotNow, match="taken"):
            handling.hand_out(request, WORDS, now=NOW)
        handling.take(request, people.dana, now=NOW)
        handling.take(request, people.dana, now=NOW)
    assert [task.holding for task in request.tasks] == ASKED
    with writes():
        for code in ASKED[1:]:
            handling.tick(request, code, now=NOW)
        with pytest.raises(NotNow, match="outside"):
            handling.hand_out(request, WORDS, now=NOW)
        handling.tick(request, ASKED[0], now=NOW)
        handling.hand_out(request, WORDS, now=NOW)
    assert request.state == State.FULFILLED
    assert WORDS not in letter("request_answered").text, "the answer is read in the portal"
    with writes(), pytest.raises(NotNow, match="closed"):
        handling.hand_out(request, WORDS, now=NOW)


def test_a_colleague_who_was_quicker(people: People) -> None:
    with writes():
        erin = desk.add("erin@desk.example.org", now=NOW)
        request = filed(people)
        handling.take(request, erin, now=NOW)
        with pytest.raises(NotNow, match="colleague"):
            handling.take(request, people.dana, seen=None, now=NOW)
        handling.take(request, people.dana, seen=erin.id, now=NOW)
    assert request.assigned_to_id == people.dana.id


def test_whoever_leaves_the_desk_leaves_nothing_behind(people: People, run: Runner) -> None:
    with writes():
        bob = desk.add(people.bob.email, now=NOW)
        request = filed(people)
        handling.take(request, bob, now=NOW)
    assert run("desk", "remove", people.bob.email).exit_code == 0
    db.session.refresh(request)
    assert request.assigned_to_id is None


@pytest.mark.parametrize("settings", [TWO])
def test_excessive_needs_two(people: People) -> None:
    with writes():
        erin = desk.add("erin@desk.example.org", now=NOW)
        request = filed(people)
        assert not handling.refuse(request, "excessive", WORDS, by=people.dana, now=NOW)
        assert not handling.refuse(request, "excessive", WORDS, by=people.dana, now=NOW)
    assert letters("request_refused") == []
    with writes():
        with pytest.raises(KeyError):
            handling.answer(request, WORDS, not_done="excessive", now=NOW)
        with pytest.raises(NotNow, match="know who"):
            handling.refuse(request, "verify", WORDS, by=erin, now=NOW)
        assert handling.refuse(request, "excessive", WORDS, by=erin, now=NOW)
    assert steps(request).count("refusal_proposed") == 1
    assert (request.state, request.seconded_at) == (State.REFUSED, NOW)


def test_an_extension(people: People) -> None:
    with writes():
        request = filed(people, "complaint")
        with pytest.raises(NotNow):
            handling.extend(request, "complexity", WORDS, now=NOW)
        handling.take(request, people.dana, now=NOW)
        late = datetime.combine(request.legal_on + DAY, datetime.min.time(), tzinfo=UTC) + DAY
        assert not handling.may_extend(request, now=late)
        handling.extend(request, "complexity", WORDS, now=NOW + 20 * DAY)
        assert reminders.due_on(request) == request.legal_3_on
        with pytest.raises(NotNow):
            handling.extend(request, "complexity", WORDS, now=NOW + 21 * DAY)
    assert EXTENSIONS["complexity"] in handling.why_due(request)
    assert [each.created_at for each in letters("request_extended")] == [NOW + 20 * DAY], "the person was not told"
    with writes():
        bob = db.session.get_one(Member, people.bob.id)
        his = requests.file(bob, "complaint", details="", operation_id="x", via=Door.PAGE, now=NOW)
        handling.take(his, people.dana, now=NOW)
        handling.extend(his, "number", WORDS, now=NOW)
    assert his.legal_on == min(his.us_2_on, his.legal_3_on), "he lives in the United States"


def test_every_reply_can_be_begun(people: People) -> None:
    with writes():
        made = {kind: filed(people, kind) for kind in FILED}
    for code, request in made.items():
        assert KINDS[code].replies or code in ERASING or KINDS[code].at_once, f"{code} has no reply to begin with"
        for each in KINDS[code].replies:
            text = handling.reply(request, each.code)
            assert request.reference in text
            assert "http://localhost/notice" in text
            assert "{" not in text
    assert "under numbers of their own" in handling.reply(made["withdrawal"], "stopped"), "P16"
    with pytest.raises(KeyError):
        handling.reply(made["question"], "nothing")


def test_staff_read_the_day_that_stood_when_it_was_withdrawn(people: People) -> None:
    with writes():
        request = filed(people, "question")
        handling.take(request, people.dana, now=NOW)
        handling.extend(request, "complexity", WORDS, now=NOW)
        requests.withdraw_for(request, now=NOW)
    assert "Was due: 4 March 2027" in letter("staff_request_withdrawn").text


def test_every_refusal_reason_is_a_sentence() -> None:
    assert all(words.endswith(".") for words in (*REFUSALS.values(), *EXTENSIONS.values()))


# The list -------------------------------------------------------------------------------------------------


def test_the_list_by_keys(people: People) -> None:
    with writes():
        for number in range(7):
            filed(people, "question", at=NOW - (number // 2) * DAY)
        first = filed(people, "complaint", at=NOW - 40 * DAY)
        handling.take(first, people.dana, now=NOW)
    whole, none = queue.page(limit=50)
    assert none == ""
    assert [each.id for each, _ in queue.page(assigned_to=people.dana.id, limit=5)[0]] == [first.id]
    found, after = [], ""
    while True:
        shown, after = queue.page(after=after, limit=3)
        found += shown
        if not after:
            break
    assert found == whole
    assert len(found) == 8
    assert [due for _, due in found] == sorted(due for _, due in found)
    numbers = queue.numbers(now=NOW)
    assert (numbers.open, numbers.overdue, numbers.soon, numbers.median_days) == (8, 1, 0, None)
    with writes():
        handling.answer(first, WORDS, now=NOW)
        handling.answer(found[1][0], WORDS, now=NOW)
    assert queue.numbers(now=NOW).median_days == pytest.approx((40 + (NOW - found[1][0].received_at).days) / 2)
    assert figures.days_to_answer(now=NOW) == [1, 0, 0, 0, 1]
    weeks = dict(figures.requests_by_week(today=NOW.date()))
    assert len(weeks) == 13
    assert {monday.weekday() for monday in weeks} == {0}
    received = [each.received_on for each, _ in found]
    assert weeks == {monday: sum(monday <= on < monday + timedelta(days=7) for on in received) for monday in weeks}
    assert sum(weeks.values()) == len(received)
    for wrong in ("x", "2026-13-01_IM", "_"):
        with pytest.raises(ValueError, match=r"."):
            queue.page(after=wrong, limit=3)


@pytest.mark.parametrize("typed", ["IM-7K3F-92QD", "im-7k3f-92qd", " IM 7K3F 92QD", "7k3f92qd"])
def test_a_reference_as_it_is_read_out(typed: str) -> None:
    assert queue.reference(typed) == "IM-7K3F-92QD"


# Restricted, suspended ------------------------------------------------------------------------------------


def test_restricted(people: People, run: Runner) -> None:
    """On no list, in no broadcast; the export says so; lifted, all is as before."""
    subject = people.alice.subject
    filters = ("broadcasts", "filter", "--topic", "events")
    asked = f"email\n{people.alice.email}\n{people.bob.email}\n"
    assert people.alice.email in run(*filters, stdin=asked).stdout
    with writes():
        assert restrictions.restrict(subject, now=NOW)
        assert not restrictions.restrict(subject, now=NOW + DAY)
    assert subject.restricted_at == NOW
    kept = run(*filters, stdin=asked).stdout
    assert people.alice.email not in kept
    assert people.bob.email in kept
    rows = [line.split(",") for line in run("members", "export").stdout.splitlines()]
    assert {row[0]: row[-1] for row in rows if row[0].startswith("M-")} == {"M-1001": "yes", "M-2002": "no"}
    with writes():
        assert restrictions.lift(subject, now=NOW + DAY)
        assert not restrictions.lift(subject, now=NOW + DAY)
    assert people.alice.email in run(*filters, stdin=asked).stdout
    acts = list(db.session.scalars(select(Trail.act).where(Trail.subject_id == people.alice.id).order_by(Trail.id)))
    assert acts == ["restricted", "used again"]
    assert [each.name for each in letters(to=people.alice.email)] == ["restriction_set", "restriction_lifted"]
    with writes():
        assert not restrictions.restrict(people.charlie, now=NOW)


def test_a_suspension_outlives_an_erasure(people: People, run: Runner, tmp_path: Path) -> None:
    """The address comes back in no file, nor after a restore: the hashes say why (P15). It ends when it was said to."""
    alice_id, address = people.alice.id, people.alice.email
    with writes():
        request = filed(people, "erasure")
        reference, request_id = request.reference, request.id
        assert suspensions.suspend(people.alice.subject, "fraud", now=NOW)
        assert not suspensions.suspend(people.alice.subject, "abuse", now=NOW)
        with pytest.raises(KeyError):
            suspensions.suspend(people.bob.subject, "mood", now=NOW)
    (one,) = suspensions.all_standing()
    assert (one.suspension.review_on, one.reference) == (date(2027, 12, 4), reference)
    with writes():
        erasures.approve(request, now=NOW)
        erasures.carry_out(request_id, now=NOW + 4 * DAY)
    assert suspensions.all_standing() == []
    assert set(db.session.scalars(select(Suppression.reason))) == {"suspended"}
    file = tmp_path / "members.csv"
    file.write_text(f"email\n{address}\n")
    assert "held back 1" in run("members", "import", file).stderr
    with writes():
        erasures.carry_out_again(alice_id, hashes=("v1.s1.other",), at=NOW, now=NOW + 5 * DAY)
    assert set(db.session.scalars(select(Suppression.reason))) == {"suspended"}
    said = db.session.scalars(select(ErasureLine.until_on).where(ErasureLine.reason == SAFETY.reason)).one()
    assert said is not None
    for day, left in ((said - DAY, 1), (said, 0)):
        db.session.rollback()
        moment = datetime.combine(day, time(23, 59), tzinfo=SOCIETY_ZONE)
        assert [each.rule for each in retention.run(now=moment) if each.refused] == []
        assert db.session.execute(select(func.count()).select_from(Suspension)).scalar_one() == left


def test_a_suspension_is_looked_at_each_year(people: People, run: Runner) -> None:
    """Staff hear of it once a week until they have looked; meanwhile nobody invites the person (P15)."""
    with writes():
        suspensions.suspend(people.alice.subject, "abuse", now=NOW)
        db.session.get_one(Account, db.session.get_one(Member, people.alice.id).account.id).password_hash = None  # type: ignore[union-attr]
    assert "refused 1" in run("members", "invite", people.alice.email).stderr
    told = []
    for day in (0, 364, 365, 366, 371, 372, 373):
        with writes():
            told += [day] * suspensions.remind(now=NOW + day * DAY)
    assert told == [365, 372]
    with writes():
        suspensions.keep(suspensions.all_standing()[0].suspension, now=NOW + 375 * DAY)
        assert not suspensions.remind(now=NOW + 380 * DAY)


def test_nobody_of_the_desk_is_suspended(people: People) -> None:
    with writes():
        assert people.bob.account is not None
        people.bob.account.staff = True
        db.session.flush()
        with pytest.raises(NotNow, match="desk"):
            suspensions.suspend(people.bob.subject, "abuse", now=NOW)
        with pytest.raises(NotNow, match="record"):
            suspensions.suspend(people.charlie, "abuse", now=NOW)
    assert suspensions.how_many() == 0
