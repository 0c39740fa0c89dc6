"""Pages for operators: is the process up, is everything it needs there."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.datamap import inventory
from portal.domain import gate
from portal.extensions import Base, db, glance, settings
from portal.models import Message
from portal.models.message import MailState
from portal.web import weaknesses
from portal.web.access import PUBLIC, access
from portal.web.direct import is_direct

bp = Blueprint("health", __name__)
LATE = timedelta(hours=1)


@bp.get("/healthz")
@access(PUBLIC, anonymous=True)
def up() -> ResponseReturnValue:
    """`/healthz`: the process answers; nothing else is asked."""
    return jsonify(status="ok")


@bp.get("/readyz")
@access(PUBLIC, anonymous=True)
def ready() -> ResponseReturnValue:
    """`/readyz`: database, map, journals and outbox in order, the gate open; what an operator should still set.

    Whoever does not ask from this machine itself reads no more than whether it is so.
    """
    config = settings()
    wanted = {
        "PRIVACY_CONTACT": config.privacy_contact,
        "DPO_CONTACT": config.dpo_contact,
        "STAFF_EMAILS": ",".join(config.staff_emails),
    }
    warnings = [f"{name} is not set" for name, value in wanted.items() if not value]
    warnings += filter(None, [weaknesses.warning(clock.now().date())])
    trouble: dict[str, Any] = {}
    try:
        if not _migrated():
            trouble["database"] = "needs migration"
        else:
            with glance():
                if holes := inventory.unknown(Base.metadata, db.session.connection()):
                    trouble["map"] = "; ".join(holes)
                if why := gate.closed():
                    trouble["gate"] = f"closed: {why}"
                if _mail_waits():
                    warnings.append("mail has been waiting for over an hour: is a worker running?")
    except SQLAlchemyError:
        trouble["database"] = "away"
    except OSError:
        trouble["journals"] = "cannot be read"
    if not _may_write(config.journal_dir):
        trouble["journals"] = "cannot be written"
    status = "unavailable" if trouble else "ok"
    told = trouble | {"warnings": warnings} if is_direct() else {}
    return jsonify(status=status, **told), 503 if trouble else 200


def _mail_waits() -> bool:
    """Whether a message that should have left an hour ago stands in the outbox. A broadcast may take its time."""
    waiting = Message.state == MailState.QUEUED, Message.broadcast_id.is_(None)
    overdue = select(Message.id).where(*waiting, Message.due_at < clock.now() - LATE)
    return db.session.execute(overdue.limit(1)).first() is not None


def _may_write(folder: Path) -> bool:
    """The folder of the journals; if there is none yet, the one in which it will be made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _migrated() -> bool:
    with db.engine.connect() as connection:
        stands = MigrationContext.configure(connection).get_current_heads()
    return set(stands) == _heads(current_app.extensions["migrate"].directory)


@cache
def _heads(directory: str) -> set[str]:
    """The newest revision that this program knows: it does not change while it runs."""
    return set(ScriptDirectory(directory).get_heads())
