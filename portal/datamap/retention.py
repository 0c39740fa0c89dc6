"""The retention run: carries out `purposes.PERIODS`, each period one rule (P28). Called by the command and the worker.

What a rule does follows from its entry in the catalogue; the few conditions beside the days stand in `_REMITS` and
`_ready`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import (
    Column,
    ColumnElement,
    Date,
    Row,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from portal.clock import days_after, society_date
from portal.extensions import Base, db, glance, transaction, unhurried
from portal.models import (
    ChoiceRow,
    DataSubjectRequest,
    Disclosure,
    EmailChange,
    Message,
    Recognition,
    SignIn,
    Subject,
    Suspension,
    Trail,
)
from portal.models.message import MailState
from portal.purposes import PERIODS, Period

BATCH: Final = 1000  # rows of one transaction: no other writer waits longer
PAUSE: Final = 0.02  # seconds between two batches, in which the others have their turn

CHANGE, CHOICE, DISCLOSURE, MESSAGE, REQUEST, SIGN_IN, SUBJECT, SUSPENSION, TRAIL = (
    cast(Table, model.__table__)
    for model in (EmailChange, ChoiceRow, Disclosure, Message, DataSubjectRequest, SignIn, Subject, Suspension, Trail)
)


@dataclass(frozen=True)
class Outcome:
    """What one rule did, or would do, in rows.

    `until`: the day at the society's seat on which the next row goes; None where no row has such a day. `refused`:
    the database refused a part of it, which is due again the next time.
    """

    rule: str
    words: str
    gone: int
    stays: int
    until: date | None
    refused: bool = False


@dataclass(frozen=True)
class _Rule:
    """One period at one moment, as SQL over its table. Dry run, run and numbers all read these conditions."""

    code: str
    period: Period
    table: Table
    after: Column[Any]  # what the days count from, of this table or of one that it refers to
    cut: datetime | date  # where the days have led to: this moment, or day, is past its time
    remit: ColumnElement[bool]  # the rows that the period speaks of
    ready: ColumnElement[bool]  # those of them that wait for nothing but the days
    allowed: ColumnElement[bool]  # those that the database lets go

    @property
    def due(self) -> ColumnElement[bool]:
        if self.after.table is self.table:
            past = self.after <= self.cut
        else:
            other = self.after.table.alias()
            key = self.key
            past = key.parent.in_(select(other.c[key.column.name]).where(other.c[self.after.name] <= self.cut))
        return and_(self.remit, self.ready, self.allowed, past)

    @property
    def key(self) -> Any:
        """The foreign key that leads to the table of `after`."""
        (key,) = (each for each in self.table.foreign_keys if each.column.table is self.after.table)
        return key


def run(*, now: datetime, dry_run: bool = False, stopping: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
    """Carry out every period, one after the other; each outcome comes when its rule has ended.

    Writes in short transactions of its own, so the caller has none under way. A dry run counts what a run would do
    and writes nothing. Asks `stopping` between two batches. To run twice, or in two processes, does no harm.
    """
    for code in PERIODS:
        rule = _rule(code, now)
        gone, refused = 0, False
        if not dry_run:
            try:
                for rows in _batches(rule, stopping):
                    gone += rows
            except IntegrityError:
                refused = True
        with glance():
            unhurried()
            stays = _count(rule, rule.remit)
            if dry_run:
                gone = _count(rule, rule.due)
                stays -= gone
            outcome = Outcome(code, rule.period.words, gone, stays, _next(rule), refused)
        yield outcome
        if stopping():
            return


# The rules ------------------------------------------------------------------------------------------------


def _rule(code: str, now: datetime) -> _Rule:
    period = PERIODS[code]
    table = Base.metadata.tables[period.table]
    other, _, column = period.after.rpartition(".")
    after = (Base.metadata.tables[other] if other else table).c[column]
    days = timedelta(days=period.days)
    cut = society_date(now) - days if isinstance(after.type, Date) else now - days
    allowed = CHOICE.c.at < _ago(period.days) if table is CHOICE and not other else true()
    return _Rule(code, period, table, after, cut, _REMITS.get(code, true()), _ready(code, cut, now), allowed)


def _of_the_erased(table: Table) -> ColumnElement[bool]:
    subject = SUBJECT.alias()
    return exists().where(subject.c.id == table.c.subject_id, subject.c.erased_at.is_not(None))


# No row stands in the remit of two rules that delete, and the texts and addresses of messages go before the rows: so
# a dry run, which sees the rows of all rules, counts as the run does. Literals: partial indexes are asked by them.
_NOTHING: Final[ColumnElement[str]] = literal_column("''")
_UNSENT: Final[list[ColumnElement[str]]] = [
    literal_column(f"'{state}'") for state in PERIODS["unsent-addresses"].states
]
_REMITS: Final[Mapping[str, ColumnElement[bool]]] = {
    "message-texts": or_(*(MESSAGE.c[name] != _NOTHING for name in ("text", "html", "unsubscribe_url"))),
    "unsent-addresses": and_(MESSAGE.c.state.in_(_UNSENT), MESSAGE.c.to_address != _NOTHING),
    "message-addresses": and_(MESSAGE.c.sent_at.is_not(None), MESSAGE.c.to_address != _NOTHING),
    "farewells": MESSAGE.c.name == literal_column("'farewell'"),
    "messages": MESSAGE.c.name != "farewell",
    "choices": ~_of_the_erased(CHOICE),
    "requests": ~_of_the_erased(REQUEST),
    "requests-of-the-erased": _of_the_erased(REQUEST),
    "suspensions": SUSPENSION.c.ended_at.is_not(None) | ~_of_the_erased(SUSPENSION),
    # It was ended by nobody: of the erased none is looked at any more.
    "suspensions-of-the-erased": and_(SUSPENSION.c.ended_at.is_(None), _of_the_erased(SUSPENSION)),
    "proofs-of-the-erased": _of_the_erased(CHOICE),
    "disclosures": ~_of_the_erased(DISCLOSURE),
    "disclosures-of-the-erased": _of_the_erased(DISCLOSURE),
    "trail": TRAIL.c.subject_id.is_not(None),
    "detached-trail": TRAIL.c.subject_id.is_(None),
    "recognitions-of-the-erased": cast(Table, Recognition.__table__).c.left_at.is_not(None),
    "numbers-of-the-erased": SUBJECT.c.erased_at.is_not(None),
}
_OPENED, _NEWER, _LATER = SIGN_IN.alias("opened"), CHOICE.alias("newer"), TRAIL.alias("later")
_READY: Final[Mapping[str, ColumnElement[bool]]] = {
    # Until the membership system knows the new address, an import knows the person by the old one.
    "address-changes": ~exists().where(
        TRAIL.c.subject_id == CHANGE.c.member_id,
        TRAIL.c.act == "changed",
        TRAIL.c.field == "email",
        TRAIL.c.carried_at.is_(None),
    ),
    "message-texts": MESSAGE.c.sent_at.is_not(None),
    "messages": MESSAGE.c.state.in_((MailState.SENT, MailState.DEAD, MailState.CANCELLED)),
    # As the trigger of migration 0002 asks.
    "choices": exists().where(
        _NEWER.c.subject_id == CHOICE.c.subject_id,
        _NEWER.c.code == CHOICE.c.code,
        _NEWER.c.event_id.is_not_distinct_from(CHOICE.c.event_id),
        _NEWER.c.id > CHOICE.c.id,
    ),
    "requests-of-the-erased": REQUEST.c.closed_at.is_not(None),
    # A change that is not carried over yet holds back what an import brings; the newest says where a value came from.
    "trail": and_(
        TRAIL.c.carried_at.is_not(None),
        or_(
            TRAIL.c.act.not_in(("changed", "created")),
            exists().where(
                _LATER.c.subject_id == TRAIL.c.subject_id,
                _LATER.c.act == TRAIL.c.act,
                _LATER.c.field == TRAIL.c.field,
                _LATER.c.id > TRAIL.c.id,
            ),
        ),
    ),
}


def _ready(code: str, cut: datetime | date, now: datetime) -> ColumnElement[bool]:
    if code == "sign-ins":  # a kept sign-in takes those along that it opened: it waits for the last of them
        return ~exists().where(_OPENED.c.kept_by_id == SIGN_IN.c.id, _OPENED.c.ends_at > cut)
    if code == "numbers-of-the-erased":
        return and_(*_nothing_refers(now))
    return _READY.get(code, true())


def _ago(days: int) -> ColumnElement[datetime]:
    """By the database's own clock, which the trigger of migration 0002 reads."""
    if db.engine.dialect.name == "sqlite":
        return func.datetime("now", f"-{days} days")
    return func.now() - timedelta(days=days)


