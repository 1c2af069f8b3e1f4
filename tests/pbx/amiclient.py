"""A small AMI client for the tests.

It shares no code with the daemon on purpose: a test that talks to the PBX through the door under test proves little.
Everything that arrives is kept, so a test can wait for what has already happened and never has to sleep.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

Headers = Mapping[str, str | Sequence[str]]


class AmiError(RuntimeError):
    """The connection failed, the action was refused, or what was awaited did not come in time."""


class Message(dict[str, str]):
    """One AMI message: its headers, the last one of a name that is repeated; ``pairs`` has them all, in order."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.pairs: list[tuple[str, str]] = []
        for line in raw.decode("utf-8", errors="replace").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                self.pairs.append((name, value.removeprefix(" ")))
        super().__init__(self.pairs)

    @property
    def event(self) -> str:
        return self.get("Event", "")

    def every(self, name: str) -> list[str]:
        """All values of a header that is repeated, such as ChanVariable."""
        return [value for key, value in self.pairs if key == name]


class AmiClient:
    """A logged-in AMI session. Use :meth:`connect`, or as an async context manager of its result."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._lists: dict[str, list[Message]] = {}
        self._news = asyncio.Condition()
        self._pump: asyncio.Task[None] | None = None
        self.closed = False
        self.banner = ""
        self.events: list[Message] = []
        """Every event since the login, oldest first."""
        self.raw = bytearray()
        """Every byte received, login and answers included."""

    @classmethod
    async def connect(
        cls, port: int, username: str, secret: str, *, host: str = "127.0.0.1", timeout: float = 10.0
    ) -> AmiClient:
        """Connect and log in once the port is open; AmiError after ``timeout`` seconds or when refused."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await _open(host, port)
                client = cls(reader, writer)
                banner = await reader.readline()
                client.raw += banner
                client.banner = banner.decode().strip()
        except (TimeoutError, OSError) as error:
            raise AmiError(f"no AMI on port {port} within {timeout:g} s: {error}") from error
        client._pump = asyncio.create_task(client._read(), name=f"ami-{username}-{port}")
        await client.action("Login", {"Username": username, "Secret": secret})
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        await self._mark_closed()

    async def action(self, name: str, headers: Headers | None = None, *, timeout: float = 10.0) -> Message:
        """Send one action and return its response; AmiError when it is refused or unanswered."""
        response, _ = await self._send(name, headers or {}, timeout)
        return response

    async def query(
        self, name: str, headers: Headers | None = None, *, timeout: float = 10.0
    ) -> list[Message]:
        """Send an action that answers with a list of events; the list without its closing event."""
        _, rows = await self._send(name, headers or {}, timeout, is_list=True)
        return rows

    async def command(self, line: str) -> str:
        """Run a CLI command; its output."""
        response = await self.action("Command", {"Command": line})
        return "\n".join(response.every("Output"))

    async def db_put(self, family: str, key: str, value: str) -> None:
        await self.action("DBPut", {"Family": family, "Key": key, "Val": value})

    async def db_get(self, family: str, key: str) -> str | None:
        """The value of an AstDB key, or None."""
        try:
            rows = await self.query("DBGet", {"Family": family, "Key": key})
        except AmiError as error:
            if "not found" in str(error):
                return None
            raise
        return rows[0]["Val"]

    async def db_del(self, family: str, key: str | None = None) -> None:
        """Delete a key, or the whole family; nothing happens if there is none."""
        with contextlib.suppress(AmiError):
            if key is None:
                await self.action("DBDelTree", {"Family": family})
            else:
                await self.action("DBDel", {"Family": family, "Key": key})

    def mark(self) -> int:
        """A position in the stream, for ``since``."""
        return len(self.events)

    async def wait_for(
        self,
        event: str,
        *,
        since: int = 0,
        timeout: float = 15.0,
        where: Callable[[Message], bool] | None = None,
        **headers: str,
    ) -> Message:
        """The first event of that name after ``since`` whose headers have these values, past or to come.

        AmiError after ``timeout`` seconds, naming the events that came instead.
        """
        position = since
        try:
            async with asyncio.timeout(timeout), self._news:
                while True:
                    for message in self.events[position:]:
                        if _fits(message, event, headers) and (where is None or where(message)):
                            return message
                    position = len(self.events)
                    if self.closed:
                        raise AmiError(f"the AMI connection closed while waiting for {event} {headers}")
                    await self._news.wait()
        except TimeoutError as error:
            seen = " ".join(m.event for m in self.events[since:][-40:])
            raise AmiError(f"no {event} {headers} within {timeout:g} s; came: {seen}") from error

    def find(self, event: str, *, since: int = 0, **headers: str) -> list[Message]:
        """The events that have already come, by name and headers."""
        return [m for m in self.events[since:] if _fits(m, event, headers)]

    async def _send(
        self, name: str, headers: Headers, timeout: float, *, is_list: bool = False
    ) -> tuple[Message, list[Message]]:
        if self.closed:
            raise AmiError(f"the AMI connection is closed; {name} not sent")
        ident = str(next(self._ids))
        lines = [f"Action: {name}", f"ActionID: {ident}", *_lines(headers)]
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = answer
        if is_list:
            self._lists[ident] = []
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        try:
            async with asyncio.timeout(timeout):
                await self._writer.drain()
                response = await answer
        except (TimeoutError, OSError) as error:
            raise AmiError(f"{name} was not answered within {timeout:g} s") from error
        finally:
            self._waiting.pop(ident, None)
            rows = self._lists.pop(ident, [])
        if response.get("Response") not in ("Success", "Goodbye", "Follows", "Pong"):
            raise AmiError(f"{name} was refused: {response.get('Message', '')}")
        return response, rows

    async def _read(self) -> None:
        try:
            while True:
                raw = await self._reader.readuntil(b"\r\n\r\n")
                self.raw += raw
                await self._take(Message(raw))
        except (asyncio.IncompleteReadError, OSError) as error:
            if isinstance(error, asyncio.IncompleteReadError):
                self.raw += error.partial
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(AmiError("the AMI connection closed"))
            await self._mark_closed()

    async def _take(self, message: Message) -> None:
        ident = message.get("ActionID", "")
        rows = self._lists.get(ident)
        if "Response" in message:
            if rows is not None and message["Response"] == "Success":
                rows.append(message)
            else:
                self._answer(ident, message)
        elif rows is not None and "EventList" in message:
            self._answer(ident, rows.pop(0))
        elif rows is not None:
            rows.append(message)
        else:
            async with self._news:
                self.events.append(message)
                self._news.notify_all()

    def _answer(self, ident: str, message: Message) -> None:
        answer = self._waiting.get(ident)
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _mark_closed(self) -> None:
        async with self._news:
            self.closed = True
            self._news.notify_all()


async def _open(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect as soon as somebody listens; the caller sets the deadline."""
    while True:
        try:
            return await asyncio.open_connection(host, port, limit=1 << 20)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)


def _lines(headers: Headers) -> Iterator[str]:
    for name, value in headers.items():
        for one in [value] if isinstance(value, str) else value:
            if "\r" in one or "\n" in one:
                raise ValueError(f"line break in the AMI header {name}")
            yield f"{name}: {one}"


def _fits(message: Message, event: str, headers: Mapping[str, str]) -> bool:
    return message.event == event and all(message.get(name) == value for name, value in headers.items())
