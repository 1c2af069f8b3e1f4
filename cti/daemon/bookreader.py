"""Reads spans of one of the PBX's books while it grows, is rotated, cut, damaged and packed.

What was read once is remembered (`cti.daemon.bookindex`), so each look at a book reads only what was added since. Files are
known by how they begin and by the last bytes that were read, not by their names: logrotate may rename, copy or pack them.
A last line without its line end is still being written: it waits for the next look.
"""

import contextlib
import errno
import gzip
import math
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar, cast

from cti.daemon.bookindex import BLOCK, HEAD, NEWEST, BadLines, Index, Kept, Kind
from cti.daemon.errors import CtiError

Row = TypeVar("Row")

_CLOCKS = 60.0  # s by which a file's time may be behind the PBX's
_FILES = 8  # that are remembered
_TRIES = 3  # while files change their names


class BookUnreadable(CtiError):
    """A book exists and cannot be read; the text says which, why, and what to do."""


class _Moved(Exception):
    """The files got other names meanwhile."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row]):
    """Rows of a span in order of time, and the lines there that could not be read."""

    rows: tuple[Row, ...]
    bad: BadLines
    absent: bool  # there is no such file, nor one that it was rotated into
    behind: tuple[Row, ...] = ()  # written since the last reading, although older than the span


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    inode: tuple[int, int]
    size: int
    changed: float  # epoch
    stamp: tuple[int, int]  # as long as it is the same, so is the content

    @property
    def packed(self) -> bool:
        return self.path.suffix == ".gz"


@dataclass(frozen=True, slots=True)
class _Known(Generic[Row]):
    """What a file was found to be."""

    stamp: tuple[int, int]
    reach: float  # spans up to then are covered
    index: Index[Row]


class BookReader(Generic[Row]):
    """One book (queue_log, CDR, CEL) with the files it was rotated into: `NAME.1`, `NAME-20260101`, `NAME.2.gz`.

    A book that does not exist yet is empty. `kept` may be shared with other books. Safe to use from several threads.
    """

    def __init__(self, path: Path, kind: Kind[Row], kept: Kept | None = None, *, block: int = BLOCK) -> None:
        """Nothing is opened."""
        self.path = path
        self._kind, self._kept, self._block = kind, kept or Kept(), block
        self._indexes: list[Index[Row]] = []  # the ones used last come last
        self._known: dict[tuple[int, int], _Known[Row]] = {}
        self._new_bad = 0
        self._begun = False  # something was read before
        self._behind: list[Row] = []
        self._lock = threading.Lock()

    @property
    def newest(self) -> tuple[Row, ...]:
        """Some of the rows that were written last, as far as anything was read."""
        return tuple(row for index in self._indexes for row in index.newest)[-NEWEST:]

    def read_now(self, since: float = -math.inf, until: float = math.inf) -> Batch[Row]:
        """Every row of [since, until] (epochs). Raises BookUnreadable.

        `new` of the bad lines counts each line once, by its position, however often it is read, if it is of this span or
        written since the last reading.
        """
        try:
            with self._lock:
                return self._read(since, until)
        except (OSError, EOFError, zlib.error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise BookUnreadable(
                f"cannot read {self.path}: {why}; the daemon's user needs to read the PBX's books (on Debian: "
                "usermod -aG asterisk, then start it again)"
            ) from error

    def _read(self, since: float, until: float) -> Batch[Row]:
        if not self.path.parent.is_dir():
            raise FileNotFoundError(2, "the directory does not exist")
        for _ in range(_TRIES):
            with contextlib.suppress(_Moved, FileNotFoundError):
                return self._read_once(since, until)
        raise FileNotFoundError(2, "its files get other names all the time")

    def _read_once(self, since: float, until: float) -> Batch[Row]:
        files = self._files()
        names = {file.path for file in files}
        wanted = [
            file
            for file in files
            if file.changed >= since - _CLOCKS and not (file.packed and file.path.with_suffix("") in names)
        ]
        served: list[Index[Row]] = []
        parts: list[tuple[bool, float, list[Row]]] = []
        bad = BadLines()
        for file in sorted(wanted, key=lambda file: (file.packed, -file.size)):
            written = file.path == self.path or self.path not in names
            part = self._serve(file, since, until, served, written=written)
            if part is not None:
                parts.append((file.path == self.path, file.changed, part[0]))
                self._new_bad += part[1].new
                bad += replace(part[1], new=0)
        if {(file.path, file.inode) for file in self._files()} != {(file.path, file.inode) for file in files}:
            raise _Moved
        self._remember(served)
        bad, self._new_bad = replace(bad, new=self._new_bad), 0
        behind, self._behind, self._begun = tuple(self._behind), [], True
        parts.sort(key=lambda part: part[:2])
        rows = sorted((row for part in parts for row in part[2]), key=self._kind.at)
        return Batch(tuple(rows), bad, not files, behind)

    def _files(self) -> list[_File]:
        """The book and what it was rotated into."""
        found = []
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                own = entry.name == self.path.name
                if not own and not entry.name.startswith((f"{self.path.name}.", f"{self.path.name}-")):
                    continue
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    stamp = (status.st_size, status.st_mtime_ns)
                    inode = (status.st_dev, status.st_ino)
                    found.append(_File(Path(entry), inode, status.st_size, status.st_mtime, stamp))
                elif own:
                    raise OSError(errno.EINVAL, "it is not a file")
        return found

    def _serve(
        self, file: _File, since: float, until: float, served: list[Index[Row]], *, written: bool
    ) -> tuple[list[Row], BadLines] | None:
        """What one file has; None when another one is a copy of it, or nothing whole stands there yet.

        `written` when lines may still be added to it.
        """
        known = self._known.get(file.inode)
        reach = until if until + self._kind.late < file.changed else math.inf
        with _opened(file) as stream:
            if (
                known is None
                or known.stamp != file.stamp
                or known.reach < reach
                or not known.index.covers(since)
            ):
                index = self._index_of(stream(), served)
                if index is None:
                    return None
                more = self._begun and (index.covers(since) or file.path == self.path)
                index.cover(stream(), since, reach, searchable=not file.packed)
                self._behind += index.behind if more else ()
                index.behind.clear()
                known = self._known[file.inode] = _Known(file.stamp, reach, index)
            elif known.index in served:
                return None
            served.append(known.index)
            rows, bad = known.index.answer(stream, since, until)
            if not written and reach == math.inf:
                bad += known.index.cut_off(stream)
            return rows, bad

    def _index_of(self, stream: BinaryIO, served: list[Index[Row]]) -> Index[Row] | None:
        head = stream.read(HEAD)
        if b"\n" not in head and len(head) < HEAD:
            return None
        for index in self._indexes:
            if index.resembles(head):
                if index in served:
                    return None
                if index.continues_in(stream):
                    index.grow_head(head)
                    return index
                self._drop(index)
                break
        self._indexes.append(Index(self._kind, self._kept, head, block=self._block))
        return self._indexes[-1]

    def _remember(self, served: list[Index[Row]]) -> None:
        """Keep what was used now, and of the others as many files as may be."""
        self._indexes = [index for index in self._indexes if index not in served] + served
        for index in self._indexes[:-_FILES]:
            self._drop(index)

    def _drop(self, index: Index[Row]) -> None:
        index.forget()
        self._indexes.remove(index)
        self._known = {inode: known for inode, known in self._known.items() if known.index is not index}


@contextlib.contextmanager
def _opened(file: _File) -> Iterator[Callable[[], BinaryIO]]:
    """What opens the file when it is asked to for the first time; it is closed at the end."""
    with contextlib.ExitStack() as stack:
        streams: list[BinaryIO] = []

        def stream() -> BinaryIO:
            if not streams:
                opened = gzip.open(file.path) if file.packed else file.path.open("rb")  # noqa: SIM115 - on the stack
                streams.append(cast("BinaryIO", stack.enter_context(opened)))
            return streams[0]

        yield stream
