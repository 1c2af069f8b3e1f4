"""The books of one PBX as tables of a database: what stands in them about a span of time. Only SELECT is ever used.

Nothing is remembered between two readings: a span is always read whole, so a row that was committed late, or before an
older one, is found as soon as it is there, and reading it again changes nothing. What keeps that cheap is that little
else is read: in a table with a numeric `id` the place where the span begins is found by halving the primary key (CEL
tables seldom have an index on their time), in the others by the column of time, which should have an index.

The CDR's time is the begin of a call and its row comes at the end: rows are looked for among those that began up to a day
before, and the database itself leaves out those that ended before the span.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cti.core.bookrows import CEL_AT, QUEUE_AT, START, cdr_of_row, cel_of_row, queue_of_row
from cti.core.books import BadLine, CdrRow, QueueRow
from cti.core.cel import CelRow
from cti.core.instants import moment
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.errors import ConfigError

Row = TypeVar("Row")

_CONNECT = 5.0  # s to reach the server
_READ = 60.0  # s for everything of one reading
_NEAR = 1_000  # ids; a span this small is read through
_CHUNK = 500  # rows fetched and parsed at a time: the event loop waits for the fetching
_DISORDER = 60.0  # s by which rows may stand before older ones, beyond what `late` says
_LONGEST_CALL = 86_400.0  # s
_OTHER_NAME = frozenset(
    {62, 64}
)  # OpenSSL's codes: the host's name, its address, do not stand in the certificate


class DatabaseSettings(Protocol):
    """Where the tables are; "" for a book that is not kept there."""

    @property
    def full_url(self) -> str:
        """SQLAlchemy's URL with the password."""

    @property
    def ca_file(self) -> Path | None:
        """Whom to trust; None: no TLS but what the URL asks for."""

    @property
    def timezone(self) -> str:
        """The PBX's own."""

    @property
    def late(self) -> float:
        """Seconds after which a row is surely committed."""

    @property
    def cdr_table(self) -> str:
        """Of the CDR."""

    @property
    def cel_table(self) -> str:
        """Of CEL."""

    @property
    def queue_log_table(self) -> str:
        """Of queue_log."""


@dataclass(frozen=True, slots=True)
class _Book(Generic[Row]):
    name: str  # as a book is called where bad lines are counted
    times: tuple[str, ...]  # columns, the first that there is
    columns: frozenset[str]
    parse: Callable[[Mapping[str, object], tzinfo], Row | BadLine]
    at: Callable[[Row], float]
    back: float = 0.0  # s by which the column of time may lie before the row's instant
    never: tuple[str, str] | None = None  # a column, and what stands in it in rows that are never read


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CDR: _Book[CdrRow] = _Book(
    "cdr",
    START,
    _names(
        "start calldate answer end duration billsec disposition src dst clid dcontext channel dstchannel lastapp "
        "lastdata accountcode userfield uniqueid linkedid sequence"
    ),
    cdr_of_row,
    lambda row: row.end,
    _LONGEST_CALL,
)
_CEL: _Book[CelRow] = _Book(
    "cel",
    (CEL_AT,),
    _names(
        "eventtype eventtime linkedid uniqueid channame peer cid_num cid_name exten context appname appdata extra "
        "eventextra"
    ),
    cel_of_row,
    lambda row: row.at,
    never=("eventtype", "DTMF"),  # PINs, key by key
)
_QUEUE_LOG: _Book[QueueRow] = _Book(
    "queue_log",
    (QUEUE_AT,),
    _names("time callid queuename agent event data data1 data2 data3 data4 data5"),
    queue_of_row,
    lambda row: row.at,
)


@dataclass(frozen=True, slots=True)
class DatabaseRows:
    """What the tables say about a span; a book that is not kept there is None."""

    queue_log: tuple[QueueRow, ...] | None
    cdr: tuple[CdrRow, ...] | None
    cel: tuple[CelRow, ...] | None
    bad: Mapping[str, tuple[BadLine, ...]]


