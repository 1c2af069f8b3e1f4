"""Gathers reads under load: Asterisk sends each event in a segment of its own, and a wake-up costs more than an event.

While reads come one upon the other, the socket is left alone for `PAUSE` after each: the kernel keeps what comes
meanwhile (its buffer is the bound), and one read brings it all. When a pause brings little, or before the load is a
load, every read is dealt with as it comes: a single call is never kept waiting.
"""

import asyncio
from typing import Protocol

PAUSE = 0.02  # seconds
_SPAN = 0.1  # seconds in which reads are counted
_BUSY = 40  # reads in one span: more than the events of a few calls that begin together
_FEW = 4  # frames; a pause that brings fewer was not worth it
_FULL = 200_000  # bytes; a read that brings so much left more behind


class Readable(Protocol):
    """The part of `asyncio.ReadTransport` that is needed."""

    def pause_reading(self) -> None:
        """Leave the socket alone; nothing on a transport that closes."""

    def resume_reading(self) -> None:
        """Read again; nothing on a transport that closes or was not paused."""


class Gather:
    """Decides after each read of one connection when the next may be."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began = 0.0  # of the span
        self._reads = 0  # in it
        self.gathering = False

    def after(self, transport: Readable, size: int, frames: int, mono: float) -> None:
        """Take note of a read.

        Args:
            transport: it came from.
            size: of it, bytes.
            frames: it completed.
            mono: time.monotonic() of it.
        """
        if self.gathering:
            self.gathering = frames >= _FEW
        else:
            self._count(mono)
        if self.gathering and size < _FULL:
            transport.pause_reading()
            self._loop.call_later(PAUSE, transport.resume_reading)

    def _count(self, mono: float) -> None:
        if mono - self._began > _SPAN:
            self._began, self._reads = mono, 0
        self._reads += 1
        if self._reads >= _BUSY:
            self._reads, self.gathering = 0, True
