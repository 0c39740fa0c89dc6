"""Commands on the privacy notice: publish a version, tell everybody. The worker calls `tell_a_few`, too."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from portal import clock
from portal.cli.groups import Group
from portal.domain import notices
from portal.domain.errors import ChangeRefused, NoticeRefused
from portal.domain.notices import Told
from portal.extensions import glance, transaction
from portal.models.notice import CHANGES

AT_ONCE = 25  # people told in one transaction
PAUSE = 0.05  # seconds between two, in which others have their turn to write

group = Group("notices", help="The privacy notice and its versions.")


@group.command("publish")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--change", required=True, type=click.Choice(CHANGES), help="What kind of change it is.")
@click.option("--effective", type=click.DateTime(["%Y-%m-%d"]), help="In force from this day; today if left out.")
def publish(file: Path, change: str, effective: datetime | None) -> None:
    """Publish FILE (Markdown, UTF-8) as the next version of the notice."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        with transaction():
            day = effective.date() if effective else None
            notice = notices.publish(text, change=change, effective_on=day, now=clock.now())
            version, since, told = notice.version, clock.in_words(notice.effective_on), notice.told_at is None
    except ChangeRefused as refusal:
        raise click.UsageError(f"{refusal} Nothing was published.") from refusal
    except NoticeRefused as refusal:
        _nothing(str(refusal), refusal)
    except UnicodeDecodeError as error:
        _nothing(f"{file} is not UTF-8.", error)
    except OSError as error:
        _nothing(f"{file} cannot be read: {error.strerror}.", error)
    click.echo(f"Version {version} is published, in force from {since}.", err=True)
    if told:
        click.echo("Everybody is told by email: the worker does it, or `notices tell`.", err=True)


def _nothing(why: str, error: Exception) -> None:
    click.echo(f"{why} Nothing was published.", err=True)
    raise SystemExit(3) from error


@group.command("tell")
def tell() -> None:
    """Write to everybody who was not told yet of a new version. Safe to repeat, also beside the worker."""
    number, told = 0, Told(goes_on=True)
    while told.goes_on:
        with transaction():
            told = notices.tell_some(most=AT_ONCE, after=told.last, now=clock.now())
        number += told.number
        time.sleep(PAUSE if told.number else 0)
    click.echo(f"told {number}", err=True)


def tell_a_few(after: UUID | None, *, most: int) -> Told:
    """The next part of the telling; none while as many of these messages wait, so that they hold up no others."""
    now = clock.now()
    with glance():
        room = most - notices.on_their_way(most=most, now=now) if notices.is_to_be_told() else 0
    if not room:
        return Told(last=after)
    with transaction():
        return notices.tell_some(most=room, after=after, now=now)
