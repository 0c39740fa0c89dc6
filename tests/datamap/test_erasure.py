"""What an erasure does to the rows: the plan is what happens, nothing but what is kept is left, others keep theirs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import CheckConstraint, String, Uuid, bindparam, insert, inspect, select, text, update

from portal.datamap import erasure, inventory
from portal.datamap.erasure import Action, Line
from portal.datamap.rows import Person, belongs, owned_tables, person
from portal.extensions import Base, db
from portal.models import (
    ChoiceRow,
    DataSubjectRequest,
    Disclosure,
    EmailChange,
    Event,
    FailedSignIn,
    Member,
    Message,
    Registration,
    SignIn,
    Subject,
    Suppression,
    Trail,
)
from portal.purposes import HOLDINGS
from portal.tokens import canonical_address, number_to_hash, suppression_hash
from portal.vocabulary import Erase
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import fill

ADDRESSES = {"email", "to_address", "old_email", "new_email"}


@pytest.fixture
def rows(people: People) -> People:
    """The four people, and a row about Alice in every table."""
    with writes():
        fill(people)
    return people


def erase(who: Person) -> tuple[Line, ...]:
    with writes():
        return erasure.carry_out(who, now=NOW)


def dump() -> dict[str, list[tuple[str, ...]]]:
    """The whole database as text, every table that it has itself."""
    db.session.rollback()
    names = inspect(db.session.connection()).get_table_names()
    read = {name: db.session.execute(text(f"SELECT * FROM {name}")) for name in names}
    cells = {name: sorted(tuple(map(as_cell, row)) for row in rows) for name, rows in read.items()}
    db.session.rollback()
    return cells


def as_cell(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def as_text() -> str:
    return "\n".join(cell for listed in dump().values() for row in listed for cell in row)


def plant(who: Person) -> tuple[set[str], set[str]]:
    """A mark of its own in every column of the person's rows that takes one; those kept, and those that must go."""
    kept: set[str] = set()
    going: set[str] = set()
    for table, _ in owned_tables(Base.metadata):
        checked = " ".join(str(each.sqltext) for each in table.constraints if isinstance(each, CheckConstraint))
        values = {}
        for entry in inventory.noted(table):
            column = entry.column
            room = isinstance(column.type, String) and (entry.length or 999) >= 30
            if not room or column.foreign_keys or column.name in checked or table.name in ("choice", "suppression"):
                continue
            mark = f"mark-{table.name}-{column.name}"[:30]
            if column.name in ADDRESSES:
                mark = f"{mark}@example.org"
            elif column.name.endswith(("_key", "_hash", "address")):
                continue
            values[column.name] = mark
            (going if entry.note.erase is Erase.DELETE else kept).add(mark)
        if values:
            db.session.execute(update(table).where(belongs(table, who)).values(values | _address(values)))
    hashed = select(Member.address_hash).where(Member.id == who.id).scalar_subquery()
    db.session.execute(update(FailedSignIn).values(address_hash=hashed))
    return kept, going


def _address(values: dict[str, str]) -> dict[str, str]:
    email = values.get("email")
    return {"email_key": email, "address_hash": suppression_hash(email)} if email else {}


# What is left ---------------------------------------------------------------------------------------------


def test_nothing_is_left_but_what_is_kept(rows: People) -> None:
    """P15: a mark in every column of hers; afterwards a dump of the whole database holds only those that are kept."""
    with writes():
        kept, going = plant(person(rows.alice.id))
    who = person(rows.alice.id)
    looked_for = erasure.needles(who)
    assert len(going) > 30
    assert len(kept) > 5
    before = as_text()
    assert [mark for mark in kept | going if mark not in before] == []
    erase(who)
    after = as_text()
    assert sorted(mark for mark in going if mark in after) == []
    assert sorted(mark for mark in kept if mark not in after) == []
    assert [each for each in who.addresses if each in after] == []
    assert erasure.verify(looked_for, who).left == []


