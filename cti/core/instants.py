"""Instants as the PBX's books write them: epochs, aware times, and local time, in which an hour of each year is said twice.

Nothing happens on a channel before it exists, and a uniqueid begins with the second in which its channel was made: where
that rules the first meaning of a repeated hour out, it is the second. What is left (a channel made before or within the
first of the two hours) is read as the first.
"""

import math
import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from decimal import Decimal

_LATEST = 1e11  # an epoch beyond this is garbage
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d{1,6})?")
_MADE_AT = re.compile(r"(?:^|-)(\d{9,11})\.\d+$")  # an epoch; a system name may stand before it
_QUARTER = 900.0  # s; by multiples of it time zones differ
_EXACT = 5.0  # s between a channel and the first row about it
_CHANNELS = 3  # that must agree before rows count as late; too early is one thing only


def moment(value: object, zone: tzinfo, not_before: float | None = None) -> float | None:
    """The epoch that a column or field holds, None when it holds none (empty, zero, no time).

    `zone` is that of a local time; `not_before` decides what a clock change leaves open.
    """
    match value:
        case datetime():
            return _of_datetime(value, zone, not_before)
        case bool() | None:
            return None
        case int() | float() | Decimal():
            return _epoch(float(value))
    text = str(value).strip()
    match = _DATE.fullmatch(text)
    if match is None:
        return _number(text)
    try:
        local = datetime.fromisoformat(f"{match[1]} {match[2]}")
    except ValueError:
        return None
    at = _of_datetime(local, zone, not_before)
    return None if at is None else at + float(match[3] or 0)


def _number(text: str) -> float | None:
    try:
        return _epoch(float(text))
    except ValueError:
        return None


def _epoch(value: float) -> float | None:
    return value if math.isfinite(value) and 0 < value < _LATEST else None


def _of_datetime(value: datetime, zone: tzinfo, not_before: float | None) -> float | None:
    try:
        if value.tzinfo is not None:
            return value.timestamp()
        first, second = (value.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError):
        return None
    ruled_out = not_before is not None and first < not_before - 1.0  # the field may have whole seconds
    return second if ruled_out and second > first else first


def made_at(uniqueid: str) -> float | None:
    """When the channel of this uniqueid was made, epoch, whole seconds; None when its name does not say."""
    match = _MADE_AT.search(uniqueid)
    return float(match[1]) if match else None


def zone_error(begins: Iterable[tuple[str, float]]) -> float:
    """Seconds by which rows were read too late (negative: too early) because their time zone is another; else 0.0.

    The first row about a channel begins as the channel is made, whose second its uniqueid tells in UTC. Rows that are all
    away from that by the same multiple of a quarter of an hour are in another zone. `begins` are uniqueids and epochs.
    """
    first: dict[str, float] = {}
    for uniqueid, at in begins:
        made = made_at(uniqueid)
        if made is not None:
            first[uniqueid] = min(first.get(uniqueid, math.inf), at - made)
    if not first:
        return 0.0
    least = min(first.values())
    error = round(least / _QUARTER) * _QUARTER
    agree = sum(abs(away - error) <= _EXACT for away in first.values())
    return error if agree >= (1 if error < 0 else _CHANNELS) else 0.0
