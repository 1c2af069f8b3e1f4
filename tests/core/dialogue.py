"""Tests of the core read as a dialogue: what the PBX says, line by line, and what is true after it.

A `Dialogue` is a core with a clock of its own: every line takes a millisecond, `wait` lets time pass. What was said is
kept in `events`, so that a scenario can be told again in pieces, mixed with another, or to a core that comes later.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from cti.core import events as ev
from cti.core.commands import Command
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Fact,
    FactKey,
    Incident,
    Leg,
    Notice,
    QueueStay,
    Recording,
    Rejected,
    Talk,
    Transfer,
)
from cti.core.memory import Memory
from cti.core.people import device_of_interface
from cti.core.rules import Rules

START = 1_800_000_000.0
LINE = 0.001  # s that one line of the dialogue takes
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))

F = TypeVar("F", bound=Fact)


class Dialogue:
    """A PBX that speaks, and the core that listens. Ids are given without the PBX's name, which is `p`."""

    def __init__(self, rules: Rules = RULES, *, at: float = START, memory: Memory | None = None) -> None:
        self.core = Core("p", rules)
        if memory is not None:
            self.core.restore(memory)
        self.at = at
        self.events: list[ev.Event] = []
        self.facts: list[Fact] = []
        self.commands: list[Command] = []
        self.latest: dict[FactKey, Fact] = {}

    # -- time, and anything at all

    def say(self, event: ev.Event) -> list[Fact]:
        """Hear one event; returns the facts it made true."""
        self.events.append(event)
        outcome = self.core.step(event)
        self.facts += outcome.facts
        self.commands += outcome.commands
        for fact in outcome.facts:
            self.latest[fact.key] = fact
        return list(outcome.facts)

    def say_all(self, events: Iterable[ev.Event]) -> None:
        for event in events:
            self.at = event.at
            self.say(event)

    def _line(self, kind: type[Any], *fields: Any) -> list[Fact]:
        self.at += LINE
        return self.say(kind(self.at, *fields))

    def wait(self, seconds: float) -> None:
        """Let time pass, with a tick at each deadline on the way, as the pump makes them."""
        end = self.at + seconds
        while (due := self.core.next_deadline()) is not None and due <= end:
            self.at = max(self.at, due)
            self.say(ev.Tick(self.at))
        self.at = end

    # -- channels

    def channel(
        self,
        uniqueid: str,
        name: str,
        *,
        state: int = 4,
        exten: str = "4001",
        number: str = "13800138000",
        person: str = "王伟",
        linkedid: str = "",
        context: str = "from-trunk",
    ) -> None:
        """Newchannel; state 4 came in, 0 is being dialled."""
        self._line(
            ev.ChannelCreated,
            uniqueid,
            linkedid or uniqueid,
            name,
            state,
            number,
            person,
            context,
            exten,
        )

    def rung(self, uniqueid: str, device: str, *, linkedid: str = "") -> None:
        """A channel the PBX makes to ring a device."""
        self.channel(
            uniqueid,
            f"{device}-0000{uniqueid.replace('.', '')}",
            state=0,
            exten="s",
            number=device.rpartition("/")[2],
            person="",
            linkedid=linkedid,
            context="from-internal",
        )

    def local(self, one: str, two: str, exten: str, *, linkedid: str = "") -> None:
        """The two halves of a Local channel, and the event that pairs them."""
        for half, uniqueid in ((";1", one), (";2", two)):
            self.channel(
                uniqueid,
                f"Local/{exten}-00000{one}{half}",
                state=0,
                exten=exten,
                linkedid=linkedid,
                person="",
            )
        self._line(ev.LocalBridged, one, two)

    def optimises(self, one: str, *, begun: bool) -> None:
        """A Local channel takes itself out of the way."""
        self._line(ev.LocalOptimized, one, begun)

    def up(self, uniqueid: str, *, status: str = "") -> None:
        self._line(ev.ChannelStateChanged, uniqueid, 6, status)

    def asks_hangup(self, uniqueid: str, *, by_device: bool = True) -> None:
        self._line(ev.HangupRequested, uniqueid, by_device)

    def hangup(self, uniqueid: str, cause: int = 16, *, status: str = "") -> None:
        self._line(ev.ChannelHungUp, uniqueid, cause, status)

    # -- dialling and bridges

    def dial(self, source: str, uniqueid: str, dialed: str = "", *, status: str = "") -> None:
        self._line(ev.DialBegan, source, uniqueid, dialed, status)

    def dial_end(self, source: str, uniqueid: str, outcome: str, *, forward: str = "") -> None:
        self._line(ev.DialEnded, source, uniqueid, outcome, forward)

    def enter(self, bridge: str, *uniqueids: str, kind: str = "basic", swapped: str = "") -> None:
        for uniqueid in uniqueids:
            technology = "holding_bridge" if kind == "holding" else "simple_bridge"
            self._line(ev.BridgeEntered, bridge, uniqueid, swapped, kind, technology, "")

    def leave(self, bridge: str, *uniqueids: str) -> None:
        for uniqueid in uniqueids:
            self._line(ev.BridgeLeft, bridge, uniqueid)

    def destroy(self, bridge: str) -> None:
        self._line(ev.BridgeDestroyed, bridge)

    def hold(self, uniqueid: str) -> None:
        self._line(ev.HoldBegan, uniqueid)

    def unhold(self, uniqueid: str) -> None:
        self._line(ev.HoldEnded, uniqueid)

    # -- queues

    def join(self, queue: str, uniqueid: str, *, position: int = 1, status: str = "") -> None:
        self._line(ev.CallerJoined, queue, uniqueid, position, status)

    def ring(self, queue: str, caller: str, uniqueid: str, agent: str, interface: str) -> None:
        """app_queue rings a member: Newchannel, AgentCalled, DialBegin, Newstate ringing."""
        if not interface.startswith("Local/"):
            self.rung(uniqueid, interface, linkedid=caller)
        self._line(ev.MemberCalled, queue, caller, uniqueid, agent, interface)
        self.dial(caller, uniqueid, interface)

    def rings_no_answer(self, queue: str, caller: str, uniqueid: str, agent: str, interface: str) -> None:
        self._line(ev.MemberRangNoAnswer, queue, caller, uniqueid, agent, interface)

    def waits_in_vain(self, queue: str, caller: str, seconds: float, status: str = "") -> None:
        """The caller waits so long, and leaves the queue unanswered; `status`: the QUEUESTATUS that is told then."""
        self.wait(seconds)
        self.abandon(queue, caller)
        self.leave_queue(queue, caller, status=status)

    def abandon(self, queue: str, uniqueid: str) -> None:
        self._line(ev.CallerAbandoned, queue, uniqueid)

    def leave_queue(self, queue: str, uniqueid: str, *, status: str = "") -> None:
        self._line(ev.CallerLeft, queue, uniqueid, status)

    def connect(
        self, queue: str, caller: str, uniqueid: str, agent: str, interface: str, *, hold: float = 1.0
    ) -> None:
        self._line(ev.MemberConnected, queue, caller, uniqueid, agent, interface, hold)

    def complete(self, queue: str, caller: str, agent: str, interface: str, *, talk: float = 5.0) -> None:
        self._line(ev.MemberCompleted, queue, caller, agent, interface, 1.0, talk, "agent")

    # -- agents

    def member(
        self,
        agent: str,
        interface: str,
        *queues: str,
        what: str = "added",
        paused: bool = False,
        reason: str = "",
        status: int = 1,
        wrap_up: float = 0.0,
        last_pause: float = 0.0,
        state_interface: str = "",
    ) -> None:
        """QueueMemberAdded, -Pause or -Status, one event per queue."""
        for queue in queues:
            self.at += LINE
            self.say(
                seen_member(
                    self.at,
                    agent,
                    interface,
                    queue,
                    what=what,
                    paused=paused,
                    reason=reason,
                    status=status,
                    wrap_up=wrap_up,
                    last_pause=last_pause,
                    state_interface=state_interface,
                )
            )

    def pause(self, agent: str, interface: str, *queues: str, reason: str = "break") -> None:
        self.member(agent, interface, *queues, what="changed", paused=True, reason=reason, last_pause=self.at)

    def unpause(self, agent: str, interface: str, *queues: str) -> None:
        self.member(agent, interface, *queues, what="changed")

    def remove(self, agent: str, interface: str, *queues: str) -> None:
        for queue in queues:
            self._line(ev.MemberRemoved, queue, agent, interface)

    def said(self, action: str, agent: str, device: str, reason: str = "") -> None:
        self._line(ev.AgentSaid, action, agent, device, reason)

    def done(self, command: str, *, ok: bool = True, message: str = "") -> None:
        self._line(ev.CommandDone, command, ok, message)

    def link_lost(self, why: str = "gone") -> None:
        self._line(ev.LinkLost, why)

    def resynced(
        self,
        *,
        booted_at: float = START - 1000,
        channels: tuple[ev.ChannelSeen, ...] = (),
        queues: tuple[ev.QueueSeen, ...] = (),
        members: tuple[ev.MemberSeen, ...] = (),
        waiting: tuple[ev.CallerSeen, ...] = (),
        bridges: tuple[ev.BridgeSeen, ...] | None = None,
    ) -> list[Fact]:
        return self._line(ev.Resynced, booted_at, channels, queues, members, waiting, bridges)

    # -- what is true

    def _of(self, kind: type[F], key: str) -> F:
        found = [fact for fact in self.latest.values() if isinstance(fact, kind) and fact.key[1] == key]
        assert found, (
            f"no {kind.__name__} {key}; there are {[k for k in self.latest if k[0] != 'agent_state']}"
        )
        return found[0]

    def all(self, kind: type[F]) -> list[F]:
        """The last version of each fact of this kind, in order of first appearance."""
        return [fact for fact in self.latest.values() if isinstance(fact, kind)]

    def told(self, kind: type[F]) -> list[F]:
        """Every fact of this kind as it was told, in order."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def call(self, uniqueid: str) -> Call:
        return self._of(Call, f"p-{uniqueid}")

    def leg(self, uniqueid: str) -> Leg:
        return self._of(Leg, f"p-{uniqueid}")

    def stay(self, uniqueid: str, ordinal: int = 1) -> QueueStay:
        return self._of(QueueStay, f"p-{uniqueid}/q{ordinal}")

    def attempt(self, uniqueid: str) -> Attempt:
        return self._of(Attempt, f"p-{uniqueid}/a")

    def talk(self, uniqueid: str, ordinal: int = 1) -> Talk:
        return self._of(Talk, f"p-{uniqueid}/t{ordinal}")

    def state(self, agent: str) -> AgentState:
        """The agent's state as last told."""
        return [fact for fact in self.told(AgentState) if fact.agent == agent][-1]

    def states(self, agent: str) -> list[AgentState]:
        """The agent's states one after the other, each as last told."""
        return [fact for fact in self.all(AgentState) if fact.agent == agent]

    def episode(self, agent: str) -> AwayEpisode:
        return [fact for fact in self.told(AwayEpisode) if fact.agent == agent][-1]

    def notices(self, kind: str) -> list[Notice]:
        return [fact for fact in self.told(Notice) if fact.kind == kind]

    def incidents(self) -> list[Incident]:
        return self.all(Incident)

    def rejected(self) -> list[Rejected]:
        return self.told(Rejected)

    def memory(self) -> Memory:
        """What a store that took every fact so far would give back to the next process."""
        return remember(self.latest.values())

    def leftovers(self) -> list[str]:
        """What the call machine still holds on to; empty when every channel has been hung up."""
        calls = self.core.calls
        return [*calls.legs, *calls.calls, *calls.bridges, *calls.vacated, *calls._by_name, *calls.moving]