def _nothing_refers(now: datetime) -> Iterator[ColumnElement[bool]]:
    """For each foreign key to a subject: no row that will stay after the rules before this one."""
    for table in Base.metadata.sorted_tables:
        rules = [
            _rule(code, now)
            for code, period in PERIODS.items()
            if period.table == table.name and not period.clears and table is not SUBJECT
        ]
        goes = func.coalesce(or_(*(rule.due for rule in rules)), False) if rules else None
        for key in table.foreign_keys:
            if key.column.table is SUBJECT:
                refers = key.parent == SUBJECT.c.id
                yield ~exists().where(refers if goes is None else and_(refers, not_(goes)))


# Carrying out ---------------------------------------------------------------------------------------------


def _batches(rule: _Rule, stopping: Callable[[], bool]) -> Iterator[int]:
    """Take what is due, so many rows in each transaction; yields how many.

    Rows of the table that refer to others of it go first, or the database would take them along uncounted.
    """
    inner = [key.parent for key in rule.table.foreign_keys if key.column.table is rule.table]
    waves = [inner[0].is_not(None), inner[0].is_(None)] if inner else [true()]
    for wave in waves:
        last: tuple[Any, ...] | None = None
        while not stopping():
            with glance():
                unhurried()
                found = _look(rule, wave, last)
            if found:
                with transaction():
                    rows = _take(rule, found)
                yield rows
            if len(found) < BATCH:
                break
            last = tuple(found[-1])
            time.sleep(PAUSE)


