"""The spool's files: lines with checksums, in numbered segments; every function here blocks, and runs in one thread.

A line is `<crc32 of the JSON, 8 hex digits> <JSON>`, the JSON one fact: `["Incident", {…fields}]`. A line that was
cut short by a death (never acknowledged) is passed over; a line that was damaged later is counted, and its segment is
kept as `NAME.damaged` when it would be deleted, for a person to look at.
"""

import contextlib
import fcntl
import json
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from cti.core.facts import Fact, FactKey
from cti.daemon.errors import SpoolError
from store.pending import KEPT

_SUFFIX = ".jsonl"
_LOCK = "lock"
_CRC = 8  # hex digits


def encode(fact: Fact) -> bytes:
    """One line, its end included."""
    text = json.dumps([type(fact).__name__, asdict(fact)], ensure_ascii=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(line: bytes) -> Fact:
    """The fact of a line without its end. Raises ValueError: it is damaged, or of a kind nobody knows."""
    text = line[_CRC + 1 :]
    if line[: _CRC + 1] != b"%08x " % zlib.crc32(text):
        raise ValueError("the checksum is not that of the line")
    kind, values = json.loads(text)
    make = _MAKERS.get(kind)
    if make is None:
        raise ValueError("of a kind that is not known here")
    fact: Fact = make(values)
    return fact


def _maker(kind: type[Any]) -> Callable[[dict[str, Any]], Any]:
    """Builds a fact; fields that a newer program wrote are passed over, those an older one lacked have defaults."""
    hints = get_type_hints(kind)
    enums = {name: enum for name, hint in hints.items() if (enum := _enum_in(hint)) is not None}
    tuples = [name for name, hint in hints.items() if get_origin(hint) is tuple]  # JSON knows lists alone
    known = [one.name for one in fields(kind)]

    def make(values: dict[str, Any]) -> Any:
        taken = {name: values[name] for name in known if name in values}
        for name, enum in enums.items():
            if taken.get(name) is not None:
                taken[name] = enum(taken[name])
        for name in tuples:
            if isinstance(taken.get(name), list):
                taken[name] = tuple(taken[name])
        try:
            return kind(**taken)
        except TypeError as error:
            raise ValueError(str(error)) from None

    return make


def _enum_in(hint: Any) -> type[StrEnum] | None:
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and issubclass(one, StrEnum):
            return one
    return None


_MAKERS = {kind.__name__: _maker(kind) for kind in KEPT}


@dataclass(slots=True)
class Found:
    """What an earlier process left behind."""

    facts: dict[FactKey, Fact] = field(
        default_factory=dict
    )  # the last one of each key, in order of the last ones
    torn: int = 0  # lines cut short as they were written; nobody was promised anything about them
    damaged: int = 0  # lines that were whole once


@dataclass(frozen=True, slots=True)
class Held:
    """What the directory holds."""

    segments: int = 0
    size: int = 0  # bytes


class Segments:
    """The files of one spool directory.

    Attributes:
        held: as it was after the last function; put in place whole, so any thread may read it.
    """

    def __init__(self, directory: Path, segment_bytes: int = 1 << 20) -> None:
        self.directory = directory
        self.held = Held()
        self._sizes: dict[int, int] = {}  # bytes by number
        self._most = segment_bytes
        self._fd: int | None = None
        self._size = 0  # bytes of the open segment that are whole lines
        self._number = 0  # of the newest segment
        self._damaged: set[Path] = set()
        self._lock: int | None = None

    def open(self) -> Found:
        """Take the directory (made 0700 if need be) and read what is in it.

        Raises:
            SpoolError: another daemon has it, or it cannot be read.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise SpoolError(
                f"{self.directory}: another daemon runs on this data_dir; end it, or give this one its own data_dir and "
                "its own http.port"
            ) from None
        except OSError as error:
            raise self._unusable(error) from error
        found = Found()
        try:
            for path in self._paths():
                self._number = int(path.stem)
                self._read(path, found)
                self._sizes[self._number] = path.stat().st_size
        except OSError as error:
            raise self._unusable(error) from error
        self._weigh()
        return found

    def _weigh(self) -> None:
        self.held = Held(len(self._sizes), sum(self._sizes.values()))

    def _unusable(self, error: OSError) -> SpoolError:
        return SpoolError(
            f"{self.directory}: cannot be used ({error.strerror or error}); make data_dir writable for the daemon's user"
        )

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.directory.glob(f"*{_SUFFIX}") if path.stem.isdecimal())

    def _read(self, path: Path, found: Found) -> None:
        *lines, rest = path.read_bytes().split(b"\n")
        found.torn += bool(rest)
        for line in lines:
            try:
                fact = decode(line)
            except (ValueError, TypeError, AttributeError):
                found.damaged += 1
                self._damaged.add(path)
                continue
            found.facts.pop(fact.key, None)
            found.facts[fact.key] = fact

    def append(self, facts: Iterable[Fact]) -> None:
        """Write facts and sync them to the disk.

        Raises:
            OSError: they are not safe; nothing of them stands in a segment that will be written to again.
        """
        data = b"".join(map(encode, facts))
        try:
            descriptor = self._descriptor()
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fdatasync(descriptor)
        except OSError:
            self._abandon()
            raise
        self._size += len(data)
        self._sizes[self._number] = self._size
        self._weigh()
        if self._size >= self._most:
            self.rotate()

    def _descriptor(self) -> int:
        if self._fd is None:
            path = self._path(self._number + 1)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            self._number, self._size = self._number + 1, 0
            self._sync_directory()
        return self._fd

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08d}{_SUFFIX}"

    def _sync_directory(self) -> None:
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _abandon(self) -> None:
        """Cut what was half written off, and go on in another segment: after a failed sync nobody knows what is safe."""
        if self._fd is None:
            return
        with contextlib.suppress(OSError):  # a torn line is understood when it is read
            os.ftruncate(self._fd, self._size)
        if not self._size:
            with contextlib.suppress(OSError):
                self._path(self._number).unlink()
        self.rotate()

    def rotate(self) -> int:
        """Begin a new segment with the next line; returns the number up to which segments are complete."""
        if self._fd is not None:
            descriptor, self._fd = self._fd, None
            with contextlib.suppress(OSError):  # synced before; a network file system may complain late
                os.close(descriptor)
        return self._number

    def remove(self, upto: int) -> None:
        """Delete segments up to this number, oldest first; damaged ones are set aside. Raises OSError."""
        for path in self._paths():
            if int(path.stem) > upto:
                break
            if path in self._damaged:
                self._damaged.discard(path)
                path.rename(path.with_suffix(".damaged"))
            else:
                path.unlink()
            self._sizes.pop(int(path.stem), None)
            self._weigh()

    def close(self) -> None:
        """Give the directory back."""
        self.rotate()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
