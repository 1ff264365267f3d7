"""PostgreSQL: nothing any more. Here the tables of PgQueuer were made, which carried wake-up tokens between replicas.

Where they are they stay, unused: a replica of an older version that runs beside this one still writes to them.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("pgqueuer_statistics", "pgqueuer_schedules", "pgqueuer_log", "pgqueuer")


def upgrade() -> None:
    pass


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in _TABLES:
            op.execute(f"drop table if exists {table} cascade")
        op.execute("drop function if exists fn_pgqueuer_changed() cascade")
        op.execute("drop type if exists pgqueuer_status cascade")
