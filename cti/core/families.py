"""Which rows of CEL belong together: enough of a call's rows to tell it, and no more than need be told. Pure.

Whatever might tie two channels into one call puts their rows into one family: a linkedid they ever shared, a bridge, a
channel that another's row names. A family may hold several calls; no call is spread over two.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cti.core.cel import CelRow

_NAMES_NOBODY = frozenset({"BRIDGE_EXIT", "HANGUP"})  # that are not known better


@dataclass(slots=True)
class Family:
    """Rows that belong together, in the book's order."""

    rows: list[CelRow] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)

    @property
    def whole(self) -> bool:
        """Whether the begin of every channel is among the rows."""
        begun = {row.uniqueid for row in self.rows if row.event == "CHAN_START"}
        return all(row.uniqueid in begun and row.linkedid in begun for row in self.rows)


def families(rows: Sequence[CelRow]) -> list[Family]:
    """All families of these rows."""
    ties = _Ties()
    linked: dict[str, str] = {}  # each channel's latest linkedid; most rows say nothing new
    for row in rows:
        if linked.get(row.uniqueid) != row.linkedid:
            linked[row.uniqueid] = row.linkedid
            ties.tie(row.uniqueid, row.linkedid)
    for row in rows:
        if row.extra and row.event not in _NAMES_NOBODY:
            for other in _named(row, linked):
                ties.tie(row.uniqueid, other)
    found: dict[str, Family] = {}
    of_channel: dict[str, list[CelRow]] = {}
    for uniqueid in linked:
        family = found.setdefault(ties.top(uniqueid), Family())
        family.channels.add(uniqueid)
        of_channel[uniqueid] = family.rows
    for row in rows:
        of_channel[row.uniqueid].append(row)
    return list(found.values())


def _named(row: CelRow, known: Collection[str]) -> Iterator[str]:
    """Channels and bridges that a row names; whoever is parked, or waits to be needed, shares a bridge and no call."""
    if row.event == "BRIDGE_ENTER":
        if row.extra.get("bridge_technology") != "holding_bridge":
            yield f"bridge {row.extra.get('bridge_id', '')}"
    else:
        yield from (value for value in row.extra.values() if isinstance(value, str) and value in known)


class _Ties:
    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def top(self, one: str) -> str:
        above = self._above
        while (up := above.setdefault(one, one)) != one:
            above[one] = one = above[up]
        return one

    def tie(self, one: str, two: str) -> None:
        self._above[self.top(two)] = self.top(one)
