"""Small bounded containers behind the exported series; none of them reads a clock."""

import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence

from metrics.families import OTHER, Labels


class Tally(dict[Labels, float]):
    """A counter for each label set."""

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count; a negative amount counts as nothing, for a counter must not fall."""
        self[labels] = self.get(labels, 0.0) + max(by, 0.0)

    def know(self, *labels: str) -> None:
        """Let the series exist at 0 before its first event."""
        self.setdefault(labels, 0.0)

    def forget(self, prefix: Labels) -> None:
        """Drop every series whose labels begin so."""
        for labels in [labels for labels in self if labels[: len(prefix)] == prefix]:
            del self[labels]


class Once:
    """Remembers the last `limit` keys, so that a part whose end is sent again is counted once."""

    def __init__(self, limit: int = 5_000) -> None:
        self._limit = limit
        self._seen: dict[Hashable, None] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._seen

    def first(self, key: Hashable) -> bool:
        """True the first time."""
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]
        return True


class Names:
    """The names that get a series of their own; beyond the cap they share the label `other`."""

    def __init__(self, kind: str, limit: int, overflow: Tally) -> None:
        self._kind = kind
        self._limit = limit
        self._overflow = overflow
        self._known: set[tuple[str, str]] = set()
        overflow.know(kind)

    def label(self, pbx: str, name: str) -> str:
        """The label value for this name; counts when it has to be `other`."""
        if (pbx, name) in self._known:
            return name
        if len(self._known) >= self._limit:
            self._overflow.add(self._kind)
            return OTHER
        self._known.add((pbx, name))
        return name

    def forget(self, pbx: str, name: str) -> None:
        """Give the place to another name."""
        self._known.discard((pbx, name))


class Histogram:
    """Counts in buckets with the given upper bounds (inclusive), and the sum of what was observed."""

    def __init__(self, bounds: Iterable[float]) -> None:
        self._bounds: Sequence[float] = (*sorted(set(bounds)), math.inf)
        self._counts = [0] * len(self._bounds)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value; below zero (a stepped clock) counts as zero."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def has(self, bound: float) -> bool:
        """Whether a bucket ends there."""
        return bound in self._bounds

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative (upper bound, count), +Inf last."""
        out: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip(self._bounds, self._counts, strict=True):
            running += count
            out.append(("+Inf" if math.isinf(bound) else repr(bound), float(running)))
        return out


def closed(value: str, known: Iterable[str]) -> str:
    """The value if it belongs to the closed set, else `other`."""
    return value if value in known else OTHER
