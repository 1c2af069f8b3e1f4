r"""What the PBX said: frozen events in the past tense, and the one place where AMI spelling exists.

A message arrives as a mapping of header to value, decoded by `cti.core.wire`. `parse` turns it into one event, or
`None` for what nobody consumes, or raises `Unusable` with the reason. Every event carries `at`: seconds since the
epoch on the PBX's clock (`timestampevents=yes`), else the moment of arrival.

Values: `<unknown>` means empty; names are C-escaped by Asterisk (`O\'Brien`) and unescaped here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from cti.core.facts import RejectReason
from cti.core.quick import quicken

Message = Mapping[str, str]


class Unusable(ValueError):
    """A message that cannot be turned into an event; `reason` says why, the text which header."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class ChannelCreated:
    """Newchannel."""

    at: float
    uniqueid: str
    linkedid: str
    channel: str
    state: int  # 0 down (being rung), 4 ring (came in), 6 up
    caller_number: str
    caller_name: str
    context: str
    exten: str


@dataclass(frozen=True, slots=True)
class ChannelStateChanged:
    """Newstate."""

    at: float
    uniqueid: str
    state: int
    queue_status: str


@dataclass(frozen=True, slots=True)
class CallerChanged:
    """NewCallerid."""

    at: float
    uniqueid: str
    caller_number: str
    caller_name: str


@dataclass(frozen=True, slots=True)
class ChannelRenamed:
    """Rename."""

    at: float
    uniqueid: str
    channel: str


@dataclass(frozen=True, slots=True)
class HangupRequested:
    """HangupRequest (the device hung up) or SoftHangupRequest (the PBX was told to)."""

    at: float
    uniqueid: str
    by_device: bool


@dataclass(frozen=True, slots=True)
class ChannelHungUp:
    """Hangup."""

    at: float
    uniqueid: str
    cause: int
    queue_status: str
    voicemail: bool = False  # VMSTATUS says that VoiceMail ran to its end


@dataclass(frozen=True, slots=True)
class DialBegan:
    """DialBegin; `source` is empty for a dial without a caller (Originate)."""

    at: float
    source: str
    uniqueid: str  # the rung channel
    dialed: str  # DialString
    queue_status: str  # of the source


@dataclass(frozen=True, slots=True)
class DialEnded:
    """DialEnd."""

    at: float
    source: str
    uniqueid: str
    status: str
    forward: str


@dataclass(frozen=True, slots=True)
class BridgeEntered:
    """BridgeEnter."""

    at: float
    bridge: str
    uniqueid: str
    swapped: str  # uniqueid this channel takes the place of, or ""
    kind: str  # BridgeType: basic, base, holding …
    technology: str
    queue_status: str
    up: bool = True  # False for the half of a Local channel behind which it still rings


@dataclass(frozen=True, slots=True)
class BridgeLeft:
    """BridgeLeave."""

    at: float
    bridge: str
    uniqueid: str


@dataclass(frozen=True, slots=True)
class BridgeMerged:
    """BridgeMerge: everybody in `source` is now in `bridge` (Asterisk also sends each leave and enter)."""

    at: float
    bridge: str
    source: str


@dataclass(frozen=True, slots=True)
class BridgeDestroyed:
    """BridgeDestroy."""

    at: float
    bridge: str


@dataclass(frozen=True, slots=True)
class BlindTransferred:
    """BlindTransfer; a number that does not exist sends none."""

    at: float
    by: str  # uniqueid of who handed the call on
    whom: str  # uniqueid of who was handed on; "" out of a bridge of several
    to: str  # Extension
    done: bool


@dataclass(frozen=True, slots=True)
class AttendedTransferred:
    """AttendedTransfer: of a call and a consultation, which may still ring or wait."""

    at: float
    by: str  # uniqueid of the one who handed the call on, in the call
    second: str  # the same person's channel in the consultation (by feature code the same channel)
    whom: str  # uniqueid of who was handed on; "" out of a bridge of several
    target: str  # uniqueid of whom the consultation reached; "" when it runs an application
    to: str  # the number that was dialled for the consultation
    application: str  # Dial, Queue … when the other side of the consultation is one
    bridge: str  # where the two are together now, "" when they are not
    done: bool


