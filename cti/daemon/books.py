"""The books of one PBX: what stands in them about a span of time, found without reading the rest.

Each book is a file of this machine, the copy of one that `cti ship-books` sends, or a table of a database; here are the
files, and what brings the three together.

Nothing is remembered between two readings: a book is in order of time, so the place where a span begins is found by
halving, in the file itself and in those that logrotate made of it. A position kept somewhere would be lost with the file.
"""

import asyncio
import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

from cti.core.backfill import Rows
from cti.core.books import BadLine, CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.cdrcel import cel_of
from cti.core.cel import CelRow, parse_cel_line
from cti.daemon.bookdb import DatabaseBooks
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.shipped import BEHIND, ShippedBooks

Row = TypeVar("Row")

_NEAR = 64 * 1024  # bytes; a span this small is read through
_TRIED = 200  # lines looked at for one that can be read
_LONGEST = 16 * 1024  # bytes of a line
_DISORDER = 2.0  # s by which neighbouring lines may stand in the wrong order


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
    bad: Mapping[str, tuple[BadLine, ...]] = field(default_factory=dict)  # by book

    def rows(self) -> Rows:
        """For the filling of gaps: CEL, or for want of it what the CDR implies."""
        queue_log = self.queue_log or ()
        if self.cel is not None or self.cdr is None:
            return Rows(queue_log, self.cel or ())
        return Rows(queue_log, cel_of(self.cdr, queue_log), "cdr")

    @property
    def bad_lines(self) -> int:
        """How many lines could not be read."""
        return sum(len(lines) for lines in self.bad.values())


class Books:
    """The books of one PBX."""

    def __init__(
        self,
        settings: BookSettings,
        *,
        shipped: ShippedBooks | None = None,
        database: DatabaseBooks | None = None,
    ) -> None:
        """Files of this machine, and beside them (other books) what is shipped or in a database."""
        self._settings, self._shipped, self._database = settings, shipped, database

    @property
    def missing(self) -> str:
        """What is not configured and needed to verify records; "" when nothing is."""
        names = [name for name in ("queue_log", "cdr_csv") if name not in self._places]
        return f"{' and '.join(names)} not configured" if names else ""

    @property
    def any(self) -> bool:
        """Whether there is any book at all."""
        return bool(self._places)

    @property
    def behind(self) -> float:
        """Seconds after which a line is surely here."""
        shipping = BEHIND if self._shipped is not None else 0.0
        return max(shipping, self._database.late if self._database is not None else 0.0)

    @property
    def _places(self) -> set[str]:
        named = {name for name in ("queue_log", "cdr_csv", "cel_csv") if self._path(name) is not None}
        return named | (self._database.books if self._database is not None else set())

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
        return replace(
            found,
            queue_log=tables.queue_log if tables.queue_log is not None else found.queue_log,
            cdr=tables.cdr if tables.cdr is not None else found.cdr,
            cel=tables.cel if tables.cel is not None else found.cel,
            bad={**found.bad, **tables.bad},
        )

    def read_now(self, since: float, until: float) -> BookRows:
        """As `read`, in this thread; the files alone."""
        bad: dict[str, tuple[BadLine, ...]] = {}
        if self._shipped is not None:
            self._shipped.check(until)

        def span(name: str, path: Path | None, kind: _Kind[Row]) -> tuple[Row, ...] | None:
            if path is None:
                return None
            rows, bad[name] = _read(path, kind, since, until)
            return rows

        queue_log = span("queue_log", self._path("queue_log"), _QUEUE_LOG)
        cdr = span("cdr_csv", self._path("cdr_csv"), _CDR)
        cel = span("cel_csv", self._path("cel_csv"), _CEL)
        return BookRows(queue_log, cdr, cel, bad)


@dataclass(frozen=True, slots=True)
class _Kind(Generic[Row]):
    parse: Callable[[str], Row | BadLine]
    at: Callable[[Row], float]


_QUEUE_LOG: _Kind[QueueRow] = _Kind(parse_queue_line, lambda row: row.at)
_CDR: _Kind[CdrRow] = _Kind(parse_cdr_line, lambda row: row.end)
_CEL: _Kind[CelRow] = _Kind(parse_cel_line, lambda row: row.at)


def _read(
    path: Path, kind: _Kind[Row], since: float, until: float
) -> tuple[tuple[Row, ...], tuple[BadLine, ...]]:
    rows: list[Row] = []
    bad: list[BadLine] = []
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(2, "the directory does not exist")
        for file in _files(path, since):
            for line in _lines(file, kind, since, until):
                row = kind.parse(line)
                if isinstance(row, BadLine):
                    bad.append(row)
                elif since <= kind.at(row) <= until:
                    rows.append(row)
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise BookUnreadable(
            f"cannot read {path}: {why}; the daemon's user needs to read the PBX's books (on Debian: "
            "usermod -aG asterisk, then start it again)"
        ) from error
    rows.sort(key=kind.at)
    return tuple(rows), tuple(bad)


def _files(path: Path, since: float) -> list[Path]:
    """The book and what it was rotated into, oldest first; files not touched since then are left out."""
    found = []
    for file in path.parent.glob(f"{path.name}*"):
        if file == path or file.name[len(path.name)] in ".-":
            changed = file.stat().st_mtime
            if changed >= since - _DISORDER:
                found.append((file == path, changed, file))
    return [file for _, _, file in sorted(found)]


def _lines(file: Path, kind: _Kind[Row], since: float, until: float) -> Iterator[str]:
    if file.suffix == ".gz":
        with gzip.open(file) as packed:
            yield from _from(cast("BufferedReader", packed), kind, until)
        return
    with file.open("rb") as plain:
        _seek(plain, kind, since - _DISORDER)
        yield from _from(plain, kind, until)


def _from(stream: BufferedReader, kind: _Kind[Row], until: float) -> Iterator[str]:
    """Whole lines up to the end of the span; the last one without its line end is still being written."""
    while line := stream.readline():
        if not line.endswith(b"\n"):
            return
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not text.strip():
            continue
        row = kind.parse(text)
        if not isinstance(row, BadLine) and kind.at(row) > until + _DISORDER:
            return
        yield text


def _seek(file: BufferedReader, kind: _Kind[Row], since: float) -> None:
    """Go to a line at or before the first one that is not earlier than this."""
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _NEAR:
        middle = (low + high) // 2
        offset, at = _line_after(file, middle, kind)
        if at is None or at >= since or offset >= high:
            high = middle
        else:
            low = offset
    file.seek(low)


def _line_after(file: BufferedReader, place: int, kind: _Kind[Row]) -> tuple[int, float | None]:
    """The first line after this place that can be read: where it begins, and its instant."""
    file.seek(place)
    file.readline(_LONGEST)
    for _ in range(_TRIED):
        offset = file.tell()
        line = file.readline(_LONGEST)
        if not line:
            break
        row = kind.parse(line.decode("utf-8", "replace").rstrip("\r\n"))
        if not isinstance(row, BadLine):
            return offset, kind.at(row)
    return place, None
