"""The socket: bound beyond this machine only behind TLS or a proxy."""

import asyncio
import errno
import socket
import ssl
from pathlib import Path
from typing import Protocol

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from config.values import is_loopback
from cti.daemon.errors import ConfigError
from cti.daemon.http.problems import problem, response

_SHUTDOWN = 5.0  # seconds for requests that are being answered
_LINGER = 1.0  # seconds for the rest of a body that nobody reads
_FIRST_REQUEST = 10.0  # seconds in which a new connection must have said what it wants
_IDLE = 75.0  # seconds between two requests
_MOST = 400  # connections at once; a process may have few files open, and the PBX and the database need some

log = structlog.get_logger(__name__)


class HttpSettings(Protocol):
    """What of the configuration's `[http]` is needed here."""

    @property
    def host(self) -> str:
        """The address to listen on."""

    @property
    def port(self) -> int:
        """The port; 0 for any free one."""

    @property
    def tls_cert(self) -> Path | None:
        """The certificate chain, PEM."""

    @property
    def tls_key(self) -> Path | None:
        """Its key, PEM."""

    @property
    def behind_proxy(self) -> bool:
        """Whether a proxy with TLS stands in front."""


class _Protocol(RequestHandler):
    """Answers what is not HTTP at all with a problem document too."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; who says nothing, or says it a byte at a time, does not stay."""
        super().connection_made(transport)
        self._loop.call_later(_FIRST_REQUEST, self.end_silent)

    @property
    def silent(self) -> bool:
        """Nothing whole was asked yet."""
        return not self._request_count and not self._force_close

    def end_silent(self) -> None:
        """End a connection that has not asked for anything."""
        if self.silent:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; the parser's words quote the bytes
    ) -> web.StreamResponse:
        """Say that the request cannot be read, without repeating it."""
        log.debug("http_unreadable", status=status, error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        answer = response(problem(status, "The request cannot be read"))
        answer.force_close()
        return answer


class _Server(web.Server):
    """Makes our protocol for each connection; when there are too many, the oldest that is silent makes room."""

    def __call__(self) -> RequestHandler:
        if len(self._connections) >= _MOST:
            silent = (one for one in self._connections if isinstance(one, _Protocol) and one.silent)
            oldest = next(silent, None)
            if oldest is not None:
                oldest.end_silent()
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    """aiohttp has no setting for the protocol, which alone answers what is not HTTP."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


async def start(app: web.Application, settings: HttpSettings) -> web.AppRunner:
    """Listen; `await runner.cleanup()` ends it. `runner.addresses` says where it listens.

    Raises:
        ConfigError: the address is not this machine's own and nothing guards it, or it cannot be listened on.
    """
    guarded = settings.behind_proxy or settings.tls_cert is not None
    addresses = await _resolve(settings.host, settings.port)
    for address in addresses:
        if not guarded and not is_loopback(address):
            raise ConfigError(
                f"http.host = {settings.host!r}: {address} can be reached from other machines; give http.tls_cert "
                "and http.tls_key, or set http.behind_proxy = true when a proxy with TLS stands in front"
            )
    context = _tls(settings)
    runner = _Runner(
        app, access_log=None, shutdown_timeout=_SHUTDOWN, lingering_time=_LINGER, keepalive_timeout=_IDLE
    )
    await runner.setup()
    try:
        await _listen(runner, addresses, settings.port, context)
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(
            f"http.port = {settings.port}: cannot listen on {settings.host} ({error.strerror or error}); "
            "choose another port, or end what uses it"
        ) from error
    return runner


async def _listen(
    runner: web.AppRunner, addresses: list[str], port: int, context: ssl.SSLContext | None
) -> None:
    """Listen on every address; one that this machine has no network for is passed over while another is left."""
    missing: OSError | None = None
    for address in addresses:
        try:
            await web.TCPSite(runner, address, port, ssl_context=context).start()
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
            missing = error
    if missing is not None and not runner.addresses:
        raise missing


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(
            f"http.host = {host!r}: is not an address of this machine ({error.strerror or error}); "
            'write "127.0.0.1"'
        ) from error
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _tls(settings: HttpSettings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"http.tls_cert = {str(settings.tls_cert)!r}: cannot be used with its key ({error.strerror or error}); "
            "give a PEM chain and the key that belongs to it"
        ) from error
    return context
