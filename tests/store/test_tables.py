"""The tables are the data dictionary, and the migrations make exactly them."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import AgentState, Fact, Notice, Rejected
from store import Store, StoreError, open_store
from store.columns import UtcInstant
from store.engine import make_engine, make_file, parse_url
from store.migrations import config, newest, upgrade
from store.tables import FACT_TABLES, calls, metadata
from tests.pg.server import Postgres
from tests.store import made
from tests.store.databases import Database

SQLITE = sqlite.dialect()
POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's


def test_every_kind_of_fact_but_notices_and_rejections_has_a_table() -> None:
    """Every kind of fact but notices and rejections has a table."""
    assert set(FACT_TABLES) == set(get_args(Fact)) - {Notice, Rejected}


@pytest.mark.parametrize("kind", FACT_TABLES)
def test_columns_are_named_as_the_fields_of_the_fact(kind: type[Any]) -> None:
    """Columns are named as the fields of the fact; a state's end is the one addition."""
    names = {column.name for column in FACT_TABLES[kind].columns}
    added = {"until"} if kind is AgentState else set()
    assert names == {field.name for field in fields(kind)} | added


@pytest.mark.parametrize("kind", FACT_TABLES)
def test_a_field_may_be_null_exactly_if_the_fact_allows_it(kind: type[Any]) -> None:
    """A column is nullable exactly if the fact's field may be None."""
    for field in fields(kind):
        column = FACT_TABLES[kind].c[field.name]
        assert column.nullable == (type(None) in get_args(field.type)), field.name


@given(st.integers(min_value=0, max_value=4_102_444_800_000_000))
def test_an_instant_keeps_its_microseconds(micros: int) -> None:
    """An instant comes back exactly as the float it was, on SQLite and on PostgreSQL."""
    instant = micros / 1_000_000
    for dialect in (SQLITE, POSTGRESQL):
        kept = UtcInstant().process_bind_param(instant, dialect)
        assert UtcInstant().process_result_value(kept, dialect) == instant


def test_an_instant_is_an_integer_on_sqlite_and_an_aware_time_on_postgresql() -> None:
    """SQLite keeps microseconds as an integer, PostgreSQL an aware UTC time."""
    assert UtcInstant().process_bind_param(made.T0, SQLITE) == 1_700_000_000_123_456
    kept = UtcInstant().process_bind_param(made.T0, POSTGRESQL)
    assert kept.isoformat() == "2023-11-14T22:13:20.123456+00:00"


def _differences(file: Path) -> list[Any]:
    engine = create_engine(f"sqlite:///{file}")
    try:
        with engine.connect() as connection:
            return list(compare_metadata(_context(connection), metadata))
    finally:
        engine.dispose()


def _context(connection: Connection) -> MigrationContext:
    return MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})


async def test_migrations_make_exactly_the_tables(file: Path, url: str) -> None:
    """Upgrading an empty database gives the tables that the program works with, and doing it again changes nothing."""
    make_file(parse_url(url))
    await upgrade(parse_url(url))
    assert _differences(file) == []
    before = _bytes(file)
    await upgrade(parse_url(url))
    assert _bytes(file) == before


def _bytes(file: Path) -> bytes:
    return file.read_bytes()


async def test_an_upgrade_keeps_what_is_there(database: Database) -> None:
    """Opening a database again keeps its rows."""
    store = await open_store(database.url)
    store.writer.put(made.one_of_each())
    await store.close()
    store = await open_store(database.url)
    assert await store.queries.call(made.call().id) is not None
    await store.close()


def test_there_is_one_line_of_revisions() -> None:
    """The revisions form one line with one head, which the files' names tell, wherever the program is started from."""
    assert ScriptDirectory.from_config(config()).get_heads() == [newest()]


