"""The record of processing (GDPR Art. 30), read from the map: `map show` prints it, the privacy notice shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import MetaData

from portal.datamap import inventory
from portal.purposes import HOLDINGS, NEVER_HELD, PERIODS, PURPOSES, RECIPIENTS, Holding, Period, Purpose, Recipient
from portal.vocabulary import Kind


@dataclass(frozen=True)
class Processing:
    """One purpose: what it is about, on which ground, who receives it, how long it stays (P17, P23, P24, P37)."""

    code: str
    purpose: Purpose
    data: tuple[tuple[Kind, tuple[str, ...]], ...]  # labels of the columns that name the purpose, by group
    recipients: tuple[Recipient, ...]
    periods: tuple[Period, ...]
    holdings: tuple[Holding, ...]  # outside this portal

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """As headings with their lines, for every reader of the record."""
        yield "Legal basis", [_begun(self.purpose.basis)]
        here = [f"{kind}: {'; '.join(labels)}" for kind, labels in self.data]
        yield "What we use", here or ["Nothing that is held in this portal."]
        told = [_begun(f"{each.name}: {each.safeguard}") for each in self.recipients]
        yield "Who receives it", told or ["Nobody outside the society."]
        yield "Ground for holding it in the United States", [_begun(self.purpose.transfer)]
        periods = [f"{each.what}: {each.words}" for each in self.periods]
        yield "How long", [_begun(self.purpose.retention), *periods]
        if self.holdings:
            yield "Also held outside this portal", [f"{each.name}: {each.ends}" for each in self.holdings]
        if self.purpose.note:
            yield "Good to know", [self.purpose.note]


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]


@dataclass(frozen=True)
class Record:
    """All purposes, all places outside this portal, and what is held nowhere (P14)."""

    purposes: tuple[Processing, ...]
    holdings: tuple[Holding, ...]
    never_held: tuple[str, ...]


def record(metadata: MetaData) -> Record:
    """The record of processing, in the catalogue's order."""
    return Record(tuple(_processing(code, metadata) for code in PURPOSES), tuple(HOLDINGS.values()), NEVER_HELD)


def _processing(code: str, metadata: MetaData) -> Processing:
    entries = [each for each in inventory.entries(metadata) if code in each.note.purposes]
    labels = {
        kind: tuple(dict.fromkeys(each.note.label for each in entries if each.note.kind is kind)) for kind in Kind
    }
    columns = {(each.table.name, each.column.name) for each in entries}
    tables = {table for table, _ in columns}
    return Processing(
        code,
        PURPOSES[code],
        tuple((kind, found) for kind, found in labels.items() if found),
        tuple(RECIPIENTS[name] for name in PURPOSES[code].recipients),
        tuple(
            each
            for each in PERIODS.values()
            if each.table in tables
            and (not each.clears or any((each.table, column) in columns for column in each.clears))
        ),
        tuple(each for each in HOLDINGS.values() if code in each.purposes),
    )
