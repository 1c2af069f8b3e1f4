"""Problem documents (RFC 9457): what every answer of 4xx and 5xx is."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

MEDIA_TYPE = "application/problem+json"
_LONGEST = 80


class FieldError(BaseModel):
    """What is wrong with one parameter."""

    field: str = Field(description="the parameter's name")
    detail: str = Field(description="what is wrong, and the cure")
    value: str | None = Field(default=None, description="what was sent, shortened")


class Problem(BaseModel):
    """Why a request was not answered."""

    type: str = Field(default="about:blank", description="a URI for the kind of problem")
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Refused(Exception):
    """Raised by a route: the request gets this problem as its answer."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


def problem(status: int, detail: str, errors: list[FieldError] | None = None) -> Problem:
    """Make a problem whose title is the status's own."""
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])


def invalid(errors: list[FieldError]) -> Refused:
    """Make the answer to parameters that cannot be used."""
    names = ", ".join(dict.fromkeys(error.field for error in errors))
    return Refused(problem(HTTPStatus.BAD_REQUEST, f"These parameters cannot be used: {names}", errors))


def not_found(detail: str) -> Refused:
    """Make the answer to what does not exist."""
    return Refused(problem(HTTPStatus.NOT_FOUND, detail))


def response(what: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """Turn a problem into an answer."""
    body = what.model_dump_json(exclude_none=True, exclude_defaults=False).encode()
    return web.Response(status=what.status, body=body, content_type=MEDIA_TYPE, headers=headers)


def field_errors(error: ValidationError, known: list[str]) -> list[FieldError]:
    """Name each parameter that is wrong."""
    return [_field_error(dict(detail), known) for detail in error.errors(include_url=False)]


def _field_error(detail: dict[str, Any], known: list[str]) -> FieldError:
    name = ".".join(map(str, detail["loc"]))[:_LONGEST]
    if detail["type"] == "extra_forbidden":
        listed = f"known here: {', '.join(known)}" if known else "this path takes none"
        return FieldError(field=name, detail=f"is not known; {listed}")
    wrong = str(detail["msg"]).removeprefix("Input ")
    return FieldError(field=name, detail=wrong, value=str(detail["input"])[:_LONGEST])
