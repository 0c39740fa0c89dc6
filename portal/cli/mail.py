"""Commands on mail: deliver the outbox, take what comes in, look at the settings as a stranger would."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from email.utils import parseaddr
from pathlib import Path
from traceback import extract_tb
from typing import BinaryIO, NoReturn

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.cli import worker
from portal.cli.groups import Group
from portal.domain import gate, inbound, samples
from portal.domain.inbound import Taken
from portal.extensions import db, glance, settings, transaction
from portal.mail import doctor as examine
from portal.mail import transport
from portal.mail.inbound import MOST_BYTES, parse
from portal.models import Message

group = Group("mail", help="The outbox, and what comes in.")
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: the mail server keeps the message
log = structlog.get_logger()


@group.command("deliver")
@click.option("--watch", is_flag=True, help="Go on until stopped.")
def deliver(watch: bool) -> None:
    """Deliver what is due, once; what it did goes to standard error."""
    worker.refuse_missing_key()
    if watch:
        worker.run(every=1.0)
        return
    worker.catch_up()
    worker.answer_waiting(clock.now)
    done = worker.deliver_all()
    for what in ("sent", "retried", "dead", "cancelled", "deferred"):
        click.echo(f"{what} {done[what]}", err=True)
    if done["dead"] or done["deferred"]:
        raise SystemExit(1)


@group.command("receive", gated=False)
def receive() -> None:
    """Take one incoming message from standard input, as a mail server pipes it. 0: taken, 75: try again later."""
    raw = _read(sys.stdin.buffer)
    try:
        taken = _take(raw)
    except (SQLAlchemyError, OSError) as error:
        _again(f"The database or the journal is away ({type(error).__name__}).")
    except Exception as error:  # a message that trips us is kept by the mail server, not lost
        last = extract_tb(error.__traceback__)[-1]
        log.error("inbound.failed", kind=type(error).__name__, where=f"{last.name}:{last.lineno}")
        _again(f"The message could not be read ({type(error).__name__}).")
    log.info("inbound.taken", what=taken)
    click.echo(taken, err=True)


@group.command("doctor")
@click.option(
    "--write", type=click.Path(file_okay=False, path_type=Path), help="Also write each message to this folder."
)
def doctor(write: Path | None) -> None:
    """Say what a large mailbox provider would object to, a line each. 0: nothing, 1: something."""
    objections = [*examine.of_settings(), *examine.of_line()]
    for name, row in _samples():
        objections += [f"The message “{name}”: {each}." for each in examine.of_message(row)]
        if write is not None:
            write.mkdir(parents=True, exist_ok=True)
            (write / f"{name}.eml").write_bytes(transport.Message(row).as_bytes())
    for each in objections:
        click.echo(each)
    for each in examine.not_checked():
        click.echo(f"Not checked here, ask whoever keeps your DNS and your mail server: {each}", err=True)
    click.echo(f"{len(objections)} objection{'s' if len(objections) != 1 else ''}.", err=True)
    raise SystemExit(1 if objections else 0)


class _TakenBackError(Exception):
    """Ends a transaction of which nothing may stay."""


def _samples() -> Iterator[tuple[str, Message]]:
    """Every message once, written about sample people in a transaction that is taken back."""
    for name, put in {**samples.SAMPLES, **samples.BESIDE}.items():
        rows: list[Message] = []
        with suppress(_TakenBackError), transaction():
            with db.session.no_autoflush:
                put(samples.cast())
                rows = [each for each in db.session.new if isinstance(each, Message)]
            for row in rows:
                db.session.expunge(row)
            raise _TakenBackError
        yield from ((name, row) for row in rows[:1])


def _read(source: BinaryIO) -> bytes:
    """So much of it as is read, and one byte more; the rest is taken and dropped, so that the pipe does not break."""
    raw = source.read(MOST_BYTES + 1)
    while source.read(MOST_BYTES):
        pass
    return raw


def _take(raw: bytes) -> Taken:
    config = settings()
    names = re.findall(r"\w+", f"{config.society_short_name} {config.society_name}".casefold())
    ours = {parseaddr(config.mail_default_sender)[1], config.unsubscribe_mailbox} - {""}
    letter = parse(raw, names=names, ours=ours)
    with glance():
        why = gate.closed()
    if why:
        _again("The portal is closed after a restore.")
    with transaction():
        taken = inbound.take(letter, now=clock.now())
    if taken is Taken.LATER:
        _again("Nobody is named in STAFF_EMAILS, or too many letters came in an hour.")
    if taken is Taken.STRANGER and inbound.may_answer(letter):
        with transaction():
            inbound.answer_stranger(letter, now=clock.now())
    return taken


def _again(why: str) -> NoReturn:
    click.echo(f"{why} Please try again later.", err=True)
    raise SystemExit(TRY_AGAIN)
