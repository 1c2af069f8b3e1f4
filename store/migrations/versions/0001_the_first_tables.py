"""The first tables."""

import sqlalchemy as sa
from alembic import op

from store.columns import TextTuple, UtcInstant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:  # noqa: PLR0915 - one statement a table and index
    op.create_table(
        "agent_states",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("since", UtcInstant(), nullable=False),
        sa.Column("until", UtcInstant(), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("queues", TextTuple(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("previous", sa.String(), nullable=True),
        sa.Column("previous_since", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("pbx", "agent", "since", name=op.f("pk_agent_states")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("agent_states", schema=None) as batch_op:
        batch_op.create_index(
            "ix_agent_states_open",
            ["pbx"],
            unique=False,
            sqlite_where=sa.text("until IS NULL"),
            postgresql_where=sa.text("until IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_agent_states_since"), ["since"], unique=False)

    op.create_table(
        "attempts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("stay_id", sa.String(), nullable=True),
        sa.Column("queue", sa.String(), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("agent_state", sa.String(), nullable=True),
        sa.Column("agent_state_since", UtcInstant(), nullable=True),
        sa.Column("agent_reason", sa.String(), nullable=True),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempts_call_id"), ["call_id"], unique=False)

    op.create_table(
        "away_episodes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("warn_at", UtcInstant(), nullable=False),
        sa.Column("limit_at", UtcInstant(), nullable=False),
        sa.Column("warned_at", UtcInstant(), nullable=True),
        sa.Column("reported_at", UtcInstant(), nullable=True),
        sa.Column("logged_out_at", UtcInstant(), nullable=True),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_away_episodes")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("away_episodes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_away_episodes_agent_started_at"), ["agent", "started_at"], unique=False
        )
        batch_op.create_index(
            "ix_away_episodes_open",
            ["pbx"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "calendar_days",
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("date", "source", name=op.f("pk_calendar_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("caller_number", sa.String(), nullable=False),
        sa.Column("caller_name", sa.String(), nullable=False),
        sa.Column("dialed_number", sa.String(), nullable=False),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("answered_at", UtcInstant(), nullable=True),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.Column("disposition", sa.String(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("hangup_cause", sa.Integer(), nullable=True),
        sa.Column("quality", sa.String(), nullable=False),
        sa.Column("merged_into", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_calls_caller_number_started_at"), ["caller_number", "started_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_calls_disposition_started_at"), ["disposition", "started_at"], unique=False
        )
        batch_op.create_index(
            "ix_calls_merged_into",
            ["merged_into"],
            unique=False,
            sqlite_where=sa.text("merged_into IS NOT NULL"),
            postgresql_where=sa.text("merged_into IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_calls_open",
            ["pbx"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(batch_op.f("ix_calls_started_at_id"), ["started_at", "id"], unique=False)

    op.create_table(
        "faults",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("began_at", UtcInstant(), nullable=False),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faults")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("faults", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_faults_began_at_id"), ["began_at", "id"], unique=False)
        batch_op.create_index(
            "ix_faults_open",
            ["pbx"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "incidents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("result", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_incidents_at_id"), ["at", "id"], unique=False)

    op.create_table(
        "legs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("uniqueid", sa.String(), nullable=False),
        sa.Column("linkedid", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("dialed", sa.Boolean(), nullable=False),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("ring_started_at", UtcInstant(), nullable=True),
        sa.Column("answered_at", UtcInstant(), nullable=True),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.Column("dial_status", sa.String(), nullable=True),
        sa.Column("hangup_cause", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_legs")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("legs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legs_call_id"), ["call_id"], unique=False)

    op.create_table(
        "links",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("pbx", "at", name=op.f("pk_links")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("mobile", sa.String(), nullable=False),
        sa.Column("pin_salt", sa.String(), nullable=False),
        sa.Column("pin_sha1", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("entered_on", sa.Date(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "queue_stays",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("uniqueid", sa.String(), nullable=False),
        sa.Column("joined_at", UtcInstant(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("answered_at", UtcInstant(), nullable=True),
        sa.Column("left_at", UtcInstant(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.Column("wait", sa.Float(precision=53), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("book_wait", sa.Float(precision=53), nullable=True),
        sa.Column("book_talk", sa.Float(precision=53), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queue_stays")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("queue_stays", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_queue_stays_agent_joined_at"), ["agent", "joined_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_queue_stays_call_id"), ["call_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_queue_stays_joined_at"), ["joined_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_queue_stays_queue_joined_at"), ["queue", "joined_at"], unique=False
        )

    op.create_table(
        "queues",
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("strategy", sa.String(), nullable=False),
        sa.Column("wrap_up_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("max_waiting", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pbx", "name", name=op.f("pk_queues")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("stopped_at", UtcInstant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_recordings_call_id"), ["call_id"], unique=False)

    op.create_table(
        "rotations",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("turn_days", sa.Integer(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.Column("handover", sa.Integer(), nullable=False),
        sa.Column("backups", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", "starts", name=op.f("pk_rotations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "talks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("ended_at", UtcInstant(), nullable=True),
        sa.Column("hold", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_talks")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("talks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_talks_agent_started_at"), ["agent", "started_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_talks_call_id"), ["call_id"], unique=False)

    op.create_table(
        "transfers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("to", sa.String(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_transfers_call_id"), ["call_id"], unique=False)

    op.create_table(
        "work_items",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("pbx", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("call_id", sa.String(), nullable=False),
        sa.Column("hotline", sa.String(), nullable=False),
        sa.Column("caller_number", sa.String(), nullable=False),
        sa.Column("created_at", UtcInstant(), nullable=False),
        sa.Column("result", sa.String(), nullable=False),
        sa.Column("accepted_by", sa.String(), nullable=True),
        sa.Column("accepted_at", UtcInstant(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_items")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("work_items", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_items_call_id"), ["call_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_work_items_state_created_at"), ["state", "created_at"], unique=False
        )

    op.create_table(
        "duty_overrides",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("hotline", sa.String(), nullable=False),
        sa.Column("start", UtcInstant(), nullable=False),
        sa.Column("end", UtcInstant(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_duty_overrides_person_people")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duty_overrides")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("duty_overrides", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_duty_overrides_start"), ["start"], unique=False)

    op.create_table(
        "hotlines",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("rotation", sa.String(), nullable=False),
        sa.Column("supervisor", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["supervisor"], ["people.id"], name=op.f("fk_hotlines_supervisor_people")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hotlines")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "person_queues",
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("penalty", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_person_queues_person_people")),
        sa.PrimaryKeyConstraint("person", "queue", name=op.f("pk_person_queues")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rotation_members",
        sa.Column("rotation", sa.String(), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"], name=op.f("fk_rotation_members_person_people")),
        sa.ForeignKeyConstraint(
            ["rotation", "starts"],
            ["rotations.name", "rotations.starts"],
            name=op.f("fk_rotation_members_rotation_starts_rotations"),
        ),
        sa.PrimaryKeyConstraint("rotation", "starts", "ordinal", name=op.f("pk_rotation_members")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hotline_numbers",
        sa.Column("did", sa.String(), nullable=False),
        sa.Column("hotline", sa.String(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hotline"],
            ["hotlines.name"],
            name=op.f("fk_hotline_numbers_hotline_hotlines"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("did", name=op.f("pk_hotline_numbers")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hours",
        sa.Column("hotline", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("to_minute", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hotline"], ["hotlines.name"], name=op.f("fk_hours_hotline_hotlines"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("hotline", "day", "kind", "from_minute", name=op.f("pk_hours")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:  # noqa: PLR0915 - one statement a table and index
    op.drop_table("hours")
    op.drop_table("hotline_numbers")
    op.drop_table("rotation_members")
    op.drop_table("person_queues")
    op.drop_table("hotlines")
    with op.batch_alter_table("duty_overrides", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_duty_overrides_start"))

    op.drop_table("duty_overrides")
    with op.batch_alter_table("work_items", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_work_items_state_created_at"))
        batch_op.drop_index(batch_op.f("ix_work_items_call_id"))

    op.drop_table("work_items")
    with op.batch_alter_table("transfers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_transfers_call_id"))

    op.drop_table("transfers")
    with op.batch_alter_table("talks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_talks_call_id"))
        batch_op.drop_index(batch_op.f("ix_talks_agent_started_at"))

    op.drop_table("talks")
    op.drop_table("rotations")
    with op.batch_alter_table("recordings", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_recordings_call_id"))

    op.drop_table("recordings")
    op.drop_table("queues")
    with op.batch_alter_table("queue_stays", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_queue_stays_queue_joined_at"))
        batch_op.drop_index(batch_op.f("ix_queue_stays_joined_at"))
        batch_op.drop_index(batch_op.f("ix_queue_stays_call_id"))
        batch_op.drop_index(batch_op.f("ix_queue_stays_agent_joined_at"))

    op.drop_table("queue_stays")
    op.drop_table("people")
    op.drop_table("links")
    with op.batch_alter_table("legs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_legs_call_id"))

    op.drop_table("legs")
    with op.batch_alter_table("incidents", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_incidents_at_id"))

    op.drop_table("incidents")
    with op.batch_alter_table("faults", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_faults_open",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_faults_began_at_id"))

    op.drop_table("faults")
    with op.batch_alter_table("calls", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_calls_started_at_id"))
        batch_op.drop_index(
            "ix_calls_open",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_calls_merged_into",
            sqlite_where=sa.text("merged_into IS NOT NULL"),
            postgresql_where=sa.text("merged_into IS NOT NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_calls_disposition_started_at"))
        batch_op.drop_index(batch_op.f("ix_calls_caller_number_started_at"))

    op.drop_table("calls")
    op.drop_table("calendar_days")
    with op.batch_alter_table("away_episodes", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_away_episodes_open",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(batch_op.f("ix_away_episodes_agent_started_at"))

    op.drop_table("away_episodes")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempts_call_id"))

    op.drop_table("attempts")
    with op.batch_alter_table("agent_states", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_agent_states_since"))
        batch_op.drop_index(
            "ix_agent_states_open",
            sqlite_where=sa.text("until IS NULL"),
            postgresql_where=sa.text("until IS NULL"),
        )

    op.drop_table("agent_states")
