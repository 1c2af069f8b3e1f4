"""One supervised login to a PBX: connect, log in, notice silence, stay in step, come back after growing delays.

An action is sent once. When the link breaks before its answer, the caller gets `LinkDown` and has to find out by
the events whether it was done.
"""

import asyncio
import contextlib
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import structlog

from cti.core.wire import Message
from cti.daemon.errors import ActionFailed, ActionTimeout, AmiError, LinkDown, LoginRefused
from cti.daemon.link import Access, LinkStatus, Timing
from cti.daemon.resync import OURS, Mode, Stream, round_of_actions

MASK = "system,call,agent,user"  # event classes the reader subscribes to, whatever else its account may read

Tap = Callable[[bytes], None]  # sees the bytes of every read

log = structlog.get_logger(__name__)


class Wire(Protocol):
    """One connection to a PBX, as `cti.daemon.ami` makes it."""

    lost: asyncio.Future[None]  # fails with LinkDown when the connection ended
    received: float  # time.monotonic() of the last bytes

    @property
    def greeting(self) -> str:
        """The line with which the PBX opened the connection."""
        ...

    def write(self, action: Mapping[str, str]) -> None:
        """Send an action whose answer is for the stream."""
        ...

    async def request(
        self, action: Mapping[str, str], seconds: float, listed: Iterable[str] | None = None
    ) -> list[Message]:
        """Send an action; its response, or the items of these event names. Raises AmiError."""
        ...

    def fail(self, why: str) -> None:
        """End the connection."""
        ...


