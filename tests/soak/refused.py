"""Callers whom queues did not let in, read from CEL beside queue_log without any code of the product.

CEL notes where a run of Queue begins and where it ends, each with the queue that is tried then; queue_log notes whoever is let
in. A queue that a run names and that let nobody in meanwhile turned its caller away. Instants are epochs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_SECOND = 1.1  # s before the end of queue_log's second
_LATE = 0.6  # s by which a line of it may come late
_AT_ONCE = 2.0  # s that a refusal takes at most
_SWAPPED = 0.5  # s between a transfer and what CEL notes of the channels it swaps

Row = Mapping[str, str]


@dataclass(frozen=True)
class Refused:
    """One caller, turned away by one queue."""

    uniqueid: str
    queue: str
    at: float


def refused(cel: Iterable[Row], joined: Iterable[tuple[str, str, float]]) -> list[Refused]:
    """Everybody who was turned away; `joined` are those who were let in: uniqueid, queue and second."""
    let_in: dict[str, list[tuple[str, float]]] = {}
    for uniqueid, queue, at in joined:
        let_in.setdefault(uniqueid, []).append((queue, at))
    begun: dict[str, Row] = {}
    moves: dict[str, list[tuple[float, bool]]] = {}  # by channel: when it was swapped; whether it goes on
    found: list[Refused] = []
    for row in cel:
        own = row["uniqueid"]
        match row["event"]:
            case "ATTENDEDTRANSFER":
                extra, at = json.loads(row["extra"]), float(row["at"])
                moves.setdefault(own, []).append((at, False))
                moves.setdefault(extra.get("channel2_uniqueid", ""), []).append((at, False))
                goes_on = extra.get("transferee_channel_uniqueid", "")
                moves.setdefault(goes_on, []).append((at, True))
            case "APP_START" if row["app"] == "Queue":
                begun[own] = row
            case "APP_END" | "CHAN_END" if own in begun:
                begin = begun.pop(own)
                if not _swapped(moves.get(own, []), float(begin["at"]), float(row["at"])):
                    found += _of_run(begin, row, let_in.get(own, []))
    return found


def _swapped(moves: Iterable[tuple[float, bool]], begin: float, end: float) -> bool:
    for at, goes_on in moves:
        if begin <= at <= end or (not goes_on and begin > at - _SWAPPED):
            return True
        if goes_on and abs(begin - at) < _SWAPPED:
            return True
    return False


def _of_run(begin: Row, end: Row, let_in: Iterable[tuple[str, float]]) -> Iterator[Refused]:
    began, ended = float(begin["at"]), float(end["at"])
    inside = {queue for queue, at in let_in if began - _SECOND <= at <= ended + _LATE}
    if not inside and ended - began > _AT_ONCE:
        return
    named = [(_queue(begin), began)]
    if end["event"] == "APP_END" and (inside or _queue(end) != _queue(begin)):  # else it is one try
        named.append((_queue(end), ended))
    yield from (Refused(begin["uniqueid"], queue, at) for queue, at in named if queue and queue not in inside)


def _queue(row: Row) -> str:
    return row["appdata"].split(",")[0]
