"""gates, quotas, live processes and changed tenants, as replicas share them

Revision: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("gate", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ramp", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("probing_until", sa.Double(), nullable=True))
        batch_op.add_column(sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.create_index("ix_gate_updated_at", ["updated_at"], unique=False)
    with op.batch_alter_table("tenant", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        batch_op.create_index("ix_tenant_version", ["version"], unique=False)
    op.create_table(
        "quota",
        sa.Column("account", sa.String(length=255), nullable=False),
        sa.Column("bucket", sa.String(length=64), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("account", "bucket", name=op.f("pk_quota")),
    )
    op.create_table(
        "replica",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replica")),
    )


def downgrade() -> None:
    op.drop_table("replica")
    op.drop_table("quota")
    with op.batch_alter_table("tenant", schema=None) as batch_op:
        batch_op.drop_index("ix_tenant_version")
        batch_op.drop_column("version")
    with op.batch_alter_table("gate", schema=None) as batch_op:
        batch_op.drop_index("ix_gate_updated_at")
        batch_op.drop_column("version")
        batch_op.drop_column("probing_until")
        batch_op.drop_column("ramp")
