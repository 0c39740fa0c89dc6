"""Reading for a page what several tables hold of one person, in one statement. Called by the verbs that own the tables.

A part is a short list of one shape, `Line`; a page that shows several asks for them together, which costs one
question instead of one each. Statements are made once: a constant one is neither built nor compiled anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Date,
    Integer,
    Select,
    String,
    Uuid,
    bindparam,
    literal_column,
    null,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.sql.expression import cast
from sqlalchemy.types import TypeEngine

from portal.extensions import db
from portal.models.columns import UtcDateTime

PERSON: Final = bindparam("person", type_=Uuid())


class Line(NamedTuple):
    """One row of a part; each part says what it keeps where. Times are aware, in UTC."""

    part: str
    number: int
    code: str
    word: str
    more: str
    about: int
    at: datetime
    then: datetime | None
    day: date


SHAPE: Final[Mapping[str, TypeEngine[Any]]] = {
    "number": Integer(),
    "code": String(),
    "word": String(),
    "more": String(),
    "about": Integer(),
    "at": UtcDateTime(),
    "then": UtcDateTime(),
    "day": Date(),
}


@dataclass(frozen=True, eq=False)
class Part:
    """A list to be asked for: a query of `columns`, over PERSON and what else `ask` is given. Its order is nobody's."""

    name: str
    query: Select[Any]


def columns(**kept: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """What a part selects: the columns named by their place in `Line`, and nothing in the other places."""
    return [
        (type_coerce(kept[name], kind) if name in kept else cast(null(), kind)).label(name)
        for name, kind in SHAPE.items()
    ]


def ask(*parts: Part, **values: object) -> list[list[Line]]:
    """The lines of each part, in the order of the parts. `values`: of `person` and the parts' own parameters."""
    db.session.flush()  # a plain statement does not do so by itself
    found: dict[str, list[Line]] = {part.name: [] for part in parts}
    for line in map(Line._make, db.session.execute(_question(parts), values).all()):
        found[line.part].append(line)
    return [found[part.name] for part in parts]


@lru_cache(maxsize=100)
def _question(parts: tuple[Part, ...]) -> CompoundSelect[Any]:
    return union_all(*(_named(part) for part in parts))


def _named(part: Part) -> Select[Any]:
    """As a subquery, so that a part may have an order and a limit."""
    rows = part.query.subquery()
    return select(literal_column(f"'{part.name}'", String()).label("part"), *rows.c)
