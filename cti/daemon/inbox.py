"""The bounded queue between the doors and the one consumer.

`put` is called where bytes are read, so it is synchronous, never blocks and never raises: what does not fit is
counted and left out, and the door is told so by the return value. The consumer takes everything that waits in one
batch, so that a busy PBX costs one wake-up per batch and not one per event.

What a door or the daemon itself says (`LinkLost`, `Resynced`, `CommandDone`) is rare and must not be lost to a
flood of messages: a reserve beside the bound is kept for it.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from cti.core.events import Event

RESERVE = 1024  # arrivals beyond the bound that only our own events may use


class Arrival(NamedTuple):
    """Something that came from (or about) a PBX, stamped as it came; one for each event, so it must be cheap to make."""

    pbx: str
    at: float  # epoch seconds, this machine's clock
    mono: float  # time.monotonic() seconds
    what: Mapping[str, str] | Event  # a decoded AMI message, or an event made here


class Inbox:
    """Bounded, ordered, many producers, one consumer, all in one event loop.

    Attributes:
        seen: arrivals offered, the dropped ones included.
        dropped: arrivals that did not fit.
        highest: the greatest depth there ever was.
    """

    def __init__(self, size: int = 20_000) -> None:
        if size < 1:
            raise ValueError(f"inbox size must be at least 1, not {size}")
        self.size = size
        self.seen = 0
        self.dropped = 0
        self.highest = 0
        self._items: list[Arrival] = []
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def depth(self) -> int:
        """Arrivals that wait."""
        return len(self._items)

    def put(self, arrival: Arrival) -> bool:
        """Append an arrival; False when it did not fit and was dropped."""
        self.seen += 1
        items = self._items
        if len(items) >= self.size and (
            isinstance(arrival.what, Mapping) or len(items) >= self.size + RESERVE
        ):
            self.dropped += 1
            return False
        if not items:
            self._filled.set()
            self._emptied.clear()
        items.append(arrival)
        return True

    async def get_batch(self) -> list[Arrival]:
        """Wait for the first arrival, then return all that wait, in order."""
        await self._filled.wait()
        batch = self._items
        self._items = []
        self.highest = max(self.highest, len(batch))
        self._filled.clear()
        self._emptied.set()
        return batch

    async def room(self) -> None:
        """Wait until the consumer has taken what waits (a batch takes everything)."""
        await self._emptied.wait()
