"""The current picture in memory, fed by facts: who is where, who waits, which calls live, today's figures.

A sink like the others: `take` gets what the core says and never raises; reading makes frozen snapshots. What ended
leaves, so memory is bounded by what lives (and by caps, should an end never come). Instants are epoch seconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Disposition,
    Fact,
    Fault,
    Incident,
    Link,
    Queue,
    QueueStay,
    State,
    Talk,
    WorkItem,
)
from cti.daemon.tally import Day, QueueCounts, Remembered, Tally
from metrics.formulas import ServiceLevel, occupancy, service_level

_MOST_CALLS = 50_000

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LiveAgent:
    """One agent now."""

    state: AgentState
    away: AwayEpisode | None  # the open one
    seconds: dict[State, float]  # today, up to now
    occupancy: float | None  # today, 0–1


@dataclass(frozen=True, slots=True)
class LiveQueue:
    """One queue now, and its counts of today."""

    queue: Queue
    waiting: tuple[QueueStay, ...]  # longest first
    agents: dict[State, int]  # those logged in to it
    today: QueueCounts
    threshold: float  # seconds
    service_level: ServiceLevel


@dataclass(frozen=True, slots=True)
class LiveCall:
    """One call that lives."""

    call: Call
    waiting_in: str | None  # queue
    ringing: tuple[str, ...]  # agents, or devices of nobody
    talking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Today:
    """The local day's counts of everything."""

    calls: int
    answered: int  # calls
    abandoned: int  # calls
    away_incidents: int
    duty_calls: int
    duty_accepted: int
    work_items: int
    occupancy: float | None  # of all agents, 0–1


Part = QueueStay | Attempt | Talk


@dataclass(slots=True)
class _Open:
    call: Call | None = None
    parts: dict[str, Part] = field(default_factory=dict)  # those that have not ended, by id


