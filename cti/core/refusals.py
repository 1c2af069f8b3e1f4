"""Callers whom a queue did not let in, as the books tell of them. Pure.

app_queue writes nothing of them into queue_log. CEL has every run of the application Queue, with the queue's name and the
instant: one in which nobody waits by queue_log, and that is over at once, turned its caller away. Runs that follow each
other without anything between them are one in CEL: its begin names the first queue, its end the last, and queue_log the
queues that let the caller in. Of several in between, and of the same queue again, nothing remains.

A run that a transfer touched is passed over, for its channel may have become another's (a masquerade); so is one that
lasted although nobody waits in it, for then it is queue_log that lacks something. The CDR of a PBX without CEL tells only
of a caller whose call ended in Queue.

Whether the queue was full or empty no book says. Nobody waited in it: it was empty. Somebody did: it was full, unless more
than that waited there at another time.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain

from cti.core.books import CLOCK_LAG, QueueRow
from cti.core.cel import CHANNEL_ENDS, CelRow, Run, queue_of, runs_of
from cti.core.facts import NOT_LET_IN, QueueStay, StayOutcome
from cti.core.passes import QueuePass, passes

_QUICK = 2.0  # s that being turned away takes at most, on a busy machine
_EARLY = 0.5  # s by which queue_log's second may be late
_SECOND = 1.0
_FIRST_LINES = 2.0  # s after the begin of what was read in which lines of queue_log may be missing
_SAME = 2.5  # s by which two accounts of one such moment may differ
_SEEN = 0.5  # s by which AMI may be before CEL
_INSTANT = 1e-6  # s
_LONGEST = 4 * 3600.0  # s; who is said to wait longer does not: the book lacks the end of it
_START = "QUEUESTART"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One caller, turned away by one queue."""

    at: float
    uniqueid: str
    queue: str
    outcome: StayOutcome
    row: CelRow  # that tells of it


def refusals(
    channels: Mapping[str, Sequence[CelRow]],
    queue_log: Sequence[QueueRow],
    *,
    exact: bool = True,
    since: float = 0.0,
    gone: Mapping[str, float] | None = None,
) -> list[Refusal]:
    """Everybody on these channels who was turned away.

    Args:
        channels: the rows of each, in the book's order.
        queue_log: all of it, also of others: they are who fills a queue.
        exact: False when the rows were made of the CDR.
        since: from when on the books were read; of what was first in it they may lack the other half.
        gone: when channels were over, also those of others; None: of these alone it is known.
    """
    tried = {own for own, rows in channels.items() if any(row.app == "Queue" for row in rows)}
    if not tried:
        return []
    reader = _Reader([row for row in queue_log if row.callid in tried or row.verb == _START], channels)
    found = (
        one
        for uniqueid in channels
        if uniqueid in tried
        for one in (reader.of_cel if exact else reader.of_cdr)(uniqueid, channels[uniqueid])
    )
    settled = since + _FIRST_LINES if since else 0.0
    told = [(queue, row) for row in found if row.at >= settled and (queue := queue_of(row))]
    queues = {queue for queue, _ in told}
    if not queues:
        return []
    ends = ends_of(chain.from_iterable(channels.values())) if gone is None else gone
    crowd = _Crowd([row for row in queue_log if row.queue in queues or row.verb == _START], ends)
    return [Refusal(row.at, row.uniqueid, queue, crowd.outcome(queue, row.at), row) for queue, row in told]


def ends_of(rows: Iterable[CelRow]) -> dict[str, float]:
    """When the channel of each uniqueid was over; those that go on are left out."""
    return {row.uniqueid: row.at for row in rows if row.event in CHANNEL_ENDS}


class _Reader:
    """Finds the rows that tell of a refusal; the queue is the one that the row names."""

    def __init__(self, queue_log: Sequence[QueueRow], channels: Mapping[str, Sequence[CelRow]]) -> None:
        self._waits: dict[str, list[QueuePass]] = {}
        whole: set[str] = set()
        for one in passes(queue_log):
            self._waits.setdefault(one.uniqueid, []).append(one)
            whole.update(one.lines)
        # By channel and queue: seconds of lines that belong to no pass.
        self._strays: dict[str, dict[str, list[float]]] = {}
        for line in queue_log:
            if line.raw not in whole:
                self._strays.setdefault(line.callid, {}).setdefault(line.queue, []).append(line.at)
        self._moves: dict[str, list[CelRow]] = {}  # by channel: transfers that name it
        for rows in channels.values():
            for row in rows:
                if row.event == "ATTENDEDTRANSFER":
                    for own in {row.uniqueid, *map(str, row.extra.values())}:
                        self._moves.setdefault(own, []).append(row)

    def of_cel(self, uniqueid: str, rows: Sequence[CelRow]) -> Iterator[CelRow]:
        runs = runs_of(rows, "Queue")
        if not runs:
            return
        places = _Places(runs)
        waits: list[list[QueuePass]] = [[] for _ in runs]
        strays = {queue: list(seconds) for queue, seconds in self._strays.get(uniqueid, {}).items()}
        for one in self._waits.get(uniqueid, ()):
            place = places.of(one)
            if place is not None:
                waits[place].append(one)
            else:  # of a run that is not known
                strays.setdefault(one.queue, []).append(one.entered_at)
        for seconds in strays.values():
            seconds.sort()
        swaps = _Swaps(uniqueid, self._moves.get(uniqueid, ()))
        for run, waited in zip(runs, waits, strict=True):
            if not swaps.touch(run):
                yield from (row for row in _untold(run, waited) if not _heard_of(row, run, strays))

    def of_cdr(self, uniqueid: str, rows: Sequence[CelRow]) -> Iterator[CelRow]:
        """Its instants are those of the call: whoever never waited was turned away at the end of it."""
        runs = runs_of(rows, "Queue")
        waited = uniqueid in self._waits or uniqueid in self._strays
        if runs and runs[-1].end is not None and not waited:
            yield runs[-1].end


