"""Hostile HTTP beyond what a client library sends (issue 3): the daemon as a real process, raw sockets.

Promised: nothing on the wire makes the API answer 500, stop serving others, or keep memory or connections for ever.

Asserted: garbage, torn and doubled requests, huge heads and bodies, bad encodings, a thousand connections that say
nothing and slow ones that say little; while and after each the health page answers, no answer is a 500, no
line of the log is a bug, and the resident memory stays within 64 MB of what it was.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import read_recording
from tests.fuzz.mutator import RECORDING
from tests.rig import Rig

ROUNDS = 1_500
PATHS = (
    b"/healthz", b"/readyz", b"/metrics", b"/api/v1/calls", b"/api/v1/calls/main-1.1", b"/api/v1/agents/2001/states",
    b"/api/v1/duty", b"/api/v1/faults", b"/api/v1/openapi.json", b"/", b"*", b"//", b"/%00", b"/api/v1/calls/%ff%fe",
    b"/api/v1/calls/%F0%9F%93%9E", b"/api/v1/calls/..%2f..%2fetc%2fpasswd", b"http://evil.example/api/v1/calls",
)  # fmt: skip
QUERIES = (
    b"", b"?", b"?limit=0", b"?limit=99999999999999999999", b"?limit=\xff", b"?cursor=%00", b"?cursor=" + b"A" * 3000,
    b"?since=9999-12-31T23:59:59Z", b"?since=-1", b"?before=1e400", b"?caller_number=%ED%A0%80", b"?open=maybe",
    b"?at=0001-01-01T00:00:00Z", b"?hotline=%0d%0aX:%20y", b"?" + b"&".join([b"a=b"] * 500), b"?pbx=" + b"%25" * 500,
)  # fmt: skip
METHODS = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"CONNECT",
    b"get",
    b"G\0T",
    b"PRI",
    b"",
)
HEADERS = (
    b"Host: 127.0.0.1", b"Host: 127.0.0.1", b"Host: evil.example", b"Host:", b"Host: [::1", b"Host: 127.0.0.1\r\nHost: x",
    b"Content-Length: 10", b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: x",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: gzip",
    b"Content-Encoding: gzip", b"Content-Encoding: deflate", b"Content-Type: multipart/form-data; boundary=",
    b"Content-Type: application/json; charset=utf-99", b"Expect: 100-continue", b"Expect: \xff", b"Upgrade: websocket",
    b"Connection: upgrade, close", b"Connection: keep-alive", b"Cookie: " + b"a=b;" * 500, b"Accept: \x00", b": empty",
    b"Range: bytes=0-", b"X: " + b"y" * 7_000, b"X\x7f: y", b"If-None-Match: *", b"Authorization: Bearer \xff\xfe",
    b"Authorization: Basic Og==", b" folded: yes", b"\tfolded", b"\xe7\x8e\x8b: name",
)  # fmt: skip
BODIES = (
    b"",
    b"",
    b"0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"-1\r\n",
    b"{}" * 100,
    b"\x00" * 5_000,
    b"\xff\xd8" * 999,
)


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """The daemon, in step with an embedded PBX."""
    async with (
        EmbeddedPbx(read_recording(RECORDING), speed=50.0) as pbx,
        Rig(tmp_path / "cti", pbx.port) as running,
    ):
        yield running


def _memory(rig: Rig) -> float:
    """Resident megabytes."""
    pages = int(Path(f"/proc/{rig.pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _files(rig: Rig) -> int:
    """Open files and sockets."""
    return sum(1 for _ in Path(f"/proc/{rig.pid}/fd").iterdir())


async def _send(rig: Rig, request: bytes, *, seconds: float = 3.0) -> bytes:
    """What is answered to these bytes, our side then closed; whatever has come when the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.http_port)
    answer = b""
    try:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(seconds):
                writer.write(request)
                await writer.drain()
                if writer.can_write_eof():
                    writer.write_eof()
                answer = await reader.read(1_000_000)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return answer


