"""Commands on broadcasts: send one, hold it, end it; or filter a list of recipients for another program that sends."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import structlog
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.cli import worker
from portal.cli.groups import Group
from portal.domain import broadcasts
from portal.domain.errors import CannotSend, NotNow
from portal.extensions import glance, settings, transaction
from portal.mail import outbox
from portal.mail.broadcasts import fill
from portal.purposes import TOPICS
from portal.tokens import unsubscribe_signer

group = Group("broadcasts", help="Broadcast email.")
log = structlog.get_logger()

PREVIEWS = 3
A_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FIELDS = ("number", "state", "topic", "queued", "people", "sent", "waiting", "refused", "not sent", "unsubscribed")


@group.command("send")
@click.option("--topic", required=True, type=click.Choice(sorted(TOPICS)), help="What it is about.")
@click.option("--subject", required=True, help="The subject line.")
@click.option("--text", required=True, type=A_FILE, help="The text, UTF-8.")
@click.option("--html", type=A_FILE, help="The same as HTML, UTF-8.")
@click.option("--dry-run", is_flag=True, help="Count and show three copies; queue nothing.")
def send(topic: str, subject: str, text: Path, html: Path | None, dry_run: bool) -> None:
    """Queue a broadcast to everybody who gets TOPIC; its number goes to standard output.

    {first_name}, {last_name} and {unsubscribe_url} are replaced, nothing else. The postal address is added, and the
    unsubscribe link where the text has none.
    """
    try:
        words = broadcasts.compose(topic, subject, _read(text), _read(html) if html else "")
    except CannotSend as refused:
        raise click.UsageError(str(refused)) from refused
    worker.refuse_missing_key()
    worker.catch_up()
    with glance():
        those = broadcasts.audience(topic)
        _say("may get it", those.may)
        _say("left out", those.left_out)
        _say("without a first name", those.nameless)
        if dry_run:
            _preview(topic, words)
    if not settings().society_postal_address:
        click.echo("SOCIETY_POSTAL_ADDRESS is not set: the law asks for it in every broadcast.", err=True)
    if not dry_run:
        _queue(topic, words)


def _queue(topic: str, words: outbox.Words) -> None:
    """In short transactions. What has begun is gone on with by the worker, so a fault on the way is no reason to
    send again.
    """
    with transaction():
        number = broadcasts.queue(topic, words, now=clock.now()).id
    click.echo(number)
    queued = 0
    try:
        while some := _fill_some(number):
            queued += some
            if queued % (20 * broadcasts.AT_ONCE) == 0:
                _say("queued", queued)
    except SQLAlchemyError as error:
        log.error("broadcast.broken_off", number=number, kind=type(error).__name__)
        click.echo(f"Broadcast {number} has begun; the worker queues the rest. Do not send it again.", err=True)
        raise SystemExit(1) from None
    log.info("broadcast.queued", number=number, topic=topic, people=queued)
    _say("queued", queued)


def _fill_some(number: int) -> int:
    with transaction():
        return broadcasts.fill_some(number, now=clock.now())


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is not UTF-8.") from error
    if not text.strip():
        raise click.UsageError(f"{file} is empty.")
    return text


def _preview(topic: str, words: outbox.Words) -> None:
    """Copies as they would leave now, but for their links: those stop nobody."""
    link = outbox.absolute("/unsubscribe/preview")
    for nth, person in enumerate(broadcasts.some(topic, limit=PREVIEWS), 1):
        title = outbox.one_line(fill(words.title, person))
        click.echo(f"--- {nth} ---\nTo: {person.address}\nSubject: {title}\n\n{fill(words.text, person, link=link)}")
        if words.html:
            click.echo(f"--- {nth}, as HTML ---\n{fill(words.html, person, link=link, markup=True)}")


def _say(what: str, number: int) -> None:
    click.echo(f"{what} {number}", err=True)


@group.command("list")
def list_() -> None:
    """Print the broadcasts, the newest on top, with how far each is."""
    click.echo("\t".join((*FIELDS, "subject")))
    before: int | None = None
    with glance():
        while True:
            shown, before = broadcasts.page(before=before, limit=100)
            for each in shown:
                numbers, opt_outs = broadcasts.count(each), broadcasts.opt_outs(each)
                facts = (each.id, each.state, each.topic, each.created_at.isoformat(timespec="seconds"), each.people)
                far = (numbers.sent, numbers.waiting, numbers.refused, numbers.not_sent, opt_outs)
                click.echo("\t".join(map(str, (*facts, *far, each.title))))
            if before is None:
                return


@group.command("pause")
@click.argument("number", type=int)
def pause(number: int) -> None:
    """Hold what waits of a broadcast."""
    with _told(), transaction():
        broadcasts.pause(number)
    log.info("broadcast.paused", number=number)


@group.command("resume")
@click.argument("number", type=int)
def resume(number: int) -> None:
    """Go on with a broadcast that is paused."""
    with _told(), transaction():
        broadcasts.go_on(number, now=clock.now())
    log.info("broadcast.resumed", number=number)


@group.command("stop")
@click.argument("number", type=int)
def stop(number: int) -> None:
    """End a broadcast for good: what waits is never sent."""
    with _told(), transaction():
        broadcasts.stop(number)
    log.info("broadcast.stopped", number=number)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except NotNow as refused:
        click.echo(str(refused), err=True)
        raise SystemExit(3) from refused


@group.command("filter")
@click.option("--topic", required=True, type=click.Choice(sorted(TOPICS)), help="What the broadcast is about.")
def filter_(topic: str) -> None:
    """Read recipients as CSV, write those who may get TOPIC, each with the link that stops it.

    Needs a column `email`; keeps all columns and adds `unsubscribe_url` last. Who may not be mailed, or is not
    known, is dropped and counted.
    """
    reader = csv.reader(sys.stdin, strict=True)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    header = next(reader, [])
    names = [name.strip().lower().removeprefix("\ufeff") for name in header]
    if "email" not in names:
        click.echo("The input has no column called email.", err=True)
        raise SystemExit(3)
    column, width = names.index("email"), len(names)
    worker.refuse_missing_key()
    worker.catch_up()
    with glance():
        references = broadcasts.allowed(topic)
    sign = unsubscribe_signer(topic)
    base = settings().url
    dropped = kept = 0
    writer.writerow([header[0].removeprefix("\ufeff"), *header[1:], "unsubscribe_url"])
    for row in _rows(reader):
        email = row[column] if len(row) == width else ""
        reference = references.get(broadcasts.short_key(email))
        if reference is None:
            dropped += 1
            continue
        writer.writerow([*row, f"{base}/unsubscribe/{sign(reference)}"])
        kept += 1
    click.echo(f"allowed {kept}\ndropped {dropped}", err=True)


def _rows(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows that hold something; a file that breaks off in a quoted cell ends with a sentence, not a trace."""
    try:
        yield from (row for row in reader if row)
    except (csv.Error, UnicodeDecodeError) as error:
        click.echo(f"The input breaks off or is not CSV in UTF-8: {error}", err=True)
        raise SystemExit(1) from error
