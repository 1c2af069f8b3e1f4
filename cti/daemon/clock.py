"""Clocks that step: this machine's, and each PBX's. A step is a fault on record, never a silently wrong duration.

This machine's clock is compared with its monotonic clock, which no one can put. (A machine that was suspended looks
the same: its wall clock went on.)

A PBX's clock is known by the timestamps of its events. They come in order, so one that is earlier than the one before
says that the clock was put back. One that is further ahead of our monotonic clock than any before says that it
was put forward; an event that is merely late is behind, never ahead.
"""

import asyncio
import math
import time
from collections.abc import Callable

TOLERANCE = 2.0  # seconds; less is jitter, or the slewing of a clock that is being corrected
_EVERY = 1.0  # seconds between two looks at our own clock
_DRIFT = 2e-4  # s/s by which two undisciplined clocks may run apart


class WallClock:
    """Watches this machine's clock."""

    def __init__(
        self,
        told: Callable[[float], None],
        *,
        wall: Callable[[], float] = time.time,
        mono: Callable[[], float] = time.monotonic,
    ) -> None:
        """`told` gets the step in seconds, positive when the clock was put forward."""
        self._told, self._wall, self._mono = told, wall, mono
        self._offset = wall() - mono()

    def look(self) -> None:
        """Compare the clocks once."""
        offset = self._wall() - self._mono()
        step, self._offset = offset - self._offset, offset
        if abs(step) >= TOLERANCE:
            self._told(step)

    async def run(self) -> None:
        """Compare them until cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            self.look()


class PbxClock:
    """Watches the clock of one PBX by what it stamps."""

    __slots__ = ("_ahead", "_at", "_mono")

    def __init__(self) -> None:
        self._at = 0.0  # the last timestamp
        self._mono = 0.0  # when it came
        self._ahead = (
            -math.inf
        )  # the furthest its clock was seen ahead of our monotonic one; -inf: never seen

    def keeps(self, at: float, mono: float) -> bool:
        """Take a timestamp that is on time or late, as nearly all are; False leaves it to `step`."""
        if at - mono <= self._ahead and at >= self._at - TOLERANCE:
            self._at, self._mono = at, mono
            return True
        return False

    def step(self, at: float, mono: float) -> float:
        """Take a timestamp and its arrival (`time.monotonic()`); returns by how many seconds the clock stepped, mostly 0."""
        if self.keeps(at, mono):
            return 0.0
        ahead = at - mono
        if self._ahead == -math.inf:
            step = 0.0
        elif at < self._at - TOLERANCE:
            step = ahead - self._ahead
        else:
            allowed = TOLERANCE + _DRIFT * max(0.0, mono - self._mono)
            step = ahead - self._ahead if ahead > self._ahead + allowed else 0.0
        if step or ahead > self._ahead:
            self._ahead = ahead
        self._at, self._mono = at, mono
        return step
