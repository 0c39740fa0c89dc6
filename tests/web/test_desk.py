"""What the desk sees and presses, what the member sees of it, and who is kept out (P15, P25 to P27; threat T1)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from time_machine import Traveller

from portal.domain import asks, desk, erasures, handling, requests, suspensions
from portal.domain.kinds import FILED, HOLE, KINDS
from portal.extensions import db, settings
from portal.models import DataSubjectRequest, Member, SignIn, Subject, Suspension, Trail
from portal.models.request import State
from portal.purposes import HOLDINGS, RECEIVERS
from portal.tokens import CONFIRM_LINK, KEEP_LINK, new_secret, sign_reference
from portal.vocabulary import Door
from portal.web.access import DESK, RECENT
from portal.web.signin import WRONG
from tests import people as four
from tests.browse import Browse
from tests.databases import writes
from tests.letters import answer_links, letter, letters, link_in
from tests.people import ALICE_PASSWORD, BOB, DANA_PASSWORD, NOW, People
from tests.rules.test_access import FILLED_IN, paths

DAY = timedelta(days=1)
ASKED = [code for code, holding in HOLDINGS.items() if holding.asked and code != RECEIVERS]
WORDS = "We have looked at it, and this is what we found."


def filed(people: People, kind: str = "correction", *, days: int = 0) -> str:
    with writes():
        alice = db.session.get_one(Member, people.alice.id)
        made = requests.file(
            alice, kind, details="My words", operation_id=new_secret(), via=Door.PAGE, now=NOW - days * DAY
        )
        return made.reference


def row(reference: str) -> DataSubjectRequest:
    db.session.rollback()
    found = requests.by_reference(reference)
    assert found is not None
    return found


def looks_at(person: Member) -> list[str]:
    db.session.rollback()
    query = select(Trail.act).where(Trail.subject_id == person.id, Trail.door == Door.STAFF).order_by(Trail.id)
    return list(db.session.scalars(query))


# The list -------------------------------------------------------------------------------------------------


def test_the_list(browse: Browse, people: People, clock: Traveller) -> None:
    """By due day, in words; mine and all; numbers; page by page without the page before."""
    late, soon, mine = filed(people, "complaint", days=31), filed(people, "question", days=25), filed(people)
    with writes():
        handling.take(row(mine), people.dana, now=NOW)
    browse.sign_in(people.dana)
    page = browse("/desk")
    assert [each.get_text() for each in page.soup.select("tbody th a")] == [late, soon, mine]
    assert "opens with only a password" in page.said, "the settings ask for no second step"
    for words in ("1 day overdue", "due in 5 days", "due in 30 days", "3 open", "1 overdue", "1 due within 7 days"):
        assert words in page.said
    assert [each.get_text() for each in browse("/desk?whose=mine").soup.select("tbody th a")] == [mine]
    with writes():
        for _ in range(49):
            requests.file(
                db.session.get_one(Member, people.bob.id),
                "question",
                details="",
                operation_id=new_secret(),
                via=Door.PAGE,
                now=NOW,
            )
    first = browse("/desk")
    rest = browse(str(first.soup.select_one("nav.pager a[rel=next]")["href"]))  # type: ignore[index]
    shown = [each.get_text() for page in (first, rest) for each in page.soup.select("tbody th a")]
    assert len(shown) == len(set(shown)) == 52
    browse("/desk?after=nonsense", status=404)


def test_numbers(browse: Browse, people: People, clock: Traveller) -> None:
    """A bar as long as the number beside it, a row for each week."""

    def rows(chart: int) -> list[tuple[str, str, str]]:
        table: Any = browse("/desk/numbers").soup.select("table.chart")[chart]
        return [(row.th.get_text(), row.span.get_text(), row.rect["width"]) for row in table.select("tbody tr")]

    filed(people)
    filed(people, "question")
    late = filed(people, "complaint", days=7)
    browse.sign_in(people.dana)
    assert rows(0)[:3] == [
        ("30 November 2026", "2", "100.0"),
        ("23 November 2026", "1", "50.0"),
        ("16 November 2026", "0", "0.0"),
    ]
    assert "No answer yet" in browse("/desk/numbers").said
    with writes():
        handling.take(row(late), people.dana, now=NOW)
        handling.answer(row(late), WORDS, now=NOW)
    assert [count for _, count, _ in rows(1)] == ["1", "0", "0", "0", "0"]


def test_look_up(browse: Browse, people: People) -> None:
    """Sent, never in an address; the look at a person is theirs to see."""
    reference = filed(people)
    browse.sign_in(people.dana)
    browse("/desk")
    page = browse.press(
        "Look up", {"Reference or email address": f" {reference.lower().replace('-', ' ')}"}, status=200
    )
    assert reference in page.said
    assert looks_at(people.alice) == []
    page = browse.press("Look up", {"look_up": people.alice.email.upper()}, status=200)
    assert str(people.alice.member_number) in page.said
    assert reference in page.said
    assert looks_at(people.alice) == ["looked up"]
    for unknown in ("nobody@example.org", "IM-2222-2222", "%", f"{'a' * 255}@example.org"):
        assert "Nothing found" in browse.press("Look up", {"look_up": unknown}, status=200).said
    assert "Enter a reference" in browse.press("Look up", {"look_up": ""}, status=422).beside("look_up")
    browse.sign_in(people.alice)
    assert "Your record was looked up" in browse("/held/what-changed").said


# One request ----------------------------------------------------------------------------------------------


def test_an_access_from_both_sides(browse: Browse, people: People, clock: Traveller) -> None:
    reference = filed(people, "access")
    path = f"/desk/requests/{reference}"
    browse.sign_in(people.dana)
    page = browse(path)
    for words in ("My words", "Who you are", "Password given when sending", "30 days after it arrived", "Nobody has"):
        assert words in page.said
    assert people.alice.phone not in page.said, "numbers, no values"
    browse.press("Take it")
    assert browse.follow().has_button("Hand out")
    page = browse.press("Hand out", {"Your answer": WORDS}, status=422)
    assert "Not everybody outside has answered." in page.said
    for _ in ASKED:
        browse(path)
        browse.press("Done")
    page = browse(f"{path}?reply=handed-out")
    answer = page.controls(next(form for form in page.forms if str(form["action"]).endswith("hand-out")))
    assert "/held" in answer["answer_words"]
    assert reference in answer["answer_words"]
    browse(f"{path}?reply=nonsense", status=404)
    browse(f"{path}?reply=handed-out")
    assert "your own words" in browse.press("Hand out", status=422).beside("answer_words")
    whole = {"Your answer": answer["answer_words"].replace(HOLE, "Nothing.")}

    clock.shift(timedelta(minutes=6))
    browse(f"{path}?reply=handed-out")
    browse.press("Hand out", whole, status=422)
    assert row(reference).state == State.WORKING
    browse.press("Hand out", whole | {"Password": DANA_PASSWORD})
    assert "Handed out" in browse.follow().said
    stale = browse.page
    assert not stale.has_button("Hand out")
    assert row(reference).state == State.FULFILLED
    assert people.alice.phone not in letter("request_answered").text
    assert link_in(letter("request_answered")) == f"/requests/{reference}"
    assert set(looks_at(people.alice)) == {"looked at", "worked on"}


def test_a_second_press_says_so_and_changes_nothing(browse: Browse, people: People) -> None:
    reference = filed(people)
    browse.sign_in(people.dana)
    open_page = browse(f"/desk/requests/{reference}")
    browse.press("Answer and close", {"Your answer": WORDS})
    browse.open[browse.who] = open_page
    assert "This request is closed." in browse.press("Answer and close", {"Your answer": WORDS}, status=422).said
    assert len(letters("request_answered")) == 1
    browse.open[browse.who] = open_page
    assert "This request is closed." in browse.press("Take it", status=422).said
    for _ in range(2):
        browse.open[browse.who] = open_page
        browse.press("Note", {"Note": "Seen."})
    assert [step.step for step in row(reference).steps].count("note") == 1
    page = browse.follow()
    assert "Seen." in page.said
    browse.sign_in(people.alice)
    assert "Seen." not in browse(f"/requests/{reference}").said


def test_blanks_are_no_answer(browse: Browse, people: People) -> None:
    reference = filed(people)
    browse.sign_in(people.dana)
    browse(f"/desk/requests/{reference}")
    page = browse.press("Answer and close", {"Your answer": " \u200b "}, status=422)
    assert page.beside("answer_words").startswith("Write the answer")
    assert row(reference).is_open


def test_a_link_in_the_words_of_others_stays_in_this_portal(browse: Browse, people: People) -> None:
    """An address that begins as ours does, and means another host, is words and no link."""
    reference = filed(people)
    with writes():
        alice = db.session.get_one(Member, people.alice.id)
        told = f"See {settings().url}//evil.example/sign-in and {settings().url}/held"
        found = requests.by_reference(reference)
        assert found is not None
        requests.add(alice, found, told, now=NOW)
    browse.sign_in(people.dana)
    page = browse(f"/desk/requests/{reference}")
    assert "//evil.example/sign-in" in page.said
    links = [str(each["href"]) for each in page.soup.select("bdi.lines a")]
    assert links == ["/held"]


def test_extend_and_refuse(browse: Browse, people: People) -> None:
    reference = filed(people, "complaint")
    path = f"/desk/requests/{reference}"
    browse.sign_in(people.dana)
    page = browse(path)
    assert not page.has_button("Extend")
    assert "It can be extended once somebody has taken it" in page.said
    browse.press("Take it")
    browse.follow()
    assert "Say why" in browse.press("Extend", status=422).beside("extension_words")
    browse.press("Extend", {"extension_words": "Forty years of paper."})
    page = browse.follow()
    assert "Answer due 4 March 2027" in page.said
    assert not page.has_button("Extend")
    assert "Forty years of paper." in letter("request_extended").text
    assert "Say which data" in browse.press("Refuse", status=422).beside("refusal_words")
    browse.press("Refuse", {"refusal": "others", "refusal_words": WORDS})
    assert "go to court" in letter("request_refused").text
    assert browse.follow().has_button("Refuse") is False
    assert row(reference).state == State.REFUSED


@pytest.mark.parametrize("settings", [{"DESK_REQUIRES_SECOND_PERSON": "true"}])
def test_excessive_waits_for_a_colleague(browse: Browse, people: People) -> None:
    reference = filed(people, "question")
    path = f"/desk/requests/{reference}"
    typed = {"refusal": "excessive", "refusal_words": WORDS}
    with writes():
        erin = desk.add("erin@desk.example.org", now=NOW)
        erin.password_hash, erin.password_at = people.dana.password_hash, NOW
    browse.sign_in(people.dana)
    for _ in range(2):
        browse(path)
        browse.press("Refuse", typed)
        assert "A second person has to agree" in browse.follow().said
    assert "You have proposed" in browse.page.said
    assert row(reference).is_open
    browse.sign_in(erin)
    assert f"{people.dana.address} has proposed" in browse(path).said
    browse.press("Refuse", typed)
    assert "Refused. The person is told" in browse.follow().said
    assert row(reference).state == State.REFUSED


def test_portability_to_somebody_else(browse: Browse, people: People) -> None:
    reference = filed(people, "portability")
    browse.sign_in(people.dana)
    browse(f"/desk/requests/{reference}")
    told = {"Which organisation": "Nordic Society", "sent_outcome": "no", "sent_how": "They take paper only."}
    browse.press("Write it down", told)
    assert "Nordic Society: They cannot take the data safely. They take paper only." in browse.follow().said
    assert row(reference).controller == "Nordic Society"
    answer = handling.reply(row(reference), "not-sent")
    assert "Nordic Society" in answer
    filed_elsewhere = filed(people)
    browse(f"/desk/requests/{filed_elsewhere}")
    token = browse.page.controls(browse.page.forms[-1])["csrf_token"]
    browse(f"/desk/requests/{filed_elsewhere}/sent", method="POST", data={"csrf_token": token}, status=404)


# Letters --------------------------------------------------------------------------------------------------


def test_a_letter_is_written_down_and_confirmed_from_the_mailbox(
    browse: Browse, people: People, clock: Traveller
) -> None:
    browse.sign_in(people.dana)
    browse("/desk/requests/new")
    typed = {"kind": "access", "who": "M-1001", "how": "letter", "letter_words": "Please tell me what you hold."}
    wrong = {"who": "M-9", "arrived_on": "2026-12-05", "letter_words": "", "how": "pigeon"}
    page = browse.press("Write it down", typed | wrong, status=422)
    assert "in the future" in page.beside("arrived_on")
    assert "member number" in browse.press("Write it down", typed | {"who": "M-9"}, status=422).said
    open_page = browse("/desk/requests/new")
    browse.press("Write it down", typed | {"arrived_on": "2026-11-30"})
    path = browse.page.location
    browse.open[browse.who] = open_page
    assert browse.press("Write it down", typed | {"arrived_on": "2026-11-30"}).location == path
    page = browse.follow()
    assert "30 December 2026" in page.said
    assert "It can be answered once we know who it is." in page.said
    assert not page.has_button("Hand out")
    assert db.session.execute(select(func.count()).select_from(Subject)).scalar_one() == 3

    reference = path.rpartition("/")[2]
    link = link_in(letter("identity_asked", to=people.alice.email))
    for odd in (link[:-1], f"/requests/confirm/{sign_reference(reference, purpose=KEEP_LINK)}"):
        browse(odd, as_=None, status=404)
    browse(f"/requests/confirm/{sign_reference(filed(people), purpose=CONFIRM_LINK)}", as_=None, status=404)
    assert "See my data" in browse(link, as_=None).said
    assert row(reference).verified_at is None
    open_page = browse.page
    assert "Thank you" in browse.press("Confirm", status=200).heading
    browse.open[browse.who] = open_page
    browse.press("Confirm", status=410)
    assert (row(reference).state, row(reference).verified_how) == (State.WORKING, "link to the address")
    browse(path, as_=people.dana)
    assert "You know who it is" not in browse.page.said


def test_no_day_is_promised_that_is_over(browse: Browse, people: People, clock: Traveller) -> None:
    """A letter confirmed after 45 days: the pause moved the day by law, and the day that was promised has passed."""
    with writes():
        subject = db.session.get_one(Member, people.alice.id).subject
        handling.write_down(
            subject, "erasure", details="", contact="", how="letter", received_at=NOW, operation_id="one", now=NOW
        )
    clock.shift(45 * DAY)
    browse(link_in(letter("identity_asked")), as_=None)
    said = browse.press("Confirm", status=200).said
    assert "3 January 2027, has passed" in said
    assert "The law gives us until 18 February 2027." in said
    with writes():
        erasures.hold(db.session.scalars(select(DataSubjectRequest)).one(), "claim", now=NOW + 45 * DAY)
    assert "answer by" not in letter("erasure_held").text


def test_a_call_of_somebody_we_do_not_know(browse: Browse, people: People) -> None:
    browse.sign_in(people.dana)
    browse("/desk/requests/new")
    typed = {"kind": "question", "who": "Ottilie@Example.org", "how": "phone", "letter_words": "What do you keep?"}
    browse.press("Write it down", typed)
    page = browse.follow()
    assert "No record belongs to this request." in page.said
    assert "ottilie@example.org" in page.said.lower()
    browse.press("Ask", {"identity_words": "Which name was it?"})
    browse.follow()
    browse.press("Note that you know", {"verified_how": "phone"})
    assert "Seen by phone." in browse.follow().said
    browse.press("Answer and close", {"Your answer": WORDS})
    assert WORDS in letter("request_answered", to="ottilie@example.org").text
    reference = page.path.rpartition("/")[2]
    browse("/desk")
    assert reference in browse.press("Look up", {"look_up": "ottilie@example.org"}, status=200).said


def test_a_letter_without_an_address_is_answered_by_staff_themselves(browse: Browse, people: People) -> None:
    browse.sign_in(people.dana)
    browse("/desk/requests/new")
    browse.press("Write it down", {"kind": "question", "how": "letter", "letter_words": "What do you keep?"})
    assert "No email reaches this person" in browse.follow().said
    browse.press("Note that you know", {"verified_how": "letter"})
    assert "These words go to nobody by email" in browse.follow().said
    browse.press("Answer and close", {"Your answer": WORDS})
    page = browse.follow()
    assert "nothing was mailed. Please tell the person by post" in page.said
    assert "told by email" not in page.said.partition("So far")[0]
    assert "No record belongs to this request." in page.said
    assert "is gone" not in page.said, "nobody was erased"


def test_a_suspended_person_hears_where_the_answer_is(browse: Browse, people: People) -> None:
    """It is read signed in, which they cannot; neither mail nor page says to a stranger that they are suspended."""
    reference = filed(people)
    with writes():
        suspensions.suspend(db.session.get_one(Member, people.alice.id).subject, "abuse", now=NOW)
    browse.sign_in(people.dana)
    assert "give them the answer by post" in browse(f"/desk/requests/{reference}").said
    browse.press("Answer and close", {"Your answer": WORDS})
    read = letter("request_answered", to=people.alice.email).text
    assert "If you cannot sign in, write to" in read
    assert WORDS not in read


def test_a_stranger_who_asks_for_deletion(browse: Browse, people: People, clock: Traveller) -> None:
    """They, too, can keep what they sent by the first link of the receipt, and hear when it is gone."""
    made = []
    for number in range(2):
        with writes():
            asks.ask(f"stranger{number}@example.org", "erasure", details="", now=NOW)
        browse(link_in(letter("ask_confirm")), as_=None)
        browse.press("Confirm")
        made.append(browse.page.location.rpartition("/")[2].partition(".")[0])
    browse(link_in(letter("erasure_received", to="stranger1@example.org")), as_=None)
    browse.press("Confirm", status=200)
    assert row(made[1]).state == State.WITHDRAWN
    browse.sign_in(people.dana)
    browse(f"/desk/requests/{made[0]}")
    browse.press("Approve erasure")
    assert browse.follow().has_button("Done")
    assert link_in(letter("erasure_approved", to="stranger0@example.org")).startswith("/requests/keep/")
    clock.shift(4 * DAY)
    with writes():
        erasures.carry_out(row(made[0]).id, now=NOW + 4 * DAY)
    last = letter("farewell", to="stranger0@example.org")
    assert "We held nothing else about you" in last.text
    assert "account" not in last.text
    assert "numbers" in browse(link_in(last), as_=None).said, "what services that count visits keep"


def test_taken_back_by_telephone(browse: Browse, people: People) -> None:
    reference = filed(people)
    browse.sign_in(people.dana)
    stale = browse(f"/desk/requests/{reference}")
    browse.press("Note that it is withdrawn")
    assert "Withdrawn. The person is told." in browse.follow().said
    assert "You told us" in letter("request_withdrawn", to=people.alice.email).text
    browse.open[browse.who] = stale
    assert "This request is closed." in browse.press("Note that it is withdrawn", status=422).said
    assert len(letters("request_withdrawn")) == 1


def test_of_a_kind_that_may_be_open_once(browse: Browse, people: People) -> None:
    reference = filed(people, "access")
    browse.sign_in(people.dana)
    browse("/desk/requests/new")
    typed = {"kind": "access", "who": people.alice.email, "how": "mail", "letter_words": "Again, please."}
    assert browse.press("Write it down", typed).location == f"/desk/requests/{reference}"
    assert "has an open request of this kind" in browse.follow().said


# Restricted, suspended ------------------------------------------------------------------------------------


def test_restrict_and_lift(browse: Browse, people: People) -> None:
    reference = filed(people, "restriction")
    path = f"/desk/requests/{reference}"
    browse.sign_in(people.dana)
    browse(path)
    browse.press("Restrict")
    assert "Restricted since" in browse.follow().said
    browse.press("Answer and close", {"Your answer": WORDS})
    assert browse.follow().has_button("End the restriction")
    browse.sign_in(people.alice)
    for where in ("/", "/choices", "/held"):
        assert "The use of your data is restricted" in browse(where).said, where
    browse.sign_in(people.dana)
    browse(path)
    browse.press("End the restriction")
    assert len(letters("restriction_lifted", to=people.alice.email)) == 1
    browse.sign_in(people.alice)
    for where in ("/", "/choices", "/held"):
        assert "The use of your data is restricted" not in browse(where).said, where


def test_a_suspended_person_is_answered_like_a_stranger(browse: Browse, people: People, clock: Traveller) -> None:
    """No oracle: the same page for a right password, a wrong one, and nobody's address; no link lets them in."""
    reference = filed(people)
    browse.sign_in(people.alice)
    browse.sign_in(people.dana)
    browse(f"/desk/requests/{reference}")
    browse.press("Suspend", {"suspension": "fraud"})
    assert "Suspended since" in browse.follow().said
    browse.turn_to(people.alice)
    assert not browse.is_signed_in()
    before = len(letters())
    answers = []
    for address, password in (
        (people.alice.email, ALICE_PASSWORD),
        (people.alice.email, "wrong-wrong-wrong"),
        ("nobody@example.org", "wrong-wrong-wrong"),
    ):
        browse("/sign-in", as_=None)
        page = browse.press("Sign in", {"Email address": address, "Password": password}, status=422)
        answers.append(page.beside("email"))
    assert answers == [WRONG] * 3
    for path in ("/forgot-password", "/activate"):
        browse(path)
        browse.press("Send", {"Email address": people.alice.email})
        assert answer_links() == 1
    assert len(letters()) == before
    assert db.session.execute(select(func.count()).select_from(SignIn).join(SignIn.account)).scalar_one() == 1

    browse.sign_in(people.dana)
    page = browse("/desk/suspended")
    assert reference in page.said
    assert "Okonkwo" not in page.said
    assert not page.has_button("One more year")
    clock.move_to(NOW + 366 * DAY)
    browse.sign_in(people.dana)
    assert "1 to look at again" in browse("/desk").said
    assert "Look at it now" in browse("/desk/suspended").said
    browse.press("One more year")
    assert "5 December 2028" in browse.follow().said
    browse.press("Let in again")
    assert "Nobody is suspended" in browse.follow().said
    assert db.session.scalars(select(Suspension.ended_at)).one() is not None
    browse.sign_in(people.alice, password=ALICE_PASSWORD)
    assert "suspension of your sign-in ended" in browse("/held/what-changed").said


