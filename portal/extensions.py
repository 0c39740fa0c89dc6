"""Leaf: the Flask extensions, unbound. They import nothing of ours; `create_app` binds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, current_app, has_request_context, request
from flask.sessions import SecureCookieSessionInterface
from flask.templating import Environment
from flask_limiter import Limiter
from flask_login import LoginManager
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from itsdangerous import URLSafeTimedSerializer
from jinja2.runtime import Context, Macro
from sqlalchemy import Connection, MetaData, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase

if TYPE_CHECKING:
    from config import Config

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SIGNER = "portal.signer"  # of an application's session cookies


class Base(DeclarativeBase):
    """Every model's base. Constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Drawing(Context):
    """What a template draws with. Only a function of Jinja's own is asked at length what it wants to be given."""

    def call(self, obj: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if hasattr(obj, "jinja_pass_arg"):
            return super().call(obj, *args, **kwargs)
        kwargs.pop("_block_vars", None)
        kwargs.pop("_loop_vars", None)
        return obj(self.eval_ctx, *args, **kwargs) if isinstance(obj, Macro) else obj(*args, **kwargs)


class Templates(Environment):
    """All templates share one set of globals, never changed after the start: looked up in one place, not in two."""

    context_class = Drawing

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **d} if d else self.globals


class Sessions(SecureCookieSessionInterface):
    """Flask's own cookie; what signs it is made once for an application, not for each request."""

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        if SIGNER not in app.extensions:
            app.extensions[SIGNER] = super().get_signing_serializer(app)
        made: URLSafeTimedSerializer | None = app.extensions[SIGNER]
        return made


class Portal(Flask):
    """Flask, less what every request would pay for and none of ours needs. No view of ours is a coroutine."""

    jinja_environment = Templates
    jinja_options = {"cache_size": -1}  # noqa: RUF012  a cache that may be full keeps an order of use
    session_interface = Sessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


class Logins(LoginManager):  # type: ignore[misc]
    """Without Flask-Login's own cookie, for which it would read the session on every answer, and its digest of the
    browser, which would be made for every request and compared with nothing."""

    def _update_remember_cookie(self, response: Response) -> Response:
        return response

    def _session_protection_failed(self) -> bool:
        return False


class Limits(Limiter):
    """Limits stand on views, which count for themselves: nothing has to be looked for around every request."""

    def init_app(self, app: Flask) -> None:
        before, after = list(app.before_request_funcs[None]), list(app.after_request_funcs[None])
        super().init_app(app)
        app.before_request_funcs[None], app.after_request_funcs[None] = before, after
        app.teardown_request_funcs.pop(None, None)  # what it drops ends with the request anyway


class FormTokens(CSRFProtect):  # type: ignore[misc]
    """Only where something is sent it is asked whether this view takes it without a token."""

    def protect(self, apply_exemptions: bool = False) -> None:
        if request.method not in SAFE_METHODS:
            super().protect(apply_exemptions)


db = SQLAlchemy(model_class=Base)
migrate = Migrate(compare_type=True, render_as_batch=True)
login_manager = Logins()
csrf = FormTokens()


def _no_default_key() -> str:
    raise RuntimeError("every limit names what it counts")


limiter = Limits(key_func=_no_default_key, storage_uri="database://", headers_enabled=False)


def settings() -> Config:
    """The settings of the running portal."""
    config: Config = current_app.extensions["portal.config"]
    return config


# Transactions ---------------------------------------------------------------------------------------------

_writing: ContextVar[bool] = ContextVar("writing", default=False)
_patience: ContextVar[int] = ContextVar("patience", default=5000)
_glancing: ContextVar[bool] = ContextVar("glancing", default=False)


@contextmanager
def transaction(*, patience: int = 5000, consistent: bool = False) -> Iterator[None]:
    """A short transaction of its own that commits at its end, or changes nothing.

    Commands and the worker write in it. A web request may use it for what must outlive a refusal or happens on
    a GET, before its own transaction begins or after it has ended; beside it, it refuses. `patience`: how many
    milliseconds it waits for another writer of the same SQLite file. `consistent`: all that it reads is of one moment,
    on PostgreSQL too; SQLite reads no other way.
    """
    if db.session().in_transaction():
        raise RuntimeError("a transaction of its own cannot stand beside one that is under way")
    token, waiting = _writing.set(True), _patience.set(patience)
    try:
        if consistent:
            _read_of_one_moment()
        yield
        db.session.commit()
    except BaseException:
        db.session.rollback()
        raise
    finally:
        _writing.reset(token)
        _patience.reset(waiting)


@contextmanager
def plain_transaction(connection: Connection) -> Iterator[None]:
    """The same by a plain connection, without a session: for a worker that takes thousands of small steps in a row."""
    try:
        with connection.begin():
            yield
    finally:
        _end_turn(connection.info)


@contextmanager
def glance(*, consistent: bool = False) -> Iterator[None]:
    """A short reading transaction that ends at once, so that slow work after it (a password hash) locks nothing.

    `consistent`: all that it reads is of one moment, on PostgreSQL too; SQLite reads no other way.
    """
    if db.session().in_transaction():
        raise RuntimeError("a glance comes before a transaction, not inside one")
    token = _glancing.set(True)
    try:
        if consistent:
            _read_of_one_moment()
        yield
    finally:
        db.session.rollback()
        _glancing.reset(token)


def _read_of_one_moment() -> None:
    if db.engine.dialect.name == "postgresql":
        db.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def unhurried() -> None:
    """What this transaction asks may take ten minutes on PostgreSQL, instead of the seconds that a page has.

    For a command that asks about the whole membership in one statement.
    """
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("SET LOCAL statement_timeout = '10min'"))


TURN = "turn"  # of a connection that writes: the lock that it holds


def prepare_engine(engine: Any) -> None:
    """SQLite as one durable database for several processes (WAL, full sync, foreign keys, explicit BEGIN).

    A GET begins deferred and never waits for a writer. Everything else begins IMMEDIATE: two writers queue
    up for at most five seconds instead of failing half-way. Writers of one process take turns before they ask the
    file: SQLite lets a writer who waits sleep and try again, ever longer, and by chance. A turn ends where the
    connection goes back to the pool, as that of a session does with its transaction.
    """
    if engine.dialect.name != "sqlite":
        return
    turn = Lock()

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        asking = has_request_context() and request.method in SAFE_METHODS
        reading = _glancing.get() or (asking and not _writing.get())
        if connection.info.get("patience") != _patience.get():  # a connection keeps it
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_patience.get()}")
            connection.info["patience"] = _patience.get()
        if reading:
            connection.exec_driver_sql("BEGIN")
        else:
            _begin_to_write(connection, turn)

    @event.listens_for(engine, "checkin")
    def checkin(_connection: sqlite3.Connection, record: Any) -> None:
        _end_turn(record.info)


def _begin_to_write(connection: Connection, turn: Lock) -> None:
    if not turn.acquire(timeout=_patience.get() / 1000):
        raise OperationalError("BEGIN IMMEDIATE", None, sqlite3.OperationalError("database is locked"))
    connection.info[TURN] = turn
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except BaseException:
        _end_turn(connection.info)
        raise


def _end_turn(info: dict[Any, Any]) -> None:
    held: Lock | None = info.pop(TURN, None)
    if held is not None:
        held.release()
