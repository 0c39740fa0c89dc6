"""The history: all of one's own and nothing of another's, the newest first; each answer as the proof of it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from datetime import timedelta

import time_machine
from bs4 import Tag

from portal import clock as our_clock
from portal.domain import choices, history, trail
from portal.domain.history import Sort
from portal.extensions import db
from portal.models import ChoiceRow
from portal.purposes import CHOICES, SUPPRESS
from portal.vocabulary import Door
from tests.browse import Browse, Page
from tests.databases import writes
from tests.people import NOW, People
from tests.rows import fill


def lived(people: People, clock: time_machine.Traveller, *, times: int = 20) -> None:
    """A long history of Alice and a short one of Bob, several rows at the same moment."""
    with writes():
        fill(people)
    for number in range(times):
        clock.shift(timedelta(hours=1))
        now = our_clock.now()
        with writes():
            answer = "no" if number % 2 else "yes"
            choices.change(people.alice.subject, "sponsor_sharing", to=answer, via=Door.PAGE, now=now)
            trail.record(people.alice.id, "changed", field="city", door=Door.PAGE, now=now)
            trail.record(people.alice.id, "looked at", door=Door.STAFF, now=now)
            trail.record(people.bob.id, "changed", field="job_title", door=Door.PAGE, now=now)
    with writes():
        choices.change(people.bob.subject, SUPPRESS, to="yes", via=Door.REPLY, now=our_clock.now())


def entries(page: Page) -> list[str]:
    return [" ".join(each.get_text(" ", strip=True).split()) for each in page.soup.select(".timeline > li")]


def test_everything_of_mine_once_newest_first(browse: Browse, people: People, clock: time_machine.Traveller) -> None:
    """P26."""
    lived(people, clock)
    browse.sign_in(people.alice)
    for kind in ("", *Sort):
        page, shown, keys = browse(f"/history?kind={kind}" if kind else "/history"), list[str](), 0
        while True:
            shown += entries(page)
            older = page.soup.find("a", rel="next")
            if older is None:
                break
            assert isinstance(older, Tag)
            page, keys = browse(str(older["href"])), keys + 1
        whole = history.page(people.alice.id, limit=10_000, today=NOW.date(), only=Sort(kind) if kind else None).entries
        assert len(shown) == len(whole)
        assert keys == (len(whole) - 1) // 25
        times = [entry.at for entry in whole]
        assert times == sorted(times, reverse=True)
        assert not [each for each in shown if "Job title" in each or "answering an email" in each]
        db.session.rollback()
    together = " ".join(entries(browse("/history?kind=lists")))
    for words in ("your name", "went to Exhibitors of the symposium", "Symposium 2026", "list L-204"):
        assert words in together
    assert "Your record was looked at By the society's staff" in entries(browse("/history?kind=looks"))[0]
    for path in ("?kind=x", "?before=x", "?before=2026-12-04_choices_1", "?before=9999-12-31T23:00:00-23:00_lists_1"):
        browse(f"/history{path}", status=404)
    browse("/history?before=0001-01-01T00:00:00%2B00:00_choices_0")
    browse("/history", as_=None, status=303)
    browse.sign_in(people.dana)
    browse("/history", status=403)


def test_each_answer_is_a_proof_and_in_the_download(
    browse: Browse, people: People, clock: time_machine.Traveller
) -> None:
    lived(people, clock, times=2)
    with writes():
        choices.change(people.alice.subject, SUPPRESS, to="no", via=Door.PAGE, now=our_clock.now())
        choices.change(people.alice.subject, SUPPRESS, to="yes", via=Door.MAILTO, now=our_clock.now())
    rows = list(db.session.query(ChoiceRow).filter_by(subject_id=people.alice.id).order_by(ChoiceRow.id.desc()))
    newest, before, theirs = rows[0].id, rows[1].id, db.session.query(ChoiceRow).filter_by(subject_id=people.bob.id)
    of_bob = theirs.one().id
    db.session.rollback()
    browse.sign_in(people.alice)
    meaning = CHOICES[SUPPRESS].option("yes").meaning
    page = browse(f"/history/{newest}")
    for words in (meaning, "You, by an unsubscribe email", "Version 1", "Counts now", "4 December 2026, 17:00 UTC"):
        assert words in page.said
    assert "Wording shown" not in page.said  # a mail shows none
    assert page.soup.find("a", href="/notice/1")
    older = browse(f"/history/{before}")
    assert "Wording shown" in older.said
    assert "No longer counts" in older.said
    assert older.soup.find("a", href=f"/history/{newest}")
    for number in (of_bob, 0, 2**31 - 1):
        browse(f"/history/{number}", status=404)
    browse(f"/history/{2**31}", status=404)

    archive = zipfile.ZipFile(io.BytesIO(browse("/held/download?format=zip").body))
    items = json.loads(archive.read("data.json"))["items"]
    told = {item["name"] for item in items if item["name"].startswith("choice.") and item["value"]}
    assert told >= {"choice.wording", "choice.notice_version", "choice.door", "choice.at", "choice.value"}
    (table,) = [name for name in archive.namelist() if name.endswith("choice.csv")]
    lines = list(csv.reader(io.StringIO(archive.read(table).decode("utf-8-sig"))))
    assert any(meaning in cell for line in lines for cell in line)
