"""When the Asterisk that was listened to had been started: what tells a restart that nobody saw."""

import sqlalchemy as sa
from alembic import op

from store.columns import UtcInstant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("links", sa.Column("booted_at", UtcInstant(), nullable=True))


def downgrade() -> None:
    op.drop_column("links", "booted_at")
