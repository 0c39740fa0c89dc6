"""What every format is made from: one snapshot of one person, and the few words that do not stand in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from portal.datamap.held import Item, Snapshot, items

SCHEMA_PATH = "/schemas/member-data-1.json"

Answers = tuple[tuple[str, ...], str, str, tuple[str, ...], str, str]


@dataclass(frozen=True)
class Copy:
    """A person's data to take along.

    `url`: of this portal. `shown`: a value as a person reads it, given the others of its row by column. `titles`: what
    the list of a table's rows is called.
    """

    snapshot: Snapshot
    url: str
    society: str
    contact: str
    shown: Callable[[Item, Mapping[str, Item]], str]
    titles: Mapping[str, str]

    @property
    def schema(self) -> str:
        """The address of the schema of data.json."""
        return self.url + SCHEMA_PATH

    @cached_property
    def items(self) -> list[Item]:
        """Every value with its six answers, as `held.items` orders them: found once for all files."""
        return list(items(self.snapshot))

    @cached_property
    def rows(self) -> dict[str, list[list[Item]]]:
        """The same by table and row; a table without rows has an empty list."""
        found: dict[str, list[list[Item]]] = {name: [] for name in self.snapshot.rows}
        for item in self.items:
            rows = found[item.name.partition(".")[0]]
            if item.row > len(rows):
                rows.append([])
            rows[-1].append(item)
        return found


def answers(item: Item) -> Answers:
    """The six answers: why, on which ground, from where, to whom, where, until when. Neighbours often share them."""
    return item.purposes, item.basis, item.source, item.recipients, item.stored, item.until
