"""What is true: the frozen outcomes of the core, one type for each part of the data dictionary.

A part (`Call`, `Leg`, `QueueStay`, `Attempt`, `Talk`, `Transfer`, `Recording`, `AwayEpisode`, `Fault`, `WorkItem`)
is always sent whole, as it stands after the event, so a sink may keep the last one of each id and drop the
others: every fact is idempotent by its `key`. A sink that counts looks for the fact that carries the end
(`ended_at`, `left_at`, `outcome`), which comes exactly once a part, save after a replay.

Instants are seconds since the Unix epoch (UTC) on the PBX's clock, durations are seconds; both are floats.
They become aware datetimes only at the edges (database, JSON, pages).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from cti.core.quick import quicken

FactKey = tuple[str, str]

PENDING = "pending"
"""The result of a transfer that has not led to anybody yet."""


class Direction(StrEnum):
    """Where the call came from, seen from the PBX."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Disposition(StrEnum):
    """How a whole call ended."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    REJECTED = "rejected"
    VOICEMAIL = "voicemail"
    LEFT_MENU = "left_menu"
    UNKNOWN = "unknown"


class StayOutcome(StrEnum):
    """How one pass through one queue ended."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    TIMEOUT = "timeout"
    LEFT_BY_KEY = "left_by_key"
    EMPTY = "empty"
    JOIN_EMPTY = "join_empty"
    FULL = "full"
    WITHDRAWN = "withdrawn"
    TRANSFERRED_OUT = "transferred_out"
    UNKNOWN = "unknown"


NOT_LET_IN = frozenset({StayOutcome.JOIN_EMPTY, StayOutcome.FULL})
"""A queue turned the caller away: who so ended never waited, and neither AMI nor queue_log says in which queue."""


class AttemptOutcome(StrEnum):
    """How one ringing of one member ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class EndedBy(StrEnum):
    """Who ended the call."""

    CALLER = "caller"
    AGENT = "agent"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Quality(StrEnum):
    """How much of the record was seen as it happened."""

    COMPLETE = "complete"
    GAPPED = "gapped"
    FROM_BOOKS = "from_books"


class State(StrEnum):
    """An agent's state; exactly one holds at any instant."""

    LOGGED_OUT = "logged_out"
    AVAILABLE = "available"
    RINGING = "ringing"
    ON_CALL = "on_call"
    WRAP_UP = "wrap_up"
    AWAY = "away"
    UNREACHABLE = "unreachable"


class Cause(StrEnum):
    """Who or what changed an agent's state."""

    AGENT = "agent"
    LEAD = "lead"
    RULE = "rule"
    DEVICE = "device"
    PBX = "pbx"
    LINK_LOST = "link_lost"


class FaultKind(StrEnum):
    """What was broken between a fault's begin and its end; from `HEADSET` on: reported by hand."""

    LINK = "link"
    PBX_RESTART = "pbx_restart"
    OVERFLOW = "overflow"
    DATABASE = "database"
    DISK = "disk"  # full, or not writable: the database's or the spool's
    CLOCK = "clock"  # stepped: the PBX's or this machine's
    PUBLISH = "publish"
    BOOKS = "books"  # the PBX's books cannot be read
    TRUNK = "trunk"  # a line to the outside is unreachable, or not registered
    DUTY_PHONE = "duty_phone"  # nobody on a hotline's ladder could be reached
    DAEMON = "daemon"  # it was killed, and started again
    HEADSET = "headset"
    PHONE = "phone"
    COMPUTER = "computer"
    SYSTEM_SLOW = "system_slow"
    OTHER = "other"


class CommandKind(StrEnum):
    """What the PBX was to do."""

    REMOVE_MEMBER = "remove_member"
    PAUSE_MEMBER = "pause_member"


class CommandOutcome(StrEnum):
    """How a command ended."""

    VERIFIED = "verified"  # the event that must follow was seen
    ALREADY_SO = "already_so"  # there was nothing left to do
    REFUSED = "refused"  # the PBX's answer, or it could not be sent as it is
    NO_ANSWER = "no_answer"  # no link, or no answer in time: whether it was done is unknown
    UNVERIFIED = "unverified"  # answered with success, but no event followed in time
    NOT_WANTED = "not_wanted"  # left over from an earlier process, and no longer called for