def test_what_is_left_of_the_person_refers_to_a_number_only(rows: People) -> None:
    ident = rows.alice.id
    erase(person(ident))
    subject = db.session.get_one(Subject, ident)
    assert subject.erased_at == NOW
    assert db.session.get(Member, ident) is None
    assert db.session.scalars(select(ChoiceRow.value).where(ChoiceRow.subject_id == ident)).all() == ["no", "yes"]
    assert db.session.scalars(select(Disclosure.fields).where(Disclosure.subject_id == ident)).all() != []
    assert db.session.scalars(select(Trail.subject_id)).all() == [None], "the trail stays, and leads to nobody"
    assert db.session.scalars(select(DataSubjectRequest.details)).all() == [""]


def test_others_keep_what_is_theirs(rows: People) -> None:
    bob = person(rows.bob.id)
    with writes():
        db.session.add(Trail(subject_id=bob.id, act="changed", field="city", door="page", at=NOW))
        db.session.add(FailedSignIn(address_hash=rows.bob.address_hash, network="192.0.2.0", at=NOW))

    def his() -> dict[str, list[object]]:
        db.session.rollback()
        return {
            table.name: [tuple(row) for row in db.session.execute(select(table).where(belongs(table, bob)))]
            for table, _ in owned_tables(Base.metadata)
        }

    before, events = his(), dump()["event"]
    assert {"member", "account", "registration", "trail", "failed_sign_in"} <= {
        key for key, each in before.items() if each
    }
    erase(person(rows.alice.id))
    assert his() == before
    assert dump()["event"] == events


def test_the_plan_is_what_is_done(rows: People) -> None:
    ident = rows.alice.id
    planned = erasure.plan(ident, now=NOW)
    before = dump()
    assert before == dump(), "a plan changes nothing"
    done = erase(person(ident))
    assert planned.lines == done
    assert planned.holdings == tuple(code for code, each in HOLDINGS.items() if each.asked)
    assert "contributions" in planned.holdings
    for line in done:
        assert line.rows > 0
        assert (line.action is Action.KEPT) == bool(line.reason) == (line.until_on is not None), line
        assert line.until_on is None or line.until_on > NOW.date()
    told = {(line.what, line.action): line.rows for line in done if not {"hash", "safety"} & {*line.reason.split()}}
    assert told["Who you are", Action.DELETED] == 1
    assert told["Sign-ins and devices", Action.DELETED] == 7  # account, code, two sign-ins, link, refused, typed
    assert told["What changed", Action.DETACHED] == 2  # a change, a step of a list
    assert told["Your choices", Action.KEPT] == 3
    lost = {name: len(before[name]) - len(each) for name, each in dump().items() if len(before[name]) > len(each)}
    assert lost == {
        "member": 1, "account": 1, "sign_in": 2, "password_link": 1, "email_change": 1, "message": 1, "registration": 1,
        "bounce": 1, "failed_sign_in": 1, "former_address": 1, "link_request": 1, "ask": 1, "recovery_code": 1,
        "import_conflict": 1, "former_value": 1,
    }  # fmt: skip


def test_a_second_time_does_nothing(rows: People) -> None:
    who = person(rows.alice.id)
    erase(who)
    after = dump()
    again = erase(person(who.id))
    assert dump() == after
    assert {line.action for line in again} == {Action.KEPT}
    erase(who)
    assert dump() == after


def test_somebody_without_any_row_is_erased_too(people: People) -> None:
    ident = people.bob.id
    erase(person(ident))
    assert db.session.get_one(Subject, ident).erased_at == NOW


# Silence --------------------------------------------------------------------------------------------------


def silent() -> dict[str, str]:
    db.session.rollback()
    return {row.keyed_hash: row.reason for row in db.session.scalars(select(Suppression))}