class DatabaseBooks:
    """Reads the tables of one PBX; each reading has a connection of its own, closed at its end.

    Raises ConfigError when the URL cannot be used or its driver is missing.
    """

    def __init__(self, settings: DatabaseSettings, where: str = "books") -> None:
        """Nothing is opened; `where` is the table of the configuration, for messages."""
        self._settings, self._where = settings, where
        self._zone: tzinfo = ZoneInfo(settings.timezone)
        self._engine = _engine(settings, where)
        self._shown = self._engine.url.render_as_string(hide_password=True)
        self._tables: dict[str, sa.TableClause] = {}

    @property
    def books(self) -> set[str]:
        """The books that are kept there, by the names of the configuration."""
        of = self._settings
        tables = {"queue_log": of.queue_log_table, "cdr_csv": of.cdr_table, "cel_csv": of.cel_table}
        return {book for book, table in tables.items() if table}

    @property
    def late(self) -> float:
        """Seconds after which a row is surely committed."""
        return self._settings.late

    @property
    def timezone(self) -> str:
        """The one in which local times are read."""
        return self._settings.timezone

    async def read(self, since: float, until: float) -> DatabaseRows:
        """Every row of [since, until] (epochs); of the CDR, rows that ended then. Raises BookUnreadable."""
        try:
            async with asyncio.timeout(2 * _CONNECT):
                connection = await self._engine.connect()
        except TimeoutError as error:
            raise self._unreadable("no answer in time") from error
        except (SQLAlchemyError, OSError) as error:
            raise self._unreadable(self._untrusted(error) or _said(error)) from error
        line = _Line((await connection.get_raw_connection()).driver_connection)
        try:
            with line.ended_after(_READ):
                async with contextlib.aclosing(connection):
                    with line.ended_with():
                        return await self._read(connection, since, until)
        except BookUnreadable:
            raise
        except Exception as error:
            self._tables.clear()
            if line.ended:
                raise self._unreadable("no answer in time") from error
            if not isinstance(error, SQLAlchemyError | OSError):
                raise
            raise self._unreadable(_said(error)) from error

    async def _read(self, connection: AsyncConnection, since: float, until: float) -> DatabaseRows:
        of = self._settings
        bad: dict[str, tuple[BadLine, ...]] = {}

        async def span(name: str, book: _Book[Row]) -> tuple[Row, ...] | None:
            if not name:
                return None
            rows, bad[book.name] = await self._span(connection, name, book, since, until)
            return rows

        queue_log = await span(of.queue_log_table, _QUEUE_LOG)
        cdr = await span(of.cdr_table, _CDR)
        cel = await span(of.cel_table, _CEL)
        return DatabaseRows(queue_log, cdr, cel, bad)

    def _unreadable(self, why: str) -> BookUnreadable:
        return BookUnreadable(
            f"cannot read the books in {self._shown}: {why}; check [{self._where}], and that the account may SELECT "
            "from their tables (docs/books.md)"
        )

    def _untrusted(self, error: Exception) -> str:
        """What is wrong with the server's TLS, and which key mends it; "" when it is something else."""
        if self._settings.ca_file is None:
            return ""
        found = list(_chain(error))
        refused = next((one for one in found if isinstance(one, ssl.SSLCertVerificationError)), None)
        if refused is not None and refused.verify_code in _OTHER_NAME:
            return f"its certificate is for another name ({refused.verify_message}): give that name in {self._where}.url"
        if refused is not None:
            return (
                f"its certificate is not signed by the authority in {self._where}.ca_file ({refused.verify_message}): "
                "put the PEM of whoever signed it there"
            )
        if any(isinstance(one, ssl.SSLError) or "SSL" in str(one) for one in found):
            return f"it speaks no TLS as we need it ({_said(error)}): mend it there, or remove {self._where}.ca_file"
        return ""

    async def _span(
        self, connection: AsyncConnection, name: str, book: _Book[Row], since: float, until: float
    ) -> tuple[tuple[Row, ...], tuple[BadLine, ...]]:
        table = await self._table(connection, name, book)
        select = _Select(table, book, self._zone, connection.dialect.name)
        first = await select.first_id(connection, since - book.back - self._settings.late - _DISORDER)
        rows: list[Row] = []
        bad: list[BadLine] = []
        found = await connection.stream(select.statement(since, until, first))
        async for part in found.mappings().partitions(_CHUNK):
            good, wrong = await asyncio.to_thread(_parsed, part, book, self._zone)
            rows += [row for row in good if since <= book.at(row) <= until]
            bad += wrong
        rows.sort(key=book.at)
        return tuple(rows), tuple(bad)

    async def _table(self, connection: AsyncConnection, name: str, book: _Book[Any]) -> sa.TableClause:
        """The table with those of its columns that are wanted, as the database describes it."""
        if name in self._tables:
            return self._tables[name]
        schema, _, plain = name.rpartition(".")
        described = await connection.run_sync(
            lambda sync: sa.inspect(sync).get_columns(plain, schema=schema or None)
        )
        kinds = {str(one["name"]): one["type"] for one in described}
        wanted = [n for n in kinds if n in book.columns or (n == "id" and isinstance(kinds[n], sa.Integer))]
        if not any(time in wanted for time in book.times):
            raise BookUnreadable(
                f"cannot read the table {name} in {self._shown}: it has no column {' or '.join(book.times)}; "
                f"name the table of the {book.name} in [{self._where}]"
            )
        columns: list[sa.ColumnClause[Any]] = [sa.column(n, kinds[n]) for n in wanted]
        table = sa.table(plain, *columns, schema=schema or None)
        self._tables[name] = table
        return table