def _look(rule: _Rule, wave: ColumnElement[bool], last: tuple[Any, ...] | None) -> Sequence[Row[Any]]:
    """The next rows that are due. No other writer waits for it, however many rows it passes over that stay.

    It goes on where the one before ended, so that those are looked at once.
    """
    order = _order(rule)
    query = select(*order).where(rule.due, wave)
    if last is not None:
        begin = tuple_(*(literal(value, column.type) for value, column in zip(last, order, strict=True)))
        query = query.where(tuple_(*order) > begin)
    return db.session.execute(query.order_by(*order).limit(BATCH)).all()


def _take(rule: _Rule, found: Sequence[Row[Any]]) -> int:
    """Take those that are still due, but for rows that somebody else is writing to; how many."""
    key = list(rule.table.primary_key.columns)

    def these(rows: Sequence[Row[Any]]) -> ColumnElement[bool]:
        keys = [tuple(row[-len(key) :]) for row in rows]
        return tuple_(*key).in_(keys) if len(key) > 1 else key[0].in_([value for (value,) in keys])

    due = select(*key).where(these(found), rule.due)
    free = db.session.execute(due.with_for_update(skip_locked=True, of=rule.table)).all()
    statement = (
        update(rule.table).values(dict.fromkeys(rule.period.clears, "")).where(these(free))
        if rule.period.clears
        else delete(rule.table).where(these(free))
    )
    rows: int = db.session.execute(statement).rowcount  # type: ignore[attr-defined]
    return rows


def _order(rule: _Rule) -> list[Column[Any]]:
    key = list(rule.table.primary_key.columns)
    return [rule.after, *key] if rule.after.table is rule.table else key


def _count(rule: _Rule, which: ColumnElement[bool]) -> int:
    return db.session.execute(select(func.count()).select_from(rule.table).where(which)).scalar_one()


def _next(rule: _Rule) -> date | None:
    """The day on which the first of the rows that stay goes."""
    query = select(rule.after).where(rule.remit, rule.ready, rule.after > rule.cut).order_by(rule.after).limit(1)
    if rule.after.table is not rule.table:
        query = query.join_from(rule.table, rule.after.table, rule.key.parent == rule.key.column)
    first: datetime | date | None = db.session.execute(query).scalar_one_or_none()
    if first is None:
        return None
    end = days_after(first, rule.period.days)
    return society_date(end) if isinstance(end, datetime) else end