@dataclass(frozen=True, slots=True)
class PickedUp:
    """Pickup: somebody took a call that rang at another phone."""

    at: float
    uniqueid: str  # who picked up
    target: str  # uniqueid of the ringing channel whose place this one takes


@dataclass(frozen=True, slots=True)
class StaysOnLine:
    """AgentLogin of the agent pool: this channel is lent to one caller after the other."""

    at: float
    uniqueid: str


@dataclass(frozen=True, slots=True)
class RecordingBegan:
    """MixMonitorStart."""

    at: float
    uniqueid: str
    file: str  # MIXMONITOR_FILENAME


@dataclass(frozen=True, slots=True)
class RecordingEnded:
    """MixMonitorStop; a recording that lasts as long as its channel sends none."""

    at: float
    uniqueid: str


@dataclass(frozen=True, slots=True)
class LocalBridged:
    """LocalBridge: the two halves of a Local channel."""

    at: float
    one: str
    two: str


@dataclass(frozen=True, slots=True)
class LocalOptimized:
    """LocalOptimizationBegin and -End: a Local channel takes itself out from between two bridges."""

    at: float
    one: str  # uniqueid of the half ;1
    begun: bool  # False when it is over


@dataclass(frozen=True, slots=True)
class HoldBegan:
    """Hold: this channel's device put the other side on hold."""

    at: float
    uniqueid: str


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """Unhold."""

    at: float
    uniqueid: str


@dataclass(frozen=True, slots=True)
class CallerJoined:
    """QueueCallerJoin."""

    at: float
    queue: str
    uniqueid: str
    position: int
    queue_status: str  # what an earlier queue left behind


@dataclass(frozen=True, slots=True)
class CallerLeft:
    """QueueCallerLeave: no longer waiting, for whatever reason."""

    at: float
    queue: str
    uniqueid: str
    queue_status: str


@dataclass(frozen=True, slots=True)
class CallerAbandoned:
    """QueueCallerAbandon; also sent on timeout, leave-when-empty and withdrawal."""

    at: float
    queue: str
    uniqueid: str


@dataclass(frozen=True, slots=True)
class MemberCalled:
    """AgentCalled: app_queue rings a member."""

    at: float
    queue: str
    uniqueid: str  # the waiting caller
    member_channel: str  # uniqueid of the rung channel
    member: str
    interface: str


@dataclass(frozen=True, slots=True)
class MemberConnected:
    """AgentConnect."""

    at: float
    queue: str
    uniqueid: str
    member_channel: str
    member: str
    interface: str
    hold_time: float  # seconds, announcements and member delay included


@dataclass(frozen=True, slots=True)
class MemberCompleted:
    """AgentComplete."""

    at: float
    queue: str
    uniqueid: str
    member: str
    interface: str
    hold_time: float
    talk_time: float  # seconds
    reason: str  # agent, caller, transfer
    member_channel: str = ""


@dataclass(frozen=True, slots=True)
class MemberRangNoAnswer:
    """AgentRingNoAnswer."""

    at: float
    queue: str
    uniqueid: str
    member_channel: str
    member: str
    interface: str


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """QueueMemberAdded, QueueMemberPause, QueueMemberStatus, QueueMemberRinginuse, or a QueueMember line.

    All of them carry the member whole, so one event serves them all; `what` is added, changed or listed.
    """

    at: float
    what: str
    queue: str
    member: str  # MemberName
    interface: str
    state_interface: str
    membership: str  # static, dynamic, realtime
    paused: bool
    reason: str
    status: (
        int  # device state: 1 not in use, 2 in use, 3 busy, 4 invalid, 5 unavailable, 6 ringing, 7 … 8 hold
    )
    wrap_up: float  # seconds; 0 falls back to the queue's
    last_pause: float  # epoch or 0
    login_time: float  # epoch or 0


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """QueueMemberRemoved."""

    at: float
    queue: str
    member: str
    interface: str


@dataclass(frozen=True, slots=True)
class QueueSeen:
    """QueueParams."""

    at: float
    queue: str
    strategy: str
    wrap_up: float
    max_waiting: int


