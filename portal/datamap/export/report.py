"""your-data.html: everything for a person to read and to print. One file, without script, and it fetches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import lru_cache
from html import escape

from portal.clock import in_words
from portal.datamap.export.copy import Answers, Copy, answers
from portal.datamap.held import NOBODY, Item, lists
from portal.purposes import HOLDINGS, NEVER_HELD, PURPOSES, RECIPIENTS
from portal.vocabulary import Kind

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)

STYLE = """
:root { color-scheme: light dark; --line: #8888; --soft: #8881; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 3px solid; font-size: 1.3rem; line-height: 1.3; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1.05rem; }
nav ul { columns: 15rem; padding-left: 1.2rem; }
dl, dd, dt { margin: 0; }
.held { margin: .75rem 0; border: 1px solid var(--line); border-radius: .4rem; break-inside: avoid; }
.held > dl { padding: .6rem .9rem; }
.values div { display: grid; grid-template-columns: minmax(8rem, 15rem) 1fr; gap: 0 1rem; padding: .15rem 0; }
.values dd { font-weight: 600; white-space: pre-line; }
.answers { border-top: 1px solid var(--line); background: var(--soft); font-size: .85em; display: grid;
  grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .4rem 1.25rem; }
.answers dt { opacity: .8; }
.empty { font-size: .9rem; }
@media (max-width: 30rem) { .values div { display: block; padding: .3rem 0; } }
@media print { body { max-width: none; padding: 0; font-size: 9.5pt; } nav { display: none; }
  h2, h3 { break-after: avoid; } .answers { background: none; } a { color: inherit; text-decoration: none; } }
"""


def written(copy: Copy) -> Iterator[str]:
    """The page, piece by piece: what is held, by the groups of /held, then why, where else, and what never."""
    title = f"What the {copy.society} holds about you"
    singles, listed = _by_kind(copy)
    kinds = [kind for kind in Kind if kind in singles or kind in listed]
    yield (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style></head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
    )
    yield from _introduction(copy, kinds)
    for kind in kinds:
        yield f'<section id="{kind.name.lower()}"><h2>{escape(kind.value)}</h2>\n'
        yield from _singles(copy, singles.get(kind, []))
        for table in listed.get(kind, []):
            yield f"<h3>{escape(copy.titles.get(table, table.replace('_', ' ').capitalize()))}</h3>\n"
            for row in reversed(copy.rows[table]):
                yield from _blocks(copy, _there(row), {item.name.partition(".")[2]: item for item in row})
        yield "</section>\n"
    yield from _purposes(copy)
    yield from _elsewhere()
    yield "</main>\n</body></html>\n"


def _by_kind(copy: Copy) -> tuple[dict[Kind, list[Item]], dict[Kind, list[str]]]:
    """The values of which there is one, and the lists that have a row."""
    listed: dict[Kind, list[str]] = {}
    many = set()
    for table, kind in lists().items():
        many.add(table.name)
        if copy.rows.get(table.name):
            listed.setdefault(kind, []).append(table.name)
    singles: dict[Kind, list[Item]] = {}
    for table_name, rows in copy.rows.items():
        for item in (item for row in rows for item in row) if table_name not in many else ():
            singles.setdefault(item.kind, []).append(item)
    return singles, listed


def _introduction(copy: Copy, kinds: Iterable[Kind]) -> Iterator[str]:
    yield (
        f"<p>Made on {in_words(copy.snapshot.now)} by {_link(copy.url)}. It is yours: keep it, print it, or take it"
        " to somebody else. Below each value stand the answers to six questions: why it is held, on which ground,"
        " where it came from, who outside the society received it, where it is stored, and until when.</p>\n"
    )
    if copy.contact:
        yield f"<p>Questions about it: {escape(copy.contact)}.</p>\n"
    after = (("why", "Why, and on which ground"), ("elsewhere", "Held elsewhere"), ("never", "Never held"))
    links = [*((kind.name.lower(), kind.value) for kind in kinds), *after]
    yield '<nav aria-label="Contents"><ul>\n'
    for target, words in links:
        yield f'<li><a href="#{target}">{escape(words)}</a></li>\n'
    yield "</ul></nav>\n"


def _singles(copy: Copy, items: list[Item]) -> Iterator[str]:
    yield from _blocks(copy, _there(items), {})
    empty = dict.fromkeys(item.label for item in items if item.value in (None, ""))
    if empty:
        yield f'<p class="empty">Empty, nothing is held: {escape("; ".join(empty))}.</p>\n'


def _there(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.value not in (None, "")]


def _blocks(copy: Copy, items: Iterable[Item], row: Mapping[str, Item]) -> Iterator[str]:
    """Values with the same answers stand together above them, each answer said once."""
    alike: dict[Answers, list[Item]] = {}
    for item in items:
        alike.setdefault(answers(item), []).append(item)
    for given, together in alike.items():
        yield '<div class="held"><dl class="values">\n'
        for item in together:
            yield f"<div><dt>{escape(item.label)}</dt><dd>{escape(copy.shown(item, row))}</dd></div>\n"
        yield f"</dl>{_answered(given)}</div>\n"


@lru_cache(maxsize=1000)
def _answered(given: Answers) -> str:
    purposes, basis, source, recipients, stored, until = given
    pairs = (
        ("Why", "; ".join(PURPOSES[code].name for code in purposes)),
        ("On which ground", basis),
        ("Where it came from", source),
        ("Who received it", "; ".join(recipients) or NOBODY),
        ("Where it is stored", stored),
        ("Until when", in_words(date.fromisoformat(until)) if _DAY.fullmatch(until) else until),
    )
    return '<dl class="answers">' + _pairs(pairs) + "</dl>"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(words)}</dd></div>\n" for name, words in pairs)


def _purposes(copy: Copy) -> Iterator[str]:
    """Every purpose that a value named, with the ground for holding it in the United States (P24)."""
    named = {code for item in copy.items for code in item.purposes}
    yield '<section id="why"><h2>Why, and on which ground</h2>\n'
    for code in (code for code in PURPOSES if code in named):
        purpose = PURPOSES[code]
        may = "; ".join(f"{RECIPIENTS[each].name} ({RECIPIENTS[each].safeguard})" for each in purpose.recipients)
        pairs = [
            ("On which ground", purpose.basis.value),
            ("If you are in Europe: why it may be in the United States", purpose.transfer),
            ("How long", purpose.retention),
            ("Who may receive it", may or "nobody outside the society"),
            *([("Good to know", purpose.note)] if purpose.note else []),
        ]
        yield f'<h3>{escape(purpose.name)}</h3>\n<div class="held"><dl class="values">{_pairs(pairs)}</dl></div>\n'
    yield "</section>\n"


def _elsewhere() -> Iterator[str]:
    yield '<section id="elsewhere"><h2>Held elsewhere</h2>\n'
    yield "<p>This is not in the file, because it is not in this portal.</p>\n"
    for holding in HOLDINGS.values():
        pairs = (("What", holding.what), ("How to reach it", holding.reach), ("Until when", holding.ends))
        yield f'<h3>{escape(holding.name)}</h3>\n<div class="held"><dl class="values">{_pairs(pairs)}</dl></div>\n'
    yield '</section>\n<section id="never"><h2>Never held</h2>\n<ul>\n'
    for words in NEVER_HELD:
        yield f"<li>{escape(words)}</li>\n"
    yield "</ul></section>\n"


def _link(url: str) -> str:
    return f'<a href="{escape(url)}">{escape(url)}</a>'
