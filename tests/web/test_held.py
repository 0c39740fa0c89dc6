"""`/held`: what we hold about you, on one page and on the pages of its long lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import time_machine
from sqlalchemy import event, select

from portal.datamap import held
from portal.extensions import db
from portal.models import (
    DataSubjectRequest,
    Disclosure,
    LinkRequest,
    Message,
    RequestStep,
    Subject,
    Trail,
)
from portal.purposes import HOLDINGS, NEVER_HELD, PURPOSES, RECIPIENTS
from portal.vocabulary import Kind
from portal.web.held import NOBODY_OUTSIDE, SLUGS
from tests.browse import Browse, Page
from tests.conftest import Runner
from tests.databases import writes
from tests.people import ALICE, BOB, NOW, People
from tests.rows import DAY, fill

LISTS = sorted({slug for slug, kind in SLUGS.items() for its in held.lists().values() if its is kind})


@pytest.fixture
def filled(people: People) -> People:
    with writes():
        fill(people)
    return people


@contextmanager
def counted() -> Iterator[list[str]]:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def answers(page: Page, group: str, label: str) -> list[str]:
    """The answers that stand for one value of a group: why, ground, source, recipients, end."""
    rows = page.soup.select(f"#{group} table tbody tr")
    (row,) = [row for row in rows if label in row.select("th")[0].get_text().split(", ")]
    return [" ".join(cell.get_text(" ").split()) for cell in row.find_all("td")]


def test_a_person_sees_everything_that_is_held_and_nothing_of_others(browse: Browse, filled: People) -> None:
    """P26, P25: every value with its answers, on the page or on the page of its list; `browse` looks for strangers'."""
    browse.sign_in(filled.alice)
    with counted() as asked:
        page = browse("/held")
    assert len(asked) <= 39, f"{len(asked)} queries with a row in each table"
    assert len(page.body) < 60_000
    told = page.text + " ".join(browse(f"/held/{slug}").text for slug in LISTS)
    shown = {name: str(value) for name, value in ALICE.items() if isinstance(value, str) and name != "country"}
    shown |= {"phone": "+46 18 496 00 01", "mobile": "+46 70 174 06 02", "kind": "Member", "address_kind": "Home"}
    shown |= {"country": "Sweden", "birth_date": "17 May 1964", "interests": "Ceramics Thermal management"}
    for name, value in shown.items():
        assert value in told, name
    for words in (
        "Symposium 2026",
        "Speaker",
        "Firefox on Linux",
        "We have your request",
        "Suppress Broadcast Emails: Yes",
        "City changed, by you, on this site",
        "Exhibitors of the symposium",
        "First name, Last name",
        "alice@new.example.org",
        "Please include the events.",
        str(filled.alice.id),
    ):
        assert words in told, words
    assert "erased on" not in told, "nobody who reads this is erased"
    assert held.NEVER_SHOWN in told
    reach = [each.get_text() for each in page.soup.select("#how-to-reach-you > dl dt")]
    assert reach[-2:] == ["Email address, in the form we compare", "Code made from your email address"]
    for secret in ("argon2", "Dear Alice", "unsubscribe/x"):
        assert secret not in told
    browse.sign_in(filled.bob)
    told = browse("/held").text + " ".join(browse(f"/held/{slug}").text for slug in LISTS)
    assert str(BOB["work_experience"]) in told
    assert "Speaker" not in told
    assert NOBODY_OUTSIDE in told


def test_no_code_stands_where_words_belong(browse: Browse, filled: People) -> None:
    """Of every word that a check of the database allows, and of the steps: none is shown as it is stored."""
    alice = filled.alice
    with writes():
        for kind, state in (("account", "dead"), ("staff", "cancelled"), ("broadcast", "claimed")):
            row = Message(message_id=f"<{kind}>", subject_id=alice.id, kind=kind, name="reset", title="Title")
            row.to_address = row.text = row.html = ""
            row.state, row.created_at, row.due_at = state, NOW, NOW
            row.lease_until = NOW if state == "claimed" else None
            db.session.add(row)
        request = db.session.scalars(select(DataSubjectRequest)).one()
        request.kind, request.scope, request.hold = "review", "careers", "claim"
        request.verified_at, request.verified_how, request.approved_at = NOW, "password", NOW
        request.steps.append(RequestStep(step="carried_out", by="portal", at=NOW))
        for wanted in ("activation", "unsubscribe"):
            db.session.add(LinkRequest(address=alice.email_key, wanted=wanted, at=NOW))
    codes = {"queued", "receipt", "account", "dead", "staff", "cancelled", "broadcast", "claimed", "careers", "claim"}
    codes |= {"password", "portal", "member", "carried_out", "deleted", "activation", "unsubscribe", "review", "reset"}
    browse.sign_in(alice)
    for slug in LISTS:
        shown = {each.get_text().strip() for each in browse(f"/held/{slug}").soup.select("dd, dd *, h3")}
        assert shown & codes == set(), slug


