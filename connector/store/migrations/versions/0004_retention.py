"""leases of periodic jobs; what retention asks for

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("due_at", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    with op.batch_alter_table("tombstone", schema=None) as batch_op:
        batch_op.add_column(sa.Column("call_at", sa.Double(), nullable=True))

    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(
            "ix_audit_detail",
            ["tenant_id", "at"],
            unique=False,
            sqlite_where=sa.text("detail <> '{}'"),
            postgresql_where=sa.text("detail <> '{}'"),
        )


def downgrade() -> None:
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_audit_detail",
            sqlite_where=sa.text("detail <> '{}'"),
            postgresql_where=sa.text("detail <> '{}'"),
        )

    with op.batch_alter_table("tombstone", schema=None) as batch_op:
        batch_op.drop_column("call_at")

    op.drop_table("lease")
