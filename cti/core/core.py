"""The core of one PBX: `step(event)` gives the facts it made true and the commands the PBX should perform.

`next_deadline()` says when a `Tick` is due even if nothing is heard. Instants are the PBX's clock throughout; a
core reads none of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from cti.core import attach
from cti.core import events as ev
from cti.core.agents import Agents
from cti.core.calls import Calls
from cti.core.commands import Command
from cti.core.facts import Fact, Fault, FaultKind, Link, Queue
from cti.core.faults import begun, ended, told
from cti.core.memory import Memory
from cti.core.redate import redate
from cti.core.rules import Rules
from cti.core.trunks import OUTSIDE, Trunks

_SAME_BOOT = 2.5  # s two readings of one start time may differ (CoreStatus has whole seconds)


class Outcome(NamedTuple):
    """What one event led to, in order."""

    facts: Sequence[Fact]
    commands: Sequence[Command]


_OF_CALLS = Calls.TABLE
NOTHING = Outcome((), ())  # what most events lead to


class Core:
    """Everything that is true on one PBX; pure, single-threaded, deterministic."""

    def __init__(self, pbx: str, rules: Rules | None = None) -> None:
        self.pbx = pbx
        self.rules = rules or Rules()
        self.agents = Agents(pbx, self.rules)
        self.calls = Calls(pbx, self.rules, self.agents)
        self.trunks = Trunks(pbx, self.rules.trunks)
        self._open_faults: dict[FaultKind, Fault] = {}
        self._booted_at = 0.0
        self._last_at = 0.0
        self._remembered_at = 0.0  # the latest instant an earlier process left behind

    def restore(self, memory: Memory) -> None:
        """Take up the open business of an earlier process; call it before the first event."""
        self.agents.restore(memory.agent_states, memory.episodes)
        attach.restore(self.calls, memory)
        self.agents.take([*memory.legs, *memory.attempts, *memory.talks])
        self.trunks.restore(memory.faults)
        for fault in memory.faults:
            self._open_faults[fault.kind] = fault
        self._booted_at = memory.booted_at
        self._remembered_at = memory.latest()

    def use(self, rules: Rules) -> None:
        """Go by other thresholds from now on; an absence that goes on keeps the limits it began with."""
        self.rules = rules
        self.calls.rules = rules
        self.trunks.use(rules.trunks)
        self.agents.use(rules)

    def know(self, names: Mapping[str, str]) -> None:
        """Take the people's names (agent id to name) as the database has them."""
        self.agents.names = dict(names)

    def wants(self, command: Command) -> bool:
        """Whether a command is still called for; asked right before it is performed, perhaps long after `step`."""
        return self.agents.wants(command.id)

    def next_deadline(self) -> float | None:
        """The PBX time at which a `Tick` is due, or None."""
        return self.agents.next_deadline()

    def step(self, event: ev.Event) -> Outcome:
        """Take one event, in order of arrival."""
        calls, agents, at = self.calls, self.agents, event.at
        handler = _OF_CALLS.get(type(event))
        facts: Sequence[Fact] = ()
        if handler is None:
            facts = self._other(event)
        else:
            handler(calls, event)
            if calls.changed():
                facts = calls.collect()
        if facts:
            agents.take(facts)
        self._last_at = at
        if not agents.unsettled(at):
            return Outcome(facts, ()) if facts else NOTHING
        agent_facts, commands = agents.settle(at)
        return Outcome([*facts, *agent_facts], commands)

    def _other(self, event: ev.Event) -> Sequence[Fact]:
        """Take an event that is not about calls alone."""
        rare = self._RARE.get(type(event))
        if rare is not None:
            return rare(self, event)
        self.agents.step(event)
        return ()

    def _clock_stepped(self, event: ev.ClockStepped) -> list[Fact]:
        redate(self.calls, event.by)
        self.agents.step(event)
        return self.calls.collect()

    def _outside(self, event: ev.Event) -> list[Fact]:
        return self.trunks.step(event)

    def _link_lost(self, event: ev.LinkLost) -> list[Fact]:
        link = Link(self.pbx, up=False, at=event.at, detail=event.why)
        kind = FaultKind.OVERFLOW if event.overflow else FaultKind.LINK
        if kind in self._open_faults:
            return [link]
        fault = self._open_faults[kind] = begun(self.pbx, kind, event.at, event.why)
        return [link, *told(fault)]

    def _resynced(self, event: ev.Resynced) -> list[Fact]:
        self.agents.step(event)
        restart = self._restart(event)
        facts: list[Fact] = told(restart) if restart is not None else []
        for kind in (FaultKind.LINK, FaultKind.OVERFLOW):
            broken = self._open_faults.pop(kind, None)
            if broken is not None:
                facts += told(ended(broken, event.at))
        facts += [Queue(self.pbx, q.queue, q.strategy, q.wrap_up, q.max_waiting) for q in event.queues]
        facts += attach.resync(self.calls, event, restart.began_at if restart is not None else None)
        facts.append(Link(self.pbx, up=True, at=event.at, booted_at=event.booted_at or None))
        return facts

    def _restart(self, event: ev.Resynced) -> Fault | None:
        """A PBX that started later than it had before was restarted; it was away at most since it was last heard."""
        before = self._booted_at or self._remembered_at  # nothing is remembered from before it started
        self._booted_at = event.booted_at or self._booted_at
        if not before or event.booted_at - before <= _SAME_BOOT:
            return None
        heard = self._last_at or self._remembered_at
        began = min(heard, event.booted_at) if heard else event.booted_at
        return ended(begun(self.pbx, FaultKind.PBX_RESTART, began, "Asterisk was restarted"), event.at)

    _RARE: ClassVar[dict[type, Callable[["Core", Any], list[Fact]]]] = {
        ev.Resynced: _resynced,
        ev.LinkLost: _link_lost,
        ev.ClockStepped: _clock_stepped,
        **dict.fromkeys(OUTSIDE, _outside),
    }
