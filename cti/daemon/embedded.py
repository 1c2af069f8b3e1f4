"""The embedded PBX: a TCP server on loopback that speaks enough AMI to play a recording through the real door.

It serves where no Asterisk can be had, and tests that need a PBX that misbehaves. Answers to the questions of a
resync are the recorded ones; recorded events follow with their timing, moved to now (`Timestamp`, and the epochs of
queue members). AstDB is a dictionary. What it does not do: a reader that logs in again while the recording plays is
told the state of the recording's beginning, and actions change nothing but AstDB.
"""

import asyncio
import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Self

from cti.core.wire import Framer, decode
from cti.daemon.recorder import Recording
from cti.daemon.script import Answers, Script, error, script_of, success

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
_STALLED = 8 * 1024 * 1024  # bytes a client may leave unread before it is cut off, as Asterisk does
_CHALLENGE = "260301"
_ACTION_ID = re.compile(rb"ActionID: [^\r\n]*")


class EmbeddedPbx:
    """An AMI server on 127.0.0.1; use as an async context manager.

    Attributes:
        port: where it listens.
        sessions: open connections.
        answers: what is answered to actions.
        db: AstDB, family to key to value.
        actions: every action received after a login, decoded.
        refuse_logins: answer every login with "Authentication failed".
        silent: a black hole: nothing is answered or sent, connections stay open.
        unanswered: names of actions that never get an answer; `refused`: name of an action to its error message.
        follow: the events that an action leads to, sent once it was answered with success.
        played: set when the recording has been played to its end.
    """

    def __init__(
        self,
        recording: Recording | None = None,
        *,
        speed: float = 1.0,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self._script = script_of(recording) if recording is not None else Script()
        self.answers = Answers(self._script, speed)
        self.port = 0
        self.db = self.answers.db
        self.refused = self.answers.refused
        self.actions: list[dict[str, str]] = []
        self.refuse_logins = False
        self.silent = False
        self.unanswered: set[str] = set()
        self.follow: Callable[[Mapping[str, str]], Iterable[Mapping[str, str]]] = lambda _action: ()
        self.played = asyncio.Event()
        self._speed = speed
        self._secrets = secrets
        self._server: asyncio.Server | None = None
        self.sessions: set[_Session] = set()
        self._player: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Session(self), "127.0.0.1", port or self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, cut every connection, stop playing."""
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._player is not None:
            self._player.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._player
            self._player = None

    def cut(self) -> None:
        """Cut every connection, as a dying PBX does."""
        for session in list(self.sessions):
            session.cut()

    def send(self, event: bytes | Mapping[str, str]) -> None:
        """Send an event (a frame, or headers) to every session that asked for events."""
        frame = (
            event
            if isinstance(event, bytes)
            else "\r\n".join(f"{name}: {value}" for name, value in event.items()).encode()
        )
        for session in list(self.sessions):
            if session.events:
                session.send(frame)

    def known(self, user: str, key: str) -> bool:
        """Whether this MD5 key opens this account."""
        if self.refuse_logins:
            return False
        if self._secrets is None:
            return True
        right = hashlib.md5(f"{_CHALLENGE}{self._secrets.get(user, '')}".encode(), usedforsecurity=False)
        return user in self._secrets and key == right.hexdigest()

    def play(self) -> None:
        """Begin to play the recording, if it has not begun."""
        if self._player is None:
            self.answers.began = time.time()
            self._player = asyncio.get_running_loop().create_task(self._play())

    async def _play(self) -> None:
        began = time.monotonic()
        for offset, frame in self._script.events:
            wait = began + offset / self._speed - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.send(self.answers.shifted(frame))
        self.played.set()


class _Session(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, pbx: EmbeddedPbx) -> None:
        self.events = False
        self._pbx = pbx
        self._framer = Framer()
        self._logged_in = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._pbx.sessions.add(self)
        self._write(GREETING)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._pbx.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        for frame in self._framer.feed(data):
            if not self._pbx.silent:
                self._take(decode(frame))

    def send(self, frame: bytes) -> None:
        self._write(frame + b"\r\n\r\n")

    def cut(self) -> None:
        self._pbx.sessions.discard(self)
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._pbx.silent:
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _STALLED:
            self.cut()

    def _take(self, action: dict[str, str]) -> None:
        name = action.get("Action", "").lower()
        if name == "challenge":
            self._reply(action, [f"Response: Success\r\nChallenge: {_CHALLENGE}".encode()])
        elif name == "login":
            self._login(action)
        elif not self._logged_in:
            self._reply(action, [error("Permission denied")])
        else:
            self._pbx.actions.append(action)
            if action.get("Action") not in self._pbx.unanswered:
                frames = self._pbx.answers.to(action)
                self._reply(action, frames)
                if frames and frames[0].startswith(b"Response: Success"):
                    for event in self._pbx.follow(action):
                        self._pbx.send(event)

    def _login(self, action: dict[str, str]) -> None:
        if not self._pbx.known(action.get("Username", ""), action.get("Key", "")):
            self._reply(action, [error("Authentication failed")])
            if self._transport is not None:
                self._transport.close()
            return
        self._logged_in = True
        self._reply(action, [success("Authentication accepted")])
        self.events = action.get("Events", "on").lower() != "off"
        if self.events:
            self.send(self._pbx.answers.fully_booted())
            self._pbx.play()

    def _reply(self, action: dict[str, str], frames: list[bytes]) -> None:
        identity = f"ActionID: {action.get('ActionID', '')}".encode()
        for frame in frames:
            first, end, rest = frame.partition(b"\r\n")
            if _ACTION_ID.search(frame):
                self.send(_ACTION_ID.sub(lambda _: identity, frame, count=1))
            else:
                self.send(first + b"\r\n" + identity + end + rest)
