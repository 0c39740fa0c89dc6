"""Rule: the rooms are layers, one way; and a few ways of writing that lead astray are not used."""

from __future__ import annotations

import ast
from pathlib import PurePath

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.rules.source import ROOT, functions, modules

DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "shared", "manager", "managers", "repository"}


def test_the_rooms_are_layers(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    printed = capsys.readouterr().out
    assert "3 kept" in printed, printed
    assert status == EXIT_STATUS_SUCCESS, printed


def test_nothing_is_imported_inside_a_function() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert found == [], "import at the top; a circle means that something stands in the wrong room"


def test_one_row_is_asked_for_with_its_type() -> None:
    """`session.scalar(select(…))` is Any to the type checker: a misspelt attribute would pass."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "scalar"
        and (node.args or node.keywords)
    ]
    assert found == [], "write session.scalars(select(…)).one_or_none(), or session.execute(…).scalar_one()"


def test_there_is_no_drawer_for_odds_and_ends() -> None:
    found = [path for path in modules() if DRAWERS & {*PurePath(path).with_suffix("").parts}]
    assert found == [], "name the file after its noun"


def test_every_module_says_which_room_it_is() -> None:
    found = [path for path, tree in modules().items() if not (ast.get_docstring(tree) or "").strip()]
    assert found == [], "open the module with one sentence: which room it is, who may call it"
