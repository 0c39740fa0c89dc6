"""Indexes of retention.

Revision 0004, after 0003. Each period of the catalogue finds its rows by an index; a person has at most one open
review of one scope.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# table, column
MOMENTS = (
    ("choice", "at"),
    ("data_subject_request", "closed_at"),
    ("disclosure", "at"),
    ("email_change", "cancel_until"),
    ("failed_sign_in", "at"),
    ("link_request", "at"),
    ("message", "created_at"),
    ("password_link", "ends_at"),
    ("sign_in", "ends_at"),
    ("trail", "at"),
)
# name, table, columns, where
PARTIAL = (
    ("ix_message_farewell", "message", ["created_at", "id"], "name = 'farewell'"),
    ("ix_message_address", "message", ["sent_at", "id"], "sent_at IS NOT NULL AND to_address <> ''"),
    (
        "ix_message_text",
        "message",
        ["sent_at", "id"],
        "sent_at IS NOT NULL AND (text <> '' OR html <> '' OR unsubscribe_url <> '')",
    ),
    ("ix_subject_erased_at", "subject", ["erased_at"], "erased_at IS NOT NULL"),
    (
        "uq_data_subject_request_open_review",
        "data_subject_request",
        ["subject_id", "scope"],
        "closed_at IS NULL AND kind = 'review'",
    ),
)


def upgrade() -> None:
    for table, column in MOMENTS:
        op.create_index(f"ix_{table}_{column}", table, [column, "id"])
    for name, table, columns, where in PARTIAL:
        op.create_index(
            name,
            table,
            columns,
            unique=name.startswith("uq_"),
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )


def downgrade() -> None:
    for name, table, *_ in reversed(PARTIAL):
        op.drop_index(name, table)
    for table, column in reversed(MOMENTS):
        op.drop_index(f"ix_{table}_{column}", table)
