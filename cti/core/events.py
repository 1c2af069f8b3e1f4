"""What the PBX said: frozen events in the past tense; `cti.core.parsing` makes them of messages.

Every event carries `at`: seconds since the epoch on the PBX's clock.
"""

from dataclasses import dataclass
from typing import get_args

from cti.core.quick import quicken


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
    consultation: str = ""  # the bridge that the consultation is in, or is to be in


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
    agent: str = ""  # as agents.conf numbers them; a queue's member has it in its state interface


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
class RecordingMuted:
    """MixMonitorMute: one side of what is recorded, or both, are silence in the file from now on, or no longer."""

    at: float
    uniqueid: str
    direction: str  # read, write, both
    muted: bool


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
class CallerTurnedAway:
    """A queue did not let a caller in. AMI sends no such event; CEL tells of it (`cti.core.refusals`)."""

    at: float
    queue: str
    uniqueid: str
    queue_status: str


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
    data: str = ""  # the application's arguments


@dataclass(frozen=True, slots=True)
class BridgeSeen:
    """BridgeListItem: a bridge that lives as the list is made."""

    at: float
    bridge: str
    kind: str  # BridgeType
    technology: str


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
class ContactChanged:
    """ContactStatus: whether one address of an endpoint answers."""

    at: float
    endpoint: str
    uri: str
    status: str  # Reachable, Unreachable, NonQualified, Removed …


@dataclass(frozen=True, slots=True)
class RegistrationChanged:
    """Registry: how the PBX's own registration somewhere outside stands."""

    at: float
    user: str
    domain: str
    status: str  # Registered, Unregistered, Rejected …
    cause: str


@dataclass(frozen=True, slots=True)
class TrunkSeen:
    """The device state of a configured trunk, as the daemon asked for it after a login."""

    at: float
    device: str
    state: str  # NOT_INUSE, UNAVAILABLE …


@dataclass(frozen=True, slots=True)
class Resynced:
    """What lives on the PBX right after a login; made by the door from its lists."""

    at: float
    booted_at: float  # epoch at which this Asterisk started, 0 when it could not be read
    channels: tuple[ChannelSeen, ...] = ()
    queues: tuple[QueueSeen, ...] = ()
    members: tuple[MemberSeen, ...] = ()
    waiting: tuple[CallerSeen, ...] = ()
    bridges: tuple[BridgeSeen, ...] | None = None  # None: the PBX did not say; listed before the channels


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
    | RecordingMuted
    | LocalBridged
    | LocalOptimized
    | HoldBegan
    | HoldEnded
    | CallerJoined
    | CallerTurnedAway
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
    | BridgeSeen
    | AgentSaid
    | DutySaid
    | ContactChanged
    | RegistrationChanged
    | TrunkSeen
    | Resynced
    | LinkLost
    | CommandDone
    | ClockStepped
    | Tick
)

quicken(*get_args(Event))
