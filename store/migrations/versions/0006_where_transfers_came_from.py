"""Where transfers, recordings and away episodes came from, as of all other parts; of the past as far as the call says it."""

import sqlalchemy as sa
from alembic import op

from store.columns import TextTuple

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = ("transfers", "recordings", "away_episodes")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("sources", TextTuple(), server_default="[]", nullable=False))
    op.execute(
        "UPDATE transfers SET sources = (SELECT calls.sources FROM calls WHERE calls.id = transfers.call_id) "
        "WHERE transfers.call_id IN (SELECT calls.id FROM calls WHERE calls.quality = 'from_books')"
    )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "sources")
