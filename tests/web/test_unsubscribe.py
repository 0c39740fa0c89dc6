"""The link in every broadcast: a look changes nothing, a press stops it, for ever and for everybody (RFC 8058, P5)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select
from werkzeug.test import Client as WithoutCookies

from portal import clock as portal_clock
from portal.extensions import db
from portal.models import ChoiceRow, Subject
from portal.purposes import SUPPRESS, TOPICS
from portal.tokens import read_unsubscribe, sign_unsubscribe
from tests.browse import Browse
from tests.conftest import Runner
from tests.databases import everything, writes
from tests.letters import answer_links, letter, letters, link_in
from tests.people import People

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def link(subject: Subject, topic: str = "events") -> str:
    return f"/unsubscribe/{sign_unsubscribe(subject.unsubscribe_reference, topic)}"


@pytest.fixture
def hers(people: People) -> str:
    """Alice's link for the topic Events."""
    return link(people.alice.subject)


def rows() -> list[tuple[str, str, str]]:
    db.session.rollback()
    found = db.session.scalars(select(ChoiceRow).order_by(ChoiceRow.id))
    return [(row.code, row.value, row.door) for row in found]


def test_a_press_stops_the_topic(browse: Browse, hers: str) -> None:
    """P5: signed out, one press, an answer on the same page; nothing there says who one is."""
    page = browse(hers, as_=None)
    assert page.heading == "Stop “Events”?"
    page = browse.press("Unsubscribe", status=200)
    assert page.heading == "You are unsubscribed"
    assert rows() == [("topic_events", "off", "link")]
    assert "mail.example.org" not in page.body.decode()


def test_stop_all_broadcast_email(browse: Browse, hers: str) -> None:
    browse(hers, as_=None)
    browse.press("Stop all broadcast email", status=200)
    assert rows() == [(SUPPRESS, "yes", "link")]


def test_stop_all_also_afterwards(browse: Browse, hers: str) -> None:
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    browse.press("Stop all broadcast email", status=200)
    assert rows() == [("topic_events", "off", "link"), (SUPPRESS, "yes", "link")]


def test_a_link_for_everything(browse: Browse, people: People) -> None:
    page = browse(link(people.alice.subject, "all"), as_=None)
    assert page.heading == "Stop all broadcast emails?"
    assert not page.has_button("Stop all broadcast email")
    browse.press("Unsubscribe", status=200)
    assert rows() == [(SUPPRESS, "yes", "link")]


def test_a_topic_that_is_no_more_stops_everything(browse: Browse, people: People) -> None:
    browse(link(people.alice.subject, "fax-news"), as_=None)
    browse.press("Unsubscribe", status=200)
    assert rows() == [(SUPPRESS, "yes", "link")]


SCANNERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0 Safari/537.36",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    "Mozilla/5.0 (Windows NT 10.0; WOW64) SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; GoogleImageProxy)",
    "Mozilla/5.0 (compatible; Google-Safety; +http://www.google.com/bot.html)",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    "BarracudaCentral", "Mimecast-URL-Protect", "ProofpointURLDefense/1.0", "Symantec-EmailSecurity", "TrendMicro-WRS",
    "facebookexternalhit/1.1", "Slackbot-LinkExpanding 1.0", "WhatsApp/2.24", "LinkedInBot/1.0", "curl/8.5.0",
    "python-requests/2.32", "",
]  # fmt: skip


