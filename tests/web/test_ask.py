"""Asking without an account: the same answer for everybody, and nothing to an impostor (P25, P27, P32, P38).

An impostor tries IMPOSTOR times; the figures of long runs stand in docs/enumeration.md.
"""

from __future__ import annotations

import email
import os
import re
from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from email import policy
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from portal import clock as portal_clock
from portal.authorities import AUTHORITIES
from portal.clock import society_date
from portal.domain import handling
from portal.domain.kinds import FILED
from portal.extensions import db
from portal.models import DataSubjectRequest, Member
from portal.models.request import State
from portal.purposes import EEA
from tests import people as four
from tests.browse import Browse
from tests.conftest import MailServer, Runner
from tests.databases import writes
from tests.letters import answer_links, letter, letters, link_in
from tests.people import People

IMPOSTOR = int(os.environ.get("IMPOSTOR", "60"))
STRANGER = "stranger@elsewhere.example.org"
DAY = timedelta(days=1)


def made() -> list[DataSubjectRequest]:
    db.session.rollback()
    return list(db.session.scalars(select(DataSubjectRequest).order_by(DataSubjectRequest.received_at)))


def ask(browse: Browse, address: str, kind: str = "access", details: str = "") -> str:
    """Ask as a visitor; the path of the link that is mailed."""
    browse("/ask", as_=None)
    browse.press("Send", {"Email address": address, "kind": kind, "Anything to add": details})
    browse.follow()
    return link_in(letter("ask_confirm"))


@pytest.mark.parametrize("known", [True, False])
def test_from_the_question_to_its_page(browse: Browse, people: People, clock: Any, known: bool) -> None:
    """P25: anyone asks; it counts from the button behind the link, and its status shows nothing about anybody."""
    address = people.alice.email if known else STRANGER
    page = browse("/ask", as_=None)
    names = [name for name in page.controls() if name != "csrf_token"]
    assert names == ["email", "kind", "details"]
    assert page.controls()["kind"] == "access"
    legend = page.soup.main.find("legend") if page.soup.main else None
    assert legend is not None
    assert legend.get_text() == "What do you ask for"
    for kind in FILED.values():
        assert kind.title in page.said
    path = ask(browse, address, "objection", "The picture of the dinner")
    assert made() == []
    assert [each.name for each in letters()] == ["ask_confirm"]
    clock.shift(timedelta(hours=5))
    for _ in range(2):
        page = browse(path)
        assert "The picture of the dinner" in page.said
        assert FILED["objection"].title in page.said
    assert made() == []
    again = browse.page
    status = browse.press("Confirm").location
    (request,) = made()
    assert (request.door, request.kind, request.received_at) == ("link", "objection", four.NOW + timedelta(hours=5))
    page = browse.follow()
    for words in (request.reference, "3 January 2027", "Received, in progress"):
        assert words in page.said
    assert "dinner" not in page.said
    browse.open[browse.who] = again
    assert browse.press("Confirm").location == status
    assert len(made()) == 1
    page = browse(path, status=410)
    links = [each.get("href") for each in page.soup.main.find_all("a")] if page.soup.main else []
    assert links == [status, "/ask"]
    assert link_in(letter("request_received")) == (f"/requests/{request.reference}" if known else status)
    staff = letter("staff_request_received")
    assert address.lower() not in f"{staff.title}{staff.text}{staff.html}".lower()
    if known:
        browse.sign_in(people.alice)
        assert request.reference in browse("/requests").said
        page = browse(f"/requests/{request.reference}")
        assert "The picture of the dinner" in page.said
        assert "link that we sent to your address" in page.said


def test_links_that_ended_and_links_that_never_were(browse: Browse, people: People, clock: Any) -> None:
    path = ask(browse, STRANGER)
    clock.shift(7 * DAY)
    page = browse(path, status=410)
    assert "/ask" in [each.get("href") for each in page.soup.find_all("a")]
    token = browse("/ask").controls()["csrf_token"]
    browse(path, status=410, method="POST", data={"csrf_token": token})
    for foreign in ("/ask/x", "/ask/status", "/ask/status/x", f"{path}x"):
        browse(foreign, status=404)
        if foreign == "/ask/x":
            browse(foreign, status=404, method="POST", data={"csrf_token": token})
    assert made() == []