@dataclass(frozen=True, slots=True)
class CallerSeen:
    """QueueEntry: somebody is waiting as the list is made."""

    at: float
    queue: str
    uniqueid: str
    position: int
    waited: float  # seconds


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """CoreShowChannel: a channel that lives as the list is made."""

    at: float
    uniqueid: str
    linkedid: str
    channel: str
    state: int
    caller_number: str
    caller_name: str
    context: str
    exten: str
    bridge: str
    duration: float  # seconds since its creation
    application: str


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """UserEvent CtiAgent, sent by the shipped dialplan: an agent used a feature code."""

    at: float
    action: str  # login, logout, pause, unpause, refused, locked
    agent: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class DutySaid:
    """UserEvent CtiDuty, sent by the shipped dialplan on an after-hours call."""

    at: float
    action: str  # entered, leg, accepted, unaccepted, ended
    hotline: str
    uniqueid: str  # the caller's channel
    number: str  # the duty number this is about
    caller: str
    result: str


@dataclass(frozen=True, slots=True)
class Resynced:
    """What lives on the PBX right after a login; made by the door from its lists."""

    at: float
    booted_at: float  # epoch at which this Asterisk started, 0 when it could not be read
    channels: tuple[ChannelSeen, ...] = ()
    queues: tuple[QueueSeen, ...] = ()
    members: tuple[MemberSeen, ...] = ()
    waiting: tuple[CallerSeen, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The event stream ended or lost something; `why` is for people."""

    at: float
    why: str
    overflow: bool = False  # the connection stands; we could not take everything


@dataclass(frozen=True, slots=True)
class CommandDone:
    """The answer to a command of ours."""

    at: float
    command: str  # its id
    ok: bool
    message: str


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The PBX's clock was put; `at` is the first instant it showed then."""

    at: float
    by: float  # seconds; positive: forward


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went on: the PBX's last timestamp plus monotonic time since."""

    at: float


Event = (
    ChannelCreated
    | ChannelStateChanged
    | CallerChanged
    | ChannelRenamed
    | HangupRequested
    | ChannelHungUp
    | DialBegan
    | DialEnded
    | BridgeEntered
    | BridgeLeft
    | BridgeMerged
    | BridgeDestroyed
    | BlindTransferred
    | AttendedTransferred
    | PickedUp
    | StaysOnLine
    | RecordingBegan
    | RecordingEnded
    | LocalBridged
    | LocalOptimized
    | HoldBegan
    | HoldEnded
    | CallerJoined
    | CallerLeft
    | CallerAbandoned
    | MemberCalled
    | MemberConnected
    | MemberCompleted
    | MemberRangNoAnswer
    | MemberSeen
    | MemberRemoved
    | QueueSeen
    | CallerSeen
    | ChannelSeen
    | AgentSaid
    | DutySaid
    | Resynced
    | LinkLost
    | CommandDone
    | ClockStepped
    | Tick
)

quicken(*get_args(Event))

_EMPTY = {"", "<unknown>", "<null>", "(null)"}
_LONGEST = 256  # characters of a header value that is kept
_FURTHEST = 4_102_444_800.0  # s; 2100 as an instant, and no duration either: what is more is garbage
_GREATEST = 2**31 - 1  # what databases take as an integer


def _must(message: Message, header: str) -> str:
    value = message.get(header)
    if not value:
        raise Unusable(RejectReason.MISSING_HEADER, header)
    if len(value) > _LONGEST:
        raise Unusable(RejectReason.TOO_LONG, header)
    return value


def _text(message: Message, header: str) -> str:
    value = message.get(header, "")
    if value in _EMPTY:
        return ""
    if "\\" in value:
        value = _unescape(value)
    return value[:_LONGEST]


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _unescape(value: str) -> str:
    out: list[str] = []
    rest = iter(value)
    for char in rest:
        if char == "\\":
            after = next(rest, "\\")
            out.append(_ESCAPES.get(after, after))
        else:
            out.append(char)
    return "".join(out)


def _number(message: Message, header: str, default: float = 0.0) -> float:
    value = message.get(header, "")
    if not value:
        return default
    try:
        number = float(value)
    except ValueError:
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}") from None
    if not -_FURTHEST < number < _FURTHEST:  # nor is NaN
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}")
    return number


def _int(message: Message, header: str, default: int = 0) -> int:
    value = message.get(header, "")
    if not value:
        return default
    try:
        number = int(value[:20])
    except ValueError:
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}") from None
    if abs(number) > _GREATEST:
        raise Unusable(RejectReason.BAD_VALUE, f"{header}={value[:40]}")
    return number


