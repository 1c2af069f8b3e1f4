"""A talk told by the books alone has no seconds on hold: no book tells of hold, and unknown is not none."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("talks") as talks:
        talks.alter_column("hold", existing_type=sa.Float(), nullable=True)
    op.execute("UPDATE talks SET hold = NULL WHERE sources LIKE '%\"*:%'")


def downgrade() -> None:
    op.execute("UPDATE talks SET hold = 0 WHERE hold IS NULL")
    with op.batch_alter_table("talks") as talks:
        talks.alter_column("hold", existing_type=sa.Float(), nullable=False)
