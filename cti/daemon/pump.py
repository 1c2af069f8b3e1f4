"""The one consumer of a PBX's inbox: arrivals in order → `parse` → `Core.step` → sinks and commands.

It also keeps the core's time: the PBX's clock is the last timestamp heard plus the monotonic time since, and a
`Tick` is made when the core's next deadline has come and nothing else was heard.

Nothing here blocks: sinks take facts synchronously and have queues of their own. A sink that fails is logged and
counted; it never stops another, nor the pump.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

import structlog

from cti.core.commands import Command
from cti.core.core import NOTHING, Core, Outcome
from cti.core.events import (
    AgentSaid,
    ClockStepped,
    DutySaid,
    Event,
    MemberRemoved,
    MemberSeen,
    Resynced,
    Tick,
)
from cti.core.facts import Fact, Rejected
from cti.core.fields import Unusable
from cti.core.parsing import parse
from cti.daemon.clock import PbxClock
from cti.daemon.inbox import Arrival, Inbox

Take = Callable[[Sequence[Fact]], None]
Act = Callable[[Iterable[Command]], None]

_EVENTS = frozenset(get_args(Event))
_MOST_TICKS = 50  # between two events; a leap of the PBX's clock must not tick through the years
_HEARD = frozenset({Resynced, DutySaid, AgentSaid, MemberSeen, MemberRemoved})  # what `on_event` is told of
_LOGGED_REJECTS = 100  # of a process; the counters go on

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PumpFigures:
    """What went through; counters since the process started."""

    events: int = 0
    rejected: int = 0
    bugs: int = 0  # events or facts our own code failed on


class Pump:
    """Runs one core; `step_all` is the whole of it, so that a replay runs the same code without a loop."""

    def __init__(
        self,
        core: Core,
        sinks: Sequence[Take],
        act: Act,
        *,
        on_event: Callable[[Event], None] = lambda _event: None,
        on_step: Callable[[float, float], None] = lambda _at, _seconds: None,
    ) -> None:
        self.core = core
        self.figures = PumpFigures()
        self._sinks = sinks
        self._act = act
        self._on_event = on_event  # told of events that wake other tasks, or verify a command
        self._on_step = on_step  # told of a step of the PBX's clock: at, and by how many seconds
        self._clock = PbxClock()
        self._pbx_at: float | None = None
        self._mono = 0.0

    def pbx_now(self) -> float | None:
        """The PBX's clock now, or None before anything was heard."""
        return None if self._pbx_at is None else self._pbx_at + time.monotonic() - self._mono

    async def run(self, inbox: Inbox) -> None:
        """Consume until cancelled; a batch that was taken is always dealt with whole."""
        while True:
            batch: list[Arrival] = []
            try:
                async with asyncio.timeout(self._until_deadline()):
                    batch = await inbox.get_batch()
            except TimeoutError:
                self._tick()
            self.step_all(batch)

    def _until_deadline(self) -> float | None:
        deadline, now = self.core.next_deadline(), self.pbx_now()
        return None if deadline is None or now is None else max(0.0, deadline - now)

    def _tick(self) -> None:
        now, deadline = self.pbx_now(), self.core.next_deadline()
        if now is not None and deadline is not None:
            self._deliver(*self._guarded(Tick(max(now, deadline))))

    def step_all(self, batch: Iterable[Arrival]) -> None:
        """Take arrivals in order and hand what they led to on, once for the batch.

        This is what every event goes through, thousands a second: no calls but those that do something.
        """
        facts: list[Fact] = []
        commands: list[Command] = []
        clock, step, next_deadline = self._clock, self._guarded, self.core.next_deadline
        for arrival in batch:
            what = arrival.what
            event: Event | None = what if type(what) in _EVENTS else self._parsed(arrival, facts)  # type: ignore[assignment]
            if event is None:
                continue
            self.figures.events += 1
            at, mono = event.at, arrival.mono
            if event is not what and not clock.keeps(at, mono):
                self._stepped(at, mono, facts, commands)
            deadline = next_deadline()
            if deadline is not None and deadline < at:
                self._ticks_before(at, facts, commands)
            self._pbx_at, self._mono = at, mono
            outcome = step(event)
            if outcome is not NOTHING:
                facts += outcome.facts
                commands += outcome.commands
            if type(event) in _HEARD:
                self._on_event(event)
        self._deliver(facts, commands)

    @staticmethod
    def _parsed(arrival: Arrival, facts: list[Fact]) -> Event | None:
        try:
            return parse(arrival.what, arrival.at)  # type: ignore[arg-type]  # a message
        except Unusable as error:
            facts.append(Rejected(arrival.pbx, error.reason, arrival.at, error.detail))
            return None

    def _stepped(self, at: float, mono: float, facts: list[Fact], commands: list[Command]) -> None:
        """A timestamp that may show a step of the PBX's clock, which moves what is open before anything is due."""
        if step := self._clock.step(at, mono):
            self._on_step(at, step)
            self._add(ClockStepped(at, step), facts, commands)

    def _ticks_before(self, at: float, facts: list[Fact], commands: list[Command]) -> None:
        """What came due before an event is dealt with first and as of its own instant, however late it is noticed."""
        for _ in range(_MOST_TICKS):
            deadline = self.core.next_deadline()
            if deadline is None or deadline >= at:
                return
            self._add(Tick(deadline), facts, commands)

    def _add(self, event: Event, facts: list[Fact], commands: list[Command]) -> None:
        outcome = self._guarded(event)
        facts += outcome.facts
        commands += outcome.commands

    def _guarded(self, event: Event) -> Outcome:
        """A bug of ours costs one event, not the daemon: it is logged, counted and shown in health."""
        try:
            return self.core.step(event)
        except Exception:
            self.figures.bugs += 1
            log.exception("core_failed", pbx=self.core.pbx, event_type=type(event).__name__)
            return NOTHING

    def _deliver(self, facts: Sequence[Fact], commands: Sequence[Command]) -> None:
        if facts:
            self._log_rejects(facts)
            for sink in self._sinks:
                self._give(sink, facts)
        if commands:
            self._act(commands)

    def _give(self, sink: Take, facts: Sequence[Fact]) -> None:
        try:
            sink(facts)
        except Exception:
            self.figures.bugs += 1
            log.exception("sink_failed", pbx=self.core.pbx, sink=getattr(sink, "__qualname__", repr(sink)))

    def _log_rejects(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if type(fact) is Rejected:
                self.figures.rejected += 1
                if self.figures.rejected <= _LOGGED_REJECTS:
                    log.warning("rejected", pbx=fact.pbx, reason=fact.reason.value, detail=fact.detail)
