"""Test bed: a fresh portal on a fresh database for each test, on SQLite and on PostgreSQL.

A test that uses `app` (or `client`, `session`, `people`) stands in the portal's application context, as a
command does. Write inside `with writes():` of
`tests.databases`. A request of `client` and a command of `run` have a context, and so
a database session, of their own, as in life; before each, the test's own transaction is ended, and a test that
wrote without committing is told so. Folders of tests have an `__init__.py`.
"""

from __future__ import annotations

import os
import smtplib
import socket
from collections.abc import Iterator
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
import time_machine
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from hypothesis import settings as hypothesis_settings
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from config import Config
from portal import create_app
from portal.extensions import db
from tests import databases
from tests.browse import Browse
from tests.people import NOW, People, settle
from tests.settings import config_for

TESTS = Path(__file__).parent

# A slow machine is no failure; where CI is set, the same examples are tried each time.
hypothesis_settings.register_profile("portal", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis_settings.load_profile("portal")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql", "both"),
        default="sqlite",
        help="what the tests run on; postgresql alone leaves out tests that use no database",
    )
    parser.addoption("--golden", action="store_true", help="write golden files anew (tests/mail, tests/browser)")


# With `both`, these are asked on SQLite alone: words, headers and addresses, which a database does not change, and
# pages whose verbs tests/domain and tests/datamap try on both.
ONCE = {
    "rules": "access matrix old_cookies templates headers csrf urls cookies errors get_never_writes",
    "mail": "messages headers transport outbox bounces doctor",
    "cli": "serve demo members groups broadcasts notices invite",
    "web": "ask broadcasts choices desk download enumeration erasure events every_form held history lists load"
    " notices operators overview profile requests second_factor signin unsubscribe walk",
}
ON_SQLITE_ALONE = {f"{folder}/test_{name}.py" for folder, names in ONCE.items() for name in names.split()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--database")
        once = metafunc.definition.path.relative_to(TESTS).as_posix() in ON_SQLITE_ALONE
        both = ("sqlite",) if once else ("sqlite", "postgresql")
        metafunc.parametrize("engine_name", both if chosen == "both" else (chosen,), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--database") == "postgresql":
        beside = [item for item in items if "engine_name" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=beside)
        items[:] = [item for item in items if item not in beside]


def missing(what: str) -> NoReturn:
    """Skip for want of a program; where CI is set, fail instead, so that nothing goes unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is needed here")
    pytest.skip(f"{what} is not installed")


# Databases ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The folder of a running server's socket."""
    programs = databases.postgres_programs()
    if programs is None:
        missing("PostgreSQL (PORTAL_TEST_PG_BIN names its programs)")
    with databases.postgres_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(engine_name: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A migrated database that each test starts from: on SQLite a file to copy, on PostgreSQL the database itself."""
    folder = tmp_path_factory.mktemp("migrated")
    if engine_name == "postgresql":
        url = databases.make_postgres(request.getfixturevalue("postgres_server"), "portal")
        databases.migrate(url, folder)
        return url
    databases.migrate(f"sqlite:///{folder}/template.db", folder)
    return str(folder / "template.db")


@pytest.fixture
def database(engine_name: str, migrated: str, tmp_path: Path) -> str:
    """The address of a migrated database without rows, for this test alone."""
    if engine_name == "postgresql":
        databases.empty_postgres(migrated)
        return migrated
    return databases.copy_sqlite(Path(migrated), tmp_path / "portal.db")


@pytest.fixture
def bare_database(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables, for tests of migrations."""
    if engine_name == "postgresql":
        return databases.make_postgres(request.getfixturevalue("postgres_server"), "bare")
    return f"sqlite:///{tmp_path}/bare.db"


# The portal -----------------------------------------------------------------------------------------------


class Client(FlaskClient):
    """A browser without scripts. Each request runs in an empty context, as in a server."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        end_transaction()
        return Context().run(super().open, *args, **kwargs)


class Runner(FlaskCliRunner):
    """A terminal: `run("members", "import", path)`. Each command runs in an empty context, as in a process."""

    def __call__(self, *words: object, stdin: str | bytes | None = None) -> Result:
        """The command's result, with `exit_code`, `stdout` and `stderr`; an error that it did not handle is raised."""
        end_transaction()
        arguments = [str(word) for word in words]
        return Context().run(self.invoke, args=arguments, input=stdin, catch_exceptions=False)


def end_transaction() -> None:
    """End the test's reading, so that it locks nothing and sees afterwards what others wrote."""
    session = db.session()
    pending = session.info.get("flushed") or session.new or session.dirty or session.deleted
    db.session.rollback()
    if pending:
        pytest.fail("the test wrote and did not commit: write inside `with writes():`")


@event.listens_for(DatabaseSession, "after_flush")
def _flushed(session: DatabaseSession, _context: object) -> None:
    session.info["flushed"] = True


@event.listens_for(DatabaseSession, "after_commit")
@event.listens_for(DatabaseSession, "after_rollback")
def _ended(session: DatabaseSession) -> None:
    session.info.pop("flushed", None)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates compiled once for all portals of the run."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture(scope="session", autouse=True)
def compiled_addresses() -> None:
    """Addresses of pages compiled once for all portals of the run: nine tenths of what it takes to make one."""
    compile_builder = Rule._compile_builder
    built: dict[object, Any] = {}

    def once(rule: Rule, append_unknown: bool = True) -> Any:
        key = (tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in built:
            built[key] = compile_builder(rule, append_unknown)
        return built[key]

    Rule._compile_builder = once  # type: ignore[assignment, method-assign]


@pytest.fixture
def settings() -> dict[str, str]:
    """What this test sets in the environment beyond the usual: override it, or parametrise it, to change that."""
    return {}


@pytest.fixture
def config(database: str, settings: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """The portal's settings; with the `smtp` fixture, mail goes there instead of into the mailbox folder."""
    if "smtp" in request.fixturenames:
        server: MailServer = request.getfixturevalue("smtp")
        settings = {"MAIL_SERVER": server.host, "MAIL_PORT": str(server.port), **settings}
    return config_for(database, tmp_path, **settings)


@pytest.fixture(scope="session")
def compiled_statements() -> dict[Any, Any]:
    """Statements compiled once for all portals of the run."""
    return {}


@pytest.fixture
def app(
    config: Config, compiled_templates: FileSystemBytecodeCache, compiled_statements: dict[Any, Any]
) -> Iterator[Flask]:
    """A fresh portal; the test stands in its application context."""
    portal = create_app(config)
    portal.jinja_env.bytecode_cache = compiled_templates
    with portal.app_context():
        db.engine.update_execution_options(compiled_cache=compiled_statements)
    portal.test_client_class = Client
    portal.test_cli_runner_class = Runner
    with portal.app_context():
        yield portal
        db.session.rollback()
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def session(app: Flask) -> scoped_session[Any]:
    """The test's own database session."""
    return db.session


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Opens pages without looking at them; tests of pages use `browse`."""
    return app.test_client()


@pytest.fixture
def browse(app: Flask) -> Browse:
    """Opens pages and looks at each: see tests/browse.py."""
    return Browse(app)


@pytest.fixture
def run(app: Flask) -> Runner:
    """Runs commands: `run("members", "import", path).stderr`."""
    runner = app.test_cli_runner()
    assert isinstance(runner, Runner)
    return runner


@pytest.fixture
def people(app: Flask) -> People:
    """Alice, Bob, Charlie and Dana, in the database."""
    with databases.writes():
        return settle()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still at `tests.people.NOW`: `clock.move_to(…)`, `clock.shift(timedelta(…))`."""
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


# Mail -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Received:
    """One message as a mail server received it."""

    peer: tuple[str, int]
    mail_from: str
    rcpt_tos: tuple[str, ...]
    data: bytes


@dataclass(frozen=True)
class MailServer:
    """A real SMTP server on loopback and what it received, oldest first."""

    host: str
    port: int
    received: list[Received] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        assert envelope.mail_from is not None
        peer = session.peer or ("", 0)
        recipients = tuple(str(address) for address in envelope.rcpt_tos)
        self.received.append(Received((str(peer[0]), int(peer[1])), envelope.mail_from, recipients, envelope.content))
        return "250 taken"


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    """A mail server that takes everything; the portal of this test sends there."""
    server = MailServer("127.0.0.1", free_port())
    controller = Controller(server, hostname=server.host, port=server.port)
    controller.start()
    yield server
    controller.stop()


MAIL_SERVERS = {"smtp", "relay"}  # fixtures


@pytest.fixture(autouse=True)
def mail_fence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that opens SMTP without one of the fixtures that are mail servers, or the mark `opens_smtp`, fails."""
    if MAIL_SERVERS.isdisjoint(request.fixturenames) and not request.node.get_closest_marker("opens_smtp"):

        def refuse(*_: object, **__: object) -> NoReturn:
            pytest.fail("this test opens SMTP unawares: ask for the `smtp` fixture")

        monkeypatch.setattr(smtplib.SMTP, "connect", refuse)
