"""Lists, recalls, disclosures outside and the way back, as desk and members see them (P13, P20, P22)."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from portal.domain import choices, disclosures, members, recalls
from portal.extensions import db
from portal.models import Account, Conflict, Disclosure, Event, ListRelease, Member, Registration, SignIn, Trail
from portal.vocabulary import Door
from tests.browse import Browse, Page
from tests.databases import writes
from tests.domain.test_changes import bring
from tests.domain.test_lists import answer, make_event
from tests.people import DANA_PASSWORD, NOW, People
from tests.web.test_desk import looks_at

DAY = timedelta(days=1)
ERIN = "erin@desk.example.org"


@pytest.fixture
def fair(people: People) -> Event:
    """An event at which Alice agrees to everything, and Bob is registered without a word."""
    with writes():
        made = make_event("FAIR")
        for each in (people.alice, people.bob):
            db.session.add(Registration(event_id=made.id, member_id=each.id))
        answer(people.alice.id, "attendee_list", "public", made)
        answer(people.alice.id, "sponsor_sharing", "yes", made)
    return made


def lines(page: Page) -> list[dict[str, str]]:
    assert page.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert page.headers["Content-Disposition"].startswith("attachment; filename=")
    return list(csv.DictReader(io.StringIO(page.body.decode("utf-8-sig"))))


def count(model: type[Any]) -> int:
    db.session.rollback()
    return db.session.execute(select(func.count()).select_from(model)).scalar_one()


def long_signed_in() -> None:
    with writes():
        db.session.execute(update(SignIn).values(password_at=NOW - DAY))


def test_a_list_from_the_look_to_the_recall(browse: Browse, people: People, fair: Event, clock: Any) -> None:
    """P19, P20, Art. 19: looked at, released with the password, read by the member, taken back, told."""
    browse.sign_in(people.dana)
    browse("/desk/lists")
    wrong = browse.press("Look first", {"Event": "", "For whom": "Sponsors", "Who receives it": ""}, status=422)
    assert wrong.beside("event") == "Choose the event."
    browse.press("Look first", {"Event": "Meeting FAIR", "For whom": "Employers", "Who receives it": "X"}, status=422)
    nobody = browse.press("Look first", {"Event": "", "For whom": "Employers", "Who receives it": " "}, status=422)
    assert nobody.beside("recipient").startswith("Name the organisation")
    asked = {"Event": "Meeting FAIR", "For whom": "Sponsors", "Who receives it": "Acme & Sons"}
    seen = browse.press("Look first", asked, status=200)
    assert "People who agree now 1" in seen.said
    assert people.alice.last_name in seen.said
    assert people.bob.last_name not in seen.said
    assert (looks_at(people.alice), looks_at(people.bob), count(Disclosure)) == (["looked at"], [], 0)

    long_signed_in()
    refused = browse.press("Release", status=422)
    assert "password" in refused.said
    assert people.alice.last_name not in refused.said, "a look that is not committed shows nobody"
    assert (count(Disclosure), count(ListRelease)) == (0, 0)
    (row,) = lines(browse.press("Release", {"Password": DANA_PASSWORD}, status=200))
    assert (row["email"], row["list"]) == (people.alice.email, "L-1-1")
    assert browse.is_signed_in()
    assert "Acme & Sons" in browse("/desk/lists").said
    for path in ("/desk/lists/1", "/desk/lists/L-1"):
        assert "Released" in browse(path).said
    for number in ("L-2", "x", "L-99999999999", "-1"):
        browse(f"/desk/lists/{number}", status=404)

    told = "your name, company, country, job title, email address and type of business went to Acme & Sons (sponsors of"
    browse.sign_in(people.alice)
    assert told in browse("/held").said
    assert "list L-1" in browse("/held/who-received-your-details").said
    browse.sign_in(people.bob)
    assert "Acme" not in browse("/held").said

    with writes():
        answer(people.alice.id, "sponsor_sharing", "no", fair)
    assert "Recipients to tell" in browse("/desk/lists", as_=people.dana).said
    page = browse("/desk/recalls")
    assert "delete these lines of it, wherever you have them, and use them no more: L-1-1." in page.said
    assert people.alice.last_name not in page.said
    browse.post("/desk/recalls/L-1/done")
    assert "Nobody has to be told" in browse("/desk/recalls").said
    browse.turn_to(people.alice)
    assert "we asked them to delete it." in browse("/held").said


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_PERSON": "on"}])
def test_going_back_to_the_form_makes_another_list(browse: Browse, people: People, fair: Event) -> None:
    """P21: not the one before once more, which told staff that a list was filed when none was."""
    browse.sign_in(people.dana)
    form = browse("/desk/lists")
    browse.press("Look first", {"Event": "FAIR", "For whom": "attendees", "Who receives it": "Badges"}, status=200)
    browse.press("Release", status=200)
    browse.open[browse.who] = form
    browse.press("Look first", {"Event": "FAIR", "For whom": "sponsors", "Who receives it": "Acme"}, status=200)
    browse.press("File it")
    assert "L-2 is filed" in browse.follow().said
    db.session.rollback()
    assert [*db.session.scalars(select(ListRelease.audience).order_by(ListRelease.id))] == ["attendees", "sponsors"]


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_PERSON": "on"}])
def test_a_colleague_approves(browse: Browse, people: People, fair: Event) -> None:
    """The one who filed cannot; a double press files once; nobody on it is named before it leaves."""
    browse.sign_in(people.dana)
    with writes():
        make_event("TALKS", exhibition=False)
    browse("/desk/lists")
    asked = {"Event": "TALKS", "For whom": "exhibitors", "Who receives it": "Acme"}
    assert "no exhibition" in browse.press("Look first", asked, status=422).beside("event")
    browse.press("Look first", asked | {"Event": "FAIR"}, status=200)
    looked = browse.page
    browse.press("File it")
    browse.open[browse.who] = looked
    browse.press("File it")
    page = browse.follow()
    assert "waits for a second person" in page.said
    assert not page.has_button("Approve")
    assert not page.has_button("Release")
    erin = Account(email=ERIN, email_key=ERIN, password_hash=people.dana.password_hash, staff=True)
    with writes():
        db.session.add(erin)
    browse.sign_in(erin)
    browse("/desk/lists/L-1")
    browse.press("Approve")
    browse.follow()
    (row,) = lines(browse.press("Release", status=200))
    assert row["list"] == "L-1-1"
    page = browse("/desk/lists/L-1", as_=people.dana)
    assert people.dana.address in page.said
    assert ERIN in page.said
    assert count(ListRelease) == 1


def test_the_public_roster(browse: Browse, people: People, fair: Event) -> None:
    """P20: whoever chose it, as it stands now; nothing before a release; not for search engines."""
    for path in ("/events/FAIR/roster", "/events/NONE/roster"):
        browse(path, status=404, as_=None)
    browse.sign_in(people.dana)
    browse("/desk/lists")
    browse.press("Look first", {"Event": "FAIR", "For whom": "public", "Who receives it": "The web"}, status=200)
    browse.press("Release", status=200)
    page = browse("/events/FAIR/roster", as_=None)
    assert "Alice Okonkwo-Lindqvist Fyris Ceramics Sweden" in page.said
    assert page.headers["X-Robots-Tag"] == "noindex"
    assert people.alice.job_title not in page.said
    with writes():
        choices.change(people.alice.subject, "attendee_list", to="attendees", via=Door.PAGE, now=NOW)
    assert "Okonkwo" in browse("/events/FAIR/roster").said, "for this event she chose public"
    with writes():
        answer(people.alice.id, "attendee_list", "default", fair)
    assert "Okonkwo" not in browse("/events/FAIR/roster").said
    assert len(recalls.waiting(now=NOW)) == 1
    browse.sign_in(people.alice)
    assert browse("/events/FAIR").soup.find("a", href="/events/FAIR/roster") is not None


def test_what_left_outside(browse: Browse, people: People, clock: Any) -> None:
    """P22: told at once, or not before a day; errors stand beside their fields; the look is theirs to see."""
    browse.sign_in(people.dana)
    page = browse("/desk/disclosures")
    page = browse.press("Write it down", {"left_on": "2027-01-01", "told": "yes"}, status=422)
    for name, words in {
        "who": "whose details", "recipient": "who received", "why": "for what", "fields": "at least one",
        "left_on": "in the future", "untold_until": "Enter the day", "untold_why": "law or the order",
    }.items():  # fmt: skip
        assert words in page.beside(name), name
    typed: dict[str, Any] = {
        "who": people.alice.email, "recipient": "District court", "why": "Case 4711", "fields": ["email", "last_name"],
        "left_on": "2026-12-01", "to_whom": "authority", "told": "yes", "untold_until": "2027-01-15",
        "untold_why": "Order of the court",
    }  # fmt: skip
    assert "Nobody has" in browse.press("Write it down", typed | {"who": "x@example.org"}, status=422).beside("who")
    browse.press("Write it down", typed)
    assert "Name D-1 in your letter" in browse.follow().said
    browse("/desk/disclosures")
    browse.press("Write it down", typed | {"recipient": "Hotel Aurora", "to_whom": "partner", "told": "no"})
    assert looks_at(people.alice) == ["worked on", "worked on"]

    def seen() -> str:
        browse.turn_to(people.alice)
        return "".join(browse(path).body.decode() for path in ("/held", "/held/who-received-your-details")) + (
            browse("/held/download?format=json").body.decode()
        )

    browse.sign_in(people.alice)
    assert "Hotel Aurora" in seen()
    assert "District court" not in seen()
    browse("/desk/disclosures", as_=people.dana)
    browse.post("/desk/disclosures/1/later", {"untold_until": "2020-01-01", "untold_why": ""}, status=422)
    assert "within the next year" in browse.page.said
    browse.post("/desk/disclosures/1/later", {"untold_until": "2027-03-01", "untold_why": "Order, prolonged"})
    browse("/desk/disclosures")
    browse.post("/desk/disclosures/1/tell")
    assert "District court" in seen()


def test_a_colleague_does_not_learn_of_what_may_not_be_told_to_them(browse: Browse, people: People, clock: Any) -> None:
    """P22: to whom it is about it is not there, as any number that was never given; the others do what is to do."""
    with writes():
        account = db.session.merge(people.alice).account
        assert account is not None
        account.staff = True
    untold = disclosures.Untold(NOW.date() + timedelta(days=30), "Order of the court")
    with writes():
        for member, recipient in ((people.alice, "District court"), (people.bob, "Another court")):
            disclosures.write_down(
                member, kind="authority", recipient=recipient, fields=["email"], reason="A case", at=NOW, untold=untold,
                now=NOW,
            )  # fmt: skip
    browse.sign_in(people.alice)
    page = browse("/desk/disclosures")
    assert "Another court" in page.said
    assert "District court" not in page.said
    sent = {
        "csrf_token": page.controls(page.forms[-1])["csrf_token"],
        "untold_until": "2027-03-01",
        "untold_why": "Order",
    }
    answers = {
        browse(f"/desk/disclosures/{number}/{what}", method="POST", data=sent, status=404).said
        for number in (1, 77)
        for what in ("tell", "later")
    }
    assert len(answers) == 1
    browse.sign_in(people.dana)
    assert "District court" in browse("/desk/disclosures").said
    browse.post("/desk/disclosures/1/tell")
    browse.turn_to(people.alice)
    assert "District court" in browse("/desk/disclosures").said
    browse("/desk/disclosures/1/tell", method="POST", data=sent, status=403)


def test_the_way_back(browse: Browse, people: People) -> None:
    """Saved here, downloaded, carried over; a contradiction kept or taken; each look is the member's to see."""
    alice = people.alice.id
    with writes():
        member = db.session.get_one(Member, alice)
        members.save_profile(member, {"city": "Lund", "region": ""}, version=1, via=Door.PAGE, now=NOW)
        choices.change(member.subject, "sponsor_sharing", to="yes", via=Door.PAGE, now=NOW)
    bring(city="Uppsala")
    browse.sign_in(people.alice)
    assert "Saved here 4 December 2026, 15:00 UTC. Not yet carried over" in browse("/profile").said
    assert "Sponsor sharing changed, by you, on this site; not yet carried over" in browse("/held").said
    browse.sign_in(people.dana)
    page = browse("/desk/changes")
    assert "M-1001" in page.said
    assert people.alice.last_name not in page.said
    (row,) = lines(browse.press("Download the file", status=200))
    assert row == {"member_id": "M-1001", "email": people.alice.email, "city": "Lund", "sponsor_sharing": "yes"}
    browse("/desk/changes")
    conflict = db.session.scalars(select(Conflict.id)).one()
    page = browse(f"/desk/conflicts/{conflict}")
    assert "Lund" in page.said
    assert "Uppsala" in page.said
    browse.press("Keep what is stored here")
    browse.follow()
    browse.post("/desk/changes/carried")
    page = browse.follow()
    assert "2 changes are carried over" in page.said
    assert "Region" in page.said
    browse(str(page.soup.select_one("tbody th a")["href"]))  # type: ignore[index]
    browse.press("Carried over")
    assert "Everything is carried over" in browse.follow().said
    browse(f"/desk/conflicts/{conflict}", status=404)
    assert looks_at(people.alice) == ["exported", "looked at", "worked on", "looked at", "worked on"]
    assert "Carried over to our membership records" in browse("/profile", as_=people.alice).said

    with writes():
        member = db.session.get_one(Member, alice)
        members.save_profile(member, {"city": "Kiruna"}, version=member.version, via=Door.PAGE, now=NOW)
    bring(city="Uppsala")
    conflict = db.session.scalars(select(Conflict.id)).one()
    browse(f"/desk/conflicts/{conflict}", as_=people.dana)
    opened = browse.page
    with writes():
        member = db.session.get_one(Member, alice)
        members.save_profile(member, {"city": "Luleå"}, version=member.version, via=Door.PAGE, now=NOW)
    browse.open[browse.who] = opened
    page = browse.press("Take what the membership system says", status=422)
    assert "Luleå" in page.said
    browse.press("Take what the membership system says")
    assert db.session.get_one(Member, alice).city == "Uppsala"
    assert (count(Conflict), "Kiruna" in browse("/desk/changes").said) == (0, False)
    db.session.rollback()
    waiting = select(Trail.id).where(Trail.subject_id == alice, Trail.carried_at.is_(None))
    assert db.session.scalars(waiting).all() == []
