"""The page of components: each state of a control stands as a class, by the very rules of the style sheet."""

from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from flask import Flask

from tests.browse import Browse


@pytest.fixture
def settings() -> dict[str, str]:
    return {"PORTAL_ENV": "development"}


def test_states_are_classes(app: Flask, browse: Browse) -> None:
    with browse.client.get("/dev/components") as answer:  # its form is wrong on purpose, which `browse` would not have
        soup = BeautifulSoup(answer.data, "html5lib")
    assert soup.select_one("link[href='/dev/states.css']")
    for state in ("pointed-at", "focused"):
        assert {each.name for each in soup.select(f".{state}")} >= {"button", "a", "summary", "input"}
    style = browse("/dev/states.css", as_=None).body.decode()
    for rule in (
        ":is(button, .button).main:is(:hover, .pointed-at) {",
        ":is(:focus-visible, .focused) { outline: 3px solid var(--focus)",
    ):
        assert rule in style
