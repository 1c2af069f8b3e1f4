"""The door to a PBX's manager interface (AMI), and the only module that knows panoramisk.

`Pbx` keeps one connection for each role alive: the reader (events, and questions), the actor (queue membership,
calls), the publisher (AstDB). panoramisk gives the connection, the actions and their serialisation; framing,
dispatch, correlation, keepalive and reconnection are ours, because panoramisk's decode each read by itself, send
unanswered actions again after a reconnect, and retry every two seconds.

An action is sent once. When the link breaks before its answer, the caller gets `LinkDown` and has to find out by
the events whether it was done.
"""

import asyncio
import contextlib
import hashlib
import random
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, cast

import structlog
from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol

from config.settings import Account, PbxSettings
from cti.core.events import Message
from cti.core.wire import Framer, decode, event_name
from cti.daemon.errors import ActionFailed, ActionTimeout, AmiError, LinkDown, LoginRefused
from cti.daemon.inbox import Inbox
from cti.daemon.link import Access, LinkStatus, Timing, checked
from cti.daemon.resync import OURS, Mode, Stream, round_of_actions

MASK = "system,call,agent,user"  # event classes the reader subscribes to, whatever else its account may read

log = structlog.get_logger(__name__)


class _Request(Action):  # type: ignore[misc]  # panoramisk has no types
    """An action, and what its answer brought so far: our own correlation instead of panoramisk's guesses."""

    def __init__(self, headers: Mapping[str, str], listed: Iterable[str] | None = None) -> None:
        super().__init__(headers)
        self.wanted = None if listed is None else frozenset(listed)
        self.rows: list[Message] = []

    def add_message(self, message: Message) -> bool:
        """Take one message of the answer; True when it was the last."""
        if self.future.done():
            return True
        if "Event" not in message:
            return self._add_response(message)
        if message.get("EventList", "").lower() in {"complete", "cancelled"}:
            self.future.set_result(self.rows)
            return True
        if self.wanted and message["Event"] in self.wanted:
            self.rows.append(message)
        return False

    def _add_response(self, message: Message) -> bool:
        if message.get("Response") not in {"Success", "Goodbye"}:
            self.future.set_exception(
                ActionFailed(message.get("Message") or "the PBX refused and gave no reason")
            )
            return True
        if self.wanted is not None:
            return False
        self.future.set_result([message])
        return True


