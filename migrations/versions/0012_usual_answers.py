"""An index of usual answers.

Revision 0012, after 0011. The newest answer of a person to a question that is of no single event: PostgreSQL does not
see that `event_id IS NULL` keeps the order of an index over (subject_id, code, event_id, id), and read the key of the
whole table from its end instead.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

USUAL = sa.text("event_id IS NULL")


def upgrade() -> None:
    op.create_index(
        "ix_choice_usual", "choice", ["subject_id", "code", "id"], sqlite_where=USUAL, postgresql_where=USUAL
    )


def downgrade() -> None:
    op.drop_index("ix_choice_usual", table_name="choice")