def test_a_thousand_looks_of_scanners_change_nothing_and_one_press_does(app: Flask, people: People) -> None:
    """P5, P29: GET and HEAD, eight at a time, as twenty sorts of them do; then a press in either encoding."""
    paths = [link(people.alice.subject, topic) for topic in ("events", "magazine")]
    before = everything()

    def look(turn: int) -> tuple[int, bool, bool]:
        headers = {"User-Agent": SCANNERS[turn % 20]} | ({"Sec-Purpose": "prefetch;prerender"} if turn % 3 else {})
        method = "HEAD" if turn % 7 < 3 else "GET"
        with WithoutCookies(app, use_cookies=False).open(paths[turn % 2], method=method, headers=headers) as answer:
            return answer.status_code, method == "GET" and not answer.data, "Set-Cookie" in answer.headers

    with ThreadPoolExecutor(8) as several:
        assert set(several.map(look, range(1000))) == {(200, False, False)}
    assert everything() == before
    for path, encoding in zip(paths, ("application/x-www-form-urlencoded", "multipart/form-data"), strict=True):
        press = WithoutCookies(app, use_cookies=False).post(path, data=ONE_CLICK, content_type=encoding)
        assert press.status_code == 200
    assert rows() == [("topic_events", "off", "one-click"), ("topic_magazine", "off", "one-click")]


@pytest.mark.parametrize("encoding", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_one_click(app: Flask, hers: str, encoding: str) -> None:
    """As a mail program does it: no cookie, no token, no redirect; again is the same."""
    for _ in range(3):
        answer = app.test_client().post(hers, data=ONE_CLICK, content_type=encoding)
        assert answer.status_code == 200
        assert answer.mimetype == "text/plain"
        assert "Set-Cookie" not in answer.headers
    assert rows() == [("topic_events", "off", "one-click")]


def test_one_click_is_not_limited(app: Flask, people: People) -> None:
    """One large mail house presses for thousands from few addresses."""
    client = app.test_client()
    links = [link(people.alice.subject, topic) for topic in ("events", "magazine", "all")]
    for turn in range(150):
        assert client.post(links[turn % 3], data=ONE_CLICK).status_code == 200
    assert len(rows()) == 3


@pytest.mark.parametrize("body", [{}, {"List-Unsubscribe": "one-click"}, {"x": "y"}, {"List-Unsubscribe": ""}])
def test_another_body_is_a_look(app: Flask, hers: str, body: dict[str, str]) -> None:
    answer = app.test_client().post(hers, data=body)
    assert answer.status_code == 200
    assert "Stop “Events”?" in answer.text
    assert rows() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_method_is_refused(browse: Browse, hers: str, method: str) -> None:
    assert browse.client.open(hers, method=method, data=ONE_CLICK).status_code in (400, 405)
    assert rows() == []


def test_twice_is_once(browse: Browse, hers: str) -> None:
    for _ in range(2):
        browse(hers, as_=None)
        assert browse.press("Unsubscribe", status=200).heading == "You are unsubscribed"
    assert len(rows()) == 1


def test_years_later(browse: Browse, hers: str, clock: Any) -> None:
    clock.shift(timedelta(days=20 * 365))
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    assert rows() == [("topic_events", "off", "link")]


def test_after_the_record_is_gone(browse: Browse, app: Flask, people: People) -> None:
    """Charlie was erased: the link answers as ever, and nothing is written about him."""
    path = link(people.charlie)
    browse(path, as_=None)
    assert browse.press("Unsubscribe", status=200).heading == "You are unsubscribed"
    assert app.test_client().post(path, data=ONE_CLICK).status_code == 200
    assert rows() == []


def test_a_reference_that_we_do_not_know_any_more(browse: Browse, app: Flask, people: People) -> None:
    path = f"/unsubscribe/{sign_unsubscribe(b'0123456789abcdef', 'events')}"
    browse(path, as_=None)
    assert browse.press("Unsubscribe", status=200).heading == "You are unsubscribed"
    assert app.test_client().post(path, data=ONE_CLICK).status_code == 200
    assert rows() == []


def test_a_bad_token_is_not_there(browse: Browse, hers: str, people: People) -> None:
    token = hers.rsplit("/", 1)[1]
    payload, topic, ident, mark = token.split(".")
    bad = [
        token[:-1],
        token + "A",
        token.swapcase(),
        f"{payload}.all.{ident}.{mark}",
        f"{payload}.{topic}.u2.{mark}",
        f"{payload}.{topic}..{mark}",
        f"{payload}.{topic}.{ident}",
        "x.y.z.ü",
        "....",
        "x",
    ]
    for number, each in enumerate(bad):
        elsewhere = {"REMOTE_ADDR": f"198.51.{number}.7"}
        for method, data in (("GET", {}), ("POST", ONE_CLICK), ("POST", {"confirm": "1"})):
            answer = browse.client.open(f"/unsubscribe/{each}", method=method, data=data, environ_overrides=elsewhere)
            assert answer.status_code in (400, 404), each
    assert rows() == []


def test_many_bad_tokens_are_slowed_down_and_good_ones_never(browse: Browse, hers: str, people: People) -> None:
    answers = [browse.client.get(f"/unsubscribe/guess.{number}").status_code for number in range(25)]
    assert answers == [404] * 20 + [429] * 5
    assert browse.client.post(hers, data=ONE_CLICK).status_code == 200


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=120) | st.from_regex(r"[A-Za-z0-9_-]{1,30}(\.[A-Za-z0-9_-]{0,50}){3}", fullmatch=True))
def test_nobody_guesses_a_token(app: Flask, text: str) -> None:
    assert read_unsubscribe(text) is None


