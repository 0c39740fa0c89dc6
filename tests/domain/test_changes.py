"""Back to the membership system: changes made here wait until they are known there; contradictions are looked at."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from portal.domain import changes, choices, conflicts, imports, members
from portal.domain.errors import NotNow, StaleRecord
from portal.domain.imports import Report
from portal.extensions import db
from portal.models import Conflict, Member, Trail
from portal.vocabulary import Door
from tests.databases import writes
from tests.people import NOW, People

HOUR = timedelta(hours=1)


def bring(now: Any = NOW, /, **cells: str) -> Report:
    """A file of one row about Alice."""
    row = {"member_id": "M-1001", "email": "Alice.Okonkwo@mail.example.org"} | cells
    text = io.StringIO()
    csv.writer(text).writerows([row.keys(), row.values()])
    with writes():
        return imports.import_members(io.BytesIO(text.getvalue().encode()), now=now)


def save(ident: UUID, **values: str) -> None:
    with writes():
        member = db.session.get_one(Member, ident)
        members.save_profile(member, values, version=member.version, via=Door.PAGE, now=NOW)


def choose(ident: UUID, code: str, to: str) -> None:
    with writes():
        choices.change(db.session.get_one(Member, ident).subject, code, to=to, via=Door.PAGE, now=NOW)


def waits() -> set[tuple[str, ...]]:
    """What waits, in the alphabet's order, of each person."""
    db.session.rollback()
    return {tuple(sorted(each.labels)) for each in changes.waiting(limit=9)[0]}


def contradictions() -> dict[str, tuple[str, bool]]:
    """By field: what the file says, and whether it waits for a look."""
    db.session.rollback()
    return {each.field: (each.brought, each.kept_at is None) for each in db.session.scalars(select(Conflict))}


def file() -> tuple[int, list[dict[str, str]]]:
    """What would be downloaded, and up to which change."""
    out, up_to = io.StringIO(newline=""), changes.newest()
    with writes():
        changes.write_file(out, up_to=up_to, now=NOW)
    return up_to, list(csv.DictReader(io.StringIO(out.getvalue())))


def test_a_change_goes_out_by_file_and_the_member_sees_both_moments(people: People) -> None:
    """Only changed columns are filled, and what the file cannot say goes by hand; a later change stays behind."""
    ident = people.alice.id
    save(ident, city="Lund", phone="", interests="Optics\nPower")
    for code, to in (("attendee_list", "public"), ("topic_surveys", "off"), ("post", "yes"), ("phone", "yes")):
        choose(ident, code, to)
    assert waits() == {("Areas of interest", "Attendee list", "City", "Phone", "Post", "Surveys")}
    up_to, rows = file()
    assert rows == [
        {
            "member_id": "M-1001", "email": "Alice.Okonkwo@mail.example.org", "city": "Lund",
            "interests": "Optics;Power", "attendee_list": "public", "topics_off": "surveys",
        }
    ]  # fmt: skip
    assert changes.ways(ident, now=NOW)["city"] == changes.Way(NOW, None)
    save(ident, city="Malmö")
    with writes():
        assert changes.carried_by_file(up_to=up_to, now=NOW + HOUR) == 4
    ways = changes.ways(ident, now=NOW + HOUR)
    assert ways["interests"] == ways["choice.attendee_list"] == changes.Way(NOW, NOW + HOUR)
    assert (ways["city"].carried_at, ways["choice.phone"].carried_at) == (None, None)
    assert waits() == {("City", "Phone", "Post")}
    member = db.session.get_one(Member, ident)
    shown, top = changes.of(member)
    assert {(each.label, each.value, each.column) for each in shown} == {
        ("City", "Malmö", "city"), ("Phone", "", ""), ("Post", "Yes", ""), ("Phone", "Yes", ""),
    }  # fmt: skip
    with writes():
        changes.carried_by_hand(db.session.get_one(Member, ident), up_to=top, now=NOW + HOUR)
    assert waits() == set()
    assert bring(city="Lund", phone="+46184960001").updated == 1
    acts = db.session.scalars(select(Trail.act).where(Trail.subject_id == ident, Trail.door == Door.STAFF)).all()
    assert acts == ["exported"]
    assert changes.ways(ident, now=NOW + changes.LATELY + 2 * HOUR) == {}