def changed(people: People, old: str, new: str, *, confirmed: bool = True, of: UUID | None = None) -> EmailChange:
    token = uuid4().hex
    return EmailChange(
        member_id=of or people.alice.id, old_email=old, new_email=new, door="page", confirm_hash=f"{token}1",
        cancel_hash=f"{token}2", created_at=NOW, confirm_until=NOW, cancel_until=NOW,
        confirmed_at=NOW if confirmed else None, cancelled_at=None if confirmed else NOW,
    )  # fmt: skip


def test_every_address_ever_and_the_number_stay_silent(people: People) -> None:
    alice = people.alice
    with writes():
        db.session.add(changed(people, "First@Old.example.org", alice.email))
        db.session.add(changed(people, alice.email, "typed@never.example.org", confirmed=False))
        for hashed, reason in ((suppression_hash(alice.email_key), "bounced"), ("v1.s0.other", "asked")):
            db.session.add(Suppression(keyed_hash=hashed, reason=reason, at=NOW - timedelta(days=1)))
    erase(person(alice.id))
    names = (canonical_address("First@Old.example.org"), "alice.okonkwo@mail.example.org", number_to_hash("M-1001"))
    assert silent() == {**{suppression_hash(name): "erased" for name in names}, "v1.s0.other": "asked"}


def test_an_address_that_is_somebody_elses_by_now_is_not_silenced(people: People) -> None:
    """She once had the address that is Bob's now, and that of the desk."""
    with writes():
        for each in (people.bob.email, people.dana.email):
            db.session.add(changed(people, str(each), people.alice.email))
        db.session.add(FailedSignIn(address_hash=people.bob.address_hash, network="192.0.2.0", at=NOW))
    who = person(people.alice.id)
    looked_for = erasure.needles(who)
    erase(who)
    assert suppression_hash(people.bob.email_key) not in silent()
    assert suppression_hash(str(people.dana.email_key)) not in silent()
    assert len(db.session.scalars(select(FailedSignIn.id)).all()) == 1
    assert erasure.verify(looked_for, who).left == []


def test_mail_to_her_address_goes_whoever_it_was_about(people: People) -> None:
    """What somebody else typed, and mail that was about nobody."""
    typed = people.alice.email.upper()
    with writes():
        for subject in (people.bob.id, None):
            for to in (typed, people.bob.email):
                db.session.add(
                    Message(
                        message_id=f"<{uuid4()}@localhost>", subject_id=subject, kind="account", name="x",
                        to_address=to, title="", text="", html="", created_at=NOW, due_at=NOW,
                    )
                )  # fmt: skip
        db.session.add(changed(people, people.bob.email, typed, confirmed=False, of=people.bob.id))
    who = person(people.alice.id)
    looked_for = erasure.needles(who)
    erase(who)
    assert db.session.scalars(select(Message.to_address)).all() == [people.bob.email] * 2
    assert db.session.scalars(select(EmailChange)).all() == []
    assert erasure.verify(looked_for, who).left == []


# The proof ------------------------------------------------------------------------------------------------


def test_before_the_erasure_every_table_is_named(rows: People) -> None:
    """The search is no formality: it finds her in each table from which she goes, and in each that must be emptied."""
    who = person(rows.alice.id)
    looked_for = erasure.needles(who)
    tables = {place.partition(".")[0] for place in erasure.verify(looked_for, who).left}
    assert tables == {
        "account", "ask", "bounce", "data_subject_request", "email_change", "failed_sign_in", "former_address",
        "former_value", "import_conflict", "link_request", "list_step", "member", "message", "password_link",
        "recognition", "recovery_code", "registration", "sign_in", "trail",
    }  # fmt: skip