def _flag(message: Message, header: str) -> bool:
    return message.get(header, "") in {"1", "yes", "true", "True", "on"}


def _queue_status(message: Message) -> str:
    return message.get("ChanVariable/QUEUESTATUS", "")


def _clock(message: Message, header: str) -> float:
    """Seconds of a `[[HH:]MM:]SS` figure or a plain number; 0 when it is neither."""
    total = 0.0
    for part in message.get(header, "").split(":"):
        if not part.isdecimal():
            return 0.0
        total = total * 60 + int(part[:9])
    return total if total < _FURTHEST else 0.0


def _channel_created(m: Message, at: float) -> Event:
    return ChannelCreated(
        at,
        _must(m, "Uniqueid"),
        _text(m, "Linkedid"),
        _must(m, "Channel"),
        _int(m, "ChannelState"),
        _text(m, "CallerIDNum"),
        _text(m, "CallerIDName"),
        _text(m, "Context"),
        _text(m, "Exten"),
    )


def _newstate(m: Message, at: float) -> Event:
    return ChannelStateChanged(at, _must(m, "Uniqueid"), _int(m, "ChannelState"), _queue_status(m))


def _new_callerid(m: Message, at: float) -> Event:
    return CallerChanged(at, _must(m, "Uniqueid"), _text(m, "CallerIDNum"), _text(m, "CallerIDName"))


def _rename(m: Message, at: float) -> Event:
    return ChannelRenamed(at, _must(m, "Uniqueid"), _must(m, "Newname"))


def _hangup_request(m: Message, at: float) -> Event:
    return HangupRequested(at, _must(m, "Uniqueid"), by_device=True)


def _soft_hangup_request(m: Message, at: float) -> Event:
    return HangupRequested(at, _must(m, "Uniqueid"), by_device=False)


def _hangup(m: Message, at: float) -> Event:
    mailbox = m.get("ChanVariable/VMSTATUS", "") == "SUCCESS"
    return ChannelHungUp(at, _must(m, "Uniqueid"), _int(m, "Cause"), _queue_status(m), mailbox)


def _dial_begin(m: Message, at: float) -> Event:
    return DialBegan(
        at, m.get("Uniqueid", ""), _must(m, "DestUniqueid"), _text(m, "DialString"), _queue_status(m)
    )


def _dial_end(m: Message, at: float) -> Event:
    return DialEnded(
        at, m.get("Uniqueid", ""), _must(m, "DestUniqueid"), _text(m, "DialStatus"), _text(m, "Forward")
    )


def _bridge_enter(m: Message, at: float) -> Event:
    return BridgeEntered(
        at,
        _must(m, "BridgeUniqueid"),
        _must(m, "Uniqueid"),
        m.get("SwapUniqueid", ""),
        m.get("BridgeType", ""),
        m.get("BridgeTechnology", ""),
        _queue_status(m),
        m.get("ChannelState", "6") == "6",
    )


def _bridge_leave(m: Message, at: float) -> Event:
    return BridgeLeft(at, _must(m, "BridgeUniqueid"), _must(m, "Uniqueid"))


def _bridge_merge(m: Message, at: float) -> Event:
    return BridgeMerged(at, _must(m, "ToBridgeUniqueid"), _must(m, "FromBridgeUniqueid"))


def _bridge_destroy(m: Message, at: float) -> Event:
    return BridgeDestroyed(at, _must(m, "BridgeUniqueid"))


def _done(m: Message) -> bool:
    return m.get("Result", "") == "Success"


def _blind_transfer(m: Message, at: float) -> Event:
    return BlindTransferred(
        at, _must(m, "TransfererUniqueid"), m.get("TransfereeUniqueid", ""), _text(m, "Extension"), _done(m)
    )


def _consulted(m: Message) -> str:
    """The number of a consultation by feature code: it is dialled through a Local channel named after it."""
    channel = m.get("TransferTargetChannel", "")
    if channel.startswith("Local/"):
        return channel.removeprefix("Local/").split("@", 1)[0][:_LONGEST]
    return _text(m, "TransferTargetExten") or _text(m, "SecondTransfererConnectedLineNum")


