"""A sign of life in the data directory, so that the daemon's own death is on record with its begin and end (A3).

A file is touched every second while the daemon runs and removed at an orderly end. Found at a start, it was left by a
process that was killed: its time is the last moment at which that process was seen alive.
"""

import asyncio
import os
from pathlib import Path

import structlog

_BEAT = 1.0  # seconds

log = structlog.get_logger(__name__)


class Heartbeat:
    """The sign of life of one daemon."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "alive"

    def former(self) -> float | None:
        """When a process that did not end in order was last alive, epoch seconds; None if the last one did."""
        try:
            return self._path.stat().st_mtime
        except FileNotFoundError:
            return None

    async def run(self) -> None:
        """Beat until cancelled; a disk that takes no beat is told once and tried again."""
        failed = False
        while True:
            try:
                await asyncio.to_thread(self._beat)
                failed = False
            except OSError as error:
                if not failed:
                    log.warning("no_heartbeat", path=str(self._path), reason=error.strerror)
                failed = True
            await asyncio.sleep(_BEAT)

    def _beat(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.utime(descriptor)
        finally:
            os.close(descriptor)

    def end(self) -> None:
        """An orderly end leaves nothing behind."""
        self._path.unlink(missing_ok=True)
