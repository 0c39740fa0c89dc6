"""The files that a person takes along: each read back by a library that others wrote (GDPR Art. 20, P27)."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import html5lib
import icalendar
import jsonschema
import pytest
import rdflib
import vobject
from bs4 import BeautifulSoup
from flask import Flask
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from rdflib.namespace import DCTERMS, RDF
from sqlalchemy import select

from portal import create_app
from portal.datamap import held
from portal.datamap.export import archive, contact, diary, tables, values
from portal.datamap.export.copy import Copy
from portal.datamap.held import Facts, Snapshot
from portal.datamap.rows import Person
from portal.extensions import Base, db
from portal.lines import line, text
from portal.models import ChoiceRow, Event, Member, Message, Registration
from portal.purposes import HOLDINGS, NEVER_HELD, PURPOSES, RECIPIENTS, SUPPRESS, TOPICS
from portal.vocabulary import CATEGORIES, DPV, DPV_GDPR, GROUNDS, Basis, Kind
from portal.web.held import TITLES, words
from tests.conftest import Runner
from tests.databases import migrate, writes
from tests.people import ALICE, BOB, NOW, People
from tests.rows import fill
from tests.settings import config_for

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "member-data-1.json").read_text(encoding="utf-8"))
VALID = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
LISTED = {
    "your-data.html", "data.json", "contact.vcf", "events.ics", "about.json", "tables/member.csv", "tables/choice.csv",
}  # fmt: skip


@pytest.fixture
def filled(people: People) -> People:
    with writes():
        fill(people)
    return people


def copy_of(person: Any) -> Copy:
    db.session.rollback()
    return copied(held.collect(person.id, now=NOW))


def copied(snapshot: Snapshot) -> Copy:
    return Copy(snapshot, "https://privacy.example.org", "Society of Chips", "privacy@example.org", words, TITLES)


def files_of(copy: Copy) -> dict[str, str]:
    """Every file of the zip by its name, as an unzipper finds it."""
    with zipfile.ZipFile(io.BytesIO(b"".join(archive.archive(copy)))) as bundle:
        assert bundle.testzip() is None
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def data_of(copy: Copy) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(b"".join(archive.data_json(copy)))
    return found


def rows_of(data: dict[str, Any], table: str) -> list[dict[str, Any]]:
    """The rows of one table, put together as docs/your-data.md says."""
    rows: list[dict[str, Any]] = []
    for item in data["items"]:
        where, _, column = item["name"].partition(".")
        if where == table:
            if not rows or column in rows[-1]:
                rows.append({})
            rows[-1][column] = item["value"]
    return rows


def graph_of(about: str) -> rdflib.Graph:
    """What another program understands of about.json."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own
        return rdflib.Graph().parse(data=about, format="json-ld")


# The whole ------------------------------------------------------------------------------------------------


def test_the_zip_holds_every_file_and_they_say_the_same(filled: People) -> None:
    copy = copy_of(filled.alice)
    files = files_of(copy)
    assert next(iter(files)) == "your-data.html"
    assert files.keys() >= LISTED
    assert {name for name in files if name.startswith("tables/")} == {f"tables/{name}.csv" for name in copy.rows}
    data = json.loads(files["data.json"])
    assert data == data_of(copy)
    assert [(each["name"], each["value"]) for each in data["items"]] == [(i.name, i.value) for i in copy.items]
    for name in copy.rows:
        told = rows_of(data, name)
        read = list(csv.DictReader(io.StringIO(files[f"tables/{name}.csv"], newline="")))
        cells = [{column: tables.cell(value) for column, value in row.items()} for row in told]
        assert read == cells, name
    assert "+46184960001" in files["data.json"]
    assert '"\'+46184960001"' in files["tables/member.csv"], "a number of a phone is no formula"


def test_no_file_holds_a_secret_or_anything_of_somebody_else(filled: People) -> None:
    """Sentinels: what a secret column holds, and every value of Bob, stand in no file of Alice's."""
    secret = ("hash-secret-of-alice", "text-secret-of-alice", "url-secret-of-alice", "html-secret-of-alice")
    with writes():
        account = db.session.merge(filled.alice.account)
        assert account is not None
        account.password_hash = secret[0]
        message = next(iter(db.session.scalars(select(Message))))
        message.text, message.unsubscribe_url, message.html = secret[1:]
        reference = db.session.merge(filled.alice).subject.unsubscribe_reference
    files = files_of(copy_of(filled.alice))
    hashes = [
        str(value)
        for table in Base.metadata.sorted_tables
        for row in db.session.execute(select(table)).mappings()
        for column, value in row.items()
        if value and getattr(table.columns[column].info.get("note"), "secret", False)
    ]
    his = [str(value) for value in BOB.values() if str(value) not in ("US", "work", "registered")]
    never = [*secret, *hashes, *his, reference.hex(), filled.bob.id.hex, str(filled.bob.id), "Chair"]
    assert len(hashes) > 8
    everything = "\n".join(files.values())
    assert [word for word in never if word in everything] == []
    assert all(str(value) in files["data.json"] for value in ALICE.values() if "\n" not in str(value))


