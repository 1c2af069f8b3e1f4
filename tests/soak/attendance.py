"""Holds the states of agents who only come and go against queue_log, without the product's own code for either.

Logged in is a member of at least one queue, away is paused in all of them. Each change of that kind in the book must be
on record, once, within its second; and between two rows of an agent there is neither a hole nor an overlap.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from cti.core.facts import AgentState, AwayEpisode, Gap, State
from store.queries import StateSpan
from tests.soak.clerks import Membership, Restart
from tests.soak.verdict import Difference

_EARLY, _LATE = (
    0.1,
    1.3,
)  # s by which AMI may differ from the whole second of the book; events of a busy PBX lag
_LINK = 20.0  # s after which the daemon has asked a restarted PBX
_NEAR = 90.0  # s within which a change of the same kind is taken for the same change, at a wrong instant
GRACE = 1.0  # s; a return that is shorter does not end an absence
_BRIEF = 0.05  # s of a row that ends as it begins
_KNOWN = frozenset({"break", "lunch", "training", "meeting", "after_call", "rule", "other"})
_VERBS = frozenset({"ADDMEMBER", "REMOVEMEMBER", "PAUSE", "UNPAUSE"})

MISSING, DUPLICATED = "agent_missing", "agent_duplicated"
FORGOTTEN = "agent_forgotten"


@dataclass(frozen=True)
class Change:
    """An agent came into a state; epochs between which that was."""

    state: State
    reason: str
    earliest: float
    latest: float
    line: str

    def holds_at(self, at: float | None) -> bool:
        """Whether it may have been then."""
        return at is not None and self.earliest <= at <= self.latest

    def is_of(self, state: AgentState) -> bool:
        return (self.state, self.reason) == (state.state, state.reason)


@dataclass
class Seat:
    """One agent's memberships, as the book's lines make them, and what state they put the agent in."""

    members: dict[str, tuple[bool, str]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    blind: list[tuple[float, float]] = field(default_factory=list)  # epochs between which no book tells

    def take(self, line: str) -> None:
        """A line of an agent's own."""
        epoch, _, queue, _, verb, *data = line.split("|")
        first = data[0] if data else ""
        match verb:
            case "ADDMEMBER":
                self.members[queue] = first == "PAUSED", ""
            case "REMOVEMEMBER":
                self.members.pop(queue, None)
            case "PAUSE" | "UNPAUSE":
                self.members[queue] = verb == "PAUSE", first if verb == "PAUSE" else ""
        self._derive(float(epoch) - _EARLY, float(epoch) + _LATE, line)

    def found(self, members: Membership, restart: Restart, began: float, looked: float, line: float) -> None:
        """What a PBX has that began anew; `looked` is when the daemon asked it, `line` of when the agent's next line is.

        Where the PBX forgot something and the agent did something else before anybody asked, what was so in between
        is in no book.
        """
        if line <= looked and dict(members) != self.members:
            self.blind.append((began - _EARLY, looked + _LATE))
        self.members = dict(members)
        self._derive(restart.died - _LATE, restart.asked + _LINK, "found after a restart of the PBX")

    def of_change(self, kind: str, agent: str, what: str, change: Change) -> Difference:
        """One about a change; `FORGOTTEN` where no book tells."""
        told = not any(begin <= change.latest and change.earliest <= end for begin, end in self.blind)
        return Difference(kind if told else FORGOTTEN, agent, what, lines=(change.line,))

    def of_record(self, kind: str, agent: str, what: str, at: float | None) -> Difference:
        """One about an instant on record."""
        told = not any(begin <= (at or math.inf) <= end for begin, end in self.blind)
        return Difference(kind if told else FORGOTTEN, agent, what)

    def _derive(self, earliest: float, latest: float, line: str) -> None:
        reasons = {
            reason if reason in _KNOWN else "other" for paused, reason in self.members.values() if paused
        }
        away = bool(self.members) and all(paused for paused, _ in self.members.values())
        if away and len(reasons) > 1:
            return  # pausing in all queues is a line for each: the last one tells
        state = State.AWAY if away else State.AVAILABLE if self.members else State.LOGGED_OUT
        change = Change(state, reasons.pop() if away else "", earliest, latest, line)
        before = self.changes[-1] if self.changes else Change(State.LOGGED_OUT, "", 0, 0, "")
        if (before.state, before.reason) != (change.state, change.reason):
            self.changes.append(change)


