"""What every command does that brings in a CSV file: progress, one transaction, the summary, the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import BinaryIO

import click
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from portal import clock
from portal.cli import worker
from portal.domain.errors import ImportRefused
from portal.domain.imports import Report
from portal.extensions import glance, transaction

Verb = Callable[..., Report]


def bring(file: BinaryIO, verb: Verb, *, dry_run: bool, of: str) -> None:
    """Run a verb on a file and end the command: 0 all was taken, 1 rows were refused, 3 nothing was changed.

    `of`: what others may change at the same time, as in "members".
    """
    worker.refuse_missing_key()
    total = _size(file)
    try:
        with (
            click.progressbar(length=total, file=sys.stderr, label="Reading", hidden=not sys.stderr.isatty()) as bar,
            glance() if dry_run else transaction(),
        ):
            report = verb(
                file, dry_run=dry_run, now=clock.now(), progress=lambda position: bar.update(position - bar.pos)
            )
    except ImportRefused as refusal:
        click.echo(f"{refusal} Nothing was changed.", err=True)
        raise SystemExit(3) from refusal
    except (IntegrityError, StaleDataError):
        click.echo(
            f"Somebody else was changing {of} at the same time. Nothing was changed; please run it again.", err=True
        )
        raise SystemExit(3) from None
    except OSError as error:
        click.echo(
            f"The file or the journal failed ({type(error).__name__}). Nothing was changed; see JOURNAL_DIR.", err=True
        )
        raise SystemExit(3) from None
    _show(report)
    raise SystemExit(1 if report.refused else 0)


def _size(file: BinaryIO) -> int:
    """Bytes to read; 0 for a pipe, whose end nobody knows."""
    if not file.seekable():
        return 0
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _show(report: Report) -> None:
    """The differences of a dry run to standard output, the summary to standard error."""
    for line, name, old, new in report.differences:
        click.echo(f"line {line}: {name}: {old or '(empty)'} -> {new}" if name else f"line {line}: a new person")
    for line, reason in report.held:
        click.echo(f"line {line}: held back, {reason}")
    if report.ignored_columns:
        click.echo(f"ignored columns: {', '.join(report.ignored_columns)}", err=True)
    for name in ("created", "updated", "unchanged"):
        click.echo(f"{name} {getattr(report, name)}", err=True)
    click.echo(f"held back {report.held_back}\nrefused {len(report.refused)}", err=True)
    for line, reason in report.refused:
        click.echo(f"line {line}: {reason}", err=True)
