"""Bench: `python -m bench` measures the portal beside its limits in one run and prints a table. `--help` tells more."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from bench import (
    bed,
    bounds,
    broadcast,
    commands,
    download,
    elsewhere,
    inside,
    online,
    processes,
    report,
    sizes,
    strangers,
)
from bench.bounds import Bound
from bench.load import BenchError, Burst, server

Figure = TypeVar("Figure")


def main() -> int:
    """Measure, print, write; 1 if something was not answered or not stored as it should be."""
    wish = _wishes()
    logging.disable(logging.WARNING)  # what the portal says in this process: each sign-in
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and folder go, however the run ends
    with tempfile.TemporaryDirectory(prefix="portal-bench-", dir=wish.folder) as name:
        folder = Path(name)
        try:
            told = _measured(folder, wish)
        except BenchError as error:
            print(f"The figures are worth nothing: {error}", file=sys.stderr)
            return 1
    print(f"\nWritten to {report.keep(told).relative_to(bed.ROOT)}")
    return 0


def _wishes() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="python -m bench", description="Measure the portal against its limits.")
    words.add_argument("--rounds", type=int, default=4, help="how often each target is measured (4 at least)")
    words.add_argument("--seconds", type=float, default=2, help="how long each time")
    words.add_argument("--members", type=int, default=20_000, help="members in the database")
    words.add_argument("--filter-rows", type=int, default=100_000, help="rows of the list to filter")
    words.add_argument("--import-rows", type=int, default=20_000, help="members to import")
    words.add_argument("--release-rows", type=int, default=100_000, help="registrations of the list to release")
    words.add_argument("--others", type=int, default=100_000, help="other members beside the one who downloads")
    words.add_argument("--society", type=int, default=20_000, help="members of the great society; 0 for none")
    words.add_argument("--sizes", action="store_true", help="only the pages in a small society and in a great one")
    words.add_argument("--copies", type=int, default=1_000, help="people who get the broadcast")
    words.add_argument("--broadcast", action="store_true", help="only the delivery of a broadcast")
    words.add_argument("--pairs", type=int, default=200, help="existing and invented addresses typed into each door")
    words.add_argument("--strangers", action="store_true", help="only whether times tell existing addresses apart")
    words.add_argument("--folder", type=Path, help="where the temporary folder is made: decides the disk")
    words.add_argument("--only", default="", help="only targets whose name contains this, and the limits")
    wish = words.parse_args()
    if wish.rounds < 4 or wish.seconds <= 0 or wish.pairs < 20 or wish.members < 2 * bed.SIGNED_IN:
        words.error(f"at least 4 rounds, some time, 20 pairs, and {2 * bed.SIGNED_IN} members")
    return wish


def _measured(folder: Path, wish: argparse.Namespace) -> dict[str, object]:
    machine = report.machine(folder)
    print("\n".join(f"{name:10} {value}" for name, value in machine.items()), flush=True)
    wished = {name: value for name, value in vars(wish).items() if value}
    if wish.broadcast:
        return {"machine": machine, "wish": wished, "broadcast": _broadcast(folder, wish)}
    if wish.sizes:
        return {"machine": machine, "wish": wished, "sizes": _sizes(folder, wish)}
    with bed.made(folder, members=wish.members) as own:
        if wish.strangers:
            return {"machine": machine, "wish": wished, "strangers": _strangers(own, wish)}
        return {
            "machine": machine,
            "wish": wished,
            "queries": _queries(own),
            "inside": _inside(own, wish),
            "sizes": _sizes(folder, wish) if wish.society else {},
            "sign_in": _sign_in(own, wish),
            "start": _start(own, wish),
            "download": _download(folder, wish),
            "broadcast": _broadcast(folder, wish),
            "commands": _commands(own, wish),
            "online": _online(own, wish),
            "strangers": _strangers(own, wish),
        }


def _queries(own: bed.Bed) -> dict[str, tuple[int, int]]:
    counts = {name: (len(asked.queries), len(asked.scanning)) for name, asked in inside.queries(own).items()}
    rows = []
    for name, (many, scans) in counts.items():
        bound = inside.most_queries(name)
        rows.append((name, str(many), str(bound), str(scans), bound.verdict(many) if not scans else "NO"))
    _print("Questions to the database a page", ("page", "queries", "most", "scans", ""), rows)
    return counts


def _inside(own: bed.Bed, wish: argparse.Namespace) -> dict[str, list[float]]:
    askers = inside.askers(own)
    figures = _alternated({name: _cpu(ask, wish.seconds / 2) for name, ask in askers.items()}, wish.rounds)
    bare = report.median(figures["bare page"])
    rows = []
    for name, each in figures.items():
        cost = report.median(each)
        judged = _judged(bounds.OF_BARE.get(name), cost / bare)
        rows.append((name, f"{cost:,.0f}", f"{report.spread(each):.0%}", f"{cost / bare:.1f}", *judged))
    _print("CPU of a page in process", ("page", "µs", "spread", "× bare", "most", ""), rows)
    return figures


def _sizes(folder: Path, wish: argparse.Namespace) -> dict[str, list[float]]:
    with (
        sizes.among(folder / "small", contacts=sizes.FEW) as few,
        sizes.among(folder / "great", contacts=wish.society) as many,
    ):
        askers = sizes.askers(few, many)
        figures = _alternated({name: _cpu(ask, wish.seconds / 4) for name, ask in askers.items()}, wish.rounds)
    rows = []
    for path in sizes.PAGES:
        small, great = (min(figures[f"{path} among {name}"]) for name in ("few", "many"))  # what other work adds, apart
        ratio = great / small
        rows.append((path, f"{small:,.0f}", f"{great:,.0f}", f"{ratio:.2f}", *_judged(bounds.AMONG_MANY, ratio)))
    title = f"CPU of a page in process, ten years of history, among {sizes.FEW:,} and {wish.society:,} members"
    _print(title, ("page", "µs among few", "µs among many", "×", "most", ""), rows)
    return figures


def _sign_in(own: bed.Bed, wish: argparse.Namespace) -> dict[str, list[float]]:
    askers = processes.sign_ins(own)
    figures = _alternated({name: _cpu(ask, wish.seconds / 2) for name, ask in askers.items()}, wish.rounds)
    middle = {name: report.median(each) for name, each in figures.items()}
    ratio = middle["sign-in"] / middle["one hash"]
    rows = [
        ("one hash", f"{middle['one hash'] / 1e3:.1f}", f"{report.spread(figures['one hash']):.0%}", "", "", ""),
        ("sign-in", f"{middle['sign-in'] / 1e3:.1f}", f"{report.spread(figures['sign-in']):.0%}",
         f"{ratio:.2f}", *_judged(bounds.SIGN_IN, ratio)),
    ]  # fmt: skip
    _print("A sign-in in process", ("what", "CPU ms", "spread", "× hash", "most", ""), rows)
    return figures


def _start(own: bed.Bed, wish: argparse.Namespace) -> dict[str, object]:
    starts = [processes.start(own) for _ in range(wish.rounds)]
    middle = {name: report.median([each[name] for each in starts]) for name in starts[0]}
    worker = processes.memory_of_worker(own)
    rows = [
        ("create_app", f"{middle['create_app']:.2f} s", *_judged(bounds.START, middle["create_app"])),
        ("import, before it", f"{middle['import']:.2f} s", "", ""),
        ("memory of the worker", f"{worker:.0f} MB", *_judged(bounds.WORKER_MEMORY, worker)),
    ]
    _print("Processes", ("what", "", "most", ""), rows)
    return {"starts": starts, "worker_mb": worker}


def _cpu(ask: Callable[[], None], seconds: float) -> Callable[[], float]:
    return lambda: inside.cpu(ask, seconds=seconds)


def _alternated(targets: dict[str, Callable[[], Figure]], rounds: int) -> dict[str, list[Figure]]:
    """A B C A B C: what the machine does meanwhile falls on all alike."""
    figures: dict[str, list[Figure]] = {name: [] for name in targets}
    for _ in range(rounds):
        for name, once in targets.items():
            figures[name].append(once())
    return figures


def _download(folder: Path, wish: argparse.Namespace) -> dict[str, list[float]]:
    with (
        download.among(folder / "few", others=download.FEW) as few,
        download.among(folder / "many", others=wish.others) as many,
    ):
        figures = _alternated(download.askers(few, many), wish.rounds)
    middle = {name: report.median(each) for name, each in figures.items()}
    rows = []
    for name, against, bound in (
        ("among few", "ready files, zipped", bounds.DOWNLOADED),
        ("among many", "among few", bounds.AMONG_OTHERS),
        ("ready files, zipped", "", None),
    ):
        ratio = middle[name] / middle[against] if against else 0
        judged = (f"{ratio:.2f}" if against else "", *_judged(bound, ratio))
        rows.append((name, f"{1000 * middle[name]:,.0f}", f"{report.spread(figures[name]):.0%}", against, *judged))
    title = f"Download of a person with {3 * download.ROWS:,} rows, among {download.FEW:,} and {wish.others:,} others"
    _print(title, ("download", "CPU ms", "spread", "against", "×", "most", ""), rows)
    return figures


def _broadcast(folder: Path, wish: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    with broadcast.made(folder / "broadcast", people=wish.copies) as (sqlite, postgres):
        figures = _alternated(broadcast.targets(sqlite, postgres), wish.rounds)
    rates = {name: report.median([one.a_second for one in each]) for name, each in figures.items()}
    cpu = {name: report.median([one.cpu for one in each]) for name, each in figures.items()}
    built = "each built with EmailMessage"
    rows = []
    for name, each in figures.items():
        spread, ratio = report.spread([one.a_second for one in each]), rates[name] / rates[built]
        judged = _judged(next((bound for which, bound in bounds.DELIVERED.items() if which in name), None), ratio)
        by_cpu = f"{cpu[name]:.2f}", f"{cpu[built] / cpu[name]:.1f}"
        rows.append((name, f"{rates[name]:,.0f}", f"{spread:.0%}", f"{ratio:.1f}", *judged, *by_cpu))
    title = f"Delivery to a sink, one recipient a message, {wish.copies:,} people"
    _print(title, ("delivery", "a second", "spread", "× built", "least", "", "CPU ms", "× built"), rows)
    return {name: [vars(one) for one in each] for name, each in figures.items()}


def _commands(own: bed.Bed, wish: argparse.Namespace) -> dict[str, object]:
    filtering, importing = commands.Filter(own, wish.filter_rows), commands.Import(own, wish.import_rows)
    releasing = commands.Release(own, wish.release_rows)
    memory: dict[str, float] = {}

    def ran(name: str, once: Callable[[], commands.Ran]) -> Callable[[], float]:
        def measured() -> float:
            each = once()
            memory[name] = max(memory.get(name, 0), each.memory)
            return each.seconds

        return measured

    start = "start of a command"
    figures = _alternated(
        {
            start: ran(start, lambda: commands.run(own, ["map", "check"])),
            "copy of the list": filtering.copy,
            "broadcasts filter": ran("broadcasts filter", filtering.product),
            "filter, plain loop": filtering.limit,
            "members import": ran("members import", importing.product),
            "import, plain loop": importing.limit,
            "lists release": ran("lists release", releasing.product),
        },
        wish.rounds,
    )
    middle = {name: report.median(each) for name, each in figures.items()}
    rows = [(name, f"{middle[name]:.2f}", f"{report.spread(each):.0%}", *[""] * 3) for name, each in figures.items()]
    ratios = {}
    for name, plain, most, most_memory in (
        ("broadcasts filter", "filter, plain loop", bounds.FILTERED, bounds.FILTER_MEMORY),
        ("members import", "import, plain loop", bounds.IMPORTED, bounds.IMPORT_MEMORY),
    ):
        seconds = middle[name] - middle[start]
        ratios[name] = ratio = seconds / middle[plain]
        rows.append((f"{name}, less the start", f"{seconds:.2f}", "", f"{ratio:.2f}", *_judged(most, ratio)))
        held = f"{memory[name]:.0f} MB"
        rows.append((f"{name}, memory", held, "", "", *_judged(most_memory, memory[name])))
    seconds, most_held = middle["lists release"], memory["lists release"]
    rows.append(("lists release, with the start", f"{seconds:.2f}", "", "", *_judged(bounds.RELEASED, seconds)))
    rows.append(("lists release, memory", f"{most_held:.0f} MB", "", "", *_judged(bounds.RELEASE_MEMORY, most_held)))
    title = (
        f"Commands: {wish.filter_rows:,} rows to filter among {wish.members:,} members; {wish.import_rows:,} to import;"
        f" a list of {wish.release_rows:,}"
    )
    _print(title, ("command", "seconds", "spread", "× loop", "most", ""), rows)
    return {"seconds": figures, "ratios": ratios, "memory_mb": memory}


def _online(own: bed.Bed, wish: argparse.Namespace) -> dict[str, object]:
    with ExitStack() as stack:
        portal = stack.enter_context(server("wsgi:app", own.environ, own.folder, path="/healthz"))
        limits = stack.enter_context(server("bench.served:app", own.environ, own.folder, path="/bare"))
        other = stack.enter_context(elsewhere.made(own.folder / "elsewhere"))
        writing = online.Writing(own, portal, limits, other, wish.seconds)
        targets = [each for each in online.targets(writing) if not each.against or wish.only in each.name]
        bursts: dict[str, list[Burst]] = {target.name: [] for target in targets}
        for _ in range(wish.rounds):
            for target in targets:
                bursts[target.name].append(target.once())
        writing.prove()
        memory = processes.memory_of_web(own, portal, own.folder)
    rows = [_row(target, bursts) for target in targets]
    headings = ("target", "a second", "spread", "p50 ms", "p99 ms", "p99/p50", "most", "", "of limit", "least", "")
    _print("Served, one process, 16 clients", headings, rows)
    stored = f"{writing.stopped} opt-outs, {writing.filed} requests, {writing.committed} rows, every saved profile"
    print(f"Read back: {stored}")
    print(
        f"Memory of the web process after this and {processes.REQUESTS:,} pages: {memory:.0f} MB"
        f" (most {bounds.WEB_MEMORY}): {bounds.WEB_MEMORY.verdict(memory)}"
    )
    told = {name: [vars(burst) for burst in each] for name, each in bursts.items()}
    return {"targets": told, "memory_mb": memory, "ratios": {row[0]: row[8] for row in rows if row[8]}}


def _strangers(own: bed.Bed, wish: argparse.Namespace) -> list[dict[str, object]]:
    """After everything else: it leaves messages and failed sign-ins behind."""
    with server("wsgi:app", own.environ, own.folder, path="/healthz") as portal:
        doors = strangers.asked(own, portal, pairs=wish.pairs)
    rows = []
    for door in doors:
        share, p = strangers.longer(door.existing, door.invented)
        middle = [report.median(each) * 1e3 for each in (door.existing, door.invented)]
        least = strangers.could_be_seen(door.invented) * 1e3
        seen = (f"{share:.3f}", f"{p:.2g}", f"{least:.2f}", "yes" if p >= strangers.SIGNIFICANT else "NO")
        rows.append((door.path, *(f"{each:.2f}" for each in middle), *seen))
    headings = ("door", "existing ms", "invented ms", "longer", "p", "could see ms", "alike")
    _print(f"Existing against invented addresses, {wish.pairs} pairs by turns", headings, rows)
    return [vars(door) for door in doors]


def _row(target: online.Target, bursts: dict[str, list[Burst]]) -> tuple[str, ...]:
    each = bursts[target.name]
    rates = [burst.rate for burst in each]
    p50, p99 = report.median([burst.p50 for burst in each]), report.median([burst.p99 for burst in each])
    ratio = (
        report.median(rates) / report.median([burst.rate for burst in bursts[target.against]]) if target.against else 0
    )
    return (
        target.name,
        f"{report.median(rates):,.0f}",
        f"{report.spread(rates):.0%}",
        f"{p50:.1f}",
        f"{p99:.1f}",
        f"{p99 / p50:.1f}",
        *_judged(target.tail, p99 / p50),
        f"{ratio:.2f}" if ratio else "",
        *_judged(target.share, ratio),
    )


def _judged(bound: Bound | None, figure: float) -> tuple[str, str]:
    """The cells of a bound and of whether it holds."""
    return ("", "") if bound is None else (str(bound), bound.verdict(figure))


def _print(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    print(f"\n{title}\n\n{report.table(headings, rows)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
