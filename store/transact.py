"""How a batch of facts is written: one transaction, all of it or nothing.

On SQLite a connection and a thread of the writer's own: the whole transaction is one visit to that thread. Going through
the asynchronous driver instead takes three visits for each kind of fact, which costs more than SQLite's own work, and
under load each visit waits for its turn of the interpreter.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from sqlalchemy import URL
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from cti.core.facts import Fact
from store import engine, upserts, wide

_CLOSING = 5.0  # seconds a transaction that is under way gets to end in


class Transactor(Protocol):
    """Writes facts; used by one task alone."""

    async def write(self, facts: Iterable[Fact], *, only_absent: bool) -> None:
        """Write facts, at most one of each key, in one transaction; see `upserts.batches`.

        Raises:
            Exception: whatever the driver says; `is_about_data` tells whether trying again can help.
        """

    async def close(self) -> None:
        """Give the connection back, in bounded time."""


def transactor(database: engine.Database) -> Transactor:
    """The one for this kind of database."""
    if database.url.get_backend_name() == "sqlite":
        return SqliteTransactor(database.url)
    return EngineTransactor(database.writing)


class SqliteTransactor:
    """Writes to an SQLite file through a connection of its own."""

    def __init__(self, url: URL) -> None:
        self._file = str(url.database)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def write(self, facts: Iterable[Fact], *, only_absent: bool) -> None:
        """See `Transactor.write`; a transaction that is cancelled is still ended by its thread, one way or the other."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, list(facts), only_absent)

    async def close(self) -> None:
        """See `Transactor.close`."""
        if self._closed:
            return
        self._closed = True
        done = asyncio.wrap_future(self._thread.submit(self._disconnect))
        self._thread.shutdown(wait=False)
        await asyncio.wait([done], timeout=_CLOSING)

    def _write(self, facts: list[Fact], only_absent: bool) -> None:
        if self._connection is None:
            self._connection = engine.connect_sqlite(self._file)
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in upserts.batches(facts, "sqlite", only_absent=only_absent):
                wide.run(connection, statement, rows)
            connection.execute("COMMIT")
        except Exception as error:
            if is_about_data(error):
                connection.execute("ROLLBACK")
            else:
                self._disconnect()  # whatever is wrong with it, the next one is new
            raise

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # why it is closed is known already
                connection.close()


class EngineTransactor:
    """Writes through SQLAlchemy's pool of an asynchronous driver's connections."""

    def __init__(self, writing: AsyncEngine) -> None:
        self._engine = writing

    async def write(self, facts: Iterable[Fact], *, only_absent: bool) -> None:
        """See `Transactor.write`."""
        async with self._engine.begin() as connection:
            dialect = connection.dialect.name
            for statement, rows in upserts.batches(facts, dialect, only_absent=only_absent):
                await connection.exec_driver_sql(statement, [tuple(row) for row in rows])

    async def close(self) -> None:
        """Nothing: the pool is closed by whoever made it."""


class Gate:
    """Before a transactor: lets nothing through until the database was opened, so that what was there is read first."""

    def __init__(self, inner: Transactor) -> None:
        self._inner = inner
        self._why: Exception | None = None
        self._decided = asyncio.Event()

    async def write(self, facts: Iterable[Fact], *, only_absent: bool) -> None:
        """See `Transactor.write`; waits while nothing is decided, and fails while the gate is shut."""
        await self._decided.wait()
        if self._why is not None:
            raise self._why
        await self._inner.write(facts, only_absent=only_absent)

    def shut(self, why: Exception) -> None:
        """Every write fails so, until the gate is opened."""
        self._why = why
        self._decided.set()

    def open(self) -> None:
        """Let everything through from now on."""
        self._why = None
        self._decided.set()

    async def close(self) -> None:
        """See `Transactor.close`."""
        await self._inner.close()


_REFUSED_CLASSES = ("22", "23")  # SQLSTATE: data exception, integrity constraint violation
_REFUSALS = (sqlite3.DataError, sqlite3.IntegrityError, DataError, IntegrityError)
_MISUSES = (sqlite3.InterfaceError, sqlite3.ProgrammingError, InterfaceError, ProgrammingError)


def is_about_data(error: Exception) -> bool:
    """Whether it is what was written, and not where: then trying again is of no use."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return False
        state = getattr(error.orig, "sqlstate", None)
        if state is not None:
            return str(state)[:2] in _REFUSED_CLASSES
        if isinstance(
            error, InterfaceError
        ):  # asyncpg says so of a value it cannot encode, and of its own state
            return isinstance(getattr(error.orig, "__cause__", None), ValueError)
    if isinstance(error, _REFUSALS):
        return True
    if isinstance(error, _MISUSES):  # by the driver, before the database saw it: a value it cannot bind
        return getattr(error, "sqlite_errorcode", None) is None and "closed" not in str(error)
    return isinstance(error, StatementError | ValueError | OverflowError | TypeError) and not isinstance(
        error, DBAPIError
    )
