"""Where limits are counted: a storage class of `limits` on the portal's own database (ecosystem, trap T18).

Flask-Limiter calls it before a request's own transaction begins. Names of counters hold keyed hashes only.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import cast

from limits.storage import Storage
from sqlalchemy import Executable, Integer, Table, bindparam, case, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.extensions import db, transaction
from portal.models import LimitCounter
from portal.models.columns import UtcDateTime
from portal.tokens import keyed_digest

_COUNTERS = cast(Table, LimitCounter.__table__)


class DatabaseStorage(Storage):
    """Fixed windows, one row each, shared by all processes; a restart forgets nothing."""

    STORAGE_SCHEME = ["database"]  # noqa: RUF012

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count once more; the window begins with its first count."""
        now = clock.now()
        counted = {"key": key, "amount": amount, "now": now, "ends": now + timedelta(seconds=expiry)}
        with transaction():
            return int(db.session.execute(_count(db.engine.dialect.name), counted).scalar_one())

    def get(self, key: str) -> int:
        row = self._row(key)
        return row.count if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row(key)
        return row.ends_at.timestamp() if row else time.time()

    def check(self) -> bool:
        with transaction():
            db.session.execute(select(1))
        return True

    def reset(self) -> int | None:
        with transaction():
            return db.session.execute(delete(LimitCounter)).rowcount  # type: ignore[attr-defined,no-any-return]

    def clear(self, key: str) -> None:
        with transaction():
            db.session.execute(delete(LimitCounter).where(LimitCounter.name == key))

    def _row(self, key: str) -> LimitCounter | None:
        with transaction():
            row = db.session.get(LimitCounter, key)
            if row is not None:
                db.session.expunge(row)
        return row if row is not None and row.ends_at > datetime.now(UTC) else None


@cache
def _count(dialect: str) -> Executable:
    """Made once, as a limit is counted before anything is done for a stranger."""
    amount = bindparam("amount", type_=Integer())
    now, ends = (bindparam(name, type_=UtcDateTime()) for name in ("now", "ends"))
    fresh = (sqlite if dialect == "sqlite" else postgresql).insert(_COUNTERS)
    over = or_(_COUNTERS.c.ends_at <= now, _COUNTERS.c.ends_at > ends)  # the clock was ahead
    counting: Executable = (
        fresh.values(name=bindparam("key"), count=amount, ends_at=ends)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={
                "count": case((over, amount), else_=_COUNTERS.c.count + amount),
                "ends_at": case((over, ends), else_=_COUNTERS.c.ends_at),
            },
        )
        .returning(_COUNTERS.c.count)
    )
    return counting


def first_today(job: str, *, now: datetime) -> bool:
    """Whether nobody has asked for this daily job yet today, at the society's seat: so one of several workers has it.

    In a transaction of its own. A job whose worker dies is left until the next day.
    """
    name = f"daily/{job}/{clock.society_date(now)}"
    return DatabaseStorage().incr(name, timedelta(days=2).total_seconds()) == 1


def first_this_hour(job: str, *, now: datetime) -> bool:
    """As `first_today`, of an hour on the clock."""
    name = f"hourly/{job}/{now.astimezone(UTC):%Y-%m-%dT%H}"
    return DatabaseStorage().incr(name, timedelta(hours=2).total_seconds()) == 1


def tick(name: str, *, now: datetime, keep: timedelta, amount: int = 1) -> None:
    """Add to a number that all processes share, kept for so long from now on. In a transaction of its own."""
    insert = (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert
    statement = insert(LimitCounter).values(name=name, count=amount, ends_at=now + keep)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"count": LimitCounter.count + amount, "ends_at": now + keep}
    )
    with transaction():
        db.session.execute(statement)


def within(what: str, whom: str, *, most: int, seconds: float) -> bool:
    """Count one more of something, and whether it is still no more than so many in so many seconds.

    In a transaction of its own. `whom`: an address, of which only a keyed digest is kept; or nothing.
    """
    name = f"{what}/{keyed_digest(whom, purpose=what) if whom else 'all'}"
    return DatabaseStorage().incr(name, seconds) <= most


def forget_ended() -> int:
    """Drop counters whose window is over; the number dropped."""
    return db.session.execute(delete(LimitCounter).where(LimitCounter.ends_at <= clock.now())).rowcount  # type: ignore[attr-defined,no-any-return]
