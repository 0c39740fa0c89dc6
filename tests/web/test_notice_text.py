"""What differs between two texts: nothing is lost, nothing invented, and a change reads as one."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal.web.notice_text import Fate, Part, as_html, blocks, differences

OLD = """# Notice

Your requests stay for two years, so that we can answer you.

## How long

- Sign-ins: ninety days
- Choices: six years

| What | Why |
| --- | --- |
| Name | to know you |

See [our policy](https://example.org/old).
"""
NEW = (
    OLD.replace("two years", "one year")
    .replace("- Choices: six years\n", "- Choices: six years\n- Pictures: a week\n")
    .replace("/old", "/new")
    .replace("to know you", "to greet you")
)


def told(parts: tuple[Part, ...]) -> list[tuple[str, str]]:
    """What differs as a reader sees it: the heading above, and the words with their marks."""
    marks = {Fate.ADDED: "+{}+", Fate.REMOVED: "-{}-", Fate.SAME: "{}"}
    return [
        (part.under, " ".join(marks[piece.fate].format(piece.words) for piece in chain(*part.paragraphs)))
        for part in parts
        if part.fate is not Fate.SAME
    ]


def test_a_change_reads_as_one_under_its_heading() -> None:
    assert told(differences(OLD, NEW)) == [
        ("Notice", "Your requests stay for -two years,- +one year,+ so that we can answer you."),
        ("How long", "+Pictures: a week+"),
        ("", "Name | to -know- +greet+ you"),
        ("", "See our policy -(https://example.org/old).- +(https://example.org/new).+"),
    ]
    assert told(differences(OLD, OLD)) == []
    assert told(differences(OLD, "Nothing of it."))[-1] == ("", "+Nothing of it.+")


def test_markup_in_a_notice_stays_text() -> None:
    evil = "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)>"
    for made in (as_html(evil), as_html(f"# {evil}")):
        assert "<script" not in made
        assert "<img" not in made
        assert "href" not in made


@pytest.mark.parametrize("text", ["# One\n\n###### Two\n\n# One", "## One\n\n### Two\n\n## One"])
def test_no_level_of_headings_is_skipped(text: str) -> None:
    assert as_html(text) == "<h2>One</h2>\n<h3>Two</h3>\n<h2>One</h2>\n"


WORD = st.sampled_from(["we", "hold", "your", "data", "for", "two", "years", "**long**", "a|b", "(x)", "`c`"])
PARAGRAPH = st.lists(WORD, min_size=1, max_size=12).map(" ".join)
TEXT = st.lists(
    st.tuples(st.sampled_from(["", "# ", "- ", "> ", "1. ", "    "]), PARAGRAPH).map("".join), max_size=8
).map("\n\n".join)


@hypothesis_settings(max_examples=80)
@given(TEXT, TEXT)
@example(OLD, NEW)
def test_every_word_of_both_texts_is_in_the_comparison(old: str, new: str) -> None:
    def words(keep: Fate) -> list[str]:
        found: list[str] = []
        for part in differences(old, new):
            found += [word for block in part.stayed for word in block.words.split()]
            pieces = [piece for piece in chain(*part.paragraphs) if piece.fate in (Fate.SAME, keep)]
            found += [word for piece in pieces for word in piece.words.split()]
        return found

    for text, keep in ((old, Fate.REMOVED), (new, Fate.ADDED)):
        assert words(keep) == [word for block in blocks(text) for word in block.words.split()]
