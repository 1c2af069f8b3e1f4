"""The application from its parts: how a request becomes an answer."""

import asyncio
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from pydantic import ValidationError

from cti.daemon.http import params, pictures, writes
from cti.daemon.http.deps import Health, HttpDeps
from cti.daemon.http.guard import host_check, problems, token_check
from cti.daemon.http.problems import FieldError, field_errors, invalid, not_found
from cti.daemon.http.routes import DOCUMENT_PATH, ROUTES, Route, answer
from cti.daemon.http.writes import BOOKS_PATH, LONGEST_BODY, WRITES, Write
from metrics.record import CONTENT_TYPE

_LONGEST_ID = 200


def make_app(deps: HttpDeps) -> web.Application:
    """Build the application; it opens nothing."""
    app = web.Application(
        client_max_size=LONGEST_BODY,
        middlewares=[
            problems,
            host_check(deps.allowed_hosts),
            token_check(deps.token, {BOOKS_PATH: deps.books_token}),
        ],
    )
    _get(app, "/metrics", _metrics(deps))
    _get(app, "/healthz", _health(deps, ready=False))
    _get(app, "/readyz", _health(deps, ready=True))
    _get(app, DOCUMENT_PATH, _document)
    for route in ROUTES:
        _get(app, route.path, _json(route, deps))
    for write in WRITES:
        app.router.add_route(hdrs.METH_POST, write.path, _change(write, deps), expect_handler=_continue)
    return app


def _get(app: web.Application, path: str, handler: Any) -> None:
    app.router.add_route(hdrs.METH_GET, path, handler, expect_handler=_expect)
    app.router.add_route(hdrs.METH_HEAD, path, handler, expect_handler=_expect)


async def _expect(_request: web.Request) -> None:
    """Pass over Expect: no route that answers GET reads a body."""


async def _continue(request: web.Request) -> None:
    """Ask for the body that the client holds back; any other expectation is passed over."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # so that an error may still be answered


def _json(route: Route[Any], deps: HttpDeps) -> Any:
    async def handle(request: web.Request) -> web.Response:
        query = asked(route.query, request)
        path = _path(request.match_info)
        return web.Response(
            body=await answer(route, deps, path, query), content_type="application/json", charset="utf-8"
        )

    return handle


def _change(write: Write[Any], deps: HttpDeps) -> Any:
    async def handle(request: web.Request) -> web.Response:
        asked(params.Query, request)
        path = _path(request.match_info)
        body = await writes.read(write.body, request, write.longest)
        return web.Response(
            status=write.status,
            body=await writes.answer(write, deps, path, body),
            content_type="application/json",
            charset="utf-8",
        )

    return handle


def asked(model: type[params.Query], request: web.Request) -> params.Query:
    """Read the query string.

    Raises:
        Refused: 400, naming each parameter that is unknown, wrong or given twice.
    """
    pairs = list(request.query.items())
    given = dict(pairs)
    names = [name for name, _ in pairs]
    twice = [
        FieldError(field=name[:80], detail="is given more than once; give it once")
        for name in given
        if names.count(name) > 1
    ]
    try:
        query = model.model_validate(given)
    except ValidationError as error:
        known = [field.alias or name for name, field in model.model_fields.items()]
        raise invalid(twice + field_errors(error, known)) from None
    if twice:
        raise invalid(twice)
    return query


def _path(match: Mapping[str, str]) -> dict[str, str]:
    for name, value in match.items():
        if len(value) > _LONGEST_ID or not value.isprintable():
            raise not_found(f"Nothing has this {name}")
    return dict(match)


def _metrics(deps: HttpDeps) -> Any:
    async def handle(_request: web.Request) -> web.Response:
        body = await asyncio.to_thread(deps.metrics())
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    return handle


def _health(deps: HttpDeps, *, ready: bool) -> Any:
    async def handle(_request: web.Request) -> web.Response:
        health = deps.health()
        well = health.ready if ready else health.ok
        return web.Response(
            status=HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE,
            body=_health_json(health, well=well),
            content_type="application/json",
        )

    return handle


def _health_json(health: Health, *, well: bool) -> bytes:
    status = "ok" if well else "failed"
    return (
        pictures.Health.model_validate({"status": status, "checks": list(health.checks)})
        .model_dump_json()
        .encode()
    )


async def _document(_request: web.Request) -> web.Response:
    return web.Response(
        body=await asyncio.to_thread(_document_text), content_type="application/json", charset="utf-8"
    )


@cache
def _document_text() -> bytes:
    from cti.daemon import openapi  # noqa: PLC0415 - a start need not wait for it

    return openapi.text().encode()
