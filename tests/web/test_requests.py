"""Requests: state one, follow it against its clock, take it back (P25 to P27, P32)."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from portal import clock as portal_clock
from portal.authorities import AUTHORITIES
from portal.domain import asks, choices, handling, requests
from portal.domain.kinds import FILED, KINDS
from portal.extensions import db
from portal.models import Account, DataSubjectRequest, Trail
from portal.tokens import STATUS_LINK, sign_reference
from portal.web.requests import GROUPS
from tests import people as four
from tests.browse import Browse
from tests.databases import writes
from tests.letters import letter, letters, link_in
from tests.people import ALICE_PASSWORD, BOB_PASSWORD, NOW, People

REFERENCE = re.compile(r"IM-[2-9A-HJKMNP-TV-Z]{4}-[2-9A-HJKMNP-TV-Z]{4}")
VECTORS = [  # received, one month, the same on a working day, promise, three months, 45 days (rights §4.3)
    ("2026-01-29", "2026-02-28", "2026-03-02", "2026-02-28", "2026-04-29", "2026-03-15"),
    ("2026-01-31", "2026-02-28", "2026-03-02", "2026-02-28", "2026-04-30", "2026-03-17"),
    ("2028-01-31", "2028-02-29", "2028-02-29", "2028-02-29", "2028-04-30", "2028-03-16"),
    ("2026-02-28", "2026-03-28", "2026-03-30", "2026-03-28", "2026-05-28", "2026-04-14"),
    ("2028-02-29", "2028-03-29", "2028-03-29", "2028-03-29", "2028-05-29", "2028-04-14"),
    ("2026-03-05", "2026-04-05", "2026-04-06", "2026-04-04", "2026-06-05", "2026-04-19"),
    ("2026-07-04", "2026-08-04", "2026-08-04", "2026-08-03", "2026-10-04", "2026-08-18"),
    ("2026-08-31", "2026-09-30", "2026-09-30", "2026-09-30", "2026-11-30", "2026-10-15"),
    ("2026-11-25", "2026-12-25", "2026-12-25", "2026-12-25", "2027-02-25", "2027-01-09"),
    ("2026-11-30", "2026-12-30", "2026-12-30", "2026-12-30", "2027-02-28", "2027-01-14"),
    ("2026-12-31", "2027-01-31", "2027-02-01", "2027-01-30", "2027-03-31", "2027-02-14"),
]


def made() -> list[DataSubjectRequest]:
    db.session.rollback()
    return list(db.session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)))


def send(browse: Browse, kind: str, details: str = "") -> str:
    browse(f"/requests/new/{kind}")
    path: str = browse.press("Send", {"details": details or "In a few words"}).location
    return path


@pytest.mark.parametrize("kind", list(FILED))
def test_a_request(browse: Browse, people: People, clock: Any, kind: str) -> None:
    """P25, P32: stated in a minute, with a reference and the day the answer is due, and followed on its page."""
    browse.sign_in(people.alice)
    browse("/requests/new")
    assert KINDS[kind].title in browse.page.said
    path = send(browse, kind, "Everything since 2011, please.")
    page = browse.follow()
    assert REFERENCE.fullmatch(path.removeprefix("/requests/"))
    days = [] if KINDS[kind].at_once else ["3 January 2027", "4 January 2027"]
    for words in (path.removeprefix("/requests/"), *days, "4 December 2026, 15:00 UTC"):
        assert words in page.said
    assert "Everything since 2011, please." in page.said
    assert "Request received" in page.said
    (request,) = made()
    assert (request.kind, request.door, request.verified_how) == (kind, "page", "password")
    assert request.verified_at == NOW
    assert path in str(browse("/requests").soup)
    assert (path in str(browse("/").soup)) is not KINDS[kind].at_once


def test_the_mails_of_a_request(browse: Browse, people: People, clock: Any) -> None:
    """A receipt to the member; to staff a reference, a kind, a date and a link, and nothing about the person."""
    browse.sign_in(people.alice)
    path = send(browse, "erasure", "My secret reason")
    reference = path.removeprefix("/requests/")
    receipt, staff = letter("erasure_received"), letter("staff_request_received")
    assert receipt.to_address == people.alice.email
    assert reference in receipt.text
    assert "3 January 2027" in receipt.text
    assert link_in(receipt).startswith(f"/requests/keep/{reference}.")
    assert staff.to_address == "desk@example.org"
    assert staff.subject_id is None
    for words in (reference, "Delete my data", "3 January 2027"):
        assert words in staff.text
    assert link_in(staff) == f"/desk/requests/{reference}"
    personal = [str(value) for value in four.ALICE.values() if len(str(value)) > 3] + ["Alice", "My secret reason"]
    for part in (staff.title, staff.text, staff.html, staff.message_id):
        assert not [word for word in personal if word.lower() in part.lower()]


@pytest.mark.parametrize("vector", VECTORS, ids=[each[0] for each in VECTORS])
def test_its_dates(browse: Browse, people: People, clock: Any, vector: tuple[str, ...]) -> None:
    """P32: at most 30 days and at most a month, whichever is earlier; all dates are stored at receipt."""
    received, *expected = (date.fromisoformat(each) for each in vector)
    clock.move_to(datetime(received.year, received.month, received.day, 17, tzinfo=UTC))
    browse.sign_in(people.alice)
    send(browse, "access")
    (row,) = made()
    assert row.received_on == received
    assert [row.legal_1_on, row.legal_1_rolled_on, row.promise_on, row.legal_3_on, row.us_1_on] == expected
    assert row.us_2_on == received + timedelta(days=90)


@pytest.mark.parametrize(
    ("moment", "received"),
    [
        ("2026-03-08T04:59:59", "2026-03-07"),
        ("2026-03-08T05:00:01", "2026-03-08"),
        ("2026-03-09T03:59:59", "2026-03-08"),
        ("2026-03-09T04:00:01", "2026-03-09"),
        ("2026-11-01T03:59:59", "2026-10-31"),
        ("2026-11-01T04:00:01", "2026-11-01"),
        ("2026-11-02T04:59:59", "2026-11-01"),
        ("2026-11-02T05:00:01", "2026-11-02"),
    ],
)
def test_its_day_is_that_of_the_societys_seat(
    browse: Browse, people: People, clock: Any, moment: str, received: str
) -> None:
    """A second before and after midnight in New York, either side of both changes of its clocks."""
    clock.move_to(datetime.fromisoformat(f"{moment}+00:00"))
    browse.sign_in(people.alice)
    send(browse, "access")
    assert made()[0].received_on == date.fromisoformat(received)


def test_the_password_is_asked_where_it_was_not_given_lately(browse: Browse, people: People, clock: Any) -> None:
    """One field Password, and everything typed stays; a wrong one sends nothing."""
    browse.sign_in(people.alice)
    page = browse("/requests/new/access")
    assert "password" not in page.controls()
    clock.shift(timedelta(minutes=6))
    page = browse.press("Send", {"Anything to add": "Since 2011"}, status=422)
    assert page.beside("password")
    for wrong in ("", "wrong-wrong-wrong", BOB_PASSWORD):
        page = browse.press("Send", {"Password": wrong}, status=422)
        assert page.controls()["details"] == "Since 2011"
        assert page.controls()["password"] == ""
    assert made() == []
    assert letters("request_received") == []
    browse.press("Send", {"Password": ALICE_PASSWORD})
    browse.follow()
    assert made()[0].details == "Since 2011"
    assert browse.is_signed_in()


def test_the_same_form_twice_is_one_request(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    form = browse("/requests/new/access")
    first = browse.press("Send").location
    for _ in range(5):
        browse.open[browse.who] = form
        assert browse.press("Send").location == first
    assert len(made()) == 1
    assert len(letters("request_received")) == len(letters("staff_request_received")) == 1


def test_a_double_press_is_one_request(browse: Browse, people: People) -> None:
    """Two presses on their way at the same time, of one form and of two."""
    browse.sign_in(people.alice)
    one, two = (browse("/requests/new/erasure").controls() for _ in range(2))
    client = browse.client
    headers = {"Cookie": f"session={browse.cookies()['session']}"}
    db.session.rollback()

    def press(form: dict[str, str]) -> tuple[int, str]:
        own = browse.app.test_client(use_cookies=False)
        answer = Context().run(
            FlaskClient.open, own, "/requests/new/erasure", method="POST", data=form, headers=headers
        )
        return answer.status_code, answer.headers.get("Location", "")

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(press, (one, one, two, two)))
    assert client is not None
    (row,) = made()
    assert answers == [(303, f"/requests/{row.reference}")] * 4
    assert len(letters("erasure_received")) == 1


@pytest.mark.parametrize("kind", [code for code, kind in KINDS.items() if kind.once])
def test_what_may_be_open_once_leads_to_what_is_open(browse: Browse, people: People, clock: Any, kind: str) -> None:
    browse.sign_in(people.alice)
    form = browse(f"/requests/new/{kind}")
    path = send(browse, kind)
    words = {"details": "In a few words"}
    assert browse(f"/requests/new/{kind}", status=303).location == path
    assert path.removeprefix("/requests/") in browse("/requests/new").said
    browse.sign_in(people.bob)
    browse(f"/requests/new/{kind}")
    clock.shift(timedelta(minutes=6))
    browse.turn_to(people.alice)
    browse.open[browse.who] = form
    browse.press("Send", words, status=422)
    browse.press("Send", {"details": "One thing more", "Password": ALICE_PASSWORD})
    assert browse.page.location == path
    assert "What you wrote was added to it." in browse.follow().said
    assert "One thing more" in browse.page.said.partition("So far")[2]
    assert len(letters("staff_request_added")) == len(made()) == 1


def test_withdraw(browse: Browse, people: People) -> None:
    """P26: taken back with one press; a new one may be sent."""
    browse.sign_in(people.alice)
    path = send(browse, "erasure")
    browse.follow()
    stale = browse.page
    browse.press("Withdraw this request")
    page = browse.follow()
    assert "Withdrawn by you" in page.said
    assert not page.has_button("Withdraw this request")
    (row,) = made()
    assert (row.state, row.is_open, [step.step for step in row.steps]) == (
        "withdrawn",
        False,
        ["received", "staff_told", "withdrawn"],
    )
    assert letter("request_withdrawn").to_address == people.alice.email
    assert "Alice" not in letter("staff_request_withdrawn").text
    browse.open[browse.who] = stale
    assert "closed" in browse.press("Withdraw this request", status=422).said
    assert len(letters("request_withdrawn")) == 1
    assert send(browse, "erasure") != path


def test_the_form_of_a_withdrawn_request_says_so(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    form = browse("/requests/new/access")
    path = browse.press("Send").location
    assert "A receipt is on its way" in browse.follow().said
    browse.press("Withdraw this request")
    browse.follow()
    browse.open[browse.who] = form
    assert browse.press("Send").location == path
    page = browse.follow()
    assert "is closed now" in page.said
    assert "receipt is on its way" not in page.said
    assert len(made()) == len(letters("request_received")) == 1


def test_a_request_of_somebody_else_is_not_there(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    path = send(browse, "erasure", "private words")
    browse.sign_in(people.bob)
    browse(path, status=404)
    token = browse("/choices").controls()["csrf_token"]
    browse(f"{path}/withdraw", status=404, method="POST", data={"csrf_token": token})
    assert path not in browse("/requests").body.decode()
    assert made()[0].is_open


@pytest.mark.parametrize(
    "reference", ["IM-2222-2222", "im-2222-2222", "x", "IM-%F0%9F%A6%A2", "' OR 1=1", "..%2f..%2f"]
)
def test_a_reference_that_was_never_given_is_not_there(browse: Browse, people: People, reference: str) -> None:
    browse.sign_in(people.alice)
    browse(f"/requests/{reference}", status=404)


@pytest.mark.parametrize("kind", ["nothing", "Access", "access%20", "all"])
def test_a_kind_that_we_do_not_know_is_not_there(browse: Browse, people: People, kind: str) -> None:
    browse.sign_in(people.alice)
    browse(f"/requests/new/{kind}", status=404)


def test_too_much_to_add_is_refused_and_kept(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    browse("/requests/new/access")
    page = browse.press("Send", {"Anything to add": "x" * 4001}, status=422)
    assert "4,000" in page.beside("details")
    assert made() == []
    browse.press("Send", {"Anything to add": "x" * 4000})


def test_a_made_up_operation_is_refused(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    for operation in ("", "x" * 65):
        browse("/requests/new/access")
        browse.press("Send", {"operation_id": operation}, status=422)
    assert made() == []


def test_the_operation_of_somebody_else_opens_nothing_of_theirs(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    operation = browse("/requests/new/access").controls()["operation_id"]
    hers = browse.press("Send").location
    browse.sign_in(people.bob)
    browse("/requests/new/access")
    his = browse.press("Send", {"operation_id": operation}).location
    assert his != hers
    assert [row.subject_id for row in made()] == [people.alice.id, people.bob.id]


def test_a_look_of_staff_is_written_down(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    reference = send(browse, "access").removeprefix("/requests/")
    browse.sign_in(people.dana)
    assert reference in browse("/desk").said
    page = browse(f"/desk/requests/{reference}")
    assert people.alice.email in page.said
    db.session.rollback()
    looks = list(db.session.scalars(select(Trail).where(Trail.act == "looked at")))
    assert [(row.subject_id, row.door) for row in looks] == [(people.alice.id, "staff")]


# The page of a request, as its person sees it --------------------------------------------------------------


def at_the_desk(reference: str, act: Callable[[DataSubjectRequest], object]) -> None:
    """What staff do meanwhile."""
    with writes():
        request = requests.by_reference(reference)
        assert request is not None
        act(request)


def why(browse: Browse) -> str:
    """What the row Why this day says."""
    (found,) = [each for each in browse.page.soup.find_all("dt") if each.get_text() == "Why this day"]
    return " ".join(found.parent.dd.get_text(" ").split())


def test_every_kind_stands_in_a_group_once() -> None:
    """P27, P34, P38: all of them, an objection to pictures and a suggestion among them, each found in one place."""
    assert sorted(code for _, codes in GROUPS for code in codes) == sorted(FILED)


def test_what_needs_words_asks_for_them(browse: Browse, people: People) -> None:
    """P34, P38: what says nothing without words is not sent without them."""
    browse.sign_in(people.alice)
    for code, kind in FILED.items():
        page = browse(f"/requests/new/{code}")
        assert kind.what_we_need in page.said
        assert ("controller" in page.controls()) == (code == "portability")
        page = browse.press("Send", {"details": "  "}, status=422 if kind.wants_words else 303)
        if kind.wants_words:
            assert page.beside("details")
    assert {request.kind for request in made()} == {code for code, kind in FILED.items() if not kind.wants_words}


def test_marketing_stops_at_once_and_says_what(browse: Browse, people: People) -> None:
    """P29, P33: nobody reviews it; the page and one mail list what was turned off, and how to turn it on again."""
    browse.sign_in(people.alice)
    browse("/requests/new/marketing")
    browse.press("Send")
    page = browse.follow()
    for words in ("Done. It counts from now on.", "all broadcast email, post, phone, Sponsor sharing", "Choices"):
        assert words in page.said
    assert not page.has_button("Withdraw this request")
    assert [each.name for each in letters() if each.kind != "account"] == ["request_answered"]
    standing = choices.standing(people.alice.id)
    assert {code: standing[code].value for code in requests.NO_MARKETING} == dict(requests.NO_MARKETING)


def test_to_another_organisation(browse: Browse, people: People) -> None:
    """P27: the organisation is named; how the data went there is told (Art. 20(2))."""
    browse.sign_in(people.alice)
    browse("/requests/new/portability")
    path = browse.press("Send", {"Another organisation": "Svenska Kemistsamfundet"}).location
    assert "Svenska Kemistsamfundet" in browse.follow().said
    reference = path.removeprefix("/requests/")
    at_the_desk(reference, lambda request: handling.sent(request, "Kemistsamfundet", "yes", "By their form.", now=NOW))
    assert "Kemistsamfundet: They can take the data safely, and have received it. By their form." in browse(path).said


def test_add_something(browse: Browse, people: People) -> None:
    """P27: what is added stands on the page, staff are told once, and a closed request takes nothing."""
    browse.sign_in(people.alice)
    path = send(browse, "access")
    stale = browse.follow()
    page = browse.post(f"{path}/add", {"words": " "}, status=422)
    assert page.beside("words")
    for _ in range(2):
        browse.open[browse.who] = stale
        browse.post(f"{path}/add", {"words": "Also <b>the</b> events\nof 2019"})
    assert "Also <b>the</b> events of 2019" in browse.follow().said
    assert len(letters("staff_request_added")) == 1
    assert "2019" not in letter("staff_request_added").text
    browse.press("Withdraw this request")
    browse.open[browse.who] = stale
    assert "closed" in browse.post(f"{path}/add", {"words": "More"}, status=422).said
    assert len(letters("staff_request_added")) == 1
    browse.sign_in(people.bob)
    token = browse("/choices").controls()["csrf_token"]
    browse(f"{path}/add", status=404, method="POST", data={"csrf_token": token, "words": "mine"})


def test_the_day_and_why_over_a_leap_day_a_pause_and_an_extension(browse: Browse, people: People, clock: Any) -> None:
    """P32: promise and law, the pause that moves one of them, and both dates of an extension.

    A month's end in a leap year; the clocks of New York go forward on 12 March 2028. What staff need to read the
    answer is their own time.
    """
    clock.move_to(datetime(2028, 2, 1, 4, 30, tzinfo=UTC))  # still 31 January in New York
    with writes():
        asks.ask(people.alice.email, "complaint", details="The dinner", now=portal_clock.now())
    browse(link_in(letter("ask_confirm")), as_=None)
    browse.press("Confirm")
    (request,) = made()
    browse.sign_in(people.alice)
    path = f"/requests/{request.reference}"
    assert "Answer due 29 February 2028" in browse(path).said
    assert "One month after your request arrived" in why(browse)
    assert "31 January 2028 when it arrived" in why(browse)
    with writes():
        row = db.session.get_one(DataSubjectRequest, request.id)
        row.verified_at, row.verified_how = None, ""
    clock.move_to(datetime(2028, 2, 2, 15, tzinfo=UTC))
    browse.sign_in(people.alice)
    at_the_desk(
        request.reference, lambda row: handling.ask_identity(row, "In which year did you join?", now=portal_clock.now())
    )
    page = browse(path)
    assert "In which year did you join?" in page.said
    assert "the law lets us wait" in why(browse)
    clock.move_to(datetime(2028, 2, 5, 15, tzinfo=UTC))
    browse.sign_in(people.alice)
    browse(path)
    browse.post(f"{path}/add", {"Your answer": "In 2011"})
    assert "You have answered" in browse.follow().said
    clock.move_to(datetime(2028, 2, 9, 15, tzinfo=UTC))
    at_the_desk(request.reference, lambda row: handling.verify(row, "They named the year", now=portal_clock.now()))
    browse.sign_in(people.alice)
    page = browse(path)
    assert "Answer due 29 February 2028" in page.said
    assert "from 29 February 2028 to 3 March 2028" in why(browse)
    at_the_desk(
        request.reference,
        lambda row: handling.extend(row, "complexity", "Three photographers have to be asked.", now=portal_clock.now()),
    )
    page = browse(path)
    assert "Answer due 30 April 2028" in page.said
    assert "Before, the day was 29 February 2028" in why(browse)
    assert "Three photographers" in page.said
    assert "30 April 2028" in browse("/requests").said
    assert "30 April 2028" in browse("/").said
    assert "30 April 2028" in browse(status_of(request), as_=None).said


def status_of(request: DataSubjectRequest) -> str:
    return f"/ask/status/{sign_reference(request.reference, purpose=STATUS_LINK)}"


def test_an_answer_stays_and_what_is_the_desks_stays_there(browse: Browse, people: People) -> None:
    """P25, P32: the words of staff to the person stand on the page; notes, reminders and the desk's names do not."""
    browse.sign_in(people.alice)
    path = send(browse, "correction", "The year is 1991")
    reference = path.removeprefix("/requests/")
    at_the_desk(reference, lambda row: handling.note(row, "quarrelsome person", now=NOW))
    at_the_desk(reference, lambda row: handling.take(row, db.session.get_one(Account, people.dana.id), now=NOW))
    at_the_desk(reference, lambda row: handling.answer(row, handling.reply(row, "corrected"), now=NOW))
    page = browse(path)
    assert "We have corrected it" in page.said
    assert next(each["href"] for each in page.soup.select("blockquote a")) == "/held"
    for words in ("quarrelsome", "dana", "Staff told", "Staff reminded"):
        assert words not in page.said
        assert words not in browse(status_of(made()[0]), as_=None).said
    assert "We have corrected it" not in browse.page.said
    browse.turn_to(people.alice)
    again = next(each for each in browse(path).soup.find_all("a") if each.get_text() == "Ask again")
    browse(str(again["href"]))
    later = browse.press("Send", {"details": "It still says 1981"}).location
    assert reference in browse.follow().said
    assert later.removeprefix("/requests/") in browse(path).said
    first, second = sorted(made(), key=lambda request: request.reference != reference)
    assert (first.continues_id, second.continues_id) == (None, first.id)


