"""After a restart: today's facts from the store into the current picture, so that its figures go on."""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from cti.core.facts import Fact
from cti.daemon.live import Live
from store.queries import CallFilter, Queries
from store.reading import MOST, Page

T = TypeVar("T")


async def recall(live: Live, queries: Queries, pbxs: Collection[str], now: float) -> None:
    """Give `live` what is on record since local midnight; call it before events arrive.

    Calls that go on are left to the core, which knows whether they still do. Whatever is taken twice counts once.

    Args:
        live: the picture.
        queries: the store's.
        pbxs: those that are configured; others belong to the past.
        now: epoch seconds.

    Raises:
        StoreError: the database cannot be read.
    """
    since = live.midnight(now)
    for pbx in pbxs:
        live.take(await queries.queues(pbx))
        live.take(await _states(queries, pbx, since))
        live.take((await queries.away_episodes(pbx=pbx, since=now, limit=MOST)).items)
        live.take((await queries.faults(pbx=pbx, ended=False, limit=MOST)).items)
        await _counted(live, queries, pbx, since)


async def _states(queries: Queries, pbx: str, since: float) -> list[Fact]:
    """Return the states that held since then (begun earlier or later), oldest first."""
    spans = await _all(lambda c: queries.agent_states(pbx=pbx, since=since, cursor=c, limit=MOST))
    return [span.state for span in reversed(spans)]


async def _counted(live: Live, queries: Queries, pbx: str, since: float) -> None:
    over = CallFilter(pbx=pbx, since=since, ended=True)
    calls = await _all(lambda c: queries.calls(over, cursor=c, limit=MOST))
    stays = await _all(lambda c: queries.queue_stays(pbx=pbx, since=since, cursor=c, limit=MOST))
    items = await _all(lambda c: queries.work_items(pbx=pbx, since=since, cursor=c, limit=MOST))
    incidents = await _all(lambda c: queries.incidents(pbx=pbx, since=since, cursor=c, limit=MOST))
    live.take([*calls, *(stay for stay in stays if stay.outcome is not None), *items, *incidents])


async def _all(fetch: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Follow a listing to its end."""
    found: list[T] = []
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found
