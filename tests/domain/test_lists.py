"""Lists that leave: who is on them, what is written down, and that nothing leaves without it (P13, P19, P20, P21)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from portal import journal
from portal.datamap import erasure, held
from portal.domain import choices, disclosures, lists, recalls, requests, visibility
from portal.domain.disclosures import Untold
from portal.domain.errors import NotNow, StaleRecord
from portal.extensions import Base, db, transaction
from portal.models import ChoiceRow, Disclosure, Event, ListRelease, Member, Registration, Subject, Suspension
from portal.purposes import AUDIENCES, RECEIVERS
from portal.vocabulary import Door
from tests.databases import writes
from tests.domain.test_races import together
from tests.people import NOW, People, member

DAY = timedelta(days=1)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
FIELDS = {
    "public": ["first_name", "last_name", "organization", "country"],
    "attendees": ["first_name", "last_name", "organization", "country", "job_title"],
    "sponsors": ["first_name", "last_name", "organization", "country", "job_title", "email", "business_type"],
    "exhibitors": ["first_name", "last_name", "organization", "country", "job_title", "email", "business_type"],
    "employers": ["first_name", "last_name", "email", "job_title", "education", "work_experience", "interests"],
}


def make_event(code: str, *, exhibition: bool = True) -> Event:
    day = NOW.date()
    made = Event(code=code, name=f"Meeting {code}", starts_on=day, ends_on=day, exhibition=exhibition)
    db.session.add(made)
    db.session.flush()
    return made


def answer(ident: UUID, code: str, value: str, event: Event | None = None) -> None:
    row = ChoiceRow(subject_id=ident, code=code, value=value, at=NOW, door="page", wording="May we?")
    row.event_id = event.id if event else None
    db.session.add(row)
    db.session.flush()


def released(audience: str, event: Event | None, to: str = "Acme") -> tuple[ListRelease, list[dict[str, str]]]:
    """A list released as the command does it, and its lines as a spreadsheet reads them."""
    db.session.rollback()
    out = io.StringIO(newline="")
    with transaction(consistent=True):
        lists.take_turn()
        found = lists.file(AUDIENCES[audience], event and db.session.get(Event, event.id), to=to, by=None, now=NOW)
        lists.release(found, out, by=None, now=NOW)
        number = found.id
    out.seek(0)
    return db.session.get_one(ListRelease, number), list(csv.DictReader(out, strict=True))


# Against an oracle ----------------------------------------------------------------------------------------


@dataclass
class Somebody:
    """What is known of one invented person, as the oracle sees it: answers in order, without the portal's code."""

    name: str
    usual: list[tuple[str, str]] = field(default_factory=list)
    there: Mapping[str, list[tuple[str, str]]] = field(default_factory=dict)  # event: what was answered for it
    state: str = ""  # restricted, erased, suspended


ANSWERS = st.one_of(
    st.tuples(st.just("attendee_list"), st.sampled_from(["nobody", "attendees", "public"])),
    st.tuples(st.sampled_from(["sponsor_sharing", "employer_sharing"]), st.sampled_from(["yes", "no"])),
)
AT_EVENT = st.one_of(ANSWERS, st.tuples(st.sampled_from(["attendee_list", "sponsor_sharing"]), st.just("default")))
PEOPLE = st.lists(
    st.builds(
        Somebody,
        name=st.text(st.sampled_from("ab=+-@'\",\n＝é"), min_size=1, max_size=4),
        usual=st.lists(ANSWERS, max_size=5),
        there=st.dictionaries(st.sampled_from(["E1", "E2"]), st.lists(AT_EVENT, max_size=4), max_size=2),
        state=st.sampled_from(["", "", "", "", "restricted", "erased", "suspended"]),
    ),
    max_size=6,
)


