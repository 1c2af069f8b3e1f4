"""The demo without Asterisk: a session recorded from a real one, played through the same door."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import read_recording
from tests.demo.books import RECORDING, Books, recorded_marks


class PlayedFloor:
    """The recorded people: they do what they did, once, and the dialplan leaves the marks it left."""

    def __init__(self, embedded: EmbeddedPbx, recorded_at: float) -> None:
        self.embedded = embedded
        self.port = embedded.port
        self.shift = 0.0  # seconds from the recording's clock to now
        self._recorded_at = recorded_at
        self._marks: list[asyncio.Task[None]] = []

    async def run(self, seconds: float | None) -> None:
        """Play to the end, or for so many seconds."""
        began = self.embedded.answers.began
        assert began is not None, "the daemon's reader has not logged in"
        self.shift = began - self._recorded_at
        for uniqueid, value in recorded_marks().items():
            self._marks.append(asyncio.create_task(self._leave_mark(uniqueid, value)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.embedded.played.wait()

    async def _leave_mark(self, uniqueid: str, value: str) -> None:
        """Put a mark where the dialplan had put it, at the moment at which it was complete."""
        fields = value.split("|")
        for position in (1, 7, 8):
            if fields[position]:
                fields[position] = f"{float(fields[position]) + self.shift:.3f}"
        await asyncio.sleep(max(0.0, float(fields[8]) - time.time() - 0.05))
        self.embedded.db.setdefault("cti-pending", {})[uniqueid] = "|".join(fields)

    async def close(self) -> None:
        """Nothing is left to wait for."""
        for task in self._marks:
            task.cancel()

    def over(self) -> bool:
        """Whether the recording was played to its end."""
        return self.embedded.played.is_set()

    def books(self) -> Books:
        """The books of the recorded session, moved to when it was played."""
        return Books.of_recording().moved(self.shift)


@contextlib.asynccontextmanager
async def played_floor() -> AsyncIterator[PlayedFloor]:
    """An embedded PBX that plays the committed recording as soon as the daemon's reader logs in."""
    recording = read_recording(RECORDING)
    async with EmbeddedPbx(recording) as embedded:
        yield PlayedFloor(embedded, recording.recorded_at)
