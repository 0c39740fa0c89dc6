"""Rule: one map. What is held shows, goes and stays by the notes on the columns alone, on any table that there is.

Every owned table gets rows of Alice and of Bob, with a word of its own in every free text of each row. What each of
them sees is all of theirs and nothing of the other's; after her erasure nothing of hers is left but what its note
keeps (P15, P26). A new table or column is in it by itself.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, String, Table, Text, and_, inspect, select, update
from sqlalchemy import text as sql
from time_machine import Traveller

from portal import clock as our_clock
from portal.datamap import inventory, rows
from portal.domain import erasures, requests
from portal.extensions import Base, db
from portal.models import DataSubjectRequest, Member, Subject, Suppression
from portal.vocabulary import Door, Keep, Owner
from tests.browse import Browse
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import fill

# Texts that are words of ours, or bound to another value: none can be made up for the test.
OUR_WORDS = {
    "account.email": "none where there is a member",
    "account.email_key": "none where there is a member",
    "account.password_hash": "a hash that signs in",
    "ask.address": "finds its person",
    "ask.kind": "a kind of request",
    "choice.code": "a question of the catalogue",
    "choice.door": "a door",
    "choice.value": "an answer of the catalogue",
    "data_subject_request.door": "a door",
    "data_subject_request.extension": "a reason to extend",
    "data_subject_request.hold": "a reason to wait",
    "data_subject_request.kind": "a kind of request",
    "data_subject_request.reference": "a reference in a path",
    "data_subject_request.refusal": "a reason to refuse",
    "data_subject_request.scope": "a purpose",
    "data_subject_request.state": "a state",
    "disclosure.audience": "a code of AUDIENCES, or of a disclosure outside",
    "disclosure.fields": "names of columns",
    "disclosure.recalled": "what was said",
    "email_change.door": "a door",
    "email_change.new_key": "finds its person",
    "email_change.old_key": "finds its person",
    "former_value.field": "the name of a column",
    "erasure_line.action": "what was done",
    "import_conflict.field": "the name of a column",
    "link_request.address": "finds its person",
    "link_request.wanted": "which link",
    "list_step.step": "what was done",
    "member.address_hash": "made from the address",
    "member.address_kind": "business or home",
    "member.email": "finds its person",
    "member.email_key": "finds its person",
    "member.country": "a country's two letters",
    "member.kind": "a kind of record",
    "message.kind": "a kind of message",
    "message.name": "a message of ours",
    "message.state": "a state",
    "message.topic": "a topic",
    "password_link.purpose": "what the link is for",
    "recognition.country": "a country's two letters",
    "request_step.by": "who it was",
    "request_step.step": "what happened",
    "request_task.holding": "a holding of the catalogue",
    "sign_in.kind": "a kind of sign-in",
    "former_address.keyed_hash": "made from the address",
    "suppression.keyed_hash": "made from the address",
    "failed_sign_in.address_hash": "made from the address",
    "suppression.reason": "a reason",
    "suspension.reason": "a reason",
    "trail.act": "what happened",
    "trail.door": "a door",
    "trail.field": "the name of a column",
}
Word = tuple[str, int]  # a column, and the number of the row


def test_every_word_of_ours_is_a_column() -> None:
    assert set(OUR_WORDS) <= {entry.name for entry in inventory.entries(Base.metadata)}


# Filling --------------------------------------------------------------------------------------------------


@pytest.fixture
def words(people: People) -> Mapping[UUID, Mapping[Word, str]]:
    """Both people's rows in every owned table; the word that stands in each free text, by person."""
    with writes():
        fill(people)
        db.session.add(Suppression(keyed_hash=people.alice.address_hash, reason="bounced", at=NOW))
        db.session.flush()
        _give_twins(people)
        found = {each.id: _put_words(each.id, letter) for each, letter in ((people.alice, "a"), (people.bob, "b"))}
    db.session.expire_all()
    return found


