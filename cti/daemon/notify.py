"""Tells people: every `Notice` becomes a log line and, if a webhook is configured, one signed HTTP request.

The request is a POST of JSON `{id, event, pbx, at, agent, text}` (`at` is ISO-8601 UTC) with the headers

* `X-CTI-Event`: the kind of notice,
* `X-CTI-Delivery`: the notice's id (percent-encoded), the same at every try: a receiver that has seen it may ignore it,
* `X-CTI-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA256 with the shared secret over `<t>.<body>`.

A delivery counts as taken on any 2xx. Network errors, time-outs, 408, 429 and 5xx are tried again, with growing,
jittered delay, until the notice is `give_up_after` seconds old; every other answer is final. What is given up is
logged as an error with its text, and counted. Notices are delivered one at a time, in order. Each delivery, and each that was given up, becomes
a `Delivery` fact: who was told of what, and when.
"""

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from cti.core.facts import Delivery, Fact, Notice
from cti.daemon.errors import ConfigError
from metrics.sources import NotifyFigures

_LEVELS = {"away_warning": "info", "fault_ended": "info"}  # every other kind is a warning
_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_REMEMBERED = 1_000  # ids of notices already told
_log = structlog.get_logger("cti.notify")


class _TryAgain(Exception):
    """The webhook did not take it this time."""


class _Refused(Exception):
    """The webhook will never take it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where notices go. `timeout`, `first_delay`, `longest_delay` and `give_up_after` are seconds."""

    url: str
    secret: str
    timeout: float = 5.0
    first_delay: float = 0.5
    longest_delay: float = 30.0
    give_up_after: float = 600.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            return
        raise ConfigError(
            f"notify.webhook_url points to {parts.scheme}://{parts.hostname}: notices would cross the network "
            "unencrypted; use https, or http to a loopback address"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def signature(secret: str, at: int, body: bytes) -> str:
    """The value of `X-CTI-Signature` for a body signed at `at` (unix seconds)."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class Notifier:
    """Takes notices, never blocks who brings them.

    `put` works from the moment of construction; deliveries begin with `start` and end with `close`. `size` bounds the
    notices that wait; one that does not fit is logged as lost, and counted.
    """

    def __init__(
        self,
        webhook: Webhook | None,
        *,
        size: int = 1_000,
        now: Callable[[], float] = time.time,
        delivered: Callable[[Delivery], None] = lambda _delivery: None,
    ) -> None:
        self._webhook = webhook
        self._now = now
        self._delivered = delivered
        self._changed = asyncio.Event()
        self._queue: asyncio.Queue[tuple[Notice, float]] = asyncio.Queue(size)
        self._told: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._busy = 0
        self._sent = self._retries = self._failed = self._dropped = 0

    @property
    def figures(self) -> NotifyFigures:
        """Counters since construction, and how many notices wait or are under way."""
        queued = self._queue.qsize() + self._busy
        return NotifyFigures(queued, self._sent, self._retries, self._failed, self._dropped)

    def put(self, facts: Iterable[Fact]) -> None:
        """Tell the notices among these facts; one already told is not told again."""
        for fact in facts:
            if isinstance(fact, Notice) and self._first(fact.id):
                self._tell(fact)

    def _first(self, notice_id: str) -> bool:
        if notice_id in self._told:
            return False
        self._told[notice_id] = None
        if len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]
        return True

    def _tell(self, notice: Notice) -> None:
        say = _log.info if _LEVELS.get(notice.kind) == "info" else _log.warning
        say(notice.kind, text=notice.text, pbx=notice.pbx, agent=notice.agent, notice=notice.id)
        if self._webhook is None:
            return
        try:
            self._queue.put_nowait((notice, time.monotonic()))
        except asyncio.QueueFull:
            self._dropped += 1
            _log.error("notice_dropped", notice=notice.id, text=notice.text, waiting=self._queue.qsize())

    def start(self) -> None:
        """Begin to deliver; needs a running event loop."""
        if self._webhook is not None and self._task is None:
            self._task = asyncio.create_task(self._deliver_all(), name="notify")

    def use(self, webhook: Webhook | None) -> None:
        """Deliver there from the next notice on; None: nowhere, and what waits is kept until there is a webhook again."""
        self._webhook = webhook
        self._changed.set()
        self.start()

    async def close(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - the drain is bounded, not the caller
        """Deliver what waits for at most `timeout` seconds, then stop; what is left is logged."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._queue.join()
        left = self.figures.queued
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        if left:
            _log.error("notices_not_delivered", count=left, reason="stopped before the webhook took them")

    async def _where(self) -> Webhook:
        while self._webhook is None:
            self._changed.clear()
            await self._changed.wait()
        return self._webhook

    async def _deliver_all(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                notice, since = await self._queue.get()
                self._busy = 1
                try:
                    await self._deliver(session, await self._where(), notice, since)
                except Exception:  # noqa: BLE001 - a bug in one delivery must not silence all later ones
                    self._failed += 1
                    _log.exception("notice_failed", notice=notice.id, text=notice.text)
                finally:
                    self._busy = 0
                    self._queue.task_done()

    async def _deliver(
        self, session: aiohttp.ClientSession, webhook: Webhook, notice: Notice, since: float
    ) -> None:
        def too_old(_: RetryCallState) -> bool:
            return time.monotonic() - since >= webhook.give_up_after

        tries = AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            wait=wait_random_exponential(multiplier=webhook.first_delay, max=webhook.longest_delay),
            stop=too_old,
            before_sleep=self._count_retry,
            reraise=True,
        )
        body = _body(notice)
        try:
            await tries(self._post, session, webhook, notice, body)
        except (_TryAgain, _Refused) as error:
            self._failed += 1
            _log.error("notice_given_up", notice=notice.id, text=notice.text, reason=str(error))
            self._delivered(self._delivery(notice, str(error)))
        else:
            self._sent += 1
            self._delivered(self._delivery(notice, ""))

    def _delivery(self, notice: Notice, error: str) -> Delivery:
        subject = notice.id.rpartition("/")[0] or notice.id
        return Delivery(
            f"{notice.id}/webhook", subject, notice.pbx, notice.kind, "webhook", self._now(), not error, error
        )

    def _count_retry(self, state: RetryCallState) -> None:
        self._retries += 1
        error = state.outcome.exception() if state.outcome else None
        _log.warning("notice_retry", attempt=state.attempt_number, reason=str(error))

    async def _post(
        self, session: aiohttp.ClientSession, webhook: Webhook, notice: Notice, body: bytes
    ) -> None:
        headers = {
            "Content-Type": "application/json",
            "X-CTI-Event": quote(notice.kind),
            "X-CTI-Delivery": quote(notice.id),
            "X-CTI-Signature": signature(webhook.secret, int(self._now()), body),
        }
        try:
            # A redirect could lead out of https; the configured address is the only one.
            async with session.post(
                webhook.url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=webhook.timeout),
            ) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _TryAgain(f"{type(error).__name__}: {error}") from error
        if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _TryAgain(f"the webhook answered {status}")
        if not HTTPStatus(200) <= status < HTTPStatus(300):
            raise _Refused(f"the webhook answered {status}")


def _body(notice: Notice) -> bytes:
    at = datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = {
        "id": notice.id,
        "event": notice.kind,
        "pbx": notice.pbx,
        "at": at,
        "agent": notice.agent,
        "text": notice.text,
    }
    return json.dumps(content, ensure_ascii=False).encode()
