"""The cookies: two at most, and nothing in them tells who one is (P2, P12)."""

from __future__ import annotations

import base64
import json
import re
import zlib
from http.cookies import SimpleCookie

import pytest
from flask import Flask
from sqlalchemy import select

from portal.extensions import Base, db
from portal.models import DataSubjectRequest
from portal.tokens import sign_unsubscribe
from tests import people as four
from tests.browse import Browse, Page, session_of
from tests.databases import writes
from tests.people import People
from tests.rows import fill

HTTPS = {"PORTAL_URL": "https://privacy.example.org"}
ABOUT_PEOPLE = ("subject", "member", "account", "sign_in", "email_change")
SECRETS = re.compile(r"[A-Za-z0-9_-]{43}")


@pytest.fixture
def walk(browse: Browse, people: People) -> tuple[Browse, list[str]]:
    """A visit of Alice to everything that sets a cookie; the browser, and each Set-Cookie on the way."""
    with writes():
        fill(people)
    seen: list[str] = []

    def keep(page: Page) -> Page:
        seen.extend(page.headers.getlist("Set-Cookie"))
        return page

    original = browse._take
    browse._take = lambda *args: keep(original(*args))  # type: ignore[method-assign]
    browse.sign_in(people.alice, keep=True)
    browse("/")
    browse("/profile/edit")
    browse.press("Save", {"last_name": "Okonkwo", "suppress": True})
    browse.follow()
    browse("/choices")
    browse.press("Save", {"Attendee list": "Other attendees"})
    browse.follow()
    browse.press("Undo")
    browse.follow()
    browse("/profile/email")
    browse.press("Send", {"Email address": "alice@new.example.org"})
    browse.follow()
    browse("/requests/new/erasure")
    browse.press("Send", {"Anything to add": "Please be quick"})
    browse.follow()
    browse("/security/password")
    browse.press("Save", {"New password": "seven-grey-herons-fly"})
    browse.follow()
    browse.press("Sign out")
    browse.follow()
    return browse, seen


def texts_of(people: People) -> set[str]:
    """What the database holds of people, as text."""
    found = set()
    for table in (Base.metadata.tables[name] for name in ABOUT_PEOPLE):
        for row in db.session.execute(select(table)):
            found |= {str(value).lower() for value in row if value is not None and len(str(value)) > 4}
    found |= {reference.lower() for reference in db.session.scalars(select(DataSubjectRequest.reference))}
    return found | {str(value).lower() for value in four.ALICE.values() if len(str(value)) > 4}


def everything_in(cookie: str) -> str:
    """A cookie's text and every part of it that reads as base64, decoded, unpacked."""
    parts = [cookie]
    for part in re.split(r"[.|]", cookie):
        padded = part + "=" * (-len(part) % 4)
        try:
            raw = base64.urlsafe_b64decode(padded)
        except ValueError:
            continue
        parts.append(raw.decode("latin-1"))
        try:
            parts.append(zlib.decompress(raw).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(parts).lower()


@pytest.mark.parametrize("settings", [{}, HTTPS], ids=["http", "https"])
def test_their_names_and_flags(app: Flask, walk: tuple[Browse, list[str]], settings: dict[str, str]) -> None:
    _, seen = walk
    names = set()
    for text in seen:
        ((name, cookie),) = SimpleCookie(text).items()
        names.add(name)
        assert cookie["httponly"], text
        assert cookie["samesite"] == "Lax", text
        assert cookie["path"] == "/", text
        assert not cookie["domain"], text
        assert bool(cookie["secure"]) is bool(settings), text
        kept = name.endswith("keep")
        assert cookie["max-age"] in (("2592000", "0") if kept else ("", "0")), text
    assert names == ({"__Host-session", "__Host-keep"} if settings else {"session", "keep"})


def test_nothing_in_them_is_personal(walk: tuple[Browse, list[str]], people: People) -> None:
    _, seen = walk
    assert len(seen) > 10
    known = texts_of(people)
    for text in seen:
        value = text.partition("=")[2].partition(";")[0]
        content = everything_in(value)
        found = sorted(word for word in known if word in content and word != "session")
        assert not found, f"a cookie tells {found}: {content}"
        for table in ("member", "subject", "account", "sign_in"):
            for ident in db.session.scalars(select(Base.metadata.tables[table].c.id)):
                assert ident.hex not in content.replace("-", ""), table


def test_the_session_holds_random_texts_and_what_was_just_said(
    app: Flask, walk: tuple[Browse, list[str]], people: People
) -> None:
    _, seen = walk
    keys: set[str] = set()
    for text in seen:
        ((name, cookie),) = SimpleCookie(text).items()
        if name == "keep":
            assert not cookie.value or SECRETS.fullmatch(cookie.value), text
            continue
        content = session_of(app, {name: cookie.value})
        keys |= content.keys()
        if "_user_id" in content:
            assert SECRETS.fullmatch(content["_user_id"])
        assert json.dumps(content.get("_flashes", [])).count("example.org") == 0
    assert keys == {"_user_id", "csrf_token", "_flashes"}


def test_pages_without_a_form_set_none(browse: Browse, people: People) -> None:
    for path in ("/", "/notice", "/cookies", "/nothing", "/healthz", "/readyz", "/link-sent", "/static/portal.css"):
        with browse.client.get(path) as answer:
            assert "Set-Cookie" not in answer.headers, path


def test_the_unsubscribe_pages_neither_set_nor_read_one(browse: Browse, people: People) -> None:
    link = f"/unsubscribe/{sign_unsubscribe(people.alice.subject.unsubscribe_reference)}"
    browse.sign_in(people.bob, keep=True)
    fresh = browse.app.test_client()
    for method, data in (("GET", {}), ("POST", {"List-Unsubscribe": "One-Click"}), ("POST", {"confirm": "1"})):
        with_cookies = browse.client.open(link, method=method, data=data)
        without = fresh.open(link, method=method, data=data)
        for answer in (with_cookies, without):
            assert answer.status_code == 200
            assert "Set-Cookie" not in answer.headers
            assert "Cookie" not in answer.headers.get("Vary", "")
        assert with_cookies.data == without.data


def test_the_page_of_cookies_names_them(browse: Browse) -> None:
    """P16: Do-Not-Track is not answered, and the ways out of analytics and advertising are named."""
    page = browse("/cookies")
    for words in (
        "session",
        "keep",
        "30 days",
        "30 minutes",
        "12 hours",
        "the message that the next page shows you",
        "Do-Not-Track",
        "Google Analytics",
        "Digital Advertising Alliance",
    ):
        assert words in page.said
