"""A database that is away when it is first needed: told from one that can never be used, and written to only when told."""

import asyncio

import pytest

from store import StoreAway, StoreError, open_store, unopened
from tests.pg.server import Postgres
from tests.store import made
from tests.store.databases import SqliteFile


async def test_a_stopped_postgresql_is_away_and_a_wrong_name_is_not(pg_own: Postgres) -> None:
    """Waiting helps against the first, and never against the second."""
    with pytest.raises(StoreError, match="does not exist") as refused:
        await open_store(pg_own.url("nobody_made_it"))
    assert not isinstance(refused.value, StoreAway)
    pg_own.stop()
    with pytest.raises(StoreAway, match="check that the database runs"):
        await open_store(pg_own.url("postgres"))
    pg_own.start()
    async with await open_store(pg_own.url("postgres")) as store:
        assert (await store.queries.calls()).items == ()


async def test_a_locked_file_is_away_and_a_damaged_one_is_not(sqlite: SqliteFile) -> None:
    with sqlite.locked(), pytest.raises(StoreAway, match="another program holds the database"):
        await open_store(sqlite.url)
    sqlite.file.write_bytes(b"no database at all" * 400)
    with pytest.raises(StoreError, match="move it away") as refused:
        await open_store(sqlite.url)
    assert not isinstance(refused.value, StoreAway)


async def test_nothing_is_written_before_what_was_there_was_read(sqlite: SqliteFile) -> None:
    """What is put waits; while the database is kept waiting for, the writer's trouble says why."""
    troubles: list[tuple[bool, str]] = []
    told = asyncio.Event()

    def on_trouble(began: bool, detail: str) -> None:
        troubles.append((began, detail))
        told.set()

    store = unopened(sqlite.url)
    store.writer.on_trouble = on_trouble
    store.writer.put([made.call(1)])
    await store.migrate()
    assert (await store.queries.calls()).items == ()
    store.keep_waiting(StoreAway("database x: it sleeps; wake it"))
    await told.wait()
    assert troubles == [(True, "database x: it sleeps; wake it")]
    assert store.writer.stats.queued == 1
    store.let_write()
    await store.writer.committed()
    assert [began for began, _ in troubles] == [True, False]
    assert len((await store.queries.calls()).items) == 1
    await store.close()