class RejectReason(StrEnum):
    """Why something that came from the PBX was not taken."""

    MALFORMED = "malformed"
    MISSING_HEADER = "missing_header"
    BAD_VALUE = "bad_value"
    UNKNOWN_CHANNEL = "unknown_channel"
    TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Call:
    """One contact from its first channel to its last hangup."""

    id: str  # "<pbx>-<uniqueid of the first channel>"
    pbx: str
    direction: Direction
    caller_number: str
    caller_name: str
    dialed_number: str
    started_at: float
    answered_at: float | None = None  # first human or queue member
    ended_at: float | None = None
    disposition: Disposition | None = None  # None while the call lives
    ended_by: EndedBy | None = None
    hangup_cause: int | None = None  # Q.850
    quality: Quality = Quality.COMPLETE
    merged_into: str | None = None  # id of the older call this one turned out to be a part of
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("call", self.id)


@dataclass(frozen=True, slots=True)
class Leg:
    """One channel that took part in a call."""

    id: str  # "<pbx>-<uniqueid>"
    call_id: str
    pbx: str
    uniqueid: str
    linkedid: str
    channel: str  # full channel name, e.g. PJSIP/1001-0000002a
    device: str  # channel name without its serial, e.g. PJSIP/1001
    number: str
    agent: str | None
    dialed: bool  # True when the PBX rang it, False when it came in by itself
    started_at: float
    ring_started_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    dial_status: str | None = None  # of DialEnd: ANSWER, BUSY, NOANSWER, CANCEL, CONGESTION, CHANUNAVAIL
    hangup_cause: int | None = None  # Q.850
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("leg", self.id)


@dataclass(frozen=True, slots=True)
class QueueStay:
    """One pass of a call through one queue, or its being turned away by one (`NOT_LET_IN`)."""

    id: str  # "<pbx>-<uniqueid of the waiting channel>/q<n>", of one turned away "…/n<n>"
    call_id: str
    pbx: str
    ordinal: int  # 1 for the first queue this channel joined; 0: it was turned away
    queue: str  # "": that turned it away is all that is known of it
    uniqueid: str  # the waiting channel
    joined_at: float
    position: int | None = None  # on joining
    answered_at: float | None = None  # DialEnd ANSWER of the member who got the call
    left_at: float | None = None
    outcome: StayOutcome | None = None  # None while it waits
    wait: float | None = None  # joined to answered, or to left
    agent: str | None = None  # who answered
    book_wait: float | None = None  # AgentConnect.HoldTime
    book_talk: float | None = None  # AgentComplete.TalkTime
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("queue_stay", self.id)