class _Protocol(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """Bytes to frames to the stream and to open requests; whatever a frame holds, the connection goes on."""

    def __init__(
        self, stream: Stream | None, status: LinkStatus, tap: Callable[[bytes], None] | None
    ) -> None:
        self.stream = stream
        self.status = status
        self.tap = tap
        self.framer = Framer()
        self.received = time.monotonic()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        at, mono = time.time(), time.monotonic()
        self.received, self.status.received_at = mono, at
        if self.tap is not None:
            self.tap(data)
        for frame in self.framer.feed(data):
            try:
                self._take(frame, at, mono)
            except Exception:
                self.status.bugs += 1
                log.exception("frame_failed", role=self.status.role, head=frame[:120])

    def _take(self, frame: bytes, at: float, mono: float) -> None:
        if self.stream is not None:
            message = self.stream.take(frame, at, mono)
        elif not event_name(frame) or b"\r\nActionID: " in frame:
            message = decode(frame)
        else:
            message = None
        if message is not None:
            self.handle_message(message)

    def handle_message(self, message: Message) -> None:
        request = self.responses.get(message.get("ActionID", ""))
        if request is not None and request.add_message(message):
            self.responses.pop(request.id, None)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.fail(f"the connection broke ({exc})")
        elif self.stream is not None and self.stream.shutdown:
            self.fail("the PBX was shut down")
        else:
            self.fail("the PBX closed the connection")

    def close(self) -> None:
        """Called by panoramisk when a new connection takes the place of this one."""
        self.fail("closed")

    def fail(self, why: str) -> None:
        """End the connection; every open request fails, none is sent again."""
        self.status.oversize += self.framer.oversize
        self.framer.oversize = 0
        self.closed = True
        self.transport.abort()
        if not self.lost.done():
            self.lost.set_exception(LinkDown(why))
            self.lost.exception()  # retrieved: the session may have ended for another reason already
        pending = list(self.responses.values())
        self.responses.clear()
        for request in pending:
            if not request.future.done():
                request.future.set_exception(LinkDown(f"{why} before {request.action} was answered"))


class _Manager(Manager):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's manager without its own login, pings and retries."""

    def connection_made(self, f: asyncio.Future[Any]) -> None:
        if f.cancelled() or f.exception() is not None:
            return  # who awaits the task deals with it
        super().connection_made(f)
        if self.pinger is not None:
            self.pinger.cancel()

    def connection_lost(self, exc: Any) -> None:
        """Nothing: the supervisor of the connection reconnects."""


class Connection:
    """One supervised login of one role; see `Pbx` for what is offered to others."""

    def __init__(
        self,
        role: str,
        access: Access,
        timing: Timing,
        stream: Stream | None = None,
        *,
        tap: Callable[[bytes], None] | None = None,
        room: Callable[[], Any] | None = None,
    ) -> None:
        self.status = LinkStatus(role)
        self.in_step = asyncio.Event()
        self._access = access
        self._timing = timing
        self._stream = stream
        self._tap = tap
        self._room = room  # awaited before another round after an overflow
        self._changed = asyncio.Event()
        self._sent = 0
        self._rounds = 0
        self._protocol: _Protocol | None = None
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
                await asyncio.sleep(self._delay(failures))
                failures += 1

    def _delay(self, failures: int) -> float:
        delay = min(self._timing.longest_delay, self._timing.first_delay * 2.0 ** min(failures, 16))
        return delay * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret

    async def session(self) -> None:
        """One connection from its making to its end; raises AmiError, never returns."""
        try:
            protocol = await self._connect()
            self._protocol = protocol
            try:
                await self._login(protocol)
                await self._live(protocol)
            finally:
                protocol.fail("closed")
        finally:
            self._protocol = None
            self.in_step.clear()

    async def _connect(self) -> _Protocol:
        access, timing = self._access, self._timing
        if self._stream is not None:
            self._stream.connected()
        manager = _Manager(
            loop=asyncio.get_running_loop(),
            host=access.host,
            port=access.port,
            ssl=access.tls or False,
            protocol_factory=lambda: _Protocol(self._stream, self.status, self._tap),
        )
        try:
            async with asyncio.timeout(timing.connect):
                _, protocol = await manager.connect()
        except TimeoutError:
            raise LinkDown(f"no connection to {access} within {timing.connect:g} s") from None
        except OSError as error:  # ssl.SSLError and its certificate errors are OSErrors
            raise LinkDown(f"no connection to {access}: {error}") from None
        return cast("_Protocol", protocol)

    async def _login(self, protocol: _Protocol) -> None:
        access, deadline = self._access, self._timing.login
        try:
            challenge = await self._ask(protocol, {"Action": "Challenge", "AuthType": "MD5"}, deadline)
            key = hashlib.md5(
                f"{challenge[0].get('Challenge', '')}{access.secret}".encode(), usedforsecurity=False
            ).hexdigest()
            login = {"Action": "Login", "AuthType": "MD5", "Username": access.user, "Key": key}
            login["Events"] = "off" if self._stream is None else MASK
            await self._ask(protocol, login, deadline)
        except ActionFailed as error:
            raise LoginRefused(
                f"the PBX refused {access}: {error}. Compare user and secret with its manager.conf, see that permit= there"
                " lets this machine in, and run 'manager reload' on the PBX"
            ) from None
        except ActionTimeout:
            greeting = protocol.framer.greeting or "none came"
            raise LinkDown(
                f"no answer to the login of {access} within {deadline:g} s; greeting: {greeting}"
            ) from None

    async def _live(self, protocol: _Protocol) -> None:
        self.status.logins += 1
        tasks: list[asyncio.Future[None]] = [protocol.lost, asyncio.ensure_future(self._keepalive(protocol))]
        if self._stream is None:
            self._came_up()
        else:
            tasks.append(asyncio.ensure_future(self._follow(protocol, self._stream)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in reversed(tasks):  # what a task found out says more than that the connection ended
                if task.done():
                    task.result()
        finally:
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)

    async def _keepalive(self, protocol: _Protocol) -> None:
        """Notice a peer that stopped answering: silence, a ping, silence again."""
        limit = self._timing.keepalive
        while True:
            quiet = time.monotonic() - protocol.received
            if quiet < limit:
                await asyncio.sleep(limit - quiet)
                continue
            try:
                pong = await self._ask(protocol, {"Action": "Ping"}, limit)
            except ActionTimeout:
                if time.monotonic() - protocol.received >= limit:
                    raise LinkDown(
                        f"{self._access} sent nothing for {2 * limit:g} s and answers no ping"
                    ) from None
            else:
                if self._stream is not None:
                    self._stream.set_clock(pong[0], time.time())

    async def _follow(self, protocol: _Protocol, stream: Stream) -> None:
        """Bring the stream in step after the login, and again whenever it asks for it."""
        if not await self._until(lambda: stream.booted, self._timing.booted):
            log.warning(
                "no_fully_booted",
                pbx=self._access.pbx,
                account=self._access.user,
                cure="give the account read=system, unless the PBX is still starting",
            )
        while True:
            await self._one_round(protocol, stream)
            if not stream.wants_resync:
                self._came_up()
            await self._until(lambda: stream.wants_resync, None)
            self.in_step.clear()
            if self._room is not None:
                await self._room()

    async def _one_round(self, protocol: _Protocol, stream: Stream) -> None:
        self._rounds += 1
        for action in round_of_actions(self._rounds):
            protocol.transport.write(str(Action(action)).encode())
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
        if self._protocol is None or not self.status.up:
            raise LinkDown(f"not connected as {self._access}: {self.status.last_error or 'not yet tried'}")
        return await self._ask(self._protocol, action, seconds, listed)

    async def _ask(
        self,
        protocol: _Protocol,
        action: Mapping[str, str],
        seconds: float,
        listed: Iterable[str] | None = None,
    ) -> list[Message]:
        self._sent += 1
        headers = checked({**action, "ActionID": f"{OURS}{self.status.role}-{self._sent}"})
        if protocol.lost.done():
            protocol.lost.result()
        request = _Request(headers, listed)
        protocol.send(request)
        try:
            async with asyncio.timeout(seconds):
                rows: list[Message] = await request.future
        except TimeoutError:
            raise ActionTimeout(f"{headers['Action']} was not answered within {seconds:g} s") from None
        finally:
            protocol.responses.pop(headers["ActionID"], None)
        return rows

    def _came_up(self) -> None:
        self.in_step.set()
        if not self.status.up:
            self.status.up, self.status.since = True, time.time()
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


Role = Literal["reader", "actor", "publisher"]
ROLES: tuple[Role, ...] = ("reader", "actor", "publisher")


class Pbx:
    """One PBX: its events go to the inbox, actions go out by role.

    Attributes:
        name: as in the configuration.
        inbox: where arrivals are put.
        stream: what the PBX says: `version`, `clock`, `missed`, `unusable`, `last_event_at`.
        links: the connection of each role; roles with the same account share one.
    """

    def __init__(self, name: str, settings: PbxSettings, inbox: Inbox, timing: Timing | None = None) -> None:
        self.name = name
        self.inbox = inbox
        self.stream = Stream(name, inbox.put, hold=inbox.size)
        timing = timing or Timing(keepalive=settings.keepalive)
        tls = tls_context(settings)
        shared: dict[tuple[str, str], Connection] = {}
        self.links: dict[Role, Connection] = {}
        for role in ROLES:
            account: Account = getattr(settings, role)
            access = Access(
                name, settings.host, settings.port, account.user, account.secret.get_secret_value(), tls
            )
            stream = self.stream if role == "reader" else None
            link = Connection(role, access, timing, stream, room=inbox.room)
            self.links[role] = shared.setdefault((access.user, access.secret), link)

    async def run(self) -> None:
        """Keep every connection alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in dict.fromkeys(self.links.values()):
                group.create_task(link.run(), name=f"{self.name}-{link.status.role}")

    @property
    def status(self) -> LinkStatus:
        """How the reader's connection is; the others': `links[role].status`."""
        return self.links["reader"].status

    def now(self) -> float:
        """Epoch seconds on the PBX's clock."""
        return time.time() + self.stream.clock

    async def up(self, role: Role = "reader") -> None:
        """Wait until the role is logged in and, for the reader, in step."""
        await self.links[role].in_step.wait()

    async def action(self, role: Role, action: Mapping[str, str], timeout: float = 10.0) -> dict[str, str]:  # noqa: ASYNC109 - part of what is asked for, in seconds
        """Send one action and return its response.

        Raises:
            ActionFailed: the PBX refused (its message), or the action could not be sent as it is.
            ActionTimeout: no answer in time. LinkDown: no connection, or it broke before the answer.
        """
        rows = await self.links[role].ask(action, timeout)
        return dict(rows[0])

    async def listing(
        self,
        role: Role,
        action: Mapping[str, str],
        item_events: set[str],
        timeout: float = 10.0,  # noqa: ASYNC109 - part of what is asked for, in seconds
    ) -> list[dict[str, str]]:
        """Send an action that answers with a list and return the items of these event names; raises as `action`."""
        rows = await self.links[role].ask(action, timeout, item_events)
        return [dict(row) for row in rows]


def tls_context(settings: PbxSettings) -> ssl.SSLContext | None:
    """How to verify the PBX, or None for clear text."""
    if not settings.tls:
        return None
    return ssl.create_default_context(cafile=settings.ca_file)
