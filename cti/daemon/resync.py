"""From the frames of a reader connection to arrivals, in step with what lives on the PBX.

After a login the state of the PBX is asked for (`STEPS`) while live events already arrive. `Stream` holds those
back, makes one `Resynced` of the answers, and lets them follow in order. It is a plain function of the bytes: our
own answers are recognised by their ActionID, so a recording gives the same arrivals as the live door did.

Every instant of an arrival's event is on the PBX's clock: the answer to Ping carries it.

When an arrival does not fit into the inbox the stream is gapped: `LinkLost` says so, nothing more is handed on, and
`wants_resync` asks the door for another round. Data is then missing for a while, and known to be, but never wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

import structlog

from cti.core.events import (
    BridgeSeen,
    CallerSeen,
    ChannelSeen,
    Event,
    LinkLost,
    MemberSeen,
    QueueSeen,
    Resynced,
)
from cti.core.fields import Unusable
from cti.core.parsing import CONSUMED, parse
from cti.core.wire import Headers, Message, decode, event_name
from cti.daemon.inbox import Arrival

STEPS = ("Ping", "CoreSettings", "CoreStatus", "BridgeList", "CoreShowChannels", "QueueStatus")
"""Actions of one round, in order; they need the manager right write=reporting."""

LISTED = frozenset({"BridgeListItem", "CoreShowChannel", "QueueParams", "QueueMember", "QueueEntry"})
LIVE = CONSUMED - LISTED
_EVENT = b"Event: "
_LIVE_LINES = frozenset(_EVENT + name.encode() for name in LIVE)
_BOOT_LINES = frozenset({_EVENT + b"FullyBooted", _EVENT + b"Shutdown"})
OURS = "cti-"  # every ActionID of this program begins so

_PREFIX = f"{OURS}resync-"
_OUR_ANSWER = f"\r\nActionID: {OURS}".encode()
_INBOX_FULL = "overflow: the inbox is full"
_MAY_BE_MISSING = {"CoreSettings", "QueueStatus"}  # a PBX without app_queue has no queues
_NEEDED = frozenset(STEPS) - {"BridgeList"}  # an answer to the last step follows those to all others
_FURTHEST = 4_102_444_800.0  # epoch of 2100; no clock of a PBX shows more
_ZONE_STEP = 900  # seconds; all zones of the world are whole quarters of an hour from UTC

log = structlog.get_logger(__name__)


class Mode(Enum):
    """What happens to a live event."""

    SYNCING = "syncing"  # held back until the round is complete
    LIVE = "live"  # handed on
    GAPPED = "gapped"  # left out, until the next round begins


def round_of_actions(number: int) -> list[dict[str, str]]:
    """The actions of round `number`; every round of a PBX has its own number."""
    return [{"Action": step, "ActionID": f"{_PREFIX}{number}-{step}"} for step in STEPS]


def booted_at(core: Message, about: float | None) -> float:
    """Epoch at which Asterisk started, to the second and the same at every call, 0 when it cannot be read.

    CoreStatus tells it in the PBX's local time, whose zone we do not know; FullyBooted's Uptime tells it as an
    instant, but only to a second or so. The instant picks the quarter of an hour, the local time the second in it.

    Args:
        core: the answer to CoreStatus.
        about: epoch by Uptime, or None (the account lacks read=system): then the PBX's zone is taken to be ours.
    """
    try:
        local = datetime.fromisoformat(f"{core.get('CoreStartupDate', '')}T{core.get('CoreStartupTime', '')}")
    except ValueError:
        return about or 0.0
    if about is None:
        return local.replace(tzinfo=None).timestamp()
    second = local.minute * 60 + local.second
    half = _ZONE_STEP / 2
    return float(round(about + (second - about + half) % _ZONE_STEP - half))


@dataclass(slots=True)
class _Round:
    """What the answers of one round have brought so far."""

    number: int = 0
    at: float = 0.0
    done: set[str] = field(default_factory=set)
    core: Message = field(default_factory=dict)
    bridges: list[BridgeSeen] = field(default_factory=list)
    channels: list[ChannelSeen] = field(default_factory=list)
    queues: list[QueueSeen] = field(default_factory=list)
    members: list[MemberSeen] = field(default_factory=list)
    waiting: list[CallerSeen] = field(default_factory=list)

    def add(self, item: Event | None) -> None:
        match item:
            case BridgeSeen():
                self.bridges.append(item)
            case ChannelSeen():
                self.channels.append(item)
            case QueueSeen():
                self.queues.append(item)
            case MemberSeen():
                self.members.append(item)
            case CallerSeen():
                self.waiting.append(item)

    def result(self, booted: float) -> Resynced:
        return Resynced(
            self.at,
            booted,
            tuple(self.channels),
            tuple(self.queues),
            tuple(self.members),
            tuple(self.waiting),
            tuple(self.bridges) if "BridgeList" in self.done else None,
        )


class Stream:
    """What one PBX says, from connection to connection.

    Attributes:
        mode: what happens to a live event now.
        expected: number of the round whose answers count; None (in a recording): of any.
        clock: seconds the PBX's clock is ahead of ours.
        version: of Asterisk, "" until it is known.
        booted: FullyBooted was seen on this connection.
        shutdown: the PBX announced its end on this connection.
        wants_resync: the door should start another round.
        refused: why a round cannot be completed, "" while it can.
        missed: live events left out because of a gap; `unusable`: list items left out because they make no sense.
        last_event_at: arrival of the last live event, epoch.
    """

    def __init__(self, pbx: str, put: Callable[[Arrival], bool], hold: int = 20_000) -> None:
        self.pbx = pbx
        self.changed: Callable[[], None] = lambda: (
            None
        )  # called after mode, booted, wants_resync or refused changed
        self.expected: int | None = None
        self.clock = 0.0
        self.version = ""
        self.missed = 0
        self.unusable = 0
        self.last_event_at: float | None = None
        self._put = put
        self._hold = hold
        self._told_down = False
        self.connected()

    def connected(self) -> None:
        """A new connection: nothing is known until the next round is complete."""
        self.mode = Mode.SYNCING
        self.booted = False
        self.shutdown = False
        self.wants_resync = False
        self.refused = ""
        self._held: list[Arrival] = []
        self._round = _Round()
        self._about: float | None = None
        self._stamped = False

    @property
    def round(self) -> int:
        """Number of the round that is being answered, or was last."""
        return self._round.number

    def disconnected(self, at: float, mono: float, why: str) -> None:
        """The connection ended (or never came up); told once until it is in step again. `at` is on our clock."""
        self.connected()
        if not self._told_down:
            self._told_down = True
            self._put(Arrival(self.pbx, at, mono, LinkLost(at + self.clock, why)))

    def take(self, frame: bytes, at: float, mono: float) -> Message | None:
        """Take one frame; what is not for this stream (the answer to an action) is returned decoded."""
        line = frame[: frame.find(b"\r\n")]
        if line in _LIVE_LINES:
            self.last_event_at = at
            if self.mode is Mode.LIVE and self._stamped:
                arrival = Arrival(self.pbx, at, mono, Headers(frame))
                if not self._put(arrival):
                    self._gap(at, mono, 1, _INBOX_FULL)
            else:
                self._live(Headers(frame), at, mono)
            return None
        if line.startswith(_EVENT) and line not in _BOOT_LINES and _OUR_ANSWER not in frame:
            return None
        return self._other(frame, at, mono)

    def _other(self, frame: bytes, at: float, mono: float) -> Message | None:
        name = event_name(frame)
        if name == "FullyBooted":
            self._fully_booted(decode(frame), at)
        elif name == "Shutdown":
            self.shutdown = True
        else:
            message = decode(frame)
            if not message.get("ActionID", "").startswith(_PREFIX):
                return message
            self._answer(message, at, mono)
        return None

    def _live(self, message: Message, at: float, mono: float) -> None:
        if self.mode is Mode.GAPPED:
            self.missed += 1
            return
        if not self._stamped:
            self._expect_timestamps(message)
        arrival = Arrival(self.pbx, at, mono, message)
        if self.mode is Mode.LIVE:
            if not self._put(arrival):
                self._gap(at, mono, 1, _INBOX_FULL)
        elif len(self._held) < self._hold:
            self._held.append(arrival)
        else:
            self._gap(
                at, mono, 1 + len(self._held), "overflow: too many events while the state was being read"
            )

    def _expect_timestamps(self, message: Message) -> None:
        self._stamped = True
        if "Timestamp" not in message:
            log.warning(
                "no_timestamps", pbx=self.pbx, cure="set timestampevents=yes in manager.conf [general]"
            )

    def _gap(self, at: float, mono: float, lost: int, why: str) -> None:
        self.mode = Mode.GAPPED
        self.missed += lost
        self._held = []
        self._told_down = True
        self._put(Arrival(self.pbx, at, mono, LinkLost(at + self.clock, why, overflow=True)))
        self._ask_again()

    def _ask_again(self) -> None:
        self.wants_resync = True
        self.changed()

    def _fully_booted(self, message: Message, at: float) -> None:
        uptime = message.get("Uptime", "")
        self._about = at - int(uptime[:12]) if uptime.isdecimal() else None
        again = self.booted or self._round.number
        self.booted = True
        if again:  # the lists were read from a PBX that had not loaded everything yet
            self._ask_again()
        else:
            self.changed()

    def _answer(self, message: Message, at: float, mono: float) -> None:
        text, _, step = message["ActionID"].removeprefix(_PREFIX).partition("-")
        number = int(text[:12]) if text.isdecimal() else 0
        if step not in STEPS or number != (self.expected or number):
            return
        if number != self._round.number:
            self._begin(number, at)
        if "Event" in message:
            self._list_item(message, step)
        elif message.get("Response") == "Success":
            self._response(message, step, at)
        elif step in _MAY_BE_MISSING and "unknown command" in message.get("Message", ""):
            log.warning("no_such_action", pbx=self.pbx, action=step)
            self._round.done.add(step)
        elif step not in _NEEDED:
            log.warning("action_refused", pbx=self.pbx, action=step, reason=message.get("Message", ""))
        else:
            self.refused = f"{step}: {message.get('Message', 'no reason given')}"
            self.changed()
        if self._round.done >= _NEEDED:
            self._complete(at, mono)

    def _begin(self, number: int, at: float) -> None:
        self._round = _Round(number, at + self.clock)
        self.mode = Mode.SYNCING
        self.wants_resync = False

    def _response(self, message: Message, step: str, at: float) -> None:
        match step:
            case "Ping":
                self._round.at = self.set_clock(message, at)
            case "CoreSettings":
                self.version = message.get("AsteriskVersion", "")
            case "CoreStatus":
                self._round.core = message
            case _:
                return  # the list follows
        self._round.done.add(step)

    def set_clock(self, pong: Message, at: float) -> float:
        """Read the PBX's clock from an answer to Ping that arrived at `at` (epoch, our clock), and return it."""
        try:
            now = float(pong["Timestamp"][:24])
        except (KeyError, ValueError):
            now = -1.0
        if not 0 <= now < _FURTHEST:
            log.warning("no_clock", pbx=self.pbx, detail="the answer to Ping has no usable Timestamp")
            return at + self.clock
        self.clock = now - at
        return now

    def _list_item(self, message: Message, step: str) -> None:
        if message["Event"] == f"{step}Complete":
            self._round.done.add(step)
        elif message["Event"] in LISTED:
            try:
                self._round.add(parse(message, self._round.at))
            except Unusable as error:
                self.unusable += 1
                log.warning("unusable_list_item", pbx=self.pbx, item=message["Event"], reason=str(error))

    def _complete(self, at: float, mono: float) -> None:
        done, held = self._round, self._held
        self._round, self._held = _Round(done.number), []
        self.mode = Mode.LIVE
        self._told_down = False
        about = None if self._about is None else self._about + self.clock
        resynced = Arrival(self.pbx, at, mono, done.result(booted_at(done.core, about)))
        for index, arrival in enumerate([resynced, *held]):
            if not self._put(arrival):
                self._gap(at, mono, len(held) + 1 - index, _INBOX_FULL)
                return
        self.changed()
