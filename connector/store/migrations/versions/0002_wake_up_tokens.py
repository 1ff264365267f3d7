"""PostgreSQL: the tables of PgQueuer, which carries wake-up tokens between replicas. SQLite has one process.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        from connector.store.engine.pgqueuer import install_sql

        _run(install_sql())


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        from connector.store.engine.pgqueuer import uninstall_sql

        _run(uninstall_sql())


def _run(sql: str) -> None:
    # Many statements in one text: the driver takes them when they are not to be prepared.
    raw = op.get_bind().connection.dbapi_connection
    raw.run_async(lambda driver: driver.execute(sql))  # type: ignore[union-attr]
