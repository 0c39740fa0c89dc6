"""What the member, the desk and the mailbox see of an erasure (P15; threat T2; rights 4.5, 5)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.datamap.erasure import Found, Mention, Plan
from portal.domain import erasures, members, requests, reviews
from portal.extensions import db
from portal.models import DataSubjectRequest, EmailChange, Member, Trail
from portal.models.request import State
from portal.purposes import HOLDINGS
from portal.tokens import KEEP_LINK, STATUS_LINK, sign_reference, sign_unsubscribe
from portal.vocabulary import Door
from portal.web.filters import day, moment
from tests.browse import Browse, Page
from tests.databases import writes
from tests.letters import letter, letters, link_in
from tests.people import ALICE, ALICE_PASSWORD, BOB, BOB_PASSWORD, DANA_PASSWORD, NOW, People
from tests.rows import fill

ASKED = [code for code, holding in HOLDINGS.items() if holding.asked]
PRESSES = ("approve", "hold", "go-on", "done/hotels")


@pytest.fixture
def filed(people: People, clock: Any) -> DataSubjectRequest:
    """Alice has asked for deletion; her record and what refers to it are full."""
    with writes():
        fill(people)
        return requests.file(
            people.alice, "erasure", details="Private words", operation_id="one", via=Door.PAGE, now=NOW
        )


def approved(request: DataSubjectRequest) -> None:
    with writes():
        erasures.approve(db.session.merge(request), now=NOW)


def carried_out(request: DataSubjectRequest, clock: Any) -> None:
    """The other request of `fill` is answered, 72 hours have passed, the desk has approved."""
    with writes():
        other = db.session.scalars(select(DataSubjectRequest).where(DataSubjectRequest.kind == "access")).one()
        other.state, other.closed_at = State.WITHDRAWN, NOW
        erasures.approve(db.session.merge(request), now=NOW)
    clock.shift(erasures.COOLING_OFF)
    with writes():
        erasures.carry_out(request.id, now=NOW + erasures.COOLING_OFF)


def row(request: DataSubjectRequest) -> DataSubjectRequest:
    db.session.rollback()
    return db.session.get_one(DataSubjectRequest, request.id)


def says_the_plan(page: Page, plan: Plan) -> None:
    """What goes, what stays without the name, what is kept with reason and end, who is asked, the backups."""
    assert {line.action for line in plan.lines} == {"deleted", "detached", "kept"}
    for line in plan.lines:
        assert line.what in page.said
        if line.action == "kept":
            assert f"Until {day(line.until_on)}" in page.said
            assert line.reason[1:] in page.said
    assert list(plan.holdings) == ASKED
    for code in ASKED:
        assert HOLDINGS[code].name in page.said
    assert "35 days after the deletion" in page.said


def test_the_plan_is_shown_before_and_while_it_is_open(browse: Browse, people: People, clock: Any) -> None:
    """P15: the same words before it is sent, on the page of the request, and at the desk."""
    with writes():
        fill(people)
    plan = erasures.plan(people.alice.id, now=NOW)
    browse.sign_in(people.alice)
    page = browse("/requests/new/erasure")
    says_the_plan(page, plan)
    for words in ("72 hours", "the first link in the receipt", "you need not sign in"):
        assert words in page.said
    path = browse.press("Send").location
    page = browse.follow()
    says_the_plan(page, erasures.plan(people.alice.id, now=NOW))
    assert "Nothing is deleted before 7 December 2026, 15:00 UTC" in page.said
    assert page.has_button("Withdraw this request")
    assert "Requests (in part)" in letters("erasure_received")[-1].text
    browse.sign_in(people.dana)
    says_the_plan(browse(f"/desk{path}"), plan)
    assert "not over" in browse.page.said
    browse.sign_in(people.bob)
    assert "What is deleted" not in browse("/requests/new/access").said


def test_where_it_stands(browse: Browse, people: People, filed: DataSubjectRequest, clock: Any) -> None:
    """One press takes it back until it is carried out; each thing that still stops it is said in words."""
    path = f"/requests/{filed.reference}"
    browse.sign_in(people.alice)
    browse(path)
    approved(filed)
    assert "Nothing is deleted before" in browse(path).said
    clock.shift(erasures.COOLING_OFF)
    browse.sign_in(people.alice)
    other = db.session.scalars(select(DataSubjectRequest.reference).where(DataSubjectRequest.kind == "access")).one()
    assert f"Your request {other} needs this data first." in browse(path).said
    browse(f"/requests/{other}")
    browse.press("Withdraw this request")
    assert "within the next hours" in browse(path).said
    with writes():
        erasures.hold(row(filed), "claim", now=NOW)
    assert erasures.HOLDS["claim"] in browse(path).said
    browse.press("Withdraw this request")
    assert "Withdrawn by you" in browse.follow().said
    assert row(filed).state == State.WITHDRAWN


def test_do_not_wait(browse: Browse, people: People, filed: DataSubjectRequest, clock: Any) -> None:
    """The 72 hours are given up with the password, by the member alone."""
    path = f"/requests/{filed.reference}/do-not-wait"
    browse.sign_in(people.bob)
    browse(path, status=404)
    browse("/choices")
    browse(path, status=404, method="POST", data=form_token(browse))
    browse.sign_in(people.alice)
    clock.shift(timedelta(minutes=6))
    page = browse(path)
    assert "cannot be undone" in page.said
    browse.press("Delete without waiting", status=422)
    for wrong in ("", "wrong-wrong-wrong", BOB_PASSWORD):
        browse.press("Delete without waiting", {"Password": wrong}, status=422)
    assert row(filed).wait_until == NOW + erasures.COOLING_OFF
    stale = browse(path)
    browse.press("Delete without waiting", {"Password": ALICE_PASSWORD})
    page = browse.follow()
    assert "waiting time is over" in page.said
    assert "Our staff have not looked at it yet." in page.said
    assert page.has_button("Withdraw this request")
    now = NOW + timedelta(minutes=6)
    assert row(filed).wait_until == now
    browse(path, status=303)
    browse.open[browse.who] = stale
    clock.shift(timedelta(minutes=1))
    browse.press("Delete without waiting", {"Password": ALICE_PASSWORD})
    assert row(filed).wait_until == now
    assert [step.step for step in row(filed).steps].count("do_not_wait") == 1
    access = browse("/requests/new/access", status=303).location
    browse(f"{access}/do-not-wait", status=404)


def test_do_not_wait_once_it_is_approved(browse: Browse, people: People, filed: DataSubjectRequest) -> None:
    """Nobody is told of an approval that is still to come, where pressing leads to the deletion itself."""
    approved(filed)
    browse.sign_in(people.alice)
    assert "approved your request already" in browse(f"/requests/{filed.reference}/do-not-wait").said
    browse.press("Delete without waiting")
    said = browse.follow().said
    assert "The waiting time is over. Your request IM-" in said, "the other request that stops it"
    assert "As soon as our staff" not in said


# The mailbox ----------------------------------------------------------------------------------------------


def moved(people: People, clock: Any, *, days: float, cancelled: bool = False) -> None:
    """Alice's address was another one until so many days ago."""
    at = NOW - timedelta(days=days)
    with writes():
        change = EmailChange(
            member_id=people.alice.id,
            old_email=f"alice.{days}@mail.example.org",
            new_email=people.alice.email,
            door=Door.PAGE,
            confirm_hash=f"confirm {days}",
            cancel_hash=f"cancel {days}",
            created_at=at,
            confirm_until=at,
            confirmed_at=at,
            cancel_until=at + members.CANCEL_WITHIN,
            cancelled_at=at if cancelled else None,
        )
        db.session.add(change)