def _request(dice: random.Random) -> bytes:
    if dice.random() < 0.1:
        return dice.randbytes(dice.randint(0, 3_000))
    line = dice.choice(METHODS) + b" " + dice.choice(PATHS) + dice.choice(QUERIES) + b" "
    line += dice.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"ICE/1.0", b""))
    headers = [dice.choice(HEADERS) for _ in range(dice.choice((1, 2, 3, 6, 120)))]
    end = dice.choice((b"\r\n", b"\r\n", b"\r\n", b"\n"))
    whole = end.join([line, *headers]) + end + end + dice.choice(BODIES)
    if dice.random() < 0.2:
        whole += _request(dice)
    return whole[: dice.randrange(len(whole) + 1)] if dice.random() < 0.15 else whole


def _statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()]


async def _alive(rig: Rig) -> None:
    async with asyncio.timeout(5), rig.session.get("/healthz") as answer:
        assert answer.status == 200


def _no_bug(rig: Rig) -> None:
    bugs = [
        line
        for line in rig.lines
        if line.get("level") in {"error", "critical"}
        or "Traceback" in str(line)
        or line["event"] == "api_bug"
    ]
    assert bugs == []


async def test_garbage_is_answered_with_a_refusal_and_never_with_500(rig: Rig) -> None:
    """Fifteen hundred hostile requests, seeded: every status is below 500, the others are still served, memory stays."""
    dice = random.Random(20261121)
    token = (rig.directory / "var" / "api-token").read_bytes().strip()
    before = _memory(rig)
    for number in range(ROUNDS // 10):
        requests = [_request(dice) for _ in range(10)]
        requests[0] = requests[0].replace(b"Bearer \xff\xfe", b"Bearer " + token)
        answers = await asyncio.gather(*(_send(rig, request) for request in requests))
        for request, answer in zip(requests, answers, strict=True):
            bad = [status for status in _statuses(answer) if status >= 500 and b"/readyz" not in request]
            assert not bad, (number, request, answer)
    await _alive(rig)
    _no_bug(rig)
    assert _memory(rig) - before < 64


async def test_a_head_or_body_without_end_is_cut_off(rig: Rig) -> None:
    """A head of 20 MB is refused while it comes; a body that nobody asked for is not kept."""
    before = _memory(rig)
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    for request in (
        head + b"X: " + b"y" * 20_000_000,
        head + b"X: y\r\n" * 3_000_000,
        b"GET /" + b"a" * 20_000_000,
        head + b"Content-Length: 20000000\r\n\r\n" + b"z" * 20_000_000,
        head + b"Transfer-Encoding: chunked\r\n\r\n" + b"fffff\r\n" + b"z" * 0xFFFFF + b"\r\n" * 2,
    ):
        statuses = _statuses(await _send(rig, request, seconds=10))
        assert all(status < 500 for status in statuses), statuses
        await _alive(rig)
    _no_bug(rig)
    assert _memory(rig) - before < 64


async def test_slow_and_silent_clients_keep_nobody_waiting(rig: Rig) -> None:
    """Slowloris: 1,200 connections that say a byte now and then, or nothing. Others are answered, files stay few."""
    before = _memory(rig)
    async with contextlib.AsyncExitStack() as stack:
        writers = []
        for number in range(1_200):
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.http_port)
            stack.callback(writer.close)
            writers.append((reader, writer))
            if number % 100 == 0:
                await _alive(rig)
        for byte in b"GET /api/v1/calls HTTP/1.1\r\nHost: 127":
            for _, writer in writers[-200:]:
                writer.write(bytes([byte]))
            await _alive(rig)
            assert "items" in await rig.get("/api/v1/calls")
        assert _files(rig) < 500
        assert _memory(rig) - before < 64
        async with asyncio.timeout(20):
            for reader, _ in writers:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
    await _alive(rig)
    assert await rig.stop() == 0
    _no_bug(rig)
