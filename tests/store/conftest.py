"""A real SQLite file for each test."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from store import Store, engine, open_store
from store.migrations import upgrade


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "cti.sqlite3"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked database is noticed after 0.3 s instead of 2."""
    monkeypatch.setattr(engine, "_BUSY_MS", 300)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the newest schema, made once."""
    made = tmp_path_factory.mktemp("migrated") / "cti.sqlite3"
    asyncio.run(upgrade(engine.parse_url(f"sqlite:///{made}")))
    return made


@pytest.fixture
async def store(url: str, file: Path, migrated: Path) -> AsyncIterator[Store]:
    file.parent.mkdir()
    shutil.copy(migrated, file)
    opened = await open_store(url)
    yield opened
    await opened.close()


def rows(file: Path, table: str) -> list[tuple[Any, ...]]:
    """What another program sees of a table, by primary key."""
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()  # noqa: S608 - our table


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
