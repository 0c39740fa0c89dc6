"""Bench: what the portal's jobs cost in a great society, beside a small one (docs/scale.md).

.venv/bin/python -m bench.scale --contacts 1000000 --database postgresql
"""

from __future__ import annotations

import argparse
import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from flask_migrate import upgrade
from sqlalchemy import text

from bench import bed, inside
from bench.commands import Ran, _member, run
from bench.society import DESK_TOKEN, TOKEN, Size, settle
from config import from_environment
from portal import create_app
from portal.extensions import db, transaction
from tests import databases

PAGES = ("/", "/profile", "/profile/edit", "/choices", "/events", "/held", "/history", "/requests", "/security")
DESK_PAGES = ("/desk", "/desk/lists", "/desk/recalls", "/desk/changes", "/desk/disclosures", "/desk/broadcasts")
# What the database needs to write a society in one transaction: no time limit, and memory (KB) for its indexes.
AT_ONCE = {"postgresql": "SET LOCAL statement_timeout = 0", "sqlite": "PRAGMA cache_size = -4000000"}
NEW = 20_000  # rows of the file that is imported
TIMES = 30
LETTER = "Dear {first_name},\n\nThe programme is out.\n"


def main() -> None:
    """Make a society, do every job once, and print what each took."""
    words = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    words.add_argument("--contacts", type=int, default=20_000)
    words.add_argument("--events", type=int, default=0, help="one for each 500 contacts, unless given")
    words.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    words.add_argument("--only", default="", help="of the jobs, only those whose name contains this")
    words.add_argument("--folder", help="where the temporary folder is made: it decides the disk")
    asked = words.parse_args()
    size = Size(asked.contacts, asked.events or max(1, asked.contacts // 500))
    folder = Path(tempfile.mkdtemp(prefix="portal-scale-", dir=asked.folder))
    try:
        with _database(asked.database, folder) as url:
            _measure(folder, url, size, asked.only)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    programs = databases.postgres_programs()
    if name == "sqlite":
        yield f"sqlite:///{folder}/portal.db"
    elif programs is None:
        sys.exit("PostgreSQL is not installed")
    else:
        with databases.postgres_server(programs, durable=True) as server:
            yield databases.make_postgres(server, "portal")


_ANYBODY = uuid4()  # whose cookie it is stands in the token


def _measure(folder: Path, url: str, size: Size, only: str) -> None:
    more = {"DATABASE_URL": url, "DESK_REQUIRES_SECOND_FACTOR": "no", "SOCIETY_POSTAL_ADDRESS": "1 Main Street"}
    environ = bed.environment(folder) | more
    app = create_app(from_environment(environ, root=folder))
    society = bed.Bed(folder, environ, app, [], [])
    with app.app_context():
        upgrade()
        began = time.perf_counter()
        with transaction():
            db.session.execute(text(AT_ONCE[db.engine.dialect.name]))
            settle(size)
        with db.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            if url.startswith("postgresql"):
                connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("ANALYZE"))
        db.engine.dispose()  # and what was set for this alone
        _tell("made by the database itself", time.perf_counter() - began)
        rows = {
            name: db.session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in ("member", "event", "choice", "disclosure", "registration", "trail")
        }
        db.session.remove()
        print("rows", ", ".join(f"{count:,} {name}" for name, count in rows.items()), flush=True)
    for path in PAGES:
        _tell_page(path, inside.asker(app, path, bed._signed_in(app, _ANYBODY, TOKEN).cookie))
    for path in DESK_PAGES:
        _tell_page(path, inside.asker(app, path, bed._signed_in(app, _ANYBODY, DESK_TOKEN).cookie))
    with app.app_context():
        db.engine.dispose()
    for name, job in _jobs(society, url, size).items():
        if only in name:
            _tell(name, *job())
    for path in DESK_PAGES:  # now that lists and a broadcast are there
        _tell_page(f"{path}, afterwards", inside.asker(app, path, bed._signed_in(app, _ANYBODY, DESK_TOKEN).cookie))


def _jobs(society: bed.Bed, url: str, size: Size) -> dict[str, Callable[[], tuple[float, float]]]:
    """Each job by its name: the seconds it takes, from start to end, and the most memory, in MB."""
    folder = society.folder

    def command(*words: str, given: Path | None = None, out: str = "out") -> Callable[[], tuple[float, float]]:
        def job() -> tuple[float, float]:
            ran: Ran = run(society, list(words), given=given, out=folder / out)
            return ran.seconds, ran.memory

        return job

    letter, recipients, newcomers = folder / "letter.txt", folder / "recipients.csv", folder / "members.csv"
    letter.write_text(LETTER, encoding="utf-8")
    with recipients.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["email"])
        writer.writerows([f"other{number}@mail{number % 1000}.example.org"] for number in range(1, size.contacts + 1))
    with newcomers.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, list(_member(0)), lineterminator="\n")
        rows.writeheader()
        rows.writerows(_member(number) for number in range(NEW))
    send = ("broadcasts", "send", "--topic", "announcements", "--subject", "Programme", "--text", str(letter))
    release = ("lists", "release", "--for", "sponsors", "--to", "Acme")
    return {
        "start of a command": command("requests", "list"),
        "back up": lambda: _backed_up(url, folder),
        f"members import, {NEW:,} new": command("members", "import", str(newcomers)),
        f"members export, {size.contacts:,}": command("members", "export"),
        f"broadcasts filter, {size.contacts:,} lines": command(*_FILTER, given=recipients),
        "broadcasts send, counted only": command(*send, "--dry-run"),
        f"broadcasts send, {size.contacts:,} queued": command(*send),
        f"lists release, {size.contacts // size.events:,} people": command(*release, "E-1"),
        f"lists release, great event, {size.great:,} people": command(*release, "GREAT"),
        "retention run, dry": command("retention", "run", "--dry-run"),
        "retention run": command("retention", "run"),
        "retention run, again": command("retention", "run"),
    }


_FILTER = ("broadcasts", "filter", "--topic", "announcements")


def _backed_up(url: str, folder: Path) -> tuple[float, float]:
    """A whole copy, as docs/deploy/ makes it, without the encryption."""
    began, copy = time.perf_counter(), folder / "copy"
    if url.startswith("sqlite"):
        bed.copy_database(folder / "portal.db", copy)
    else:
        dump = Path(databases.postgres_programs() or "") / "pg_dump"
        subprocess.run([dump, "--format=custom", f"--file={copy}", url], check=True, timeout=1200)
    seconds = time.perf_counter() - began
    print(f"copy of {copy.stat().st_size / 1e6:,.0f} MB")
    copy.unlink()
    return seconds, 0.0


def _tell_page(path: str, ask: Callable[[], None]) -> None:
    ask()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    print(f"{path}\t{statistics.median(took) * 1e3:.1f} ms", flush=True)


def _tell(name: str, seconds: float, memory: float = 0.0) -> None:
    print(f"{name}\t{seconds:.1f} s" + (f"\t{memory:.0f} MB" if memory else ""), flush=True)


if __name__ == "__main__":
    main()
