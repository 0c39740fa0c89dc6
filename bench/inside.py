"""Bench: what a page costs in this process, without a server: CPU, and the questions put to the database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, NamedTuple
from wsgiref.types import WSGIEnvironment

from flask import Flask
from sqlalchemy import event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bench import bounds
from bench.bed import HOST, Bed
from bench.bounds import Bound
from bench.limits import create_limits
from bench.load import BenchError
from bench.obvious import create_obvious
from config import from_environment
from portal.datamap import inventory
from portal.datamap.rows import owned_tables
from portal.extensions import Base, db
from portal.vocabulary import Owner

PAGES = {"overview": "/", "profile form": "/profile/edit", "choices page": "/choices", "requests page": "/requests"}
ONE_A_TABLE = "what we hold"
MORE_PAGES = {
    "member information": "/profile",
    "events": "/events",
    "history": "/history",
    "new request": "/requests/new",
    "sign-ins": "/security",
    ONE_A_TABLE: "/held",
}
NOBODYS = [
    name for name, table in Base.metadata.tables.items() if (own := inventory.owner(table)) and own.how is Owner.NOBODY
]


def asker(app: Flask, path: str, cookie: str) -> Callable[[], None]:
    """What asks an application for one page, as a server would. Raises BenchError unless it answers 200."""
    builder = EnvironBuilder(path, base_url=f"https://{HOST}", headers=[("Cookie", cookie)])
    environ: WSGIEnvironment = builder.get_environ()
    builder.close()

    def ask() -> None:
        _, status, _ = Context().run(run_wsgi_app, app.wsgi_app, environ.copy(), buffered=True)
        if not status.startswith("200"):
            raise BenchError(f"{path} answers {status}")

    return ask


def askers(bed: Bed) -> dict[str, Callable[[], None]]:
    """The bare page and the pages of a member, all in this process."""
    config = from_environment(bed.environ, root=bed.folder)
    cookie = bed.people[-1].cookie
    return {
        "bare page": asker(create_limits(config), "/bare", ""),
        **{name: asker(bed.app, path, cookie) for name, path in (PAGES | MORE_PAGES).items()},
        "profile form, obvious build": asker(create_obvious(config), "/profile", cookie),
    }


def cpu(ask: Callable[[], None], *, seconds: float) -> float:
    """Microseconds of CPU that one answer takes."""
    ask()
    began, until, count = time.process_time(), time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        for _ in range(10):
            ask()
        count += 10
    return (time.process_time() - began) / count * 1e6


def most_queries(page: str) -> Bound:
    """How many questions a page may put to the database: `/held` one for each table with a person's rows."""
    return Bound(len(list(owned_tables(Base.metadata)))) if page == ONE_A_TABLE else bounds.QUERIES


class Asked(NamedTuple):
    """What a page asks the database, BEGIN and ROLLBACK apart; and the statements that read a table to its end."""

    queries: list[str]
    scanning: list[str]


def queries(bed: Bed) -> dict[str, Asked]:
    """The statements of each page, and those of them that would grow with the membership."""
    cookie = bed.people[-1].cookie
    told: dict[str, Asked] = {}
    for name, path in (PAGES | MORE_PAGES).items():
        ask = asker(bed.app, path, cookie)
        ask()
        with _listening(bed.app) as heard:
            ask()
        told[name] = Asked(heard, [query for query in heard if _scans(bed, query)])
    return told


def _scans(bed: Bed, query: str) -> bool:
    """What is nobody's, as the versions of the notice, does not grow with the membership, nor does a subquery."""
    plan = [step[3].split() for step in bed.read(f"EXPLAIN QUERY PLAN {query}", *[None] * query.count("?"))]
    read = [words[1].rstrip("_0123456789") for words in plan if words[0] == "SCAN"]
    return any(name in Base.metadata.tables and name not in NOBODYS for name in read)


@contextmanager
def _listening(app: Flask) -> Iterator[list[str]]:
    heard: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            heard.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(engine, "before_cursor_execute", hear)