ELSEWHERE = "alice@elsewhere.example.org"
SPILLS = {  # what is written after the erasure, and where it is found
    "an address in nobody's words": (
        "UPDATE account SET email = 'ask <ALICE@elsewhere.example.org>!' WHERE member_id IS NULL",
        "account.email",
    ),
    "her row in a table that the map does not know": ("INSERT INTO stray (who) VALUES (:alice)", "stray.who"),
    "behind such a row": ("INSERT INTO stray (about) VALUES (:request)", "stray.about"),
    "an address in such a table": (f"INSERT INTO stray (note) VALUES ('{ELSEWHERE}')", "stray.note"),
    "her number in such a table": ("INSERT INTO stray (word) VALUES ('M-1001')", "stray.word"),
    "a value that should have been emptied": (
        "UPDATE data_subject_request SET details = 'x' WHERE subject_id = :alice",
        "data_subject_request.details",
    ),
    "a trail that leads to her": ("UPDATE trail SET subject_id = :alice", "trail.subject_id"),
}


@pytest.fixture
def stray(rows: People) -> Iterator[People]:
    """A table of which the map knows nothing."""
    number = "CHAR(32)" if db.engine.dialect.name == "sqlite" else "UUID"
    with writes():
        db.session.execute(
            text(
                f"CREATE TABLE stray (id INTEGER, who {number} REFERENCES subject (id), note TEXT, word VARCHAR(20),"
                f" about {number} REFERENCES data_subject_request (id))"
            )
        )
    yield rows
    with writes():
        db.session.execute(text("DROP TABLE stray"))


@pytest.mark.parametrize("spill", SPILLS)
def test_what_is_left_is_found(stray: People, spill: str) -> None:
    statement, place = SPILLS[spill]
    with writes():
        stray.alice.email, stray.alice.email_key = "Alice@elsewhere.example.org", ELSEWHERE
        hers = db.session.scalars(select(DataSubjectRequest)).one()
        values = {each.key: getattr(hers, each.key) for each in inspect(DataSubjectRequest).column_attrs}
        his = {"id": uuid4(), "reference": "IM-2222-2222", "operation_id": "bob", "subject_id": stray.bob.id}
        db.session.execute(insert(DataSubjectRequest), [values | his])
    numbers = {"alice": stray.alice.id, "bob": stray.bob.id, "request": hers.id}
    who = person(stray.alice.id)
    looked_for = erasure.needles(who)
    erase(who)
    assert erasure.verify(looked_for, who).left == []
    with writes():
        used = [bindparam(key, each, Uuid()) for key, each in numbers.items() if f":{key}" in statement]
        db.session.execute(text(statement).bindparams(*used))
    assert erasure.verify(looked_for, who).left == [place]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("ann@x.example.org", True),
        ("To: Ann@X.example.org, please", True),
        ("see https://portal/?a=ann@x.example.org.", True),
        ("joann@x.example.org", False),
        ("mary-ann@x.example.org", False),
        ("ann@x.example.org.au", False),
        ("ann@x.example.org-old", False),
    ],
)
def test_a_part_of_another_address_is_another_address(people: People, value: str, found: bool) -> None:
    with writes():
        people.bob.education = value
        people.alice.email, people.alice.email_key = "Ann@x.example.org", "ann@x.example.org"
    who = person(people.alice.id)
    looked_for = erasure.needles(who)
    erase(who)
    mention = erasure.Mention(people.bob.id, "member.education")
    assert erasure.verify(looked_for, who) == erasure.Found([], (mention,) if found else ())


# A review -------------------------------------------------------------------------------------------------


def test_a_review_of_one_purpose_spares_what_another_needs(rows: People) -> None:
    """P28: no consent to the career centre any more, and the same fields help to choose programmes."""
    planned = erasure.plan(rows.alice.id, now=NOW, ended=frozenset({"careers"}))
    named, chosen = ("First name", "Last name", "Email address"), ("Job title", "Education", "Work experience")
    assert {line.what: line.action for line in planned.lines} == dict.fromkeys(
        (*named, *chosen, "Areas of interest"), Action.KEPT
    )
    for line in planned.lines:
        assert ("Running your membership" if line.what in named else "Choosing topics and events") in line.reason
    assert {line.until_on for line in planned.lines} == {date(2027, 3, 31)}, "when the membership ends"
    assert planned.holdings == ("career-centre",)
    before = dump()
    with writes():
        assert erasure.carry_out_ended(person(rows.alice.id), frozenset({"careers"}), now=NOW) == planned.lines
    assert dump() == before


