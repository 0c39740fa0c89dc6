"""Broadcasts.

Revision 0007, after 0006. The words of a broadcast stand once; each message of one knows its number and has no text.
The indexes of the outbox are split, so that a long broadcast keeps no personal message waiting.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OF_NO_BROADCAST = sa.text("broadcast_id IS NULL")
OF_A_BROADCAST = sa.text("broadcast_id IS NOT NULL")
LEASED = sa.text("lease_until IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "broadcast",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("topic", sa.String(length=40), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("sent", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.Column("not_sent", sa.Integer(), nullable=False),
        sa.Column("unsubscribed", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "state IN ('filling', 'running', 'paused', 'stopped', 'ended')", name=op.f("ck_broadcast_state")
        ),
        sa.CheckConstraint("state <> 'ended' OR ended_at IS NOT NULL", name=op.f("ck_broadcast_ended")),
        sa.CheckConstraint("ended_at IS NULL OR state IN ('stopped', 'ended')", name=op.f("ck_broadcast_final")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broadcast")),
        sqlite_autoincrement=True,
    )
    op.drop_index("ix_message_due", "message")
    with op.batch_alter_table("message") as batch_op:
        batch_op.add_column(sa.Column("broadcast_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_message_broadcast_id_broadcast"), "broadcast", ["broadcast_id"], ["id"], ondelete="RESTRICT"
        )
    for name, columns, where, unique in (
        ("ix_message_due", ["state", "kind", "due_at"], OF_NO_BROADCAST, False),
        ("ix_message_broadcast", ["broadcast_id", "state", "due_at", "id"], OF_A_BROADCAST, False),
        ("ix_message_person", ["broadcast_id", "subject_id"], OF_A_BROADCAST, True),
        ("ix_message_lease", ["lease_until"], LEASED, False),
    ):
        op.create_index(name, "message", columns, unique=unique, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.execute("DELETE FROM message WHERE broadcast_id IS NOT NULL AND state IN ('queued', 'claimed')")  # no words
    for name in ("ix_message_lease", "ix_message_person", "ix_message_broadcast", "ix_message_due"):
        op.drop_index(name, "message")
    with op.batch_alter_table("message") as batch_op:
        batch_op.drop_constraint(op.f("fk_message_broadcast_id_broadcast"), type_="foreignkey")
        batch_op.drop_column("broadcast_id")
    op.create_index("ix_message_due", "message", ["state", "kind", "due_at"])
    op.drop_table("broadcast")
