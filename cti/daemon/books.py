"""The books of one PBX: what stands in them about a span of time.

Each book is a file of this machine, the copy of one that `cti ship-books` sends, or a table of a database; here is what
brings the three together. Of files only what was added since the last look is read (`cti.daemon.bookreader`).
"""

import asyncio
import hashlib
import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from cti.core.backfill import Rows
from cti.core.books import BadLine, CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.cdrcel import cel_of, lacking
from cti.core.cel import CelRow, parse_cel_line
from cti.core.instants import zone_error
from cti.daemon.bookdb import DatabaseBooks
from cti.daemon.bookindex import NEWEST, BadLines, Kept, Kind
from cti.daemon.bookreader import BookReader, BookUnreadable
from cti.daemon.shipped import BEHIND, ShippedBooks

Row = TypeVar("Row")

_LONGEST_CHAIN = (
    7 * 86_400.0
)  # s a call may last with all it is tied to: its CDR rows are written when all is over
_LAST_ROWS = 3.0  # s after which CEL has what happened
_JUDGED = 20  # rows of the CDR, the newest
_REMEMBERED = 10_000  # bad rows of tables that are not counted again


class BookSettings(Protocol):
    """Where the books are; None is not kept, or not to be had here."""

    @property
    def queue_log(self) -> Path | None:
        """queue_log."""

    @property
    def cdr_csv(self) -> Path | None:
        """CDR, CSV."""

    @property
    def cel_csv(self) -> Path | None:
        """CEL, CSV."""


@dataclass(frozen=True, slots=True)
class BookRows:
    """What the books say about a span; a book that is not configured is None."""

    queue_log: tuple[QueueRow, ...] | None = None
    cdr: tuple[CdrRow, ...] | None = None
    cel: tuple[CelRow, ...] | None = None
    bad: Mapping[str, BadLines] = field(default_factory=dict)  # by book, as the configuration calls it
    places: Mapping[str, str] = field(
        default_factory=dict
    )  # of each configured book: key and file, for messages
    absent: frozenset[str] = frozenset()  # configured books of which there is no file
    behind: tuple[
        CdrRow, ...
    ] = ()  # of the CDR's file, written since the last reading although older than the span
    since: float = 0.0  # from here on, and up to `sure`, everything that was written is here
    sure: float = math.inf

    def rows(self) -> Rows:
        """For the filling of gaps: CEL, and what the CDR implies of calls of which CEL has nothing, or of all without CEL."""
        queue_log = self.queue_log or ()
        queues = self.queue_log is not None and "queue_log" not in self.absent
        if not self.cel:
            return Rows(
                queue_log, cel_of(self.cdr or (), queue_log), "cdr" if self.cdr else "cel", queues=queues
            )
        lost = cel_of(lacking(self.cdr or (), self.cel, since=self.since, until=self.sure), queue_log)
        rows = list(heapq.merge(self.cel, lost, key=_at)) if lost else self.cel
        return Rows(queue_log, rows, queues=queues, of_cdr=frozenset(row.uniqueid for row in lost))

    @property
    def bad_lines(self) -> int:
        """How many lines could not be read."""
        return sum(lines.count for lines in self.bad.values())


