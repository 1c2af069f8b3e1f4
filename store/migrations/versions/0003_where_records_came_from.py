"""Where the fields of a record came from, and the gaps that the PBX's books have to fill."""

import sqlalchemy as sa
from alembic import op

from store.columns import TextTuple, UtcInstant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SOURCED = ("calls", "legs", "queue_stays", "attempts", "talks", "agent_states")


def upgrade() -> None:
    for table in _SOURCED:
        op.add_column(table, sa.Column("sources", TextTuple(), server_default="[]", nullable=False))
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_calls_ended_at"), ["ended_at"], unique=False)
    op.create_table(
        "gaps",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("began_at", UtcInstant(), nullable=False),
        sa.Column("ended_at", UtcInstant(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("filled_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gaps")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("gaps", schema=None) as batch_op:
        batch_op.create_index(
            "ix_gaps_open",
            ["pbx"],
            unique=False,
            sqlite_where=sa.text("filled_at IS NULL"),
            postgresql_where=sa.text("filled_at IS NULL"),
        )


def downgrade() -> None:
    with op.batch_alter_table("gaps", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_gaps_open",
            sqlite_where=sa.text("filled_at IS NULL"),
            postgresql_where=sa.text("filled_at IS NULL"),
        )
    op.drop_table("gaps")
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_calls_ended_at"))
    for table in reversed(_SOURCED):
        op.drop_column(table, "sources")
