"""Verb of published recognitions coming in: apply recognitions.csv, in the caller's one transaction (P18).

A file never takes an entry away, and never fills one that staff took down. Called by the command;
docs/events-csv.md tells an operator the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import BinaryIO
from uuid import UUID

from sqlalchemy import select

from portal.clock import society_date
from portal.domain import subjects, values
from portal.domain.csv_file import open_csv
from portal.domain.import_store import ERASED, Difference, Run
from portal.domain.imports import Report, report
from portal.domain.record_csv import Reader, Record, Value, dates_wrong, differences, records, text
from portal.extensions import db
from portal.models import Member, Recognition, Suppression
from portal.tokens import number_to_hash, suppression_hashes

READERS: Mapping[str, Reader] = {
    "member_id": text,
    "name": text,
    "title": text,
    "country": values.country,
    "affiliation": text,
    "role": text,
    "starts_on": values.iso_date,
    "ends_on": values.iso_date,
}
COLUMNS = ("recognition_id", *READERS)
CHUNK = 1000
TAKEN_DOWN = "was taken down here"


def import_recognitions(
    stream: BinaryIO, *, dry_run: bool = False, now: datetime, progress: Callable[[int], None] | None = None
) -> Report:
    """Create and update entries. Writes nothing on a dry run. Raises ImportRefused."""
    run = Run(now, society_date(now), dry_run, [])
    with open_csv(stream, known=COLUMNS, needed=("recognition_id",), progress=progress) as file:
        rows = records(file.rows, run, key="recognition_id", readers=READERS)
        while batch := list(islice(rows, CHUNK)):
            codes = [record.key for record in batch]
            query = select(Recognition).where(Recognition.code.in_(codes)).order_by(Recognition.id)
            known = {each.code: each for each in db.session.scalars(query)}
            numbers = {str(record.values["member_id"]) for record in batch if "member_id" in record.values}
            members = _members(numbers, run)
            erased = _erased(numbers)
            for record in batch:
                _decide(record, known.get(record.key), members, erased, run)
            db.session.flush()
    return report(run, file.ignored)


def _members(numbers: set[str], run: Run) -> dict[str, UUID]:
    """Whose the numbers are. From here on it is our turn for each: no erasure would find what is written meanwhile."""
    query = select(Member.member_number, Member.id).where(Member.member_number.in_(numbers)).order_by(Member.id)
    found = db.session.execute(query).all()
    return {row.member_number: row.id for row in found if run.dry or subjects.take_turn(row.id)}


def _erased(numbers: set[str]) -> set[str]:
    """Those of the numbers whose record was erased, or suspended."""
    hashes = {hashed: each for each in numbers for hashed in suppression_hashes(number_to_hash(each))}
    query = select(Suppression.keyed_hash).where(
        Suppression.keyed_hash.in_(hashes), Suppression.reason.in_(("erased", "suspended"))
    )
    return {hashes[each] for each in db.session.scalars(query)}


def _decide(
    record: Record, stored: Recognition | None, members: Mapping[str, UUID], erased: set[str], run: Run
) -> None:
    brought = dict(record.values)
    number = str(brought.pop("member_id", ""))
    if number in erased:
        run.hold(record.line, [ERASED])
    elif stored is not None and stored.taken_down_at is not None:
        run.hold(record.line, [TAKEN_DOWN])
    else:
        _bring(record, stored, brought, members.get(number), run)


def _bring(
    record: Record, stored: Recognition | None, brought: dict[str, Value], subject_id: UUID | None, run: Run
) -> None:
    changes = {name: new for name, new in brought.items() if getattr(stored, name, None) != new}
    first = changes.get("starts_on", stored.starts_on if stored else None)
    last = changes.get("ends_on", stored.ends_on if stored else None)
    problems = [] if stored or "name" in brought else ["no name"]
    problems += filter(None, [dates_wrong(first, last)])
    if problems:
        run.refuse(record.line, "; ".join(problems))
        return
    ties = subject_id is not None and (stored is None or stored.subject_id != subject_id)
    run.counts["created" if stored is None else "updated" if changes or ties else "unchanged"] += 1
    if run.dry:
        run.differences += _told(record, stored, changes, ties)
        return
    if stored is None:
        stored = Recognition(code=record.key)
        db.session.add(stored)
    for name, new in changes.items():
        setattr(stored, name, new)
    if ties:
        stored.subject_id, stored.left_at = subject_id, None


def _told(record: Record, stored: Recognition | None, changes: Mapping[str, Value], ties: bool) -> list[Difference]:
    if stored is None:
        return [Difference(record.line, "recognition", "", record.key)]
    tied = [Difference(record.line, "member_id", "", str(record.values["member_id"]))] if ties else []
    return differences(record.line, stored, changes) + tied
