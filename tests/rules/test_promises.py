"""The page of promises is current, and no promise is forgotten."""

from __future__ import annotations

import tomllib

from tests import promises


def test_every_promise_is_told_and_kept_or_openly_open() -> None:
    told = tomllib.loads(promises.TOLD.read_text(encoding="utf-8"))
    assert list(told) == [f"P{number}" for number in range(1, 39)]
    for code, promise in told.items():
        assert promise.keys() & {"page", "staff", "open"}, f"{code}: write what keeps it in docs/promises.toml"


def test_a_promise_that_a_page_keeps_alone_has_a_test_that_names_it() -> None:
    told = tomllib.loads(promises.TOLD.read_text(encoding="utf-8"))
    tests = promises.tests_by_promise()
    kept = [code for code, promise in told.items() if "page" in promise and "open" not in promise]
    untested = [code for code in kept if code not in tests]
    assert not untested, f"name the promise in the docstring of the test that shows it: {', '.join(untested)}"


def test_the_page_is_current() -> None:
    assert promises.WRITTEN.read_text(encoding="utf-8") == promises.document(), "run `make promises`"
