"""The daemon's own death is known at the next start (A3)."""

import asyncio
import contextlib
import time
from pathlib import Path

from cti.daemon.heartbeat import Heartbeat


async def _beaten(directory: Path) -> Heartbeat:
    heart = Heartbeat(directory)
    running = asyncio.create_task(heart.run())
    async with asyncio.timeout(5):
        while heart.former() is None:  # noqa: ASYNC110 - a file tells no events
            await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return heart


async def test_a_killed_daemon_leaves_the_time_of_its_last_beat(tmp_path: Path) -> None:
    """Nothing removes the file but an orderly end."""
    await _beaten(tmp_path)
    left = Heartbeat(tmp_path).former()
    assert left is not None
    assert abs(time.time() - left) < 5


async def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    """A daemon that was told to stop did not fail."""
    heart = await _beaten(tmp_path)
    heart.end()
    assert Heartbeat(tmp_path).former() is None
