"""Hearing it all again changes nothing: every recorded scenario, on a real SQLite file, row for row (B1, B3)."""

from collections.abc import Callable, Iterable

import pytest

from cti.core import events as ev
from cti.core.core import Core
from cti.core.facts import Fact
from store import Store, engine, open_store
from store.tables import FACT_TABLES, metadata
from store.transact import SqliteTransactor
from tests.core.recorded_calls import all_names, recorded
from tests.scenarios.judge import RULES
from tests.store.databases import Rows, SqliteFile

Telling = Callable[[tuple[ev.Event, ...]], Iterable[ev.Event]]


def whole(events: tuple[ev.Event, ...]) -> Iterable[ev.Event]:
    """As it was recorded."""
    return events


def twice(events: tuple[ev.Event, ...]) -> Iterable[ev.Event]:
    """Each event told twice in a row."""
    return (event for once in events for event in (once, once))


def cut(events: tuple[ev.Event, ...]) -> Iterable[ev.Event]:
    """The daemon dies in the middle."""
    return events[: len(events) // 2]


async def hear(store: Store, telling: Telling) -> None:
    """Every recording to a new core each, on a PBX of its own, and all facts to the store."""
    for name in all_names():
        core = Core(name, RULES)
        for event in telling(recorded(name)):
            store.writer.put(core.step(event).facts)
        await store.writer.committed()


def rows(database: SqliteFile) -> dict[str, Rows]:
    """Every row of every table, as SQLite holds it."""
    return {
        table.name: database.execute(f'SELECT * FROM "{table.name}" ORDER BY 1, 2, 3')  # noqa: S608 - our table
        for table in metadata.sorted_tables
    }


@pytest.mark.parametrize("again", [whole, twice], ids=lambda telling: str(telling.__name__))
async def test_heard_again(sqlite: SqliteFile, again: Telling) -> None:
    """B1: told again over its own rows, or told with every event doubled, it leaves each row as it was."""
    async with await open_store(sqlite.url) as store:
        await hear(store, whole)
        before = rows(sqlite)
        await hear(store, again)
        after = rows(sqlite)
    assert len(before["calls"]) >= len(all_names())
    assert {
        name: set(after[name]) ^ set(before[name]) for name in before if after[name] != before[name]
    } == {}


@pytest.mark.parametrize("first", [cut, twice], ids=lambda telling: str(telling.__name__))
async def test_heard_wholly_after(sqlite: SqliteFile, first: Telling) -> None:
    """B3: what a broken or a stuttering hearing left behind becomes what one clean hearing makes."""
    async with await open_store(sqlite.url) as store:
        await hear(store, whole)
        clean = rows(sqlite)
        for table in reversed(metadata.sorted_tables):
            sqlite.execute(f'DELETE FROM "{table.name}"')  # noqa: S608 - our table
        await hear(store, first)
        assert rows(sqlite)["calls"]
        await hear(store, whole)
        after = rows(sqlite)
    assert {name: set(after[name]) ^ set(clean[name]) for name in clean if after[name] != clean[name]} == {}


def last_of_each(told: Iterable[Iterable[Fact]]) -> list[Fact]:
    """What a writer that gathers all of it writes."""
    return list({fact.key: fact for facts in told for fact in facts if type(fact) in FACT_TABLES}.values())


async def test_heard_in_part_after(sqlite: SqliteFile) -> None:
    """B1, B3: each recording, cut off after every third of its events, leaves each row of the finished calls as it was.

    The shortest comes last, so that none can bring back what one before it took away.
    """
    transactor = SqliteTransactor(engine.parse_url(sqlite.url))
    told = {}
    for name in all_names():
        core = Core(name, RULES)
        told[name] = [core.step(event).facts for event in recorded(name)]
        await transactor.write(last_of_each(told[name]), only_absent=False)
    before = rows(sqlite)
    for n, facts in enumerate(told.values()):
        for length in range(len(facts) - 1 - n % 3, 0, -3):
            await transactor.write(last_of_each(facts[:length]), only_absent=False)
    after = rows(sqlite)
    await transactor.close()
    assert len(before["calls"]) >= len(all_names())
    assert {
        name: set(after[name]) ^ set(before[name]) for name in before if after[name] != before[name]
    } == {}
