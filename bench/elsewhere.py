"""Bench: the one-click on PostgreSQL, beside the one on SQLite; left out where its programs are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import func, select

from bench import bed, broadcast
from bench.load import BenchError, Burst, Server, click, posts, server
from config import from_environment
from portal import create_app
from portal.extensions import db, transaction
from portal.models import ChoiceRow, Subject
from portal.tokens import sign_unsubscribe
from tests import databases

PEOPLE = 8_000  # each presses once


@dataclass
class Elsewhere:
    """A portal on PostgreSQL, and the links of people who got everything so far."""

    app: Flask
    portal: Server
    links: Iterator[str]
    stopped: int = 0

    def stop(self, *, seconds: float) -> Burst:
        """Each link stops everything for its person."""
        burst = posts(self.portal.port, lambda _client: click("/unsubscribe/", self.links), seconds=seconds)
        self.stopped += burst.answers
        return burst

    def prove(self) -> None:
        """Raises BenchError unless each acknowledged press is an answer with its line in the journal."""
        query = select(func.count(), func.count(ChoiceRow.journal_id)).where(ChoiceRow.door == "one-click")
        with self.app.app_context():
            found = tuple(db.session.execute(query).one())
            db.session.rollback()
        if found != (self.stopped, self.stopped):
            raise BenchError(f"one-click rows on PostgreSQL: {found} are stored, {self.stopped} were acknowledged")


@contextmanager
def made(folder: Path) -> Iterator[Elsewhere | None]:
    """The portal, and its server as we ship it, with one process."""
    programs = databases.postgres_programs()
    if programs is None:
        yield None
        return
    folder.mkdir()
    with ExitStack() as stack:
        place = stack.enter_context(databases.postgres_server(programs, durable=True))
        environ = bed.environment(folder) | {"DATABASE_URL": databases.make_postgres(place, "bench")}
        app = create_app(from_environment(environ, root=folder))
        with app.app_context():
            upgrade()
            with transaction():
                broadcast.settle(PEOPLE)
            links = [sign_unsubscribe(each) for each in db.session.scalars(select(Subject.unsubscribe_reference))]
            db.session.remove()
            db.engine.dispose()
        running = stack.enter_context(server("wsgi:app", environ, folder, path="/healthz"))
        yield Elsewhere(app, running, iter(links))
        with app.app_context():
            db.engine.dispose()
