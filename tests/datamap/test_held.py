"""What is held about one person, as the map says: every column, its six answers, and nothing of anybody else (P26)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import time_machine
from sqlalchemy import event, update

from portal import clock
from portal.datamap import held, inventory, retention
from portal.datamap.held import NEVER_SHOWN, Item
from portal.domain import members
from portal.extensions import Base, db
from portal.models import DataSubjectRequest, Disclosure, Event, Member, Message, Registration, Trail
from portal.models.member import PROOF
from portal.purposes import PERIODS, PURPOSES
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import ALICE, BOB, JOINED, NOW, People
from tests.rows import DAY, fill


@pytest.fixture
def filled(people: People) -> People:
    with writes():
        fill(people)
    return people


def of(person: Any, name: str = "") -> list[Item]:
    """The items about a person, of one column if it is named."""
    db.session.rollback()
    found = held.items(held.collect(person.id, now=clock.now()))
    return [item for item in found if name in ("", item.name)]


def one(person: Any, name: str) -> Item:
    (item,) = of(person, name)
    return item


def test_every_column_of_every_row_is_told_with_its_six_answers(filled: People) -> None:
    """P26, P11: value, purpose, basis, source, recipients, place and duration of each thing held."""
    told = of(filled.alice)
    names = {item.name for item in told}
    others = {"suppression.keyed_hash", "suppression.reason", "suppression.at"}  # of an address that is not hers
    assert names == {entry.name for entry in inventory.entries(Base.metadata)} - others
    for item in told:
        answers = (item.label, item.basis, item.source, item.stored, item.until)
        assert all(answers), item
        assert item.purposes, item
        assert set(item.purposes) <= set(PURPOSES), item
        assert all(PURPOSES[code].basis in item.basis for code in item.purposes), item
        assert item.value is None or isinstance(item.value, str | int | bool | list), item
    assert [item.row for item in told if item.name == "choice.value"] == [1, 2]
    assert [item.value for item in told if item.name == "choice.value"] == ["no", "yes"]
    assert one(filled.alice, "registration.event_id").value == "Symposium 2026"
    assert one(filled.alice, "member.interests").value == ALICE["interests"]
    assert one(filled.alice, "member.birth_date").value == "1964-05-17"
    assert one(filled.alice, "trail.at").value == NOW.isoformat()


def test_nothing_of_anybody_else_and_no_secret_is_told(filled: People) -> None:
    """P26: her own, whole; his, never; of a secret only that it is held."""
    told = of(filled.alice)
    values = {str(item.value) for item in told}
    assert {str(value) for value in ALICE.values()} <= values
    assert not {str(value) for value in BOB.values()} & (values - {str(value) for value in ALICE.values()})
    assert {item.value for item in of(filled.bob) if item.name == "registration.role"} == {"Chair"}
    secrets = {entry.name for entry in inventory.entries(Base.metadata) if entry.note.secret}
    read = held.collect(filled.alice.id, now=NOW).rows
    kept = {(name, column): row[column] for name, rows in read.items() for row in rows for column in row}
    assert all(isinstance(kept[name, column], bool) for name, column in kept if f"{name}.{column}" in secrets), (
        "a secret is not even read"
    )
    hidden = [item for item in told if item.name in secrets]
    assert {item.value for item in hidden} == {NEVER_SHOWN, None}
    assert {item.name for item in hidden if item.value is None} == {
        "account.second_secret", "data_subject_request.assigned_to_id", "data_subject_request.proposed_by_id",
        "email_change.undo_hash",
    }  # fmt: skip


def test_a_source_is_a_fact_of_its_row(people: People, clock: time_machine.Traveller) -> None:
    """P26: what the trail and the row's own door say, never fixed words."""
    alice, bob = people.alice, people.bob
    assert one(alice, "member.city").source == held.BEFORE
    with writes():
        db.session.add(Trail(subject_id=alice.id, act="created", door="import", at=JOINED, carried_at=JOINED))
    assert one(alice, "member.city").source == "the society's membership records, 2 November 2026"
    with writes():
        members.save_profile(
            alice, {"city": "Lund", "region": "Scania"}, version=alice.version, via=Door.PAGE, now=NOW - 3 * DAY
        )
        members.save_profile(alice, {"region": "Skåne"}, version=alice.version, via=Door.STAFF, now=NOW)
    assert one(alice, "member.city").source == "you, on this site, 1 December 2026"
    assert one(alice, "member.region").source == "the society's staff, 4 December 2026"
    assert one(alice, "member.first_name").source == "the society's membership records, 2 November 2026"
    assert one(bob, "member.city").source == held.BEFORE
    with writes():
        db.session.add(Trail(subject_id=alice.id, act="changed", field="email", door="link", at=NOW, carried_at=NOW))
    assert one(alice, "member.email_key").source == one(alice, "member.email").source
    assert one(alice, "account.staff").source == "you, when your password was set, 2 November 2026"
    assert {item.source for item in of(alice, "trail.act")} == {
        "the society's membership records, 2 November 2026",
        "you, on this site, 1 December 2026",
        "the society's staff, 4 December 2026",
        "you, by the link in an email, 4 December 2026",
    }