def test_a_review_deletes_what_nothing_needs_any_more(rows: People) -> None:
    ended = frozenset({"careers", "content"})
    alice = person(rows.alice.id)
    planned = erasure.plan(alice.id, now=NOW, ended=ended)
    version = rows.alice.version
    assert erasure.ended_fields(alice, ended) == [
        "education", "work_experience", "certifications", "interests", "demographics",
    ]  # fmt: skip
    with writes():
        done = erasure.carry_out_ended(alice, ended, now=NOW)
    assert done == planned.lines
    assert {line.what for line in done if line.action is Action.DELETED} == {
        "Education", "Work experience", "Certifications from elsewhere", "Areas of interest", "Demographic information",
    }  # fmt: skip
    kept = {line.what: line.reason for line in done if line.action is Action.KEPT}
    assert kept["Birth date"].startswith("still needed for “Making sure that we hold no data about children")
    member = db.session.get_one(Member, alice.id)
    assert (member.education, member.interests, member.demographics) == ("", "", "")
    assert (member.job_title, member.birth_date) == (rows.alice.job_title, date(1964, 5, 17))
    assert member.version == version + 1
    assert member.subject.erased_at is None
    assert db.session.get_one(Member, rows.bob.id).education != ""
    with writes():
        db.session.execute(update(Member).where(Member.id == alice.id).values(expires_on=None))
    again = erasure.plan(alice.id, now=NOW, ended=ended)
    assert {line.until_on for line in again.lines} == {NOW.date() + timedelta(days=365)}


def test_a_review_of_events_takes_whole_rows(rows: People) -> None:
    with writes():
        done = erasure.carry_out_ended(person(rows.alice.id), frozenset({"events"}), now=NOW)
    assert Line("Your part in the event", Action.DELETED, 1) in done
    assert db.session.scalars(select(Registration.member_id)).all() == [rows.bob.id]


# Speed ----------------------------------------------------------------------------------------------------


def test_ten_thousand_rows_in_under_a_minute(rows: People) -> None:
    who, account = person(rows.alice.id), rows.alice.account
    assert account is not None
    each = 2000

    def many(model: type[Base], make: object) -> None:
        assert callable(make)
        db.session.execute(insert(model), [make(number) for number in range(each)])

    with writes():
        many(Trail, lambda n: {"subject_id": who.id, "act": "changed", "field": "city", "door": "page", "at": NOW})
        many(ChoiceRow, lambda n: {
            "subject_id": who.id, "code": "post", "value": "no", "at": NOW, "door": "page", "wording": "w",
        })  # fmt: skip
        many(SignIn, lambda n: {
            "account_id": account.id, "kind": "session", "token_hash": f"t{n}", "browser": "b", "network": "n",
            "created_at": NOW, "seen_at": NOW, "ends_at": NOW,
        })  # fmt: skip
        many(Message, lambda n: {
            "message_id": f"<m{n}@localhost>", "subject_id": who.id, "kind": "receipt", "name": "x",
            "to_address": who.addresses[0], "title": "", "text": "", "html": "", "created_at": NOW, "due_at": NOW,
        })  # fmt: skip
        many(Event, lambda n: {
            "code": f"E{n}", "name": "E", "starts_on": NOW.date(), "ends_on": NOW.date(),
        })  # fmt: skip
        events = db.session.scalars(select(Event.id).where(Event.code.like("E%")))
        db.session.execute(insert(Registration), [{"event_id": n, "member_id": who.id, "role": ""} for n in events])
    looked_for = erasure.needles(who)
    begun = time.perf_counter()
    done = erase(who)
    took = time.perf_counter() - begun
    assert sum(line.rows for line in done) > 5 * each
    assert erasure.verify(looked_for, who).left == []
    print(f"{sum(line.rows for line in done)} rows in {took:.2f} s")
    assert took < 20, "the limit is 60 s; it takes less than one"
