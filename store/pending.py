"""Pure: the facts that wait to be written, one of each key, bounded."""

from asyncio import Future
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cti.core.facts import (
    Attempt,
    AwayEpisode,
    Call,
    CommandRecord,
    Delivery,
    Fact,
    FactKey,
    Fault,
    Gap,
    Incident,
    Leg,
    QueueStay,
    Recording,
    Talk,
    WorkItem,
)

KEPT: frozenset[type[Any]] = frozenset({Incident, Fault, WorkItem, AwayEpisode, Delivery, CommandRecord})
"""Never dropped: no book of the PBX could give them back."""

ENDS: dict[type[Any], str] = {
    Call: "ended_at",
    Leg: "ended_at",
    Attempt: "ended_at",
    Talk: "ended_at",
    QueueStay: "outcome",  # a caller who has left is told of before it is known how
    Recording: "stopped_at",
    AwayEpisode: "ended_at",
    Fault: "ended_at",
    Gap: "filled_at",
}
"""The field that says that a fact of this kind is over."""


def is_over(fact: Fact) -> bool:
    """Whether no later snapshot of this fact is to be expected."""
    end = ENDS.get(type(fact))
    return end is None or getattr(fact, end) is not None


def reopens(fact: Fact, older: Fact) -> bool:
    """Whether a fact of the same key was over already: this one was made of what was known before."""
    end = ENDS.get(type(fact))
    return end is not None and getattr(fact, end) is None and getattr(older, end) is not None


@dataclass(slots=True)
class Pending:
    """Facts by key in order of arrival: the last one of each key wins, but what is over stays so."""

    live: dict[FactKey, Fact] = field(default_factory=dict)
    books: dict[FactKey, Fact] = field(default_factory=dict)  # written only where there is no row
    waiters: list[Future[None]] = field(default_factory=list)  # to be told once all of it is durable

    def __len__(self) -> int:
        return len(self.live) + len(self.books)

    def drop(self, count: int) -> int:
        """Drop up to `count` facts that the PBX's books can give back; returns how many went.

        What came from the books goes first (the next import brings it again), then parts that are over, then calls
        that are over, then open ones: an open one is small change, for its next snapshot brings it back.
        """
        doomed: list[tuple[dict[FactKey, Fact], FactKey]] = []
        for candidates in self._by_worth():
            for where, key in candidates:
                if len(doomed) >= count:
                    break
                doomed.append((where, key))
        for where, key in doomed:
            del where[key]
        return len(doomed)

    def _by_worth(self) -> Iterator[Iterator[tuple[dict[FactKey, Fact], FactKey]]]:
        yield ((self.books, key) for key in self.books)
        loose = [
            (key, fact) for key, fact in self.live.items() if type(fact) not in KEPT and type(fact) is not Gap
        ]
        over = [(key, isinstance(fact, Call)) for key, fact in loose if is_over(fact)]
        yield ((self.live, key) for key, is_call in over if not is_call)
        yield ((self.live, key) for key, is_call in over if is_call)
        yield ((self.live, key) for key, fact in loose if not is_over(fact))

    def put_back(self, older: "Pending") -> None:
        """Take in what could not be written; what came since wins."""
        newer = self.live
        self.live = older.live
        for key, fact in newer.items():
            before = self.live.get(key)
            if before is None or not reopens(fact, before):
                self.live[key] = fact
        self.books = older.books | self.books
        self.waiters = older.waiters + self.waiters
