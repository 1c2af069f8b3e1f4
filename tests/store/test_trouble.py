"""A database that is away, frozen, held or full: told once, bounded, and everything caught up after."""

import asyncio
import resource
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from cti.core.facts import Fact
from store import Store, StoreError, engine, open_store
from store.pending import KEPT
from store.transact import is_about_data
from tests.pg.server import Postgres
from tests.store import made
from tests.store.databases import SqliteFile, pg_locked

NOT_IN_ANY_BOOK: list[Fact] = [fact for fact in made.one_of_each() if type(fact) in KEPT]


class Told:
    """What `on_trouble` was told."""

    def __init__(self) -> None:
        self.begins: list[bool] = []
        self.details: list[str] = []
        self.began, self.ended = asyncio.Event(), asyncio.Event()

    def __call__(self, begins: bool, detail: str) -> None:
        self.begins.append(begins)
        self.details.append(detail)
        (self.began if begins else self.ended).set()


def bulky(n: int) -> Fact:
    """A call that takes two kilobytes on any disk."""
    return made.call(n, caller_name=Random(n).randbytes(1000).hex())


async def goes_through(store: Store, told: Told, *, first: int = 0) -> None:
    """Traffic while the trouble lasts; it is seen, and nothing waits."""
    facts = [*NOT_IN_ANY_BOOK, *(bulky(n) for n in range(first, 1000))]
    async with asyncio.timeout(50):
        start = time.process_time()
        store.writer.put(facts)
        assert time.process_time() - start < 0.5, (
            "putting waits for nothing and costs little, on a busy machine too"
        )
        await told.began.wait()
    assert store.writer.stats.in_trouble
    assert "secret" not in store.writer.stats.last_error


async def caught_up(store: Store, told: Told) -> None:
    """The trouble is over: said so once, and everything is there."""
    async with asyncio.timeout(50):
        await store.writer.committed()
        await told.ended.wait()
    assert told.begins == [True, False]
    stats = store.writer.stats
    assert (stats.queued, stats.dropped, stats.refused, stats.in_trouble) == (0, 0, 0, False)
    q = store.queries
    found = await q.calls(limit=1000)
    assert (len(found.items), found.next) == (1000, None)
    parts = (await q.incidents(), await q.faults(), await q.work_items(), await q.away_episodes())
    assert [len(part.items) for part in parts] == [1, 1, 1, 1]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent PostgreSQL is given up soon, one that works on a busy machine is not."""
    for name, seconds in (("_STATEMENT_S", 4.0), ("_CONNECT_S", 2.0), ("_CLOSING_S", 0.5)):
        monkeypatch.setattr(engine, name, seconds)


@pytest.mark.parametrize("at_once", [False, True])
async def test_postgresql_stopped_and_started(pg_own: Postgres, at_once: bool) -> None:
    """A3: PostgreSQL restarted or crashed under the writer: told, everything caught up, no second start of ours."""
    told = Told()
    async with await open_store(pg_own.url("postgres"), on_trouble=told) as store:
        store.writer.put([bulky(0)])
        await store.writer.committed()
        pg_own.stop(at_once=at_once)
        await goes_through(store, told)
        with pytest.raises(StoreError, match="check that the database runs") as refused:
            await store.queries.calls()
        assert pg_own.password not in f"{refused.value}{told.details}"
        pg_own.start()
        await caught_up(store, told)


async def test_postgresql_killed_in_mid_batch(pg_own: Postgres) -> None:
    """PostgreSQL crashing again and again under load loses nothing that is committed or waits."""
    told = Told()
    async with await open_store(pg_own.url("postgres"), on_trouble=told) as store:
        for n in range(1000):
            store.writer.put([bulky(n)])
            if n % 250 == 100:
                waiting = asyncio.create_task(store.writer.committed())
                await asyncio.sleep(0.005)
                pg_own.stop(at_once=True)
                pg_own.start()
                await waiting
        await store.writer.committed()
        assert len((await store.queries.calls(limit=1000)).items) == 1000
        assert (store.writer.stats.refused, store.writer.stats.dropped) == (0, 0)


@pytest.mark.usefixtures("quick")
async def test_postgresql_that_answers_nobody(pg_own: Postgres) -> None:
    """A black-holed database is noticed in bounded time, and everything is caught up when it answers again."""
    told = Told()
    async with await open_store(pg_own.url("postgres"), on_trouble=told) as store:
        store.writer.put([bulky(0)])
        await store.writer.committed()
        pg_own.freeze()
        await goes_through(store, told)
        pg_own.thaw()
        await caught_up(store, told)


@pytest.mark.usefixtures("quick")
async def test_a_shutdown_with_a_frozen_postgresql_ends_in_time(pg_own: Postgres) -> None:
    """With the database black-holed the end comes in bounded time and says what was not written."""
    store = await open_store(pg_own.url("postgres"))
    store.writer.put([bulky(0)])
    await store.writer.committed()
    pg_own.freeze()
    store.writer.put(NOT_IN_ANY_BOOK)
    start = time.monotonic()
    with pytest.raises(
        StoreError, match=r"6 facts could not be written within 0\.3 s \(1 away_episode, 1 incident"
    ):
        await store.close(timeout=0.3)
    assert time.monotonic() - start < 10


async def test_a_full_disk_under_postgresql(pg_own: Postgres) -> None:
    """A3: PostgreSQL whose disk takes no more is trouble, not bad data: nothing is refused, all is caught up."""
    told = Told()
    async with await open_store(pg_own.url("postgres"), on_trouble=told) as store:
        store.writer.put([bulky(0)])
        await store.writer.committed()
        pg_own.fill_disk()
        await goes_through(store, told)
        assert "could not extend file" in told.details[0]
        pg_own.make_room()
        await caught_up(store, told)


@contextmanager
def files_limited(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_takes_nothing_under_sqlite(sqlite: SqliteFile) -> None:
    """A3: writes that the operating system refuses are trouble; the file stays whole and everything is caught up."""
    told = Told()
    async with await open_store(sqlite.url, on_trouble=told) as store:
        store.writer.put([bulky(0)])
        await store.writer.committed()
        with files_limited(sqlite.file.stat().st_size + 100_000):
            await goes_through(store, told)
            assert "full or failing" in store.writer.stats.last_error
            assert len((await store.queries.calls()).items) == 1, "reading goes on"
        await caught_up(store, told)
    assert sqlite.execute("PRAGMA integrity_check") == [("ok",)]


async def test_a_full_sqlite_database(sqlite: SqliteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A3: SQLite's own `database or disk is full` is said with its cure, and ends when there is room."""
    pages = sqlite.execute("PRAGMA page_count")[0][0]
    open_as_ever = engine.connect_sqlite

    def cramped(file: str) -> sqlite3.Connection:
        connection = open_as_ever(file)
        connection.execute(f"PRAGMA max_page_count={pages + 20}")
        return connection

    monkeypatch.setattr(engine, "connect_sqlite", cramped)
    told = Told()
    async with await open_store(sqlite.url, on_trouble=told) as store:
        store.writer.put([bulky(0)])
        await store.writer.committed()
        await goes_through(store, told)
        assert "the disk is full: free space" in told.details[0]
        monkeypatch.setattr(engine, "connect_sqlite", open_as_ever)
        await caught_up(store, told)


