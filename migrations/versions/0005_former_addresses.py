"""Former addresses.

Revision 0005, after 0004. What was given up by changes that still stand in `email_change` is remembered as keyed
hashes, made here with the portal's own key; older ones are known to nobody. Messages about nobody that have ended
lose their address, and do not get it back on the way down.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portal.tokens import canonical_address, suppression_hash

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOBODYS = sa.text("subject_id IS NULL AND to_address <> ''")
MEMBER = sa.table("member", sa.column("id", sa.Uuid()), sa.column("email_key", sa.String()))
CHANGE = sa.table(
    "email_change",
    sa.column("id", sa.Integer()),
    sa.column("member_id", sa.Uuid()),
    *(sa.column(name, sa.String()) for name in ("old_email", "new_email", "old_key", "new_key")),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in ("confirmed_at", "cancelled_at")),
)


def upgrade() -> None:
    former = op.create_table(
        "former_address",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("keyed_hash", sa.String(length=100), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name=op.f("fk_former_address_subject_id_subject"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former_address")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_former_address_subject_id", "former_address", ["subject_id"])
    op.create_index("ix_former_address_keyed_hash", "former_address", ["keyed_hash"])
    with op.batch_alter_table("email_change", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        for name in ("old_key", "new_key"):
            batch_op.add_column(sa.Column(name, sa.String(length=254), nullable=False, server_default=""))
    _fill(former)
    with op.batch_alter_table("email_change", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        for name in ("old_key", "new_key"):
            batch_op.alter_column(name, existing_type=sa.String(length=254), server_default=None)
            batch_op.create_index(f"ix_email_change_{name}", [name])
    op.create_index("ix_link_request_address", "link_request", ["address"])
    op.execute("UPDATE message SET to_address = '' WHERE subject_id IS NULL AND state NOT IN ('queued', 'claimed')")
    op.create_index(
        "ix_message_nobodys", "message", ["created_at", "id"], sqlite_where=NOBODYS, postgresql_where=NOBODYS
    )


def _fill(former: sa.Table) -> None:
    connection = op.get_bind()
    gave_up: dict[tuple[object, str], object] = {}
    query = sa.select(CHANGE, MEMBER.c.email_key).join(MEMBER, MEMBER.c.id == CHANGE.c.member_id).order_by(CHANGE.c.id)
    for row in connection.execute(query).all():
        old, new = canonical_address(row.old_email), canonical_address(row.new_email)
        connection.execute(sa.update(CHANGE).where(CHANGE.c.id == row.id).values(old_key=old, new_key=new))
        if row.confirmed_at is None:
            continue
        for address, at in ((old, row.confirmed_at), (new, row.cancelled_at or row.confirmed_at)):
            if address != row.email_key:
                gave_up[row.member_id, address] = at
    rows = [{"subject_id": each, "keyed_hash": suppression_hash(name), "at": at} for (each, name), at in gave_up.items()]
    if rows:
        op.bulk_insert(former, rows)


def downgrade() -> None:
    op.drop_index("ix_message_nobodys", "message")
    op.drop_index("ix_link_request_address", "link_request")
    with op.batch_alter_table("email_change", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        for name in ("new_key", "old_key"):
            batch_op.drop_index(f"ix_email_change_{name}")
            batch_op.drop_column(name)
    op.drop_table("former_address")
