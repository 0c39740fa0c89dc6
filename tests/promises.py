"""Writes docs/promises.md: each promise with what keeps it and the tests that name it. `python -m tests.promises`."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOLD = ROOT / "docs" / "promises.toml"
WRITTEN = ROOT / "docs" / "promises.md"
PROMISE = re.compile(r"\bP([1-9][0-9]?)\b")


def tests_by_promise() -> dict[str, list[str]]:
    """From each promise to the tests whose own docstring, or whose module's, names it."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name, words in _tests(ast.parse(path.read_text(encoding="utf-8"))):
            for number in PROMISE.findall(words):
                found.setdefault(f"P{number}", []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def _tests(module: ast.Module) -> Iterator[tuple[str, str]]:
    yield "(whole file)", ast.get_docstring(module) or ""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def document() -> str:
    """The whole page."""
    told: dict[str, dict[str, str]] = tomllib.loads(TOLD.read_text(encoding="utf-8"))
    tests = tests_by_promise()
    still_open = [code for code, promise in told.items() if "open" in promise]
    lines = [
        "# The promises, and what keeps each",
        "",
        "Written by `make promises` from docs/promises.toml and the tests; do not edit.",
        "",
        f"{len(told)} promises, {len(still_open)} of them with work still open: {', '.join(still_open)}.",
    ]
    for code, promise in told.items():
        lines += ["", f"## {code}", "", promise["words"], ""]
        lines += [f"- {label}: {promise[key]}" for key, label in LABELS.items() if key in promise]
        lines += [f"- Test: `{name}`" for name in dict.fromkeys(tests.get(code, []))]
    return "\n".join(lines) + "\n"


LABELS = {"page": "Kept by", "staff": "Staff", "open": "Open, until the work on"}

if __name__ == "__main__":
    WRITTEN.write_text(document(), encoding="utf-8")
