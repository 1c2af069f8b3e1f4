"""The one place where AMI spelling exists: which headers of which message make which event.

A message is what `cti.core.wire` makes of a frame, or any mapping of header to value. `parse` turns it into one event,
or `None` for what nobody consumes, or raises `Unusable` with the reason. Every event carries `at`: seconds since the
epoch on the PBX's clock (`timestampevents=yes`), else the moment of arrival.

Frames are read by their layout (`cti.core.layouts`) as soon as one of their kind has been read by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

from cti.core import events as ev
from cti.core.events import Event
from cti.core.facts import RejectReason
from cti.core.fields import (
    LONGEST,
    Always,
    AnyField,
    Computed,
    Unusable,
    clock,
    either,
    equals,
    flag,
    given,
    integer,
    must,
    number,
    number_of,
    text,
)
from cti.core.layouts import Layout, learn
from cti.core.people import local_number
from cti.core.wire import Headers, Message

_MOST_LAYOUTS = 12  # of one kind: headers that are there or not, and PBXs of several versions


class _Reader(Protocol):
    """Makes one kind of message into an event."""

    def read(self, message: Message, at: float) -> Event | None:
        """The event, None when nobody consumes it. Raises Unusable."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of event, whose attributes after `at` are these fields."""

    event: Callable[..., Event]
    fields: tuple[AnyField, ...]

    def read(self, message: Message, at: float) -> Event:
        return self.event(at, *(field.read(message) for field in self.fields))


def _kind(event: type[Any], **named: AnyField) -> _Kind:
    names = tuple(field.name for field in fields(event))
    if names != ("at", *named):
        raise TypeError(f"{event.__name__} has {names}, not {tuple(named)}")
    return _Kind(event, tuple(named.values()))


class _UserEvent:
    """UserEvents are told apart by their name; ours are sent by the shipped dialplan."""

    _KINDS = MappingProxyType(
        {
            "CtiAgent": _kind(
                ev.AgentSaid,
                action=must("Action"),
                agent=text("Agent"),
                device=text("Device"),
                reason=text("Reason"),
            ),
            "CtiDuty": _kind(
                ev.DutySaid,
                action=must("Action"),
                hotline=text("Hotline"),
                uniqueid=must("Call"),
                number=text("Number"),
                caller=text("Caller"),
                result=text("Result"),
            ),
        }
    )

    def read(self, message: Message, at: float) -> Event | None:
        kind = self._KINDS.get(message.get("UserEvent", ""))
        return kind.read(message, at) if kind is not None else None


def _consulted(m: Message) -> str:
    """The number of a consultation; by feature code it is dialled through a Local channel named after it."""
    if m.get("SecondTransfererUniqueid", "") != m.get("OrigTransfererUniqueid"):
        return str(text("SecondTransfererExten").read(m))
    channel = m.get("TransferTargetChannel", "")
    if channel.startswith("Local/"):
        return local_number(channel)[:LONGEST]
    if m.get("Result") != "Success":
        return ""  # they are still connected with whom they were before
    return str(either(text("TransferTargetExten"), text("SecondTransfererConnectedLineNum")).read(m))


_UNIQUEID = must("Uniqueid")
_QUEUE = must("Queue")
_QUEUE_STATUS = given("ChanVariable/QUEUESTATUS")
_DONE = equals("Result", "Success")
_MEMBER = text("MemberName")
_INTERFACE = must("Interface")
_LOCATED = (given("Interface"), must("Location"))  # a QueueMember line has no Interface


def _hangup_request(*, by_device: bool) -> _Kind:
    return _kind(ev.HangupRequested, uniqueid=_UNIQUEID, by_device=Always(by_device))


def _local_optimization(*, begun: bool) -> _Kind:
    return _kind(ev.LocalOptimized, one=must("LocalOneUniqueid"), begun=Always(begun))


def _member(what: str) -> _Kind:
    return _kind(
        ev.MemberSeen,
        what=Always(what),
        queue=_QUEUE,
        member=either(_MEMBER, text("Name"), *_LOCATED),
        interface=either(*_LOCATED),
        state_interface=either(text("StateInterface"), *_LOCATED),
        membership=text("Membership"),
        paused=flag("Paused"),
        reason=either(text("PausedReason"), text("Reason")),
        status=integer("Status"),
        wrap_up=number("Wrapuptime"),
        last_pause=number("LastPause"),
        login_time=number("LoginTime"),
    )


