"""When, within queue_log's whole seconds, a caller joined and left a queue.

CEL tells it where a run of the application Queue begins and ends. Two runs of Queue in a row are one in CEL: in between,
what is known is the wait that app_queue counted, and that one pass begins where the one before it ended.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from cti.core.books import CLOCK_LAG
from cti.core.cel import CelRow, queue_of, runs_of
from cti.core.facts import StayOutcome
from cti.core.passes import QueuePass

_EARLY = 0.5  # s by which queue_log's second may be late
_SECOND = 0.999999
_APART = 1e-6  # s: two runs that touch share an instant


@dataclass(frozen=True, slots=True)
class Wait:
    """A pass with the best instants there are; `left_at` None while nothing ends it."""

    of: QueuePass
    joined_at: float
    left_at: float | None
    answer: CelRow | None  # of the member who got the caller, or their taking it from another phone

    def holds_at(self, at: float) -> bool:
        """Whether the caller waited in this queue then."""
        return self.joined_at <= at and (self.left_at is None or at <= self.left_at)


def refine(passes: Sequence[QueuePass], channels: Mapping[str, Sequence[CelRow]]) -> list[Wait]:
    """The waits of passes in the book's order, of channels that are among these."""
    found: list[Wait] = []
    rung: dict[str, list[Sequence[CelRow]]] | None = None
    of_channel: dict[str, list[QueuePass]] = {}
    for one in passes:
        of_channel.setdefault(one.uniqueid, []).append(one)
    answers = _answers({one.member_channel for one in passes}, channels)
    for uniqueid, ones in of_channel.items():
        rows = channels.get(uniqueid)
        before: Wait | None = None
        for n, one in enumerate(ones if rows else ()):
            goes_on = n + 1 < len(ones) and not _begins(ones[n + 1], rows or (), one.entered_at + _SECOND)
            before = _refine(one, rows or (), before, answers.get(one.member_channel), goes_on=goes_on)
            if goes_on and before.left_at is not None and one.outcome is not StayOutcome.ANSWERED:
                rung = _rung(channels) if rung is None else rung
                theirs = channels.get(ones[n + 1].member_channel, ())
                before = _between(before, rung.get(rows[0].linkedid, ()) if rows else (), theirs)
            found.append(before)
    return found


def _answers(members: AbstractSet[str], channels: Mapping[str, Sequence[CelRow]]) -> dict[str, CelRow]:
    """When these channels answered; of one that took a call which rang elsewhere (Pickup), when it took it."""
    found: dict[str, CelRow] = {}
    for member in members:
        answer = next((row for row in channels.get(member, ()) if row.event == "ANSWER"), None)
        if answer is not None:
            found[member] = answer
    for rows in channels.values():
        for row in rows:
            if (
                row.event == "PICKUP"
                and (who := str(row.extra.get("pickup_channel_uniqueid", ""))) in members
            ):
                found[who] = row
    return found


def _rung(channels: Mapping[str, Sequence[CelRow]]) -> dict[str, list[Sequence[CelRow]]]:
    """The channels that queues rang, by the linkedid of whom they were rung for."""
    found: dict[str, list[Sequence[CelRow]]] = {}
    for rows in channels.values():
        if any(row.app == "AppQueue" for row in rows):
            found.setdefault(rows[0].linkedid, []).append(rows)
    return found


def _between(wait: Wait, rung: Sequence[Sequence[CelRow]], next_answers: Sequence[CelRow]) -> Wait:
    """The wait, over between what it still rang in its last second and the ringing that led to the next one's answer."""
    left_at, of = wait.left_at or 0.0, wait.of
    second = of.ended_at if of.ended_at is not None else of.entered_at
    until = next_answers[0].at - _APART if next_answers else second + _SECOND
    overs = (rows[-1].at for rows in rung if wait.joined_at <= rows[0].at < second)
    last = max((at for at in overs if second <= at <= until), default=None)
    if last is not None and not last <= left_at <= until:
        left_at = last
    return replace(wait, left_at=max(wait.joined_at, min(left_at, max(until, second))))


def _begins(one: QueuePass, rows: Sequence[CelRow], after: float) -> list[float]:
    """Where CEL saw this pass begin, if it did."""
    return [
        row.at
        for row in rows
        if row.event == "APP_START"
        and row.app == "Queue"
        and queue_of(row) == one.queue
        and max(one.entered_at - _EARLY, after) <= row.at < one.entered_at + 1 + CLOCK_LAG
    ]


def _run_began(one: QueuePass, rows: Sequence[CelRow]) -> float:
    """When the run began in which a queue let them in whose name it does not have: another had turned them away."""
    near = (run for run in runs_of(rows, "Queue") if run.over >= one.entered_at)
    began = next((run.begin.at for run in near), 0.0)
    return began if began < one.entered_at + 1 + CLOCK_LAG else 0.0


def _refine(
    one: QueuePass,
    rows: Sequence[CelRow],
    before: Wait | None,
    answer: CelRow | None,
    *,
    goes_on: bool,
) -> Wait:
    begins = _begins(one, rows, before.left_at or 0.0 if before is not None else 0.0)
    earliest = max(
        rows[0].at,
        before.left_at if before is not None and before.left_at is not None else 0.0,
        0.0 if begins else _run_began(one, rows),
    )
    joined_at = max(begins[0] if begins else earliest, one.entered_at)
    joined_at = max(joined_at, earliest) if joined_at < one.entered_at + 1 + CLOCK_LAG else one.entered_at
    over = rows[-1].at  # whole seconds must not outlast the channel
    joined_at = min(joined_at, over - 2 * _APART)
    left_at = _left_at(one, () if goes_on else rows, joined_at, answer)
    if left_at is not None and one.outcome is not StayOutcome.ANSWERED:
        left_at = max(joined_at, min(left_at, over - _APART))
    return Wait(one, joined_at, left_at, answer)


def _left_at(one: QueuePass, rows: Sequence[CelRow], joined_at: float, answer: CelRow | None) -> float | None:
    if one.outcome is None:
        return None
    if one.outcome is StayOutcome.ANSWERED:
        at = one.connected_at or one.entered_at
        near = answer is not None and answer.at > at - 1.5  # an agent who was dumped answered long before
        return max(joined_at, answer.at if answer is not None and near else at)
    second = one.ended_at if one.ended_at is not None else one.entered_at
    ends = [
        row.at
        for row in rows
        if row.event == "APP_END"
        and row.app == "Queue"
        and max(second - _EARLY, joined_at + _APART) <= row.at < second + 1 + CLOCK_LAG
    ]
    if ends:
        return max(joined_at, ends[0])
    return max(joined_at, min(max(joined_at + (one.book_wait or 0.0), second), second + _SECOND))
