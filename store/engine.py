"""How a connection to the database is made: URL, pragmas, transactions, and errors in our words.

SQLite runs in WAL mode, where readers never wait for the writer nor the writer for them. `synchronous=NORMAL`: a
commit is in the operating system's hands before it returns, so a killed daemon loses nothing; only a power cut can
take the last commits back (never corrupt the file), and those the PBX's books give back. FULL would cost one disk sync
for each batch.

The driver's own transaction handling is off: a transaction begins with our BEGIN, so a read is one snapshot and a
write takes the lock at once (`BEGIN IMMEDIATE`) instead of failing half-way.
"""

import asyncio
import logging
import os
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from store.errors import StoreAway, StoreError
from store.wide import STATEMENTS

_log = logging.getLogger(__name__)

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_BUSY_MS = 2_000  # how long one statement waits for another process's lock before it fails and is retried
_CONNECT_S = 5.0  # to reach a PostgreSQL server
_STATEMENT_S = 15.0  # to hear from it after that: what a black-holed link costs
_IDLE_S = 60
_CLOSING_S = 3.0  # to take leave of it
_WAL_PAGES = 4_000  # 16 MB are gathered before they go into the file: a page changed often goes there once
_WAL_KEPT = 64 * 1024 * 1024  # bytes to which the WAL file is cut back after a burst


