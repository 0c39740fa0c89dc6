"""Erasures and disclosures.

Revision 0003, after 0002. Coming down, requests of the kind `review` go, and rows of the trail that lead to nobody.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


CHECKS = {
    "erasing": "kind IN ('erasure', 'review') OR (wait_until IS NULL AND approved_at IS NULL"
    " AND carried_out_at IS NULL AND hold = '' AND scope = '')",
    "carried_out": "carried_out_at IS NULL OR approved_at IS NOT NULL",
    "erasure_fulfilled": "kind <> 'erasure' OR state <> 'fulfilled' OR carried_out_at IS NOT NULL",
}


def upgrade() -> None:
    op.create_table('disclosure',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('recipient', sa.String(length=300), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('fields', sa.String(length=500), nullable=False),
    sa.Column('event_id', sa.Integer(), nullable=True),
    sa.Column('list_number', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['event_id'], ['event.id'], name=op.f('fk_disclosure_event_id_event'), ondelete='RESTRICT'),
    sa.ForeignKeyConstraint(['subject_id'], ['subject.id'], name=op.f('fk_disclosure_subject_id_subject'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_disclosure')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('disclosure', schema=None) as batch_op:
        batch_op.create_index('ix_disclosure_subject_id', ['subject_id', 'id'], unique=False)

    op.create_table('erasure_line',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('what', sa.String(length=60), nullable=False),
    sa.Column('action', sa.String(length=20), nullable=False),
    sa.Column('rows', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('until_on', sa.Date(), nullable=True),
    sa.CheckConstraint("action <> 'kept' OR (reason <> '' AND until_on IS NOT NULL)", name=op.f('ck_erasure_line_kept')),
    sa.CheckConstraint("action IN ('deleted', 'detached', 'kept')", name=op.f('ck_erasure_line_action')),
    sa.ForeignKeyConstraint(['request_id'], ['data_subject_request.id'], name=op.f('fk_erasure_line_request_id_data_subject_request'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_erasure_line')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('erasure_line', schema=None) as batch_op:
        batch_op.create_index('ix_erasure_line_request_id', ['request_id'], unique=False)

    op.create_table('request_task',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('request_id', sa.Uuid(), nullable=False),
    sa.Column('holding', sa.String(length=40), nullable=False),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['request_id'], ['data_subject_request.id'], name=op.f('fk_request_task_request_id_data_subject_request'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_request_task')),
    sa.UniqueConstraint('request_id', 'holding', name=op.f('uq_request_task_request_id_holding')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table("data_subject_request") as batch_op:
        batch_op.add_column(sa.Column("scope", sa.String(length=40), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("hold", sa.String(length=20), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("carried_out_at", sa.DateTime(timezone=True), nullable=True))
        for name, text in CHECKS.items():
            batch_op.create_check_constraint(op.f(f"ck_data_subject_request_{name}"), text)
    with op.batch_alter_table("data_subject_request") as batch_op:
        for name in ("scope", "hold"):
            batch_op.alter_column(name, existing_type=sa.String(length=40), server_default=None)

    with op.batch_alter_table("trail", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.alter_column("subject_id", existing_type=sa.Uuid(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM trail WHERE subject_id IS NULL")
    with op.batch_alter_table("trail", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.alter_column("subject_id", existing_type=sa.Uuid(), nullable=False)

    op.drop_table("request_task")
    op.drop_table("erasure_line")
    op.drop_table("disclosure")
    op.execute("DELETE FROM request_step WHERE request_id IN (SELECT id FROM data_subject_request WHERE kind = 'review')")
    op.execute("DELETE FROM data_subject_request WHERE kind = 'review'")
    with op.batch_alter_table("data_subject_request") as batch_op:
        for name in CHECKS:
            batch_op.drop_constraint(op.f(f"ck_data_subject_request_{name}"), type_="check")
        for name in ("carried_out_at", "approved_at", "hold", "wait_until", "scope"):
            batch_op.drop_column(name)
