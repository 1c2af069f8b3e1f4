"""The two databases as the store's tests meet them: what the store opens, and what another program does to it."""

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from store.tables import metadata
from tests.pg.server import Postgres

Rows = list[tuple[Any, ...]]

NAMES = ", ".join(f'"{table.name}"' for table in metadata.sorted_tables)


class Database(Protocol):
    """One database under test."""

    url: str

    def execute(self, statement: str) -> Rows:
        """Run a statement as another program, committed."""

    def rows(self, table: str) -> Rows:
        """What another program sees of a table, by primary key."""

    def locked(self) -> AbstractContextManager[None]:
        """While another program holds a lock that keeps every writer waiting, and no reader."""

    def renew(self) -> None:
        """Make every table there is, empty; nobody is connected."""


class SqliteFile:
    """An SQLite file; `blank` is an empty one of the newest schema."""

    def __init__(self, file: Path, blank: Path) -> None:
        self.file, self._blank = file, blank
        self.url = f"sqlite+aiosqlite:///{file}"

    def execute(self, statement: str) -> Rows:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def rows(self, table: str) -> Rows:
        return self.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")  # noqa: S608 - our table

    @contextmanager
    def locked(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.file, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def renew(self) -> None:
        self.file.parent.mkdir(exist_ok=True)
        shutil.copy(self._blank, self.file)


class PgDatabase:
    """A migrated PostgreSQL database."""

    def __init__(self, server: Postgres, name: str) -> None:
        self._server, self._name = server, name
        self.url = server.url(name)

    def execute(self, statement: str) -> Rows:
        return self._server.execute(statement, self._name)

    def rows(self, table: str) -> Rows:
        return self.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2, 3')  # noqa: S608 - our table

    @contextmanager
    def locked(self) -> Iterator[None]:
        with pg_locked(self._server, self._name):
            yield

    def renew(self) -> None:
        statements = [f'DELETE FROM "{table.name}"' for table in reversed(metadata.sorted_tables)]  # noqa: S608
        self.execute(
            "DO $$ BEGIN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid(); {'; '.join(statements)}; END $$"
        )


@contextmanager
def pg_locked(server: Postgres, name: str) -> Iterator[None]:
    """While another session holds every table against writers."""
    held, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await server.connect(name)
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {NAMES} IN EXCLUSIVE MODE")
                held.set()
                await asyncio.to_thread(release.wait)
        finally:
            await connection.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    try:
        if not held.wait(timeout=10):
            raise TimeoutError("the tables cannot be locked")
        yield
    finally:
        release.set()
        holder.join()
