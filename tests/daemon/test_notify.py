"""Notices reach the log and a real webhook, which checks every signature as a receiver would."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from structlog.testing import capture_logs

from cti.core.facts import Notice
from cti.daemon.errors import ConfigError
from cti.daemon.notify import Notifier, Webhook

SECRET = "wormhole"
T0 = 1_760_000_000.25


def notice(number: int = 1, kind: str = "away_limit", text: str = "王小明 is away") -> Notice:
    return Notice(f"main-2001-{number}/limit", "main", kind, T0, "2001", text)


class Receiver:
    """A webhook on loopback: verifies the signature as its owner would, answers what `answers` says, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.taken: list[dict[str, Any]] = []
        self.deliveries: list[str] = []
        self.arrived = asyncio.Condition()
        self.hold = asyncio.Event()
        self.hold.set()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        parts = dict(part.split("=") for part in request.headers["X-CTI-Signature"].split(","))
        assert abs(int(parts["t"]) - time.time()) < 60
        wanted = hmac.new(SECRET.encode(), f"{parts['t']}.".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, parts["v1"]):
            return web.Response(status=401)
        await self.hold.wait()
        async with self.arrived:
            self.deliveries.append(request.headers["X-CTI-Delivery"])
            self.arrived.notify_all()
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            content = json.loads(body)
            assert content["event"] == request.headers["X-CTI-Event"]
            self.taken.append(content)
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else None)

    async def wait_for(self, number: int) -> None:
        async with self.arrived, asyncio.timeout(5):
            await self.arrived.wait_for(lambda: len(self.deliveries) >= number)