_KINDS: Mapping[str, _Reader] = {
    "Newchannel": _kind(
        ev.ChannelCreated,
        uniqueid=_UNIQUEID,
        linkedid=text("Linkedid"),
        channel=must("Channel"),
        state=integer("ChannelState"),
        caller_number=text("CallerIDNum"),
        caller_name=text("CallerIDName"),
        context=text("Context"),
        exten=text("Exten"),
    ),
    "Newstate": _kind(
        ev.ChannelStateChanged,
        uniqueid=_UNIQUEID,
        state=integer("ChannelState"),
        queue_status=_QUEUE_STATUS,
    ),
    "NewCallerid": _kind(
        ev.CallerChanged,
        uniqueid=_UNIQUEID,
        caller_number=text("CallerIDNum"),
        caller_name=text("CallerIDName"),
    ),
    "Rename": _kind(ev.ChannelRenamed, uniqueid=_UNIQUEID, channel=must("Newname")),
    "HangupRequest": _hangup_request(by_device=True),
    "SoftHangupRequest": _hangup_request(by_device=False),
    "Hangup": _kind(
        ev.ChannelHungUp,
        uniqueid=_UNIQUEID,
        cause=integer("Cause"),
        queue_status=_QUEUE_STATUS,
        voicemail=equals("ChanVariable/VMSTATUS", "SUCCESS"),
    ),
    "DialBegin": _kind(
        ev.DialBegan,
        source=given("Uniqueid"),
        uniqueid=must("DestUniqueid"),
        dialed=text("DialString"),
        queue_status=_QUEUE_STATUS,
    ),
    "DialEnd": _kind(
        ev.DialEnded,
        source=given("Uniqueid"),
        uniqueid=must("DestUniqueid"),
        status=text("DialStatus"),
        forward=text("Forward"),
    ),
    "BridgeEnter": _kind(
        ev.BridgeEntered,
        bridge=must("BridgeUniqueid"),
        uniqueid=_UNIQUEID,
        swapped=given("SwapUniqueid"),
        kind=given("BridgeType"),
        technology=given("BridgeTechnology"),
        queue_status=_QUEUE_STATUS,
        up=equals("ChannelState", "6", default="6"),
    ),
    "BridgeLeave": _kind(ev.BridgeLeft, bridge=must("BridgeUniqueid"), uniqueid=_UNIQUEID),
    "BridgeMerge": _kind(ev.BridgeMerged, bridge=must("ToBridgeUniqueid"), source=must("FromBridgeUniqueid")),
    "BridgeDestroy": _kind(ev.BridgeDestroyed, bridge=must("BridgeUniqueid")),
    "BlindTransfer": _kind(
        ev.BlindTransferred,
        by=must("TransfererUniqueid"),
        whom=given("TransfereeUniqueid"),
        to=text("Extension"),
        done=_DONE,
    ),
    "AttendedTransfer": _kind(
        ev.AttendedTransferred,
        by=must("OrigTransfererUniqueid"),
        second=given("SecondTransfererUniqueid"),
        whom=given("TransfereeUniqueid"),
        target=given("TransferTargetUniqueid"),
        to=Computed(_consulted),
        application=text("DestApp"),
        bridge=given("DestBridgeUniqueid"),
        done=_DONE,
        consultation=given("SecondBridgeUniqueid"),
    ),
    "Pickup": _kind(ev.PickedUp, uniqueid=_UNIQUEID, target=must("TargetUniqueid")),
    "AgentLogin": _kind(ev.StaysOnLine, uniqueid=_UNIQUEID, agent=text("Agent")),
    "MixMonitorStart": _kind(
        ev.RecordingBegan, uniqueid=_UNIQUEID, file=text("ChanVariable/MIXMONITOR_FILENAME")
    ),
    "MixMonitorStop": _kind(ev.RecordingEnded, uniqueid=_UNIQUEID),
    "MixMonitorMute": _kind(
        ev.RecordingMuted, uniqueid=_UNIQUEID, direction=text("Direction"), muted=flag("State")
    ),
    "LocalBridge": _kind(ev.LocalBridged, one=must("LocalOneUniqueid"), two=must("LocalTwoUniqueid")),
    "LocalOptimizationBegin": _local_optimization(begun=True),
    "LocalOptimizationEnd": _local_optimization(begun=False),
    "Hold": _kind(ev.HoldBegan, uniqueid=_UNIQUEID),
    "Unhold": _kind(ev.HoldEnded, uniqueid=_UNIQUEID),
    "QueueCallerJoin": _kind(
        ev.CallerJoined,
        queue=_QUEUE,
        uniqueid=_UNIQUEID,
        position=integer("Position"),
        queue_status=_QUEUE_STATUS,
    ),
    "QueueCallerLeave": _kind(ev.CallerLeft, queue=_QUEUE, uniqueid=_UNIQUEID, queue_status=_QUEUE_STATUS),
    "QueueCallerAbandon": _kind(ev.CallerAbandoned, queue=_QUEUE, uniqueid=_UNIQUEID),
    "AgentCalled": _kind(
        ev.MemberCalled,
        queue=_QUEUE,
        uniqueid=_UNIQUEID,
        member_channel=must("DestUniqueid"),
        member=_MEMBER,
        interface=_INTERFACE,
    ),
    "AgentConnect": _kind(
        ev.MemberConnected,
        queue=_QUEUE,
        uniqueid=_UNIQUEID,
        member_channel=given("DestUniqueid"),
        member=_MEMBER,
        interface=_INTERFACE,
        hold_time=number("HoldTime"),
    ),
    "AgentComplete": _kind(
        ev.MemberCompleted,
        queue=_QUEUE,
        uniqueid=given("Uniqueid"),
        member=_MEMBER,
        interface=_INTERFACE,
        hold_time=number("HoldTime"),
        talk_time=number("TalkTime"),
        reason=text("Reason"),
        member_channel=given("DestUniqueid"),
    ),
    "AgentRingNoAnswer": _kind(
        ev.MemberRangNoAnswer,
        queue=_QUEUE,
        uniqueid=given("Uniqueid"),
        member_channel=given("DestUniqueid"),
        member=_MEMBER,
        interface=_INTERFACE,
    ),
    "QueueMemberAdded": _member("added"),
    "QueueMemberPause": _member("changed"),
    "QueueMemberStatus": _member("changed"),
    "QueueMemberRinginuse": _member("changed"),
    "QueueMember": _member("listed"),
    "QueueMemberRemoved": _kind(
        ev.MemberRemoved, queue=_QUEUE, member=either(_MEMBER, _INTERFACE), interface=_INTERFACE
    ),
    "QueueParams": _kind(
        ev.QueueSeen,
        queue=_QUEUE,
        strategy=text("Strategy"),
        wrap_up=number("Wrapuptime"),
        max_waiting=integer("Max"),
    ),
    "QueueEntry": _kind(
        ev.CallerSeen,
        queue=_QUEUE,
        uniqueid=_UNIQUEID,
        position=integer("Position"),
        waited=number("Wait"),
    ),
    "BridgeListItem": _kind(
        ev.BridgeSeen,
        bridge=must("BridgeUniqueid"),
        kind=given("BridgeType"),
        technology=given("BridgeTechnology"),
    ),
    "CoreShowChannel": _kind(
        ev.ChannelSeen,
        uniqueid=_UNIQUEID,
        linkedid=text("Linkedid"),
        channel=must("Channel"),
        state=integer("ChannelState"),
        caller_number=text("CallerIDNum"),
        caller_name=text("CallerIDName"),
        context=text("Context"),
        exten=text("Exten"),
        bridge=text("BridgeId"),
        duration=clock("Duration"),
        application=text("Application"),
        data=text("ApplicationData"),
    ),
    "UserEvent": _UserEvent(),
    "ContactStatus": _kind(
        ev.ContactChanged, endpoint=must("EndpointName"), uri=text("URI"), status=must("ContactStatus")
    ),
    "Registry": _kind(
        ev.RegistrationChanged,
        user=must("Username"),
        domain=text("Domain"),
        status=must("Status"),
        cause=text("Cause"),
    ),
}

