"""The agent machine of one PBX: queue membership, pauses, ringing and calls become exactly one state a person.

The state is not stepped but derived: `_derive` is the whole machine, and the first row that holds wins. What
feeds it: member events (login is membership in at least one queue; away is being paused in all of them) and the
call machine's facts (attempts ring, legs are calls, a queue talk's end starts wrap-up).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from cti.core import events as ev
from cti.core.away import AwayWatch, Presence
from cti.core.commands import Command
from cti.core.facts import AgentState, Attempt, AwayEpisode, Cause, Fact, Leg, State, Talk
from cti.core.people import device_of_interface
from cti.core.rules import Rules

_UNREACHABLE_STATUS = frozenset({4, 5})  # device state invalid, unavailable
_INSTANT = 1e-6  # s; the shortest a state can have held
_SAID = 3.0  # s in which a feature code explains a member event
_DEVICE = Cause.DEVICE
_CAUSE_BY_WORD = {"login": Cause.AGENT, "logout": Cause.AGENT, "pause": Cause.AGENT, "unpause": Cause.AGENT}


@dataclass(slots=True)
class _Member:
    interface: str
    device: str
    paused: bool
    reason: str
    status: int
    wrap_up: float
    last_pause: float

    def is_now(self, e: ev.MemberSeen, device: str, reason: str) -> bool:
        """Whether this is what an event says, but for states of the phone that make no difference to an agent."""
        return (
            self.paused == e.paused
            and self.reason == reason
            and (self.status in _UNREACHABLE_STATUS) == (e.status in _UNREACHABLE_STATUS)
            and self.last_pause == e.last_pause
            and self.interface == e.interface
            and self.device == device
            and self.wrap_up == e.wrap_up
        )


@dataclass(slots=True)
class _Agent:
    id: str
    watch: AwayWatch
    members: dict[str, _Member] = field(default_factory=dict)  # by queue
    device: str = ""  # of the first member
    queues: tuple[str, ...] = ()
    pauses: tuple[str, ...] = ()  # as in `AgentState.paused`
    ringing: set[str] = field(default_factory=set)  # attempt ids
    active: set[str] = field(default_factory=set)  # leg ids
    queue_talks: set[str] = field(default_factory=set)  # talk ids that a queue brought
    wrap_until: float = 0.0
    told: AgentState | None = None
    said_at: float = float("-inf")  # when the agent last used a feature code

    def paused(self) -> bool:
        for member in self.members.values():
            if not member.paused:
                return False
        return bool(self.members)

    def unreachable(self) -> bool:
        for member in self.members.values():  # noqa: SIM110 - a generator takes three times as long
            if member.status not in _UNREACHABLE_STATUS:
                return False
        return True

    def reason(self) -> str:
        """That of the latest pause: one who was paused in one queue may be paused in all for another reason."""
        latest: _Member | None = None
        for member in self.members.values():
            if member.paused and (latest is None or member.last_pause > latest.last_pause):
                latest = member
        return latest.reason if latest is not None else ""


def _pauses(agent: _Agent) -> tuple[str, ...]:
    seats = sorted(agent.members.items())
    return tuple(f"{queue}:{member.reason}" for queue, member in seats if member.paused)


def _placed(leg: Leg) -> bool:
    """Whether somebody calls from this phone. A member's Local channel calls nobody, even before its dial is told."""
    return not leg.dialed and not leg.channel.startswith("Local/")


def _derive(agent: _Agent, at: float) -> State:
    """The whole machine: states in order of precedence, and the first that holds wins."""
    if not agent.members:
        return State.LOGGED_OUT
    if agent.active:
        return State.ON_CALL
    if agent.ringing:
        return State.RINGING
    if agent.paused():
        return State.AWAY
    if agent.unreachable():
        return State.UNREACHABLE
    if at < agent.wrap_until:
        return State.WRAP_UP
    return State.AVAILABLE


