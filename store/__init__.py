"""The store: a sink for facts, and what reads them back. `open_store` is the way in."""

from types import TracebackType
from typing import Self

from store.engine import Database, check_file, make_file, parse_url
from store.errors import StoreAway, StoreError
from store.migrations import upgrade
from store.people import People
from store.queries import Queries
from store.transact import Gate, transactor
from store.writer import Trouble, Writer

__all__ = ["Store", "StoreAway", "StoreError", "open_store", "unopened"]


class Store:
    """One open database: `writer` takes facts, `queries` reads them, `people` holds who works and when."""

    def __init__(self, database: Database, *, on_trouble: Trouble | None = None) -> None:
        self._database = database
        self.url = database.url.render_as_string(hide_password=True)
        self.engine = database.writing
        self._gate = Gate(transactor(database))
        self.writer = Writer(self._gate, database.url, on_trouble=on_trouble)
        self.queries = Queries(database)
        self.people = People(database)

    async def migrate(self) -> None:
        """Bring the database to the newest schema; then it can be read.

        Raises:
            StoreAway: it cannot be reached or takes nothing at the moment. StoreError: it can never be used as it is.
        """
        await upgrade(self._database.url)

    def let_write(self) -> None:
        """From now on the writer writes; whatever must be read as it was is read before."""
        self._gate.open()

    def keep_waiting(self, why: StoreError) -> None:
        """The database cannot be used yet: what the writer is given waits, and its trouble says why."""
        self._gate.shut(why)

    async def close(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109 - a shutdown has one deadline
        """Write what waits and close every connection.

        Raises:
            StoreError: something could not be written within `timeout` seconds.
        """
        try:
            await self.writer.close(timeout)
        finally:
            await self._database.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def open_store(url: str, *, on_trouble: Trouble | None = None, make: bool = True) -> Store:
    """Open a database, migrated as needed, and made unless `make` is False.

    Args:
        url: `sqlite+aiosqlite:///PATH` or `postgresql+asyncpg://…`.
        on_trouble: see `store.writer.Writer`.
        make: False: a database file that is not there is an error.

    Raises:
        StoreError: it cannot be opened or migrated; the text says what to do.
    """
    parsed = parse_url(url)
    if make:
        make_file(parsed)
    else:
        check_file(parsed)
    await upgrade(parsed)
    store = Store(Database(parsed), on_trouble=on_trouble)
    store.let_write()
    return store


def unopened(url: str) -> Store:
    """A store whose database need not be there yet: `migrate` it, read what is needed, then `let_write`.

    Raises:
        StoreError: the URL is none, or the file cannot be made.
    """
    parsed = parse_url(url)
    make_file(parsed)
    return Store(Database(parsed))
