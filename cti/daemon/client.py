"""The command line's way to the running daemon: its API, with the token from the data directory."""

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from config.sections import Http
from config.settings import Settings
from cti.daemon import token
from cti.daemon.errors import CtiError

_TIMEOUT = 10.0  # seconds
_MOST = 500  # rows of one page
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to call when the daemon listens everywhere


class DaemonUnreachable(CtiError):
    """No daemon answers."""


class RequestRefused(CtiError):
    """The daemon answered with a problem; the text is the problem's own."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """Asks the daemon that the settings describe."""

    def __init__(self, settings: Settings) -> None:
        self._http = settings.http
        self._data_dir = settings.data_dir

    def get(self, path: str, query: Mapping[str, str | None]) -> Any:
        """Return the JSON of one answer.

        Raises:
            DaemonUnreachable: nothing answers, or no daemon ever started here.
            RequestRefused: it answered with a problem.
        """
        asked = {name: value for name, value in query.items() if value is not None}
        target = quote(path) + (f"?{urlencode(asked)}" if asked else "")
        return self._answer("GET", target)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Send a change; `path` is quoted already. Returns the JSON of the answer; raises as `get`."""
        return self._answer("POST", path, json.dumps(body).encode())

    def _answer(self, method: str, target: str, sent: bytes | None = None) -> Any:
        status, body = self._ask(method, target, sent)
        try:
            answer = json.loads(body)
        except ValueError:
            raise DaemonUnreachable(
                f"{self.url}: what answers there is not this daemon; correct http.port"
            ) from None
        if status not in {http.client.OK, http.client.CREATED}:
            raise RequestRefused(status, _problem(answer))
        return answer

    def items(self, path: str, query: Mapping[str, str | None], limit: int) -> list[dict[str, Any]]:
        """Return up to `limit` rows of a listing, page by page; raises as `get`."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(found) < limit:
            rows = str(min(_MOST, limit - len(found)))
            page = self.get(path, {**query, "limit": rows, "cursor": cursor})
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return found

    @property
    def url(self) -> str:
        """Where the daemon is asked."""
        scheme = "https" if self._http.tls_cert else "http"
        return f"{scheme}://{self._http.host}:{self._http.port}"

    def _ask(self, method: str, target: str, sent: bytes | None) -> tuple[int, bytes]:
        try:
            secret = token.read(self._data_dir)
        except token.TokenMissing as error:
            raise DaemonUnreachable(str(error)) from None
        connection = _connect(self._http)
        try:
            headers = {"Authorization": f"Bearer {secret}", "Host": "localhost"}
            if sent is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, target, sent, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise DaemonUnreachable(
                f"{self.url}: the daemon does not answer ({why}); start it with `cti run`, "
                "or give the configuration it runs with (--config)"
            ) from None
        finally:
            connection.close()


def _connect(settings: Http) -> http.client.HTTPConnection:
    host = _ANY.get(settings.host, settings.host)
    if settings.tls_cert is None:
        return http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    # The very certificate the daemon was given is trusted, whoever signed it and whatever name it carries.
    context = ssl.create_default_context(cafile=str(settings.tls_cert))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, settings.port, timeout=_TIMEOUT, context=context)


def _problem(answer: Any) -> str:
    if not isinstance(answer, dict):
        return "the daemon refused, and did not say why"
    errors = [f"{error['field']}: {error['detail']}" for error in answer.get("errors", [])]
    return "\n".join(errors) or str(answer.get("detail", "the daemon refused, and did not say why"))
