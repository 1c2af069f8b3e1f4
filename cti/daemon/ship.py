"""`cti ship-books`: sends the books of a remote PBX from beside it, as they grow.

It remembers nothing. Each answer of the daemon says how far every file is there, and what is sent next begins there; so
it may be killed, started again or doubled, and the daemon may lose its copies: what is still here is sent again, and
nothing twice. A file is known by its first line, whatever logrotate calls it.
"""

import asyncio
import gzip
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from config.values import is_loopback
from cti.daemon.errors import CtiError
from cti.daemon.http.instants import iso
from cti.daemon.shipped import file_id, first_line

_CHUNK = 128 * 1024  # bytes of one shipment, and of the longest line that is sent whole
_FIRST = 64 * 1024  # bytes read to find a first line
_EVERY = 1.0  # s between two looks at the files
_SIGN_OF_LIFE = 5.0  # s between two shipments without anything new
_DAYS = 8.0  # of files that are sent; older ones tell of nothing that is still looked at
_TIMEOUT = 30.0  # s for one shipment
_DELAYS = 1.0, 60.0  # s after a failure: the first grows to the second
_MOST_PARTS = 200

log = structlog.get_logger(__name__)


class ShippingRefused(CtiError):
    """The daemon does not take the books, and trying again will not help."""


class _TryAgain(Exception):
    """It could not be sent now."""


@dataclass(frozen=True, slots=True)
class Part:
    """What follows in one file; as `cti.daemon.http.bodies.BookPart`."""

    book: str
    file: str
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where the books go."""

    url: str  # of the daemon, without a path
    pbx: str
    token: str
    ca_file: Path | None = None
    allow_http: bool = False

    def check(self) -> str:
        """The address to post to.

        Raises:
            ShippingRefused: it is no web address, or would carry callers' numbers through a network in the clear.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ShippingRefused(
                f'--to {self.url}: is not a web address; write for example "https://cti.example.com"'
            )
        if parts.scheme == "http" and not (is_loopback(parts.hostname) or self.allow_http):
            raise ShippingRefused(
                f"--to {self.url}: would send callers' numbers through the network in the clear; write https://, or "
                "--allow-http when the way is guarded otherwise (a tunnel)"
            )
        return f"{self.url.rstrip('/')}/api/v1/pbxs/{quote(self.pbx, safe='')}/books"


@dataclass(slots=True)
class Looked:
    """What one look at the files found."""

    parts: list[Part] = field(default_factory=list)
    more: bool = False  # than fits into one shipment
    trouble: str = ""

    @property
    def new(self) -> bool:
        """Whether there is anything to send."""
        return any(part.text for part in self.parts)


