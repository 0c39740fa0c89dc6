"""events import, events registrations, recognitions: each sentence of the contract that speaks of their files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import func, select

from portal import journal
from portal.datamap import erasure
from portal.datamap.rows import person as person_of
from portal.domain import choices, erasures, event_choices, events, recognitions
from portal.extensions import db
from portal.models import ChoiceRow, Event, Member, Recognition, Registration, Suppression, Trail
from portal.purposes import SUPPRESS
from portal.tokens import number_to_hash, suppression_hash
from portal.vocabulary import Door
from tests.conftest import Runner
from tests.databases import writes
from tests.people import NOW, People

Bring = Callable[..., Result]
EVENTS = (
    "event_id,name,starts_on,ends_on,place,exhibition\n"
    "SYM,Symposium,2027-02-10,2027-02-13,Raleigh,yes\nWS 1,Workshop,2026-03-04,,Delft,\n"
)


@pytest.fixture
def bring(run: Runner, tmp_path: Path) -> Bring:
    """Run a command on a file with this content; text or bytes."""

    def bring(command: str, content: str | bytes, *options: object) -> Result:
        path = tmp_path / "file.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return run(*command.split(), path, *options)

    return bring


def summary(result: Result) -> list[int]:
    """created, updated, unchanged, held back, refused."""
    lines = [line.rsplit(" ", 1) for line in result.stderr.splitlines() if not line.startswith(("line", "ignored"))]
    assert [name for name, _ in lines] == ["created", "updated", "unchanged", "held back", "refused"], result.stderr
    return [int(number) for _, number in lines]


def reasons(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("line")]


def person(email: str) -> Member:
    db.session.rollback()
    return db.session.scalars(select(Member).where(Member.email == email)).one()


def here(email: str, code: str = "SYM") -> dict[str, tuple[str, str | None]]:
    """What somebody answered for an event, and by which door."""
    member = person(email)
    number = db.session.scalars(select(Event.id).where(Event.code == code)).one()
    return {name: (each.own, each.door) for name, each in event_choices.standing(member.id, number).items() if each.at}


# Events ---------------------------------------------------------------------------------------------------


def test_events_come_in_and_change_and_never_go(bring: Bring) -> None:
    first = bring("events import", b"\xef\xbb\xbf" + EVENTS.encode())
    assert (first.exit_code, summary(first)) == (0, [2, 0, 0, 0, 0])
    assert summary(bring("events import", EVENTS)) == [0, 0, 2, 0, 0]
    changed = bring("events import", "exhibition,shoe,event_id,name,place\nno,1,SYM,,\n,2,WS 1,Workshop on Wires,\n")
    assert (changed.exit_code, summary(changed)) == (0, [0, 2, 0, 0, 0])
    assert "ignored columns: shoe" in changed.stderr
    held = db.session.scalars(select(Event).order_by(Event.id)).all()
    assert [(each.name, each.exhibition, each.place) for each in held] == [
        ("Symposium", False, "Raleigh"),
        ("Workshop on Wires", False, "Delft"),
    ]
    assert held[1].ends_on == held[1].starts_on == date(2026, 3, 4)
    assert summary(bring("events import", "event_id,place\nWS 1,Leiden\n", "--dry-run")) == [0, 1, 0, 0, 0]
    assert db.session.scalars(select(Event.place).where(Event.code == "WS 1")).one() == "Delft"


def test_events_are_refused_by_line(bring: Bring) -> None:
    bring("events import", EVENTS)
    result = bring(
        "events import",
        'event_id,name,starts_on,ends_on,exhibition\n"A",One,2027-01-01,2026-12-31,\n,Two,2027-01-01,,\n\n'
        "B,,someday,,perhaps\nSYM,Again,2030-01-01,,\nC/D,Slash,2027-01-01,,\nE,Ok,2027-01-01,,1\nE,Twice,2027-01-01,,\n",
    )
    assert (result.exit_code, summary(result)) == (1, [1, 0, 0, 0, 6])
    lines = reasons(result)
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 3", "line 5", "line 6", "line 7", "line 9"]
    for line, words in zip(
        lines,
        ("before starts_on", "no event_id", "exhibition: ", "before starts_on", "slash", "a second row"),
        strict=True,
    ):
        assert words in line
    for content in (b"", b"name\nX\n", b"event_id,name\nX,\xff\n", b'event_id,name,starts_on\nX,"Cut'):
        nothing = bring("events import", content)
        assert (nothing.exit_code, nothing.stderr.endswith("Nothing was changed.\n")) == (3, True)
    assert db.session.scalars(select(func.count()).select_from(Event)).one() == 3


# Registrations --------------------------------------------------------------------------------------------

REGISTRATIONS = (
    "event_id,member_id,email,first_name,last_name,organization,job_title,country,business_type,role,attendee_list,"
    "sponsor_sharing,address_kind,address_line1,address_line2,city,region,postal_code\n"
    "SYM,M-1001,,Alicia,,Other Ltd,,FR,,Speaker,attendees,no,,,,,,\n"
    "SYM,,BOB@tanaka.example.org,Robert,,,,,,,public,,,,,,,\n"
    "SYM,X-77,new@example.org,Nia,Osei,Kiln Ltd,Buyer,UK,Ceramics,Visitor,public,1,work,1 Mill Lane,Hall 2,Leeds,,LS1\n"
)


def test_members_are_reused_and_others_become_contacts(bring: Bring, people: People) -> None:
    """P9: a member's own record stands as it is; who is not known gives name, address and type of business."""
    bring("events import", EVENTS)
    before = {name: getattr(people.alice, name) for name in ("first_name", "organization", "country", "version")}
    first = bring("events registrations", REGISTRATIONS)
    assert (first.exit_code, summary(first)) == (0, [3, 0, 0, 0, 0])
    assert {name: getattr(person(people.alice.email), name) for name in before} == before
    new = person("new@example.org")
    assert (new.kind, new.member_number, new.country, new.business_type) == ("contact", None, "GB", "Ceramics")
    assert (new.address_kind, new.address_line1, new.city) == ("work", "1 Mill Lane", "Leeds")
    assert here(people.alice.email) == {
        "attendee_list": ("attendees", Door.REGISTRATION),
        "sponsor_sharing": ("no", Door.REGISTRATION),
    }
    assert here("new@example.org") == {
        "attendee_list": ("public", Door.REGISTRATION),
        "sponsor_sharing": ("yes", Door.REGISTRATION),
    }
    assert choices.standing(new.id)["attendee_list"].at is None, "for this event alone"
    row = db.session.scalars(select(ChoiceRow).where(ChoiceRow.subject_id == new.id)).first()
    assert row is not None
    assert "registrations said, under attendee_list" in row.wording
    made = db.session.scalars(select(Trail).where(Trail.subject_id == new.id)).one()
    assert (made.act, made.door, made.carried_at is not None) == ("created", Door.REGISTRATION, True)
    assert {each.role for each in db.session.scalars(select(Registration))} == {"Speaker", "", "Visitor"}

    assert summary(bring("events registrations", REGISTRATIONS)) == [0, 0, 3, 0, 0]
    second = bring(
        "events registrations", "event_id,email,role\nSYM,new@example.org,Exhibitor\nWS 1,new@example.org,\n"
    )
    assert summary(second) == [1, 1, 0, 0, 0]
    given = bring("members import", "member_id,email\nX-77,new@example.org\n")
    assert "updated 1" in given.stderr, "the membership system gives the number"


