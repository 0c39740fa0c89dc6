"""Published recognitions.

Revision 0010, after 0009. Officers and volunteers as the society publishes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('recognition',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(length=300), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=True),
    sa.Column('name', sa.String(length=300), nullable=False),
    sa.Column('title', sa.String(length=300), nullable=False),
    sa.Column('country', sa.String(length=2), nullable=False),
    sa.Column('affiliation', sa.String(length=300), nullable=False),
    sa.Column('role', sa.String(length=300), nullable=False),
    sa.Column('starts_on', sa.Date(), nullable=True),
    sa.Column('ends_on', sa.Date(), nullable=True),
    sa.Column('left_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('taken_down_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("taken_down_at IS NULL OR (subject_id IS NULL AND name = '')", name=op.f('ck_recognition_taken_down')),
    sa.ForeignKeyConstraint(['subject_id'], ['subject.id'], name=op.f('fk_recognition_subject_id_subject'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recognition')),
    sa.UniqueConstraint('code', name=op.f('uq_recognition_code')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('recognition', schema=None) as batch_op:
        batch_op.create_index('ix_recognition_subject_id', ['subject_id'], unique=False)
        batch_op.create_index('ix_recognition_left_at', ['left_at'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('recognition', schema=None) as batch_op:
        batch_op.drop_index('ix_recognition_left_at')
        batch_op.drop_index('ix_recognition_subject_id')

    op.drop_table('recognition')
