"""Where limits are counted: a storage class of `limits` on the portal's own database (ecosystem, trap T18).

Flask-Limiter calls it before a request's own transaction begins. Names of counters hold keyed hashes only.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from limits.storage import Storage
from sqlalchemy import case, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.extensions import db, transaction
from portal.models import LimitCounter


class DatabaseStorage(Storage):
    """Fixed windows, one row each, shared by all processes; a restart forgets nothing."""

    STORAGE_SCHEME = ["database"]  # noqa: RUF012

    @property
    def base_exceptions(self) -> type[Exception]:
        return SQLAlchemyError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count once more; the window begins with its first count."""
        now = clock.now()
        insert = (sqlite if db.engine.dialect.name == "sqlite" else postgresql).insert
        fresh = {"name": key, "count": amount, "ends_at": now + timedelta(seconds=expiry)}
        statement = insert(LimitCounter).values(**fresh)
        over = LimitCounter.ends_at <= now
        statement = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={
                "count": case((over, amount), else_=LimitCounter.count + amount),
                "ends_at": case((over, fresh["ends_at"]), else_=LimitCounter.ends_at),
            },
        ).returning(LimitCounter.count)
        with transaction():
            return int(db.session.execute(statement).scalar_one())

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


def forget_ended() -> int:
    """Drop counters whose window is over; the number dropped."""
    return db.session.execute(delete(LimitCounter).where(LimitCounter.ends_at <= clock.now())).rowcount  # type: ignore[attr-defined,no-any-return]