def test_what_was_typed_wrongly_stays(browse: Browse, people: People) -> None:
    browse("/ask", as_=None)
    page = browse.press("Send", {"Email address": "nobody", "kind": "erasure", "Anything to add": "Please"}, status=422)
    assert page.beside("email")
    assert page.controls()["kind"] == "erasure"
    assert page.controls()["details"] == "Please"
    browse.press("Send", {"Email address": STRANGER, "kind": "everything"}, status=422)
    browse("/ask")
    browse.press("Send", {"Email address": STRANGER, "Anything to add": "x" * 4001}, status=422)
    assert letters() == []


def test_where_a_visitor_looks_for_it(browse: Browse, people: People) -> None:
    for path in ("/", "/sign-in", "/unsubscribe", "/notice"):
        page = browse(path, as_=None)
        assert page.soup.find("a", href="/ask") is not None, path
    browse.sign_in(people.alice)
    main = browse("/ask").soup.main
    assert main is not None
    assert main.find("a", href="/requests/new") is not None


def test_authorities_of_the_eea_and_the_united_kingdom(browse: Browse, people: People) -> None:
    """P27: where to complain, by country."""
    assert AUTHORITIES.keys() == EEA | {"GB"}
    page = browse("/authorities", as_=None)
    assert {each.site for each in AUTHORITIES.values()} <= {each.get("href") for each in page.soup.find_all("a")}
    assert "Sweden" in page.said


# An impostor ----------------------------------------------------------------------------------------------

IMPOSTORS_OWN = "@impostor.example.org"
CLAIM = (
    f"I am {four.ALICE['first_name']} {four.ALICE['last_name']}, born {four.ALICE['birth_date']}, of "
    f"{four.ALICE['address_line1']}, {four.ALICE['postal_code']} {four.ALICE['city']}. My address was "
    f"{four.ALICE['email']}, member {four.ALICE['member_number']}. I have a new mailbox, mallory{IMPOSTORS_OWN}: "
    "change it, and send me everything there."
)
ASKED = ("access", "portability", "correction", "question", "objection", "complaint")
WAYS_IN = ("page", "letter", "phone", "mail", "meeting", "links")
SEEN_IN_MAIL = {"first_name"}  # of her own, in mail to herself


