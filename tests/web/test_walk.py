"""Every page of the portal opens, signed out and signed in, and is well made: `browse` looks at each."""

from __future__ import annotations

import pytest

from tests.browse import Browse
from tests.databases import writes
from tests.people import People
from tests.rows import fill

SIGNED_OUT = ["/", "/sign-in", "/activate", "/forgot-password", "/link-sent", "/unsubscribe", "/unsubscribe/link-sent"]
ANYONE = ["/notice", "/notice/1", "/cookies"]
MEMBER = [
    "/",
    "/profile",
    "/profile/edit",
    "/profile/email",
    "/choices",
    "/choices?after=0",
    "/held",
    "/held/what-changed",
    "/requests",
    "/requests/new",
    "/requests/new/erasure",
    "/security",
    "/security/password",
    "/security/everywhere",
]


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_signed_out(browse: Browse, people: People, full: bool) -> None:
    if full:
        with writes():
            fill(people)
    for path in SIGNED_OUT + (ANYONE if full else ["/notice", "/cookies"]):
        assert browse(path).heading


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
def test_signed_in(browse: Browse, people: People, full: bool) -> None:
    if full:
        with writes():
            fill(people)
    for person in (people.alice, people.bob):
        browse.sign_in(person)
        for path in MEMBER + (ANYONE if full else []):
            assert browse(path).heading


def test_overview_greets_by_first_name(browse: Browse, people: People) -> None:
    browse.sign_in(people.alice)
    assert "Alice" in browse("/").heading


def test_nothing_there(browse: Browse, people: People) -> None:
    for path in ("/nothing", "/requests/IM-2222-2222", "/notice/7", "/unsubscribe/x", "/set-password/x"):
        browse("/nothing", status=404, as_=None)
        browse(path, status=303 if path.startswith("/requests/") else 404)
    browse.sign_in(people.bob)
    for path in ("/nothing", "/requests/IM-2222-2222", "/requests/new/nothing", "/security/end/nothing"):
        browse(path, status=404)