# Who is kept out ------------------------------------------------------------------------------------------


def test_nobody_answers_what_they_asked_without_a_record(browse: Browse, people: People) -> None:
    with writes():
        asks.ask(four.DANA_EMAIL.upper(), "erasure", details="", now=NOW)
    browse(link_in(letter("ask_confirm")), as_=None)
    browse.press("Confirm")
    reference = browse.page.location.rpartition("/")[2].partition(".")[0]
    browse.sign_in(people.dana)
    page = browse(f"/desk/requests/{reference}", status=403)
    assert "A colleague has to do this." in page.said


def test_every_page_and_press_of_the_desk(app: Flask, browse: Browse, people: People) -> None:
    """Tried as nobody, as Alice on her own, as Bob on hers, and by somebody of the desk on their own record."""
    reference = filed(people, "access")
    with writes():
        suspended = suspensions.suspend(people.bob.subject, "abuse", now=NOW)
        suspensions.end(suspensions.all_standing()[0].suspension, now=NOW)
        assert suspended
    known = [(endpoint, path) for level in (DESK, RECENT) for endpoint, path in paths(app, method="POST", level=level)]
    ours = [(e, p.replace(FILLED_IN["reference"], reference)) for e, p in known if e.startswith(("desk.", "handling."))]
    assert len(ours) > 18
    browse("/sign-in", as_=None)
    token = browse.page.controls()["csrf_token"]
    before = row(reference).state, len(row(reference).steps)
    for _, path in ours:
        assert browse(path, method="POST", status=303, data={"csrf_token": token}).location.startswith("/sign-in?next=")
    for who in (people.alice, people.bob):
        browse.sign_in(who)
        token = browse("/profile/edit").controls()["csrf_token"]
        for _, path in ours:
            browse(path, method="POST", status=403, data={"csrf_token": token})
    with writes():
        account = db.session.merge(people.alice.account)
        assert account is not None
        account.staff = True
    browse.sign_in(people.alice)
    token = browse("/profile/edit").controls()["csrf_token"]
    browse(f"/desk/requests/{reference}", status=403)
    for endpoint, path in ours:
        if endpoint.startswith("handling."):
            assert "colleague" in browse(path, method="POST", status=403, data={"csrf_token": token}).said, path
    browse("/desk")
    assert "colleague" in browse.press("Look up", {"look_up": people.alice.email}, status=403).said
    browse("/desk/requests/new")
    typed = {"who": people.alice.email, "how": "mail", "letter_words": "Mine."}
    assert "colleague" in browse.press("Write it down", typed, status=403).said
    assert before == (row(reference).state, len(row(reference).steps))
    assert looks_at(people.alice) == []


@pytest.mark.parametrize("kind", sorted(FILED))
def test_every_kind_has_a_page(browse: Browse, people: People, kind: str) -> None:
    reference = filed(people, kind)
    browse.sign_in(people.dana)
    page = browse(f"/desk/requests/{reference}")
    assert page.heading == f"{KINDS[kind].title}, {reference}"
    for each in KINDS[kind].replies:
        assert reference in browse(f"/desk/requests/{reference}?reply={each.code}").body.decode()
    assert str(BOB["last_name"]) not in page.said
