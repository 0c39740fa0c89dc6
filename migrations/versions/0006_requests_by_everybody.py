"""Requests by everybody.

Revision 0006, after 0005. Requests without a sign-in, the answers of the desk, a second factor, suspensions.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BEFORE = {
    "erasing": "kind IN ('erasure', 'review') OR (wait_until IS NULL AND approved_at IS NULL"
    " AND carried_out_at IS NULL AND hold = '' AND scope = '')",
    "erasure_fulfilled": "kind <> 'erasure' OR state <> 'fulfilled' OR carried_out_at IS NOT NULL",
}
AFTER = {
    "erasing": "kind IN ('erasure', 'review', 'anonymisation') OR (wait_until IS NULL AND approved_at IS NULL"
    " AND carried_out_at IS NULL AND hold = '' AND scope = '')",
    "erasure_fulfilled": "kind NOT IN ('erasure', 'anonymisation') OR state <> 'fulfilled' OR carried_out_at IS NOT NULL",
}
REQUEST_CHECKS = {
    "identity": "identity_answered_at IS NULL OR identity_asked_at IS NOT NULL",
    "verifying": "state <> 'verifying' OR identity_asked_at IS NOT NULL",
    "extension": "(extended_at IS NULL) = (extension = '')",
    "extended": "state <> 'extended' OR extended_at IS NOT NULL",
    "refusal": "(state IN ('refused', 'partly_fulfilled')) = (refusal <> '')",
    "seconded": "state <> 'refused' OR seconded_at IS NOT NULL OR refusal <> 'excessive'",
}


def upgrade() -> None:
    op.create_table('ask',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('address', sa.String(length=254), nullable=False),
    sa.Column('kind', sa.String(length=20), nullable=False),
    sa.Column('details', sa.String(length=4000), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ask')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_ask_token_hash')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('ask', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_ask_address'), ['address'], unique=False)
        batch_op.create_index(batch_op.f('ix_ask_ends_at'), ['ends_at'], unique=False)

    op.create_table('suspension',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('reason', sa.String(length=20), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('review_on', sa.Date(), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("reason IN ('fraud', 'abuse', 'sanctions')", name=op.f('ck_suspension_reason')),
    sa.ForeignKeyConstraint(['subject_id'], ['subject.id'], name=op.f('fk_suspension_subject_id_subject'), ondelete='RESTRICT'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_suspension')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('suspension', schema=None) as batch_op:
        batch_op.create_index('ix_suspension_subject_id', ['subject_id'], unique=False)

    op.create_table('recovery_code',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('account_id', sa.Uuid(), nullable=False),
    sa.Column('code_hash', sa.String(length=64), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['account_id'], ['account.id'], name=op.f('fk_recovery_code_account_id_account'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recovery_code')),
    sa.UniqueConstraint('code_hash', name=op.f('uq_recovery_code_code_hash')),
    sqlite_autoincrement=True
    )
    with op.batch_alter_table('recovery_code', schema=None) as batch_op:
        batch_op.create_index('ix_recovery_code_account_id', ['account_id'], unique=False)

    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.add_column(sa.Column('second_secret', sa.String(length=300), nullable=True))
        batch_op.add_column(sa.Column('second_since', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('second_step', sa.BigInteger(), nullable=False, server_default='0'))

    with op.batch_alter_table('data_subject_request', schema=None) as batch_op:
        batch_op.add_column(sa.Column('contact', sa.String(length=254), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('controller', sa.String(length=300), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('continues_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('assigned_to_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('legal_on', sa.Date(), nullable=True))
        batch_op.add_column(sa.Column('identity_asked_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('identity_answered_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('extended_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('extension', sa.String(length=20), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('refusal', sa.String(length=20), nullable=False, server_default=''))
        batch_op.add_column(sa.Column('proposed_by_id', sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column('seconded_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index('ix_data_subject_request_assigned_to_id', ['assigned_to_id'], unique=False)
        batch_op.create_index('ix_data_subject_request_continues_id', ['continues_id'], unique=False)
        batch_op.create_index('ix_data_subject_request_proposed_by_id', ['proposed_by_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_data_subject_request_continues_id_data_subject_request'), 'data_subject_request', ['continues_id'], ['id'], ondelete='SET NULL')
        batch_op.create_foreign_key(batch_op.f('fk_data_subject_request_assigned_to_id_account'), 'account', ['assigned_to_id'], ['id'], ondelete='SET NULL')
        batch_op.create_foreign_key(batch_op.f('fk_data_subject_request_proposed_by_id_account'), 'account', ['proposed_by_id'], ['id'], ondelete='SET NULL')

    op.execute("UPDATE data_subject_request SET legal_on = legal_1_on")
    op.execute("UPDATE data_subject_request SET refusal = 'verify' WHERE state IN ('refused', 'partly_fulfilled')")
    op.execute("UPDATE data_subject_request SET identity_asked_at = received_at WHERE state = 'verifying'")
    op.execute(
        "UPDATE data_subject_request SET extended_at = received_at, extension = 'complexity' WHERE state = 'extended'"
    )
    with op.batch_alter_table("data_subject_request") as batch_op:
        batch_op.alter_column("legal_on", existing_type=sa.Date(), nullable=False)
        for name, text in AFTER.items():
            batch_op.drop_constraint(op.f(f"ck_data_subject_request_{name}"), type_="check")
            batch_op.create_check_constraint(op.f(f"ck_data_subject_request_{name}"), text)
        for name, text in REQUEST_CHECKS.items():
            batch_op.create_check_constraint(op.f(f"ck_data_subject_request_{name}"), text)
    with op.batch_alter_table("suppression", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_constraint(op.f("ck_suppression_reason"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_suppression_reason"), "reason IN ('erased', 'bounced', 'asked', 'suspended')"
        )

    with op.batch_alter_table("event") as batch_op:
        batch_op.add_column(sa.Column("anonymous", sa.Integer(), nullable=False, server_default="0"))

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.add_column(sa.Column('calendar', sa.Text(), nullable=False, server_default=''))

    with op.batch_alter_table('request_step', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.add_column(sa.Column('words', sa.Text(), nullable=False, server_default=''))

    with op.batch_alter_table('sign_in', schema=None) as batch_op:
        batch_op.add_column(sa.Column('second_at', sa.DateTime(timezone=True), nullable=True))



def downgrade() -> None:
    op.execute("DELETE FROM suppression WHERE reason = 'suspended'")
    with op.batch_alter_table("suppression", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.drop_constraint(op.f("ck_suppression_reason"), type_="check")
        batch_op.create_check_constraint(op.f("ck_suppression_reason"), "reason IN ('erased', 'bounced', 'asked')")
    op.execute("DELETE FROM request_step WHERE request_id IN (SELECT id FROM data_subject_request WHERE kind = 'anonymisation')")
    op.execute("DELETE FROM data_subject_request WHERE kind = 'anonymisation'")
    with op.batch_alter_table("event") as batch_op:
        batch_op.drop_column("anonymous")
    with op.batch_alter_table("data_subject_request") as batch_op:
        for name in REQUEST_CHECKS:
            batch_op.drop_constraint(op.f(f"ck_data_subject_request_{name}"), type_="check")
        for name, text in BEFORE.items():
            batch_op.drop_constraint(op.f(f"ck_data_subject_request_{name}"), type_="check")
            batch_op.create_check_constraint(op.f(f"ck_data_subject_request_{name}"), text)

    with op.batch_alter_table('sign_in', schema=None) as batch_op:
        batch_op.drop_column('second_at')

    with op.batch_alter_table('request_step', table_kwargs={'sqlite_autoincrement': True}) as batch_op:
        batch_op.drop_column('words')

    with op.batch_alter_table('message', schema=None) as batch_op:
        batch_op.drop_column('calendar')

    with op.batch_alter_table('data_subject_request', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_data_subject_request_assigned_to_id_account'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_data_subject_request_continues_id_data_subject_request'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_data_subject_request_proposed_by_id_account'), type_='foreignkey')
        batch_op.drop_index('ix_data_subject_request_proposed_by_id')
        batch_op.drop_index('ix_data_subject_request_continues_id')
        batch_op.drop_index('ix_data_subject_request_assigned_to_id')
        batch_op.drop_column('seconded_at')
        batch_op.drop_column('proposed_by_id')
        batch_op.drop_column('refusal')
        batch_op.drop_column('extension')
        batch_op.drop_column('extended_at')
        batch_op.drop_column('identity_answered_at')
        batch_op.drop_column('identity_asked_at')
        batch_op.drop_column('legal_on')
        batch_op.drop_column('assigned_to_id')
        batch_op.drop_column('continues_id')
        batch_op.drop_column('controller')
        batch_op.drop_column('contact')

    with op.batch_alter_table('account', schema=None) as batch_op:
        batch_op.drop_column('second_step')
        batch_op.drop_column('second_since')
        batch_op.drop_column('second_secret')

    with op.batch_alter_table('recovery_code', schema=None) as batch_op:
        batch_op.drop_index('ix_recovery_code_account_id')

    op.drop_table('recovery_code')
    with op.batch_alter_table('suspension', schema=None) as batch_op:
        batch_op.drop_index('ix_suspension_subject_id')

    op.drop_table('suspension')
    with op.batch_alter_table('ask', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_ask_ends_at'))
        batch_op.drop_index(batch_op.f('ix_ask_address'))

    op.drop_table('ask')