def test_recipients_are_those_of_the_disclosure_log(filled: People) -> None:
    """P26: who outside received this field, by which list, when."""
    assert one(filled.alice, "member.first_name").recipients == (
        "Exhibitors of the symposium (list L-204), 4 December 2026",
    )
    assert one(filled.alice, "member.city").recipients == ()
    assert one(filled.alice, "registration.role").recipients == one(filled.alice, "member.first_name").recipients
    assert {item.recipients for item in of(filled.bob) if item.name.startswith("registration.")} == {()}
    (page,) = held.listings(filled.alice.id, ["registration"], limit=5, now=NOW)
    assert {item.recipients for item in page.rows[0]} == {one(filled.alice, "registration.role").recipients}
    with writes():
        db.session.add(
            Disclosure(
                subject_id=filled.alice.id,
                recipient="A hotel in Boston",
                reason="Booking",
                fields="first_name city email",
                at=NOW + DAY,
            )
        )
    assert one(filled.alice, "member.city").recipients == ("A hotel in Boston, 5 December 2026",)
    assert len(one(filled.alice, "member.first_name").recipients) == 2
    assert one(filled.alice, "member.email_key").recipients == ("A hotel in Boston, 5 December 2026",), "the same text"
    assert one(filled.bob, "member.first_name").recipients == ()


def test_an_end_is_computed_from_the_periods_of_the_catalogue(filled: People) -> None:
    """P26, P28: a date where the row has one, otherwise the rule in words; never nothing."""
    alice = filled.alice
    assert {item.until for item in of(alice, "registration.role")} == {
        (date(2026, 10, 8) + timedelta(days=7 * 365)).isoformat()
    }
    replaced, standing = of(alice, "choice.value")
    assert replaced.until == (date(2026, 12, 3) + timedelta(days=6 * 365)).isoformat()  # the day at the society's seat
    assert standing.until == "as long as it stands, and six years in any case"
    assert one(alice, "data_subject_request.kind").until == "two years after the answer"
    assert one(alice, "request_step.step").until == "two years after the answer"
    assert one(alice, "message.text").until == "until delivered"
    assert one(alice, "message.title").until == (date(2026, 12, 4) + timedelta(days=2 * 365)).isoformat()
    assert one(alice, "member.city").until == "as long as your membership lasts (now until 31 March 2027)"
    assert "seven years after the event" in one(alice, "member.first_name").until
    for name in ("account.password_hash", "recovery_code.code_hash", "former_address.keyed_hash"):
        assert one(alice, name).until == "as long as your record", f"{name}: it has no period of its own"
    kept = f"as long as your record; after a deletion 6 years more: {PROOF.reason}"
    assert one(alice, "subject.unsubscribe_reference").until == kept
    followed = {one(alice, f"member.{name}").until for name in ("email_key", "address_hash")}
    assert followed == {"as long as the address that it is made from"}
    with writes():
        closed = {"state": "withdrawn", "closed_at": NOW}
        db.session.execute(update(DataSubjectRequest).values(closed))
        db.session.execute(update(Message).values(state="sent", sent_at=NOW, lease_until=None))
        db.session.execute(update(Member).where(Member.id == alice.id).values(expires_on=None))
    ends = (date(2026, 12, 4) + timedelta(days=2 * 365)).isoformat()
    assert one(alice, "data_subject_request.kind").until == ends
    assert one(alice, "request_step.step").until == ends
    assert one(alice, "message.to_address").until == "2027-03-04"
    assert one(alice, "member.city").until == "as long as your membership lasts"


def test_a_past_end_is_said_as_past(people: People) -> None:
    """Bob's membership ended on 30 September 2026."""
    assert one(people.bob, "member.city").until == (
        "until it is deleted or your membership runs again (it ended on 30 September 2026)"
    )


def test_the_address_of_a_message_that_never_left_goes_too(filled: People) -> None:
    assert one(filled.alice, "message.to_address").until == "90 days after sending"
    with writes():
        db.session.execute(update(Message).values(state="dead"))
    assert one(filled.alice, "message.to_address").until == "2027-03-04"