class Books:
    """The books of one PBX. `where` is its table of the configuration, for messages; `timezone` its own.

    Raises BookUnreadable from every reading that cannot be believed, or not be made.
    """

    def __init__(
        self,
        settings: BookSettings,
        *,
        shipped: ShippedBooks | None = None,
        database: DatabaseBooks | None = None,
        where: str = "pbx.NAME",
        timezone: str = "UTC",
    ) -> None:
        """Files of this machine, and beside them (other books) what is shipped or in a database; nothing is opened."""
        self._settings, self._shipped, self._database = settings, shipped, database
        self._where, self._timezone = where, timezone
        zone: tzinfo = ZoneInfo(timezone)
        kept = Kept()
        self._queue_log = self._reader("queue_log", Kind(parse_queue_line, lambda row: row.at), kept)
        self._cdr = self._reader(
            "cdr_csv", Kind(partial(parse_cdr_line, timezone=zone), _end, _LONGEST_CHAIN), kept
        )
        self._cel = self._reader("cel_csv", Kind(partial(parse_cel_line, timezone=zone), _at), kept)
        self._met: dict[bytes, None] = {}  # bad rows of tables

    def _reader(self, name: str, kind: Kind[Row], kept: Kept) -> BookReader[Row] | None:
        path = self._path(name)
        return None if path is None else BookReader(path, kind, kept)

    @property
    def missing(self) -> str:
        """What is not configured and needed to verify records; "" when nothing is."""
        names = [name for name in ("queue_log", "cdr_csv") if name not in self.places]
        return f"{' and '.join(names)} not configured" if names else ""

    @property
    def any(self) -> bool:
        """Whether there is any book at all."""
        return bool(self.places)

    @property
    def behind(self) -> float:
        """Seconds after which a line is surely here."""
        shipping = BEHIND if self._shipped is not None else 0.0
        return max(shipping, self._database.late if self._database is not None else 0.0)

    @property
    def places(self) -> Mapping[str, str]:
        """The configured books, and where each is: the key of the configuration with what it says."""
        found: dict[str, str] = {}
        for name in ("queue_log", "cdr_csv", "cel_csv"):
            if self._shipped is not None and name in self._shipped.books:
                found[name] = f"{self._where}.books.shipped: {name}"
            elif (path := self._path(name)) is not None:
                found[name] = f"{self._where}.{name}: {path}"
            elif self._database is not None and name in self._database.books:
                found[name] = f"{self._where}.books.{name.removesuffix('_csv')}_table"
        return found

    def _path(self, name: str) -> Path | None:
        if self._shipped is not None and name in self._shipped.books:
            return self._shipped.path(name)
        path: Path | None = getattr(self._settings, name)
        return path

    async def read(self, since: float, until: float) -> BookRows:
        """Every line of [since, until]; of the CDR, rows that ended then. Raises BookUnreadable."""
        found = await asyncio.to_thread(self.read_now, since, until)
        if self._database is None:
            return found
        tables = await self._database.read(since, until)
        self._check_zone(tables.cdr or (), tables.cel or (), self._database.timezone, f"{self._where}.books")
        bad = {_NAMES[name]: self._new(lines) for name, lines in tables.bad.items()}
        return replace(
            found,
            queue_log=tables.queue_log if tables.queue_log is not None else found.queue_log,
            cdr=tables.cdr if tables.cdr is not None else found.cdr,
            cel=tables.cel if tables.cel is not None else found.cel,
            bad={**found.bad, **bad},
        )

    def read_now(self, since: float, until: float) -> BookRows:
        """As `read`, in this thread; the files alone."""
        bad: dict[str, BadLines] = {}
        absent: set[str] = set()
        behind: list[Any] = []
        if self._shipped is not None:
            self._shipped.check(until)

        def span(name: str, reader: BookReader[Row] | None) -> tuple[Row, ...] | None:
            if reader is None:
                return None
            batch = reader.read_now(since, until)
            bad[name] = batch.bad
            if batch.absent:
                absent.add(name)
            if reader is self._cdr:
                behind.extend(batch.behind)
            return batch.rows

        queue_log = span("queue_log", self._queue_log)
        cdr = span("cdr_csv", self._cdr)
        cel = span("cel_csv", self._cel)
        newest_cdr = self._cdr.newest if self._cdr is not None else ()
        newest_cel = self._cel.newest if self._cel is not None else ()
        self._check_zone(newest_cdr, newest_cel, self._timezone, self._where)
        sure = until - _LAST_ROWS - self.behind
        return BookRows(
            queue_log, cdr, cel, bad, self.places, frozenset(absent), tuple(behind), since=since, sure=sure
        )

    def _check_zone(self, cdr: Sequence[CdrRow], cel: Sequence[CelRow], zone: str, where: str) -> None:
        """Refuse a book whose times are hours away from its own channels: no window would find the right rows."""
        begins = {
            "cdr_csv": [(row.uniqueid, row.start) for row in cdr[-_JUDGED:]],
            "cel_csv": [(row.uniqueid, row.at) for row in cel[-NEWEST:] if row.event == "CHAN_START"],
        }
        for name, of in begins.items():
            error = zone_error(of)
            if error:
                offset = datetime.fromtimestamp(of[-1][1], ZoneInfo(zone)).utcoffset() or timedelta()
                raise BookUnreadable(
                    f"{self.places[name]}: its times are {_hours(error)} when read as {zone}: they are hours away from the "
                    f"calls themselves; set {where}.timezone to {_zone_at(offset.total_seconds() + error)}"
                )

    def _new(self, lines: Iterable[BadLine]) -> BadLines:
        """Bad rows of a table, each new once, as long as it is among those remembered."""
        found = BadLines()
        for line in lines:
            key = hashlib.blake2b(line.raw.encode(), digest_size=16).digest()
            found += BadLines(1, key not in self._met, (line,))
            self._met[key] = None
        while len(self._met) > _REMEMBERED:
            del self._met[next(iter(self._met))]
        return found


_NAMES = {"queue_log": "queue_log", "cdr": "cdr_csv", "cel": "cel_csv"}  # of the tables' books


def _at(row: CelRow) -> float:
    return row.at


def _end(row: CdrRow) -> float:
    return row.end


def _hours(error: float) -> str:
    return f"{abs(error) / 3600:g} h too {'late' if error > 0 else 'early'}"


def _zone_at(offset: float) -> str:
    if not offset:
        return '"UTC" (as with usegmtime = yes)'
    return f"that of the PBX, which is at {timezone(timedelta(seconds=offset))}"