def agrees(who: Somebody, audience: str, event: str | None) -> bool:
    """By hand, from the contract: at the event, not restricted, and the newest answer for it or else the default."""
    if who.state or (event is not None and event not in who.there):
        return False
    code = {"employers": "employer_sharing", "sponsors": "sponsor_sharing", "exhibitors": "sponsor_sharing"}.get(
        audience, "attendee_list"
    )
    given = [value for name, value in who.there.get(event or "", []) if name == code]
    usual = [value for name, value in who.usual if name == code]
    stands = given[-1] if given and given[-1] != "default" else usual[-1] if usual else "no"
    return stands in {"public": ("public",), "attendees": ("attendees", "public")}.get(audience, ("yes",))


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PEOPLE)
def test_a_list_is_what_an_oracle_says_and_what_is_written_down(app: Flask, people: list[Somebody]) -> None:
    """P19 to P21: the file, the disclosures and the oracle name the same people; every cell is safe."""
    with writes():
        events = {code: make_event(code) for code in ("E1", "E2")}
        idents = [_settle(number, who, events) for number, who in enumerate(people)]
    for audience, fields in FIELDS.items():
        for code in (None,) if audience == "employers" else ("E1", "E2"):
            found, rows = released(audience, events[code] if code else None)
            expected = {f"p{number}" for number, who in enumerate(people) if agrees(who, audience, code)}
            first = "education" if audience == "employers" else "organization"
            shown = {row[first] for row in rows}
            assert shown == expected, (audience, code)
            assert len(rows) == len(expected) == found.people
            log = db.session.scalars(
                select(Disclosure).where(Disclosure.list_number == found.number).order_by(Disclosure.line)
            ).all()
            assert [row["list"] for row in rows] == [f"{found.number}-{each.line}" for each in log]
            assert [f"p{idents.index(each.subject_id)}" for each in log] == [row[first] for row in rows]
            assert {each.fields for each in log} <= {" ".join(fields)}
            for row in rows:
                assert list(row) == [*fields, "list"]
                assert not [cell for cell in row.values() if cell.startswith(FORMULA)], row
    db.session.rollback()
    with writes():
        _sweep()