def _give_twins(people: People) -> None:
    """A copy of each of Alice's rows for Bob, in each table in which he has none; it leads to his own rows."""
    hers, his = rows.person(people.alice.id), rows.person(people.bob.id)
    assert people.alice.account is not None
    assert people.bob.account is not None
    twins: dict[object, object] = {people.alice.id: people.bob.id, people.alice.account.id: people.bob.account.id}
    twins[people.alice.email] = people.bob.email
    twins |= dict(zip((*hers.addresses[:1], *hers.hashes[:1]), (*his.addresses, *his.hashes), strict=True))
    for table, declared in rows.owned_tables(Base.metadata):
        for row in db.session.execute(select(table).where(rows.belongs(table, hers))).mappings().all():
            if declared.how is not Owner.THROUGH and _has_row(table, his) and row.get("code") is None:
                continue
            copy = {name: twins.get(value, value) for name, value in row.items()}
            for column in table.primary_key.columns:
                if not column.foreign_keys:
                    copy[column.name] = uuid4() if isinstance(row[column.name], UUID) else None
            for column in table.columns:
                if _alone(table, column) and isinstance(row[column.name], str) and row[column.name] not in twins:
                    copy[column.name] = f"{str(copy[column.name])[:8]}-bob"
            given = {name: value for name, value in copy.items() if value is not None}
            db.session.execute(table.insert().values(given))
            for column in table.primary_key.columns:
                if not column.foreign_keys and isinstance(given.get(column.name), UUID):
                    twins[row[column.name]] = given[column.name]


def _has_row(table: Table, who: rows.Person) -> bool:
    return db.session.execute(select(table).where(rows.belongs(table, who))).first() is not None


def _alone(table: Table, column: Column[Any]) -> bool:
    """Whether no two rows may have the same value here."""
    return bool(column.unique) or any(each.unique and list(each.columns) == [column] for each in table.indexes)


def _put_words(subject_id: UUID, letter: str) -> dict[Word, str]:
    """A word into every free text of a person's rows; `choice`, which nothing may change, gets a row with its word."""
    who, found = rows.person(subject_id), dict[Word, str]()
    for table, _ in rows.owned_tables(Base.metadata):
        keys = list(table.primary_key.columns)
        hers = db.session.execute(select(table).where(rows.belongs(table, who)).order_by(*keys)).mappings().all()
        assert hers, f"no row of {table.name} about this person: add one in tests/rows.py"
        free = [each for each in inventory.noted(table) if _is_free(each)]
        for number, row in enumerate(hers[:1] if table.name == "choice" else hers):
            made = {(each.name, number): f"zq{letter}{len(found) + place:04d}" for place, each in enumerate(free)}
            found |= made
            values = {each.column.name: made[each.name, number] for each in free}
            if table.name == "choice":
                new = {name: value for name, value in row.items() if name not in ("id", "journal_id")}
                db.session.execute(table.insert().values(new | values))
            elif values:
                db.session.execute(update(table).where(and_(*(key == row[key.name] for key in keys))).values(values))
    member = db.session.get_one(Member, subject_id, populate_existing=True)
    assert member.account is not None
    assert member.account.password_hash is not None
    return found | {
        ("member.email", 0): member.email,
        ("member.email_key", 0): member.email_key,
        ("account.password_hash", 0): member.account.password_hash,
    }


def _is_free(entry: inventory.Entry) -> bool:
    words = isinstance(entry.column.type, String | Text) and not entry.column.foreign_keys
    return words and entry.name not in OUR_WORDS


# What is seen ---------------------------------------------------------------------------------------------


def test_each_sees_all_of_their_own_and_nothing_of_another(
    browse: Browse, people: People, words: Mapping[UUID, Mapping[Word, str]], clock: Traveller
) -> None:
    """P26, P27: page and files show every word of hers, none of his, and no secret."""
    notes = {entry.name: entry.note for entry in inventory.entries(Base.metadata)}
    for person, other in ((people.alice, people.bob), (people.bob, people.alice)):
        browse.sign_in(person)
        seen = _all_that_is_seen(browse)
        shown = {word for (name, _), word in words[person.id].items() if not notes[name].secret}
        hidden = {word for (name, _), word in words[person.id].items() if notes[name].secret}
        hidden |= _references(people)
        for where in ("the pages", "data.json", "the tables", "your-data.html"):
            missing = {key for key, word in words[person.id].items() if word in shown and word not in seen[where]}
            assert not missing, f"{where} say nothing of {sorted(missing)}"
        for where, text in seen.items():
            assert not {word for word in hidden if word in text}, f"{where} show a secret"
            strange = {key for key, word in words[other.id].items() if word.lower() in text.lower()}
            assert not strange, f"{where} show another's {strange}"
        card = {("member.last_name", 0), ("member.organization", 0), ("member.city", 0), ("member.email", 0)}
        assert all(words[person.id][key] in seen["contact.vcf"] for key in card)


