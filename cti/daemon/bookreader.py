"""Reads the PBX's books as they grow, without ever blocking the event loop.

A reader keeps its place as (inode, offset) and the file open, so a file that is renamed away by logrotate is read to
its end before the new one is begun; one that is cut to nothing (copytruncate) is begun again. A last line without
its line end is still being written: it stays for the next read.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Generic, TypeVar

from cti.core.books import BadLine
from cti.daemon.errors import CtiError

Row = TypeVar("Row")
_CHUNK = 4 * 1024 * 1024  # bytes a read takes at most, and the longest line


class BookUnreadable(CtiError):
    """A book exists and cannot be read; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a book: everything before `offset` bytes of the file with this inode has been read."""

    inode: int
    offset: int


@dataclass(frozen=True, slots=True)
class Batch(Generic[Row]):
    """What one read brought, in the book's order; `more` when there is more to read at once."""

    rows: tuple[Row, ...]
    bad: tuple[BadLine, ...]
    more: bool


class BookReader(Generic[Row]):
    """Reads one book (queue_log, CDR …) line by line through `parse`.

    `start` continues where an earlier reader stood; a book that was rotated since is looked for under its new name
    beside the old one (`queue_log.1`, `queue_log-20260101`). Without it the book is read from its beginning. A book
    that does not exist yet is empty. One read at a time: `read` may not be called while another one runs.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], Row | BadLine],
        *,
        start: Position | None = None,
        chunk: int = _CHUNK,
    ) -> None:
        self._path = path
        self._parse = parse
        self._chunk = chunk
        self._resume = start
        self._file: FileIO | None = None
        self._offset = 0
        self._skipping = False  # inside a line longer than a chunk

    @property
    def position(self) -> Position | None:
        """Where the next read begins; None before the first that found the book."""
        if self._file is None:
            return self._resume
        return Position(os.fstat(self._file.fileno()).st_ino, self._offset)

    async def read(self) -> Batch[Row]:
        """What was added since the last read, at most one chunk; BookUnreadable if the file cannot be read."""
        return await asyncio.to_thread(self.read_now)

    async def read_to_end(self) -> Batch[Row]:
        """Everything there is now, as one batch."""
        return await asyncio.to_thread(self.read_all_now)

    def read_all_now(self) -> Batch[Row]:
        """As `read_to_end`, in this thread."""
        rows: list[Row] = []
        bad: list[BadLine] = []
        more = True
        while more:
            batch = self.read_now()
            rows += batch.rows
            bad += batch.bad
            more = batch.more
        return Batch(tuple(rows), tuple(bad), more=False)

    def read_now(self) -> Batch[Row]:
        """As `read`, in this thread."""
        try:
            return self._read()
        except OSError as error:
            self.close()
            raise BookUnreadable(
                f"cannot read {self._path}: {error.strerror or error}; the daemon's user needs to read the PBX's "
                "books (on Debian: usermod -aG asterisk, then start it again)"
            ) from error

    def close(self) -> None:
        """Let go of the file; a later read goes on where this one stood."""
        self._resume = self.position
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> Batch[Row]:
        file = self._file or self._open()
        if file is None:
            return Batch((), (), more=False)
        if os.fstat(file.fileno()).st_size < self._offset:
            self._offset = 0
        file.seek(self._offset)
        data = file.read(self._chunk)
        end = self._offset + len(data)
        rows, bad = self._take(data)
        if len(data) == self._chunk:
            return Batch(rows, bad, more=True)
        if not self._rotated(file):
            return Batch(rows, bad, more=False)
        # What was written between the read and the rotation is still in the old file.
        if os.fstat(file.fileno()).st_size == end:
            bad += self._finish(data)
        return Batch(rows, bad, more=True)

    def _open(self) -> FileIO | None:
        path = self._path
        if self._resume is not None:
            path = self._renamed(self._resume.inode) or path
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        here = os.fstat(file.fileno()).st_ino
        self._offset = self._resume.offset if self._resume is not None and self._resume.inode == here else 0
        self._resume = None
        self._file = file
        return file

    def _renamed(self, inode: int) -> Path | None:
        """The file with this inode, under the book's name or one that logrotate gave it."""
        for path in sorted(self._path.parent.glob(f"{self._path.name}*")):
            with contextlib.suppress(FileNotFoundError):  # moved on while we looked
                if path.stat().st_ino == inode:
                    return path
        return None

    def _rotated(self, file: FileIO) -> bool:
        """Whether the book's name leads to another file now (not while it leads nowhere)."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _finish(self, data: bytes) -> tuple[BadLine, ...]:
        """Leave a file that nobody writes any more; a last line without its end will never be whole."""
        tail = data.rpartition(b"\n")[2]
        if self._file is not None:
            self._file.close()
        self._file = None
        self._offset = 0
        skipping, self._skipping = self._skipping, False
        if not tail or skipping:
            return ()
        return (BadLine(_text(tail)[:500], "cut off at the end of the file"),)

    def _take(self, data: bytes) -> tuple[tuple[Row, ...], tuple[BadLine, ...]]:
        """Parse the whole lines of a chunk and move the offset behind them."""
        lines = data.split(b"\n")
        last = lines.pop()
        if len(last) == self._chunk:  # one line fills the chunk: never whole, never kept
            skipping, self._skipping = self._skipping, True
            self._offset += len(last)
            return (), () if skipping else (BadLine(_text(last)[:500], "too long"),)
        self._offset += len(data) - len(last)
        if self._skipping and lines:
            self._skipping = False
            del lines[0]
        parsed = [self._parse(_text(line)) for line in lines if line.strip()]
        bad = tuple(row for row in parsed if isinstance(row, BadLine))
        return tuple(row for row in parsed if not isinstance(row, BadLine)), bad


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