def _settle(number: int, who: Somebody, events: Mapping[str, Event]) -> UUID:
    made = member(
        email=f"p{number}@example.org", first_name=who.name, last_name=f"={who.name}", organization=f"p{number}",
        education=f"p{number}", job_title="@SUM(A1)", country="SE", business_type="-1", interests="+a\n=b",
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    for code, value in who.usual:
        answer(made.id, code, value)
    for name, answers in who.there.items():
        db.session.add(Registration(event_id=events[name].id, member_id=made.id))
        for code, value in answers:
            answer(made.id, code, value, events[name])
    if who.state == "restricted":
        made.subject.restricted_at = NOW
    elif who.state == "erased":
        made.subject.erased_at = NOW
    elif who.state == "suspended":
        db.session.add(Suspension(subject_id=made.id, reason="fraud", at=NOW, review_on=NOW.date()))
    db.session.flush()
    return made.id


def _sweep() -> None:
    """Take everything of one example out; answers go once their person is erased."""
    db.session.execute(update(Subject).values(erased_at=NOW))
    for table in reversed(Base.metadata.sorted_tables):
        db.session.execute(delete(table))


# One after the other --------------------------------------------------------------------------------------


@pytest.fixture
def fair(people: People) -> Event:
    """An event with Alice, who agrees to everything there, and Bob, who comes and says nothing."""
    with writes():
        made = make_event("FAIR")
        for each in (people.alice, people.bob):
            db.session.add(Registration(event_id=made.id, member_id=each.id))
        answer(people.alice.id, "attendee_list", "public", made)
        answer(people.alice.id, "sponsor_sharing", "yes", made)
        answer(people.alice.id, "employer_sharing", "yes")
    return made


def test_what_is_told_to_the_person(people: People, fair: Event) -> None:
    """P13, P26: one sentence a list, with its recipient, its event, its fields and its number."""
    found, rows = released("exhibitors", fair)
    assert [row["email"] for row in rows] == [people.alice.email]
    (row,) = db.session.scalars(select(Disclosure))
    told = disclosures.sentence(
        at=row.at, recipient=row.recipient, fields=row.fields, audience=row.audience, event=fair.name,
        list_number=row.list_number,
    )  # fmt: skip
    assert told == (
        "On 4 December 2026 your name, company, country, job title, email address and type of business went to Acme"
        f" (exhibitors of Meeting FAIR), list {found.number}."
    )
    snapshot = held.collect(people.alice.id, now=NOW)
    assert snapshot.facts.received["email"] == (f"Acme (list {found.number}), 4 December 2026",)
    assert "birth_date" not in snapshot.facts.received


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_PERSON": "on"}])
def test_two_are_asked_for_what_goes_to_sponsors(people: People, fair: Event) -> None:
    """The one who files does not approve; a list is released once, within its days; a roster needs no second."""
    audience = AUDIENCES["sponsors"]
    with writes():
        filed = lists.file(audience, fair, to="Acme", by=people.dana, operation_id="x", now=NOW)
        again = lists.file(audience, fair, to="Acme", by=people.dana, operation_id="x", now=NOW)
        assert again is filed
        with pytest.raises(NotNow, match="waits for a second"):
            lists.release(filed, io.StringIO(), by=people.dana, now=NOW)
        with pytest.raises(NotNow, match="You have filed"):
            lists.approve(filed, by=people.dana, now=NOW)
        assert people.bob.account is not None
        lists.approve(filed, by=people.bob.account, now=NOW)
        assert "filed more than" in lists.why_not(filed, now=NOW + lists.GOOD_FOR + DAY)
        answer(people.bob.id, "sponsor_sharing", "yes")  # after the filing: who is on it is decided now
        assert lists.release(filed, io.StringIO(), by=people.dana, now=NOW) == 2
        with pytest.raises(NotNow, match="released already"):
            lists.release(filed, io.StringIO(), by=people.dana, now=NOW)
        assert [step.step for step in filed.steps] == ["filed", "approved", "released"]
    assert released("attendees", fair)[0].people == 1
    with pytest.raises(ValueError, match="needs its event"), writes():
        lists.file(audience, None, to="Acme", by=None, now=NOW)


def test_nothing_goes_to_exhibitors_where_there_is_no_exhibition(people: People, fair: Event) -> None:
    """P19: as the member's page says. Also where the exhibition was called off after the list was filed."""
    audience = AUDIENCES["exhibitors"]
    with writes():
        filed = lists.file(audience, fair, to="Acme", by=None, now=NOW)
        fair.exhibition = False
        db.session.flush()
        assert next(cell for cell in visibility.matrix(people.alice, today=NOW.date())[1].cells if
                    cell.audience is audience).sees is False  # fmt: skip
        with pytest.raises(NotNow, match="no exhibition"):
            lists.release(filed, io.StringIO(), by=None, now=NOW)
        with pytest.raises(ValueError, match="has none of"):
            lists.file(audience, fair, to="Acme", by=None, now=NOW)
    assert released("sponsors", fair)[0].people == 1


def test_a_no_during_a_release_is_after_it_and_comes_up_as_a_recall(app: Flask, people: People, fair: Event) -> None:
    """On PostgreSQL the two pass one another; on SQLite one waits. Either way list, log and recall agree."""
    ident, event_id = people.alice.id, fair.id
    out = io.StringIO(newline="")

    def release() -> int:
        lists.take_turn()
        event = db.session.get_one(Event, event_id)
        made = lists.file(AUDIENCES["sponsors"], event, to="Acme", by=None, now=NOW)
        return lists.release(made, out, by=None, now=NOW)

    def refuse() -> None:
        answer(ident, "sponsor_sharing", "no", db.session.get_one(Event, event_id))

    put, _ = together(app, release, refuse)
    assert put == 1
    (recall,) = recalls.waiting(now=NOW)
    assert [each.name for each in recall.lines] == [f"{recall.number}-1"]
    _, rows = released("sponsors", fair)
    assert rows == []


def test_a_no_that_is_under_way_is_either_before_or_after(app: Flask, people: People, fair: Event) -> None:
    ident, event_id = people.alice.id, fair.id
    out = io.StringIO(newline="")

    def refuse() -> None:
        answer(ident, "sponsor_sharing", "no", db.session.get_one(Event, event_id))

    def release() -> int:
        lists.take_turn()
        made = lists.file(AUDIENCES["sponsors"], db.session.get_one(Event, event_id), to="Acme", by=None, now=NOW)
        return lists.release(made, out, by=None, now=NOW)

    _, put = together(app, refuse, release)
    told = db.session.scalars(select(Disclosure)).all()
    assert len(told) == put == len(out.getvalue().splitlines()) - 1
    assert len(recalls.waiting(now=NOW)) == put


# Afterwards -----------------------------------------------------------------------------------------------


LATER = NOW + timedelta(days=2)  # nothing is looked at any more only because it is new


@pytest.mark.parametrize("code", sorted({audience.choice for audience in AUDIENCES.values()}))
def test_the_database_marks_what_a_new_answer_may_recall(people: People, fair: Event, code: str) -> None:
    """By whatever door it comes: the recalls look at no row else."""
    with writes():
        answer(people.bob.id, "sponsor_sharing", "yes", fair)
    released("sponsors", fair)
    marked = select(Disclosure.subject_id).where(Disclosure.doubtful)
    assert db.session.scalars(marked).all() == []
    with writes():
        answer(people.bob.id, code, "no")
        answer(people.alice.id, "post", "no")
    assert db.session.scalars(marked).all() == [people.bob.id]


def test_recalls_name_lines_and_are_ticked_once(people: People, fair: Event) -> None:
    """Art. 19: taken back, restricted, erased; each is said once, and what is stronger is said again."""
    with writes():
        answer(people.bob.id, "attendee_list", "attendees", fair)
        answer(people.bob.id, "sponsor_sharing", "yes", fair)
    public, _ = released("public", fair, "The programme")
    sponsors, _ = released("sponsors", fair)
    roster = lists.roster("FAIR", limit=9)
    assert roster is not None
    assert [each["last_name"] for each in roster.people] == ["Okonkwo-Lindqvist"]
    assert recalls.waiting(now=LATER) == []

    with writes():
        answer(people.alice.id, "attendee_list", "attendees", fair)  # tighter than public
        db.session.get_one(Subject, people.bob.id).restricted_at = NOW
    first, second = recalls.waiting(now=LATER)
    assert (first.number, first.recipient, [each.what for each in first.lines]) == (
        public.number, "The programme", ["delete"],
    )  # fmt: skip
    assert (second.number, [(each.name, each.what) for each in second.lines]) == (
        sponsors.number, [(f"{sponsors.number}-2", "stop")],
    )  # fmt: skip
    roster = lists.roster("FAIR", limit=9)
    assert roster is not None
    assert roster.people == []
    text = recalls.message(second)
    assert f"do not use these lines until we write to you again: {sponsors.number}-2." in text
    for name in ("Tanaka", "Bob", people.bob.email, "restrict", "Desert"):
        assert name not in text

    with writes():
        assert recalls.done(second.number, seen=second.digest, by=people.dana, now=LATER) == 1
        assert recalls.done(second.number, seen=second.digest, by=people.dana, now=LATER) == 0
        with pytest.raises(StaleRecord):
            recalls.done(first.number, seen="older", by=people.dana, now=LATER)
    assert [each.number for each in recalls.waiting(now=LATER)] == [public.number]
    with writes():
        db.session.get_one(Subject, people.bob.id).erased_at = NOW
        db.session.execute(delete(Registration).where(Registration.member_id == people.bob.id))
        db.session.execute(delete(Member).where(Member.id == people.bob.id))
    again = recalls.waiting(number=sponsors.number, now=LATER)
    assert [(each.name, each.what) for each in again[0].lines] == [(f"{sponsors.number}-2", "delete")]
    assert "delete these lines" in recalls.message(again[0])
    told = disclosures.sentence(at=NOW, recipient="Acme", fields="email", recalled="delete", recalled_at=NOW)
    assert told.endswith("On 4 December 2026 we asked them to delete it.")


def test_what_left_outside_is_told_when_it_may_be(people: People, clock: Any) -> None:
    """P22, P13: an authority; not before a day, then by itself; page, numbers and download keep silent until then."""
    untold = Untold(NOW.date() + 30 * DAY, "Order 12/26 of the court")
    with writes():
        hotel = disclosures.write_down(
            people.alice, kind="partner", recipient="Hotel Aurora", fields=["last_name", "phone"], reason="A booking",
            at=NOW, now=NOW,
        )  # fmt: skip
        court = disclosures.write_down(
            people.alice, kind="authority", recipient="Court", fields=["email"], reason="A case", at=NOW, untold=untold,
            now=NOW,
        )  # fmt: skip
        assert disclosures.number(hotel) == f"D-{hotel.id}"

    def sees(at: Any) -> list[str]:
        db.session.rollback()
        snapshot = held.collect(people.alice.id, now=at)
        glimpse = held.glimpse(people.alice.id, few=9, now=at)
        (listing,) = held.listings(people.alice.id, ["disclosure"], limit=9, now=at)
        totals = {each.table.name: each.total for each in glimpse.lists}
        assert totals["disclosure"] == listing.total == len(snapshot.rows["disclosure"])
        assert ("email" in snapshot.facts.received) == (listing.total == 2)
        return [row["recipient"] for row in snapshot.rows["disclosure"]]

    assert sees(NOW) == ["Hotel Aurora"]
    assert [each.id for each in disclosures.untold(reader=None, today=NOW.date())] == [court.id]
    with writes():
        later = Untold(NOW.date() + 60 * DAY, "Order 12/26, prolonged")
        disclosures.postpone(db.session.get_one(Disclosure, court.id), later, today=NOW.date())
    assert sees(NOW + 31 * DAY) == ["Hotel Aurora"]
    assert sees(NOW + 61 * DAY) == ["Hotel Aurora", "Court"]
    with writes(), pytest.raises(NotNow):
        disclosures.postpone(db.session.get_one(Disclosure, hotel.id), later, today=NOW.date())
    with writes():
        disclosures.tell(db.session.get_one(Disclosure, court.id), today=NOW.date())
    assert sees(NOW) == ["Hotel Aurora", "Court"]
    with writes():
        db.session.get_one(Subject, people.alice.id).erased_at = NOW
    (recall,) = recalls.waiting(now=LATER)  # not the court: an authority with a case is no recipient
    assert (recall.number, recalls.message(recall).count(f"D-{hotel.id}")) == (f"D-{hotel.id}", 1)


def test_who_wants_no_marketing_is_on_no_list_for_sponsors(people: People, fair: Event) -> None:
    """P19, P33: a yes given when registering is taken back, too; who has the list is told; no restore forgets it."""
    assert [row["email"] for row in released("sponsors", fair)[1]] == [people.alice.email]
    with writes():
        answer(people.bob.id, "sponsor_sharing", "no", fair)
        for each in (people.alice, people.bob):
            requests.file_for(
                each.subject, "marketing", details="", operation_id=each.email, verified_how="", via=Door.PAGE, now=NOW
            )
    assert released("sponsors", fair)[1] == []
    assert [each.recipient for each in recalls.waiting(now=LATER)] == ["Acme"]
    told = [(line.code, line.value) for line, _ in journal.read(journal.own_file("opt-outs"), position=0) if line.event]
    assert told == [("sponsor_sharing", "no")]
    assert released("attendees", fair)[0].people == 1, "that is no marketing"


def test_whom_an_erasure_asks_says_nothing_of_what_may_not_be_told(people: People, clock: Any) -> None:
    """P22: the person reads that list before they send it, and in the farewell. Who has to hear stays with the desk."""
    untold = Untold(NOW.date() + 30 * DAY, "Order 12/26 of the court")

    def asks(at: Any) -> bool:
        db.session.rollback()
        return RECEIVERS in erasure.plan(people.alice.id, now=at).holdings

    def left(kind: str, untold: Untold | None) -> None:
        with writes():
            disclosures.write_down(
                people.alice, kind=kind, recipient=kind, fields=["email"], reason="A case", at=NOW, untold=untold,
                now=NOW,
            )  # fmt: skip

    assert not asks(NOW)
    left("authority", None)
    left("partner", untold)
    assert not asks(NOW)
    assert asks(NOW + 31 * DAY)
    with writes():
        db.session.get_one(Subject, people.alice.id).erased_at = NOW
    assert [each.recipient for each in recalls.waiting(now=LATER)] == ["partner"]


def test_a_choice_by_its_page_is_obeyed_at_once(people: People, fair: Event) -> None:
    """P21: employers get nothing without a yes, and nothing after it is taken back."""
    assert [row["email"] for row in released("employers", None)[1]] == [people.alice.email]
    with writes():
        choices.change(people.alice.subject, "employer_sharing", to="no", via=Door.PAGE, now=NOW)
    assert released("employers", None)[1] == []
    assert [each.audience for each in recalls.waiting(now=LATER)] == ["employers"]
