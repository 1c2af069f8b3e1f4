"""Queues: what became of the calls that joined, how long they waited, who waits now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric

from cti.core.facts import (
    NOT_LET_IN,
    Attempt,
    AttemptOutcome,
    Link,
    Queue,
    QueueStay,
    State,
    StayOutcome,
    Talk,
    is_settled,
)
from metrics import families as f
from metrics.families import OFFERED, OTHER, UNKNOWN, Labels
from metrics.series import Histogram, Names, Once, Tally

_MOST_WAITING = 10_000  # callers remembered as waiting; the oldest gives way
_HELD = 300.0  # s that the books get to say what is unknown of a stay; a counter can take nothing back
_MOST_HELD = 10_000  # the oldest gives way, and is counted as it is
_WITHIN = (StayOutcome.ANSWERED, StayOutcome.ABANDONED)
_Which = tuple[str, str]  # PBX, queue


@dataclass(slots=True)
class _Queue:
    threshold: float
    listed: bool = True  # the PBX named it since the link last came up
    waits: dict[StayOutcome, Histogram] = field(default_factory=dict)

    def wait(self, outcome: StayOutcome) -> Histogram:
        """The histogram of this outcome, made on first use."""
        if outcome not in self.waits:
            self.waits[outcome] = Histogram((*f.WAIT_BUCKETS, self.threshold))
        return self.waits[outcome]

    def change(self, threshold: float) -> None:
        """Go by another threshold. Where no bucket ends there the histograms begin anew, which reads as a restart does."""
        if threshold == self.threshold:
            return
        self.threshold = threshold
        for outcome, counted in list(self.waits.items()):
            if not counted.has(threshold):
                del self.waits[outcome]
                self.wait(outcome)


class QueueSeries:
    """Everything exported about queues. `thresholds` are service-level seconds by queue name."""

    def __init__(
        self, thresholds: Mapping[str, float], default: float, limit: int, overflow: Tally, *, started: float
    ) -> None:
        self._started = started
        self._held: dict[str, QueueStay] = {}  # those of which not everything is known, by id
        self._thresholds = thresholds
        self._default = default
        self._names = Names("queue", limit, overflow)
        self._queues: dict[_Which, _Queue] = {}
        self._waiting: dict[str, tuple[_Which, float]] = {}  # stay id → queue, joined
        self._ended = Once()
        self._talked = Once()
        self._rang = Once()
        self._calls = Tally()
        self._within = Tally()
        self._talk = Tally()
        self._hold = Tally()
        self._attempts = Tally()

    def use_thresholds(self, thresholds: Mapping[str, float], default: float) -> None:
        """Go by other thresholds from now on; what was counted as within the old ones stays counted."""
        self._thresholds, self._default = thresholds, default
        for (_, name), queue in self._queues.items():
            queue.change(thresholds.get(name, default))

    def _label(self, pbx: str, queue: str) -> str:
        name = self._names.label(pbx, queue)
        if (pbx, name) not in self._queues:
            self._know(pbx, name)
        return name

    def _know(self, pbx: str, name: str) -> None:
        made = _Queue(self._thresholds.get(name, self._default))
        self._queues[pbx, name] = made
        for outcome in StayOutcome:
            self._calls.know(pbx, name, outcome)
        for outcome in OFFERED:
            made.wait(outcome)
        for outcome in _WITHIN:
            self._within.know(pbx, name, outcome)
        for attempt in AttemptOutcome:
            self._attempts.know(pbx, name, attempt)
        self._talk.know(pbx, name)
        self._hold.know(pbx, name)

    def queue(self, fact: Queue) -> None:
        """The PBX has this queue."""
        self._queues[fact.pbx, self._label(fact.pbx, fact.name)].listed = True

    def link(self, fact: Link) -> None:
        """After a gap the PBX lists its queues anew; one that it no longer lists has left."""
        if fact.up:
            return
        for (pbx, _), queue in self._queues.items():
            if pbx == fact.pbx:
                queue.listed = False

    def stay(self, fact: QueueStay) -> None:
        """Follow a pass through a queue, and count it once it is known how it ended, and where.

        What is not known after a while is counted as that, and stays so. What an earlier process must have counted so is
        not counted again.
        """
        name = self._label(fact.pbx, fact.queue) if fact.queue else ""
        if name:
            self._queues[fact.pbx, name].listed = True
            if fact.left_at is None and fact.answered_at is None and fact.outcome is None:
                self._wait((fact.pbx, name), fact)
                return
        self._waiting.pop(fact.id, None)
        if fact.outcome is None:
            return
        if fact.id in self._ended:
            return
        if not is_settled(fact):
            self._keep(fact)
        elif self._held.pop(fact.id, None) is not None or not self._was_counted(fact):
            self._end(fact, name)

    def _keep(self, fact: QueueStay) -> None:
        self._held[fact.id] = fact
        if len(self._held) > _MOST_HELD:
            self._give_up(self._held.pop(next(iter(self._held))))

    def _give_up(self, fact: QueueStay) -> None:
        self._end(fact, self._label(fact.pbx, fact.queue or UNKNOWN))

    def _was_counted(self, fact: QueueStay) -> bool:
        """Whether it was completed from the books, so long ago that a process before this one no longer waited for it."""
        completed = any(source.startswith(("queue:", "outcome:")) for source in fact.sources)
        return completed and (fact.left_at or fact.joined_at) < self._started - _HELD

    def _end(self, fact: QueueStay, name: str) -> None:
        if fact.outcome is not None and self._ended.first(fact.id):
            self._count((fact.pbx, name), fact.outcome, fact.wait)

    def _wait(self, which: _Which, fact: QueueStay) -> None:
        self._waiting[fact.id] = (which, fact.joined_at)
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _count(self, which: _Which, outcome: StayOutcome, wait: float | None) -> None:
        queue = self._queues[which]
        self._calls.add(*which, outcome)
        if wait is None or outcome in NOT_LET_IN:  # who never waited
            return
        queue.wait(outcome).observe(wait)
        if outcome in _WITHIN and wait <= queue.threshold:
            self._within.add(*which, outcome)

    def talk(self, fact: Talk) -> None:
        """Count an agent's finished talk on a call that a queue brought."""
        if fact.queue and fact.agent and fact.ended_at is not None and self._talked.first(fact.id):
            name = self._label(fact.pbx, fact.queue)
            self._talk.add(fact.pbx, name, by=fact.ended_at - fact.started_at)
            self._hold.add(fact.pbx, name, by=fact.hold or 0.0)

    def attempt(self, fact: Attempt) -> None:
        """Count a ringing of a member when it ended."""
        if fact.queue and fact.outcome is not None and self._rang.first(fact.id):
            self._attempts.add(fact.pbx, self._label(fact.pbx, fact.queue), fact.outcome)

    def collect(self, members: Mapping[Labels, float], now: float) -> Iterator[Metric]:
        """All families; `members` are the logged-in members by (PBX, queue, state)."""
        for fact in [one for one in self._held.values() if (one.left_at or one.joined_at) < now - _HELD]:
            self._give_up(self._held.pop(fact.id))
        self._forget()
        queues = sorted(self._queues.items())
        yield f.QUEUE_CALLS.filled(self._calls)
        yield f.QUEUE_WAIT.histogram(
            ((*which, outcome), waits.buckets(), waits.total)
            for which, queue in queues
            for outcome, waits in queue.waits.items()
        )
        yield f.QUEUE_WITHIN.filled(self._within)
        yield f.QUEUE_THRESHOLD.filled((which, queue.threshold) for which, queue in queues)
        yield f.QUEUE_TALK.filled(self._talk)
        yield f.QUEUE_HOLD.filled(self._hold)
        yield f.QUEUE_ATTEMPTS.filled(self._attempts)
        yield f.QUEUE_MEMBERS.filled(self._members(members))
        yield from self._collect_waiting()

    def _collect_waiting(self) -> Iterator[Metric]:
        count = dict.fromkeys(self._queues, 0)
        oldest: dict[_Which, float] = {}
        for which, joined in self._waiting.values():
            count[which] += 1
            oldest[which] = min(oldest.get(which, joined), joined)
        yield f.QUEUE_WAITING.filled((which, number) for which, number in sorted(count.items()))
        yield f.QUEUE_OLDEST.filled(sorted(oldest.items()))

    def _members(self, members: Mapping[Labels, float]) -> Tally:
        tally = Tally()
        for pbx, queue in self._queues:
            for state in State:
                if state is not State.LOGGED_OUT:
                    tally.know(pbx, queue, state)
        for (pbx, queue, state_), number in members.items():
            tally.add(pbx, queue if (pbx, queue) in self._queues else OTHER, state_, by=number)
        return tally

    def _forget(self) -> None:
        """Drop queues the PBX did not list again, once it has listed any and nobody waits in them."""
        relisted = {pbx for (pbx, _), queue in self._queues.items() if queue.listed}
        busy = {which for which, _ in self._waiting.values()}
        for which, queue in list(self._queues.items()):
            if queue.listed or which[0] not in relisted or which in busy or which[1] in {OTHER, UNKNOWN}:
                continue
            del self._queues[which]
            self._names.forget(*which)
            for tally in (self._calls, self._within, self._talk, self._hold, self._attempts):
                tally.forget(which)
