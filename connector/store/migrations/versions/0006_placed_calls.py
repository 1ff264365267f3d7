"""placed calls, and where an agent's row comes from

Revision: 0006, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "placement",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("tenant_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("connection_id", sa.String(length=16), nullable=True),
        sa.Column("agent", sa.String(length=128), nullable=False),
        sa.Column("agent_number", sa.String(length=255), nullable=False),
        sa.Column("customer", sa.String(length=255), nullable=False),
        sa.Column("caller_id", sa.String(length=64), nullable=False),
        sa.Column("custom_field", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("asked", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("call_sid", sa.String(length=128), nullable=True),
        sa.Column("refusal", sa.Text(), nullable=True),
        sa.Column("look_at", sa.Double(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"], ["connection.id"], name=op.f("fk_placement_connection_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=op.f("fk_placement_tenant_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placement")),
        sa.UniqueConstraint("tenant_id", "call_sid", name=op.f("uq_placement_tenant_id_call_sid")),
        sa.UniqueConstraint("tenant_id", "idempotency_key", name=op.f("uq_placement_tenant_id_idempotency_key")),
        sa.UniqueConstraint("token", name=op.f("uq_placement_token")),
    )
    op.create_index("ix_placement_tenant_id_created_at", "placement", ["tenant_id", "created_at"])
    op.create_index(
        "ix_placement_look_at",
        "placement",
        ["look_at"],
        sqlite_where=sa.text("look_at is not null"),
        postgresql_where=sa.text("look_at is not null"),
    )
    op.add_column("agent", sa.Column("origin", sa.String(length=8), server_default="file", nullable=False))


def downgrade() -> None:
    op.drop_column("agent", "origin")
    op.drop_table("placement")