def test_it_neither_asks_nor_shows_who_is_signed_in(browse: Browse, hers: str, people: People) -> None:
    """A forwarded mail: the link is Alice's, the browser Bob's (security, threat T31)."""
    browse.sign_in(people.bob)
    page = browse(hers)
    assert not page.has_button("Sign out")
    for words in ("Tanaka", "Okonkwo", "mail.example.org"):
        assert words not in page.body.decode()
    browse.press("Unsubscribe", status=200)
    assert [row.subject_id for row in db.session.scalars(select(ChoiceRow))] == [people.alice.id]
    browse("/profile")


# Undo -----------------------------------------------------------------------------------------------------


def test_undo_within_half_an_hour(browse: Browse, hers: str, clock: Any) -> None:
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    clock.shift(timedelta(minutes=29))
    assert browse.press("Undo", status=200).heading == "Undone"
    assert rows()[-1] == ("topic_events", "on", "link")


def test_undo_ends(browse: Browse, hers: str, clock: Any) -> None:
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    clock.shift(timedelta(minutes=31))
    assert "Nothing to undo" in browse.press("Undo", status=200).heading
    assert len(rows()) == 1


def test_undo_gives_back_only_what_the_link_took(browse: Browse, hers: str, people: People) -> None:
    """Stopped on the page before, then by the link too: the undo of the link gives nothing back."""
    browse.sign_in(people.alice)
    browse("/choices")
    browse.press("Save", {"Events": "Off", "Suppress Broadcast Emails": "Yes, stop them"})
    before = rows()
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    browse.press("Undo", status=200)
    browse(hers)
    browse.press("Stop all broadcast email", status=200)
    browse.press("Undo", status=200)
    browse.client.post(hers, data={"undo": "all"})
    browse.client.post(hers, data={"undo": "topic"})
    assert rows() == [*before, ("topic_events", "off", "link"), (SUPPRESS, "yes", "link")]


def test_undo_of_a_topic_leaves_the_great_stop(browse: Browse, hers: str) -> None:
    browse(hers, as_=None)
    browse.press("Unsubscribe", status=200)
    stopped = browse.page
    browse.press("Stop all broadcast email", status=200)
    browse.open[browse.who] = stopped
    browse.press("Undo", status=200)
    standing = {code: value for code, value, _ in rows()}
    assert standing == {"topic_events": "on", SUPPRESS: "yes"}


def test_what_was_given_back_is_stopped_again_by_the_button_beside_it(browse: Browse, hers: str) -> None:
    """Nor does any state of the page say who one is, or how another topic stands."""
    buttons = ("Stop all broadcast email", "Undo", "Unsubscribe", "Undo")
    said = [browse(hers, as_=None).text, *(browse.press(button, status=200).text for button in buttons)]
    assert rows() == [(SUPPRESS, value, "link") for value in ("yes", "no", "yes", "no")]
    names = [topic.name for topic in TOPICS.values() if topic.name not in ("Events", "Announcements")]
    for word in ("Okonkwo", "Alice", "mail.example.org", *names):
        assert not any(word in text for text in said), word


