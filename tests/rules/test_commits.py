"""Rule: three places commit. A verb or a view that commits would make half of a request outlive its failure."""

from __future__ import annotations

import ast

from tests.rules.source import inside, modules

COMMITS = {
    ("portal/extensions.py", "transaction"),  # commands, the worker, and what must outlive a refusal
    ("portal/web/commits.py", "close"),  # after a POST that was answered below 400
}
BEGINS = {("portal/extensions.py", "plain_transaction")}  # the worker's many small steps; commits at its end
# Each of these ends, begins or bypasses a transaction: `engine.begin()` commits at its end.
WORDS = {"commit", "begin", "autocommit", "begin_twophase", "raw_connection"}
ADVICE = "a verb flushes at most; a command writes `with extensions.transaction():`; a page leaves it to web/commits.py"


def test_three_places_commit() -> None:
    found = {
        (path, function)
        for path, tree in modules().items()
        for function, node in inside(tree)
        if isinstance(node, ast.Attribute) and node.attr in WORDS
    }
    assert found == COMMITS | BEGINS, ADVICE


def test_each_commits_once() -> None:
    calls = [
        (path, function)
        for path, tree in modules().items()
        for function, node in inside(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit"
    ]
    assert sorted(calls) == sorted(COMMITS), ADVICE


def test_nothing_commits_by_another_name() -> None:
    """SQL that says COMMIT, an engine that commits by itself, or `getattr(session, "commit")`."""
    found = [
        f"{path}:{node.lineno} {node.value!r}"
        for path, tree in modules().items()
        for _, node in inside(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.strip().rstrip(";").upper() in {"COMMIT", "AUTOCOMMIT", "END TRANSACTION"}
    ]
    assert found == [], ADVICE