def is_settled(stay: QueueStay) -> bool:
    """Whether it is known how a stay ended, and in which queue; else the books may say it within minutes."""
    return bool(stay.queue) and stay.outcome not in {None, StayOutcome.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ringing of one member (or, outside a queue, of one agent's phone)."""

    id: str  # "<pbx>-<uniqueid of the rung channel>/a"
    call_id: str
    pbx: str
    stay_id: str | None
    queue: str | None
    agent: str | None
    device: str
    agent_state: State | None  # as the ringing began
    agent_state_since: float | None
    agent_reason: str | None  # why away, if away
    started_at: float
    ended_at: float | None = None
    outcome: AttemptOutcome | None = None  # None while it rings
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("attempt", self.id)


@dataclass(frozen=True, slots=True)
class Talk:
    """One interval in which a party's device and the other side were bridged."""

    id: str  # "<pbx>-<uniqueid of the party's channel>/t<n>"
    call_id: str
    pbx: str
    queue: str | None  # the queue that brought the call, if one did
    agent: str | None
    device: str
    started_at: float
    ended_at: float | None = None
    hold: float | None = 0.0  # seconds on hold inside, as far as seen; None: no book tells of them
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("talk", self.id)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer inside a call."""

    id: str  # "<pbx>-<uniqueid of who handed the call on>/x<n>"
    call_id: str
    pbx: str
    kind: str  # blind, attended, half_finished
    by: str  # agent, or the device where none is known
    to: str  # the number that was dialled for it
    at: float
    result: str  # pending, answered, recalled, busy, no_answer, rejected, failed, abandoned
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("transfer", self.id)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a call."""

    id: str  # "<pbx>-<uniqueid of the recorded channel>/r<n>"
    call_id: str
    pbx: str
    file: str  # as the PBX names it
    started_at: float
    stopped_at: float | None = None
    paused: float = 0.0  # seconds inside in which neither side was recorded
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("recording", self.id)


@dataclass(frozen=True, slots=True)
class AgentState:
    """An agent entered a state; it holds until the agent's next one."""

    pbx: str
    agent: str
    name: str
    device: str  # where the agent is logged in; "" when logged out
    queues: tuple[str, ...]
    state: State
    since: float
    reason: str  # enumerated: a pause reason while away, else ""
    cause: Cause
    previous: State | None = None
    previous_since: float | None = None
    sources: tuple[str, ...] = ()  # where it was not seen: "<field>:<book>", "*" being all others
    paused: tuple[str, ...] = ()  # "<queue>:<reason>" of those in which the member is paused

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("agent_state", f"{self.pbx}-{self.agent}-{self.since:.6f}")


@dataclass(frozen=True, slots=True)
class AwayEpisode:
    """From an agent's leaving to being available again, across re-pausing, reasons and queues."""

    id: str  # "<pbx>-<agent>-<started_at>"
    pbx: str
    agent: str
    reason: str  # the latest
    started_at: float
    warn_at: float
    limit_at: float
    warned_at: float | None = None
    reported_at: float | None = None
    logged_out_at: float | None = None
    ended_at: float | None = None
    sources: tuple[str, ...] = ()  # as of a state; or "<field>:list", known from what the PBX was found in

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("away_episode", self.id)


@dataclass(frozen=True, slots=True)
class Incident:
    """A floor rule was broken."""

    id: str
    pbx: str
    kind: str  # away_limit
    agent: str
    at: float
    detail: str
    result: str | None = (
        None  # logged_out, paused, deferred, unseen (told from the books); None until carried out
    )

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("incident", self.id)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was broken, from when to when."""

    id: str
    kind: FaultKind
    pbx: str
    began_at: float
    ended_at: float | None = None
    detail: str = ""
    reported_by: str | None = (
        None  # who reported it by hand; "" when they gave no name, None: seen by the daemon
    )

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("fault", self.id)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notice was brought to somebody, or could not be: who was told of a fault or an incident, and when."""

    id: str  # "<notice>/<channel>"
    subject: str  # id of the fault or away episode that the notice is about
    pbx: str
    kind: str  # of the notice
    channel: str  # webhook
    at: float  # this machine's clock
    ok: bool
    detail: str = ""  # why not

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("delivery", self.id)


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """A command of ours to the PBX, from being asked for to its outcome; a new try takes the place of the last."""

    id: str  # of the command: the same wish has the same id
    pbx: str
    kind: CommandKind
    agent: str
    queue: str  # "" for all queues
    interface: str
    asked_at: float
    ended_at: float | None = None
    outcome: CommandOutcome | None = None  # None while it is under way
    detail: str = ""  # the PBX's words

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("command", self.id)


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Something a person has to do; here: an after-hours call to follow up."""

    id: str  # "<pbx>-<uniqueid>" of the call, so that making it twice makes one
    pbx: str
    kind: str  # after_hours_call
    call_id: str
    hotline: str
    caller_number: str
    created_at: float
    result: str  # ringing, accepted, unanswered, abandoned, closed
    accepted_by: str | None = None  # the number that took the call
    accepted_at: float | None = None
    state: str = "open"  # open, done

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("work_item", self.id)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue as the PBX has it."""

    pbx: str
    name: str
    strategy: str
    wrap_up_seconds: float
    max_waiting: int

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("queue", f"{self.pbx}-{self.name}")


@dataclass(frozen=True, slots=True)
class Link:
    """The event stream of a PBX came up (and is in step again), or went down."""

    pbx: str
    up: bool
    at: float
    detail: str = ""
    booted_at: float | None = None  # epoch at which this Asterisk started, once it was asked

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("link", f"{self.pbx}-{self.at:.6f}")


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which this PBX was not heard; what happened in it is in its books."""

    id: str  # "<pbx>-<ended_at>"
    pbx: str
    began_at: float  # nothing later was surely seen
    ended_at: float  # in step with the PBX again
    cause: str  # stopped (the daemon), link, overflow
    filled_at: float | None = None  # every call it touched is over, and was completed from the books

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("gap", self.id)

    def covers(self, at: float) -> bool:
        """Whether what happened at this instant (epoch) may have been missed."""
        return self.began_at < at < self.ended_at


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person must be told now; never stored as the only trace of it."""

    id: str
    pbx: str
    kind: str  # away_warning, away_limit, login_refused, fault_began, fault_ended
    at: float
    agent: str | None
    text: str

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("notice", self.id)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something came from the PBX that could not be taken; counted and logged, never raised."""

    pbx: str
    reason: RejectReason
    at: float
    detail: str

    @property
    def key(self) -> FactKey:
        """Identity for idempotent sinks."""
        return ("rejected", f"{self.pbx}-{self.at:.6f}-{self.reason}")


Fact = (
    Call
    | Leg
    | QueueStay
    | Attempt
    | Talk
    | Transfer
    | Recording
    | AgentState
    | AwayEpisode
    | Incident
    | Fault
    | Delivery
    | CommandRecord
    | WorkItem
    | Queue
    | Link
    | Gap
    | Notice
    | Rejected
)

quicken(*get_args(Fact))
