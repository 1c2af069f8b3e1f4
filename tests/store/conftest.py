"""A real database for each test: every test that asks for `database` or `store` runs on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store import Store, engine, open_store
from store.migrations import upgrade
from tests.store.databases import Database, PgDatabase, SqliteFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """For what is SQLite's alone."""
    return tmp_path / "var" / "cti.sqlite3"


@pytest.fixture
def url(file: Path) -> str:
    """Of `file`."""
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked database is noticed after 0.3 s instead of 2."""
    monkeypatch.setattr(engine, "_BUSY_MS", 300)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of the newest schema, made once."""
    made = tmp_path_factory.mktemp("migrated") / "cti.sqlite3"
    asyncio.run(upgrade(engine.parse_url(f"sqlite:///{made}")))
    return made


@pytest.fixture
def sqlite(file: Path, migrated: Path) -> SqliteFile:
    """A migrated SQLite file."""
    made = SqliteFile(file, migrated)
    made.renew()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    """A migrated, empty database of each kind."""
    made: Database
    if request.param == "sqlite":
        made = request.getfixturevalue("sqlite")
        return made
    made = PgDatabase(request.getfixturevalue("pg_server"), request.getfixturevalue("pg_shared"))
    made.renew()
    return made


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    opened = await open_store(database.url)
    yield opened
    await opened.close()