def test_every_known_mailbox_can_stop_it(browse: Browse, people: People, clock: Any) -> None:
    """Threat T2: a stolen session asked, after it changed the address; who has an old mailbox needs no sign-in."""
    moved(people, clock, days=6.5)
    moved(people, clock, days=3)
    moved(people, clock, days=8)
    moved(people, clock, days=2, cancelled=True)
    browse.sign_in(people.alice)
    browse("/requests/new/erasure")
    path = browse.press("Send").location
    told = [each.to_address for each in letters("erasure_received")]
    assert sorted(told) == ["Alice.Okonkwo@mail.example.org", "alice.3@mail.example.org", "alice.6.5@mail.example.org"]
    link = link_in(letter("erasure_received", to="alice.3@mail.example.org"))
    assert link.startswith(f"/requests/keep/{path.removeprefix('/requests/')}.")

    clock.shift(timedelta(hours=71, minutes=59))
    for method in ("HEAD", "GET", "GET"):
        page = browse(link, as_=None, method=method)
    assert "noindex" in str(page.soup)
    assert made().is_open
    browse.press("Confirm", status=200)
    assert "Nothing is deleted." in browse.page.said
    assert "Choose a new password" in browse.page.said
    assert made().state == State.WITHDRAWN
    assert len(letters("request_withdrawn")) == 1
    assert len(letters("staff_request_withdrawn")) == 1
    assert "It deletes nothing." in browse(link, status=410).said
    assert letter("request_withdrawn").to_address == people.alice.email


