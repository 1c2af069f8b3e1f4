"""The tables are the data dictionary, and the migrations make exactly them."""

import sqlite3
import stat
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from cti.core.facts import AgentState, Fact, Notice, Rejected
from store import StoreError, open_store, upserts
from store.columns import UtcInstant
from store.engine import make_file, parse_url
from store.migrations import config, upgrade
from store.tables import FACT_TABLES, metadata
from tests.store import made

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


async def test_an_upgrade_keeps_what_is_there(url: str) -> None:
    """Opening a database again keeps its rows."""
    store = await open_store(url)
    store.writer.put(made.one_of_each())
    await store.close()
    store = await open_store(url)
    assert await store.queries.call(made.call().id) is not None
    await store.close()


def test_there_is_one_line_of_revisions() -> None:
    """The revisions form one line with one head, wherever the program is started from."""
    assert len(ScriptDirectory.from_config(config()).get_heads()) == 1


def test_the_tables_compile_for_postgresql() -> None:
    """Every table and index can be said in PostgreSQL, instants as TIMESTAMPTZ."""
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=POSTGRESQL))
        assert "ROWID" not in text
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=POSTGRESQL))
    assert "started_at TIMESTAMP WITH TIME ZONE NOT NULL" in str(
        CreateTable(metadata.tables["calls"]).compile(dialect=POSTGRESQL)
    )


@pytest.mark.parametrize("kind", FACT_TABLES)
def test_the_writes_compile_for_postgresql(kind: type[Any]) -> None:
    """Every upsert can be said in PostgreSQL."""
    for only_absent in (False, True):
        statement = upserts._UPSERTS[kind, "postgresql", only_absent]
        assert "ON CONFLICT" in str(statement.compile(dialect=POSTGRESQL))
    assert "CASE WHEN" in str(upserts._END_EARLIER.compile(dialect=POSTGRESQL))


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