def test_where_a_value_came_from_is_known_after_six_years(people: People, clock: time_machine.Traveller) -> None:
    """P26: the rows of the trail that say so stay as long as the record, and say so of themselves."""
    with writes():
        for act, field, door in (("created", "", "import"), ("changed", "city", "import"), ("changed", "city", "page")):
            db.session.add(Trail(subject_id=people.alice.id, act=act, field=field, door=door, at=NOW, carried_at=NOW))
    before = [one(people.alice, name).source for name in ("member.city", "member.region")]
    assert [item.until for item in of(people.alice, "trail.act")][1] == "2032-12-02"
    clock.shift(timedelta(days=6 * 366))
    db.session.rollback()
    assert {each.rule: each.gone for each in retention.run(now=NOW + timedelta(days=6 * 366))}["trail"] == 1
    assert [one(people.alice, name).source for name in ("member.city", "member.region")] == before
    assert {item.until for item in of(people.alice, "trail.act")} == {PERIODS["trail"].words}


def test_the_end_of_the_calendar_is_a_day_too(people: People) -> None:
    last = date(9999, 12, 31)
    with writes():
        people.alice.expires_on = last
        for code, first in (("first", date(1, 1, 1)), ("last", last)):
            meeting = Event(code=code, name="Symposium", starts_on=first, ends_on=last)
            db.session.add(Registration(event=meeting, member_id=people.alice.id))
    assert {item.until for item in of(people.alice, "registration.role")} == {"9999-12-31"}
    assert "31 December 9999" in one(people.alice, "member.city").until
    db.session.rollback()
    assert [each.until for each in retention.run(now=NOW) if each.rule == "registrations"] == [last]


def test_a_value_leads_to_the_page_on_which_it_is_corrected(filled: People) -> None:
    assert one(filled.alice, "member.city").control == "/profile/edit#city"
    assert one(filled.alice, "member.email").control == "/profile/email"
    assert of(filled.alice, "choice.value")[0].control == "/choices"
    assert one(filled.alice, "member.joined_on").control == ""


def test_a_list_is_read_page_by_page(filled: People) -> None:
    """By key: a page reads its own rows, and a row that comes meanwhile moves nothing."""
    alice = filled.alice
    with writes():
        for number in range(30):
            db.session.add(Trail(subject_id=alice.id, act="changed", field="city", door="page", at=NOW + number * DAY))
            later = date(2027, 1, 1) + number * DAY
            other = Event(code=f"E{number}", name=f"Meeting {number}", starts_on=later, ends_on=later)
            db.session.add(other)
            db.session.flush()
            db.session.add(Registration(event_id=other.id, member_id=alice.id))
            db.session.add(message(alice, number))
    for table, column in (("trail", "at"), ("registration", "event_id"), ("message", "title")):
        found = list(paged(alice, table, limit=7))
        rows = [{item.name: item for item in row}[f"{table}.{column}"] for row in found]
        whole = list(of(alice, f"{table}.{column}"))
        assert len(whole) == 31
        assert rows == whole[::-1], table
    first = held.glimpse(alice.id, few=3, now=NOW)
    trail = next(each for each in first.lists if each.table.name == "trail")
    assert (len(trail.rows), trail.total, trail.rows[0][0].row) == (3, 31, 31)
    assert set(first.items) == {
        item for item in of(alice) if item.name.split(".")[0] in ("subject", "member", "account")
    }
    for bad in ("x", "1_2", "-1", "99999999999999"):
        with pytest.raises(ValueError, match=r".*"):
            held.listings(alice.id, ["trail"], limit=7, now=NOW, before=bad)
    for stranger in ("member", "event", "nothing"):
        with pytest.raises(KeyError):
            held.listings(alice.id, [stranger], limit=7, now=NOW)


def paged(person: Any, table: str, *, limit: int) -> Iterator[tuple[Item, ...]]:
    before = ""
    while True:
        (page,) = held.listings(person.id, [table], limit=limit, now=NOW, before=before)
        yield from page.rows
        before = page.before
        if not before:
            return


def message(person: Any, number: int) -> Message:
    return Message(
        message_id=f"<held-{number}@localhost>",
        subject_id=person.id,
        kind="receipt",
        name="receipt",
        to_address=person.email,
        title=f"Message {number}",
        text="Words",
        html="",
        created_at=NOW + timedelta(minutes=number // 2),  # two of one moment
        due_at=NOW,
    )


def test_every_question_asks_for_one_person_by_an_index(filled: People) -> None:
    """So that the rows of others cost nothing; only the addresses that wait for the worker, a day at most, are read."""
    if db.engine.dialect.name != "sqlite":
        return
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        of(filled.alice)
        held.glimpse(filled.alice.id, few=3, now=NOW)
        held.listings(filled.alice.id, ["message", "request_step"], limit=20, now=NOW)
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    assert len(asked) > 20
    for statement, parameters in asked:
        plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
        scans = [row[3] for row in plan if row[3].startswith("SCAN") and "CONSTANT ROW" not in row[3]]
        assert [each for each in scans if "link_request" not in each and "(sub" not in each] == [], statement
