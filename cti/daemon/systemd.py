"""What a service manager wants to know: READY, RELOADING, STOPPING, WATCHDOG, in datagrams to NOTIFY_SOCKET.

Without NOTIFY_SOCKET (no systemd) everything here does nothing. See sd_notify(3).
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

log = structlog.get_logger(__name__)

_MICROSECONDS = 1_000_000


class ServiceManager:
    """Who started us, if it wants to be told."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog = _watchdog(environ)
        """Seconds within which it wants to hear from us, or None."""

    def ready(self, status: str = "") -> None:
        """We serve, or go on serving after a reload."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """We read our configuration again; `ready` says when it is done."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        """We end."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell("WATCHDOG=1")

    async def keep_alive(self, well: Callable[[], bool]) -> None:
        """Feed the watchdog for as long as all is well; returns at once when nobody watches.

        A stuck event loop does not come here, and a part that makes no progress is not `well`: in both cases the
        service manager kills us and starts us again.
        """
        if self.watchdog is None:
            return
        while True:
            if well():
                self.alive()
            await asyncio.sleep(self.watchdog / 3)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
                out.sendto("\n".join(line for line in lines if not line.endswith("=")).encode(), address)
        except OSError as error:
            log.warning("not_notified", socket=self._address, reason=str(error), what=lines[0])


def _watchdog(environ: Mapping[str, str]) -> float | None:
    micros, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not micros.isdecimal() or int(micros) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(micros) / _MICROSECONDS
