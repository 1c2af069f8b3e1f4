"""Every name, help text, label set and bucket that this software exports: the one place to look them up.

Labels come from closed sets only (PBX, queue, agent id, enumerations); a caller's number, a call's id or free text
is never one. Instants are exported, not ages: `time() - cti_agent_state_since_timestamp_seconds` is always fresh.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric

from cti.core.facts import StayOutcome

Labels = tuple[str, ...]

WAIT_BUCKETS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
"""Upper bounds in seconds; the queue's own service-level threshold is added where it is missing."""

OFFERED = (
    StayOutcome.ANSWERED,
    StayOutcome.ABANDONED,
    StayOutcome.TIMEOUT,
    StayOutcome.EMPTY,
    StayOutcome.LEFT_BY_KEY,
)
"""The outcomes that make a queue call an offered one."""

WORK_RESULTS = ("accepted", "unanswered", "abandoned", "closed")
"""How an after-hours call ended; `ringing` is not an end."""

UNKNOWN = "unknown"
"""The queue of callers who were turned away by one that no book names."""

OTHER = "other"
"""The label value of names beyond the cap, and of values outside their closed set."""


@dataclass(frozen=True, slots=True)
class Family:
    """One exported family; `kind` is counter, gauge, histogram or info."""

    kind: str
    name: str
    help: str
    labels: Labels = ()

    def filled(self, values: Mapping[Labels, float] | Iterable[tuple[Labels, float]] = ()) -> Metric:
        """The family with one sample for each label set; for counters and gauges."""
        made = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        metric = made(self.name, self.help, labels=self.labels)
        for labels, value in values.items() if isinstance(values, Mapping) else values:
            metric.add_metric(labels, value)
        return metric

    def informed(self, values: Iterable[Labels]) -> Metric:
        """An info family: one sample of 1 for each label set."""
        metric = InfoMetricFamily(self.name, self.help, labels=())
        for labels in values:
            metric.add_metric((), dict(zip(self.labels, labels, strict=True)))
        return metric

    def histogram(self, values: Iterable[tuple[Labels, Sequence[tuple[str, float]], float]] = ()) -> Metric:
        """A histogram family from (labels, cumulative buckets with +Inf last, sum)."""
        metric = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        for labels, buckets, total in values:
            metric.add_metric(labels, buckets, total)
        return metric

    def empty(self) -> Metric:
        """The family without samples, for the registry's check of names."""
        if self.kind == "histogram":
            return self.histogram()
        return self.informed(()) if self.kind == "info" else self.filled()


# Agents
AGENT_STATE = Family(
    "gauge",
    "cti_agent_state",
    "1 for the state the agent is in, 0 for the others; the last known one while the PBX link is down.",
    ("pbx", "agent", "state"),
)
AGENT_STATE_SINCE = Family(
    "gauge",
    "cti_agent_state_since_timestamp_seconds",
    "When the agent entered the present state.",
    ("pbx", "agent"),
)
AGENT_STATE_SECONDS = Family(
    "counter",
    "cti_agent_state_seconds_total",
    "Seconds the agent spent in each state since this process started, the present state included.",
    ("pbx", "agent", "state"),
)
AGENT_UNKNOWN_SECONDS = Family(
    "counter",
    "cti_agent_unknown_seconds_total",
    "Seconds of a logged-in agent that belong to no state because the PBX link was down.",
    ("pbx", "agent"),
)
AGENT_INFO = Family(
    "info",
    "cti_agent",
    "The agent's name and the device the agent is logged in on.",
    ("pbx", "agent", "name", "device"),
)
AGENT_ATTEMPTS = Family(
    "counter",
    "cti_agent_attempts_total",
    "Ringings of the agent's phone, by how they ended.",
    ("pbx", "agent", "outcome"),
)
AWAY_WARNINGS = Family(
    "counter",
    "cti_agent_away_warnings_total",
    "Warnings given to the agent before the away limit.",
    ("pbx", "agent"),
)
AWAY_INCIDENTS = Family(
    "counter",
    "cti_agent_away_incidents_total",
    "Incidents written down because the agent was away beyond the limit.",
    ("pbx", "agent"),
)

