"""The spool: what no book of the PBX could give back is on disk here before anybody is told that it is safe.

Incidents, away episodes, faults, work items, commands and deliveries are few; each goes here and to the store at once.
What the database has is deleted here a little later, so after a death (or an end with the database away) the spool holds
what the database may not have, always the newest snapshot of each: putting it into the writer again changes nothing
that was right.

Writing and syncing happen in one thread of their own, a batch at a time. When the disk does not take it, the facts stay
in memory (the last one of each key), `stats.in_trouble` says so, and it is tried again.
"""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import structlog

from cti.core.facts import Fact, FactKey
from cti.daemon.errors import SpoolError
from cti.daemon.segments import Found, Segments
from store.errors import StoreError
from store.pending import KEPT

T = TypeVar("T")

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # seconds between tries while the disk takes nothing
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Trouble = Callable[[bool, str], None]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """How the spool does; counts are since the start unless they are of now."""

    waiting: int = 0  # facts that are not on disk yet
    segments: int = 0  # files now
    size: int = 0  # bytes they hold now
    written: int = 0
    torn: int = 0  # lines an earlier process could not finish
    damaged: int = 0  # lines that were whole once and cannot be read any more
    recovered: int = 0  # facts an earlier process left behind
    in_trouble: bool = False
    last_error: str = ""


class Spool:
    """One spool; `open` it inside a running event loop, `close` it at the end."""

    def __init__(
        self,
        directory: Path,
        *,
        on_trouble: Trouble | None = None,
        segment_bytes: int = 1 << 20,
        trim_every: float = 5.0,
    ) -> None:
        """Nothing is touched before `open`.

        Args:
            directory: holds callers' numbers, so it is made for its owner only.
            on_trouble: called with (True, detail) when the disk takes nothing, and with (False, detail) when it does
                again; may put facts.
            segment_bytes: at which a new segment begins.
            trim_every: seconds between two looks at what the database has by now.
        """
        self.on_trouble = on_trouble
        self._segments = Segments(directory, segment_bytes)
        self._every = trim_every
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: dict[FactKey, Fact] = {}
        self._writing: dict[FactKey, Fact] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._wake, self._grown = asyncio.Event(), asyncio.Event()
        self._stats = SpoolStats()
        self._trouble_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def open(self) -> tuple[Fact, ...]:
        """Begin; returns what an earlier process left behind, the last fact of each key, for the writer to take.

        Raises:
            SpoolError: another daemon runs on this directory, or it cannot be used.
        """
        found: Found = await self._run(self._segments.open)
        self._stats = SpoolStats(torn=found.torn, damaged=found.damaged, recovered=len(found.facts))
        if found.facts or found.torn or found.damaged:
            say = log.error if found.damaged else log.info
            say("spool_replayed", facts=len(found.facts), torn=found.torn, damaged=found.damaged)
            self._grown.set()
        self._task = asyncio.create_task(self._write_all(), name="spool")
        return tuple(found.facts.values())

    @property
    def stats(self) -> SpoolStats:
        """The figures as they are now."""
        held = self._segments.held
        waiting = len(self._waiting) + len(self._writing)
        return replace(self._stats, waiting=waiting, segments=held.segments, size=held.size)

    def put(self, facts: Iterable[Fact]) -> None:
        """Take facts of the kinds that are kept; never waits, never raises because of the disk."""
        for fact in facts:
            if type(fact) in KEPT:
                self._waiting.pop(fact.key, None)
                self._waiting[fact.key] = fact
        if self._waiting:
            self._wake.set()

    async def synced(self) -> None:
        """Wait until everything put before this call is on disk; with a full disk, that is long.

        Raises:
            SpoolError: the spool is closed.
        """
        if self._closing or self._task is None:
            raise SpoolError("the spool is closed; nothing more is written")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self._wake.set()
        await waiter

    async def follow(self, committed: Callable[[], Awaitable[None]]) -> None:
        """Delete what the database has by now, for ever, until cancelled.

        Args:
            committed: waits until every fact put to the writer before the call is durable; each fact goes to the spool
                and to the writer within one turn of the event loop.
        """
        while True:
            await self._grown.wait()
            await asyncio.sleep(self._every)  # a pace: nothing is waited for
            self._grown.clear()
            try:
                await self._trim(committed)
            except OSError as error:
                log.warning("spool_not_trimmed", reason=str(error))
                self._grown.set()
            except StoreError:
                return  # the store is closed: what is here is for the next start

    async def _trim(self, committed: Callable[[], Awaitable[None]]) -> None:
        upto = await self._run(self._segments.rotate)
        await committed()
        await self._run(lambda: self._segments.remove(upto))

    async def close(self, *, committed: bool = False, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - a shutdown has one deadline
        """Put what waits on disk and end.

        Args:
            committed: the database has everything, so nothing needs to be left behind.
            timeout: seconds after which a disk that takes nothing is given up.
        """
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=timeout)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        lost = self.stats.waiting
        if lost and not committed:
            log.error("spool_lost", facts=lost, reason=self._stats.last_error)
        if committed:
            await self._empty()
        await self._run(self._segments.close)
        self._thread.shutdown()

    async def _empty(self) -> None:
        try:
            upto = await self._run(self._segments.rotate)
            await self._run(lambda: self._segments.remove(upto))
        except OSError as error:
            log.warning("spool_not_trimmed", reason=str(error))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write_all(self) -> None:
        delay = 0.0
        while not self._closing or self._waiting:
            await self._wake.wait()
            self._wake.clear()
            if await self._flush():
                delay = 0.0
                continue
            delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
            await asyncio.sleep(delay)
            self._wake.set()
        self._answer(self._waiters, SpoolError("the spool was closed"))

    async def _flush(self) -> bool:
        """Write everything that waits; False when it has to be tried again."""
        self._writing, self._waiting = self._waiting, {}
        waiters, self._waiters = self._waiters, []
        try:
            if self._writing:
                facts = list(self._writing.values())
                await self._run(lambda: self._segments.append(facts))
        except OSError as error:
            self._waiting = self._writing | self._waiting
            self._writing = {}
            self._waiters = waiters + self._waiters
            self._failed(error)
            return False
        if self._writing:
            self._succeeded(len(self._writing))
            self._writing = {}
        self._answer(waiters)
        return True

    @staticmethod
    def _answer(waiters: list[asyncio.Future[None]], error: SpoolError | None = None) -> None:
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    def _failed(self, error: OSError) -> None:
        full = error.errno in _FULL
        cure = "free space on the disk" if full else "make the directory writable, or mend the disk"
        reason = f"spool {self._segments.directory}: {error.strerror or error}; {cure}"
        self._stats = replace(self._stats, in_trouble=True, last_error=reason)
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()
            log.error("spool_trouble", reason=reason, waiting=len(self._waiting))
            self._tell(began=True, detail=reason)

    def _succeeded(self, count: int) -> None:
        self._stats = replace(self._stats, written=self._stats.written + count, in_trouble=False)
        self._grown.set()
        if self._trouble_since is not None:
            lasted = time.monotonic() - self._trouble_since
            self._trouble_since = None
            log.info("spool_recovered", seconds=round(lasted, 1))
            self._tell(began=False, detail=f"the spool takes facts again after {lasted:.1f} s")

    def _tell(self, *, began: bool, detail: str) -> None:
        if self.on_trouble is not None:
            self.on_trouble(began, detail)
