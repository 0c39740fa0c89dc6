"""Requests: state one, follow it against its clock, take it back (P25 to P27, P32)."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from portal.domain.kinds import KINDS
from portal.extensions import db
from portal.models import DataSubjectRequest, Trail
from tests import people as four
from tests.browse import Browse
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
    path: str = browse.press("Send", {"Anything to add": details}).location
    return path


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_request(browse: Browse, people: People, clock: Any, kind: str) -> None:
    """P25, P32: stated in a minute, with a reference and the day the answer is due, and followed on its page."""
    browse.sign_in(people.alice)
    browse("/requests/new")
    assert KINDS[kind].title in browse.page.said
    path = send(browse, kind, "Everything since 2011, please.")
    page = browse.follow()
    assert REFERENCE.fullmatch(path.removeprefix("/requests/"))
    for words in (path.removeprefix("/requests/"), "3 January 2027", "4 January 2027", "4 December 2026, 15:00 UTC"):
        assert words in page.said
    assert "Everything since 2011, please." in page.said
    assert "Request received" in page.said
    (request,) = made()
    assert (request.kind, request.door, request.verified_how) == (kind, "page", "password")
    assert request.verified_at == NOW
    assert path in str(browse("/requests").soup)
    assert path in str(browse("/").soup)


def test_the_mails_of_a_request(browse: Browse, people: People, clock: Any) -> None:
    """A receipt to the member; to staff a reference, a kind, a date and a link, and nothing about the person."""
    browse.sign_in(people.alice)
    path = send(browse, "erasure", "My secret reason")
    reference = path.removeprefix("/requests/")
    receipt, staff = letter("request_received"), letter("staff_request_received")
    assert receipt.to_address == people.alice.email
    assert reference in receipt.text
    assert "3 January 2027" in receipt.text
    assert link_in(receipt) == path
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
    assert len(letters("request_received")) == 1


@pytest.mark.parametrize("kind", [code for code, kind in KINDS.items() if kind.once])
def test_what_may_be_open_once_leads_to_what_is_open(browse: Browse, people: People, clock: Any, kind: str) -> None:
    browse.sign_in(people.alice)
    form = browse(f"/requests/new/{kind}")
    path = send(browse, kind)
    assert browse(f"/requests/new/{kind}", status=303).location == path
    assert path.removeprefix("/requests/") in browse("/requests/new").said
    browse.sign_in(people.bob)
    browse(f"/requests/new/{kind}")
    clock.shift(timedelta(minutes=6))
    browse.turn_to(people.alice)
    browse.open[browse.who] = form
    browse.press("Send", status=422)
    assert browse.press("Send", {"Password": ALICE_PASSWORD}).location == path
    assert len(made()) == 1


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
        ["received", "withdrawn"],
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
