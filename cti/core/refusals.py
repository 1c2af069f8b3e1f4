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

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from cti.core.books import QueueRow
from cti.core.cel import CelRow, Run, queue_of, runs_of
from cti.core.facts import NOT_LET_IN, QueueStay, StayOutcome
from cti.core.passes import QueuePass, passes

_QUICK = 2.0  # s that being turned away takes at most, on a busy machine
_EARLY = 0.5  # s by which queue_log's second may be late
_SECOND = 1.0
_BEHIND = 0.05  # s by which the clock of queue_log's second may be behind CEL's
_FIRST_LINES = 2.0  # s after the begin of what was read in which lines of queue_log may be missing
_SAME = 2.5  # s by which two accounts of one such moment may differ
_SEEN = 0.5  # s by which AMI may be before CEL
_INSTANT = 1e-6  # s


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
) -> list[Refusal]:
    """Everybody on these channels who was turned away.

    Args:
        channels: the rows of each, in the book's order.
        queue_log: all of it, also of others: they are who fills a queue.
        exact: False when the rows were made of the CDR.
        since: from when on the books were read; of what was first in it they may lack the other half.
    """
    waits = passes(queue_log)
    reader = _Reader(waits, queue_log, channels)
    found = (
        one
        for uniqueid, rows in channels.items()
        for one in (reader.of_cel(uniqueid, rows) if exact else reader.of_cdr(uniqueid, rows))
    )
    settled = since + _FIRST_LINES if since else 0.0
    crowd = _Crowd(waits)
    return [
        Refusal(row.at, row.uniqueid, queue, crowd.outcome(queue, row.at), row)
        for row in found
        if row.at >= settled and (queue := queue_of(row))
    ]


class _Reader:
    """Finds the rows that tell of a refusal; the queue is the one that the row names."""

    def __init__(
        self,
        waits: Iterable[QueuePass],
        queue_log: Iterable[QueueRow],
        channels: Mapping[str, Sequence[CelRow]],
    ) -> None:
        self._waits: dict[str, list[QueuePass]] = {}
        whole: set[str] = set()
        for one in waits:
            self._waits.setdefault(one.uniqueid, []).append(one)
            whole.update(one.lines)
        # By channel: queue and second of lines that belong to no pass, or to one that no run is known of.
        self._strays: dict[str, list[tuple[str, float]]] = {}
        for line in queue_log:
            if line.raw not in whole:
                self._strays.setdefault(line.callid, []).append((line.queue, line.at))
        self._moves: dict[str, list[CelRow]] = {}  # by channel: transfers that name it
        for rows in channels.values():
            for row in rows:
                if row.event == "ATTENDEDTRANSFER":
                    for own in {row.uniqueid, *map(str, row.extra.values())}:
                        self._moves.setdefault(own, []).append(row)

    def of_cel(self, uniqueid: str, rows: Sequence[CelRow]) -> Iterator[CelRow]:
        runs = runs_of(rows, "Queue")
        waits: list[list[QueuePass]] = [[] for _ in runs]
        for one in self._waits.get(uniqueid, ()) if runs else ():
            place = _run_of(one, runs)
            if place is not None:
                waits[place].append(one)
            else:
                self._strays.setdefault(uniqueid, []).append((one.queue, one.entered_at))
        for run, waited in zip(runs, waits, strict=True):
            if not self._was_moved(uniqueid, run):
                yield from self._of_run(uniqueid, run, waited)

    def _of_run(self, uniqueid: str, run: Run, waited: Sequence[QueuePass]) -> Iterator[CelRow]:
        first, last = queue_of(run.begin), queue_of(run.end) if run.end is not None else ""
        if waited:
            if waited[0].queue != first and waited[0].entered_at - run.begin.at < _QUICK:
                yield from self._unheard(uniqueid, run.begin, run)
            over = waited[-1].ended_at
            at_once = over is not None and run.over - over < _SECOND + _QUICK
            if run.end is not None and at_once and last not in {"", waited[-1].queue}:
                yield from self._unheard(uniqueid, run.end, run)
        elif run.over - run.begin.at < _QUICK:
            yield from self._unheard(uniqueid, run.begin, run)
            if run.end is not None and last not in {"", first}:
                yield from self._unheard(uniqueid, run.end, run)

    def _unheard(self, uniqueid: str, row: CelRow, run: Run) -> Iterator[CelRow]:
        """The row, unless queue_log has something of this caller in that queue after all."""
        begin, end = run.begin.at - _QUICK, run.over + _QUICK
        of_queue = (at for queue, at in self._strays.get(uniqueid, ()) if queue == queue_of(row))
        if not any(begin <= at <= end for at in of_queue):
            yield row

    def _was_moved(self, uniqueid: str, run: Run) -> bool:
        """Whether the run went over to, or came from, another channel: CEL then notes what each runs from now on."""
        return any(_swaps(move, uniqueid, run) for move in self._moves.get(uniqueid, ()))

    def of_cdr(self, uniqueid: str, rows: Sequence[CelRow]) -> Iterator[CelRow]:
        """Its instants are those of the call: whoever never waited was turned away at the end of it."""
        runs = runs_of(rows, "Queue")
        waited = uniqueid in self._waits or uniqueid in self._strays
        if runs and runs[-1].end is not None and not waited:
            yield runs[-1].end


def _swaps(move: CelRow, uniqueid: str, run: Run) -> bool:
    """Whether a transfer made this run another channel's, or one that goes on after it."""
    if run.begin.at <= move.at <= run.over:
        return True
    later = run.begin.at - move.at
    if uniqueid != move.extra.get("transferee_channel_uniqueid"):
        return later > -_EARLY  # of whoever handed on nothing of their own follows
    return move.extra.get("app") == "Queue" and -_EARLY < later < _QUICK


def _run_of(one: QueuePass, runs: Sequence[Run]) -> int | None:
    """The run in which somebody waited: it began before, was not over before, and names the queue if one does."""
    left = one.connected_at if one.outcome is StayOutcome.ANSWERED else one.ended_at
    left = one.entered_at if left is None else left
    fitting = [
        ((queue_of(run.begin) == one.queue, run.end is not None and queue_of(run.end) == one.queue), place)
        for place, run in enumerate(runs)
        if run.begin.at < one.entered_at + _SECOND + _BEHIND and run.over >= left - _EARLY
    ]
    return max(fitting)[-1] if fitting else None


@dataclass(slots=True)
class _Waiting:
    """Who waits in one queue, by queue_log's seconds: at most, and for sure."""

    joined: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    sure: list[tuple[float, int]] = field(default_factory=list)

    def add(self, one: QueuePass) -> None:
        left = one.connected_at if one.outcome is StayOutcome.ANSWERED else one.ended_at
        self.joined.append(one.entered_at - _BEHIND)
        if left is None:
            return
        self.left.append(left + _SECOND + _BEHIND)
        if left - _EARLY > one.entered_at + _SECOND:
            self.sure += [(one.entered_at + _SECOND, 1), (left - _EARLY, -1)]


class _Crowd:
    def __init__(self, waits: Iterable[QueuePass]) -> None:
        self._queues: dict[str, _Waiting] = {}
        for one in waits:
            self._queues.setdefault(one.queue, _Waiting()).add(one)
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