def _untold(run: Run, waited: Sequence[QueuePass]) -> Iterator[CelRow]:
    """The rows of a run that name a queue in which nobody waited then."""
    first, last = queue_of(run.begin), queue_of(run.end) if run.end is not None else ""
    if waited:
        if waited[0].queue != first and waited[0].entered_at - run.begin.at < _QUICK:
            yield run.begin
        over = waited[-1].ended_at
        at_once = over is not None and run.over - over < _SECOND + _QUICK
        if run.end is not None and at_once and last not in {"", waited[-1].queue}:
            yield run.end
    elif run.over - run.begin.at < _QUICK:
        yield run.begin
        if run.end is not None and last not in {"", first}:
            yield run.end


def _heard_of(row: CelRow, run: Run, strays: Mapping[str, Sequence[float]]) -> bool:
    """Whether queue_log has something of this caller in that queue after all."""
    seconds = strays.get(queue_of(row), ())
    place = bisect_left(seconds, run.begin.at - _QUICK)
    return place < len(seconds) and seconds[place] <= run.over + _QUICK


class _Swaps:
    """The transfers that name a channel: a run may go over to, or come from, another, and CEL notes on each what it runs."""

    def __init__(self, uniqueid: str, moves: Iterable[CelRow]) -> None:
        self._all: list[float] = []
        self._into_queue: list[float] = []  # it was handed on and runs what another channel ran
        self._first = math.inf  # of whoever handed on nothing of their own follows
        for move in moves:
            self._all.append(move.at)
            if uniqueid != move.extra.get("transferee_channel_uniqueid"):
                self._first = min(self._first, move.at)
            elif move.extra.get("app") == "Queue":
                self._into_queue.append(move.at)
        self._all.sort()
        self._into_queue.sort()

    def touch(self, run: Run) -> bool:
        begin = run.begin.at
        if self._first < begin + _EARLY:
            return True
        lasting, after = bisect_left(self._all, begin), bisect_right(self._into_queue, begin - _QUICK)
        return (lasting < len(self._all) and self._all[lasting] <= run.over) or (
            after < len(self._into_queue) and self._into_queue[after] < begin + _EARLY
        )


class _Places:
    """Finds the run in which somebody waited: it began before, was not over before, and names the queue if one does."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._begins = list(accumulate((run.begin.at for run in runs), max))
        self._overs = list(accumulate((run.over for run in runs), max))
        self._both: dict[str, list[int]] = {}  # by queue: runs whose begin and end name it
        self._first: dict[str, list[int]] = {}
        self._last: dict[str, list[int]] = {}
        for place, run in enumerate(runs):
            first, last = queue_of(run.begin), queue_of(run.end) if run.end is not None else None
            if first == last:
                self._both.setdefault(first, []).append(place)
                continue
            self._first.setdefault(first, []).append(place)
            if last is not None:
                self._last.setdefault(last, []).append(place)

    def of(self, one: QueuePass) -> int | None:
        left = one.connected_at if one.outcome is StayOutcome.ANSWERED else one.ended_at
        left = one.entered_at if left is None else left
        least = bisect_left(self._overs, left - _EARLY)
        most = bisect_left(self._begins, one.entered_at + _SECOND + CLOCK_LAG)
        for naming in (self._both, self._first, self._last):
            places = naming.get(one.queue, ())
            nearest = bisect_left(places, most) - 1
            if nearest >= 0 and places[nearest] >= least:
                return places[nearest]
        return most - 1 if most > least else None


@dataclass(slots=True)
class _Waiting:
    """Who waits in one queue, by queue_log's seconds: at most, and for sure."""

    joined: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    sure: list[tuple[float, int]] = field(default_factory=list)

    def add(self, one: QueuePass, over: float) -> None:
        """Count a pass; `over` is when it was at the latest if queue_log does not end it."""
        left = one.connected_at if one.outcome is StayOutcome.ANSWERED else one.ended_at
        self.joined.append(one.entered_at - CLOCK_LAG)
        self.left.append((max(over, one.entered_at) if left is None else left + _SECOND) + CLOCK_LAG)
        if left is not None and left - _EARLY > one.entered_at + _SECOND:
            self.sure += [(one.entered_at + _SECOND, 1), (left - _EARLY, -1)]


