"""recordings: what our links name them by

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recording", sa.Column("name", sa.String(length=32), nullable=True))
    op.add_column("recording", sa.Column("key_id", sa.String(length=16), nullable=True))
    op.add_column("recording", sa.Column("available_by", sa.Double(), nullable=True))
    op.create_index("ix_recording_name", "recording", ["name"], unique=True)
    op.create_index("ix_recording_tenant_id_id", "recording", ["tenant_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_recording_tenant_id_id", table_name="recording")
    op.drop_index("ix_recording_name", table_name="recording")
    with op.batch_alter_table("recording", schema=None) as batch_op:
        batch_op.drop_column("available_by")
        batch_op.drop_column("key_id")
        batch_op.drop_column("name")