class _Line:
    """The driver's own connection, to be ended when the server says nothing any more.

    Cancelling would not do: a driver takes its leave politely, and waits for the answer.
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.ended = False

    @contextlib.contextmanager
    def ended_after(self, seconds: float) -> Iterator[None]:
        """End it if the block takes longer; whatever waits for it fails at once."""
        timer = asyncio.get_running_loop().call_later(seconds, self._end)
        try:
            yield
        finally:
            timer.cancel()

    @contextlib.contextmanager
    def ended_with(self) -> Iterator[None]:
        """End it when the block is cancelled: the daemon stops, and nobody is there to wait."""
        try:
            yield
        except asyncio.CancelledError:
            self._end()
            raise

    def _end(self) -> None:
        self.ended = True
        getattr(self._driver, "terminate", self._driver.close)()


def _parsed(
    part: Sequence[Mapping[str, object]], book: _Book[Row], zone: tzinfo
) -> tuple[list[Row], list[BadLine]]:
    parsed = [book.parse(row, zone) for row in part]
    good = [row for row in parsed if not isinstance(row, BadLine)]
    return good, [row for row in parsed if isinstance(row, BadLine)]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__ or error.__context__


def _said(error: Exception) -> str:
    """The driver's own words, on one line; SQLAlchemy's would bring the statement along."""
    said = str(getattr(error, "orig", None) or error) or type(error).__name__
    return " ".join(said.split())[:300]


# --- statements -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Select:
    """How rows of a span are asked for, whatever type the column of time has."""

    table: sa.TableClause
    book: _Book[Any]
    zone: tzinfo
    dialect: str

    @property
    def time(self) -> sa.ColumnElement[Any]:
        columns = self.table.columns
        return next(columns[name] for name in self.book.times if name in columns)

    def statement(self, since: float, until: float, first_id: int | None) -> sa.Select[Any]:
        columns = self.table.columns
        wanted = sa.select(*columns).where(
            self.time >= self._bound(since - self.book.back, upper=False),
            self.time <= self._bound(until, upper=True),
        )
        if first_id is not None:
            wanted = wanted.where(columns["id"] >= first_id)
        if self.book.never is not None and self.book.never[0] in columns:
            column, value = self.book.never
            wanted = wanted.where(columns[column] != value)
        if self.book.back and "duration" in columns:
            ended = self._ended(since)
            wanted = wanted if ended is None else wanted.where(ended)
        return wanted.order_by(columns.get("id", self.time))

    def _bound(self, at: float, *, upper: bool) -> object:
        """The instant as the column has it; local time is stretched by what a clock change takes back nearby."""
        kind = self.time.type
        if isinstance(kind, sa.Integer | sa.Numeric):
            return int(at) + (1 if upper else 0)
        if isinstance(kind, sa.DateTime) and kind.timezone:
            return datetime.fromtimestamp(at, UTC)
        local = self._local(at, upper=upper)
        if isinstance(kind, sa.DateTime):
            return local
        text = local.isoformat(" ", "seconds")
        return f"{text}~" if upper else text  # "~" sorts behind every fraction

    def _local(self, at: float, *, upper: bool) -> datetime:
        here = datetime.fromtimestamp(at, self.zone)
        other = datetime.fromtimestamp(at + (-86_400 if upper else 86_400), self.zone)
        offset, there = here.utcoffset() or timedelta(), other.utcoffset() or timedelta()
        taken_back = max(timedelta(), there - offset if upper else offset - there)
        local = here.replace(tzinfo=None)
        return local + taken_back if upper else local - taken_back

    def _ended(self, since: float) -> sa.ColumnElement[bool] | None:
        """Where the call ended at or after `since`, told from its begin and duration in whole seconds."""
        duration = self.table.columns["duration"]
        kind = self.time.type
        if isinstance(kind, sa.Integer | sa.Numeric):
            return self.time + duration >= since - 2
        if not isinstance(kind, sa.DateTime):
            return None
        aware = kind.timezone
        lower = since if aware else self._local(since, upper=False).replace(tzinfo=UTC).timestamp()
        begun: sa.ColumnElement[Any] = sa.extract("epoch", self.time)
        if self.dialect in {"mysql", "mariadb"}:
            begun = sa.func.timestampdiff(sa.text("SECOND"), sa.literal("1970-01-01 00:00:00"), self.time)
        return begun + duration >= int(lower) - 2

    async def first_id(self, connection: AsyncConnection, since: float) -> int | None:
        """An id before which everything is older; None where there are no ids."""
        if "id" not in self.table.columns:
            return None
        column = self.table.columns["id"]
        low, high = (await connection.execute(sa.select(sa.func.min(column), sa.func.max(column)))).one()
        while low is not None and high - low > _NEAR:
            middle = (low + high) // 2
            probe = sa.select(column, self.time).where(column >= middle).order_by(column).limit(1)
            found = (await connection.execute(probe)).first()
            at = moment(found[1], self.zone) if found is not None else None
            if found is None or at is None or at >= since:
                high = middle
            else:
                low = found[0]
        return None if low is None else int(low)


# --- connections ------------------------------------------------------------------------------------------------------


def _engine(settings: DatabaseSettings, where: str) -> AsyncEngine:
    try:
        url = sa.make_url(settings.full_url)
        return create_async_engine(
            url, poolclass=NullPool, hide_parameters=True, connect_args=_arguments(url, settings.ca_file)
        )
    except ArgumentError:
        raise ConfigError(
            f'{where}.url: is not a database URL; write "mysql+asyncmy://user@host/db"'
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{where}.url: the driver {error.name} is missing; install it: pip install 'cti-beside-pbx[mariadb]'"
        ) from None
    except OSError as error:
        raise ConfigError(f"{where}.ca_file: cannot be used ({error}); give a PEM file") from error


def _arguments(url: sa.URL, ca_file: Path | None) -> dict[str, Any]:
    tls = {"ssl": ssl.create_default_context(cafile=ca_file)} if ca_file is not None else {}
    if url.get_backend_name() == "postgresql":
        settings = {"application_name": "cti-books", "default_transaction_read_only": "on"}
        return {"timeout": _CONNECT, "command_timeout": _READ, "server_settings": settings, **tls}
    return {"connect_timeout": int(_CONNECT), "charset": "utf8mb4", **tls}