def _attended_transfer(m: Message, at: float) -> Event:
    by, second = _must(m, "OrigTransfererUniqueid"), m.get("SecondTransfererUniqueid", "")
    return AttendedTransferred(
        at,
        by,
        second,
        m.get("TransfereeUniqueid", ""),
        m.get("TransferTargetUniqueid", ""),
        _consulted(m) if second == by else _text(m, "SecondTransfererExten"),
        _text(m, "DestApp"),
        m.get("DestBridgeUniqueid", ""),
        _done(m),
    )


def _pickup(m: Message, at: float) -> Event:
    return PickedUp(at, _must(m, "Uniqueid"), _must(m, "TargetUniqueid"))


def _agent_login(m: Message, at: float) -> Event:
    return StaysOnLine(at, _must(m, "Uniqueid"))


def _mix_monitor_start(m: Message, at: float) -> Event:
    return RecordingBegan(at, _must(m, "Uniqueid"), _text(m, "ChanVariable/MIXMONITOR_FILENAME"))


def _mix_monitor_stop(m: Message, at: float) -> Event:
    return RecordingEnded(at, _must(m, "Uniqueid"))


def _local_bridge(m: Message, at: float) -> Event:
    return LocalBridged(at, _must(m, "LocalOneUniqueid"), _must(m, "LocalTwoUniqueid"))


def _local_optimization(*, begun: bool) -> Callable[[Message, float], Event]:
    def build(m: Message, at: float) -> Event:
        return LocalOptimized(at, _must(m, "LocalOneUniqueid"), begun)

    return build


def _hold(m: Message, at: float) -> Event:
    return HoldBegan(at, _must(m, "Uniqueid"))


def _unhold(m: Message, at: float) -> Event:
    return HoldEnded(at, _must(m, "Uniqueid"))


def _caller_join(m: Message, at: float) -> Event:
    return CallerJoined(at, _must(m, "Queue"), _must(m, "Uniqueid"), _int(m, "Position"), _queue_status(m))


def _caller_leave(m: Message, at: float) -> Event:
    return CallerLeft(at, _must(m, "Queue"), _must(m, "Uniqueid"), _queue_status(m))


def _caller_abandon(m: Message, at: float) -> Event:
    return CallerAbandoned(at, _must(m, "Queue"), _must(m, "Uniqueid"))


def _agent_called(m: Message, at: float) -> Event:
    return MemberCalled(
        at,
        _must(m, "Queue"),
        _must(m, "Uniqueid"),
        _must(m, "DestUniqueid"),
        _text(m, "MemberName"),
        _must(m, "Interface"),
    )


def _agent_connect(m: Message, at: float) -> Event:
    return MemberConnected(
        at,
        _must(m, "Queue"),
        _must(m, "Uniqueid"),
        m.get("DestUniqueid", ""),
        _text(m, "MemberName"),
        _must(m, "Interface"),
        _number(m, "HoldTime"),
    )


def _agent_complete(m: Message, at: float) -> Event:
    return MemberCompleted(
        at,
        _must(m, "Queue"),
        m.get("Uniqueid", ""),
        _text(m, "MemberName"),
        _must(m, "Interface"),
        _number(m, "HoldTime"),
        _number(m, "TalkTime"),
        _text(m, "Reason"),
        m.get("DestUniqueid", ""),
    )


def _agent_ring_no_answer(m: Message, at: float) -> Event:
    return MemberRangNoAnswer(
        at,
        _must(m, "Queue"),
        m.get("Uniqueid", ""),
        m.get("DestUniqueid", ""),
        _text(m, "MemberName"),
        _must(m, "Interface"),
    )


def _member(what: str) -> Callable[[Message, float], Event]:
    def build(m: Message, at: float) -> Event:
        interface = m.get("Interface") or _must(m, "Location")
        return MemberSeen(
            at,
            what,
            _must(m, "Queue"),
            _text(m, "MemberName") or _text(m, "Name") or interface,
            interface,
            _text(m, "StateInterface") or interface,
            _text(m, "Membership"),
            _flag(m, "Paused"),
            _text(m, "PausedReason") or _text(m, "Reason"),
            _int(m, "Status"),
            _number(m, "Wrapuptime"),
            _number(m, "LastPause"),
            _number(m, "LoginTime"),
        )

    return build


def _member_removed(m: Message, at: float) -> Event:
    interface = _must(m, "Interface")
    return MemberRemoved(at, _must(m, "Queue"), _text(m, "MemberName") or interface, interface)


