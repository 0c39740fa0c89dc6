"""What stood in a profile before it was last saved, so that a save can be undone for half an hour.

Revision 0014, after 0013. Coming down, these values go; what was saved stands.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "former_value",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("field", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["member_id"], ["member.id"], name=op.f("fk_former_value_member_id_member"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former_value")),
        sa.UniqueConstraint("member_id", "field", name=op.f("uq_former_value_member_id_field")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_former_value_at", "former_value", ["at", "id"])


def downgrade() -> None:
    op.drop_table("former_value")