async def test_a_database_of_an_older_program_is_brought_up(url: str) -> None:
    """A start brings up what is not of the newest revision."""
    make_file(parse_url(url))
    await upgrade(parse_url(url))
    engine = make_engine(parse_url(url), write=True)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), "-1"))
        assert await _revision_of(connection) != newest()
    await upgrade(parse_url(url))
    async with engine.connect() as connection:
        assert await _revision_of(connection) == newest()
    await engine.dispose()


async def _revision_of(connection: AsyncConnection) -> str | None:
    found = await connection.execute(text("SELECT version_num FROM alembic_version"))
    return str(found.scalar())


async def _differences_on_postgresql(url: str) -> list[Any]:
    engine = make_engine(parse_url(url), write=False)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: list(compare_metadata(_context(sync), metadata)))
    finally:
        await engine.dispose()


async def test_migrations_make_exactly_the_tables_on_postgresql(
    pg_server: Postgres, pg_database: str
) -> None:
    """An empty PostgreSQL database gets the same tables, instants as TIMESTAMPTZ; doing it again changes nothing."""
    url = pg_server.url(pg_database)
    for _ in range(2):
        await upgrade(parse_url(url))
        assert await _differences_on_postgresql(url) == []
    kind = "SELECT data_type FROM information_schema.columns WHERE table_name = 'calls' AND column_name = 'started_at'"
    assert pg_server.execute(kind, pg_database) == [("timestamp with time zone",)]


async def test_two_daemons_that_start_at_once_migrate_once(pg_server: Postgres, pg_database: str) -> None:
    """On PostgreSQL a second starter waits for the first one's migration, and finds it done."""
    url = parse_url(pg_server.url(pg_database))
    await asyncio.gather(*(upgrade(url) for _ in range(3)))
    assert await _differences_on_postgresql(pg_server.url(pg_database)) == []


async def test_a_read_is_of_one_moment_and_writes_nothing(store: Store, database: Database) -> None:
    """What one read transaction sees does not change while others write, and it cannot write itself."""
    async with store._database.read() as connection:
        before = (await connection.execute(select(func.count()).select_from(calls))).scalar()
        store.writer.put([made.call()])
        await store.writer.committed()
        assert len(database.rows("calls")) == 1
        assert (await connection.execute(select(func.count()).select_from(calls))).scalar() == before == 0
    with pytest.raises(StoreError, match="read"):
        async with store._database.read() as connection:
            await connection.execute(calls.delete())


async def test_the_file_is_for_its_owner_only(file: Path, url: str) -> None:
    """A new database file, its WAL and its directory can be read by nobody else."""
    store = await open_store(url)
    store.writer.put([made.call()])
    await store.writer.committed()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()} == {0o600}
    assert len(list(file.parent.iterdir())) == 3
    await store.close()


async def test_a_closed_database_is_one_file(file: Path, url: str) -> None:
    """A clean shutdown leaves one file, with everything in it."""
    store = await open_store(url)
    store.writer.put([made.call()])
    await store.close()
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("cti.sqlite3", "write for example sqlite+aiosqlite:///"),
        ("mysql://u:secret@h/cti", "use sqlite+aiosqlite or postgresql+asyncpg"),
        ("sqlite+aiosqlite://", "write sqlite+aiosqlite:///"),
        ("sqlite+aiosqlite:///:memory:", "write sqlite+aiosqlite:///"),
        ("sqlite+aiosqlite:////proc/none/cti.sqlite3", "writable"),
    ],
)
async def test_a_wrong_url_is_refused_with_its_cure(url: str, cure: str) -> None:
    """A URL that cannot work is refused; the text names the cure and no password."""
    with pytest.raises(StoreError, match=r"database\.url") as refused:
        await open_store(url)
    assert cure in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_file_that_is_no_database_is_left_alone(file: Path, url: str) -> None:
    """A file that is something else is refused, and not touched."""
    make_file(parse_url(url))
    with file.open("w") as notes:
        notes.write("not a database, but somebody's notes\n" * 100)
    before = _bytes(file)
    with pytest.raises(StoreError, match="something else: move it away"):
        await open_store(url)
    assert _bytes(file) == before