class Shipper:
    """Sends the books; `run` goes on until cancelled."""

    def __init__(
        self,
        books: Mapping[str, Path],
        target: Target,
        *,
        now: Callable[[], float] = time.time,
        every: float = _EVERY,
        sign_of_life: float = _SIGN_OF_LIFE,
        delays: tuple[float, float] = _DELAYS,
        days: float = _DAYS,
    ) -> None:
        """Make one; raises ShippingRefused.

        Args:
            books: paths by name (`config.sections.BOOKS`).
            target: where they go.
            now: epoch seconds by the clock of the PBX.
            every: seconds between two looks.
            sign_of_life: seconds between two shipments without anything new.
            delays: seconds to wait after a failure, the shortest and the longest.
            days: files that nothing was added to for longer are left out.
        """
        self._books, self._target = dict(books), target
        self._address = target.check()
        self._now, self._every, self._sign_of_life = now, every, sign_of_life
        self._delays, self._days = delays, days
        self._there: dict[tuple[str, str], int] | None = (
            None  # how far each file is there; None: not known yet
        )

    async def run(self) -> None:
        """Look and send for ever. Raises ShippingRefused."""
        headers = {"Authorization": f"Bearer {self._target.token}"}
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        connector = aiohttp.TCPConnector(ssl=_tls(self._target.ca_file))
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
            sent_at = 0.0
            while True:
                looked_at = self._now()
                looked = await asyncio.to_thread(self._look)
                known = self._there is not None
                if (
                    looked.new
                    or not known
                    or looked_at - sent_at >= self._sign_of_life
                    or looked_at < sent_at
                ):
                    complete = known and not looked.more and not looked.trouble
                    await self._send(session, looked, looked_at if complete else None)
                    sent_at = looked_at
                if known and not looked.more:
                    await asyncio.sleep(self._every)

    # -- looking

    def _look(self) -> Looked:
        looked = Looked()
        for book, path in self._books.items():
            try:
                self._look_at(book, path, looked)
            except (OSError, EOFError) as error:
                why = getattr(error, "strerror", None) or str(error)
                looked.trouble = f"cannot read {path}: {why}"[:500]
        return looked if self._there is not None else Looked(trouble=looked.trouble)

    def _look_at(self, book: str, path: Path, looked: Looked) -> None:
        """Add what is to be sent of one book: of each file with something new, and of the newest in any case."""
        newest: Part | None = None
        for file in _files(path, self._now() - self._days * 86_400):
            room = _CHUNK - sum(len(part.text.encode()) for part in looked.parts)
            found = self._part(book, file, room)
            if found is None:
                continue
            newest, rest = found
            looked.more = looked.more or rest
            if newest.text:
                looked.parts.append(newest)
        if newest is not None and not newest.text:
            looked.parts.append(newest)
        if len(looked.parts) > _MOST_PARTS:
            del looked.parts[_MOST_PARTS:]
            looked.more = True

    def _part(self, book: str, file: Path, room: int) -> tuple[Part, bool] | None:
        """What of a file is to be sent, and whether there is more; None for one without a whole line."""
        with _opened(file) as stream:
            line = first_line(stream.read(_FIRST))
            if not line:
                return None
            name = file_id(line)
            offset = (self._there or {}).get((book, name), 0)
            begin = max(0, offset - 3)  # the copy may end within a character
            stream.seek(begin)
            data = stream.read(max(0, room) + offset - begin)
        while offset > begin and offset - begin < len(data) and data[offset - begin] & 0xC0 == 0x80:  # noqa: PLR2004 - a byte within a character
            offset -= 1
        data = data[offset - begin :]
        whole = data.rfind(b"\n") + 1
        full = len(data) >= room
        if not whole and full and room == _CHUNK:
            whole = len(data)  # a line that never fits: garbage, passed on in pieces
        return Part(book, name, offset, _text(data[:whole])), full

    # -- sending

    async def _send(
        self, session: aiohttp.ClientSession, looked: Looked, complete_until: float | None
    ) -> None:
        shortest, longest = self._delays
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_TryAgain),
            wait=wait_random_exponential(multiplier=shortest, max=longest),
            before_sleep=_say_retry,
            reraise=True,
        ):
            with attempt:
                answer = await self._post(session, looked, complete_until)
        if looked.trouble:
            log.warning("book_unreadable", reason=looked.trouble)
        before = self._there
        self._there = {(one["book"], one["file"]): one["size"] for one in answer["files"]}
        sent = sum(len(part.text.encode()) for part in looked.parts)
        if before is None:
            log.info("connected", to=self._address, files=len(self._there))
        if sent:
            log.info("shipped", bytes=sent, complete=complete_until is not None)

    async def _post(
        self, session: aiohttp.ClientSession, looked: Looked, complete_until: float | None
    ) -> Any:
        body = {
            "books": list(self._books),
            "parts": [asdict(part) for part in looked.parts],
            "complete_until": iso(complete_until) if complete_until is not None else None,
            "trouble": "".join(c if c.isprintable() else "?" for c in looked.trouble),
        }
        try:
            async with session.post(self._address, json=body, allow_redirects=False) as answer:
                if answer.status == HTTPStatus.OK:
                    return await answer.json()
                why = f"{answer.status} {_detail(await answer.text())}"
                if answer.status in _FINAL:
                    raise ShippingRefused(f"{self._address} refuses the books: {why}")
                raise _TryAgain(why)
        except aiohttp.ClientConnectorCertificateError as error:
            raise _TryAgain(
                f"{error}; give --ca-file when the certificate is signed by an authority of your own"
            ) from None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _TryAgain(str(error) or type(error).__name__) from None


_FINAL = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.MISDIRECTED_REQUEST,
}
"""Answers that a setting must be changed for. Not 404: the daemon's configuration may be mended first."""


def _say_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    wait = state.next_action.sleep if state.next_action is not None else 0.0
    log.warning("not_shipped", attempt=state.attempt_number, reason=str(error), again_in=round(wait, 1))


def _detail(text: str) -> str:
    """What a problem document says, or the beginning of whatever answered."""
    return " ".join(text.split())[:300]


def _tls(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ShippingRefused(f"--ca-file {ca_file}: cannot be used ({error}); give a PEM file") from error


def _files(path: Path, since: float) -> Iterator[Path]:
    """The book and what it was rotated into, oldest first, the book itself last."""
    if not path.parent.is_dir():
        raise FileNotFoundError(2, "the directory does not exist")
    found = []
    for file in path.parent.glob(f"{path.name}*"):
        if file == path or file.name[len(path.name)] in ".-":
            changed = file.stat().st_mtime
            if changed >= since and file.is_file():
                found.append((file == path, changed, file))
    yield from (file for _, _, file in sorted(found))


def _opened(file: Path) -> BufferedIOBase:
    if file.suffix == ".gz":
        return cast("BufferedIOBase", gzip.open(file))
    return cast("BufferedIOBase", file.open("rb"))


def _text(data: bytes) -> str:
    """Text of as many bytes as it was made of."""
    text = data.decode("utf-8", "replace")
    if "\ufffd" not in text:
        return text
    return data.decode("utf-8", "surrogateescape").translate(_QUESTION_MARKS)


_QUESTION_MARKS = dict.fromkeys(range(0xDC80, 0xDD00), "?")
