"""`python -m tests.drills [NAME…] [--times 20] [--database both]`: all drills, or those named; `make drill`.

Everything runs on loopback, in folders of its own, and ends. Exit 1 when an invariant was broken.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.drills import bed, clocks, disks, keys, postgres, relays, several, web, workers
from tests.drills.judged import Verdict

Drill = Callable[..., Verdict]
# Each with the databases it is tried on, and the part of the `--times` that it has there.
DRILLS: dict[str, tuple[Drill, dict[str, float]]] = {
    "web": (web.drill, {"postgresql": 1, "sqlite": 0.25}),
    "workers": (workers.drill, {"postgresql": 1, "sqlite": 0.5}),
    "postgres": (postgres.drill, {"postgresql": 1}),
    "relays": (relays.drill, {"sqlite": 1}),
    "disks": (disks.drill, {"sqlite": 1, "postgresql": 0.5}),
    "clocks": (clocks.drill, {"sqlite": 1}),
    "several": (several.drill, {"postgresql": 1}),
    "keys": (keys.drill, {"sqlite": 1}),
}


def main() -> int:
    """Run them one after the other, and tell what each found."""
    words = argparse.ArgumentParser(prog="python -m tests.drills", description=__doc__)
    words.add_argument("names", nargs="*", metavar="NAME", help=", ".join(DRILLS))
    words.add_argument("--times", type=int, default=20, help="faults of each sort (default: 20)")
    words.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    wish = words.parse_args()
    unknown = set(wish.names) - DRILLS.keys()
    if unknown:
        words.error(f"there is no drill {', '.join(sorted(unknown))}; there are {', '.join(DRILLS)}")
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the relay tells of every worker that dies
    good = True
    for name in wish.names or DRILLS:
        drill, parts = DRILLS[name]
        for database, part in parts.items():
            if wish.database in (database, "both"):
                good = _run(name, drill, database, math.ceil(wish.times * part)) and good
    print("all invariants hold" if good else "NOT SO")
    return 0 if good else 1


def _run(name: str, drill: Drill, database: str, times: int) -> bool:
    began = time.monotonic()
    print(f"{name} on {database}, {times} times", flush=True)
    with bed.scratch() as folder:
        try:
            verdict = drill(folder, database=database, times=times)
        except Exception as broken:  # a drill that breaks off has shown nothing
            traceback.print_exc()
            verdict = Verdict(wrong=[f"it broke off: {broken!r}"])
        if verdict.wrong:
            _keep(folder)
    for what, count in sorted(verdict.counts.items()):
        print(f"    {what}: {count}")
    for wrong in verdict.wrong[:20]:
        print(f"    NOT SO: {wrong}")
    print(f"    {time.monotonic() - began:.0f} seconds", flush=True)
    return not verdict.wrong


def _keep(folder: Path) -> None:
    """The last words of each process, where something is wrong."""
    for path in sorted((folder / "log").glob("*.log")):
        lines = path.read_text("utf-8", "replace").splitlines()[-15:]
        print(f"    {path.name}:", *lines, sep="\n        ", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
