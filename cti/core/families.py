"""Which rows of CEL belong together: enough of a call's rows to tell it, and no more than need be told. Pure.

Whatever might tie two channels into one call puts their rows into one family: a linkedid they ever shared, a bridge, a
channel that another's row names. A family may hold several calls; no call is spread over two.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cti.core.cel import CelRow


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
    known = {row.uniqueid for row in rows}
    pairs: set[tuple[str, str]] = set()
    for row in rows:
        pair = (row.uniqueid, row.linkedid)
        if pair not in pairs:
            pairs.add(pair)
            ties.tie(*pair)
        if row.extra:
            for other in _named(row, known):
                ties.tie(row.uniqueid, other)
    found: dict[str, Family] = {}
    for row in rows:
        family = found.setdefault(ties.top(row.uniqueid), Family())
        family.rows.append(row)
        family.channels.add(row.uniqueid)
    return list(found.values())


def _named(row: CelRow, known: Collection[str]) -> Iterator[str]:
    """Channels and bridges that a row names; whoever is parked, or waits to be needed, shares a bridge and no call."""
    if row.event == "BRIDGE_ENTER":
        if row.extra.get("bridge_technology") != "holding_bridge":
            yield f"bridge {row.extra.get('bridge_id', '')}"
    elif row.event != "BRIDGE_EXIT":
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