CONSUMED: frozenset[str] = frozenset(_KINDS)
"""AMI event names that `parse` understands; the door drops all others before decoding them."""

# By first line. What was learnt changes how fast `parse` is, not what it gives.
_layouts: dict[bytes, list[Layout]] = {}


def parse(message: Message, arrived_at: float) -> Event | None:
    """Turn one AMI event into ours.

    Args:
        message: header to value; a `ChanVariable: NAME=v` line stands under `ChanVariable/NAME`.
        arrived_at: epoch seconds; used where the message has no `Timestamp`.

    Returns:
        The event, or None when nobody consumes its kind.

    Raises:
        Unusable: a header that must be there is missing or makes no sense.
    """
    if type(message) is not Headers:
        return parse_by_name(message, arrived_at)
    frame = message.frame
    for layout in _layouts.get(frame[: frame.find(b"\r\n")], ()):
        event: Event | None = layout(frame)
        if event is not None:
            return event
    event = parse_by_name(message, arrived_at)
    if event is not None:
        _learn(frame, message["Event"])
    return event


def parse_by_name(message: Message, arrived_at: float) -> Event | None:
    """What `parse` gives, found by looking each header up."""
    kind = _KINDS.get(message.get("Event", ""))
    if kind is None:
        return None
    at = number_of(message.get("Timestamp", ""), "Timestamp", arrived_at)
    if at < 0:
        raise Unusable(RejectReason.BAD_VALUE, f"Timestamp={at}")
    return kind.read(message, at)


def _learn(frame: bytes, name: str) -> None:
    kind, first_line = _KINDS[name], b"Event: %b" % name.encode()
    if not (isinstance(kind, _Kind) and frame.startswith(first_line + b"\r\n")):
        return
    known = _layouts.setdefault(first_line, [])
    if len(known) < _MOST_LAYOUTS:
        layout = learn(frame, kind.event, kind.fields)
        if layout is not None:
            known.append(layout)
