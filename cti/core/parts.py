"""The mutable side of the data dictionary: what the call machine keeps while a call lives.

Each class mirrors one fact of `cti.core.facts` and can `fact()` itself. A part changes many times within one
event; it is turned into a fact once, when the event has been dealt with.
"""

import math
from collections.abc import Sequence

from cti.core import facts
from cti.core.facts import (
    AttemptOutcome,
    Direction,
    Disposition,
    EndedBy,
    Quality,
    State,
    StayOutcome,
)

_SIDES = frozenset({"read", "write"})  # of a recorded channel
# A class looks its constants up by name each time, which costs ten times as much as a name of ours.
_INTERNAL, _COMPLETE, _UNKNOWN = Direction.INTERNAL, Quality.COMPLETE, AttemptOutcome.UNKNOWN
PENDING = facts.PENDING


class CallPart:
    """A call and everything that belongs to it."""

    __slots__ = (
        "answered_at",
        "attached",
        "attempts",
        "caller_name",
        "caller_number",
        "dialed_number",
        "direction",
        "disposition",
        "ended_at",
        "ended_by",
        "hangup_asked_at",
        "hangup_cause",
        "id",
        "legs",
        "live",
        "merged_into",
        "origin",
        "pbx",
        "quality",
        "recordings",
        "service",
        "shown",
        "started_at",
        "stays",
        "talks",
        "transfers",
        "voicemail",
    )

    def __init__(self, pbx: str, call_id: str, origin: str, started_at: float) -> None:
        self.id = call_id
        self.pbx = pbx
        self.origin = origin  # uniqueid of the first channel
        self.direction = _INTERNAL
        self.caller_number = ""
        self.caller_name = ""
        self.dialed_number = ""
        self.started_at = started_at
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.disposition: Disposition | None = None
        self.ended_by: EndedBy | None = None
        self.hangup_asked_at = 0.0
        self.hangup_cause: int | None = None
        self.quality = _COMPLETE
        self.merged_into: str | None = None
        self.shown = False  # nothing of a call is told before it is more than a channel being set up
        self.service = False  # a feature code: a call to the PBX itself
        self.attached = False  # its beginning was not seen
        self.voicemail = False  # a message could be left
        self.live: set[str] = set()
        self.legs: list[LegPart] = []
        self.stays: list[StayPart] = []
        self.attempts: list[AttemptPart] = []
        self.talks: list[TalkPart] = []
        self.transfers: list[TransferPart] = []
        self.recordings: list[RecordingPart] = []

    @property
    def call(self) -> "CallPart":
        """Itself, as its parts say whose they are."""
        return self

    def bare(self) -> bool:
        """Whether nothing but channels belongs to it so far."""
        return not (self.stays or self.attempts or self.talks or self.transfers or self.recordings)

    def parts(self) -> Sequence["PartOfCall"]:
        """Everything that belongs to it."""
        if self.bare():
            return self.legs
        parts: list[PartOfCall] = [*self.legs, *self.stays, *self.attempts, *self.talks]
        return [*parts, *self.transfers, *self.recordings]

    def let_go(self) -> None:
        """Forget the parts; for a call that is over. They still know their call, and are free when nobody knows them."""
        for parts in (self.legs, self.stays, self.attempts, self.talks, self.transfers, self.recordings):
            if parts:
                parts.clear()

    def fact(self) -> facts.Call:
        """The call as it stands."""
        return facts.Call(
            self.id,
            self.pbx,
            self.direction,
            self.caller_number,
            self.caller_name,
            self.dialed_number,
            self.started_at,
            self.answered_at,
            self.ended_at,
            self.disposition,
            self.ended_by,
            self.hangup_cause,
            self.quality,
            self.merged_into,
        )