class Live:
    """Keeps the picture.

    Args:
        timezone: in which "today" is meant.
        threshold: the service-level threshold of a queue by name, seconds.

    Attributes:
        lacks_before: what happened before this instant is not counted, or not all of it; None: everything is.
    """

    def __init__(
        self, timezone: str = "Asia/Shanghai", threshold: Callable[[str], float] = lambda _: 20.0
    ) -> None:
        self.lacks_before: float | None = None
        self._threshold = threshold
        self._tally = Tally(ZoneInfo(timezone))
        self._agents: dict[Key, AgentState] = {}
        self._heard: dict[Key, float] = {}  # since when the first state heard of each agent held
        self._former: dict[Key, AgentState] = {}  # open on record, of agents not heard of yet
        self._episodes: dict[Key, AwayEpisode] = {}
        self._queues: dict[Key, Queue] = {}
        self._links: dict[str, Link] = {}
        self._faults: dict[str, Fault] = {}
        self._open: dict[str, _Open] = {}
        self._ended = Remembered()
        self._takers: dict[type, Callable[[Any], None]] = {
            Call: self._call,
            QueueStay: self._stay,
            Attempt: self._attempt,
            Talk: self._talk,
            AgentState: self._agent_state,
            AwayEpisode: self._episode,
            Queue: self._queue,
            Link: self._link,
            Fault: self._fault,
            Incident: self._tally.incident,
            WorkItem: self._tally.work_item,
        }
        self._counters: dict[type, Callable[[Any], None]] = {
            Call: self._tally.call,
            QueueStay: self._count_stay,
            Incident: self._tally.incident,
            WorkItem: self._tally.work_item,
        }

    def take(self, facts: Iterable[Fact]) -> None:
        """Take what is true now; kinds that are not shown are passed over."""
        takers = self._takers
        for fact in facts:
            if (taker := takers.get(type(fact))) is not None:
                taker(fact)

    def count(self, facts: Iterable[Fact]) -> None:
        """Count what ended for the day's figures alone; who is where and which calls live stays as it is."""
        for fact in facts:
            if (counter := self._counters.get(type(fact))) is not None:
                counter(fact)

    def held(self, state: AgentState, until: float | None) -> None:
        """Add an agent's time in a state that is on record: up to the first state that was heard of that agent.

        Args:
            state: as recorded; give each once.
            until: when the next one on record began; None while there is none.
        """
        key = (state.pbx, state.agent)
        heard = self._heard.get(key)
        if until is not None:
            self._tally.held(state, until if heard is None else min(until, heard))
        elif heard is not None:
            self._tally.held(state, heard)
        else:
            self._former[key] = state  # until this agent is heard of

    def _call(self, call: Call) -> None:
        if call.merged_into is not None:
            self._merge(call.id, call.merged_into)
        elif call.ended_at is not None:
            self._tally.call(call)
            self._ended.first(call.id)
            self._open.pop(call.id, None)
        elif entry := self._entry(call.id):
            entry.call = call

    def _merge(self, younger: str, older: str) -> None:
        self._ended.first(younger)
        gone = self._open.pop(younger, None)
        into = self._entry(older) if gone and gone.parts else None
        if gone and into:
            into.parts |= {key: replace(part, call_id=older) for key, part in gone.parts.items()}

    def _entry(self, call_id: str) -> _Open | None:
        """Return the open call's entry, made when it is new; None for a call that has ended."""
        entry = self._open.get(call_id)
        if entry is None and call_id not in self._ended:
            entry = self._open[call_id] = _Open()
            if len(self._open) > _MOST_CALLS:
                self._open.pop(next(iter(self._open)))
        return entry

    def _stay(self, stay: QueueStay) -> None:
        self._count_stay(stay)
        waits = stay.outcome is None and stay.left_at is None and stay.answered_at is None
        self._part(stay, lives=waits)

    def _count_stay(self, stay: QueueStay) -> None:
        if stay.outcome is not None:
            self._tally.stay(stay, self._threshold(stay.queue))

    def _attempt(self, attempt: Attempt) -> None:
        self._part(attempt, lives=attempt.outcome is None and attempt.ended_at is None)

    def _talk(self, talk: Talk) -> None:
        self._part(talk, lives=talk.ended_at is None)

    def _part(self, part: Part, *, lives: bool) -> None:
        if lives:
            entry = self._entry(part.call_id)
            if entry:
                entry.parts[part.id] = part
        elif entry := self._open.get(part.call_id):
            entry.parts.pop(part.id, None)
            if entry.call is None and not entry.parts:
                del self._open[part.call_id]

    def _agent_state(self, state: AgentState) -> None:
        key = (state.pbx, state.agent)
        before = self._agents.get(key)
        if before and state.since < before.since:
            return  # sent again, or late
        if before is None:
            self._heard[key] = state.since
            before = self._former.pop(key, None)
        if before:
            self._tally.held(before, state.since)
        self._agents[key] = state

    def _episode(self, episode: AwayEpisode) -> None:
        key = (episode.pbx, episode.agent)
        known = self._episodes.get(key)
        if episode.ended_at is None:
            if known is None or episode.started_at >= known.started_at:
                self._episodes[key] = episode
        elif known and known.id == episode.id:
            del self._episodes[key]

    def _queue(self, queue: Queue) -> None:
        self._queues[queue.pbx, queue.name] = queue

    def _link(self, link: Link) -> None:
        known = self._links.get(link.pbx)
        if known is None or link.at >= known.at:
            self._links[link.pbx] = link

    def _fault(self, fault: Fault) -> None:
        if fault.ended_at is None:
            self._faults[fault.id] = fault
        else:
            self._faults.pop(fault.id, None)

    def midnight(self, now: float) -> float:
        """Return when the local day of `now` began."""
        return self._tally.midnight(self._tally.date(now))

    def complete(self, now: float) -> bool:
        """Return whether the figures of the local day of `now` have everything since midnight."""
        return self.lacks_before is None or self.midnight(now) >= self.lacks_before

    def agents(self, now: float) -> list[LiveAgent]:
        """Return every known agent, ordered by PBX and agent; `now` closes the running seconds."""
        return [self._agent(key, state, now) for key, state in sorted(self._agents.items())]

    def _agent(self, key: Key, state: AgentState, now: float) -> LiveAgent:
        seconds = self._seconds(key, self._tally.day(now), now)
        return LiveAgent(state, self._episodes.get(key), seconds, occupancy(seconds))

    def _seconds(self, key: Key, day: Day, now: float) -> dict[State, float]:
        seconds = dict(day.state_seconds.get(key, {}))
        state = self._agents.get(key)
        if state is not None:
            today = self._tally.date(now)
            running = sum(part for date, part in self._tally.split(state.since, now) if date == today)
            seconds[state.state] = seconds.get(state.state, 0.0) + running
        return seconds

    def queues(self, now: float) -> list[LiveQueue]:
        """Return every known queue, ordered by PBX and name."""
        waiting = self._waiting()
        counted = self._tally.day(now).queues
        known = {*self._queues, *waiting, *counted}
        return [self._queue_now(key, waiting.get(key, []), counted.get(key)) for key in sorted(known)]

    def _queue_now(self, key: Key, waiting: list[QueueStay], today: QueueCounts | None) -> LiveQueue:
        counts = today or QueueCounts()
        agents: dict[State, int] = {}
        for (pbx, _), state in self._agents.items():
            if pbx == key[0] and key[1] in state.queues and state.state is not State.LOGGED_OUT:
                agents[state.state] = agents.get(state.state, 0) + 1
        return LiveQueue(
            queue=self._queues.get(key) or Queue(*key, strategy="", wrap_up_seconds=0.0, max_waiting=0),
            waiting=tuple(sorted(waiting, key=lambda stay: stay.joined_at)),
            agents=agents,
            today=replace(counts),
            threshold=self._threshold(key[1]),
            service_level=service_level(
                offered=counts.offered,
                answered=counts.answered,
                answered_within=counts.answered_within,
                abandoned_within=counts.abandoned_within,
            ),
        )

    def _waiting(self) -> dict[Key, list[QueueStay]]:
        waiting: dict[Key, list[QueueStay]] = {}
        for entry in self._open.values():
            for part in entry.parts.values():
                if isinstance(part, QueueStay):
                    waiting.setdefault((part.pbx, part.queue), []).append(part)
        return waiting

    def calls(self) -> list[LiveCall]:
        """Return the calls that live, oldest first."""
        calls = [_call_now(entry.call, entry) for entry in self._open.values() if entry.call]
        return sorted(calls, key=lambda live: live.call.started_at)

    def links(self) -> list[Link]:
        """Return the last word about each PBX's event stream."""
        return [link for _, link in sorted(self._links.items())]

    def faults(self) -> list[Fault]:
        """Return the faults that have not ended, oldest first."""
        return sorted(self._faults.values(), key=lambda fault: fault.began_at)

    def today(self, now: float) -> Today:
        """Return the counts of the local day of `now`."""
        day = self._tally.day(now)
        total: dict[State, float] = {}
        for key in {*self._agents, *day.state_seconds}:
            for state, seconds in self._seconds(key, day, now).items():
                total[state] = total.get(state, 0.0) + seconds
        return Today(
            calls=day.calls,
            answered=day.dispositions.get(Disposition.ANSWERED, 0),
            abandoned=day.dispositions.get(Disposition.ABANDONED, 0),
            away_incidents=day.away_incidents,
            duty_calls=day.duty_calls,
            duty_accepted=day.duty_accepted,
            work_items=day.work_items,
            occupancy=occupancy(total),
        )


def _call_now(call: Call, entry: _Open) -> LiveCall:
    parts = entry.parts.values()
    return LiveCall(
        call=call,
        waiting_in=next((part.queue for part in parts if isinstance(part, QueueStay)), None),
        ringing=tuple(part.agent or part.device for part in parts if isinstance(part, Attempt)),
        talking=tuple(part.agent or part.device for part in parts if isinstance(part, Talk)),
    )
