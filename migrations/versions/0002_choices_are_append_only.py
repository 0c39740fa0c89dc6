"""Choices are append-only.

Revision 0002, after 0001. The database itself refuses to change a choice that was made, and to delete one
while its person's record stands; see docs/migrations.md.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A choice may go once its person is erased, or when it is six years old and a newer answer has taken its place.
SQLITE = (
    """
    CREATE TRIGGER choice_no_update BEFORE UPDATE ON choice
    BEGIN SELECT RAISE(ABORT, 'a choice is never changed: add a new one'); END
    """,
    """
    CREATE TRIGGER choice_no_delete BEFORE DELETE ON choice
    WHEN NOT EXISTS (SELECT 1 FROM subject WHERE subject.id = OLD.subject_id AND subject.erased_at IS NOT NULL)
    AND NOT (
        OLD.at < datetime('now', '-2190 days')
        AND EXISTS (
            SELECT 1 FROM choice AS newer WHERE newer.subject_id = OLD.subject_id AND newer.code = OLD.code
            AND newer.event_id IS OLD.event_id AND newer.id > OLD.id
        )
    )
    BEGIN SELECT RAISE(ABORT, 'a choice is kept while its person''s record stands'); END
    """,
    # INSERT OR REPLACE deletes without asking the trigger above.
    """
    CREATE TRIGGER choice_no_replace BEFORE INSERT ON choice
    WHEN EXISTS (SELECT 1 FROM choice AS older WHERE older.id = NEW.id OR older.journal_id = NEW.journal_id)
    BEGIN SELECT RAISE(ABORT, 'a choice is never replaced: add a new one'); END
    """,
)
POSTGRESQL = (
    """
    CREATE FUNCTION choice_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'a choice is never changed: add a new one' USING ERRCODE = 'integrity_constraint_violation'; END
    $$
    """,
    """
    CREATE FUNCTION choice_keep() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT 1 FROM subject WHERE subject.id = OLD.subject_id AND subject.erased_at IS NOT NULL) OR (
            OLD.at < now() - interval '2190 days'
            AND EXISTS (
                SELECT 1 FROM choice AS newer WHERE newer.subject_id = OLD.subject_id AND newer.code = OLD.code
                AND newer.event_id IS NOT DISTINCT FROM OLD.event_id AND newer.id > OLD.id
            )
        ) THEN RETURN OLD; END IF;
        RAISE EXCEPTION 'a choice is kept while its person''s record stands'
            USING ERRCODE = 'integrity_constraint_violation';
    END
    $$
    """,
    "CREATE TRIGGER choice_no_update BEFORE UPDATE ON choice FOR EACH ROW EXECUTE FUNCTION choice_refuse()",
    "CREATE TRIGGER choice_no_delete BEFORE DELETE ON choice FOR EACH ROW EXECUTE FUNCTION choice_keep()",
    "CREATE TRIGGER choice_no_truncate BEFORE TRUNCATE ON choice FOR EACH STATEMENT EXECUTE FUNCTION choice_refuse()",
)


def upgrade() -> None:
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("update", "delete", "replace"):
            op.execute(f"DROP TRIGGER choice_no_{name}")
        return
    for name in ("update", "delete", "truncate"):
        op.execute(f"DROP TRIGGER choice_no_{name} ON choice")
    for function in ("refuse", "keep"):
        op.execute(f"DROP FUNCTION choice_{function}()")
