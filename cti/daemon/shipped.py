"""Books that `cti ship-books` sends from beside a remote PBX, kept as files that the reader of local books reads.

Each file there has a copy here, byte for byte, named after the first line (its SHA-256): a file keeps its name when
logrotate renames or copies it. How far a file was sent is the length of its copy, so nothing has to be remembered
beside it, a piece that comes twice changes nothing, and whichever side dies, the other goes on where the copy ends.
What is answered is on disk.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import structlog

from cti.daemon.bookreader import BookUnreadable

BEHIND = 30.0  # s by which what was sent may lag before the books count as unreadable
_LONGEST_FIRST = 64 * 1024  # bytes of a first line
_STATE = "state.json"

log = structlog.get_logger(__name__)


class ShipmentRefused(Exception):
    """What was sent cannot be a book of ours; the text says why."""


class NotStored(Exception):
    """It cannot be put on disk; the text says why."""


class Part(Protocol):
    """What follows in one file at `offset`; `text` may be empty, and then only says that so much was sent."""

    @property
    def book(self) -> str:
        """One of `config.sections.BOOKS`."""

    @property
    def file(self) -> str:
        """Of `file_id`."""

    @property
    def offset(self) -> int:
        """Bytes of the file before it."""

    @property
    def text(self) -> str:
        """As it stands there; each byte that is not UTF-8 has become a question mark."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How far a file is here."""

    book: str
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class State:
    """What was last told: up to when the books were complete (epoch, the PBX's clock), which, and what hinders."""

    complete_until: float | None = None
    books: tuple[str, ...] = ()
    trouble: str = ""


def file_id(first_line: bytes) -> str:
    """The name of a file by its first line, line end included."""
    return hashlib.sha256(first_line).hexdigest()[:32]


def first_line(data: bytes) -> bytes:
    """The first line with its end; b"" when it is not whole. One that is too long is cut."""
    end = data.find(b"\n", 0, _LONGEST_FIRST)
    if end >= 0:
        return data[: end + 1]
    return data[:_LONGEST_FIRST] if len(data) >= _LONGEST_FIRST else b""


class ShippedBooks:
    """The copies of one PBX's books; `directory` is its own."""

    def __init__(
        self,
        directory: Path,
        books: Sequence[str],
        *,
        keep: float = 30 * 86_400.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Nothing is opened; `books` are those expected, `keep` the seconds a file stays that nothing is added to."""
        self.books = tuple(books)
        self._directory = directory
        self._keep, self._now = keep, now
        self._lock = asyncio.Lock()

    def path(self, book: str) -> Path:
        """What the reader is given: the copies stand beside it, as if logrotate had renamed them."""
        return self._directory / book

    # -- reading

    def check(self, until: float) -> None:
        """Raise BookUnreadable when the copies are not known to be complete up to `until` (but for `BEHIND`)."""
        state = self.state()
        cure = "see the log of `cti ship-books` beside the PBX"
        if state.trouble:
            raise BookUnreadable(f"cti ship-books: {state.trouble}; {cure}")
        missing = [book for book in self.books if book not in state.books]
        if state.complete_until is not None and missing:
            raise BookUnreadable(
                f"cti ship-books does not send {' and '.join(missing)}; give it that file too"
            )
        if state.complete_until is None:
            raise BookUnreadable(
                f"cti ship-books has not sent the books yet; start it beside the PBX, or {cure}"
            )
        if state.complete_until < until - BEHIND:
            behind = until - state.complete_until
            raise BookUnreadable(f"cti ship-books is {behind:.0f} s behind; {cure}")

    def state(self) -> State:
        """What was last told; it outlives the daemon, and other processes see it. Raises BookUnreadable."""
        try:
            told = json.loads((self._directory / _STATE).read_text())
            return State(told["complete_until"], tuple(told["books"]), str(told["trouble"]))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BookUnreadable(f"{self._directory / _STATE} cannot be read: {error}") from error

    # -- taking

    async def take(self, parts: Sequence[Part], state: State) -> list[Stored]:
        """Store what is new in these, then what is told; returns how far every file is here.

        Raises:
            ShipmentRefused: a file is not what it says.
            NotStored: the disk does not take it.
        """
        async with self._lock:
            try:
                return await asyncio.to_thread(self._take, parts, state)
            except OSError as error:
                raise NotStored(f"the books cannot be stored ({error.strerror or error})") from error

    def _take(self, parts: Sequence[Part], state: State) -> list[Stored]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = [self._store(part) for part in parts]
        self._remove_old()
        self._tell(replace(state, complete_until=self._complete(state, whole=all(whole))))
        return self._stored()

    def _complete(self, told: State, *, whole: bool) -> float | None:
        """Up to when the copies are complete: not at all when they were found to lack something; else as last told."""
        if not whole:
            return None
        return told.complete_until if told.complete_until is not None else self.state().complete_until

    def _store(self, part: Part) -> bool:
        """Append what is not here yet; returns whether everything up to the part's end is."""
        data = part.text.encode()
        path = self._directory / f"{part.book}.{part.file}"
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            size = 0
        if part.offset > size or part.offset + len(data) <= size:
            return part.offset + len(data) <= size
        if size == 0 and file_id(first_line(data)) != part.file:
            raise ShipmentRefused(f"{part.file} is not the name of a file that begins with this line")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(data[size - part.offset :])
            file.flush()
            os.fsync(file.fileno())
        if size == 0:
            _sync_directory(self._directory)
        return True

    def _tell(self, state: State) -> None:
        draft = self._directory / f".{_STATE}"
        told = {"complete_until": state.complete_until, "books": state.books, "trouble": state.trouble}
        draft.write_text(json.dumps(told))
        draft.replace(self._directory / _STATE)

    def _stored(self) -> list[Stored]:
        found = []
        for path in sorted(self._directory.iterdir()):
            book, _, name = path.name.partition(".")
            if book and name and path.name != _STATE:
                found.append(Stored(book, name, path.stat().st_size))
        return found

    def _remove_old(self) -> None:
        for path in self._directory.iterdir():
            if path.name != _STATE and path.stat().st_mtime < self._now() - self._keep:
                log.info(
                    "book_removed",
                    file=path.name,
                    reason="nothing was added to it for longer than books.keep",
                )
                path.unlink()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
