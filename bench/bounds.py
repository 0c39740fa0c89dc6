"""Bench: what each figure is wished to be, and what it is lowered to where a safeguard stands in the way.

Every lowered one has its reason in docs/bench.md, "What is lowered, and why".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """A figure's bound: at most `wished`, or at least where `least` says so; `lowered`: what is allowed instead."""

    wished: float
    lowered: float | None = None
    least: bool = False
    unit: str = ""

    def __str__(self) -> str:
        """As a cell of a table: `0.35`, or `0.35 → 0.05`."""
        lowered = "" if self.lowered is None else f" → {self.lowered:g}"
        return f"{self.wished:g}{lowered}{self.unit}"

    def verdict(self, figure: float) -> str:
        """`yes`; `lowered` where only the lowered bound holds; `NO`."""
        if self._holds(figure, self.wished):
            return "yes"
        return "lowered" if self.lowered is not None and self._holds(figure, self.lowered) else "NO"

    def _holds(self, figure: float, bound: float) -> bool:
        return figure >= bound if self.least else figure <= bound


# A page: questions to the database; CPU in process, in bare pages; its share of the bare page where it is served.
QUERIES = Bound(3)
OF_BARE = {
    "overview": Bound(8, 24),
    "profile form": Bound(8, 23),
    "choices page": Bound(8, 22),
    "requests page": Bound(8, 14),
    "what we hold": Bound(8, 200),
}
SERVED = {
    "overview": Bound(0.35, 0.05, least=True),
    "profile form": Bound(0.25, 0.05, least=True),
    "choices page": Bound(0.35, 0.05, least=True),
    "requests page": Bound(0.35, 0.08, least=True),
    "what we hold": Bound(0.35, 0.008, least=True),
}
AMONG_MANY = Bound(1.15)  # the great society's pages, against the small one's

# A post: its share of the limit; the slowest answers, as a multiple of the middle one.
SAVED = Bound(0.33, 0.09, least=True)
SAVED_TAIL = Bound(5)
FILED = Bound(0.5, 0.05, least=True)
STOPPED = Bound(0.45, 0.33, least=True)
STOPPED_ELSEWHERE = Bound(0.55, 0.2, least=True)  # on PostgreSQL
STOPPED_TAIL = Bound(4)
SIGN_IN = Bound(1.15, 2)  # × one hash

# Commands, deliveries, downloads: multiples of the plain loop, of the built message, of the zipping.
FILTERED = Bound(1.5, 2)
IMPORTED = Bound(1.5, 2)
RELEASED = Bound(10, unit=" s")
DELIVERED = {"SQLite": Bound(3, 1.5, least=True), "PostgreSQL": Bound(3, 0.9, least=True)}
DOWNLOADED = Bound(1.5, 12)
AMONG_OTHERS = Bound(1.2)

# Processes.
START = Bound(0.7, unit=" s")
FILTER_MEMORY = Bound(150, unit=" MB")
IMPORT_MEMORY = Bound(250, unit=" MB")
RELEASE_MEMORY = Bound(200, unit=" MB")
WEB_MEMORY = Bound(100, 160, unit=" MB")
WORKER_MEMORY = Bound(80, 140, unit=" MB")