async def test_a_long_lock_keeps_memory_bounded(
    pg_server: Postgres, pg_shared: str, sqlite: SqliteFile
) -> None:
    """However many snapshots come while the database is held, what waits is one fact of each key, up to the limit."""
    for url, held in (
        (sqlite.url, sqlite.locked()),
        (pg_server.url(pg_shared), pg_locked(pg_server, pg_shared)),
    ):
        told = Told()
        async with await open_store(url, on_trouble=told) as store:
            store.writer._limit = 300
            with held:
                store.writer.put(NOT_IN_ANY_BOOK)
                for n in range(2000):
                    store.writer.put([made.call(n, ended_at=made.T0 + n), made.leg(n % 10)])
                    if n % 100 == 0:
                        await asyncio.sleep(0)
                await told.began.wait()
                assert store.writer.stats.queued <= 2 * 300
                assert store.writer.stats.dropped > 1000
            await store.writer.committed()
            kept = (await store.queries.incidents(), await store.queries.work_items())
            assert [len(page.items) for page in kept] == [1, 1]


async def test_missing_tables_are_trouble_and_cost_nothing(sqlite: SqliteFile) -> None:
    """A table somebody took away makes trouble and waits; facts are not taken for bad ones."""
    told = Told()
    async with await open_store(sqlite.url, on_trouble=told) as store:
        sqlite.execute("ALTER TABLE calls RENAME TO aside")
        store.writer.put([bulky(0)])
        await told.began.wait()
        sqlite.execute("ALTER TABLE aside RENAME TO calls")
        await store.writer.committed()
        assert (store.writer.stats.refused, len(sqlite.rows("calls"))) == (0, 1)


def test_a_damaged_file_is_not_bad_data(tmp_path: Path) -> None:
    """A malformed database refuses everything; that is no reason to give up what is to be written."""
    file = tmp_path / "x.sqlite3"
    file.write_bytes(b"SQLite format 3\0" + b"\x07" * 4096)
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.DatabaseError) as refused:
        connection.execute("SELECT * FROM sqlite_master")
    assert not is_about_data(refused.value)
