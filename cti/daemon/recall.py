"""After a restart: today's facts from the store into the current picture, so that its figures go on.

It may run while events arrive. What is counted has an id and counts once, whoever brings it first; an agent's time on
record counts up to the first state that this process heard of that agent. What is open now (calls, queues, absences,
faults) is not read: the core was given it, and says what of it is still true.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial
from typing import Any, TypeVar

from cti.daemon.live import Live
from store.errors import StoreAway
from store.queries import CallFilter, Queries, StateSpan
from store.reading import Page

T = TypeVar("T")
Fetch = Callable[[str | None], Awaitable[Page[T]]]

_ROWS = 200  # of one page: the loop is kept from its events by no more than these
_RETRY = 1.0  # seconds until a database that is away is asked again


async def recall(live: Live, queries: Queries, pbxs: Collection[str], now: float) -> int:
    """Count in `live` what is on record since local midnight; once in the life of a picture.

    Args:
        live: the picture.
        queries: the store's.
        pbxs: those that are configured; others belong to the past.
        now: epoch seconds.

    Returns:
        How many records were read.

    Raises:
        StoreError: the database cannot be read, and waiting would not help.
    """
    since = live.midnight(now)
    read = 0
    for pbx in pbxs:
        read += await _counted(live, queries, pbx, since)
        read += await _held(live, queries, pbx, since)
    return read


async def _counted(live: Live, queries: Queries, pbx: str, since: float) -> int:
    over = CallFilter(pbx=pbx, since=since, ended=True)
    listings: tuple[Fetch[Any], ...] = (
        lambda c: queries.queue_stays(pbx=pbx, since=since, cursor=c, limit=_ROWS),
        lambda c: queries.calls(over, cursor=c, limit=_ROWS),
        lambda c: queries.work_items(pbx=pbx, since=since, cursor=c, limit=_ROWS),
        lambda c: queries.incidents(pbx=pbx, since=since, cursor=c, limit=_ROWS),
    )
    read = 0
    for fetch in listings:
        async for items in _pages(fetch):
            live.count(items)
            read += len(items)
    return read


async def _held(live: Live, queries: Queries, pbx: str, since: float) -> int:
    """Give the time in states since then; of a state begun earlier only what lies after.

    All states are read, newest first, until one is older: asking for those that held at midnight would look through
    the whole past. The state that each agent was in then is asked for by agent.
    """
    agents = {state.agent for state in await _patiently(lambda: queries.current_agent_states(pbx))}
    read = 0
    async for spans in _pages(lambda c: queries.agent_states(pbx=pbx, cursor=c, limit=_ROWS)):
        today = [span for span in spans if span.state.since >= since]
        _give(live, today)
        read += len(today)
        if len(today) < len(spans):
            break
    for agent in sorted(agents):
        page = await _patiently(partial(queries.agent_states, pbx=pbx, agent=agent, before=since, limit=1))
        _give(live, page.items)
        read += len(page.items)
    return read


def _give(live: Live, spans: Collection[StateSpan]) -> None:
    for span in spans:
        live.held(span.state, span.until)


async def _pages(fetch: Fetch[T]) -> AsyncIterator[tuple[T, ...]]:
    """Follow a listing to its end; after each page others have as much of the processor as it took."""
    cursor: str | None = None
    while True:
        began = time.thread_time()
        page = await _patiently(partial(fetch, cursor))
        yield page.items
        await asyncio.sleep(time.thread_time() - began)
        cursor = page.next
        if cursor is None:
            return


async def _patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Read, as soon as the database is there; nothing that was read already is read again."""
    while True:
        try:
            return await read()
        except StoreAway:
            await asyncio.sleep(_RETRY)  # a pace: a database tells nobody that it is back