def test_a_refusal_says_the_reason_and_the_ways_on(browse: Browse, people: People) -> None:
    """P27: reason, complaint to us with the reference filled in, the authority of the country, a court."""
    browse.sign_in(people.alice)
    path = send(browse, "objection", "My name in the report")
    reference = path.removeprefix("/requests/")
    dana = people.dana.id
    at_the_desk(
        reference,
        lambda row: handling.refuse(row, "claims", "It is evidence.", by=db.session.get_one(Account, dana), now=NOW),
    )
    page = browse(path)
    for words in ("Refused", handling.REFUSALS["claims"], "It is evidence.", "Integritetsskyddsmyndigheten", "court"):
        assert words in page.said
    links = {each.get("href") for each in page.soup.find_all("a")}
    assert {f"/requests/new/complaint?about={reference}", AUTHORITIES["SE"].site} <= links
    page = browse(f"/requests/new/complaint?about={reference}")
    assert page.controls()["details"].startswith(f"About my request {reference}")
    browse.press("Send")
    assert reference in browse.follow().said
    assert [request.continues_id for request in made() if request.kind == "complaint"] == [
        next(request.id for request in made() if request.kind == "objection")
    ]
    browse.sign_in(people.bob)
    page = browse(f"/requests/new/complaint?about={reference}")
    assert page.controls()["details"] == page.controls()["about"] == ""
    browse.press("Send", {"about": reference, "details": "Something"})
    assert [request.continues_id for request in made() if request.subject_id == people.bob.id] == [None]
    assert browse.follow().soup.find("a", href="/authorities") is not None
