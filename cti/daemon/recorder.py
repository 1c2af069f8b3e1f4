r"""Recordings of AMI: what a PBX sent, byte by byte, with its timing; made, read, and turned into arrivals again.

The file, readable in any editor, compressed when its name ends in `.gz`:

    {"format": "cti-recording", "version": 1, "pbx": "22.10.1", "recorded_at": "2026-03-01T08:00:00.000000Z"}
    0.000000 30
    Asterisk Call Manager/11.0.0\r\n
    0.000412 74
    Response: Success\r\n ...

The first line is JSON; `pbx` is the version of Asterisk and `recorded_at` the moment of offset 0 on the recording
machine's clock. Each record is one read from the socket: a line with the seconds since then (six decimals) and the
number of bytes, these bytes as they came, and a line feed. A frame may be split over records, as it was over reads.
A record that is cut short at the end of the file (power lost, disk full) is left out.

A recording begins with the login and the answers to one round of `resync.STEPS`, so it is complete in itself. What
we send is not in it: no secret can be. It holds callers' names and numbers as they are; the file is readable by its
owner only.
"""

import asyncio
import contextlib
import gzip
import json
import os
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from cti.core.wire import Framer
from cti.daemon.ami import connection
from cti.daemon.connection import Connection
from cti.daemon.errors import AmiError, RecordingError
from cti.daemon.inbox import Arrival
from cti.daemon.link import Access, Timing
from cti.daemon.resync import Stream

FORMAT = "cti-recording"
VERSION = 1

_LONGEST_HEADER = 65_536  # bytes
_LONGEST_RECORD = 16 * 1024 * 1024  # bytes; a read is far shorter


@dataclass(frozen=True, slots=True)
class RecordingSummary:
    """How a recording went, or how far it is."""

    path: Path
    pbx: str = ""  # version of Asterisk
    seconds: float = 0.0
    reads: int = 0
    bytes: int = 0
    events: int = 0  # that the core would have seen
    ended: str = ""  # why; "" while it goes on


@dataclass(slots=True)
class Recording:
    """A recording on disk; iterate over it (again and again) for pairs of seconds since the start and bytes."""

    path: Path
    header: dict[str, Any]
    cut_short: bool = False  # the file ends in the middle of a record; known once it was read to its end

    @property
    def recorded_at(self) -> float:
        """Epoch seconds of offset 0."""
        return datetime.fromisoformat(self.header["recorded_at"]).timestamp()

    def __iter__(self) -> Iterator[tuple[float, bytes]]:
        with _open_to_read(self.path) as file, _explained(self.path):
            file.readline(_LONGEST_HEADER)
            try:
                while (record := _read_record(file, self.path)) is not None:
                    yield record
            except EOFError:
                self.cut_short = True


def read_recording(path: Path) -> Recording:
    """Open a recording. Raises RecordingError when it is none."""
    with _open_to_read(path) as file, _explained(path):
        line = file.readline(_LONGEST_HEADER)
    header = _header(line)
    if header is None:
        raise RecordingError(f"{path} is no recording made by 'cti record'")
    if header.get("version") != VERSION:
        raise RecordingError(
            f"{path} has format version {header.get('version')}; this program reads {VERSION}"
        )
    return Recording(path, header)


def _header(line: bytes) -> dict[str, Any] | None:
    try:
        header: dict[str, Any] = json.loads(line)
        zone = datetime.fromisoformat(header["recorded_at"]).tzinfo
    except (ValueError, KeyError, TypeError):
        return None
    return header if header.get("format") == FORMAT and zone is not None else None


def arrivals(recording: Recording, pbx: str) -> Iterator[Arrival]:
    """What the live door made of these bytes, again: the same arrivals in the same order, without any socket.

    Their `at` is the recording's clock; their `mono` counts from the recording's start.
    """
    made: list[Arrival] = []

    def put(arrival: Arrival) -> bool:
        made.append(arrival)
        return True

    stream, framer = Stream(pbx, put), Framer()
    began = recording.recorded_at
    for offset, data in recording:
        for frame in framer.feed(data):
            stream.take(frame, began + offset, offset)
        yield from made
        made.clear()


