"""Pages for operators: is the process up, is everything it needs there."""

from __future__ import annotations

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import SQLAlchemyError

from portal.extensions import db, settings
from portal.web.access import PUBLIC, access

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@access(PUBLIC, anonymous=True)
def up() -> ResponseReturnValue:
    """`/healthz`: the process answers; nothing else is asked."""
    return jsonify(status="ok")


@bp.get("/readyz")
@access(PUBLIC, anonymous=True)
def ready() -> ResponseReturnValue:
    """`/readyz`: the database answers and has the newest form; what an operator should still set."""
    try:
        migrated = _migrated()
    except SQLAlchemyError:
        return jsonify(status="unavailable", database="away"), 503
    config = settings()
    wanted = {
        "PRIVACY_CONTACT": config.privacy_contact,
        "DPO_CONTACT": config.dpo_contact,
        "STAFF_EMAILS": ",".join(config.staff_emails),
    }
    warnings = [f"{name} is not set" for name, value in wanted.items() if not value]
    if not migrated:
        return jsonify(status="unavailable", database="needs migration", warnings=warnings), 503
    return jsonify(status="ok", warnings=warnings)


def _migrated() -> bool:
    directory = current_app.extensions["migrate"].directory
    with db.engine.connect() as connection:
        stands = MigrationContext.configure(connection).get_current_heads()
    return set(stands) == set(ScriptDirectory(directory).get_heads())