def made() -> DataSubjectRequest:
    db.session.rollback()
    return db.session.scalars(select(DataSubjectRequest)).one()


def test_the_link_works_until_it_is_done_and_not_after(
    browse: Browse, people: People, filed: DataSubjectRequest, clock: Any
) -> None:
    """Also when staff have approved, and for whoever is signed in as somebody else; then 410 with words."""
    link = link_in(letter("erasure_received"))
    approved(filed)
    assert link_in(letter("erasure_approved")) == link
    browse.sign_in(people.bob)
    stale = browse(link)
    carried_out(filed, clock)
    assert "cannot be brought back" in browse(link, status=410, as_=None).said
    browse.turn_to(people.bob)
    browse.open[browse.who] = stale
    assert "cannot be brought back" in browse.press("Confirm", status=410).said
    assert row(filed).carried_out_at is not None
    assert row(filed).is_open


def test_a_link_does_nothing_else_than_its_own(browse: Browse, people: People, filed: DataSubjectRequest) -> None:
    keep, status = (sign_reference(filed.reference, purpose=each) for each in (KEEP_LINK, STATUS_LINK))
    browse(f"/requests/keep/{keep}", as_=None)
    browse(f"/ask/status/{status}")
    others = [status, filed.reference, f"{filed.reference}.x", sign_unsubscribe(b"0123456789abcdef"), keep[:-2] + "AA"]
    for other in others:
        browse(f"/requests/keep/{other}", status=404)
    browse("/sign-in")
    browse(f"/requests/keep/{status}", status=404, method="POST", data=form_token(browse))
    for other in (keep, filed.reference, sign_reference("IM-2222-2222", purpose=STATUS_LINK)):
        browse(f"/ask/status/{other}", status=404)
    other = db.session.scalars(select(DataSubjectRequest.reference).where(DataSubjectRequest.kind == "access")).one()
    browse(f"/requests/keep/{sign_reference(other, purpose=KEEP_LINK)}", status=410)
    assert row(filed).is_open


def test_the_status_page(browse: Browse, people: People, filed: DataSubjectRequest, clock: Any) -> None:
    """P15, P32: state, dates, steps and in the end the certificate; never data, a cookie, or a copy anywhere."""
    link = f"/ask/status/{sign_reference(filed.reference, purpose=STATUS_LINK)}"
    page = browse(link, as_=None)
    for words in (filed.reference, "7 December 2026, 15:00 UTC", "3 January 2027", "72 hours", "Request received"):
        assert words in page.said
    assert "What was deleted" not in page.said
    carried_out(filed, clock)
    assert link_in(letter("farewell")) == link
    page = browse(link)
    certificate = row(filed)
    assert len(certificate.lines) > 5
    for line in certificate.lines:
        assert line.what in page.said
        if line.action == "kept":
            assert f"Until {day(line.until_on)}" in page.said
    for words in ("Asked, no answer yet", "not yet everywhere", "overwritten by 11 January 2027"):
        assert words in page.said
    assert page.headers.getlist("Set-Cookie") == []
    assert page.headers["Cache-Control"] == "no-store"
    assert page.soup.find("meta", attrs={"name": "robots", "content": "noindex"})
    personal = [str(value) for value in ALICE.values() if len(str(value)) > 6]
    told = page.body.decode() + str(page.headers)
    assert [value for value in (*personal, "Private words", "Alice") if value in told] == []


