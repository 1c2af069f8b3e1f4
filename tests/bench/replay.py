"""Recorded bytes at full speed, in a process of its own: `speed` against panoramisk's parser, `memory` over many calls.

The pipeline is the daemon's own: its protocol (framing, decoding), stream, inbox, pump, core, and the sinks it runs
with: SQLite file, metrics, live picture. Only the socket is missing: bytes come in reads of `_READ`.
"""

import asyncio
import gc
import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from panoramisk.ami_protocol import AMIProtocol
from prometheus_client import CollectorRegistry

from cti.core.core import Core
from cti.daemon.ami import _Protocol
from cti.daemon.garbage import collect_rarely
from cti.daemon.inbox import Inbox
from cti.daemon.link import LinkStatus
from cti.daemon.live import Live
from cti.daemon.pump import Pump
from cti.daemon.recorder import read_recording
from cti.daemon.resync import Stream
from metrics.record import Metrics
from store import Store, open_store
from tests.bench.load import rss_bytes

_READ = 65_536  # bytes; what a reader gets that finds the socket's buffer full
_AT_ONCE = 4  # reads between two turns of the event loop
_ROUNDS = 8  # in turns; a busy machine disturbs some of them


class _Transport(asyncio.Transport):
    """Nothing is sent, and there is always more to read."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        pass


class Pipeline:
    """One PBX of a daemon, without its socket."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.core = Core("main")
        self.inbox = Inbox(1_000_000)
        self.metrics = Metrics(CollectorRegistry(), service_level={}, now=time.time, pbxs=["main"])
        self.live = Live()
        self.pump = Pump(
            self.core, (store.writer.put, self.metrics.take, self.live.take), lambda _commands: None
        )
        stream = Stream("main", self.inbox.put, hold=1_000_000)
        self._protocol = _Protocol(stream, LinkStatus("reader"), None)
        self._protocol.connection_made(_Transport())

    async def play(self, chunks: Iterator[bytes]) -> None:
        """Take these bytes; returns when what they led to is committed."""
        running = asyncio.create_task(self.pump.run(self.inbox))
        for number, chunk in enumerate(chunks):
            self._protocol.data_received(chunk)
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        await self.inbox.room()
        await asyncio.sleep(0)
        running.cancel()
        await self.store.writer.committed()
        if self.pump.figures.bugs or self.inbox.dropped:
            raise RuntimeError(f"{self.pump.figures}, {self.inbox.dropped} dropped")


def _whole(path: Path) -> bytes:
    return b"".join(data for _, data in read_recording(path))