def _references(people: People) -> set[str]:
    """The random numbers in unsubscribe links, as they could be written."""
    found = [db.session.get_one(Subject, each.id).unsubscribe_reference for each in (people.alice, people.bob)]
    return {text for each in found for text in (each.hex(), base64.urlsafe_b64encode(each).decode().rstrip("="))}


def _all_that_is_seen(browse: Browse) -> dict[str, str]:
    """Everything that a member can read or download, by where it stands; folded lines are unfolded."""
    pages, to_do, done = [], ["/held"], set[str]()
    while to_do:
        path = to_do.pop()
        done.add(path)
        page = browse(path)
        pages.append(page.soup.get_text())
        links = {str(link["href"]) for link in page.soup.find_all("a", href=re.compile("^/held[/?]"))}
        to_do += sorted(each for each in links - done - set(to_do) if not each.startswith("/held/download"))
    alone = json.loads(browse("/held/download?format=json").body)["items"]
    archive = zipfile.ZipFile(io.BytesIO(browse("/held/download?format=zip").body))
    files = {name: archive.read(name).decode() for name in archive.namelist()}
    together = json.loads(files["data.json"])["items"]
    assert all(item in together for item in alone)  # the second download also tells of the first
    tables = "".join(text for name, text in files.items() if name.endswith(".csv"))
    unfolded = {name: re.sub(r"\r?\n[ \t]", "", text) for name, text in files.items() if not name.endswith(".csv")}
    return unfolded | {"the pages": "".join(pages), "the tables": tables}


# What is left ---------------------------------------------------------------------------------------------


def test_an_erasure_leaves_only_what_its_notes_keep(
    people: People,
    words: Mapping[UUID, Mapping[Word, str]],
    run: Runner,
    clock: Traveller,
    smtp: MailServer,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """P15: database, journal, logs, files and, once the farewell is delivered, the mail queue."""
    alice, hers, his = people.alice.id, words[people.alice.id], words[people.bob.id]
    references = _references(people)
    with writes():
        for request in db.session.scalars(select(DataSubjectRequest).where(DataSubjectRequest.subject_id == alice)):
            request.state, request.closed_at = "withdrawn", request.received_at
    with writes():
        asked = requests.file(
            people.alice, "erasure", details="zqdetails", operation_id="x", via=Door.PAGE, now=our_clock.now()
        )
        reference = asked.reference
    clock.shift(timedelta(hours=72))
    with writes():
        found = requests.by_reference(reference)
        assert found is not None
        erasures.approve(found, now=our_clock.now())
    run("erasures", "run")
    run("mail", "deliver")
    assert [each.rcpt_tos for each in smtp.received if b"have deleted your data" in each.data.replace(b"=\r\n", b"")]

    notes = {entry.name: entry.note for entry in inventory.entries(Base.metadata)}
    kept = {word for (name, _), word in hers.items() if isinstance(notes[name].erase, Keep)}
    dump = _dump()
    gone = {key for key, word in hers.items() if word in kept and word not in dump}
    assert not gone, f"{gone} was to be kept"
    elsewhere = {"the journal and other files": _files(tmp_path), "the logs": "".join(capfd.readouterr())}
    for where, text in ({"the database": dump} | elsewhere).items():
        left = {key for key, word in hers.items() if word.lower() in text.lower() and word not in kept}
        assert not left, f"{where}: {sorted(left)} is left"
        assert "zqdetails" not in text, where
    for where, text in elsewhere.items():
        assert not [word for word in (*kept, *references) if word in text], where
    lost = {key for key, word in his.items() if word not in dump and key[0] not in _CLEARED_ON_DELIVERY}
    assert not lost, f"{lost} was another's"


_CLEARED_ON_DELIVERY = {
    "message.failure",
    "message.text",
    "message.html",
    "message.calendar",
    "message.unsubscribe_url",
}


def _dump() -> str:
    """Every value of every table, read by the database's own catalogue."""
    found = []
    for name in inspect(db.engine).get_table_names():
        for row in db.session.execute(sql(f'SELECT * FROM "{name}"')):
            found += [value.hex() if isinstance(value, bytes) else str(value) for value in row]
    return "\n".join(found)


def _files(folder: Path) -> str:
    """Every file under a folder, its name too, but the database itself."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("portal.db")]
    return "\n".join(f"{path}\n{path.read_bytes().decode(errors='replace')}" for path in files)