def _queue_params(m: Message, at: float) -> Event:
    return QueueSeen(at, _must(m, "Queue"), _text(m, "Strategy"), _number(m, "Wrapuptime"), _int(m, "Max"))


def _queue_entry(m: Message, at: float) -> Event:
    return CallerSeen(at, _must(m, "Queue"), _must(m, "Uniqueid"), _int(m, "Position"), _number(m, "Wait"))


def _core_show_channel(m: Message, at: float) -> Event:
    return ChannelSeen(
        at,
        _must(m, "Uniqueid"),
        _text(m, "Linkedid"),
        _must(m, "Channel"),
        _int(m, "ChannelState"),
        _text(m, "CallerIDNum"),
        _text(m, "CallerIDName"),
        _text(m, "Context"),
        _text(m, "Exten"),
        _text(m, "BridgeId"),
        _clock(m, "Duration"),
        _text(m, "Application"),
    )


def _user_event(m: Message, at: float) -> Event | None:
    match m.get("UserEvent"):
        case "CtiAgent":
            return AgentSaid(
                at, _must(m, "Action"), _text(m, "Agent"), _text(m, "Device"), _text(m, "Reason")
            )
        case "CtiDuty":
            return DutySaid(
                at,
                _must(m, "Action"),
                _text(m, "Hotline"),
                _must(m, "Call"),
                _text(m, "Number"),
                _text(m, "Caller"),
                _text(m, "Result"),
            )
    return None


_PARSERS: dict[str, Callable[[Message, float], Event | None]] = {
    "Newchannel": _channel_created,
    "Newstate": _newstate,
    "NewCallerid": _new_callerid,
    "Rename": _rename,
    "HangupRequest": _hangup_request,
    "SoftHangupRequest": _soft_hangup_request,
    "Hangup": _hangup,
    "DialBegin": _dial_begin,
    "DialEnd": _dial_end,
    "BridgeEnter": _bridge_enter,
    "BridgeLeave": _bridge_leave,
    "BridgeMerge": _bridge_merge,
    "BridgeDestroy": _bridge_destroy,
    "BlindTransfer": _blind_transfer,
    "AttendedTransfer": _attended_transfer,
    "Pickup": _pickup,
    "AgentLogin": _agent_login,
    "MixMonitorStart": _mix_monitor_start,
    "MixMonitorStop": _mix_monitor_stop,
    "LocalBridge": _local_bridge,
    "LocalOptimizationBegin": _local_optimization(begun=True),
    "LocalOptimizationEnd": _local_optimization(begun=False),
    "Hold": _hold,
    "Unhold": _unhold,
    "QueueCallerJoin": _caller_join,
    "QueueCallerLeave": _caller_leave,
    "QueueCallerAbandon": _caller_abandon,
    "AgentCalled": _agent_called,
    "AgentConnect": _agent_connect,
    "AgentComplete": _agent_complete,
    "AgentRingNoAnswer": _agent_ring_no_answer,
    "QueueMemberAdded": _member("added"),
    "QueueMemberPause": _member("changed"),
    "QueueMemberStatus": _member("changed"),
    "QueueMemberRinginuse": _member("changed"),
    "QueueMember": _member("listed"),
    "QueueMemberRemoved": _member_removed,
    "QueueParams": _queue_params,
    "QueueEntry": _queue_entry,
    "CoreShowChannel": _core_show_channel,
    "UserEvent": _user_event,
}

CONSUMED: frozenset[str] = frozenset(_PARSERS)
"""AMI event names that `parse` understands; the door drops all others before decoding them."""


def parse(message: Message, arrived_at: float) -> Event | None:
    """Turn one decoded AMI event into ours.

    Args:
        message: header to value; a `ChanVariable: NAME=v` line stands under `ChanVariable/NAME`.
        arrived_at: epoch seconds; used where the message has no `Timestamp`.

    Returns:
        The event, or None when nobody consumes its kind.

    Raises:
        Unusable: a header that must be there is missing or makes no sense.
    """
    parser = _PARSERS.get(message.get("Event", ""))
    if parser is None:
        return None
    at = _number(message, "Timestamp", arrived_at)
    if at < 0:
        raise Unusable(RejectReason.BAD_VALUE, f"Timestamp={at}")
    return parser(message, at)