def read(
    queue_log: str,
    agents: Iterable[str],
    restarts: Sequence[Restart] = (),
    since: float = 0.0,
    gaps: Iterable[Gap] = (),
) -> Mapping[str, Seat]:
    """What the book says of each agent from `since` on; nobody was logged in then. In the end of a gap the daemon asked."""
    seats = {agent: Seat() for agent in agents}
    survived, looks = iter(restarts), [gap.ended_at for gap in gaps]
    lines = [line for line in queue_log.splitlines() if float(line.split("|")[0]) >= int(since)]
    for n, line in enumerate(lines):
        epoch, _, _, member, verb, *_ = line.split("|")
        if verb == "QUEUESTART" and (restart := next(survived, None)) is not None:
            looked = min((at for at in looks if at >= float(epoch)), default=restart.asked)
            for agent, seat in seats.items():
                own = (one.split("|") for one in lines[n + 1 :])
                after = next((float(one[0]) for one in own if one[3] == agent and one[4] in _VERBS), math.inf)
                seat.found(restart.members.get(agent, {}), restart, float(epoch), looked, after)
        elif verb in _VERBS and member in seats:
            seats[member].take(line)
    return seats


def compare(
    seats: Mapping[str, Seat], rows: Iterable[StateSpan], gaps: Iterable[Gap] = ()
) -> Iterator[Difference]:
    """In what the records differ from the book."""
    looked = [gap.ended_at for gap in gaps]
    of_agent: dict[str, list[StateSpan]] = {agent: [] for agent in seats}
    for row in sorted(rows, key=lambda row: row.state.since):
        if row.state.agent in of_agent:
            of_agent[row.state.agent].append(row)
    for agent, seat in seats.items():
        yield from _of_agent(agent, seat, of_agent[agent], looked)


def _of_agent(
    agent: str, seat: Seat, rows: Sequence[StateSpan], looked: Sequence[float]
) -> Iterator[Difference]:
    states, repeated = _told_once([row.state for row in rows], looked)
    for state in repeated:
        what = f"{_said(state)} is on record, and goes on since before that"
        yield seat.of_record(DUPLICATED, agent, what, state.since)
    for change, on_record in _pairs(seat.changes, states):
        if on_record is None:
            yield seat.of_change(MISSING, agent, f"{change.state} {change.reason}", change)
            continue
        states.remove(on_record)
        if not change.holds_at(on_record.since):
            what = f"{_said(on_record)}, in the book between {change.earliest:.1f} and {change.latest:.1f}"
            yield seat.of_change("agent_since", agent, what, change)
    for state in states:
        yield seat.of_record(DUPLICATED, agent, f"{_said(state)}: no line of the book says so", state.since)
    yield from _ends(agent, rows)
    if rows and sorted(rows[-1].state.queues) != sorted(seat.members):
        yield Difference("agent_queues", agent, f"{rows[-1].state.queues}, in the book {tuple(seat.members)}")


def compare_absences(seats: Mapping[str, Seat], episodes: Iterable[AwayEpisode]) -> Iterator[Difference]:
    """In what the away episodes differ from the book: each time away is within one, which begins and ends as the book says.

    Whether a short return ended one is not asked: the book's seconds do not tell it from one a moment longer.
    """
    of_agent: dict[str, list[AwayEpisode]] = {agent: [] for agent in seats}
    for one in sorted(episodes, key=lambda one: one.started_at):
        if one.agent in of_agent:
            of_agent[one.agent].append(one)
    for agent, seat in seats.items():
        yield from _times_away(agent, seat, of_agent[agent])
        for one in of_agent[agent]:
            yield from _episode(agent, seat, one)


