"""A real SQLite file for each test."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from store import Store, open_store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "cti.sqlite3"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
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