class LegPart:
    """A channel: as long as it lives it also carries its bridge and its Local pair."""

    __slots__ = (
        "agent",
        "answered_at",
        "attempt",
        "bridge",
        "call",
        "channel",
        "device",
        "dial_status",
        "dialed",
        "ended_at",
        "hangup_asked",
        "hangup_cause",
        "id",
        "linkedid",
        "member_as",
        "moving",
        "number",
        "own_line",
        "pair",
        "passes",
        "picked",
        "queue_status",
        "quits",
        "recordings",
        "recordings_made",
        "refusals",
        "relays",
        "ring_started_at",
        "ringing",
        "started_at",
        "stay",
        "talk",
        "talks_made",
        "transfers_made",
        "uniqueid",
    )

    def __init__(self, call: CallPart, uniqueid: str, linkedid: str, channel: str, device: str) -> None:
        self.call = call
        self.id = f"{call.pbx}-{uniqueid}"
        self.uniqueid = uniqueid
        self.linkedid = linkedid
        self.channel = channel
        self.device = device
        self.number = ""
        self.agent: str | None = None
        self.dialed = False
        self.started_at = call.started_at
        self.ring_started_at: float | None = None
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.dial_status: str | None = None
        self.hangup_asked = False  # by its device or by the PBX: it does nothing of its own any more
        self.hangup_cause: int | None = None
        self.bridge: str | None = None
        self.pair: str | None = None  # uniqueid of the other half of a Local channel
        self.own_line = False  # of the agent pool: lent to callers, and part of none of their calls
        self.member_as = ""  # the state interface of its agent in queues
        self.moving = False  # between two bridges, for the moment a Local channel takes itself out
        self.picked = False  # it took a call that rang elsewhere
        self.quits = False  # its device asked to hang up
        self.ringing = False  # in a bridge though nobody has answered behind it
        self.relays = False  # a Local half whose other half leads on to somebody: not a party itself
        self.stay: StayPart | None = None  # the queue pass not yet decided
        self.passes = 0
        self.refusals = 0  # by queues that did not let it in
        self.queue_status = ""  # the last QUEUESTATUS that was heard of it
        self.attempt: AttemptPart | None = None
        self.talk: TalkPart | None = None
        self.talks_made = 0
        self.transfers_made = 0
        self.recordings: list[RecordingPart] = []  # that go on
        self.recordings_made = 0

    def fact(self) -> facts.Leg:
        """The leg as it stands."""
        call = self.call
        return facts.Leg(
            self.id,
            call.id,
            call.pbx,
            self.uniqueid,
            self.linkedid,
            self.channel,
            self.device,
            self.number,
            self.agent,
            self.dialed,
            self.started_at,
            self.ring_started_at,
            self.answered_at,
            self.ended_at,
            self.dial_status,
            self.hangup_cause,
        )


class StayPart:
    """One pass through one queue."""

    __slots__ = (
        "abandon_sent",
        "agent",
        "answered_at",
        "book_talk",
        "book_wait",
        "call",
        "caller_gone",
        "id",
        "joined_at",
        "left_at",
        "member_channel",
        "ordinal",
        "outcome",
        "position",
        "queue",
        "status_before",
        "uniqueid",
        "unseen_until",
        "wait",
    )

    def __init__(self, call: CallPart, uniqueid: str, ordinal: int, queue: str, joined_at: float) -> None:
        self.call = call
        self.id = f"{call.pbx}-{uniqueid}/q{ordinal}"
        self.uniqueid = uniqueid
        self.ordinal = ordinal
        self.queue = queue
        self.joined_at = joined_at
        self.position: int | None = None
        self.answered_at: float | None = None
        self.left_at: float | None = None
        self.outcome: StayOutcome | None = None
        self.wait: float | None = None
        self.agent: str | None = None
        self.book_wait: float | None = None
        self.book_talk: float | None = None
        self.member_channel = ""  # uniqueid of the channel that took the call
        self.abandon_sent = False
        self.caller_gone = False  # a hangup was asked for while the caller waited
        self.unseen_until = (
            -math.inf
        )  # when the signs of its end can first be relied on; inf: they were missed
        self.status_before = ""  # QUEUESTATUS an earlier queue left on the channel

    def fact(self) -> facts.QueueStay:
        """The queue stay as it stands."""
        return facts.QueueStay(
            self.id,
            self.call.id,
            self.call.pbx,
            self.ordinal,
            self.queue,
            self.uniqueid,
            self.joined_at,
            self.position,
            self.answered_at,
            self.left_at,
            self.outcome,
            self.wait,
            self.agent,
            self.book_wait,
            self.book_talk,
        )


class AttemptPart:
    """One ringing of one member or phone."""

    __slots__ = (
        "agent",
        "call",
        "device",
        "ended_at",
        "id",
        "outcome",
        "over_at",
        "queue",
        "reason",
        "started_at",
        "state",
        "state_since",
        "stay_id",
        "verdict",
    )

    def __init__(self, call: CallPart, uniqueid: str, device: str, started_at: float) -> None:
        self.call = call
        self.id = f"{call.pbx}-{uniqueid}/a"
        self.device = device
        self.started_at = started_at
        self.stay_id: str | None = None
        self.queue: str | None = None
        self.agent: str | None = None
        self.state: State | None = None
        self.state_since: float | None = None
        self.reason: str | None = None
        self.ended_at: float | None = None
        self.outcome: AttemptOutcome | None = None  # unless answered, known when the channel is hung up
        self.over_at: float | None = None  # DialEnd, or AgentRingNoAnswer
        self.verdict = _UNKNOWN  # what app_queue said, for want of a DialEnd

    def fact(self) -> facts.Attempt:
        """The attempt as it stands."""
        return facts.Attempt(
            self.id,
            self.call.id,
            self.call.pbx,
            self.stay_id,
            self.queue,
            self.agent,
            self.device,
            self.state,
            self.state_since,
            self.reason,
            self.started_at,
            self.ended_at,
            self.outcome,
        )


