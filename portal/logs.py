"""Leaf: how the portal logs. JSON lines on standard error: an event code and references, never a name or an address.

EVENTS is the whole inventory, as docs/logs.md tells it: what is not listed there does not get through.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TextIO, cast

import structlog
from flask import Flask
from structlog.typing import EventDict, WrappedLogger

FRAMES = 30  # of a fault, the innermost
ADDRESS = re.compile(r"[^\s\"'<>(),;:]+@[^\s\"'<>(),;:]+")
ALWAYS = frozenset(("event", "level", "timestamp", "request_id"))


class Event(NamedTuple):
    """One line of the inventory: the fields that it may have, and what it says."""

    fields: tuple[str, ...]
    says: str


FAULT = ("kind", "trace")
EVENTS = {
    "afterwards.lost": Event(
        ("kind",), "what outlives an answer (a limit's count, the time of the last look) was not written"
    ),
    "auth.answered": Event(
        ("endpoint", "status"),
        "somebody tried to sign in, to sign out or to set a password: 303 done, 422 wrong, 429 too often, 410 used up",
    ),
    "broadcast.broken_off": Event(("number", "kind"), "queueing a broadcast was cut off; the worker goes on with it"),
    "broadcast.paused": Event(("number",), "a command put a broadcast off"),
    "broadcast.pressed": Event(("number", "button"), "staff pressed a button on a broadcast's page"),
    "broadcast.queued": Event(("number", "topic", "people"), "a broadcast was queued for so many"),
    "broadcast.resumed": Event(("number",), "a command let a broadcast go on"),
    "broadcast.stopped": Event(("number",), "a command stopped a broadcast for good"),
    "database.away": Event(("kind",), "a page answered 503: the database is away or busy, or the journal's disk"),
    "erasure.broken_off": Event(("kind",), "an erasure was cut off; the next run finishes it"),
    "erasure.needs_attention": Event(("request", "found"), "a look after an erasure found something left"),
    "erasure.refused": Event(("request", "why"), "an erasure that was due was not carried out"),
    "erasures.replayed": Event(
        ("opt_outs", "erasures", "sign_ins", "links", "address_changes", "messages"),
        "`erasures replay` has run after a restore",
    ),
    "gate.closed": Event(("why",), "the portal is shut: see restore.md"),
    "gate.not_asked": Event(("kind",), "the database did not say whether the gate is open"),
    "gate.open": Event((), "the gate is open again"),
    "inbound.bounce": Event(
        ("status", "proven", "ours"),
        "a mail server gave a message back; `proven`: one that we sent, `ours`: one to no member",
    ),
    "inbound.failed": Event(("kind", "where"), "an incoming message could not be read; the mail server keeps it"),
    "inbound.taken": Event(("what",), "an incoming message was taken, and what it was"),
    "journal.applied": Event(("lines",), "opt-outs of the journal that the database did not have"),
    "library.said": Event(
        ("logger", "where", "said", "trace"),
        "a library's own line, without the values that it wanted to tell; only with `PORTAL_ENV=production`",
    ),
    "mail.address_bounced": Event(("subject",), "an address counts as dead: it gets no more broadcasts"),
    "mail.dead": Event(("message", "kind", "name", "failure"), "a message was given up; staff are told by mail"),
    "mail.relay_away": Event(("error", "message"), "the relay refused the connection or broke off; tried again"),
    "page.broken": Event(
        ("reference", "endpoint", *FAULT), "a fault of ours: the visitor was shown the reference; `trace` says where"
    ),
    "page.refused": Event(
        ("endpoint", "method", "status"),
        "a page refused: 400 foreign host or form, 403 not allowed, 405, 413 too large, 429 too often",
    ),
    "process.broken": Event(FAULT, "the worker ended by a fault; systemd starts it again"),
    "reminders.broken_off": Event(("request", "kind"), "a request's reminders were not written; the next run tries"),
    "requests.digest": Event(("requests",), "staff were told of a flood of requests in one message"),
    "requests.reminded": Event(("staff", "people", "closed", "refused"), "the day's reminders, in numbers"),
    "retention.rule": Event(("rule", "gone", "refused"), "rows that were past their time, of one rule"),
    "worker.database_away": Event(("kind",), "the worker waits for the database"),
    "worker.held_up": Event(("kind",), "the worker waits: a journal cannot be read, or a verb refused"),
    "worker.not_answered": Event(("kind",), "a typed address was taken, and not answered"),
    "worker.started": Event((), "the worker looks for work"),
    "worker.stopped": Event((), "the worker was told to end, and has"),
}


def init_app(app: Flask) -> None:
    """One JSON line an event. Flask's own report of an exception is silenced: `web/errors` logs it with a reference."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            tell_where,
            only_listed,
            hide_addresses,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(UNFAILING),
    )
    app.logger.disabled = True
    if app.config["ENV_NAME"] == "production":
        logging.basicConfig(handlers=[Libraries()], level=logging.WARNING, force=True)


class Unfailing:
    """Standard error. A line that it does not take, as where the disk of the log is full, is lost, and nothing else."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


UNFAILING = cast(TextIO, Unfailing())


# What every line goes through -----------------------------------------------------------------------------


def tell_where(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    """Of an exception the kinds and the places, from its cause on. Its words may hold what somebody typed."""
    fault = line.pop("exc_info", None)
    fault = sys.exc_info()[1] if fault is True else fault[1] if isinstance(fault, tuple) else fault
    if isinstance(fault, BaseException):
        line["trace"] = _places(fault)
    return line


def _places(fault: BaseException) -> list[str]:
    before = fault.__cause__ or (None if fault.__suppress_context__ else fault.__context__)
    frames = traceback.extract_tb(fault.__traceback__)[-FRAMES:]
    here = [f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}" for frame in frames]
    return [*(_places(before) if before is not None else ()), *here, type(fault).__name__]


def only_listed(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    """What the inventory does not know is left out, and its name told: a careless line gives nobody away."""
    known = EVENTS.get(line["event"])
    allowed = {*ALWAYS, *(known.fields if known else ())}
    listed = {name: value for name, value in line.items() if name in allowed}
    unlisted = sorted(line.keys() - listed.keys())
    return listed | ({"unlisted": unlisted} if unlisted else {}) | ({} if known else {"event": "unlisted"})


def hide_addresses(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
    """An address that got into a text all the same."""
    return {name: _hide(value) for name, value in line.items()}


def _hide(value: object) -> object:
    if isinstance(value, str):
        return ADDRESS.sub("[address]", value)
    if isinstance(value, list | tuple):
        return [_hide(each) for each in value]
    return value


# Lines of others ------------------------------------------------------------------------------------------


class Libraries(logging.Handler):
    """Makes a line of ours of what a library logs: where it stands and its pattern, not what was filled in."""

    def emit(self, record: logging.LogRecord) -> None:
        """A text without anything to fill in may have been filled in before: it is left out."""
        level = {"CRITICAL": "error", "ERROR": "error"}.get(record.levelname, "warning")
        said = record.msg if record.args and isinstance(record.msg, str) else ""
        where = f"{record.module}:{record.lineno}"
        log = structlog.get_logger()
        getattr(log, level)("library.said", logger=record.name, where=where, said=said, exc_info=record.exc_info)


def catch_the_rest() -> None:
    """A process that ends by a fault says where, not what: for processes whose standard error is a log."""

    def tell(kind: type[BaseException], fault: BaseException, _trace: TracebackType | None) -> None:
        structlog.get_logger().error("process.broken", kind=kind.__name__, exc_info=fault)

    sys.excepthook = tell
