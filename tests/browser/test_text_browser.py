"""In a text browser, without style or script: pages read in an order that makes sense, and the main job gets done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.live import Live
from tests.browser.test_main_job import REFERENCE, allowed
from tests.browser.text_browser import TextBrowser, text_browser

ABOVE = ("Skip to the main content", "IMAPS", "Signed in as Alice", "Sign out", "Overview", "Profile", "Security")
BELOW = ("Privacy notice", "Stop our emails", "Write to privacy@example.org")
# What stands between, in the order in which it has to be heard to be understood.
PAGES = {
    "/": ("Hello, Alice", "What we send you", "Who sees you", "What we hold", "What you asked for"),
    "/profile": ("Member Information", "Change Contact/Profile Info", "Last name Okonkwo-Lindqvist Change Last name"),
    "/held": ("What we hold about you", "Download everything", "Who you are", "First name Alice"),
    "/requests/new": ("New request", "See my data", "I want to know", "Delete my data"),
    "/security": ("Security", "Password Set on", "Change Password", "This one", "End this one", "Sign out everywhere"),
}


@pytest.fixture
def w3m(tmp_path: Path) -> Iterator[TextBrowser]:
    with text_browser(tmp_path) as browser:
        yield browser


def test_the_main_job(live: Live, w3m: TextBrowser) -> None:
    person = live.somebody()
    w3m.open(f"{live.url}/choices")
    w3m.type("Email address", person.email)
    w3m.type("Password", person.password)
    said = w3m.press("Sign in")
    stands(
        said, "Choices", "Suppress Broadcast Emails", "Now: No", "( ) Yes, stop them", "(*) No, keep sending", "Save"
    )
    for path, words in PAGES.items():
        stands(w3m.open(live.url + path), *ABOVE, *words, *BELOW)

    w3m.open(f"{live.url}/choices")
    w3m.pick("Suppress Broadcast Emails", "Yes, stop them")
    said = w3m.press("Save")
    stands(said, "Choices", "Saved", "now “Yes, stop them”. It was “No, keep sending”.", "Undo", "(*) Yes, stop them")
    assert not allowed(live, person)

    w3m.open(f"{live.url}/profile/edit")
    w3m.type("Post town", "Lund")
    stands(w3m.press("Save"), "Post town is now “Lund”. It was “Uppsala”.", "Undo", "Post town Lund Saved here")

    w3m.open(f"{live.url}/requests/new/erasure")
    said = w3m.press("Send")
    stands(said, "We have your request.", "Delete my data", "Withdraw this request", "Answer due")
    assert REFERENCE.search(said)
    stands(w3m.press("Withdraw this request"), "Your request is withdrawn.", "Withdrawn by you")
    stands(w3m.press("Sign out"), "You are signed out.")


def test_the_link_of_a_broadcast(live: Live, w3m: TextBrowser) -> None:
    person = live.somebody()
    (url,) = allowed(live, person)
    stands(w3m.open(url), "Stop “Events”?", "Unsubscribe", "Stop all broadcast email")
    stands(w3m.press("Unsubscribe"), "You are unsubscribed", "Stop all broadcast email", "Undo")
    assert not allowed(live, person)
    stands(w3m.press("Stop all broadcast email"), "You are unsubscribed")
    assert not allowed(live, person, "magazine")
    stands(w3m.press("Undo"), "Undone")
    assert allowed(live, person, "magazine")


def stands(said: str, *words: str) -> None:
    """These words stand on the page, each after the one before."""
    rest = said
    for each in words:
        before, found, rest = rest.partition(each)
        assert found, f"“{each}” stands not where it should: {before[:1500]}"