class _Crowd:
    def __init__(self, queue_log: Sequence[QueueRow], gone: Mapping[str, float]) -> None:
        starts = sorted(row.at for row in queue_log if row.verb == _START)
        self._queues: dict[str, _Waiting] = {}
        for one in passes(queue_log):
            ends = [gone.get(one.uniqueid, math.inf), one.entered_at + _LONGEST]
            if one.cut and (later := bisect_left(starts, one.entered_at)) < len(starts):
                ends.append(starts[later])
            self._queues.setdefault(one.queue, _Waiting()).add(one, min(ends))
        self._most: dict[str, int] = {}
        for queue, waiting in self._queues.items():
            waiting.joined.sort()
            waiting.left.sort()
            self._most[queue] = max(accumulate(by for _, by in sorted(waiting.sure)), default=0)

    def outcome(self, queue: str, at: float) -> StayOutcome:
        waiting = self._queues.get(queue)
        if waiting is None:
            return StayOutcome.JOIN_EMPTY
        there = bisect_right(waiting.joined, at) - bisect_left(waiting.left, at)
        return StayOutcome.FULL if there and self._most[queue] <= there else StayOutcome.JOIN_EMPTY


def paired(on_record: Sequence[QueueStay], told: Sequence[QueueStay]) -> dict[str, QueueStay]:
    """Which refusal on record is which of the books', by the latter's id; each is one at most.

    One whose queue is unknown was seen at some time after it happened, and is the last one before that.
    """
    left = sorted(told, key=_joined)
    met: dict[str, QueueStay] = {}
    for stay in sorted(on_record, key=lambda stay: (not stay.queue, stay.joined_at)):
        if stay.queue:
            near = [
                one for one in left if one.queue == stay.queue and abs(one.joined_at - stay.joined_at) < _SAME
            ]
            near.sort(key=lambda one: -abs(one.joined_at - stay.joined_at))
        else:
            near = [one for one in left if one.joined_at <= stay.joined_at + _SEEN]
        same = [one for one in near if one.uniqueid == stay.uniqueid]
        if same:
            met[same[-1].id] = stay
            left.remove(same[-1])
    return met


def let_in(told: QueueStay, unread: Iterable[QueueStay]) -> bool:
    """Whether the caller waited in that queue then after all; `unread` are passes on record that queue_log lacks."""
    return any(
        (one.uniqueid, one.queue) == (told.uniqueid, told.queue)
        and one.joined_at - _SAME < told.joined_at < max(one.joined_at, one.left_at or math.inf) + _SAME
        for one in unread
    )


def after_leaving(at: float, seen: float, uniqueid: str, on_record: Iterable[QueueStay]) -> float:
    """The instant of CEL, or right after the pass that was left before it: AMI tells of that a moment later than CEL."""
    left = (
        stay.left_at
        for stay in on_record
        if stay.uniqueid == uniqueid and stay.joined_at < at and stay.outcome not in NOT_LET_IN
    )
    until = min(seen, at + _SEEN)
    before = max((one for one in left if one is not None and at < one <= until), default=None)
    return at if before is None else before + _INSTANT


def named(on_record: Iterable[QueueStay], found: Iterable[Refusal]) -> list[QueueStay]:
    """The stays, with queue and instant of those that turned their caller away where only that was known."""
    stays = list(on_record)
    told = [
        QueueStay(str(n), "", "", 0, one.queue, one.uniqueid, one.at, left_at=one.at, outcome=one.outcome)
        for n, one in enumerate(found)
    ]
    met = paired([stay for stay in stays if stay.outcome in NOT_LET_IN], told)
    names = {met[one.id].id: one for one in told if one.id in met}
    return [
        _named(stay, names[stay.id], stays) if stay.id in names and not stay.queue else stay for stay in stays
    ]


def _named(stay: QueueStay, told: QueueStay, stays: Iterable[QueueStay]) -> QueueStay:
    sources = (*stay.sources, "queue:cel", "joined_at:cel", "left_at:cel")
    at = after_leaving(told.joined_at, stay.joined_at, stay.uniqueid, stays)
    return replace(stay, queue=told.queue, joined_at=at, left_at=at, sources=sources)


def _joined(stay: QueueStay) -> float:
    return stay.joined_at