def _reads(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    return (bytes(view[at : at + _READ]) for at in range(0, len(data), _READ))


async def _pipeline(data: bytes) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as directory:
        async with await open_store(f"sqlite+aiosqlite:///{directory}/cti.sqlite3") as store:
            pipeline = Pipeline(store)
            began, cpu = time.perf_counter(), time.process_time()
            await pipeline.play(_reads(data))
            return time.perf_counter() - began, time.process_time() - cpu


class _Factory:
    """Who panoramisk's protocol hands its messages to."""

    def dispatch(self, message: object) -> None:
        pass


def _panoramisk(data: bytes) -> tuple[float, float]:
    protocol = AMIProtocol()
    protocol.encoding = "utf8"
    protocol.connection_made(_Transport())
    protocol.factory = _Factory()
    began, cpu = time.perf_counter(), time.process_time()
    for chunk in _reads(data):
        protocol.data_received(chunk)
    return time.perf_counter() - began, time.process_time() - cpu


def speed(path: Path, rounds: int = _ROUNDS) -> dict[str, float]:
    """Events per second of both on the same bytes, in turns; the best round of each counts."""
    data = _whole(path)
    events = data.count(b"Event: ")
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(_panoramisk(data))
        ours.append(asyncio.run(_pipeline(data)))
    return {
        "rounds": rounds,
        "events": events,
        "bytes": len(data),
        "pipeline": events / min(wall for wall, _ in ours),
        "panoramisk": events / min(wall for wall, _ in theirs),
        "pipeline_cpu": events / min(cpu for _, cpu in ours),
        "panoramisk_cpu": events / min(cpu for _, cpu in theirs),
    }


_STAMP = re.compile(rb"(?<![0-9.])([0-9]{10})\.[0-9]")  # the epoch in a uniqueid or a Timestamp
_BRIDGE = b"BridgeUniqueid: "
_SERIAL = re.compile(rb"-[0-9a-f]{8}(?=;[12])")  # of a Local channel's name
_ENDINGS = tuple(
    b"Event: %b\r\n" % name
    for name in (
        b"Hangup",
        b"HangupRequest",
        b"SoftHangupRequest",
        b"BridgeLeave",
        b"BridgeDestroy",
        b"AgentComplete",
    )
)


class Again:
    """A recording played again and again: each time with the uniqueids and timestamps of a later hour.

    It is read from a file piece by piece, so that it takes no memory of the process that is measured.
    """

    def __init__(self, recording: Path, directory: Path) -> None:
        data = _whole(recording)
        frames = data.split(b"\r\n\r\n")
        live = [f for f in frames if f.startswith(b"Event: ") and b"\r\nActionID: " not in f]
        self.calls = sum(f.startswith(b"Event: QueueCallerJoin\r\n") for f in live)
        self._seconds = sorted({int(second) for second in _STAMP.findall(data)}, reverse=True)
        self._files = {True: directory / "whole", False: directory / "endless"}
        self._files[True].write_bytes(b"\r\n\r\n".join([*live, b""]))
        endless = [f for f in live if not f.startswith(_ENDINGS)]
        self._files[False].write_bytes(b"\r\n\r\n".join([*endless, b""]))

    def reads(self, shift: int, *, ends: bool = True) -> Iterator[bytes]:
        """The live events `shift` seconds later; without `ends` nobody hangs up."""
        with self._files[ends].open("rb") as file:
            rest = b""
            while piece := file.read(_READ):
                piece, _, rest = (rest + piece).rpartition(b"\r\n")
                for (
                    second
                ) in self._seconds:  # the latest first, for what has been shifted is not to be met again
                    piece = piece.replace(b"%d." % second, b"%d." % (second + shift))
                if not ends:  # their names must not be met again either
                    piece = _SERIAL.sub(
                        rb"\g<0>%d" % shift, piece.replace(_BRIDGE, b"%b%d-" % (_BRIDGE, shift))
                    )
                yield piece + b"\r\n"
            yield rest


async def _memory(path: Path, calls: int, live: int) -> dict[str, float]:
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="cti-bench-") as directory:
        again = Again(path, Path(directory))
        async with await open_store(f"sqlite+aiosqlite:///{directory}/cti.sqlite3") as store:
            pipeline = Pipeline(store)
            await pipeline.play(data for _, data in read_recording(path))
            done, hour = again.calls, 0
            for mark in (calls // 2, calls):
                while done < mark:
                    hour += 1
                    await pipeline.play(again.reads(hour * 3600))
                    done += again.calls
                found[f"rss_at_{mark}"] = rss_bytes()
            gc.collect()
            before, opened, alive = rss_bytes(), 0, len(pipeline.core.calls.calls)
            for _ in range(math.ceil(live / again.calls)):
                hour += 1
                await pipeline.play(again.reads(hour * 3600, ends=False))
            opened = len(pipeline.core.calls.calls) - alive
            gc.collect()
            grown = rss_bytes() - before
    return found | {"calls": done, "leaked": alive, "live": opened, "per_live": grown / opened}


def main(what: str, path: str, *numbers: str) -> None:
    """Print what was found as one line of JSON."""
    collect_rarely()
    file, counts = Path(path), [int(number) for number in numbers]
    found: Any = speed(file) if what == "speed" else asyncio.run(_memory(file, *counts))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
