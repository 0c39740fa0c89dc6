"""Indexes for the desk, and a mark on disclosures whose recipient may have to hear of something.

Revision 0013, after 0012. No page reads a table to its end that grows with the membership: what waits for somebody has
an index of its own, and the recalls look only at disclosures of people who have answered anew since, or whose record
is restricted or erased. The database itself notes a new answer, whichever way it came.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# name, table, columns, where
INDEXES = (
    ("ix_request_step_step", "request_step", ["step", "at"], None),
    ("ix_disclosure_outside", "disclosure", ["id"], "audience IN ('partner', 'authority')"),
    ("ix_disclosure_told_on", "disclosure", ["told_on", "id"], "told_on IS NOT NULL"),
    ("ix_disclosure_doubtful", "disclosure", ["id"], "doubtful"),
    ("ix_import_conflict_waiting", "import_conflict", ["id"], "kept_at IS NULL"),
    ("ix_subject_restricted_at", "subject", ["restricted_at"], "restricted_at IS NOT NULL"),
    ("ix_suspension_review_on", "suspension", ["review_on", "id"], "ended_at IS NULL"),
    ("ix_trail_waiting_person", "trail", ["subject_id", "id"], "carried_at IS NULL"),
)
ANSWERS = "('attendee_list', 'sponsor_sharing', 'employer_sharing')"
DOUBT = "UPDATE disclosure SET doubtful = true WHERE subject_id = NEW.subject_id AND recalled <> 'delete' AND NOT doubtful"
SQLITE = (
    f"CREATE TRIGGER disclosure_doubt AFTER INSERT ON choice WHEN NEW.code IN {ANSWERS} BEGIN {DOUBT}; END",
)
POSTGRESQL = (
    f"CREATE FUNCTION disclosure_doubt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {DOUBT}; RETURN NULL; END $$",
    f"CREATE TRIGGER disclosure_doubt AFTER INSERT ON choice FOR EACH ROW WHEN (NEW.code IN {ANSWERS}) "
    "EXECUTE FUNCTION disclosure_doubt()",
)
SINCE = f"""
    UPDATE disclosure SET doubtful = true WHERE recalled <> 'delete' AND EXISTS (
        SELECT 1 FROM choice WHERE choice.subject_id = disclosure.subject_id
        AND choice.code IN {ANSWERS} AND choice.at >= disclosure.at
    )
"""


def upgrade() -> None:
    op.add_column("disclosure", sa.Column("doubtful", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name, table, columns, where in INDEXES:
        only = sa.text(where) if where else None
        here = sa.text("doubtful = 1") if where == "doubtful" else only  # SQLite has no booleans of its own
        op.create_index(name, table, columns, sqlite_where=here, postgresql_where=only)
    op.execute(SINCE)
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER disclosure_doubt")
    else:
        op.execute("DROP TRIGGER disclosure_doubt ON choice")
        op.execute("DROP FUNCTION disclosure_doubt()")
    for name, table, *_ in reversed(INDEXES):
        op.drop_index(name, table)
    with op.batch_alter_table("disclosure") as to:
        to.drop_column("doubtful")