class Agents:
    """All agents of one PBX, and who sits where (`cti.core.people.AgentBook`)."""

    def __init__(self, pbx: str, rules: Rules) -> None:
        self.pbx = pbx
        self.rules = rules
        self.names: dict[str, str] = {}  # agent id to the person's name, as the database has it
        self._agents: dict[str, _Agent] = {}
        self._devices: dict[str, str] = {}  # device to agent id
        self._on_leg: dict[str, str] = {}  # living leg that keeps an agent busy, to that agent
        self._lines: set[str] = set()  # legs on which agents of the agent pool wait for callers
        self._wrap_up: dict[str, float] = {}  # queue to seconds
        self._changed: dict[str, Cause] = {}
        self._next_due = math.inf  # never later than the first deadline
        self._found = False  # what is being read was found on attaching, not seen happening
        self._out_of_step = False  # states are remembered, but the PBX has not been asked yet
        self._facts: list[Fact] = []
        self._commands: list[Command] = []

    # -- AgentBook

    def agent_of(self, device: str) -> str | None:
        """The agent logged in at this device, if one is."""
        return self._devices.get(device)

    def state_of(self, agent: str) -> tuple[State, float, str] | None:
        """State, since when, and why."""
        known = self._agents.get(agent)
        if known is None or known.told is None:
            return None
        return known.told.state, known.told.since, known.told.reason

    def waits_on(self, leg: str) -> None:
        """This leg is a line of the agent pool: its agent is there, and busy only when somebody is given to them on it."""
        self._lines.add(leg)
        agent = self._on_leg.pop(leg, None)
        if agent is not None:
            self._toggle(agent, self._agent(agent).active, leg, on=False)

    def use(self, rules: Rules) -> None:
        """Go by other thresholds from now on."""
        self.rules = rules
        for agent in self._agents.values():
            agent.watch.rule = rules.away

    # -- input

    def restore(self, states: Iterable[AgentState], episodes: Iterable[AwayEpisode]) -> None:
        """Take up what was known before this process: the last state of each agent, and open away episodes."""
        for state in states:
            self._agent(state.agent).told = state
            self._out_of_step = True
        for episode in episodes:
            self._agent(episode.agent).watch.episode = episode
            self._out_of_step = True

    def learn(self, states: Iterable[AgentState]) -> None:
        """Take what the books told of a gap: who was found after it as before it may have been otherwise meanwhile.

        Such a state holds since an instant within the gap, and whatever is told of it from now on is told of that row.
        """
        latest = {state.agent: state for state in sorted(states, key=lambda state: state.since)}
        for state in latest.values():
            known = self._agents.get(state.agent)
            told = known.told if known is not None else None
            if known is None or told is None or told.since >= state.since:
                continue  # it has changed since
            if (told.state, told.reason) == (state.state, state.reason):
                known.told = replace(
                    state, name=told.name, device=told.device, queues=told.queues, paused=told.paused
                )
                self._facts.append(known.told)

    def learn_away(self, episodes: Iterable[AwayEpisode]) -> None:
        """Take what the books told of absences that go on; what is due of them then is due with the next event or tick."""
        of_agents: dict[str, list[AwayEpisode]] = {}
        for episode in episodes:
            of_agents.setdefault(episode.agent, []).append(episode)
        for agent_id, told in of_agents.items():
            agent = self._agents.get(agent_id)
            learned = agent.watch.learn(told) if agent is not None else []
            if learned:
                self._facts += learned
                self._changed.setdefault(agent_id, Cause.PBX)

    def step(self, event: ev.Event) -> None:
        """Take one event; what it made true is returned by `settle`."""
        handler = self._EVENTS.get(type(event))
        if handler is not None:
            handler(self, event)

    def take(self, facts: Iterable[Fact]) -> None:
        """Take what the call machine found out within the same event."""
        for fact in facts:
            handler = self._FACTS.get(type(fact))
            if handler is not None:
                handler(self, fact)

    def unsettled(self, at: float) -> bool:
        """Whether `settle` could tell something; after most events it could not."""
        return bool(self._changed or self._facts or self._commands) or at >= self._next_due

    def settle(self, at: float) -> tuple[list[Fact], list[Command]]:
        """Derive the state of every agent touched, or whose deadline has come, as of `at`.

        Nothing is derived between `restore` and the first list of members: who is logged in is not known then.
        """
        if self._out_of_step:
            return [], []
        if at >= self._next_due:
            self._wake_due(at)
        if not (self._changed or self._facts or self._commands):
            return [], []
        for agent_id, cause in self._changed.items():
            agent = self._agents[agent_id]
            before = agent.told
            self._tell(agent, at, cause)
            self._watch(agent, at, before)
            for when in _deadlines(agent):
                self._next_due = min(self._next_due, when)
        self._changed.clear()
        self._found = False
        facts, commands = self._facts, self._commands
        self._facts, self._commands = [], []
        return facts, commands

    def wants(self, command: str) -> bool:
        """Whether a command of ours, by its id, is still called for; nobody is logged out in the middle of a call."""
        return any(agent.watch.wants(command) and not agent.queue_talks for agent in self._agents.values())

    def next_deadline(self) -> float | None:
        """When `settle` must be called again even if nothing happens; at times a little early."""
        return None if self._next_due == math.inf else self._next_due

    def _wake_due(self, at: float) -> None:
        self._next_due = math.inf
        for agent in self._agents.values():
            for when in _deadlines(agent):
                if when <= at:
                    self._changed.setdefault(agent.id, Cause.PBX)
                else:
                    self._next_due = min(self._next_due, when)

    # -- members

    def _agent(self, agent_id: str) -> _Agent:
        agent = self._agents.get(agent_id)
        if agent is None:
            agent = self._agents[agent_id] = _Agent(agent_id, AwayWatch(self.pbx, agent_id, self.rules.away))
        return agent

    def _member_seen(self, e: ev.MemberSeen, cause: Cause | None = None) -> None:
        agent = self._agent(e.member)
        device = device_of_interface(e.state_interface)
        reason = self._reason(e.reason) if e.paused else ""
        before = agent.members.get(e.queue)
        if before is not None and before.is_now(e, device, reason):
            return  # at most its phone rings, or is in use: calls say that better
        member = _Member(e.interface, device, e.paused, reason, e.status, e.wrap_up, e.last_pause)
        agent.members[e.queue] = member
        if before is None or before.interface != e.interface or before.device != device:
            self._seat(agent)
        elif before.paused or member.paused:
            agent.pauses = _pauses(agent)
        self._changed[agent.id] = cause or self._cause(agent, before, member, e.at)

    def _reason(self, text: str) -> str:
        """The enumerated reason; AstDB and dialplans like to write a hyphen where we have an underscore."""
        reason = text.strip().lower().replace("-", "_")
        return reason if reason in self.rules.pause_reasons else "other"

    @staticmethod
    def _cause(agent: _Agent, before: _Member | None, member: _Member, at: float) -> Cause:
        if before is not None and before.paused == member.paused and before.reason == member.reason:
            return Cause.DEVICE
        if member.reason == "rule":
            return Cause.RULE
        return Cause.AGENT if at - agent.said_at <= _SAID else Cause.PBX

    def _member_removed(self, e: ev.MemberRemoved, cause: Cause | None = None) -> None:
        agent = self._agents.get(e.member)
        member = agent.members.get(e.queue) if agent is not None else None
        if agent is None or member is None or member.interface != e.interface:
            return  # not there, or by now at another desk
        del agent.members[e.queue]
        self._seat(agent)
        episode = agent.watch.episode
        by_rule = episode is not None and episode.reported_at is not None
        said = Cause.AGENT if e.at - agent.said_at <= _SAID else Cause.PBX
        self._changed[agent.id] = cause or (Cause.RULE if by_rule else said)

    def _seat(self, agent: _Agent) -> None:
        """Note which queues and devices are this agent's now; the last to come owns a device."""
        agent.queues, agent.pauses = tuple(sorted(agent.members)), _pauses(agent)
        agent.device = next((member.device for member in agent.members.values()), "")
        self._devices = {device: owner for device, owner in self._devices.items() if owner != agent.id}
        for member in agent.members.values():
            self._devices[member.device] = agent.id
            self._devices[device_of_interface(member.interface)] = agent.id

    def _said(self, e: ev.AgentSaid) -> None:
        """A feature code explains the member event next to it, whichever came first."""
        cause = _CAUSE_BY_WORD.get(e.action)
        if cause is None or not e.agent:
            return
        agent = self._agent(e.agent)
        agent.said_at = e.at
        told = agent.told
        if told is not None and told.cause is Cause.PBX and 0 <= e.at - told.since <= _SAID:
            self._state(agent, told.state, told.since, told.reason, cause)

    def _resynced(self, e: ev.Resynced) -> None:
        self._found, self._out_of_step = True, False
        for queue in e.queues:
            self._wrap_up[queue.queue] = queue.wrap_up
        known = set(self._agents)
        there = {(member.member, member.queue) for member in e.members}
        for agent in list(self._agents.values()):
            for queue_name in [q for q in agent.members if (agent.id, q) not in there]:
                del agent.members[queue_name]
                self._seat(agent)
            self._changed.setdefault(agent.id, Cause.LINK_LOST)
        for member in e.members:
            self._member_seen(member, Cause.LINK_LOST if member.member in known else Cause.PBX)
        for agent in self._agents.values():
            if agent.told is not None and agent.told.state is State.WRAP_UP and not agent.wrap_until:
                agent.wrap_until = agent.told.since + max(
                    self._wrap_of(agent, q) for q in [*agent.members, ""]
                )

    # -- calls

    def _leg(self, leg: Leg) -> None:
        """A leg that lives keeps its agent busy; whose it is may turn out otherwise than it seemed."""
        busy = leg.ended_at is None and (leg.answered_at is not None or _placed(leg))
        if leg.id in self._lines:
            busy = False  # its talks do
            if leg.ended_at is not None:
                self._lines.discard(leg.id)
        before = self._on_leg.pop(leg.id, None)
        if before is not None and before != leg.agent:
            self._toggle(before, self._agent(before).active, leg.id, on=False)
        if leg.agent is None:
            return
        self._toggle(leg.agent, self._agent(leg.agent).active, leg.id, on=busy)
        if busy:
            self._on_leg[leg.id] = leg.agent

    def _attempt(self, attempt: Attempt) -> None:
        if attempt.agent is not None:
            ringing = self._agent(attempt.agent).ringing
            self._toggle(attempt.agent, ringing, attempt.id, on=attempt.outcome is None)

    def _toggle(self, agent_id: str, ids: set[str], item: str, *, on: bool) -> None:
        if on == (item in ids):
            return
        if on:
            ids.add(item)
        else:
            ids.discard(item)
        self._changed.setdefault(agent_id, _DEVICE)

    def _talk(self, talk: Talk) -> None:
        if talk.agent is None:
            return
        agent = self._agent(talk.agent)
        if talk.ended_at is not None or talk.id.rsplit("/", 1)[0] in self._lines:
            self._toggle(agent.id, agent.active, talk.id, on=talk.ended_at is None)
        if talk.queue is None:
            return
        if talk.ended_at is None:
            agent.queue_talks.add(talk.id)
            return
        agent.queue_talks.discard(talk.id)
        wrap_up = self._wrap_of(agent, talk.queue)
        if wrap_up > 0:
            agent.wrap_until = max(agent.wrap_until, talk.ended_at + wrap_up)
        self._changed.setdefault(agent.id, _DEVICE)

    def _wrap_of(self, agent: _Agent, queue: str) -> float:
        """Wrap-up seconds after a call of this queue: the member's own, else the queue's.

        Asterisk tells a queue's `wrapuptime` in no AMI event; then it is the configured one.
        """
        member = agent.members.get(queue)
        own = member.wrap_up if member is not None else 0.0
        return own or self._wrap_up.get(queue, 0.0) or self.rules.wrap_up_of(queue)

    # -- output

    def _tell(self, agent: _Agent, at: float, cause: Cause) -> None:
        state = _derive(agent, at)
        reason = agent.reason() if state is State.AWAY else ""
        told = agent.told
        if told is None:
            self._state(agent, state, at, reason, cause)
        elif told.state is not state or told.reason != reason:
            self._state(agent, state, max(at, told.since), reason, cause)
        elif told.device != agent.device or told.queues != agent.queues or told.paused != agent.pauses:
            self._state(agent, state, told.since, reason, told.cause)
        elif self._found:
            self._facts.append(told)  # after attaching, whoever listens hears every agent once

    def _state(self, agent: _Agent, state: State, since: float, reason: str, cause: Cause) -> None:
        """Tell a state; one that begins where the told one began takes its place."""
        told = agent.told
        before, before_since = (None, None) if told is None else (told.state, told.since)
        sources: tuple[str, ...] = ()
        if told is not None and told.since == since:
            before, before_since, sources = told.previous, told.previous_since, told.sources
        name = self.names.get(agent.id, agent.id)
        agent.told = AgentState(
            self.pbx,
            agent.id,
            name,
            agent.device,
            agent.queues,
            state,
            since,
            reason,
            cause,
            before,
            before_since,
            sources,
            agent.pauses,
        )
        self._facts.append(agent.told)

    def _watch(self, agent: _Agent, at: float, before: AgentState | None) -> None:
        away = agent.paused()
        if not away and agent.watch.episode is None:
            return  # there is nothing to begin, and nothing to end
        members = tuple((queue, member.interface) for queue, member in agent.members.items())
        now = Presence(agent.id, away, agent.reason() if away else "", bool(agent.queue_talks), members)
        found = _left_at(agent, at, before) if self._found else None
        facts, commands = agent.watch.observe(now, at, found)
        self._facts += facts
        self._commands += commands

    def _clock_stepped(self, e: ev.ClockStepped) -> None:
        """What goes on goes on in the clock's new time, the away rule's limits first.

        A state that holds is told anew from its begin in the new time. When the clock went back that would be before the
        state's own row; it keeps its begin then, and ends up shorter by the step.
        """
        for agent in self._agents.values():
            agent.said_at += e.by
            if agent.wrap_until:
                agent.wrap_until += e.by
            episode = agent.watch.redate(e.by)
            if episode is not None:
                self._facts.append(episode)
            told = agent.told
            if told is not None and e.by > 0:
                moved = replace(told, since=told.since + e.by, previous_since=told.since + _INSTANT)
                agent.told = moved
                self._facts.append(moved)
        if self._next_due != math.inf:
            self._next_due += e.by

    def _command_done(self, e: ev.CommandDone) -> None:
        for agent in self._agents.values():
            if agent.watch.owns(e.command):
                facts, commands = agent.watch.answered(e.command, ok=e.ok, message=e.message, at=e.at)
                self._facts += facts
                self._commands += commands

    _EVENTS: ClassVar[dict[type, Callable[["Agents", Any], None]]] = {
        ev.MemberSeen: _member_seen,
        ev.MemberRemoved: _member_removed,
        ev.AgentSaid: _said,
        ev.CommandDone: _command_done,
        ev.ClockStepped: _clock_stepped,
        ev.Resynced: _resynced,
    }
    _FACTS: ClassVar[dict[type, Callable[["Agents", Any], None]]] = {
        Attempt: _attempt,
        Leg: _leg,
        Talk: _talk,
    }


def _left_at(agent: _Agent, at: float, before: AgentState | None) -> float:
    """Since when somebody found away has been, as nearly as a list tells: since the last of the queues was paused.

    Of one in which they were paused already while they were there it tells nothing.
    """
    old: set[str] = set()
    earliest = 0.0
    if before is not None and (not before.queues or len(before.paused) < len(before.queues)):
        old, earliest = {one.rpartition(":")[0] for one in before.paused}, before.since
    pauses = [m.last_pause for queue, m in agent.members.items() if queue not in old and m.last_pause > 0]
    return min(max([*pauses, earliest]), at) if pauses else at


def _deadlines(agent: _Agent) -> list[float]:
    found = []
    away = agent.watch.next_deadline()
    if away is not None:
        found.append(away)
    if agent.told is not None and agent.told.state is State.WRAP_UP:
        found.append(agent.wrap_until)
    return found