class TalkPart:
    """One interval of being bridged."""

    __slots__ = (
        "agent",
        "call",
        "device",
        "ended_at",
        "held_since",
        "hold",
        "holders",
        "id",
        "queue",
        "started_at",
        "waiters",
    )

    def __init__(self, leg: LegPart, started_at: float, call: CallPart | None = None) -> None:
        self.call = call or leg.call
        self.id = f"{leg.call.pbx}-{leg.uniqueid}/t{leg.talks_made}"
        self.agent = leg.agent
        self.device = leg.device
        self.queue: str | None = None
        self.waiters: tuple[str, ...] = ()  # who of them had joined a queue; not known of a stored talk
        self.started_at = started_at
        self.ended_at: float | None = None
        self.hold = 0.0
        self.holders: set[str] = set()
        self.held_since = 0.0

    def hold_begins(self, holder: str, at: float) -> None:
        """A channel put the other side on hold; two at once count once."""
        if not self.holders:
            self.held_since = at
        self.holders.add(holder)

    def hold_ends(self, holder: str, at: float) -> None:
        """The last holder to let go ends the hold."""
        if holder in self.holders:
            self.holders.discard(holder)
            if not self.holders:
                self.hold += max(0.0, at - self.held_since)

    def end(self, at: float) -> None:
        """Close the interval, an open hold with it."""
        if self.holders:
            self.holders.clear()
            self.hold += max(0.0, at - self.held_since)
        self.ended_at = max(at, self.started_at)

    def fact(self) -> facts.Talk:
        """The talk as it stands."""
        return facts.Talk(
            self.id,
            self.call.id,
            self.call.pbx,
            self.queue,
            self.agent,
            self.device,
            self.started_at,
            self.ended_at,
            self.hold,
        )


class TransferPart:
    """One handing on."""

    __slots__ = ("at", "by", "call", "device", "id", "kind", "result", "to", "whom")

    def __init__(self, leg: LegPart, kind: str, to: str, whom: str, at: float) -> None:
        self.call = leg.call
        self.id = f"{leg.call.pbx}-{leg.uniqueid}/x{leg.transfers_made}"
        self.kind = kind
        self.by = leg.agent or leg.device
        self.device = leg.device
        self.to = to
        self.whom = whom  # uniqueid of who was handed on; "" when it is not known
        self.at = at
        self.result = PENDING

    def fact(self) -> facts.Transfer:
        """The transfer as it stands."""
        return facts.Transfer(
            self.id, self.call.id, self.call.pbx, self.kind, self.by, self.to, self.at, self.result
        )


class RecordingPart:
    """One file."""

    __slots__ = ("call", "file", "id", "muted", "muted_since", "paused", "started_at", "stopped_at")

    def __init__(self, leg: LegPart, file: str, started_at: float) -> None:
        self.call = leg.call
        self.id = f"{leg.call.pbx}-{leg.uniqueid}/r{leg.recordings_made}"
        self.file = file
        self.started_at = started_at
        self.stopped_at: float | None = None
        self.paused = 0.0
        self.muted: set[str] = set()  # read, write
        self.muted_since = 0.0  # when both were

    def mute(self, direction: str, at: float, *, muted: bool) -> None:
        """One side (or both) is silence in the file from now on, or is not; a pause is when both are."""
        paused = self.muted >= _SIDES
        sides = _SIDES if direction == "both" else {direction} & _SIDES
        self.muted = self.muted | sides if muted else self.muted - sides
        if self.muted >= _SIDES and not paused:
            self.muted_since = at
        elif paused and not self.muted >= _SIDES:
            self.paused += max(0.0, at - self.muted_since)

    def stop(self, at: float) -> None:
        """The file is closed, and an open pause with it."""
        self.mute("both", at, muted=False)
        self.stopped_at = at

    def fact(self) -> facts.Recording:
        """The recording as it stands."""
        return facts.Recording(
            self.id, self.call.id, self.call.pbx, self.file, self.started_at, self.stopped_at, self.paused
        )


PartOfCall = LegPart | StayPart | AttemptPart | TalkPart | TransferPart | RecordingPart
Part = CallPart | PartOfCall
