"""The rules of templates: each compiles, each page fills the frame, and nothing stands inline."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask
from jinja2 import StrictUndefined, nodes

import portal

FOLDER = Path(portal.__file__).parent / "templates"
TEMPLATES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
PAGES = [
    name
    for name in TEMPLATES
    if not name.startswith(("email/", "components/")) and name not in ("base.html", "bare.html")
]
BASES = ("base.html", "bare.html")


def source(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_there_are_pages() -> None:
    assert len(PAGES) > 20


def test_names_are_strict(app: Flask) -> None:
    assert app.jinja_env.undefined is StrictUndefined
    assert app.jinja_env.autoescape is not False


def test_each_compiles(app: Flask) -> None:
    for name in TEMPLATES:
        app.jinja_env.get_template(name)


def test_a_page_fills_the_frame(app: Flask) -> None:
    for name in PAGES:
        tree = app.jinja_env.parse(source(name))
        (base,) = tree.find_all(nodes.Extends)
        assert isinstance(base.template, nodes.Const)
        assert base.template.value in BASES, f"{name}: extend base.html, or bare.html where no cookie may be read"
        blocks = {block.name for block in tree.find_all(nodes.Block)}
        assert blocks >= {"title", "heading", "main"}, f"{name}: write the blocks title, heading and main"


def test_nothing_is_called_safe(app: Flask) -> None:
    for name in TEMPLATES:
        tree = app.jinja_env.parse(source(name))
        assert "safe" not in {each.name for each in tree.find_all(nodes.Filter)}, f"{name}: |safe trusts a text"
        unescaped = list(tree.find_all(nodes.ScopedEvalContextModifier))
        assert not unescaped, f"{name}: autoescape is not switched off"


def test_what_is_only_heard_begins_with_no_sign() -> None:
    """It is taken out of the line, so that a screen reader puts a blank before it: "Change : What we send you"."""
    for name in TEMPLATES:
        assert not re.search(r'class="hidden">\s*[:,.]', source(name)), f"{name}: write a dash, or words"


def test_nothing_stands_inline() -> None:
    """A mail brings its style along, and it is put on each element; a page has none."""
    for name in TEMPLATES:
        if name.startswith("email/"):
            continue
        assert not re.search(r"<[^>{]*\s(style|on[a-z]+)\s*=", source(name)), f"{name}: an inline style or handler"
        assert not re.search(r"<style\b", source(name)), f"{name}: a style element"
        for script in re.findall(r"<script\b[^>]*>", source(name)):
            assert "src=" in script, f"{name}: an inline script"