# Queues
QUEUE_CALLS = Family(
    "counter",
    "cti_queue_calls_total",
    "Passes of calls through the queue that ended, by outcome; offered is the sum of answered, abandoned, timeout, "
    "empty and left_by_key, lost that of abandoned, timeout, empty, join_empty, full and withdrawn. Queue unknown: join_empty "
    "and full of a queue that CEL had not named after five minutes.",
    ("pbx", "queue", "outcome"),
)
QUEUE_WAIT = Family(
    "histogram",
    "cti_queue_wait_seconds",
    "Seconds from joining to being answered, or to leaving; one bucket is the queue's service-level threshold.",
    ("pbx", "queue", "outcome"),
)
QUEUE_WITHIN = Family(
    "counter",
    "cti_queue_calls_within_threshold_total",
    "Answered and abandoned passes whose wait was not longer than the queue's service-level threshold.",
    ("pbx", "queue", "outcome"),
)
QUEUE_THRESHOLD = Family(
    "gauge",
    "cti_queue_service_level_threshold_seconds",
    "The queue's service-level threshold.",
    ("pbx", "queue"),
)
QUEUE_TALK = Family(
    "counter",
    "cti_queue_talk_seconds_total",
    "Seconds agents' devices were bridged on calls of the queue, hold included; finished talks only.",
    ("pbx", "queue"),
)
QUEUE_HOLD = Family(
    "counter",
    "cti_queue_hold_seconds_total",
    "The part of cti_queue_talk_seconds_total spent on hold.",
    ("pbx", "queue"),
)
QUEUE_WAITING = Family("gauge", "cti_queue_waiting", "Callers waiting now.", ("pbx", "queue"))
QUEUE_OLDEST = Family(
    "gauge",
    "cti_queue_oldest_waiting_joined_timestamp_seconds",
    "When the caller who waits longest joined; absent while nobody waits.",
    ("pbx", "queue"),
)
QUEUE_MEMBERS = Family(
    "gauge",
    "cti_queue_members",
    "Logged-in members of the queue, by state.",
    ("pbx", "queue", "state"),
)
QUEUE_ATTEMPTS = Family(
    "counter",
    "cti_queue_attempts_total",
    "Ringings of members for callers of the queue, by how they ended.",
    ("pbx", "queue", "outcome"),
)

# Calls
CALLS = Family(
    "counter",
    "cti_calls_total",
    "Calls that ended; one that turned out to be a part of another is not counted again.",
    ("pbx", "direction", "disposition", "quality"),
)
CALLS_LIVE = Family("gauge", "cti_calls_live", "Calls that live now.", ("pbx", "direction"))
TRANSFERS = Family("counter", "cti_transfers_total", "Transfers inside calls.", ("pbx", "kind"))

# The AMI door
LINK_UP = Family(
    "gauge", "cti_ami_link_up", "1 while the event stream of the PBX is up and in step.", ("pbx",)
)
LINK_SINCE = Family(
    "gauge",
    "cti_ami_link_since_timestamp_seconds",
    "When the event stream last came up or went down; absent before its first time.",
    ("pbx",),
)
CONNECTS = Family(
    "counter", "cti_ami_connects_total", "How often the event stream came up and in step.", ("pbx",)
)
REJECTED = Family(
    "counter",
    "cti_ami_events_rejected_total",
    "Messages from the PBX that could not be taken.",
    ("pbx", "reason"),
)
EVENTS_SEEN = Family("counter", "cti_ami_events_seen_total", "Events taken in at the door.", ("pbx",))
EVENTS_DROPPED = Family(
    "counter",
    "cti_ami_events_dropped_total",
    "Events lost because the inbox was full; any increase leaves a gap in the records.",
    ("pbx",),
)
INBOX_DEPTH = Family("gauge", "cti_ami_inbox_depth", "Events waiting to be worked on.", ("pbx",))
LAST_EVENT = Family(
    "gauge",
    "cti_ami_last_event_timestamp_seconds",
    "When the last event arrived; absent before the first.",
    ("pbx",),
)

