"""The text of a notice as a page shows it: from Markdown, and what differs between two, paragraph by paragraph.

Texts never change once they are published, so both are made once for each process and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
ALIKE = 0.5  # paragraphs that share less than this are two, not one that was changed
FEW = 2  # so many words that stayed, between two that changed, are read as changed with them
MOST_PAIRS = 2500  # of paragraphs that are held against each other; beyond, a rewritten part is shown whole
MOST_WORDS = 2000  # in a paragraph that is looked at word by word


class Fate(StrEnum):
    """What became of a paragraph, or of a few words in it."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Piece(NamedTuple):
    """Some words of a paragraph, and what became of them."""

    fate: Fate
    words: str


class Block(NamedTuple):
    """One heading, paragraph, item of a list or row of a table, as plain words."""

    tag: str
    words: str


@dataclass(frozen=True)
class Part:
    """One step of a comparison: paragraphs that share a fate, each as its pieces; or those that stayed, as they are.

    `under`: the heading above it, where that was not shown yet.
    """

    fate: Fate
    paragraphs: tuple[tuple[Piece, ...], ...] = ()
    stayed: tuple[Block, ...] = ()
    under: str = ""


@lru_cache(maxsize=64)
def as_html(text: str) -> Markup:
    """Sanitised, though it is the society's own; its headings follow the page's, none more than one level below."""
    tokens = MARKDOWN.parse(text)
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    top, level = min((int(token.tag[1]) for token in headings), default=1), 1
    for token in headings:
        level = min(int(token.tag[1]) - top + 2, level + (token.type == "heading_open"), 6)
        token.tag = f"h{level}"
    return Markup(nh3.clean(str(MARKDOWN.renderer.render(tokens, MARKDOWN.options, {}))))  # noqa: S704


@lru_cache(maxsize=64)
def differences(old: str, new: str) -> tuple[Part, ...]:
    """What differs, in the order of the new text; runs of paragraphs that stayed are one part each."""
    return tuple(_with_headings(_parts(blocks(old), blocks(new))))


# Paragraphs -----------------------------------------------------------------------------------------------


def blocks(text: str) -> list[Block]:
    """The text's paragraphs in order. Where a link leads counts as words: a reader is to see that it changed."""
    found: list[Block] = []
    tags: list[str] = []
    cells: list[str] = []
    for token in MARKDOWN.parse(text):
        if token.type.endswith("_open"):
            tags.append(token.type.removesuffix("_open"))
        elif token.type.endswith("_close"):
            tags.pop()
            if token.type == "tr_close":
                found.append(Block("row", " | ".join(cells)))
                cells.clear()
        elif token.type == "inline" and tags[-1] in ("th", "td"):
            cells.append(_words(token))
        elif token.type == "inline":
            found.append(Block(_tag(tags), _words(token)))
        elif token.content.strip():
            found.append(Block("code", " ".join(token.content.split())))
    return [block for block in found if block.words]


def _tag(tags: Sequence[str]) -> str:
    return "heading" if tags[-1] == "heading" else "item" if "list_item" in tags else "paragraph"


def _words(token: Token) -> str:
    text, leads = "", ""
    for each in token.children or ():
        if each.type == "link_open":
            leads = str(each.attrGet("href") or "")
        elif each.type == "link_close":
            text += f" ({leads})" if leads and not text.endswith(leads) else ""
        else:
            text += " " if each.type in ("softbreak", "hardbreak") else each.content
    return " ".join(text.split())


# Comparing ------------------------------------------------------------------------------------------------


def _parts(old: list[Block], new: list[Block]) -> Iterator[Part]:
    for what, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            yield Part(Fate.SAME, stayed=tuple(new[new_from:new_to]))
        else:
            yield from _replaced(old[old_from:old_to], new[new_from:new_to])


def _replaced(old: list[Block], new: list[Block]) -> Iterator[Part]:
    """Each new paragraph with the old one that it came from, if there is one; the others gone, or fresh."""
    past = fresh = 0
    for place, block in enumerate(new):
        twin = _twin(block, old, past) if len(old) * len(new) <= MOST_PAIRS else None
        if twin is not None:
            yield from _whole(Fate.REMOVED, old[past:twin])
            yield from _whole(Fate.ADDED, new[fresh:place])
            past, fresh = twin + 1, place + 1
            yield Part(Fate.CHANGED, (tuple(_pieces(old[twin].words.split(), block.words.split())),))
    yield from _whole(Fate.REMOVED, old[past:])
    yield from _whole(Fate.ADDED, new[fresh:])


def _whole(fate: Fate, run: list[Block]) -> Iterator[Part]:
    if run:
        yield Part(fate, tuple((Piece(fate, block.words),) for block in run))


def _twin(block: Block, old: list[Block], past: int) -> int | None:
    words = block.words.split()
    best, found = ALIKE, None
    for place in range(past, len(old)):
        before = old[place].words.split()
        if old[place].tag != block.tag or max(len(words), len(before)) > MOST_WORDS:
            continue
        matcher = SequenceMatcher(None, before, words, autojunk=False)
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and (alike := matcher.ratio()) > best:
            best, found = alike, place
    return found


def _pieces(old: list[str], new: list[str]) -> Iterator[Piece]:
    for what, gone, come in _runs(old, new):
        if what == "equal":
            yield Piece(Fate.SAME, " ".join(come))
            continue
        if gone:
            yield Piece(Fate.REMOVED, " ".join(gone))
        if come:
            yield Piece(Fate.ADDED, " ".join(come))


def _runs(old: list[str], new: list[str]) -> list[tuple[str, list[str], list[str]]]:
    """Runs of words that stayed or were replaced; a few that stayed between two replaced ones go with them."""
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    runs: list[tuple[str, list[str], list[str]]] = []
    for number, (what, old_from, old_to, new_from, new_to) in enumerate(codes):
        gone, come = old[old_from:old_to], new[new_from:new_to]
        between = 0 < number < len(codes) - 1
        kind = "equal" if what == "equal" and not (between and len(come) <= FEW) else "replace"
        if kind == "replace" and runs and runs[-1][0] == "replace":
            runs[-1] = ("replace", runs[-1][1] + gone, runs[-1][2] + come)
        else:
            runs.append((kind, gone, come))
    return runs


def _with_headings(parts: Iterator[Part]) -> Iterator[Part]:
    """What differs says under which heading it stands, once for each heading that stayed."""
    heading = ""
    for part in parts:
        if part.fate is Fate.SAME:
            heading = next((block.words for block in reversed(part.stayed) if block.tag == "heading"), heading)
            yield part
        else:
            yield Part(part.fate, part.paragraphs, under=heading)
            heading = ""