def test_who_cannot_be_found_over_there_goes_by_hand(people: People) -> None:
    """Without a number a file finds a person by the address, and this one is new."""
    bob = people.bob.id
    with writes():
        db.session.get_one(Member, bob).member_number = None
    save(bob, city="Tucson")
    assert [row["city"] for row in file()[1]] == ["Tucson"]
    with writes():
        db.session.add(Trail(subject_id=bob, act="changed", field="email", door="page", at=NOW))
    assert file()[1] == []
    (waiting,), _ = changes.waiting(limit=9)
    assert (waiting.member_number, waiting.by_hand) == ("", True)


def test_a_file_that_contradicts_is_looked_at_once(people: People) -> None:
    """One row a field, renewed by nightly files; kept until a file says something new; over when it agrees."""
    ident = people.alice.id
    save(ident, city="Lund", job_title="Fellow")
    choose(ident, "sponsor_sharing", "yes")
    choose(ident, "sponsor_sharing", "no")
    nightly = {"city": "Uppsala", "job_title": "Engineer", "sponsor_sharing": "yes"}
    assert bring(**nightly).held_back == 1
    bring(NOW + HOUR, **nightly)
    assert contradictions() == {
        "city": ("Uppsala", True), "job_title": ("Engineer", True), "choice.sponsor_sharing": ("yes", True),
    }  # fmt: skip
    rows = {each.field: each for each in db.session.scalars(select(Conflict))}
    assert (rows["city"].at, rows["city"].seen_at) == (NOW, NOW + HOUR)
    sides = conflicts.sides(rows["city"])
    assert (sides.brought, sides.stands, sides.since, sides.door, sides.plain) == (
        "Uppsala", "Lund", NOW, Door.PAGE, True,
    )  # fmt: skip
    sides = conflicts.sides(rows["choice.sponsor_sharing"])
    assert (sides.label, sides.brought, sides.stands, sides.plain) == ("Sponsor sharing", "Yes", "No", False)

    numbers = {name: each.id for name, each in rows.items()}
    with writes():
        for name in ("city", "choice.sponsor_sharing"):
            conflicts.keep(db.session.get_one(Conflict, numbers[name]), now=NOW)
        with pytest.raises(NotNow):
            conflicts.take(db.session.get_one(Conflict, numbers["choice.sponsor_sharing"]), version=1, now=NOW)
        with pytest.raises(StaleRecord):
            conflicts.take(db.session.get_one(Conflict, numbers["job_title"]), version=1, now=NOW)
    bring(NOW + HOUR, **nightly)
    assert [each.field for each in conflicts.waiting(limit=9)[0]] == ["job_title"]
    with writes():
        version = db.session.get_one(Member, ident).version
        conflicts.take(db.session.get_one(Conflict, numbers["job_title"]), version=version, now=NOW)
    assert db.session.get_one(Member, ident).job_title == "Engineer"
    assert waits() == {("City", "Sponsor sharing")}

    bring(NOW + HOUR, **nightly | {"city": "Gävle"})
    assert contradictions() == {"city": ("Gävle", True), "choice.sponsor_sharing": ("yes", False)}
    bring(NOW + HOUR, **nightly | {"city": "Lund", "sponsor_sharing": "no"})
    assert (contradictions(), waits()) == ({}, set())
    assert bring(NOW + HOUR, city="Uppsala").updated == 1


def test_a_topic_that_was_turned_on_is_known_when_the_file_no_longer_names_it(people: People) -> None:
    ident = people.alice.id
    bring(topics_off="surveys;events")
    choose(ident, "topic_surveys", "on")
    bring(topics_off="surveys;events")
    assert contradictions() == {"choice.topic_surveys": ("off", True)}
    assert waits() == {("Surveys",)}
    bring(topics_off="events")
    assert (contradictions(), waits()) == ({}, set())
