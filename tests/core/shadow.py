"""What lives on a PBX after some of its events: the lists that a real one would answer with at that moment."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cti.core import events as ev

BOOTED = 1_700_000_000.0


@dataclass
class _Channel:
    created: ev.ChannelCreated
    state: int
    bridge: str = ""
    application: str = "Dial"
    data: str = ""


class Shadow:
    """Keeps channels, bridges, queue members and waiting callers in step with the events it is shown.

    `lists_bridges`: a PBX that does not answer to BridgeList leaves them out.
    """

    def __init__(self, events: Iterable[ev.Event] = (), *, lists_bridges: bool = True) -> None:
        self._lists_bridges = lists_bridges
        self._bridges: dict[str, ev.BridgeSeen] = {}
        self._channels: dict[str, _Channel] = {}
        self._members: dict[tuple[str, str], ev.MemberSeen] = {}
        self._waiting: dict[str, ev.CallerJoined] = {}
        for event in events:
            self.see(event)

    def see(self, event: ev.Event) -> None:
        match event:
            case ev.ChannelCreated():
                self._channels[event.uniqueid] = _Channel(event, event.state)
            case ev.ChannelHungUp():
                self._channels.pop(event.uniqueid, None)
            case ev.MemberSeen():
                self._members[event.queue, event.member] = event
            case ev.MemberRemoved():
                self._members.pop((event.queue, event.member), None)
            case ev.CallerJoined():
                self._waiting[event.uniqueid] = event
            case ev.CallerLeft():
                self._waiting.pop(event.uniqueid, None)
            case ev.AttendedTransferred() if event.second in self._waiting and event.whom:
                waits = self._waiting.pop(
                    event.second
                )  # a masquerade: who was handed on waits there from now on
                self._waiting[event.whom] = replace(waits, uniqueid=event.whom)
            case _:
                self._change(event)

    def _change(self, event: ev.Event) -> None:
        channel = self._channels.get(getattr(event, "uniqueid", ""))
        if channel is None:
            return
        match event:
            case ev.ChannelStateChanged():
                channel.state = event.state
            case ev.DialBegan():
                channel.application = "AppDial"
                source = self._channels.get(event.source)
                if source is not None and not source.application:
                    source.application = "Dial"
            case ev.StaysOnLine():
                channel.application, channel.data = "AgentLogin", event.agent
            case ev.MemberCalled():
                self._channels[event.member_channel].application = "AppQueue"
            case ev.BridgeEntered():
                channel.bridge, channel.state = event.bridge, 6
                self._bridges[event.bridge] = ev.BridgeSeen(
                    event.at, event.bridge, event.kind, event.technology
                )
            case ev.BridgeLeft():
                channel.bridge = ""

    def application(self, uniqueid: str, name: str) -> None:
        """What a channel is listed to run from now on."""
        self._channels[uniqueid].application = name

    def resynced(self, at: float, *, booted_at: float = BOOTED) -> ev.Resynced:
        """What a login at this moment would find."""
        channels = tuple(self._listed(uniqueid, at) for uniqueid in reversed(self._channels))  # newest first
        members = tuple(replace(member, at=at, what="listed") for member in self._members.values())
        waiting = tuple(
            ev.CallerSeen(at, joined.queue, joined.uniqueid, joined.position, float(int(at) - int(joined.at)))
            for joined in self._waiting.values()
            if joined.uniqueid in self._channels
        )
        queues = tuple(ev.QueueSeen(at, name, "rrmemory", 0.0, 0) for name, _agent in self._members)
        bridges = tuple(replace(bridge, at=at) for bridge in self._bridges.values())
        listed = bridges if self._lists_bridges else None
        return ev.Resynced(at, booted_at, channels, queues, members, waiting, listed)

    def _listed(self, uniqueid: str, at: float) -> ev.ChannelSeen:
        channel = self._channels[uniqueid]
        made = channel.created
        return ev.ChannelSeen(
            at,
            uniqueid,
            made.linkedid,
            made.channel,
            channel.state,
            made.caller_number,
            made.caller_name,
            made.context,
            made.exten,
            channel.bridge,
            float(int(at - made.at)),
            "Queue" if uniqueid in self._waiting else channel.application,
            channel.data,
        )