def test_a_contacts_gaps_are_filled_and_nothing_else(bring: Bring, people: People, clock: object) -> None:
    bring("events import", EVENTS)
    head = "event_id,email,first_name,job_title,organization,address_line1,city,attendee_list\n"
    bring("events registrations", head + "SYM,c@example.org,Cy,,Kiln Ltd,1 Mill Lane,,\n")
    with writes():  # they clear it here, by the page
        contact = db.session.scalars(select(Member).where(Member.email == "c@example.org")).one()
        contact.organization = ""
        db.session.add(
            Trail(subject_id=contact.id, act="changed", field="organization", door="page", at=NOW, carried_at=NOW)
        )
    rows = "WS 1,c@example.org,Cyril,Buyer,Big Ltd,,Rome,\nSYM,c@example.org,Cyril,Chief,Big Ltd,,,\n"
    rows += "SYM,d@example.org,,,,,,\nWS 1,d@example.org,Dee,Head,,2 High Street,Ely,\n"
    assert summary(bring("events registrations", head + rows)) == [3, 0, 1, 0, 0]
    c, d = person("c@example.org"), person("d@example.org")
    assert (c.first_name, c.job_title, c.organization, c.city) == ("Cy", "Buyer", "", ""), "an address is one thing"
    assert (d.first_name, d.job_title, d.city, d.version) == ("Dee", "Head", "Ely", 1)


