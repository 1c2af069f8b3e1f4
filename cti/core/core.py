"""The core of one PBX: `step(event)` gives the facts it made true and the commands the PBX should perform.

`next_deadline()` says when a `Tick` is due even if nothing is heard. Instants are the PBX's clock throughout; a
core reads none of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cti.core import attach
from cti.core import events as ev
from cti.core.agents import Agents
from cti.core.calls import Calls
from cti.core.commands import Command
from cti.core.facts import Fact, Fault, FaultKind, Link, Queue
from cti.core.memory import Memory
from cti.core.rules import Rules

_SAME_BOOT = 2.5  # s two readings of one start time may differ (CoreStatus has whole seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one event led to, in order."""

    facts: list[Fact]
    commands: list[Command]


class Core:
    """Everything that is true on one PBX; pure, single-threaded, deterministic."""

    def __init__(self, pbx: str, rules: Rules | None = None) -> None:
        self.pbx = pbx
        self.rules = rules or Rules()
        self.agents = Agents(pbx, self.rules)
        self.calls = Calls(pbx, self.rules, self.agents)
        self._open_faults: dict[FaultKind, Fault] = {}
        self._booted_at = 0.0
        self._last_at = 0.0

    def restore(self, memory: Memory) -> None:
        """Take up the open business of an earlier process; call it before the first event."""
        self.agents.restore(memory.agent_states, memory.episodes)
        attach.restore(self.calls, memory)
        self.agents.take([*memory.legs, *memory.attempts, *memory.talks])
        for fault in memory.faults:
            self._open_faults[fault.kind] = fault

    def know(self, names: Mapping[str, str]) -> None:
        """Take the people's names (agent id to name) as the database has them."""
        self.agents.names = dict(names)

    def next_deadline(self) -> float | None:
        """The PBX time at which a `Tick` is due, or None."""
        return self.agents.next_deadline()

    def step(self, event: ev.Event) -> Outcome:
        """Take one event, in order of arrival."""
        facts: list[Fact] = []
        match event:
            case ev.Resynced():
                self.agents.step(event)
                facts = self._resynced(event)
            case ev.LinkLost():
                facts = self._link_lost(event)
            case _:
                facts = self.calls.step(event)
                self.agents.step(event)
        self.agents.take(facts)
        agent_facts, commands = self.agents.settle(event.at)
        self._last_at = event.at
        return Outcome(facts + agent_facts, commands)

    def _link_lost(self, event: ev.LinkLost) -> list[Fact]:
        link = Link(self.pbx, up=False, at=event.at, detail=event.why)
        if FaultKind.LINK in self._open_faults:
            return [link]
        return [link, self._begin_fault(FaultKind.LINK, event.at, event.why)]

    def _resynced(self, event: ev.Resynced) -> list[Fact]:
        facts: list[Fact] = []
        restarted = self._booted_at > 0 and event.booted_at - self._booted_at > _SAME_BOOT
        if restarted:
            began = min(self._last_at, event.booted_at)
            fault_id = f"{self.pbx}-{FaultKind.PBX_RESTART}-{event.booted_at:.0f}"
            facts.append(
                Fault(fault_id, FaultKind.PBX_RESTART, self.pbx, began, event.at, "Asterisk was restarted")
            )
        self._booted_at = event.booted_at or self._booted_at
        broken = self._open_faults.pop(FaultKind.LINK, None)
        if broken is not None:
            facts.append(replace(broken, ended_at=event.at))
        facts += [Queue(self.pbx, q.queue, q.strategy, q.wrap_up, q.max_waiting) for q in event.queues]
        facts += attach.resync(self.calls, event)
        facts.append(Link(self.pbx, up=True, at=event.at))
        return facts

    def _begin_fault(self, kind: FaultKind, at: float, detail: str) -> Fault:
        fault = Fault(f"{self.pbx}-{kind}-{at:.6f}", kind, self.pbx, at, None, detail)
        self._open_faults[kind] = fault
        return fault