def _times_away(agent: str, seat: Seat, episodes: Sequence[AwayEpisode]) -> Iterator[Difference]:
    for change, after in zip(seat.changes, [*seat.changes[1:], None], strict=True):
        if change.state is not State.AWAY:
            continue
        about = [one for one in episodes if _lasts(one, change.latest, after.earliest if after else math.inf)]
        if not about:
            what = f"no absence: {change.line}"
            yield seat.of_change("absence_missing", agent, what, change)
        elif len(about) > 1:
            what = f"absences {[one.id for one in about]}"
            yield seat.of_change("absence_duplicated", agent, what, change)


def _episode(agent: str, seat: Seat, one: AwayEpisode) -> Iterator[Difference]:
    left = any(change.state is State.AWAY and change.holds_at(one.started_at) for change in seat.changes)
    back = any(change.state is not State.AWAY and change.holds_at(one.ended_at) for change in seat.changes)
    if not (left and back):
        what = f"{one.id} from {one.started_at:.3f} until {one.ended_at}"
        yield seat.of_record("absence_wrong", agent, what, one.ended_at if left else one.started_at)


def _lasts(one: AwayEpisode, begin: float, end: float) -> bool:
    """Whether it lasts for a part of this time; of a time of which the tolerances leave nothing, for a part of those."""
    first, last = min(begin, end), max(begin, end)
    return one.started_at <= last and (one.ended_at is None or one.ended_at >= first)


def _told_once(
    states: Sequence[AgentState], looked: Iterable[float]
) -> tuple[list[AgentState], list[AgentState]]:
    """The changes, and rows that change nothing.

    In what somebody was found after a gap, when the PBX was asked, is a row of its own; the books' row says since when.
    """
    changes: list[AgentState] = []
    repeated: list[AgentState] = []
    for state in states:
        if not changes or (changes[-1].state, changes[-1].reason) != (state.state, state.reason):
            changes.append(state)
        elif not any(abs(state.since - at) < _BRIEF for at in looked):
            repeated.append(state)
    return changes, repeated


def _pairs(changes: Sequence[Change], states: Sequence[AgentState]) -> list[tuple[Change, AgentState | None]]:
    """Each change with its state on record: in its second, else the nearest that nobody claims; None where there is none."""
    free = dict(enumerate(states))
    found: dict[int, AgentState] = {}
    for exact in (True, False):
        for place, change in enumerate(changes):
            if place in found:
                continue
            near = [
                (abs(state.since - change.earliest), n)
                for n, state in free.items()
                if change.is_of(state) and _fits(change, state.since, exact=exact)
            ]
            if near:
                found[place] = free.pop(min(near)[1])
    return [(change, found.get(place)) for place, change in enumerate(changes)]


def _fits(change: Change, since: float, *, exact: bool) -> bool:
    spare = 0.0 if exact else _NEAR
    return change.earliest - spare <= since <= change.latest + spare


def _ends(agent: str, rows: Sequence[StateSpan]) -> Iterator[Difference]:
    for row, after in pairwise(rows):
        if row.until is None or abs(row.until - after.state.since) > _BRIEF:
            yield Difference(
                "agent_until", agent, f"{_said(row.state)} until {row.until}, then {_said(after.state)}"
            )
    if rows and rows[-1].until is not None:
        yield Difference(
            "agent_until", agent, f"{_said(rows[-1].state)} until {rows[-1].until}, then nothing"
        )


def _said(state: AgentState) -> str:
    sources = f" from {', '.join(state.sources)}" if state.sources else ""
    return f"{state.state} {state.reason} since {state.since:.3f} ({state.cause}){sources}"