def test_registrations_are_refused_by_line_or_held_back(bring: Bring, people: People) -> None:
    bring("events import", EVENTS)
    with writes():
        for name in ("gone@example.org", number_to_hash("M-666")):
            db.session.add(Suppression(keyed_hash=suppression_hash(name), reason="erased", at=NOW))
    rows = (
        "event_id,member_id,email,country,attendee_list\n"
        'NONE,,a@example.org,"F\nR",\n'  # line 2, and 3
        ",,a2@example.org,,\n"
        "SYM,,,FR,\nSYM,,x@,FR,\nSYM,M-1001,x@,,\n"
        "SYM,M-9,,,\n"
        "SYM,M-1001,bob@tanaka.example.org,,\n"
        "SYM,M-10,Alice.Okonkwo@mail.example.org,,\n"
        "SYM,,b@example.org,Atlantis,everybody\n"
        "SYM,,b@example.org,,\n"
        "WS 1,,b@example.org,,nobody\n"
        "SYM,,gone@example.org,,public\nSYM,M-666,m@example.org,,\n"
        "SYM,M-2002,,,\nSYM,,bob2@example.org,,\n"
    )
    result = bring("events registrations", rows)
    assert (result.exit_code, summary(result)) == (1, [3, 0, 0, 2, 10])
    expected = {
        2: "no event “NONE”",
        4: "no event_id",
        5: "no email address",
        6: "malformed email address",
        7: "malformed email address",
        8: "nobody has this member_id",
        9: "second row",
        10: "another member_id",
        11: "attendee_list: unknown word “everybody”",
        12: "second row",
    }
    found = {int(line.split(":")[0].removeprefix("line ")): line for line in reasons(result)}
    assert found.keys() == expected.keys()
    assert [found[line] for line, words in expected.items() if words not in found[line]] == []
    both = bring("events registrations", "event_id,member_id,email\nSYM,M-1001,bob@tanaka.example.org\n")
    assert "another person" in both.stderr
    twice = bring("events registrations", "event_id,member_id,email\nSYM,M-2002,\nSYM,,bob@tanaka.example.org\n")
    assert reasons(twice) == ["line 3: a second row about one person at this event"]
    for content in (
        "event_id,first_name\nSYM,X\n",
        "email\na@example.org\n",
        "event_id,email,city\nSYM,a@example.org\n",
    ):
        assert bring("events registrations", content).exit_code == 3
    dry = bring("events registrations", "event_id,email,role\nSYM,dry@example.org,Chair\n", "--dry-run")
    assert summary(dry) == [1, 0, 0, 0, 0]
    assert dry.stdout.splitlines() == [
        "line 2: a new person",
        "line 2: registration: (empty) -> new",
        "line 2: role: (empty) -> Chair",
    ]
    assert (
        db.session.scalars(select(Member).where(Member.email.in_(["dry@example.org", "gone@example.org"]))).all() == []
    )