# The desk -------------------------------------------------------------------------------------------------


def test_the_desk_approves(browse: Browse, people: People, filed: DataSubjectRequest, clock: Any) -> None:
    """With the password; it is told what stops it still; a second press says what stands."""
    path = f"/desk/requests/{filed.reference}"
    browse.sign_in(people.dana)
    clock.shift(timedelta(minutes=6))
    page = browse(path)
    assert "carries it out after 7 December 2026, 15:00 UTC" in page.said
    for wrong in ("", ALICE_PASSWORD):
        browse.press("Approve erasure", {"Password": wrong}, status=422)
        assert "Member number" in browse.page.said
    assert row(filed).approved_at is None
    stale = browse.page
    browse.press("Approve erasure", {"Password": DANA_PASSWORD})
    page = browse.follow()
    assert "Approved" in page.said
    assert not page.has_button("Approve erasure")
    assert row(filed).approved_at == NOW + timedelta(minutes=6)
    browse.open[browse.who] = stale
    browse.press("Approve erasure", {"Password": DANA_PASSWORD})
    browse.follow()
    assert [step.step for step in row(filed).steps] == ["received", "staff_told", "approved"]
    assert len(letters("erasure_approved")) == 1
    with writes():
        requests.withdraw(people.alice, row(filed), now=NOW)
    browse.open[browse.who] = stale
    assert "closed" in browse.press("Approve erasure", {"Password": DANA_PASSWORD}, status=422).said
    page = browse(path)
    assert not page.has_button("Hold")
    assert not page.has_button("Approve erasure")


def test_the_desk_holds_and_goes_on(browse: Browse, people: People, filed: DataSubjectRequest) -> None:
    path = f"/desk/requests/{filed.reference}"
    browse.sign_in(people.dana)
    stale = browse(path)
    browse.press("Hold", {"reason": "nonsense"}, status=422)
    browse.open[browse.who] = stale
    browse.press("Hold", {"reason": "claim"})
    page = browse.follow()
    assert erasures.HOLDS["claim"] in page.said
    assert row(filed).hold == "claim"
    assert erasures.HOLDS["claim"] in letter("erasure_held").text
    browse.open[browse.who] = stale
    browse.press("Hold", {"reason": "claim"})
    browse.follow()
    assert len(letters("erasure_held")) == 1
    held = browse.page
    browse.press("Go on")
    assert erasures.HOLDS["claim"] not in browse.follow().said.partition("Hold")[0]
    browse.open[browse.who] = held
    browse.press("Go on")
    assert browse.follow().has_button("Hold")
    assert [step.step for step in row(filed).steps] == ["received", "staff_told", "held", "resumed"]


