"""Forms from elsewhere: every POST needs the token of our own page, except the one that RFC 8058 forbids it to."""

from __future__ import annotations

import pytest
from flask import Flask

from portal.extensions import csrf, db
from portal.models import Member
from portal.tokens import sign_unsubscribe
from portal.web.access import MEMBER, PUBLIC, RECENT
from tests.browse import Browse
from tests.people import BOB_PASSWORD, People
from tests.rules.test_access import paths

ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://[evil"},
    {"Referer": "https://evil.example/localhost"},
    {},
]


def test_one_view_is_exempt() -> None:
    assert {each for each in csrf._exempt_views if each.startswith("portal.")} == {"portal.web.unsubscribe.by_link"}
    assert csrf._exempt_blueprints == set()


def test_every_form_without_a_token_is_refused(app: Flask, browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    routes = [each for level in (PUBLIC, MEMBER, RECENT) for each in paths(app, method="POST", level=level)]
    assert len(routes) > 12
    for endpoint, path in routes:
        for headers in ({"Sec-Fetch-Site": "same-origin"}, *ELSEWHERE):
            for typed in ({}, {"csrf_token": ""}, {"csrf_token": "made-up"}):
                if endpoint == "unsubscribe.by_link":
                    continue
                page = browse(path, status=400, method="POST", data=typed, headers=headers)
                assert "Nothing was changed" in page.said, path
    assert browse.is_signed_in()
    link = f"/unsubscribe/{sign_unsubscribe(people.alice.subject.unsubscribe_reference)}"
    browse(link, status=200, method="POST", headers={"Sec-Fetch-Site": "cross-site"})


def test_the_token_of_another_browser_is_worth_nothing(browse: Browse, people: People) -> None:
    browse.sign_in(people.bob)
    token = browse("/profile/edit").controls()["csrf_token"]
    browse.sign_in(people.alice)
    browse("/profile/edit")
    browse.press("Save", {"csrf_token": token, "city": "Lund"}, status=400)
    assert people.alice.city == "Uppsala"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_sent_from_elsewhere_is_refused_even_with_a_token(browse: Browse, people: People, site: str) -> None:
    browse.sign_in(people.alice)
    browse("/profile/edit")
    browse.press("Save", {"city": "Lund"}, status=400, headers={"Sec-Fetch-Site": site})
    assert people.alice.city == "Uppsala"
    browse("/profile/edit")
    browse.press("Save", {"city": "Lund"})


def test_an_expired_form_keeps_what_was_typed(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    browse("/profile/edit")
    typed = {"csrf_token": "old", "city": "Lund", "demographics": "Grandmother of <two>"}
    page = browse.press("Save", typed, status=400)
    assert "kept" in page.said
    held = page.controls()
    assert (held["city"], held["demographics"]) == ("Lund", "Grandmother of <two>")
    assert held["csrf_token"] != "old"
    browse.press("Send")
    assert db.session.get_one(Member, people.alice.id).city == "Lund"


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_an_expired_form_from_elsewhere_shows_nothing_of_it(
    browse: Browse, people: People, headers: dict[str, str]
) -> None:
    browse.sign_in(people.alice)
    page = browse("/profile/edit", status=400, method="POST", data={"city": "Planted"}, headers=headers)
    assert "Planted" not in page.body.decode()
    assert not [form for form in page.forms if form["action"] != "/sign-out"]


def test_an_expired_form_never_keeps_a_password(browse: Browse, people: People) -> None:
    browse.sign_in(people.bob)
    browse("/security/password")
    typed = {"csrf_token": "old", "New password": "seven-grey-herons-fly"}
    page = browse.press("Save", typed, status=400)
    assert "seven-grey-herons" not in page.body.decode()
    browse("/sign-in", as_=None)
    page = browse.press(
        "Sign in", {"csrf_token": "old", "email": people.bob.email, "password": BOB_PASSWORD}, status=400
    )
    assert BOB_PASSWORD not in page.body.decode()