@pytest.mark.parametrize("who", ["bob", "charlie", "dana"])
def test_it_is_whole_for_who_has_little(people: People, who: str) -> None:
    """Without events, after an erasure, or for a number that nobody has."""
    copy = copy_of(getattr(people, who))
    files = files_of(copy)
    VALID.validate(json.loads(files["data.json"]))
    html5lib.HTMLParser(strict=True).parse(files["your-data.html"])
    card = vobject.readOne(files["contact.vcf"])
    assert card.fn.value
    icalendar.Calendar.from_ical(files["events.ics"])
    graph_of(files["about.json"])


# For reading ----------------------------------------------------------------------------------------------


def test_the_page_is_whole_by_itself_and_answers_six_questions(filled: People) -> None:
    page = files_of(copy_of(filled.alice))["your-data.html"]
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"<script|\bon[a-z]+=|\bsrc=|<link|@import|url\(|<form|<iframe", page)
    soup = BeautifulSoup(page, "html.parser")
    ids = [each["id"] for each in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    assert {str(each["href"])[1:] for each in soup.select("nav a")} == set(ids)
    assert [h2.get_text() for h2 in soup.find_all("h2")][:3] == ["Who you are", "How to reach you", "Your work"]
    block = next(each for each in soup.select(".held") if "Uppsala" in each.get_text())
    assert [dt.get_text() for dt in block.select(".answers dt")] == [
        "Why", "On which ground", "Where it came from", "Who received it", "Where it is stored", "Until when",
    ]  # fmt: skip
    assert all(dd.get_text() for dd in soup.select("dd"))
    for section in soup.find_all("section"):
        if not section.find("h3"):
            given = [str(each) for each in section.select(".answers")]
            assert len(given) == len(set(given)), "values with the same answers stand together"
    said = soup.get_text()
    for value in ("17 May 1964", "Sweden", "Symposium 2026", "Exhibitors of the symposium", "Thermal management"):
        assert value in said
    named = {code for item in copy_of(filled.alice).items for code in item.purposes}
    assert [PURPOSES[code].transfer for code in named if PURPOSES[code].transfer not in said] == []
    assert [each.name for each in HOLDINGS.values() if each.name not in said] == []
    assert [each for each in NEVER_HELD if each not in said] == []


def test_what_a_person_typed_is_never_markup(people: People) -> None:
    with writes():
        db.session.merge(people.alice).city = '<script>alert(1)</script> & "Lund" {{ 7 * 7 }}'
    page = files_of(copy_of(people.alice))["your-data.html"]
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;Lund&quot; {{ 7 * 7 }}" in page


# For machines ---------------------------------------------------------------------------------------------


def test_the_json_is_as_its_schema_says(filled: People) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    data = data_of(copy_of(filled.alice))
    VALID.validate(data)
    assert data["schema"] == "https://privacy.example.org/schemas/member-data-1.json"
    assert data["made_at"] == NOW.isoformat()
    broken: tuple[dict[str, Any], ...] = (
        {"made_at": None}, {"schema": "elsewhere"}, {"more": 1}, {"items": [{}]},
        {"items": [data["items"][0] | {"until": ""}]}, {"items": [data["items"][0] | {"purposes": []}]},
    )  # fmt: skip
    assert [each for each in broken if VALID.is_valid(data | each)] == []


def test_the_card_is_read_by_others(filled: People) -> None:
    card = vobject.readOne(files_of(copy_of(filled.alice))["contact.vcf"])
    assert card.version.value == "4.0"
    assert card.fn.value == "Alice Okonkwo-Lindqvist"
    assert (card.n.value.family, card.n.value.given, card.n.value.prefix) == ("Okonkwo-Lindqvist", "Alice", "Dr.")
    assert card.email.value == ALICE["email"]
    assert card.bday.value == "19640517"
    assert card.org.value == ["Fyris Ceramics"]
    assert card.title.value == ALICE["job_title"]
    address = card.adr.value
    assert (address.street, address.extended, address.code) == ("Björkgatan 14", "Staircase B", "753 28")
    assert (address.city, address.region, address.country) == ("Uppsala", "Uppland", "Sweden")
    assert card.adr.params == {"TYPE": ["home"]}
    assert [each.value for each in card.tel_list] == ["tel:+46184960001", "tel:+46701740602"]


def test_the_diary_is_read_by_others(filled: People) -> None:
    calendar: Any = icalendar.Calendar.from_ical(files_of(copy_of(filled.alice))["events.ics"])
    (event,) = calendar.walk("VEVENT")
    assert event["SUMMARY"] == "Symposium 2026"
    assert event["LOCATION"] == "Boston"
    assert event["DESCRIPTION"] == "Your part: Speaker"
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (date(2026, 10, 5), date(2026, 10, 9))
    assert event["DTSTAMP"].dt == NOW
    db.session.rollback()
    with writes():
        for code, first in (("first", date(1, 1, 1)), ("last", date.max)):
            meeting = Event(code=code, name=code, starts_on=first, ends_on=date.max)
            db.session.add(Registration(event=meeting, member_id=filled.alice.id))
    calendar = icalendar.Calendar.from_ical(files_of(copy_of(filled.alice))["events.ics"])
    days = {str(each["SUMMARY"]): (each["DTSTART"].dt, "DTEND" in each) for each in calendar.walk("VEVENT")}
    assert days == {
        "Symposium 2026": (date(2026, 10, 5), True),
        "first": (date(1, 1, 1), True),
        "last": (date.max, False),
    }


def test_the_terms_are_read_by_others(filled: People) -> None:
    """Purposes, categories, grounds, recipients and retention, as another program finds them."""
    copy = copy_of(filled.alice)
    graph = graph_of(files_of(copy)["about.json"])
    dpv = rdflib.Namespace(DPV)
    found = {str(graph.value(each, DCTERMS.title)): each for each in graph.subjects(RDF.type, dpv.Process)}
    named = {code for item in copy.items for code in item.purposes if item.value not in (None, "")}
    assert found.keys() == {PURPOSES[code].name for code in named}
    contact_ = found[PURPOSES["contact"].name]
    assert str(contact_) == "https://privacy.example.org/held#contact"
    assert set(graph.objects(contact_, dpv.hasPurpose)) == {dpv.CommunicationManagement}
    grounds = {str(each) for each in graph.objects(contact_, dpv.hasLegalBasis)}
    assert grounds == {f"{DPV_GDPR}A6-1-b", f"{DPV_GDPR}A49-1-b"}
    categories = {str(each) for each in graph.objects(contact_, dpv.hasPersonalData)}
    assert {CATEGORIES[Kind.IDENTITY], CATEGORIES[Kind.CONTACT]} <= categories
    titles = {str(graph.value(each, DCTERMS.title)) for each in graph.objects(contact_, dpv.hasRecipient)}
    assert RECIPIENTS["mail-relay"].name in titles
    assert "Exhibitors of the symposium (list L-204), 4 December 2026" in titles
    storage = graph.value(contact_, dpv.hasStorageCondition)
    assert str(graph.value(storage, DCTERMS.description)) == PURPOSES["contact"].retention


def test_every_word_of_the_catalogue_has_a_term() -> None:
    assert GROUNDS.keys() == set(Basis)
    assert CATEGORIES.keys() == set(Kind)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", purpose.dpv) for purpose in PURPOSES.values())


# Odd people -----------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SOMEBODY = UUID(int=7)
CHECKED = ("birth_date", "joined_on", "expires_on", "country", "kind", "address_kind")
# What the database checks is one of a few words.
SHORT_TEXT = [name for name in ALICE if name not in CHECKED]


def snapshot_of(fields: dict[str, Any]) -> Snapshot:
    """A person with these values, as `held.collect` would read them."""
    columns = {column.name: None for column in Member.__table__.columns}
    who = Person(SOMEBODY, (), ())
    row = columns | {"id": SOMEBODY, "version": 1, "email_key": "", "address_hash": True} | fields
    facts = Facts(NOW.date(), {}, frozenset(), {}, {}, frozenset(), None, None, {})
    return Snapshot(who, NOW, {"member": [row], "registration": []}, facts)


# Written out, not read from what is tried: threat T19, with the wide forms.
BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@pytest.mark.parametrize("first", BEGINS_A_FORMULA)
def test_no_cell_begins_a_formula(first: str) -> None:
    assert tables.cell(f"{first}1+1") == f"'{first}1+1"
    assert tables.cell(f"1{first}1") == f"1{first}1"


@given(fields=st.dictionaries(st.sampled_from(SHORT_TEXT), TEXT, max_size=4), born=st.dates() | st.none())
@example(fields={"city": "=1+1", "first_name": "a\nb\r\nc", "last_name": "\\;,:\"'", "phone": "+1\0"}, born=None)
@example(fields={"first_name": "\N{FAMILY}" * 60, "organization": "Å" * 150}, born=date(1, 1, 1))
@hypothesis_settings(max_examples=40)
def test_whatever_a_person_typed_comes_back(fields: dict[str, str], born: date | None) -> None:
    copy = copied(snapshot_of(fields | {"birth_date": born}))
    data = json.loads("".join(values.written(copy)))
    VALID.validate(data)
    (told,) = rows_of(data, "member")
    assert {name: told[name] for name in fields} == fields
    (read,) = csv.DictReader(io.StringIO("".join(tables.written(copy, "member")), newline=""))
    for name, value in fields.items():
        assert read[name] in (value, f"'{value}")
        assert not read[name].startswith(BEGINS_A_FORMULA), name
    card = "".join(contact.written(copy))
    assert all(len(each.encode()) <= 75 for each in card.split("\r\n"))
    assert not {"\n", "\r"} & set(card.replace("\r\n", ""))
    assert vobject.readOne(card).version.value == "4.0"
    calendar = "".join(diary.written(copy))
    icalendar.Calendar.from_ical(calendar)


@given(TEXT)
def test_a_folded_line_comes_back(value: str) -> None:
    folded = line("NOTE", text(value))
    assert all(len(each.encode()) <= 75 for each in folded.split("\r\n"))
    assert folded.replace("\r\n ", "").removesuffix("\r\n") == f"NOTE:{text(value)}"


# Elsewhere ------------------------------------------------------------------------------------------------

RENAMED = {"member_number": "member_id"}
NOT_IN_THE_FILE = ("id", "email_key", "address_hash")


def members_csv(data: dict[str, Any]) -> str:
    """members.csv made from data.json, by the table in docs/your-data.md."""
    (member,) = rows_of(data, "member")
    row = {RENAMED.get(name, name): value or "" for name, value in member.items() if name not in NOT_IN_THE_FILE}
    row["interests"] = row["interests"].replace("\n", ";")
    answers = {each["code"]: each["value"] for each in rows_of(data, "choice") if each["event_id"] is None}
    for code in (SUPPRESS, "attendee_list", "sponsor_sharing", "employer_sharing"):
        row[code] = answers.get(code, "")
    off = [topic for topic in TOPICS if answers.get(f"topic_{topic.replace('-', '_')}") == "off"]
    row["topics_off"] = ";".join(off)
    out = io.StringIO()
    writer = csv.DictWriter(out, row)
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue()


def test_the_json_imported_elsewhere_gives_the_same_values(
    filled: People, database: str, migrated: str, tmp_path: Path
) -> None:
    """P27: another portal, on a database of its own, is told the same by the file alone."""
    with writes():
        for code, value in (("attendee_list", "attendees"), ("sponsor_sharing", "yes"), ("topic_events", "off")):
            db.session.add(answer(filled, code, value))
    before = data_of(copy_of(filled.alice))
    (tmp_path / "members.csv").write_text(members_csv(before), encoding="utf-8")
    for other in elsewhere(tmp_path):
        runner = other.test_cli_runner()
        assert isinstance(runner, Runner)
        told = runner("members", "import", tmp_path / "members.csv")
        assert told.stderr.splitlines()[:5] == [
            "created 1", "updated 0", "unchanged 0", "held back 0", "refused 0",
        ]  # fmt: skip
        member = db.session.scalars(select(Member)).one()
        after = data_of(copy_of(member))
        (hers,), (theirs,) = rows_of(before, "member"), rows_of(after, "member")
        assert {name: value for name, value in hers.items() if name != "id"} == {
            name: value for name, value in theirs.items() if name != "id"
        }
        assert standing(before) == standing(after)
        assert standing(after)["topic_events"] == "off"


def standing(data: dict[str, Any]) -> dict[str, str]:
    return {each["code"]: each["value"] for each in rows_of(data, "choice") if each["event_id"] is None}


def answer(people: People, code: str, value: str) -> ChoiceRow:
    return ChoiceRow(
        subject_id=people.alice.id, code=code, value=value, at=NOW + timedelta(hours=1), door="page", wording="Asked"
    )


def elsewhere(folder: Path) -> Iterator[Flask]:
    """A portal on an empty SQLite database, whatever the first one runs on."""
    (folder / "other").mkdir()
    address = f"sqlite:///{folder}/other/portal.db"
    migrate(address, folder / "other")
    other = create_app(config_for(address, folder / "other"))
    other.test_cli_runner_class = Runner
    with other.app_context():
        yield other
        db.session.remove()
        db.engine.dispose()
