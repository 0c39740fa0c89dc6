"""Commands on lists: release one, as CSV with its disclosure rows; nothing else makes a list leave."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

import click
from sqlalchemy import select

from portal import clock
from portal.cli.groups import Group
from portal.domain import lists
from portal.extensions import db, glance, transaction
from portal.models import Event, ListRelease
from portal.purposes import AUDIENCES, PURPOSES, Audience

FEW = 5  # lines of a preview

group = Group("lists", help="Lists of people that leave the society.")


@group.command("release")
@click.argument("event", required=False)
@click.option("--for", "code", required=True, type=click.Choice(list(AUDIENCES)), help="Who it is for.")
@click.option("--to", required=True, metavar="NAME", help="Who receives it, by name.")
@click.option("--preview", is_flag=True, help="Say what would be released, and write nothing.")
@click.option("--approved", metavar="NUMBER", help="The list, as it was filed and approved.")
def release(event: str | None, code: str, to: str, preview: bool, approved: str | None) -> None:
    """Write the list as CSV to standard output, of those alone who agree at this second; EVENT unless for employers.

    Where a second person is required, the list is filed and its number printed; release it with --approved when a
    colleague has approved it at /desk/lists.
    """
    audience = AUDIENCES[code]
    if audience.of_event is (event is None):
        raise click.UsageError(f"{audience.name} has {'an EVENT' if audience.of_event else 'no EVENT'}.")
    if not to.strip() or len(to) > 300:
        raise click.UsageError("--to names the recipient, in 300 characters at most.")
    if preview:
        _preview(audience, event, to)
        return
    with tempfile.TemporaryFile() as spool:  # without a name: gone with this process
        with _writing(spool) as out, transaction(consistent=True):
            lists.take_turn()
            found = _file(audience, _event(audience, event), to, approved)
            number, why = found.number, lists.why_not(found, now=clock.now())
            people = 0 if why else lists.release(found, out, by=None, now=clock.now())
        if why:
            click.echo(f"{number}\n{why}", err=True)
            raise SystemExit(1)
        spool.seek(0)
        _hand_out(spool, number)
    click.echo(f"{number}: {people} people for {to}", err=True)


def _event(audience: Audience, code: str | None) -> Event | None:
    if code is None:
        return None
    found = db.session.scalars(select(Event).where(Event.code == code)).one_or_none()
    if found is None:
        raise click.UsageError(f"There is no event {code}.")
    if not lists.is_of(audience, found):
        raise click.UsageError(lists.NO_EXHIBITION)
    return found


def _file(audience: Audience, event: Event | None, to: str, approved: str | None) -> ListRelease:
    """A new list, or the approved one; that is released only for what it was filed for."""
    if approved is None:
        return lists.file(audience, event, to=to, by=None, now=clock.now())
    found = lists.by_number(approved)
    same = found is not None and (found.audience, found.event, found.recipient) == (audience.code, event, to.strip())
    if found is None or not same:
        click.echo(f"There is no list {approved} of these people for {to}. Nothing was released.", err=True)
        raise SystemExit(1)
    return found


def _preview(audience: Audience, code: str | None, to: str) -> None:
    """The first lines to standard output, never the whole list; how many it would have to standard error."""
    with glance(consistent=True):
        shown = lists.preview(audience, _event(audience, code), few=FEW)
    out = io.StringIO(newline="")
    lists.write_preview(shown, audience, out)
    click.echo(out.getvalue(), nl=False)
    needs = " A second person has to approve it." if lists.needs_second(audience) else ""
    click.echo(
        f"would release {shown.people} people to {to}, for: {PURPOSES[audience.purpose].name}.{needs}"
        f" The first {len(shown.first)} are shown. Nothing was written down.",
        err=True,
    )


@contextmanager
def _writing(spool: IO[bytes]) -> Iterator[TextIO]:
    """The spool as a file of text, all of it in the spool afterwards."""
    out = io.TextIOWrapper(spool, encoding="utf-8", newline="", write_through=False)
    try:
        yield out
        out.flush()
    finally:
        out.detach()


def _hand_out(spool: IO[bytes], number: str) -> None:
    """After the commit. If the output breaks, the log says more than left; a new release makes a new list."""
    try:
        while piece := spool.read(1 << 16):
            click.echo(piece, nl=False)
    except OSError as error:
        click.echo(f"{number} was released and is written down, but its output broke: {error.strerror}.", err=True)
        raise SystemExit(1) from error