def test_what_tightens_goes_into_the_journal_and_what_is_cut_off_does_not(bring: Bring, people: People) -> None:
    """P19: a default of yes, and a no when registering. A file that is cut off silences nobody."""
    bring("events import", EVENTS)
    with writes():
        choices.change(people.alice.subject, "attendee_list", to="public", via=Door.PAGE, now=NOW)
        choices.change(people.bob.subject, SUPPRESS, to="yes", via=Door.PAGE, now=NOW)
    before = [line for path in journal.files() for line, _ in journal.read(path, position=0)]
    head = "event_id,member_id,email,attendee_list,sponsor_sharing\n"
    cut = bring("events registrations", head + "SYM,M-1001,,nobody,no\nSYM,M-2002\n")
    assert cut.exit_code == 3
    assert [line for path in journal.files() for line, _ in journal.read(path, position=0)] == before
    bring("events registrations", head + "SYM,M-1001,,nobody,no\nSYM,M-2002,,attendees,\n")
    lines = [line for path in journal.files() for line, _ in journal.read(path, position=0)]
    (line,) = [each for each in lines if each not in before]
    assert (line.code, line.value, line.event, line.door) == ("attendee_list", "nobody", "SYM", Door.REGISTRATION)
    row = db.session.scalars(select(ChoiceRow).where(ChoiceRow.journal_id == line.id)).one()
    assert (row.value, row.event_id is not None) == ("nobody", True)


# Officers and volunteers ----------------------------------------------------------------------------------

RECOGNITIONS = (
    "recognition_id,member_id,name,title,country,affiliation,role,starts_on,ends_on\n"
    "R1,M-1001,Alice Okonkwo,Dr.,Sweden,Fyris,Treasurer,2024-01-01,2026-12-31\n"
    "R2,,Barnaby Thistlecott,,NZ,,Founder,1979-05-01,\n"
)


def test_recognitions_are_tied_to_members_and_stay_after_an_erasure(bring: Bring, people: People) -> None:
    """P18: who is not in the records is published all the same; an erasure keeps the entry and lets the person go."""
    first = bring("recognitions import", RECOGNITIONS)
    assert (first.exit_code, summary(first)) == (0, [2, 0, 0, 0, 0])
    assert summary(bring("recognitions import", RECOGNITIONS)) == [0, 0, 2, 0, 0]
    assert [each.name for each in recognitions.of(people.alice)] == ["Alice Okonkwo"]
    assert recognitions.one_of(people.alice, "R2") is None
    changed = bring("recognitions import", "recognition_id,member_id,role\nR2,M-2002,\nR1,M-9,Secretary\n")
    assert summary(changed) == [0, 2, 0, 0, 0]
    assert [(each.code, each.role) for each in recognitions.of(people.alice)] == [("R1", "Secretary")]
    assert [each.code for each in recognitions.of(people.bob)] == ["R2"]
    refused = bring(
        "recognitions import",
        "recognition_id,name,country,starts_on,ends_on\nR3,,FR,,\nR1,X,Atlantis,,\nR4,Y,,2020-01-01,2019-01-01\n,Z,,,\n",
    )
    assert (refused.exit_code, len(reasons(refused))) == (1, 4)
    with writes():
        planned = erasures.plan(people.alice.id, now=NOW)
        recognitions.leave(people.alice.id, now=NOW)
        done = erasure.carry_out(person_of(people.alice.id), now=NOW)
    kept = [line for line in planned.lines if "published record" in line.reason]
    assert [(line.rows, line.until_on) for line in kept] == [(1, date(2036, 12, 1))]
    assert [line for line in done if "published record" in line.reason] == kept
    entry = db.session.scalars(select(Recognition).where(Recognition.code == "R1")).one()
    assert (entry.name, entry.subject_id, entry.left_at) == ("Alice Okonkwo", None, NOW)
    with writes():
        erasure.silence([suppression_hash(number_to_hash("M-1001"))], now=NOW)
    again = bring("recognitions import", RECOGNITIONS)
    assert summary(again) == [0, 0, 1, 1, 0], "no file ties it to the person again"


def test_an_entry_that_was_taken_down_stays_down(bring: Bring, run: Runner, people: People) -> None:
    bring("recognitions import", RECOGNITIONS)
    taken = run("recognitions", "take-down", "R1", "R9")
    assert (taken.exit_code, taken.stderr.splitlines()[:2]) == (1, ["taken down 1", "refused 1"])
    assert summary(bring("recognitions import", RECOGNITIONS)) == [0, 0, 1, 1, 0]
    entry = db.session.scalars(select(Recognition).where(Recognition.code == "R1")).one()
    assert (entry.name, entry.role, entry.subject_id, entry.starts_on) == ("", "", None, None)
    assert recognitions.of(people.alice) == []
    assert events.of(people.alice) == []
