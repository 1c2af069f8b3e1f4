"""Who waits in another's place: a half-finished transfer into a queue puts the caller where a consultation waited.

That is a masquerade, of which Asterisk tells in one row of CEL (ATTENDEDTRANSFER to Queue). app_queue goes on under the
uniqueid that it then finds on the channel, so ENTERQUEUE stands under the consultation's and all that follows under the
caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.passes import passes

_LATE = 1.5  # s by which a line of whole seconds may seem to be before what it followed


@dataclass(frozen=True, slots=True)
class Heir:
    """A caller, and since when they wait in another's place."""

    uniqueid: str
    at: float


def place_taken(row: CelRow) -> tuple[str, str] | None:
    """The uniqueids of who had joined a queue and of the caller who waits there from this row on; None: it tells of none."""
    if row.event != "ATTENDEDTRANSFER" or row.extra.get("app") != "Queue":
        return None
    extra = row.extra
    return str(extra.get("channel2_uniqueid", "")), str(extra.get("transferee_channel_uniqueid", ""))


def heirs(channels: Mapping[str, Sequence[CelRow]]) -> dict[str, Heir]:
    """The callers who took places in queues, by the uniqueid of who had joined."""
    found: dict[str, Heir] = {}
    for rows in channels.values():
        for row in rows:
            second, whom = place_taken(row) or ("", "")
            if second in channels and whom in channels:
                found[second] = Heir(whom, row.at)
    return found


def as_one(queue_log: Sequence[QueueRow], found: Mapping[str, Heir]) -> Sequence[QueueRow]:
    """The book with every pass under the uniqueid that it began with."""
    if not found:
        return queue_log
    of_caller: dict[str, list[tuple[float, str]]] = {}
    for second, heir in found.items():
        of_caller.setdefault(heir.uniqueid, []).append((heir.at, second))
    own = {line for one in passes(queue_log) for line in one.lines}
    return [
        row if row.callid not in of_caller or row.raw in own else _renamed(row, of_caller[row.callid])
        for row in queue_log
    ]


def _renamed(row: QueueRow, moves: Sequence[tuple[float, str]]) -> QueueRow:
    second = max((move for move in moves if move[0] <= row.at + _LATE), default=None)
    return row if second is None else replace(row, callid=second[1])


def rows_of_one(
    channels: Mapping[str, Sequence[CelRow]], found: Mapping[str, Heir]
) -> Mapping[str, Sequence[CelRow]]:
    """The channels, where those who gave up their place go on as whoever took it."""
    if not found:
        return channels
    joined = dict(channels)
    for second, heir in found.items():
        joined[second] = [
            *(row for row in channels[second] if row.at <= heir.at),
            *(row for row in channels[heir.uniqueid] if row.at > heir.at),
        ]
    return joined
