"""Spool and store as one: what is put is durable as soon as either has it."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

from cti.core.facts import AwayEpisode, CommandRecord, Fact, Fault
from cti.core.memory import Memory
from cti.daemon.spool import Spool
from store.writer import Writer, WriterStats

_PATIENCE = 1.0  # seconds the database is waited for before the spool alone is enough

F = TypeVar("F", AwayEpisode, Fault, CommandRecord)


class Ledger:
    """Where facts go that must not be lost; has the face of the store's writer."""

    def __init__(self, spool: Spool, writer: Writer, patience: float = _PATIENCE) -> None:
        self._spool, self._writer, self._patience = spool, writer, patience

    @property
    def stats(self) -> WriterStats:
        """The writer's figures."""
        return self._writer.stats

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        """Take facts; what came from the PBX's books is there again, so the spool need not have it."""
        taken = list(facts)
        if not from_books:
            self._spool.put(taken)
        self._writer.put(taken, from_books=from_books)

    async def committed(self) -> None:
        """Wait until everything put before this call is in the database or, if that takes long, in the spool.

        Only the kinds that no book gives back are in the spool; the others are then for the books.

        Raises:
            StoreError, SpoolError: both are closed.
        """
        written = asyncio.ensure_future(self._writer.committed())
        waiting: set[asyncio.Future[Any]] = {written}
        try:
            patience = 0.0 if self._writer.stats.in_trouble else self._patience
            done, _ = await asyncio.wait(waiting, timeout=patience)
            if not done:
                waiting.add(asyncio.ensure_future(self._spool.synced()))
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for one in waiting:
                one.cancel()


def newest(stored: Iterable[F], spooled: Iterable[Fact]) -> tuple[F, ...]:
    """What goes on, of what the database has and what the spool knows better, in order of the database."""
    found: dict[tuple[str, str], Any] = {}
    known = list(stored)
    kinds = (AwayEpisode, Fault, CommandRecord)
    for fact in chain(known, (fact for fact in spooled if isinstance(fact, kinds))):
        found[fact.key] = fact
    return tuple(fact for fact in found.values() if fact.ended_at is None)


def overlaid(memory: Memory, pbx: str, spooled: Iterable[Fact]) -> Memory:
    """A PBX's memory with what its earlier process left in the spool, which may be newer than the database."""
    of_pbx = [fact for fact in spooled if fact.pbx == pbx]
    episodes = newest(memory.episodes, [fact for fact in of_pbx if isinstance(fact, AwayEpisode)])
    faults = newest(memory.faults, [fact for fact in of_pbx if isinstance(fact, Fault)])
    return replace(memory, episodes=episodes, faults=faults)