def test_undo_for_a_stranger_or_the_erased(app: Flask, people: People) -> None:
    for path in (link(people.charlie), f"/unsubscribe/{sign_unsubscribe(b'0123456789abcdef', 'events')}"):
        answer = app.test_client().post(path, data={"undo": "topic"})
        assert answer.status_code == 200
    assert rows() == []


# What follows from it -------------------------------------------------------------------------------------


def filtered(run: Runner, people: People, topic: str) -> list[str]:
    given = f"name,email\nA,{people.alice.email.upper()}\nB,{people.bob.email}\nC,stranger@example.org\n"
    result = run("broadcasts", "filter", "--topic", topic, stdin=given)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "name,email,unsubscribe_url"
    return [line.partition(",")[0] for line in lines[1:]]


def test_the_filter_obeys(app: Flask, run: Runner, people: People, hers: str) -> None:
    """P5: what was stopped by the link is stopped for whoever sends."""
    assert filtered(run, people, "events") == ["A", "B"]
    app.test_client().post(hers, data=ONE_CLICK)
    assert filtered(run, people, "events") == ["B"]
    assert filtered(run, people, "magazine") == ["A", "B"]
    app.test_client().post(hers, data={"everything": "1"})
    assert filtered(run, people, "magazine") == ["B"]
    assert filtered(run, people, "recruiting") == []
    app.test_client().post(hers, data={"undo": "all"})
    assert filtered(run, people, "magazine") == ["A", "B"]


def test_a_long_list_is_filtered_in_its_order(run: Runner, people: People) -> None:
    """Whoever stands on it twice stays twice, and a line that is no address stops nothing."""
    strangers = "".join(f"stranger{number}@example.org\n" for number in range(2000))
    odd = "a\0b@example.org\n\u0080@example.org\n"
    given = f"email\n{people.bob.email}\n{strangers}{people.alice.email}\n{people.bob.email}\n{odd}"
    result = run("broadcasts", "filter", "--topic", "events", stdin=given)
    assert result.exit_code == 0
    kept = [line.partition(",")[0] for line in result.stdout.splitlines()[1:]]
    assert kept == [people.bob.email, people.alice.email, people.bob.email]
    assert result.stderr == "allowed 3\ndropped 2002\n"


def test_the_page_of_choices_shows_it(browse: Browse, people: People, hers: str) -> None:
    browse.client.post(hers, data=ONE_CLICK)
    browse.sign_in(people.alice)
    assert "by the unsubscribe button of your mail program" in browse("/choices").said
    browse("/")
    assert "Broadcast emails come to you" in browse.page.said
    browse.client.post(hers, data={"everything": "1"})
    assert "Broadcast emails stopped" in browse("/").said


# The lost link --------------------------------------------------------------------------------------------


def test_a_lost_link_is_mailed(browse: Browse, people: People) -> None:
    browse("/unsubscribe", as_=None)
    browse.press("Send", {"Email address": people.alice.email})
    assert browse.follow().heading == "Check your email"
    answer_links()
    browse(link_in(letter("unsubscribe_link", to=people.alice.email)))
    browse.press("Unsubscribe", status=200)
    assert rows() == [(SUPPRESS, "yes", "link")]


def test_a_suppressed_person_still_gets_the_link(browse: Browse, people: People) -> None:
    with writes():
        subject = db.session.merge(people.alice).id
        db.session.add(
            ChoiceRow(subject_id=subject, code=SUPPRESS, value="yes", at=portal_clock.now(), door="page", wording="x")
        )
    browse("/unsubscribe", as_=None)
    browse.press("Send", {"Email address": people.alice.email})
    answer_links()
    assert letters("unsubscribe_link")