def parse_url(url: str) -> URL:
    """The URL with an asynchronous driver.

    Raises:
        StoreError: not a URL, not a database we know, or an SQLite database that is no file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(
            f"database.url {url.partition(':')[0]!r}: is not a database URL; "
            "write for example sqlite+aiosqlite:///var/cti.sqlite3"
        ) from None
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    if driver not in _DRIVERS.values():
        raise StoreError(
            f"database.url: {parsed.drivername!r} is not supported; use sqlite+aiosqlite or postgresql+asyncpg"
        )
    parsed = parsed.set(drivername=driver)
    name = parsed.database or ""
    if parsed.get_backend_name() == "sqlite" and (name in {"", ":memory:"} or name.startswith("file:")):
        raise StoreError(f"database.url: {name!r} is not a file; write sqlite+aiosqlite:///var/cti.sqlite3")
    return parsed


def make_engine(url: URL, *, write: bool, pool_size: int = 5, hasty: bool = True) -> AsyncEngine:
    """An engine whose transactions write (they take SQLite's lock at once), or may only read.

    Args:
        url: of `parse_url`.
        write: whether it may.
        pool_size: connections at most.
        hasty: a statement on PostgreSQL that takes too long is given up; migrations may take their time.

    Raises:
        StoreError: the driver is not installed.
    """
    sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = create_async_engine(
            url,
            hide_parameters=True,  # a caller's number is not to appear in an error
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=not sqlite,
            **({"connect_args": {"factory": _SqliteConnection}} if sqlite else _postgresql(write, hasty)),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(
            f"database.url: the driver for {url.drivername} is missing ({error}); install it beside this program"
        ) from None
    if sqlite:
        _prepare_sqlite(engine, write=write)
    return engine


def _postgresql(write: bool, hasty: bool) -> dict[str, Any]:
    settings = {
        "application_name": "cti",
        "timezone": "UTC",
        "lock_timeout": f"{_BUSY_MS}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_S}s",  # a frozen daemon keeps no locks
        "default_transaction_read_only": "off" if write else "on",
    }
    return {
        "isolation_level": "READ COMMITTED"
        if write
        else "REPEATABLE READ",  # a read is one snapshot, as on SQLite
        "connect_args": {
            "timeout": _CONNECT_S,
            "command_timeout": _STATEMENT_S if hasty else None,
            "server_settings": settings,
        },
    }


def check_file(url: URL) -> None:
    """Raises StoreError when the URL names an SQLite file that is not there."""
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise StoreError(f"database.url: {url.database} does not exist; name the daemon's own database")


def make_file(url: URL) -> None:
    """Create an SQLite file readable by its owner only (0600; its WAL files inherit that) in a directory of 0700.

    A directory or file that is already there keeps its mode: it is the administrator's.

    Raises:
        StoreError: the directory or file cannot be made.
    """
    if url.get_backend_name() != "sqlite" or url.database is None:
        return
    path = Path(url.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"database.url: {path} cannot be opened ({error.strerror}); make {path.parent} writable for this user, or name another file"
        ) from error


def translated(error: BaseException, url: URL) -> StoreError:
    """A library's error in our words (ours as it is); the URL is shown without its password."""
    if isinstance(error, StoreError):
        return error
    reason = str(error.orig) if isinstance(error, StatementError) else str(error)
    reason = re.sub(r"^<class '[^']*'>: ", "", reason)  # asyncpg's, through SQLAlchemy
    where = url.render_as_string(hide_password=True)
    kind = StoreAway if is_passing(error) else StoreError
    return kind(f"database {where}: {reason or type(error).__name__}; {_cure(reason)}")


_PASSING_CLASSES = (
    "08",
    "40",
    "53",
    "55",
    "57",
    "58",
)  # SQLSTATE: connection, rollback, resources, in use, operator, system
_READ_ONLY = "25006"  # a standby that has not been promoted yet
_PASSING_SQLITE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def is_passing(error: BaseException) -> bool:
    """Whether trying again later can help although nobody changes anything about the configuration or the data."""
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    state = getattr(cause, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in _PASSING_CLASSES or str(state) == _READ_ONLY
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(cause, OSError | TimeoutError) and not isinstance(cause, PermissionError)


DATABASE_ERRORS = (SQLAlchemyError, OSError, TimeoutError)
"""What a database call may raise; translate it with `translated`."""

_HELD = "another program holds the database: end its transaction, then try again"
_FULL = "the disk is full: free space on it; what is waiting is written by itself then"
_CURES = {
    "locked": _HELD,
    "lock timeout": _HELD,
    "No space left": _FULL,
    "readonly": "make the file and its directory writable for this user",
    "unable to open": "make the file and its directory readable and writable for this user",
    "is full": _FULL,
    "disk I/O error": "the disk takes nothing: see whether it is full or failing; what is waiting is written by itself then",
    "password authentication": "correct the user in database.url, or its password",
    "does not exist": "create it, and make this user its owner",
    "permission denied": "make this user the owner of the database",
    "not a database": "the file is something else: move it away, or name another file",
    "malformed": "the file is damaged: stop, restore it from a backup, or recover it with `sqlite3 FILE .recover`",
    "no such": "the tables are not there or too old: start once with `cti run`, which migrates them",
    "constraint": "correct the row that was refused; nothing of this change was kept",
}


def _cure(reason: str) -> str:
    for mark, cure in _CURES.items():
        if mark in reason:
            return cure
    return "check that the database runs and can be reached with this URL"


class _SqliteConnection(sqlite3.Connection):
    """Gives its locks back when it is closed in mid-transaction, as it is when a task is cancelled.

    `close` alone leaves SQLite's side open, and the database locked, as long as any cursor is still referenced.
    """

    def close(self) -> None:
        try:
            self.rollback()
        finally:
            super().close()


def connect_sqlite(file: str) -> sqlite3.Connection:
    """A writing connection outside any pool; transactions are the caller's, in whatever thread. Raises sqlite3.Error."""
    connection = sqlite3.connect(
        file, factory=_SqliteConnection, check_same_thread=False, cached_statements=STATEMENTS
    )
    try:
        _set_pragmas(connection, write=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_pragmas(connection: Any, *, write: bool) -> None:
    pragmas = (
        f"busy_timeout={_BUSY_MS}",  # first: the next ones may meet a lock
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"wal_autocheckpoint={_WAL_PAGES}",
        f"journal_size_limit={_WAL_KEPT}",
        "foreign_keys=ON",
        f"query_only={'OFF' if write else 'ON'}",
    )
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_sqlite(engine: AsyncEngine, *, write: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        _set_pragmas(connection, write=write)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class Database:
    """The two pools of one database: readers that cannot write, and a writing side that they never keep waiting."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.reading = make_engine(url, write=False)
        self.writing = make_engine(url, write=True, pool_size=2)  # the writer's, and one for people's changes

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in one read transaction: everything read in it is of one moment. Raises StoreError."""
        try:
            async with self.reading.connect() as connection:
                yield connection
        except DATABASE_ERRORS as error:
            raise translated(error, self.url) from error

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in one transaction, committed at the end or undone by an exception. Raises StoreError."""
        try:
            async with self.writing.begin() as connection:
                yield connection
        except DATABASE_ERRORS as error:
            raise translated(error, self.url) from error

    async def dispose(self) -> None:
        """Close every connection; a server that does not answer is left without a word."""
        for engine in (self.reading, self.writing):
            try:
                async with asyncio.timeout(_CLOSING_S):
                    await engine.dispose()
            except TimeoutError:
                _log.warning("the database does not answer; its connections are dropped")