class Connection:
    """One supervised login of one role; see `Pbx` for what is offered to others."""

    def __init__(
        self,
        role: str,
        access: Access,
        timing: Timing,
        open_wire: Callable[[LinkStatus], Awaitable[Wire]],
        *,
        stream: Stream | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
        came_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.status = LinkStatus(role)
        self.in_step = asyncio.Event()
        self._access = access
        self._timing = timing
        self._open_wire = open_wire
        self._stream = stream
        self._room = room  # awaited before another round after an overflow
        self._told_up = came_up
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._sent = 0
        self._rounds = 0
        self._wire: Wire | None = None
        if stream is not None:
            stream.changed = self._changed.set

    async def run(self) -> None:
        """Connect, log in, stay; again and again until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self.session()
            except LoginRefused as error:
                self._went_down(error, refused=True)
                await asyncio.sleep(self._timing.refused)
            except AmiError as error:
                was_up = self.status.up
                self._went_down(error)
                healthy = was_up and time.monotonic() - began >= self._timing.healthy
                failures = 0 if healthy else failures
                failures = 0 if await self._hurried(self._delay(failures)) else failures + 1

    def hurry(self) -> None:
        """The PBX is known to be there again: a delay before the next try ends now (not that of a refused login)."""
        if not self.status.up:
            self._hurry.set()

    async def _hurried(self, seconds: float) -> bool:
        """Let a delay pass; True when it was cut short."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        hurried = self._hurry.is_set()
        self._hurry.clear()
        return hurried

    @property
    def trouble(self) -> str:
        """Why what this connection tells is not complete now, "" when it is."""
        if not self.status.up:
            return self.status.last_error or "not yet connected"
        return "" if self.in_step.is_set() else "events were lost; the PBX is being asked what lives on it"

    def _delay(self, failures: int) -> float:
        delay = min(self._timing.longest_delay, self._timing.first_delay * 2.0 ** min(failures, 16))
        return delay * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret

    async def session(self) -> None:
        """One connection from its making to its end; raises AmiError, never returns."""
        try:
            if self._stream is not None:
                self._stream.connected()
            self._wire = wire = await self._open_wire(self.status)
            try:
                await self._login(wire)
                await self._live(wire)
            finally:
                wire.fail("closed")
        finally:
            self._wire = None
            self.in_step.clear()

    async def _login(self, wire: Wire) -> None:
        access, deadline = self._access, self._timing.login
        try:
            challenge = await self._ask(wire, {"Action": "Challenge", "AuthType": "MD5"}, deadline)
            key = hashlib.md5(
                f"{challenge[0].get('Challenge', '')}{access.secret}".encode(), usedforsecurity=False
            ).hexdigest()
            login = {"Action": "Login", "AuthType": "MD5", "Username": access.user, "Key": key}
            login["Events"] = "off" if self._stream is None else MASK
            await self._ask(wire, login, deadline)
        except ActionFailed as error:
            raise LoginRefused(
                f"the PBX refused {access}: {error}. Compare user and secret with its manager.conf, see that permit= there"
                " lets this machine in, and run 'manager reload' on the PBX"
            ) from None
        except ActionTimeout:
            greeting = wire.greeting or "none came"
            raise LinkDown(
                f"no answer to the login of {access} within {deadline:g} s; greeting: {greeting}"
            ) from None

    async def _live(self, wire: Wire) -> None:
        self.status.logins += 1
        tasks: list[asyncio.Future[None]] = [wire.lost, asyncio.ensure_future(self._keepalive(wire))]
        if self._stream is None:
            self._came_up()
        else:
            tasks.append(asyncio.ensure_future(self._follow(wire, self._stream)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in reversed(tasks):  # what a task found out says more than that the connection ended
                if task.done():
                    task.result()
        finally:
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)

    async def _keepalive(self, wire: Wire) -> None:
        """Notice a peer that stopped answering: silence, a ping, silence again."""
        limit = self._timing.keepalive
        while True:
            quiet = time.monotonic() - wire.received
            if quiet < limit:
                await asyncio.sleep(limit - quiet)
                continue
            try:
                pong = await self._ask(wire, {"Action": "Ping"}, limit)
            except ActionTimeout:
                if time.monotonic() - wire.received >= limit:
                    raise LinkDown(
                        f"{self._access} sent nothing for {2 * limit:g} s and answers no ping"
                    ) from None
            else:
                if self._stream is not None:
                    self._stream.set_clock(pong[0], time.time())

    async def _follow(self, wire: Wire, stream: Stream) -> None:
        """Bring the stream in step after the login, and again whenever it asks for it."""
        if not await self._until(lambda: stream.booted, self._timing.booted):
            log.warning(
                "no_fully_booted",
                pbx=self._access.pbx,
                account=self._access.user,
                cure="give the account read=system, unless the PBX is still starting",
            )
        while True:
            await self._one_round(wire, stream)
            if not stream.wants_resync:
                self._came_up()
            await self._until(lambda: stream.wants_resync, None)
            self.in_step.clear()
            if self._room is not None:
                await self._room()

    async def _one_round(self, wire: Wire, stream: Stream) -> None:
        self._rounds += 1
        stream.expected = self._rounds
        for action in round_of_actions(self._rounds):
            wire.write(action)
        answered = await self._until(
            lambda: (
                bool(stream.refused) or (stream.round == self._rounds and stream.mode is not Mode.SYNCING)
            ),
            self._timing.resync,
        )
        if stream.refused:
            raise LoginRefused(
                f"{self._access} may not ask what lives on the PBX ({stream.refused}); give it write=reporting"
                " in manager.conf and run 'manager reload' on the PBX"
            )
        if not answered:
            raise LinkDown(f"{self._access} did not tell what lives on it within {self._timing.resync:g} s")

    async def _until(self, true: Callable[[], bool], seconds: float | None) -> bool:
        """Wait until something of the stream is true; False when it is not after so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not true():
                    self._changed.clear()
                    await self._changed.wait()
        return true()

    async def ask(
        self, action: Mapping[str, str], seconds: float, listed: Iterable[str] | None = None
    ) -> list[Message]:
        """Send one action; its response, or the list items of the wanted events."""
        if self._wire is None or not self.status.up:
            raise LinkDown(f"not connected as {self._access}: {self.status.last_error or 'not yet tried'}")
        return await self._ask(self._wire, action, seconds, listed)

    async def _ask(
        self, wire: Wire, action: Mapping[str, str], seconds: float, listed: Iterable[str] | None = None
    ) -> list[Message]:
        self._sent += 1
        return await wire.request(
            {**action, "ActionID": f"{OURS}{self.status.role}-{self._sent}"}, seconds, listed
        )

    def _came_up(self) -> None:
        self.in_step.set()
        if not self.status.up:
            self.status.up, self.status.since = True, time.time()
            self._hurry.clear()
            self._told_up()
            log.info("link_up", pbx=self._access.pbx, role=self.status.role, account=self._access.user)

    def _went_down(self, error: AmiError, *, refused: bool = False) -> None:
        """Note the end of a connection; the same reason is logged once, not at every try."""
        status, now = self.status, time.time()
        if status.up or str(error) != status.last_error:
            event = "login_refused" if refused else "link_down"
            log.error(event, pbx=self._access.pbx, role=status.role, reason=str(error))
        silent = (
            status.up
            and status.received_at is not None
            and now - status.received_at >= self._timing.keepalive
        )
        lost_at = status.received_at if silent and status.received_at is not None else now
        if status.up:
            status.up, status.since = False, now
        status.last_error = str(error)
        if self._stream is not None:
            self._stream.disconnected(lost_at, time.monotonic() - (now - lost_at), str(error))
