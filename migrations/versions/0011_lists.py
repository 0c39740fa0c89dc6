"""Lists that leave, recalls, disclosures outside, and the way back to the membership system.

Revision 0011, after 0010. Answers that were given here and stand are noted as waiting to be carried over; coming down,
these notes go, and so do the day and the reason of disclosures that may not be told yet.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('list_release',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('operation_id', sa.String(length=64), nullable=True),
    sa.Column('audience', sa.String(length=20), nullable=False),
    sa.Column('event_id', sa.Integer(), nullable=True),
    sa.Column('recipient', sa.String(length=300), nullable=False),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('people', sa.Integer(), nullable=True),
    sa.CheckConstraint("(released_at IS NULL) = (people IS NULL)", name=op.f('ck_list_release_people')),
    sa.ForeignKeyConstraint(['event_id'], ['event.id'], name=op.f('fk_list_release_event_id_event'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_list_release')),
    sa.UniqueConstraint('operation_id', name=op.f('uq_list_release_operation_id')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('list_release', schema=None) as batch_op:
        batch_op.create_index('ix_list_release_event_id', ['event_id'], unique=False)
        batch_op.create_index('ix_list_release_filed_at', ['filed_at', 'id'], unique=False)

    op.create_table('list_step',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('list_id', sa.Integer(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=True),
    sa.Column('step', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_list_step_account_id_account'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['list_id'], ['list_release.id'], name=op.f('fk_list_step_list_id_list_release'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_list_step')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('list_step', schema=None) as batch_op:
        batch_op.create_index('ix_list_step_account_id', ['account_id'], unique=False)
        batch_op.create_index('ix_list_step_at', ['at', 'id'], unique=False)
        batch_op.create_index('ix_list_step_list_id', ['list_id', 'id'], unique=False)

    op.create_table('import_conflict',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('member_id', sa.Uuid(), nullable=False),
    sa.Column('field', sa.String(length=40), nullable=False),
    sa.Column('brought', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kept_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['member_id'], ['member.id'], name=op.f('fk_import_conflict_member_id_member'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_conflict')),
    sa.UniqueConstraint('member_id', 'field', name=op.f('uq_import_conflict_member_id_field')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('import_conflict', schema=None) as batch_op:
        batch_op.create_index('ix_import_conflict_seen_at', ['seen_at', 'id'], unique=False)

    with op.batch_alter_table('disclosure', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.add_column(sa.Column('line', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('audience', sa.String(length=20), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('recalled', sa.String(length=10), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('recalled_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('told_on', sa.Date(), nullable=True))
        batch_op.add_column(sa.Column('untold_why', sa.String(length=300), nullable=False, server_default=''))
        batch_op.create_check_constraint(op.f('ck_disclosure_recalled'), "(recalled_at IS NULL) = (recalled = '')")
        batch_op.create_index('ix_disclosure_list_number', ['list_number', 'line'], unique=False)

    op.create_index('ix_trail_waiting', 'trail', ['id'], unique=False,
                    sqlite_where=sa.text('carried_at IS NULL'), postgresql_where=sa.text('carried_at IS NULL'))
    op.execute(
        "INSERT INTO trail (subject_id, act, field, door, at)"
        " SELECT subject_id, 'answered', code, door, at FROM choice WHERE door NOT IN ('import', 'system')"
        " AND id IN (SELECT max(id) FROM choice WHERE event_id IS NULL GROUP BY subject_id, code)"
        " AND subject_id IN (SELECT id FROM member)"
    )


def downgrade() -> None:
    op.execute("DELETE FROM trail WHERE act = 'answered'")
    op.drop_index('ix_trail_waiting', table_name='trail')

    with op.batch_alter_table('disclosure', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.drop_index('ix_disclosure_list_number')
        batch_op.drop_constraint(op.f('ck_disclosure_recalled'), type_='check')
        for name in ('untold_why', 'told_on', 'recalled_at', 'recalled', 'audience', 'line'):
            batch_op.drop_column(name)

    op.drop_table('import_conflict')
    op.drop_table('list_step')
    op.drop_table('list_release')