@pytest.mark.parametrize("settings", [{"STAFF_EMAILS": "desk@example.org"}])
def test_an_impostors_inbox_stays_empty(
    app: Flask, browse: Browse, people: People, smtp: MailServer, run: Runner, clock: Any
) -> None:
    """T1: right name, birth date and address, wrong mailbox, by every way in; nothing ever arrives in that mailbox.

    On the page in her name; by letter, telephone, mail and visit, which staff write down for her member number, and
    half of which staff believe and answer; by the pages that mail a link. All goes to the address on file, or nowhere.
    """
    browse.sign_in(people.dana)
    desk, anybody = browse.client, app.test_client()
    tokens = {each: _form_token(each, path) for each, path in ((desk, "/desk/requests/new"), (anybody, "/ask"))}
    asked = 0
    for number in range(IMPOSTOR):
        way, kind = WAYS_IN[number % len(WAYS_IN)], ASKED[number // len(WAYS_IN) % len(ASKED)]
        where = {"REMOTE_ADDR": f"10.{number // 250}.{number % 250}.1"}
        if way == "page":
            typed = {"email": str(four.ALICE["email"]), "kind": kind, "details": CLAIM}
            client, path, expected = anybody, "/ask", 303 if asked < 5 else 429
            asked += 1
        elif way == "links":
            typed = {"email": f"mallory+{number}{IMPOSTORS_OWN}"}
            client, path, expected = anybody, ("/activate", "/forgot-password")[number // len(WAYS_IN) % 2], 303
        else:
            typed = {"kind": kind, "who": str(four.ALICE["member_number"]), "how": way, "letter_words": CLAIM}
            typed |= {"operation_id": str(number), "arrived_on": society_date(four.NOW).isoformat()}
            client, path, expected = desk, "/desk/requests/new", 303
        with client.post(path, data={"csrf_token": tokens[client], **typed}, environ_base=where) as response:
            assert response.status_code == expected, way
    staff_believe_half_of_it(people)
    answer_links()
    run("mail", "deliver")
    to_whom = Counter(to for message in smtp.received for to in message.rcpt_tos)
    assert [to for to in to_whom if to.endswith(IMPOSTORS_OWN)] == [], "something went to the impostor"
    assert to_whom.keys() == {people.alice.email, "desk@example.org", four.DANA_EMAIL}
    for message in smtp.received:
        subject, text = _read(message.data)
        own = message.rcpt_tos == (people.alice.email,)
        assert not _personal(subject + text, besides=SEEN_IN_MAIL if own else set()), message.rcpt_tos
        assert IMPOSTORS_OWN not in subject + text
    assert {request.subject_id for request in made()} == {people.alice.id}


def staff_believe_half_of_it(people: People) -> None:
    """They took the impostor for the member, and answer: even so, to the address on file, and never with data."""
    for request in made()[::2]:
        with writes():
            now = portal_clock.now()
            handling.take(request, people.dana, now=now)
            handling.verify(request, "They answered by letter.", now=now)
            for task in request.tasks:
                handling.tick(request, task.holding, now=now)
            if request.kind == "portability":
                handling.sent(request, "A colleague of theirs", "no", "The address is not known.", now=now)
            handling.hand_out(request, f"Everything is ready. You wrote: {CLAIM}", now=now)
            assert request.state == State.FULFILLED


def _form_token(client: FlaskClient, path: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("settings", [{"STAFF_EMAILS": "desk@example.org"}])
def test_an_impostors_own_mailbox_gets_links_to_confirm_and_no_data(
    app: Flask, browse: Browse, people: People, smtp: MailServer, run: Runner, clock: Any
) -> None:
    """T1: asked from a mailbox of their own, with the member's name in the words: a link to confirm and nothing else.

    One of them is confirmed after all, and answered: it is a stranger's request, and nobody's data is tied to it.
    """
    client = app.test_client()
    token = _form_token(client, "/ask")
    for number in range(IMPOSTOR):
        form = {"csrf_token": token, "email": f"mallory+{number // 5}{IMPOSTORS_OWN}", "details": CLAIM}
        form["kind"] = ASKED[number % len(ASKED)]
        where = {"REMOTE_ADDR": f"10.{number // 2500}.{number // 10 % 250}.1"}
        with client.post("/ask", data=form, environ_base=where) as response:
            assert response.status_code == 303
    run("mail", "deliver")
    assert len(smtp.received) == IMPOSTOR
    assert made() == []
    for message in smtp.received:
        assert [to.endswith(IMPOSTORS_OWN) for to in message.rcpt_tos] == [True]
        assert not _personal("".join(_read(message.data)))
    path = re.search(r"/ask/[\w.-]+", _read(smtp.received[0].data)[1])
    assert path is not None
    browse.typed["mallory"] = {CLAIM}
    browse(path.group(), as_="mallory")
    browse.press("Confirm")
    assert not _personal(browse.follow().said)
    (request,) = made()
    assert db.session.get(Member, request.subject_id) is None
    with writes():
        handling.take(request, people.dana, now=portal_clock.now())
        assert request.tasks == []
        handling.hand_out(request, "We looked, and hold nothing about you.", now=portal_clock.now())
    run("mail", "deliver")
    later = smtp.received[IMPOSTOR:]
    assert len(later) == 4, "receipt, two to staff, answer"
    for message in later:
        assert not _personal("".join(_read(message.data)))
        assert people.alice.email not in message.rcpt_tos
    browse.sign_in(people.alice)
    assert request.reference not in browse("/requests").said


def _read(message: bytes) -> tuple[str, str]:
    """Its subject, and the text of all its parts."""
    parsed = email.message_from_bytes(message, policy=policy.default)
    parts = [part.get_content() for part in parsed.walk() if part.get_content_maintype() == "text"]
    return str(parsed["subject"]), "".join(parts)


def _personal(text: str, *, besides: Collection[str] = ()) -> list[str]:
    """Which of Alice's data stand in a text."""
    left_out = {"kind", "country", "address_kind", *besides}
    values = [str(value) for name, value in four.ALICE.items() if name not in left_out]
    return [value for value in values if len(value) > 3 and value.lower() in text.lower()]