def remember(facts: Iterable[Fact]) -> Memory:
    """Calls without an end with all their parts, and what holds for agents, as the store keeps them."""
    kept: dict[type[Fact], list[Any]] = {}
    for fact in facts:
        kept.setdefault(type(fact), []).append(fact)
    living = [c for c in kept.get(Call, ()) if c.ended_at is None and c.merged_into is None]
    ids = {call.id for call in living}
    states = {state.agent: state for state in kept.get(AgentState, ())}
    return Memory(
        calls=tuple(living),
        legs=tuple(leg for leg in kept.get(Leg, ()) if leg.call_id in ids),
        stays=tuple(stay for stay in kept.get(QueueStay, ()) if stay.call_id in ids),
        attempts=tuple(attempt for attempt in kept.get(Attempt, ()) if attempt.call_id in ids),
        talks=tuple(talk for talk in kept.get(Talk, ()) if talk.call_id in ids),
        episodes=tuple(episode for episode in kept.get(AwayEpisode, ()) if episode.ended_at is None),
        agent_states=tuple(states.values()),
        transfers=tuple(part for part in kept.get(Transfer, ()) if part.call_id in ids),
        recordings=tuple(part for part in kept.get(Recording, ()) if part.call_id in ids),
    )


def seen_member(
    at: float,
    agent: str,
    interface: str,
    queue: str,
    *,
    what: str = "listed",
    membership: str = "dynamic",
    paused: bool = False,
    reason: str = "",
    status: int = 1,
    wrap_up: float = 0.0,
    last_pause: float = 0.0,
    state_interface: str = "",
) -> ev.MemberSeen:
    """A queue member as the PBX tells it whole."""
    return ev.MemberSeen(
        at,
        what,
        queue,
        agent,
        interface,
        state_interface or device_of_interface(interface),
        membership,
        paused,
        reason,
        status,
        wrap_up,
        last_pause,
        at,
    )