def test_the_answers_change_with_the_facts(
    browse: Browse, people: People, run: Runner, tmp_path: Path, clock: time_machine.Traveller
) -> None:
    """P26: source, recipients and end are read for this value; an import, an edit or a list changes the words."""
    alice = people.alice
    browse.sign_in(alice)
    _, ground, source, received, until = answers(browse("/held"), "how-to-reach-you", "Post town")
    assert (ground, source, received) == ("contract, Art. 6(1)(b)", held.BEFORE, NOBODY_OUTSIDE)
    assert until == "as long as your membership lasts (now until 31 March 2027)"

    file = tmp_path / "members.csv"
    file.write_text(f"member_id,email,city,expires_on\nM-1001,{alice.email},Lund,2028-03-31\n", encoding="utf-8")
    assert "updated 1" in run("members", "import", file).stderr
    imported = answers(browse("/held"), "how-to-reach-you", "Post town")
    assert imported[2] == "the society's membership records, 4 December 2026"
    assert imported[4] == "as long as your membership lasts (now until 31 March 2028)"

    browse("/profile/edit")
    browse.press("Save", {"Post town": "Kalmar"})
    assert answers(browse("/held"), "how-to-reach-you", "Post town")[2] == "you, on this site, 4 December 2026"

    with writes():
        for number in range(5):
            listed = Disclosure(subject_id=alice.id, recipient=f"Hotel {number}", reason="Stay", fields="city", at=NOW)
            db.session.add(listed)
    page = browse("/held")
    assert answers(page, "how-to-reach-you", "Post town")[3] == (
        "Hotel 4, 4 December 2026 Hotel 3, 4 December 2026 Hotel 2, 4 December 2026 and 2 more"
    )
    assert answers(page, "how-to-reach-you", "Mobile phone")[2:4] == [held.BEFORE, NOBODY_OUTSIDE]

    assert "is restricted" not in page.said
    with writes():
        db.session.get_one(Subject, alice.id).restricted_at = NOW
    assert "Since 4 December 2026 we only store your data" in browse("/held").said


def test_every_purpose_stands_with_ground_recipients_and_transfer(browse: Browse, people: People) -> None:
    """P17, P24, P35, P37: reason, legal ground, safeguards, the way to the United States, and certificates."""
    browse.sign_in(people.alice)
    page = browse("/held")
    for code, purpose in PURPOSES.items():
        row = page.soup.find(id=f"why-{code}")
        assert row is not None, code
        words = " ".join(row.get_text(" ").split())
        for part in (purpose.name, purpose.basis, purpose.transfer, purpose.retention, purpose.note):
            assert part in words, code
        for name in purpose.recipients:
            assert f"{RECIPIENTS[name].name}: {RECIPIENTS[name].safeguard}" in words, code
    assert "we may tell them whether you hold" in page.said
    opened = browse("/held?open").soup.select("main details")
    assert opened, "the answers to the values of a group"
    assert all(each.has_attr("open") for each in opened)
    assert not any(each.has_attr("open") for each in page.soup.select("main details"))


def test_what_is_held_elsewhere_and_what_never(browse: Browse, people: People) -> None:
    """P11, P12, P14, P37: the places outside, what binds them, how to reach them; letters; what nobody holds."""
    browse.sign_in(people.alice)
    said = browse("/held").said
    for holding in HOLDINGS.values():
        for part in (holding.name, holding.what, holding.reach, holding.ends):
            assert part in said
        bound = RECIPIENTS[holding.recipient].safeguard if holding.recipient else ""
        assert f"{holding.name}{bound[:1].upper()}{bound[1:]}" in said.replace(f"{holding.name} ", holding.name)
    assert all(each in said for each in NEVER_HELD)
    assert "If you write to us, we may keep your letter" in said
    links = {str(link["href"]) for link in browse.page.soup.main.find_all("a")}  # type: ignore[union-attr]
    assert links >= {
        "/held/download?format=zip",
        "/held/download?format=json",
        "/requests/new",
        "/requests/new/access",
        "/requests/new/correction",
        "/requests/new/erasure",
        "/profile/edit#city",
        "/profile/email",
    }


def test_a_long_list_goes_on_page_by_page(browse: Browse, filled: People) -> None:
    with writes():
        for number in range(60):
            db.session.add(
                Trail(subject_id=filled.alice.id, act="changed", field="city", door="page", at=NOW + number * DAY)
            )
    browse.sign_in(filled.alice)
    assert len(browse("/held").soup.select("#what-changed .newest:last-of-type li")) == 3
    path, seen, pages = "/held/what-changed", [], 0
    while path:
        page = browse(path)
        pages += 1
        seen += [heading.get_text() for heading in page.soup.select("#trail h3")]
        path = next((str(link.get("href")) for link in page.soup.find_all("a", rel="next")), "")
    assert (pages, len(seen)) == (3, 61)
    assert seen[0].startswith("1 February 2027: City changed")
    last = date(2026, 12, 4)
    assert seen[-1].startswith(f"{last.day} December 2026")
    for path in (
        "/held/what-changed?list=message",
        "/held/what-changed?list=trail&before=x",
        "/held/messages-we-sent?list=message&before=0001-01-01T00:00:00%2B14:00_" + "0" * 32,
        "/held/messages-we-sent?list=message&before=9999-12-31T23:00:00-14:00_" + "0" * 32,
        "/held/what-changed?before=3",
        "/held/who-you-are",
        "/held/nothing",
    ):
        browse(path, status=404)


def test_only_members_come_in(browse: Browse, people: People) -> None:
    assert browse("/held", status=303, as_=None).location == "/sign-in?next=/held"
    assert browse("/held/what-changed", status=303).location == "/sign-in?next=/held/what-changed"
    browse.sign_in(people.dana)
    browse("/held", status=403)
    browse("/held/what-changed", status=403)
    browse.sign_in(people.bob)
    assert "What we hold" in browse("/").soup.nav.get_text()  # type: ignore[union-attr]
    empty = browse("/held")
    assert "Nothing so far." in empty.said
    assert {str(each.get("id")) for each in empty.soup.select("section.held")} >= set(SLUGS)
    assert len(SLUGS) == len(Kind)
