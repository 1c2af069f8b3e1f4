"""Who may ask, and how a refusal looks: the Host header, the bearer token, and problem documents for everything else."""

import hmac
import re
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from config.values import is_loopback
from cti.daemon.http.problems import Refused, problem, response
from store.errors import StoreError

PUBLIC = frozenset({"/metrics", "/healthz", "/readyz"})
"""Paths without a token: they tell nothing about callers. /metrics names the agents, as its readers need it."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")

_NONE: Mapping[str, str] = {}

log = structlog.get_logger(__name__)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every refusal and every bug of ours into a problem document; a bug tells the log, not the caller."""
    try:
        answer = await handler(request)
    except Refused as refused:
        answer = response(refused.problem, refused.headers)
    except web.HTTPException as error:
        answer = _of_http(request, error)
    except StoreError as error:
        log.warning("api_store_failed", path=request.path, error=str(error))
        what = problem(HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot be read at the moment; ask again")
        answer = response(what, {hdrs.RETRY_AFTER: "5"})
    except Exception:
        log.exception("api_bug", method=request.method, path=request.path)
        what = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is a mistake of ours; it is in the log")
        answer = response(what)
    answer.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    return answer


def _of_http(request: web.Request, error: web.HTTPException) -> web.Response:
    match error.status:
        case HTTPStatus.NOT_FOUND:
            what = problem(error.status, "Nothing is here; the paths are listed at /api/v1/openapi.json")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            what = problem(error.status, f"This path does not take {request.method[:20]}")
        case _:
            what = problem(error.status, error.reason)
    kept: dict[str, str] | None = (
        {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else None
    )
    return response(what, kept)


def host_check(allowed: tuple[str, ...]) -> Middleware:
    """Refuse names that are not ours.

    A page somewhere else must not read this through a name of its own (DNS rebinding).
    """
    names = frozenset(name.lower() for name in allowed)

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall(hdrs.HOST, [])
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise Refused(problem(HTTPStatus.BAD_REQUEST, "Exactly one Host header is needed"))
        name = match[1].strip("[]").lower().rstrip(".")
        if not is_loopback(name) and name not in names:
            cure = "This name is not served here; add it to http.allowed_hosts"
            raise Refused(problem(HTTPStatus.MISDIRECTED_REQUEST, cure))
        return await handler(request)

    return check


def token_check(token: str, narrow: Mapping[str, str] = _NONE) -> Middleware:
    """Let only those pass who know the token; the paths in `PUBLIC`, and those that do not exist, need none.

    `narrow` holds tokens by path that open that path and no other; "" opens nothing.
    """
    expected = token.encode()
    narrow_ones = {path: one.encode() for path, one in narrow.items() if one}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        resource = request.match_info.route.resource
        accepted = [
            expected,
            *(one for path, one in narrow_ones.items() if resource and resource.canonical == path),
        ]
        if _is_public(request) or (len(given) == 1 and any(_is_token(given[0], one) for one in accepted)):
            return await handler(request)
        challenge = 'Bearer realm="cti"' + (', error="invalid_token"' if given else "")
        detail = (
            "Send the token as `Authorization: Bearer …`; it is in the file api-token in the data directory"
        )
        raise Refused(problem(HTTPStatus.UNAUTHORIZED, detail), {hdrs.WWW_AUTHENTICATE: challenge})

    return check


def _is_public(request: web.Request) -> bool:
    resource = request.match_info.route.resource
    if resource is None:
        return not request.path.startswith("/api")
    return resource.canonical in PUBLIC


def _is_token(header: str, expected: bytes) -> bool:
    scheme, _, given = header.partition(" ")
    same = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), expected)
    return same and scheme.lower() == "bearer"
