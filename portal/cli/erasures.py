"""Commands on erasures: carry out those that are due, repeat them after a restore. The worker calls `run_due`, too."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from uuid import UUID

import click
import structlog
from flask import current_app

from portal import clock, journal
from portal.cli.groups import Group
from portal.datamap import erasure
from portal.datamap.erasure import Needles
from portal.datamap.rows import Person
from portal.domain import erasures, restored
from portal.domain.errors import NotDue, StillClosed
from portal.extensions import db, glance, transaction
from portal.journal import Erasure, Step
from portal.models import DataSubjectRequest, Subject

group = Group("erasures", help="Erasures of members.")
log = structlog.get_logger()


@dataclass(frozen=True)
class Ran:
    """What one run did, in erasures. `attention`: done in the database, and something was found afterwards."""

    done: int = 0
    refused: int = 0
    attention: int = 0


@group.command("run")
def run() -> None:
    """Carry out the erasures that are due, finish those that were cut off, and check each."""
    ran = run_due(clock.now(), look_again=True)
    click.echo(f"done {ran.done}\nrefused {ran.refused}\nneeds attention {ran.attention}", err=True)
    if ran.refused or ran.attention:
        raise SystemExit(1)
    if not ran.done:
        raise SystemExit(3)


@group.command("replay", gated=False)
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def replay(files: tuple[Path, ...]) -> None:
    """After a restore: repeat opt-outs and erasures, end what came back to life, and open the portal.

    FILE: journals of other machines, beside those in JOURNAL_DIR. All or nothing, and safe to run again.
    """
    empty = [path for path in files if not journal.holds_lines(path)]
    for path in empty:
        click.echo(f"{path}: no line of a journal in it", err=True)
    if empty:
        raise SystemExit(3)
    with _alone() as alone:
        if not alone:
            click.echo("Another run on erasures is under way. Please run it again.", err=True)
            raise SystemExit(3)
        try:
            with transaction():
                done = restored.replay(files, now=clock.now())
        except StillClosed as closed:
            click.echo(f"The portal stays closed, and nothing was changed. {closed}", err=True)
            raise SystemExit(3) from closed
    for name, number in asdict(done).items():
        click.echo(f"{name.replace('_', ' ')} {number}", err=True)
    log.warning("erasures.replayed", **asdict(done))


def run_due(now: datetime, *, look_again: bool = False) -> Ran:
    """Carry out what is due, one run at a time on a machine. A run that was killed is finished by the next.

    `look_again`: check those again that need attention. Raises OSError when the journal
    cannot be written: then nothing is erased.
    """
    counts: Counter[str] = Counter()
    with _alone() as alone:
        if alone:
            with glance():
                unchecked = erasures.unchecked(again=look_again)
            for line in _begun():
                _guarded(counts, partial(_finish, line, now))
            for request_id, subject_id in unchecked:
                _guarded(counts, partial(_check_late, request_id, subject_id, now))
            with glance():
                due = erasures.due(now=now)
            for request_id in due:
                _guarded(counts, partial(_erase, request_id, now))
    return Ran(counts["done"], counts["refused"], counts["attention"])


def _guarded(counts: Counter[str], work: Callable[[], str]) -> None:
    """What fails in one erasure keeps no other waiting: what is begun is finished by the next run.

    A journal that cannot be written or read stops them all: OSError goes on.
    """
    try:
        counts[work()] += 1
    except OSError:
        raise
    except Exception as error:
        db.session.rollback()
        log.error("erasure.broken_off", kind=type(error).__name__)
        counts["refused"] += 1


# One erasure ----------------------------------------------------------------------------------------------


def _erase(request_id: UUID, now: datetime, begun: Erasure | None = None) -> str:
    """Say so in the journal, do it in one transaction, say that it is done, check.

    The review of one purpose is in no journal.
    """
    with glance():
        request = db.session.get_one(DataSubjectRequest, request_id)
        subject_id, whole = request.subject_id, not request.scope
        hashes = erasures.hashes(subject_id)
    line = begun
    try:
        if whole and line is None:
            with transaction():
                since = erasures.announce(request_id, now=now)
            line = Erasure(secrets.token_hex(16), since, Step.INTENT, subject_id, hashes)
            journal.note_erasure(line)
        with transaction():
            needles = erasures.carry_out(request_id, now=now)
    except NotDue as refused:
        log.warning("erasure.refused", request=request_id.hex, why=str(refused))
        _write(line, Step.VOID, now)
        return "refused"
    if not whole:
        return "done"
    _write(line, Step.DONE, now, hashes=needles.hashes)
    return _check(request_id, subject_id, needles, now)


def _finish(line: Erasure, now: datetime) -> str:
    """An erasure that was begun and has no end in the journal: write the end, repeat, or give up."""
    with glance():
        subject = db.session.get(Subject, line.subject)
        if subject is None:
            return "unknown"
        erased, due = subject.erased_at is not None, erasures.due_of(line.subject, now=now)
    if due is not None and not erased:
        return _erase(due, now, begun=line)
    _write(line, Step.DONE if erased else Step.VOID, now)
    return "ended"


def _check_late(request_id: UUID, subject_id: UUID, now: datetime) -> str:
    """A check that was cut off, or that had found something: with what still tells of the person.

    What was written about them while they were being erased loses their number first.
    """
    hashes = [line.hashes for line in _journalled() if line.subject == subject_id]
    with transaction():
        erasure.detach_late(subject_id)
    with glance():
        needles = erasure.needles_left(subject_id, tuple(dict.fromkeys(chain.from_iterable(hashes))))
    return _check(request_id, subject_id, needles, now)


def _check(request_id: UUID, subject_id: UUID, needles: Needles, now: datetime) -> str:
    """Nothing is called done before the database has been searched."""
    with glance():
        found = erasure.verify(needles, Person(subject_id, (), needles.hashes))
    with transaction():
        erasures.checked(request_id, found, now=now)
    if found.left:
        log.error("erasure.needs_attention", request=request_id.hex, found=found.left)
        return "attention"
    return "done"


# The journal ----------------------------------------------------------------------------------------------


def _write(line: Erasure | None, step: Step, now: datetime, *, hashes: tuple[str, ...] = ()) -> None:
    if line is not None:
        journal.note_erasure(Erasure(line.id, now, step, line.subject, hashes or line.hashes))


def _begun() -> list[Erasure]:
    """The first lines of what has no last line, oldest first."""
    begun: dict[str, Erasure] = {}
    ended: set[str] = set()
    for line in _journalled():
        if line.step is Step.INTENT:
            begun[line.id] = line
        else:
            ended.add(line.id)
    return sorted((line for key, line in begun.items() if key not in ended), key=lambda line: (line.at, line.id))


def _journalled() -> Iterator[Erasure]:
    """Every line of every file here."""
    for path in journal.erasure_files():
        for line, _ in journal.read_erasures(path, position=0):
            yield line


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other run on this machine is under way; the lock falls with the process that holds it."""
    folder = Path(current_app.config["JOURNAL_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / "erasures.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
