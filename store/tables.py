"""The tables: one for each kind of fact, and those of people, hotlines, rotas and calendars.

Columns of a fact's table are named exactly as the fact's fields. Facts have no foreign keys among each other: they
arrive in any order, are batched by kind, and a part that lost its call is still worth keeping. Enumerations are kept
as their short text without a CHECK, so that a new member needs no migration and can never block a batch.

Text keys are the table itself on SQLite (`WITHOUT ROWID`): one tree to search and write instead of two.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)
from sqlalchemy.sql.schema import SchemaItem

from cti.core import facts
from store.columns import TextTuple, UtcInstant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, *items: SchemaItem) -> Table:
    return Table(name, metadata, *items, sqlite_with_rowid=False)


def _id() -> Column[str]:
    return Column("id", String, primary_key=True)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, String, nullable=null)


def _instant(name: str, *, null: bool = False) -> Column[float]:
    return Column(name, UtcInstant, nullable=null)


def _integer(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=null)


def _seconds(name: str, *, null: bool = False) -> Column[float]:
    return Column(name, Float(53), nullable=null)


def _sources() -> Column[tuple[str, ...]]:
    return Column("sources", TextTuple, nullable=False, server_default="[]")


calls = _table(
    "calls",
    _id(),
    _text("pbx"),
    _text("direction"),
    _text("caller_number"),
    _text("caller_name"),
    _text("dialed_number"),
    _instant("started_at"),
    _instant("answered_at", null=True),
    _instant("ended_at", null=True),
    _text("disposition", null=True),
    _text("ended_by", null=True),
    _integer("hangup_cause", null=True),
    _text("quality"),
    _text("merged_into", null=True),
    _sources(),
)
Index(None, calls.c.started_at, calls.c.id)
Index(None, calls.c.caller_number, calls.c.started_at)
Index(None, calls.c.disposition, calls.c.started_at)
Index(None, calls.c.ended_at)
Index(
    "ix_calls_open",
    calls.c.pbx,
    sqlite_where=calls.c.ended_at.is_(None),
    postgresql_where=calls.c.ended_at.is_(None),
)
Index(
    "ix_calls_merged_into",
    calls.c.merged_into,
    sqlite_where=calls.c.merged_into.is_not(None),
    postgresql_where=calls.c.merged_into.is_not(None),
)

legs = _table(
    "legs",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _text("uniqueid"),
    _text("linkedid"),
    _text("channel"),
    _text("device"),
    _text("number"),
    _text("agent", null=True),
    Column("dialed", Boolean, nullable=False),
    _instant("started_at"),
    _instant("ring_started_at", null=True),
    _instant("answered_at", null=True),
    _instant("ended_at", null=True),
    _text("dial_status", null=True),
    _integer("hangup_cause", null=True),
    _sources(),
)
Index(None, legs.c.call_id)

queue_stays = _table(
    "queue_stays",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _integer("ordinal"),
    _text("queue"),
    _text("uniqueid"),
    _instant("joined_at"),
    _integer("position", null=True),
    _instant("answered_at", null=True),
    _instant("left_at", null=True),
    _text("outcome", null=True),
    _seconds("wait", null=True),
    _text("agent", null=True),
    _seconds("book_wait", null=True),
    _seconds("book_talk", null=True),
    _sources(),
)
Index(None, queue_stays.c.call_id)
Index(None, queue_stays.c.joined_at)
Index(None, queue_stays.c.queue, queue_stays.c.joined_at)
Index(None, queue_stays.c.agent, queue_stays.c.joined_at)

attempts = _table(
    "attempts",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _text("stay_id", null=True),
    _text("queue", null=True),
    _text("agent", null=True),
    _text("device"),
    _text("agent_state", null=True),
    _instant("agent_state_since", null=True),
    _text("agent_reason", null=True),
    _instant("started_at"),
    _instant("ended_at", null=True),
    _text("outcome", null=True),
    _sources(),
)
Index(None, attempts.c.call_id)

talks = _table(
    "talks",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _text("queue", null=True),
    _text("agent", null=True),
    _text("device"),
    _instant("started_at"),
    _instant("ended_at", null=True),
    _seconds("hold", null=True),
    _sources(),
)
Index(None, talks.c.call_id)
Index(None, talks.c.agent, talks.c.started_at)

transfers = _table(
    "transfers",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _text("kind"),
    _text("by"),
    _text("to"),
    _instant("at"),
    _text("result"),
    _sources(),
)
Index(None, transfers.c.call_id)

recordings = _table(
    "recordings",
    _id(),
    _text("call_id"),
    _text("pbx"),
    _text("file"),
    _instant("started_at"),
    _instant("stopped_at", null=True),
    Column("paused", Float(53), nullable=False, server_default="0"),
    _sources(),
)
Index(None, recordings.c.call_id)

agent_states = _table(
    "agent_states",
    Column("pbx", String, primary_key=True),
    Column("agent", String, primary_key=True),
    Column("since", UtcInstant, primary_key=True),
    _instant("until", null=True),  # set by the state that follows; not a field of the fact
    _text("name"),
    _text("device"),
    Column("queues", TextTuple, nullable=False),
    _text("state"),
    _text("reason"),
    _text("cause"),
    _text("previous", null=True),
    _instant("previous_since", null=True),
    _sources(),
    Column("paused", TextTuple, nullable=False, server_default="[]"),
)
Index(None, agent_states.c.since)
Index(
    "ix_agent_states_open",
    agent_states.c.pbx,
    sqlite_where=agent_states.c.until.is_(None),
    postgresql_where=agent_states.c.until.is_(None),
)

away_episodes = _table(
    "away_episodes",
    _id(),
    _text("pbx"),
    _text("agent"),
    _text("reason"),
    _instant("started_at"),
    _instant("warn_at"),
    _instant("limit_at"),
    _instant("warned_at", null=True),
    _instant("reported_at", null=True),
    _instant("logged_out_at", null=True),
    _instant("ended_at", null=True),
    _sources(),
)
Index(None, away_episodes.c.agent, away_episodes.c.started_at)
Index(
    "ix_away_episodes_open",
    away_episodes.c.pbx,
    sqlite_where=away_episodes.c.ended_at.is_(None),
    postgresql_where=away_episodes.c.ended_at.is_(None),
)

incidents = _table(
    "incidents",
    _id(),
    _text("pbx"),
    _text("kind"),
    _text("agent"),
    _instant("at"),
    _text("detail"),
    _text("result", null=True),
)
Index(None, incidents.c.at, incidents.c.id)

faults = _table(
    "faults",
    _id(),
    _text("kind"),
    _text("pbx"),
    _instant("began_at"),
    _instant("ended_at", null=True),
    _text("detail"),
    _text("reported_by", null=True),
)
Index(None, faults.c.began_at, faults.c.id)
Index(
    "ix_faults_open",
    faults.c.pbx,
    sqlite_where=faults.c.ended_at.is_(None),
    postgresql_where=faults.c.ended_at.is_(None),
)

deliveries = _table(
    "deliveries",
    _id(),
    _text("subject"),
    _text("pbx"),
    _text("kind"),
    _text("channel"),
    _instant("at"),
    Column("ok", Boolean, nullable=False),
    _text("detail"),
)
Index(None, deliveries.c.subject)

commands = _table(
    "commands",
    _id(),
    _text("pbx"),
    _text("kind"),
    _text("agent"),
    _text("queue"),
    _text("interface"),
    _instant("asked_at"),
    _instant("ended_at", null=True),
    _text("outcome", null=True),
    _text("detail"),
)
Index(
    "ix_commands_open",
    commands.c.pbx,
    sqlite_where=commands.c.ended_at.is_(None),
    postgresql_where=commands.c.ended_at.is_(None),
)

work_items = _table(
    "work_items",
    _id(),
    _text("pbx"),
    _text("kind"),
    _text("call_id"),
    _text("hotline"),
    _text("caller_number"),
    _instant("created_at"),
    _text("result"),
    _text("accepted_by", null=True),
    _instant("accepted_at", null=True),
    _text("state"),
)
Index(None, work_items.c.state, work_items.c.created_at)
Index(None, work_items.c.call_id)

queues = _table(
    "queues",
    Column("pbx", String, primary_key=True),
    Column("name", String, primary_key=True),
    _text("strategy"),
    _seconds("wrap_up_seconds"),
    _integer("max_waiting"),
)

links = _table(
    "links",
    Column("pbx", String, primary_key=True),
    Column("at", UtcInstant, primary_key=True),
    Column("up", Boolean, nullable=False),
    _text("detail"),
    _instant("booted_at", null=True),
)

gaps = _table(
    "gaps",
    _id(),
    _text("pbx"),
    _instant("began_at"),
    _instant("ended_at"),
    _text("cause"),
    _instant("filled_at", null=True),
)
Index(
    "ix_gaps_open",
    gaps.c.pbx,
    sqlite_where=gaps.c.filled_at.is_(None),
    postgresql_where=gaps.c.filled_at.is_(None),
)

FACT_TABLES: dict[type[facts.Fact], Table] = {
    facts.Call: calls,
    facts.Leg: legs,
    facts.QueueStay: queue_stays,
    facts.Attempt: attempts,
    facts.Talk: talks,
    facts.Transfer: transfers,
    facts.Recording: recordings,
    facts.AgentState: agent_states,
    facts.AwayEpisode: away_episodes,
    facts.Incident: incidents,
    facts.Fault: faults,
    facts.Delivery: deliveries,
    facts.CommandRecord: commands,
    facts.WorkItem: work_items,
    facts.Queue: queues,
    facts.Link: links,
    facts.Gap: gaps,
}
"""Where each kind of fact is kept; a kind that is not here (Notice, Rejected) is not stored."""


people = _table(
    "people",
    _id(),  # the agent's number; the queue member's name
    _text("name"),
    _text("mobile"),
    _text("pin_salt"),
    _text("pin_sha1"),  # hex of SHA-1(salt + pin), as the dialplan verifies it
    _text("role"),
    Column("entered_on", Date, nullable=True),
    Column("active", Boolean, nullable=False),
)

person_queues = _table(
    "person_queues",
    Column("person", String, ForeignKey(people.c.id), primary_key=True),
    Column("queue", String, primary_key=True),
    _integer("penalty"),
)

hotlines = _table(
    "hotlines",
    Column("name", String, primary_key=True),
    _text("queue"),
    _text("rotation"),  # name of a rotation, "" for none; a rotation has versions, so no foreign key
    Column("supervisor", String, ForeignKey(people.c.id), nullable=True),
)

hotline_numbers = _table(
    "hotline_numbers",
    Column("did", String, primary_key=True),  # one number leads to one hotline
    Column("hotline", String, ForeignKey(hotlines.c.name, ondelete="CASCADE"), nullable=False),
    _integer("ordinal"),
)

hours = _table(
    "hours",
    Column("hotline", String, ForeignKey(hotlines.c.name, ondelete="CASCADE"), primary_key=True),
    Column("day", String, primary_key=True),  # workday, day_off
    Column("kind", String, primary_key=True),  # office, duty, closed (= the day is stored, and has neither)
    Column("from_minute", Integer, primary_key=True),  # since local midnight
    _integer("to_minute"),  # exclusive, 1440 = midnight
)

rotations = _table(
    "rotations",
    Column("name", String, primary_key=True),
    Column("starts", Date, primary_key=True),  # of several versions the latest that has begun holds
    _integer("turn_days"),
    _integer("weekday"),  # of the handover, Monday = 0
    _integer("handover"),  # minutes since local midnight
    _integer("backups"),
)

rotation_members = _table(
    "rotation_members",
    Column("rotation", String, primary_key=True),
    Column("starts", Date, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("person", String, ForeignKey(people.c.id), nullable=False),
    ForeignKeyConstraint(["rotation", "starts"], [rotations.c.name, rotations.c.starts]),
)

calendar_days = _table(
    "calendar_days",
    Column("date", Date, primary_key=True),
    Column("source", String, primary_key=True),  # official, company
    _text("kind"),  # workday, day_off
    _text("name"),
)

duty_overrides = _table(
    "duty_overrides",
    _id(),
    _text("hotline"),  # "" for every hotline
    _instant("start"),
    _instant("end"),
    Column("person", String, ForeignKey(people.c.id), nullable=False),
    _text("note"),
)
Index(None, duty_overrides.c.start)
