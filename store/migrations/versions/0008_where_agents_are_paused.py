"""In which queues an agent is paused, and why: who is paused in some of them is available, and away without the others."""

import sqlalchemy as sa
from alembic import op

from store.columns import TextTuple

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column: sa.Column[tuple[str, ...]] = sa.Column("paused", TextTuple(), server_default="[]", nullable=False)
    op.add_column("agent_states", column)


def downgrade() -> None:
    op.drop_column("agent_states", "paused")
