"""Brings the rooms to where an earlier process left them: at the start, or once the database is back.

A start while the database is away is a start all the same: the PBXs are listened to, the away rule holds, what no book
gives back is in the spool, and everything else waits in memory. Nothing is written before the database was read as the
earlier process left it. When it is back, the rooms are made anew and go on from what is on record, as after any restart;
what they knew until then is on record by then too.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from cti.core.facts import Fact
from cti.daemon.former import Former, read_former, spooled_former
from store.errors import StoreAway, StoreError

if TYPE_CHECKING:
    from cti.daemon.service import Service

_RETRY = 1.0  # seconds between two tries to open the database
_PATIENCE = 15.0  # seconds in which the rooms' last facts must be written while they stand still

log = structlog.get_logger(__name__)


class TakeUp:
    """Of one service.

    Attributes:
        why: why nothing could be taken up yet; "" when all is taken up.
    """

    def __init__(self, service: "Service") -> None:
        self.why = ""
        self._service = service
        self._seen: dict[str, tuple[float, float] | None] = {}

    async def begin(self, spooled: Sequence[Fact]) -> None:
        """Take up what can be. Raises StoreError when the database can never be used as it is."""
        service = self._service
        service.store.writer.put(spooled)
        try:
            await self._open()
            former = await read_former(service.store.queries, service.rooms, spooled)
            await service.roster()
            await service.restore(former, books=True)
        except StoreAway as error:
            service.store.keep_waiting(error)
            self.why = str(error)
            cure = "what is learned meanwhile is kept, and written when it is back"
            log.error("database_away", reason=self.why, cure=cure)  # noqa: TRY400 - not a bug
            service.database_trouble(began=True, detail=self.why)
            service.fresh_rooms()
            await service.restore(spooled_former(service.rooms, spooled), books=False)
        else:
            service.store.let_write()

    async def _open(self) -> None:
        """Make the database usable, and note how it was before anything of this process is in it."""
        store = self._service.store
        await store.migrate()
        for pbx in self._service.rooms:
            if pbx not in self._seen:
                self._seen[pbx] = await store.queries.seen_between(pbx)

    async def later(self) -> None:
        """Take up the rest when the database is back; returns then, at once when nothing is left to take up."""
        while self.why:
            await asyncio.sleep(_RETRY)  # a pace: a database tells nobody that it is back
            try:
                await self._open()
                self._service.store.let_write()
                await self._service.store.writer.committed()
                await self._exchange()
            except (StoreError, TimeoutError) as error:
                self.why = str(error) or "the database did not take everything in time"

    async def _exchange(self) -> None:
        """Let rooms that know the past take the place of those that do not; the doors are closed for a moment."""
        service = self._service
        await service.halt_rooms()
        try:
            async with asyncio.timeout(_PATIENCE):
                await service.store.writer.committed()
                former = await read_former(service.store.queries, service.rooms, ())
                service.fresh_rooms()
                await service.roster()
                await service.restore(self._as_it_was(former), books=True)
        except (StoreError, TimeoutError):
            service.start_rooms()
            raise
        service.start_rooms()
        self.why = ""
        log.info("taken_up", pbxs=list(service.rooms))

    def _as_it_was(self, former: Former) -> Former:
        """With the newest things on record as of the earlier process: what followed is this one's."""
        return former.with_seen(self._seen)
