"""Who was logged in where as lines of queue_log begin, and as an Asterisk began: by the record, for that book does not say. Pure.

A state on record has the queues that it had in the end, and those of them in which the agent was paused. What the lines
tell of a queue while that state held was otherwise before them.

An Asterisk that is killed forgets what it had not written to its AstDB, logins and pauses of the last second. queue_log
still has those; what the next Asterisk was found with is on record.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cti.core import events as ev
from cti.core.books import OF_MEMBERS, QueueRow
from cti.core.facts import AgentState, Fact, State
from cti.core.people import device_of

_FOUND = 60.0  # s after its start within which an Asterisk is listened to again
_NEVER = float("inf")
_LATEST = 1.0  # last pause of those whose reason counts: before any line


@dataclass(frozen=True, slots=True)
class Seat:
    """A queue that somebody was in."""

    queue: str
    reason: str | None  # why they were paused in it; None: they were not
    sure: bool = True  # this is on record, and not concluded from the lines


class RollCall:
    """Of the agents of one PBX, over some lines of its queue_log."""

    def __init__(self, states: Iterable[AgentState], lines: Iterable[QueueRow]) -> None:
        self._states: dict[str, list[AgentState]] = {}
        for state in sorted(states, key=_since):
            self._states.setdefault(state.agent, []).append(state)
        self._lines: dict[str, list[QueueRow]] = {}
        for row in lines:
            if row.verb in OF_MEMBERS:
                self._lines.setdefault(row.member, []).append(row)

    def held(self, at: float) -> Iterator[AgentState]:
        """The state each agent was in at an instant."""
        for states in self._states.values():
            place = bisect_right(states, at, key=_since)
            if place:
                yield states[place - 1]

    def lines_of(self, agent: str, after: float = 0.0) -> list[QueueRow]:
        """About where an agent is logged in and paused, later than an instant."""
        return [row for row in self._lines.get(agent, ()) if row.at > after]

    def seats(self, held: AgentState, lines: Iterable[QueueRow]) -> Iterator[Seat]:
        """Where whoever was in a state was before these lines."""
        if held.state is State.LOGGED_OUT:
            return
        told: dict[str, list[QueueRow]] = {}
        for row in lines:
            told.setdefault(row.queue, []).append(row)
        states = [one for one in self._states[held.agent] if one.since >= held.since]
        for queue in sorted({*told, *(queue for one in states for queue in one.queues)}):
            seat = _seat(queue, states, told.get(queue, ()))
            if seat is not None:
                yield seat

    def members(self, held: AgentState, lines: Iterable[QueueRow], at: float) -> Iterator[ev.MemberSeen]:
        """The same, told as of an instant."""
        for seat in self.seats(held, lines):
            yield _member(held, seat, at)


def _since(state: AgentState) -> float:
    return state.since


def _seat(queue: str, states: Sequence[AgentState], lines: Sequence[QueueRow]) -> Seat | None:
    """Whether somebody was in a queue as the first of these states held, before these lines about that queue."""
    if lines and lines[0].verb == "ADDMEMBER":
        return None
    held, first = states[0], lines[0].at if lines else _NEVER
    ends = [*(one.since for one in states[1:]), _NEVER]
    # A later state that was over before the first line has the queue as it was all the time.
    later = [one for one, end in zip(states[1:], ends[1:], strict=True) if end <= first]
    seen = later[-1] if later else held
    if not lines and queue not in seen.queues:
        return None
    reason, sure = _paused(seen).get(queue), True
    if held.state is State.AWAY:
        return Seat(queue, reason if reason is not None else held.reason)
    if not later:
        verbs = [row.verb for row in lines if row.at <= ends[0]]
        reason = None if "PAUSE" in verbs else reason
        sure = not verbs or (verbs == ["REMOVEMEMBER"] and queue in held.queues)
    return Seat(queue, reason, sure)


def _paused(state: AgentState) -> dict[str, str]:
    """Queue to reason."""
    return dict(one.rpartition(":")[::2] for one in state.paused)


def _member(state: AgentState, seat: Seat, at: float) -> ev.MemberSeen:
    device = device_of(state.device) if state.device.endswith((";1", ";2")) else state.device
    last_pause = _LATEST if seat.reason == state.reason else 0.0
    return ev.MemberSeen(
        at, "listed", seat.queue, state.agent, device, device, "dynamic", seat.reason is not None,
        seat.reason or "", 1, 0.0, last_pause, 0.0,
    )  # fmt: skip


class Forgotten:
    """What each Asterisk that began within the lines had forgotten, while they are told."""

    def __init__(self, roll: RollCall, starts: Iterable[float], asked: Iterable[float]) -> None:
        """Make one.

        Args:
            roll: who was found where.
            starts: when an Asterisk began.
            asked: when a PBX was asked what it has.
        """
        self._roll = roll
        self._told: dict[str, AgentState] = {}
        self._found: list[tuple[float, AgentState]] = []
        looks = sorted(asked)
        for start in starts:
            for look in [at for at in looks if start <= at < start + _FOUND][:1]:
                for found in roll.held(look):
                    busy = [row.at for row in roll.lines_of(found.agent) if start <= row.at <= look]
                    if look // 1 not in busy:  # else nobody knows which was first
                        self._found.append((look if busy else start, found))
        self._found.sort(key=lambda found: found[0])

    def take(self, fact: Fact) -> None:
        """Notice what the lines make of an agent."""
        if isinstance(fact, AgentState):
            self._told[fact.agent] = fact

    def among(self, events: Sequence[ev.Event]) -> Iterator[ev.Event]:
        """These events, and among them what corrects agents who were found otherwise than the lines have it.

        Not before the agent's own lines that are older than that, whenever these are told. Of the others' lines none
        that is told at its second is older; of calls some things are told ahead of their time.
        """
        lines: dict[str, list[tuple[int, float]]] = {}  # place and instant of each agent's own
        for place, event in enumerate(events if self._found else ()):
            if isinstance(event, ev.MemberSeen | ev.MemberRemoved):
                lines.setdefault(event.member, []).append((place, event.at))
        waiting = [(when, found, _after(lines.get(found.agent, ()), when)) for when, found in self._found]
        for place, (event, due) in enumerate(zip(events, _due(events), strict=True)):
            ready = [one for one in waiting if one[0] < due and one[2] <= place]
            waiting = [one for one in waiting if one not in ready] if ready else waiting
            for when, found, _ in ready:
                yield from self._corrected(found, when)
            yield event
        for when, found, _ in waiting:
            yield from self._corrected(found, when)

    def _corrected(self, found: AgentState, when: float) -> Iterator[ev.Event]:
        told = self._told.get(found.agent) or replace(found, state=State.LOGGED_OUT, queues=(), paused=())
        alike = (told.state, told.reason) == (found.state, found.reason)
        paused: dict[str, str | None] = dict(_paused(told))
        seats = {one.queue: one for one in self._roll.seats(found, self._roll.lines_of(found.agent, when))}
        for queue in sorted(set(told.queues) - set(seats)):
            yield ev.MemberRemoved(when, queue, told.agent, told.device)
        for queue, seat in seats.items():
            right = paused.get(queue) == seat.reason or (alike and not seat.sure)
            if queue not in told.queues or not right:
                yield _member(found, seat, when)


def _after(lines: Iterable[tuple[int, float]], when: float) -> int:
    """The place behind the last of these lines that is not later than this."""
    return max((place for place, at in lines if at <= when), default=-1) + 1


def _due(events: Sequence[ev.Event]) -> list[float]:
    """Of each event the time up to which every line about members has been told before it, but for those told late."""
    due, line = [], _NEVER
    for event in reversed(events):
        if isinstance(event, ev.MemberSeen) and not event.paused:
            line = min(line, event.at)
        due.append(min(line, event.at))
    return due[::-1]