def test_the_desk_ticks_those_outside(browse: Browse, people: People, filed: DataSubjectRequest, clock: Any) -> None:
    """The record is gone and the page still works; done only when everybody has answered. Nobody's trail grows."""
    path = f"/desk/requests/{filed.reference}"
    browse.sign_in(people.dana)
    browse("/security")
    browse(f"{path}/done/hotels", status=404, method="POST", data=form_token(browse))
    carried_out(filed, clock)
    assert link_in(letter("staff_erasure_done")) == path
    browse.sign_in(people.dana)
    before = noted()
    page = browse(path)
    assert "The record is gone" in page.said
    assert "Exhibitors of the symposium , last on 4 December 2026" in page.said, "whom to tell (GDPR Art. 19)"
    assert not re.search("Alice|Okonkwo|Private words", page.said)
    with writes():
        erasures.checked(filed.id, Found([], (Mention(people.bob.id, "member.education"),)), now=NOW)
    page = browse(path)
    assert f"Record {BOB['member_number']}" in page.said
    assert str(BOB["last_name"]) not in page.said
    assert link_in(letter("staff_erasure_needs_attention")) == path
    first = page
    for code in (*ASKED, f"words.{people.bob.id.hex}"):
        assert row(filed).is_open
        browse.post(f"{path}/done/{code}")
        page = browse.follow()
    assert "done, everywhere" in page.said
    assert row(filed).state == State.FULFILLED
    closed_at = row(filed).closed_at
    browse.open[browse.who] = first
    browse.post(f"{path}/done/{ASKED[0]}")
    browse.follow()
    assert row(filed).closed_at == closed_at
    browse(f"{path}/done/nobody", status=404, method="POST", data=form_token(browse))
    assert noted() == before
    assert filed.reference not in browse("/desk").said
    status = browse(f"/ask/status/{sign_reference(filed.reference, purpose=STATUS_LINK)}", as_=None)
    assert "no answer yet" not in status.said
    assert f"Closed {moment(closed_at)}" in status.said


def form_token(browse: Browse) -> dict[str, str]:
    (first, *_) = browse.page.soup.find_all("input", attrs={"name": "csrf_token"})
    return {"csrf_token": str(first["value"])}


def noted() -> list[str]:
    db.session.rollback()
    return [f"{each.act} {each.subject_id}" for each in db.session.scalars(select(Trail).order_by(Trail.id))]


def test_every_press_is_the_desks_own_and_leaves_a_row(
    browse: Browse, people: People, filed: DataSubjectRequest
) -> None:
    """Nobody works on their own record; a member has no desk; what staff do stands in the person's trail."""
    path = f"/desk/requests/{filed.reference}"
    browse.sign_in(people.alice)
    browse("/choices")
    for press in PRESSES:
        browse(f"{path}/{press}", status=403, method="POST", data=form_token(browse))
    with writes():
        assert people.alice.account is not None
        db.session.merge(people.alice.account).staff = True
    for press in (*PRESSES, "close"):
        page = browse(f"{path}/{press}", status=403, method="POST", data=form_token(browse))
        browse("/choices")
        assert "colleague" in page.said
    assert row(filed).approved_at is None
    other = db.session.scalars(select(DataSubjectRequest.reference).where(DataSubjectRequest.kind == "access")).one()
    browse.sign_in(people.dana)
    browse("/desk")
    for press in (*PRESSES[:3], "done/nobody", "close"):
        browse(f"/desk/requests/{other}/{press}", status=404, method="POST", data=form_token(browse))
        browse("/desk")
    before = len(noted())
    browse(path)
    browse.press("Hold")
    browse.follow()
    assert noted()[before:] == [f"{act} {people.alice.id}" for act in ("looked at", "worked on", "looked at")]
    assert db.session.get(Member, people.alice.id) is not None


def test_a_review_at_the_desk(browse: Browse, people: People, clock: Any) -> None:
    """P28: the plan of what ended, and a button for “everything is still needed”; the desk ends it so, once."""
    with writes():
        review = reviews.open(people.alice, scope="careers", via=Door.IMPORT, now=NOW)
    assert review is not None
    path = f"/desk/requests/{review.reference}"
    browse.sign_in(people.dana)
    stale = browse(path)
    plan = erasures.plan(people.alice.id, scope="careers", now=NOW)
    assert plan.lines
    for line in plan.lines:
        assert line.what in stale.said
    assert stale.has_button("Approve erasure")
    browse.press("Close: nothing to erase")
    page = browse.follow()
    assert "everything is still needed" in page.said
    assert not page.has_button("Approve erasure")
    assert row(review).state == State.FULFILLED
    browse.open[browse.who] = stale
    assert "closed" in browse.press("Close: nothing to erase", status=422).said
    link = f"/ask/status/{sign_reference(review.reference, purpose=STATUS_LINK)}"
    assert "What was deleted" not in browse(link, as_=None).said
    browse.sign_in(people.alice)
    browse(f"/requests/{review.reference}")
    browse(f"/requests/{review.reference}/do-not-wait", status=404)
