"""A door to an embedded PBX, with patience short enough for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

from config.settings import PbxSettings
from cti.core.events import Event
from cti.core.wire import Message
from cti.daemon.ami import Pbx
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.inbox import Inbox
from cti.daemon.link import Timing

SECRETS = {"reader": "r-secret", "actor": "a-secret", "publisher": "p-secret"}
FAST = Timing(
    connect=2.0,
    login=0.5,
    booted=0.2,
    resync=1.0,
    keepalive=5.0,
    first_delay=0.02,
    longest_delay=0.1,
    healthy=0.5,
    refused=0.3,
)


def settings(port: int, **changes: object) -> PbxSettings:
    accounts = {role: {"user": role, "secret": secret} for role, secret in SECRETS.items()}
    given = {"host": "127.0.0.1", "port": port, "timezone": "UTC", **accounts}
    return PbxSettings.model_validate({**given, **changes})


@contextlib.asynccontextmanager
async def door(
    port: int, *, size: int = 10_000, wait: bool = True, name: str = "main", **timing: float
) -> AsyncIterator[Pbx]:
    """A running door, in step when `wait`."""
    pbx = Pbx(name, settings(port), Inbox(size), replace(FAST, **timing))
    task = asyncio.create_task(pbx.run())
    try:
        if wait:
            async with asyncio.timeout(20):
                for role in pbx.links:
                    await pbx.up(role)
        yield pbx
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def whats(pbx: Pbx, true: Callable[[list[Message | Event]], bool]) -> list[Message | Event]:
    """What arrived so far, as soon as that is true of it."""
    got: list[Message | Event] = []
    async with asyncio.timeout(20):
        while not true(got):
            got += [arrival.what for arrival in await pbx.inbox.get_batch()]
    return got


def kinds(got: list[Message | Event]) -> list[str]:
    """`Resynced`, `LinkLost`, or the name of the AMI event."""
    return [what["Event"] if isinstance(what, Mapping) else type(what).__name__ for what in got]


__all__ = ["FAST", "SECRETS", "EmbeddedPbx", "door", "kinds", "settings", "whats"]
