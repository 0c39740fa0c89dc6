"""Verb of events coming in: apply events.csv, in the caller's one transaction. A file never takes an event away.

Called by the command; docs/events-csv.md tells an operator the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, BinaryIO

from sqlalchemy import select

from portal.clock import society_date
from portal.domain import events, optouts, values
from portal.domain.csv_file import open_csv
from portal.domain.import_store import Difference, Run
from portal.domain.imports import Report, report
from portal.domain.record_csv import Reader, Record, dates_wrong, differences, records, text, yes_no
from portal.extensions import db
from portal.models import Event

READERS: Mapping[str, Reader] = {
    "name": text,
    "starts_on": values.iso_date,
    "ends_on": values.iso_date,
    "place": text,
    "exhibition": yes_no,
}
COLUMNS = ("event_id", *READERS)
NOT_IN_A_PATH = frozenset((".", ".."))


def import_events(
    stream: BinaryIO, *, dry_run: bool = False, now: datetime, progress: Callable[[int], None] | None = None
) -> Report:
    """Create and update events. Writes nothing on a dry run. Raises ImportRefused."""
    run = Run(now, society_date(now), dry_run, [])
    created: set[str] = set()
    with open_csv(stream, known=COLUMNS, needed=("event_id",), progress=progress) as file:
        known = {event.code: event for event in db.session.scalars(select(Event).order_by(Event.id))}
        for record in records(file.rows, run, key="event_id", readers=READERS):
            event = known.get(record.key)
            if event is not None:
                _update(event, record, run)
            elif _create(record, run):
                created.add(record.key)
    db.session.flush()
    if created and not dry_run:
        optouts.apply_to_events(created, now=now)
    return report(run, file.ignored)


def _create(record: Record, run: Run) -> bool:
    found: dict[str, Any] = {"place": "", "exhibition": False} | dict(record.values)
    found.setdefault("ends_on", found.get("starts_on"))  # a day
    problems = [f"no {name}" for name in ("name", "starts_on") if name not in record.values]
    problems += filter(None, [dates_wrong(found.get("starts_on"), found["ends_on"])])
    if "/" in record.key or record.key in NOT_IN_A_PATH:
        problems.append("event_id: it stands in the address of a page, so it has no slash and is no dot")
    if problems:
        run.refuse(record.line, "; ".join(problems))
        return False
    run.counts["created"] += 1
    if run.dry:
        run.differences.append(Difference(record.line, "event", "", record.key))
        return False
    events.add(record.key, **found)
    return True


def _update(event: Event, record: Record, run: Run) -> None:
    changes = {name: new for name, new in record.values.items() if getattr(event, name) != new}
    if wrong := dates_wrong(changes.get("starts_on", event.starts_on), changes.get("ends_on", event.ends_on)):
        run.refuse(record.line, wrong)
        return
    run.counts["updated" if changes else "unchanged"] += 1
    if run.dry:
        run.differences += differences(record.line, event, changes)
        return
    for name, new in changes.items():
        setattr(event, name, new)