class _Writer:
    """Writes what is tapped; holds it back until the version for the first line is known."""

    def __init__(self, path: Path, progress: Callable[[RecordingSummary], None]) -> None:
        self.summary = RecordingSummary(path)
        self._progress = progress
        self._told = 0.0
        self._began: tuple[float, float] | None = None  # wall clock and monotonic at offset 0
        self._held: list[tuple[float, bytes]] | None = []
        try:
            raw = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        except FileExistsError:
            raise RecordingError(f"{path} exists; choose another name or remove it") from None
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror}") from None
        self._raw = raw
        self._file: IO[bytes] = _compressed(raw) if path.suffix == ".gz" else raw

    def take(self, data: bytes) -> None:
        now = time.monotonic()
        if self._began is None:
            self._began = time.time(), now
        offset = now - self._began[1]
        if self._held is not None:
            self._held.append((offset, data))
        else:
            self._write(offset, data)
        done = self.summary
        self.summary = replace(done, seconds=offset, reads=done.reads + 1, bytes=done.bytes + len(data))
        if now - self._told >= 1.0:
            self._told = now
            if self._held is None:
                self._file.flush()
            self._progress(self.summary)

    def count(self, arrival: Arrival) -> bool:
        if isinstance(arrival.what, Mapping):
            self.summary = replace(self.summary, events=self.summary.events + 1)
        return True

    def begin(self, version: str) -> None:
        """Write the first line and what was held back."""
        wall = self._began[0] if self._began else time.time()
        header = {
            "format": FORMAT,
            "version": VERSION,
            "pbx": version,
            "recorded_at": datetime.fromtimestamp(wall, UTC)
            .isoformat(timespec="microseconds")
            .replace("+00:00", "Z"),
        }
        self.summary = replace(self.summary, pbx=version)
        self._file.write(json.dumps(header, ensure_ascii=False).encode() + b"\n")
        held, self._held = self._held or [], None
        for offset, data in held:
            self._write(offset, data)

    def close(self, ended: str) -> RecordingSummary:
        """Finish the file; one that never began is removed."""
        self._file.close()
        self._raw.close()
        if self._held is not None:
            self.summary.path.unlink()
        self.summary = replace(self.summary, ended=ended)
        self._progress(self.summary)
        return self.summary

    def _write(self, offset: float, data: bytes) -> None:
        self._file.write(b"%.6f %d\n%b\n" % (offset, len(data), data))


def _compressed(raw: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=raw, mode="wb"))


async def record(  # noqa: PLR0917 - an address, an account, and what to do
    host: str,
    port: int,
    user: str,
    secret: str,
    out: Path,
    seconds: float | None,
    progress: Callable[[RecordingSummary], None],
    tls: ssl.SSLContext | None = None,
) -> RecordingSummary:
    """Record a PBX until the time is up, the link ends, or the task is cancelled (the file is whole then too).

    Args:
        host: of the PBX.
        port: of its manager interface.
        user: a manager account with the rights of the reader's.
        secret: of that account.
        out: a file that does not exist yet; `.gz` compresses.
        seconds: how long, from the moment the state of the PBX is known; None: until cancelled.
        progress: called about once a second while something comes, and at the end.
        tls: how to verify the PBX, None for clear text.

    Raises:
        RecordingError: the file cannot be made. LoginRefused, LinkDown: before anything could be recorded.
    """
    writer = _Writer(out, progress)
    stream = Stream("recording", writer.count)
    access = Access("recording", host, port, user, secret, tls)
    link = connection("recorder", access, Timing(), stream, tap=writer.take)
    session = asyncio.ensure_future(link.session())
    ended = "cancelled"
    try:
        await _in_step(link, session)
        writer.begin(stream.version)
        await asyncio.wait({session}, timeout=seconds)
        ended = str(session.exception()) if session.done() else "the time is up"
    finally:
        session.cancel()
        with contextlib.suppress(asyncio.CancelledError, AmiError):
            await session
        summary = writer.close(ended)
    return summary


async def _in_step(link: Connection, session: asyncio.Future[None]) -> None:
    """Wait until the state of the PBX is known; raise what kept the session from it."""
    ready = asyncio.ensure_future(link.in_step.wait())
    either: set[asyncio.Future[Any]] = {session, ready}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()
    if session.done():
        session.result()


def _open_to_read(path: Path) -> IO[bytes]:
    try:
        return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise RecordingError(f"{path} is damaged: {error}") from None


def _read_record(file: IO[bytes], path: Path) -> tuple[float, bytes] | None:
    """The next record, or None at the end; EOFError (gzip's word too) when the last one is cut short."""
    line = file.readline(64)
    if not line:
        return None
    try:
        if not line.endswith(b"\n") and not file.read(1):
            raise EOFError
        offset, length = _record_head(line)
    except ValueError:
        raise RecordingError(
            f"{path} is damaged: {line[:40]!r} should be seconds and a number of bytes"
        ) from None
    data = file.read(length)
    if len(data) < length or file.read(1) != b"\n":
        raise EOFError
    return offset, data


def _record_head(line: bytes) -> tuple[float, int]:
    offset, length = line.split()
    if not 0 <= int(length) <= _LONGEST_RECORD:
        raise ValueError(length)
    return float(offset), int(length)