# Sinks
STORE_QUEUED = Family("gauge", "cti_store_queued", "Facts waiting to be written.")
STORE_WRITTEN = Family("counter", "cti_store_written_total", "Facts committed to the database.")
STORE_DROPPED = Family("counter", "cti_store_dropped_total", "Facts given up because the queue was full.")
STORE_RETRIES = Family("counter", "cti_store_retries_total", "Batches that had to be written again.")
STORE_LAST_COMMIT = Family(
    "gauge",
    "cti_store_last_commit_timestamp_seconds",
    "When the database last took a batch; absent before the first.",
)
SPOOL_QUEUED = Family(
    "gauge", "cti_spool_queued", "Facts that no book of the PBX gives back, waiting to be on disk."
)
SPOOL_SEGMENTS = Family("gauge", "cti_spool_segments", "Files of facts that the database may not have yet.")
SPOOL_BYTES = Family("gauge", "cti_spool_bytes", "What these files hold.")
SPOOL_WRITTEN = Family("counter", "cti_spool_written_total", "Facts put on disk.")
SPOOL_DAMAGED = Family(
    "counter",
    "cti_spool_damaged_lines_total",
    "Lines of an earlier process that could not be read; their file is kept for a person to look at.",
)
NOTIFY_QUEUED = Family("gauge", "cti_notify_queued", "Notices waiting for delivery.")
NOTIFY_SENT = Family("counter", "cti_notify_sent_total", "Notices the webhook took.")
NOTIFY_RETRIES = Family("counter", "cti_notify_retries_total", "Deliveries that were tried again.")
NOTIFY_FAILED = Family("counter", "cti_notify_failed_total", "Notices given up after the last try.")
NOTIFY_DROPPED = Family("counter", "cti_notify_dropped_total", "Notices lost because the queue was full.")

# Duty
DUTY_ROWS = Family("gauge", "cti_duty_published_rows", "Duty rows the PBX holds from us.", ("pbx",))
DUTY_HORIZON = Family(
    "gauge",
    "cti_duty_horizon_timestamp_seconds",
    "The PBX can decide on its own until then; absent before the first publication.",
    ("pbx",),
)
DUTY_PUBLISHED = Family(
    "gauge",
    "cti_duty_last_publish_timestamp_seconds",
    "When the duty rows were last published completely; absent before the first time.",
    ("pbx",),
)
DUTY_CALLS = Family(
    "counter",
    "cti_duty_calls_total",
    "After-hours calls that ended, by result.",
    ("pbx", "hotline", "result"),
)
WORK_ITEMS = Family(
    "counter",
    "cti_work_items_total",
    "Work items made, by kind and by the result of the call behind them.",
    ("pbx", "kind", "result"),
)

# Books and faults
TODAY_COMPLETE = Family(
    "gauge",
    "cti_today_complete",
    "1 when the API's figures of today have everything since midnight; 0 while they are read back after a start.",
    (),
)
BOOKS_READABLE = Family(
    "gauge",
    "cti_books_readable",
    "1 when the PBX's books can be read and its records held against them; 0: its figures are unverified.",
    ("pbx",),
)
BOOKS_VERIFIED = Family(
    "gauge",
    "cti_books_verified_timestamp_seconds",
    "Everything that ended before was compared with the PBX's books.",
    ("pbx",),
)
RECONCILE_CHECKED = Family(
    "counter",
    "cti_reconcile_checked_total",
    "Records compared with the PBX's own books.",
    ("pbx",),
)
RECONCILE_MISMATCH = Family(
    "counter",
    "cti_reconcile_mismatch_total",
    "Differences between our records and the PBX's own books that no written rule explains.",
    ("pbx", "reason"),
)
RECONCILE_EXPLAINED = Family(
    "counter",
    "cti_reconcile_explained_total",
    "Differences between our records and the PBX's own books that a written rule explains (docs/scenarios.md).",
    ("pbx", "rule"),
)
BOOK_BAD_LINES = Family(
    "counter",
    "cti_book_bad_lines_total",
    "Lines of the PBX's books that could not be read.",
    ("pbx",),
)
FAULTS_OPEN = Family(
    "gauge",
    "cti_faults_open",
    "Faults that began and have not ended; those of the daemon itself have an empty pbx.",
    ("pbx", "kind"),
)
FAULTS = Family(
    "counter",
    "cti_faults_total",
    "Faults that began; those of the daemon itself have an empty pbx.",
    ("pbx", "kind"),
)
OVERFLOW = Family(
    "counter",
    "cti_metrics_overflow_total",
    "Facts whose agent, queue or hotline is counted under the label 'other' or not at all, because there are more "
    "names than the cap allows.",
    ("name",),
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Family))