@pytest.fixture
async def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def url(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    async with TestServer(app) as server:
        yield str(server.make_url("/hook"))
        receiver.hold.set()


@pytest.fixture
async def notifier(url: str) -> AsyncIterator[Callable[..., Notifier]]:
    made: list[Notifier] = []

    def make(*, secret: str = SECRET, size: int = 100, give_up_after: float = 5.0) -> Notifier:
        webhook = Webhook(url, secret, first_delay=0.01, longest_delay=0.02, give_up_after=give_up_after)
        made.append(Notifier(webhook, size=size))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        await one.close(0.1)


async def test_a_notice_arrives_signed(receiver: Receiver, notifier: Callable[..., Notifier]) -> None:
    """The lead's system gets the report of the away limit, signed and with an id (C3)."""
    told = notifier()
    told.put([notice()])
    await told.close()
    assert receiver.taken == [
        {
            "id": "main-2001-1/limit",
            "event": "away_limit",
            "pbx": "main",
            "at": "2025-10-09T08:53:20.250Z",
            "agent": "2001",
            "text": "王小明 is away",
        }
    ]
    assert told.figures.sent == 1
    assert told.figures.queued == 0


async def test_a_failing_webhook_is_tried_again(
    receiver: Receiver, notifier: Callable[..., Notifier]
) -> None:
    """Answers that may pass are retried with the same delivery id, until the notice is taken."""
    receiver.answers = [503, 500, 429]
    told = notifier()
    told.put([notice()])
    await told.close()
    assert len(receiver.taken) == 1
    assert receiver.deliveries == ["main-2001-1/limit"] * 4
    assert (told.figures.retries, told.figures.sent, told.figures.failed) == (3, 1, 0)


async def test_order_survives_a_failure(receiver: Receiver, notifier: Callable[..., Notifier]) -> None:
    """Notices arrive in the order in which they happened, even when the first has to be tried again."""
    receiver.answers = [503]
    told = notifier()
    told.put([notice(number) for number in range(5)])
    await told.close()
    assert [content["id"] for content in receiver.taken] == [f"main-2001-{n}/limit" for n in range(5)]


async def test_giving_up_is_bounded_and_said(receiver: Receiver, notifier: Callable[..., Notifier]) -> None:
    """A notice nobody takes is given up after a bounded time: an error in the log, with its text, and a count."""
    receiver.answers = [503] * 1000
    told = notifier(give_up_after=0.1)
    with capture_logs() as logs:
        told.put([notice()])
        await told.close()
    assert told.figures.failed == 1
    [gone] = [line for line in logs if line["event"] == "notice_given_up"]
    assert gone["log_level"] == "error"
    assert gone["text"] == "王小明 is away"
    assert "503" in gone["reason"]


@pytest.mark.parametrize("status", [302, 400, 404])
async def test_a_final_answer_is_not_tried_again(
    receiver: Receiver, notifier: Callable[..., Notifier], status: int
) -> None:
    """A refusal or a redirect is final: repeating it would not help, following it could leave https."""
    receiver.answers = [status]
    told = notifier()
    told.put([notice(1), notice(2)])
    await told.close()
    assert told.figures.failed == 1
    assert told.figures.retries == 0
    assert [content["id"] for content in receiver.taken] == ["main-2001-2/limit"]


async def test_a_wrong_secret_is_refused_by_the_receiver(
    receiver: Receiver, notifier: Callable[..., Notifier]
) -> None:
    """The signature is worth something: another secret's does not pass."""
    told = notifier(secret="other")
    told.put([notice()])
    await told.close()
    assert receiver.taken == []
    assert told.figures.failed == 1


async def test_put_never_blocks_and_the_queue_is_bounded(
    receiver: Receiver, notifier: Callable[..., Notifier]
) -> None:
    """While the webhook hangs, notices are taken at once; beyond the bound they are logged as lost and counted."""
    receiver.hold.clear()
    told = notifier(size=3)
    with capture_logs() as logs:
        told.put([notice(number) for number in range(10)])
    assert told.figures.dropped == 7
    assert sum(line["event"] == "notice_dropped" for line in logs) == 7
    assert sum(line["event"] == "away_limit" for line in logs) == 10
    receiver.hold.set()
    await receiver.wait_for(3)


async def test_a_notice_is_told_once(receiver: Receiver, notifier: Callable[..., Notifier]) -> None:
    """A replayed notice is not told again (every fact is idempotent by its key)."""
    told = notifier()
    told.put([notice(), notice()])
    told.put([notice()])
    await told.close()
    assert len(receiver.taken) == 1


async def test_closing_is_bounded(receiver: Receiver, notifier: Callable[..., Notifier]) -> None:
    """Shutting down does not wait for ever for a webhook that hangs, and says what was left undelivered."""
    receiver.hold.clear()
    told = notifier()
    told.put([notice(1), notice(2)])
    with capture_logs() as logs:
        async with asyncio.timeout(20):
            await told.close(0.1)
    [left] = [line for line in logs if line["event"] == "notices_not_delivered"]
    assert left["count"] == 2


async def test_nobody_listens() -> None:
    """A refused connection is retried like any passing trouble, and given up after the bounded time."""
    webhook = Webhook(f"http://127.0.0.1:{unused_port()}/hook", SECRET, first_delay=0.01, give_up_after=0.05)
    told = Notifier(webhook)
    told.start()
    told.put([notice()])
    await told.close()
    assert told.figures.failed == 1


async def test_without_a_webhook_the_log_still_tells() -> None:
    """Every notice is a log line; the away limit is a warning, the rest by its kind."""
    told = Notifier(None)
    told.start()
    with capture_logs() as logs:
        told.put([notice(1), notice(2, "away_warning"), notice(3, "fault_began")])
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("away_limit", "warning"),
        ("away_warning", "info"),
        ("fault_began", "warning"),
    ]
    await told.close()
    assert told.figures.queued == 0


async def test_hostile_ids_cannot_inject_headers(
    receiver: Receiver, notifier: Callable[..., Notifier]
) -> None:
    """Ids hold what the PBX said; a line break in one stays inside its header."""
    told = notifier()
    told.put([Notice("main-1\r\nX-Evil: 1", "main", "away_limit", T0, None, "x")])
    await told.close()
    assert receiver.deliveries == ["main-1%0D%0AX-Evil%3A%201"]


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://example.com/hook", True),
        ("http://127.0.0.1:8080/hook", True),
        ("http://[::1]/hook", True),
        ("http://localhost/hook", True),
        ("http://example.com/hook", False),
        ("http://10.0.0.1/hook", False),
        ("http://localhost.example.com/hook", False),
        ("ftp://127.0.0.1/hook", False),
    ],
)
def test_only_https_or_loopback(url: str, *, fine: bool) -> None:
    """Notices name people: they leave this machine encrypted or not at all, and the error names key and cure."""
    if fine:
        assert Webhook(url, SECRET).url == url
        return
    with pytest.raises(ConfigError, match=r"notify\.webhook_url.*use https"):
        Webhook(url, SECRET)
