"""The door to a PBX's manager interface (AMI), and the only module that knows panoramisk.

`Pbx` keeps one connection for each role alive: the reader (events, and questions), the actor (queue membership,
calls), the publisher (AstDB). panoramisk gives the connection, the actions and their serialisation; framing,
dispatch, correlation, keepalive and reconnection are ours, because panoramisk's decode each read by itself, send
unanswered actions again after a reconnect, and retry every two seconds.
"""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, cast

import structlog
from panoramisk import Manager
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol

from config.settings import Account, PbxSettings
from cti.core.wire import Framer, Message, decode, event_name
from cti.daemon.connection import Connection, Tap, Wire
from cti.daemon.errors import ActionFailed, ActionTimeout, LinkDown
from cti.daemon.gather import Gather
from cti.daemon.inbox import Inbox
from cti.daemon.link import Access, LinkStatus, Timing, checked
from cti.daemon.resync import Stream

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
        loop = asyncio.get_running_loop()
        self.gather = Gather(loop)
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        at, mono = time.time(), time.monotonic()
        self.received, self.status.received_at = mono, at
        if self.tap is not None:
            self.tap(data)
        frames = self.framer.feed(data)
        take = self._unfollowed if self.stream is None else self.stream.take
        for frame in frames:
            try:
                message = take(frame, at, mono)
                if message is not None:
                    self.handle_message(message)
            except Exception:
                self.status.bugs += 1
                log.exception("frame_failed", role=self.status.role, head=frame[:120])
        if self.stream is not None:
            self.gather.after(self.transport, len(data), len(frames), mono)

    @staticmethod
    def _unfollowed(frame: bytes, _at: float, _mono: float) -> Message | None:
        """What matters on a connection whose events nobody follows: answers."""
        return decode(frame) if not event_name(frame) or b"\r\nActionID: " in frame else None

    @property
    def greeting(self) -> str:
        """The line with which the PBX opened the connection, "" if it did not."""
        return self.framer.greeting

    def write(self, action: Mapping[str, str]) -> None:
        """Send an action whose answer is for the stream."""
        self.transport.write(str(Action(checked(action))).encode())

    async def request(
        self, action: Mapping[str, str], seconds: float, listed: Iterable[str] | None = None
    ) -> list[Message]:
        """Send an action; its response, or the items of these event names. Raises AmiError."""
        headers = checked(action)
        if self.lost.done():
            self.lost.result()
        request = _Request(headers, listed)
        self.send(request)
        try:
            async with asyncio.timeout(seconds):
                rows: list[Message] = await request.future
        except TimeoutError:
            raise ActionTimeout(f"{headers['Action']} was not answered within {seconds:g} s") from None
        finally:
            self.responses.pop(headers["ActionID"], None)
        return rows

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


async def connect(
    access: Access, timing: Timing, stream: Stream | None, status: LinkStatus, tap: Tap | None
) -> Wire:
    """Make one connection, not logged in yet. Raises LinkDown."""
    manager = _Manager(
        loop=asyncio.get_running_loop(),
        host=access.host,
        port=access.port,
        ssl=access.tls or False,
        protocol_factory=lambda: _Protocol(stream, status, tap),
    )
    try:
        async with asyncio.timeout(timing.connect):
            _, protocol = await manager.connect()
    except TimeoutError:
        raise LinkDown(f"no connection to {access} within {timing.connect:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise LinkDown(
            f"{access} is not trusted: certificate verify failed ({error.verify_message}). Give the certificate of the CA"
            f" that signed the PBX's in pbx.{access.pbx}.ca_file, and in pbx.{access.pbx}.host a name that stands in it"
        ) from None
    except ssl.SSLError as error:
        raise LinkDown(
            f"no TLS with {access}: {error.reason or error}. Set pbx.{access.pbx}.port to the tlsbindaddr of its"
            f" manager.conf, or pbx.{access.pbx}.tls = false"
        ) from None
    except OSError as error:
        raise LinkDown(f"no connection to {access}: {error}") from None
    return cast("_Protocol", protocol)


def connection(
    role: str,
    access: Access,
    timing: Timing,
    stream: Stream | None = None,
    *,
    room: Callable[[], Awaitable[None]] | None = None,
    tap: Tap | None = None,
    came_up: Callable[[], None] = lambda: None,
) -> Connection:
    """A supervised login; with a stream, its events are followed. `tap` sees the bytes of every read, `came_up` is told."""

    async def open_wire(status: LinkStatus) -> Wire:
        return await connect(access, timing, stream, status, tap)

    return Connection(role, access, timing, open_wire, stream=stream, room=room, came_up=came_up)


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
            link = connection(role, access, timing, stream, room=inbox.room, came_up=self._hurry_others)
            self.links[role] = shared.setdefault((access.user, access.secret), link)

    async def run(self) -> None:
        """Keep every connection alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for link in dict.fromkeys(self.links.values()):
                group.create_task(link.run(), name=f"{self.name}-{link.status.role}")

    def _hurry_others(self) -> None:
        """A PBX that lets one in has room for the others: they need not wait out their delays."""
        for link in self.links.values():
            link.hurry()

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
