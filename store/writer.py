"""Facts to rows, beside the stream of events: `put` never waits and never fails, a task of its own writes.

One round: wait for something, gather for `window` seconds, take all that is pending (one fact of each key, however
often it was put), write it in transactions of at most `_TRANSACTION` facts. A round that fails is put back under what
came meanwhile and tried again after a growing, jittered delay, so an outage costs memory only for distinct facts, up to
`limit`; beyond it those are dropped that the PBX's books can give back, and counted.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from sqlalchemy import URL

from cti.core.facts import Call, Fact, FactKey
from store import upserts
from store.engine import translated
from store.errors import StoreError
from store.pending import Pending, reopens
from store.tables import FACT_TABLES
from store.transact import Transactor, is_about_data

_log = logging.getLogger(__name__)

_TRANSACTION = 4_000  # facts; keeps other writers' waiting and the loss of a failed attempt short
_FIRST_DELAY = 0.1  # seconds before the first retry
_LONGEST_DELAY = 3.0
_CANCELLING = 5.0  # seconds a driver gets to let go of a transaction

Trouble = Callable[[bool, str], None]


@dataclass(frozen=True, slots=True)
class WriterStats:
    """How the writer does, for health and metrics. Instants are epoch seconds, counts are since the start."""

    queued: int = 0  # facts that wait, the ones being written included
    written: int = 0  # facts committed
    dropped: int = 0  # facts given up because too many waited, or put after the end
    refused: int = 0  # facts the database will never take
    retries: int = 0
    in_trouble: bool = False
    last_error: str = ""
    last_commit_at: float | None = None
    commits: int = 0
    last_commit_seconds: float = 0.0  # how long the last transaction took


class Writer:
    """Writes facts in batches. Make it inside a running event loop; end it with `close`."""

    def __init__(
        self,
        transactor: Transactor,
        url: URL,
        *,
        window: float = 0.2,
        limit: int = 100_000,
        on_trouble: Trouble | None = None,
    ) -> None:
        """Start the writing task.

        Args:
            transactor: writes a batch; closed with this writer.
            url: for error messages.
            window: seconds to gather facts before a round.
            limit: how many facts may wait, and as many again while an attempt to write them is under way; one takes
                about 0.6 kB.
            on_trouble: called with (True, detail) when the database cannot be written, and with (False, detail) when
                it can again; may put facts.
        """
        self.on_trouble = on_trouble
        self._transactor, self._url = transactor, url
        self._window, self._limit = window, limit
        self._pending, self._writing = Pending(), Pending()
        self._stats = WriterStats()
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._trouble_since: float | None = None
        self._task = asyncio.create_task(self._run(), name="store-writer")

    @property
    def stats(self) -> WriterStats:
        """The figures as they are now."""
        return replace(self._stats, queued=len(self._pending) + len(self._writing))

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        """Take facts to be written soon; never waits, never raises because of the database.

        Args:
            facts: kinds that are not stored (notices, rejections) are passed over.
            from_books: they were read from the PBX's books and are written only where there is no row; a `Call` that
                says so itself is treated so anyway.
        """
        live, books = self._pending.live, self._pending.books
        for fact in facts:
            kind = type(fact)
            if kind not in FACT_TABLES:
                continue
            if from_books or (kind is Call and upserts.is_from_books(fact)):
                books[fact.key] = fact
                continue
            key = fact.key
            older = live.get(key)
            if older is None or not reopens(fact, older):
                live[key] = fact
        if self._task.done():
            self._give_up_all()
        else:
            self._make_room()
        self._wake.set()

    async def committed(self) -> None:
        """Wait until everything put before this call is durable; while the database is away, that is long."""
        if self._task.done():
            raise StoreError("the store is closed; nothing more is written")
        done = asyncio.get_running_loop().create_future()
        self._pending.waiters.append(done)
        self._hurry.set()
        self._wake.set()
        await done

    async def close(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a shutdown has one deadline
        """Write what waits and end.

        Args:
            timeout: seconds after which it is given up.

        Raises:
            StoreError: something could not be written in time; says how much, and why.
        """
        self._closing = True
        self._hurry.set()
        self._wake.set()
        try:
            await self._end(timeout)
        finally:
            await self._transactor.close()

    async def _end(self, seconds: float) -> None:
        _, running = await asyncio.wait({self._task}, timeout=seconds)
        if not running:
            return
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=_CANCELLING)
        left = self.stats.queued
        kinds = Counter(
            key[0] for part in (self._pending, self._writing) for key in (*part.live, *part.books)
        )
        shown = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        self._give_up_all()
        raise StoreError(
            f"{left} facts could not be written within {seconds:g} s ({shown}; {self._stats.last_error or 'too slow'}); "
            "mend the database, then start again: calls come back from the PBX's books"
        )

    async def _run(self) -> None:
        delay = 0.0
        while not (self._closing and not self._has_work()):
            await self._wake.wait()
            self._wake.clear()
            if not self._closing:
                await self._pause(self._window)
            if await self._round():
                delay = 0.0
                continue
            delay = min(max(delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
            self._wake.set()
            await self._pause(delay * random.uniform(0.75, 1.25))  # noqa: S311 - jitter

    def _has_work(self) -> bool:
        return bool(self._pending or self._pending.waiters)

    async def _pause(self, seconds: float) -> None:
        """Let some time go by, unless somebody waits for the result."""
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass
        self._hurry.clear()

    async def _round(self) -> bool:
        """Write all that is pending; False when it has to be tried again."""
        self._writing, self._pending = self._pending, Pending()
        try:
            error = await self._drain(self._writing)
        except Exception as bug:  # noqa: BLE001 - ours: loud, and tried again, for a dead writer would lose all
            _log.exception("the writer failed")
            error = bug
        if error is not None:
            self._pending.put_back(self._writing)
            self._writing = Pending()
            self._make_room()
            self._failed(error)
            return False
        for waiter in self._writing.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._writing = Pending()
        return True

    async def _drain(self, batch: Pending) -> Exception | None:
        """Write a batch, transaction by transaction, taking out what is committed."""
        for part, only_absent in ((batch.live, False), (batch.books, True)):
            while part:
                some = dict(islice(part.items(), _TRANSACTION))
                error = await self._transact(some, only_absent=only_absent)
                if error is not None and is_about_data(error):
                    error = await self._one_by_one(some, only_absent=only_absent)
                if error is not None:
                    return error
                for key in some:
                    part.pop(key, None)
        return None

    async def _transact(self, facts: dict[FactKey, Fact], *, only_absent: bool) -> Exception | None:
        began = time.monotonic()
        try:
            await self._transactor.write(facts.values(), only_absent=only_absent)
        except Exception as error:  # noqa: BLE001 - the writer outlives whatever a driver raises
            return error
        self._succeeded(len(facts), time.monotonic() - began)
        return None

    async def _one_by_one(self, facts: dict[FactKey, Fact], *, only_absent: bool) -> Exception | None:
        """A batch was refused for what is in it: write the others, and put the culprits on record."""
        for key, fact in facts.items():
            error = await self._transact({key: fact}, only_absent=only_absent)
            if error is not None and is_about_data(error):
                error = await self._transact({key: upserts.mended(fact)}, only_absent=only_absent)
            if error is None:
                continue
            if not is_about_data(error):
                return error
            self._count(refused=1)
            reason = translated(error, self._url)
            self._stats = replace(self._stats, last_error=str(reason))
            _log.error("the database refuses %s %s for good: %s", *key, reason)
        return None

    def _succeeded(self, count: int, seconds: float) -> None:
        self._count(written=count, commits=1)
        self._stats = replace(
            self._stats, last_commit_at=time.time(), last_commit_seconds=seconds, in_trouble=False
        )
        if self._trouble_since is not None:
            lasted = time.monotonic() - self._trouble_since
            self._trouble_since = None
            self._tell(began=False, detail=f"the database takes writes again after {lasted:.1f} s")

    def _failed(self, error: Exception) -> None:
        reason = str(translated(error, self._url))
        self._count(retries=1)
        self._stats = replace(self._stats, last_error=reason, in_trouble=True)
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()
            self._tell(began=True, detail=reason)

    def _tell(self, *, began: bool, detail: str) -> None:
        if self.on_trouble is None:
            return
        try:
            self.on_trouble(began, detail)
        except Exception:  # noqa: BLE001 - the writer outlives its callback, which is another room's
            _log.exception("on_trouble failed")

    def _make_room(self) -> None:
        """Drop a twentieth at once, so that a full store does not search its facts for each new one."""
        surplus = len(self._pending) - self._limit
        if surplus > 0:
            self._count(dropped=self._pending.drop(surplus + self._limit // 20))

    def _give_up_all(self) -> None:
        self._count(dropped=len(self._pending) + len(self._writing))
        for waiter in self._pending.waiters + self._writing.waiters:
            if not waiter.done():
                waiter.set_exception(StoreError("the store was closed before this was written"))
        self._pending, self._writing = Pending(), Pending()

    def _count(self, **more: int) -> None:
        self._stats = replace(
            self._stats, **{name: getattr(self._stats, name) + count for name, count in more.items()}
        )
