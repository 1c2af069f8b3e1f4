"""The table of what can be changed: path, what may be sent, what is answered, and the function between.

What is answered with 200 or 201 is durable: in the database, or on disk until the database takes it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from aiohttp import hdrs, web
from pydantic import ValidationError

from cti.core.facts import Fault, FaultKind
from cti.daemon.http import bodies as b
from cti.daemon.http import models as m
from cti.daemon.http.deps import HttpDeps
from cti.daemon.http.problems import FieldError, Refused, field_errors, invalid, not_found, problem
from cti.daemon.reports import NotDurable, ReportRefused, UnknownFault, UnknownPbx
from cti.daemon.shipped import NotStored, ShipmentRefused, State

B = TypeVar("B", bound=b.Body)

BOOKS_PATH = "/api/v1/pbxs/{pbx}/books"
LONGEST_BODY = 16 * 1024  # bytes
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Write(Generic[B]):
    """One path that takes a POST of JSON."""

    path: str
    summary: str
    body: type[B]
    answer: Any  # a model
    handler: Callable[[HttpDeps, Mapping[str, str], B], Awaitable[Any]]
    status: HTTPStatus
    not_found: str
    conflict: str
    longest: int = LONGEST_BODY  # bytes


async def open_fault(deps: HttpDeps, _path: Mapping[str, str], body: b.FaultOpening) -> Any:
    """Report a fault."""
    kind = FaultKind(body.kind.value)
    return _untold(await deps.reports.open(kind, body.detail, pbx=body.pbx, at=body.at, by=body.reported_by))


async def close_fault(deps: HttpDeps, path: Mapping[str, str], body: b.FaultClosing) -> Any:
    """End a fault that was reported."""
    return _untold(await deps.reports.close(path["id"], body.at))


def _untold(fault: Fault) -> Mapping[str, Any]:
    return asdict(fault) | {"told": ()}


async def ship_books(deps: HttpDeps, path: Mapping[str, str], body: b.Shipment) -> Any:
    """Take what is new in the books of a remote PBX."""
    store = deps.shipped.get(path["pbx"])
    if store is None:
        raise UnknownPbx(
            'No PBX of this name has its books shipped; write shipped = […] in its table "books"'
        )
    state = State(body.complete_until, tuple(body.books), body.trouble)
    return {"files": await store.take(body.parts, state)}


WRITES: tuple[Write[Any], ...] = (
    Write(
        "/api/v1/faults",
        "Report a fault that no machine sees",
        b.FaultOpening,
        m.FaultReport,
        open_fault,
        HTTPStatus.CREATED,
        "no PBX has this name",
        "`at` lies in the future",
    ),
    Write(
        "/api/v1/faults/{id}/close",
        "Say that what was reported works again; a fault that has ended already stays as it is",
        b.FaultClosing,
        m.FaultReport,
        close_fault,
        HTTPStatus.OK,
        "no fault has this id",
        "the daemon found this fault and ends it itself, or `at` lies before its begin or in the future",
    ),
    Write(
        BOOKS_PATH,
        "Send what is new in the books of a remote PBX (`cti ship-books` does); what is here already is passed over",
        b.Shipment,
        m.StoredBooks,
        ship_books,
        HTTPStatus.OK,
        "no PBX of this name has its books shipped",
        "a file is new here and `text` does not begin with its first line",
        1024 * 1024,
    ),
)


async def read(model: type[B], request: web.Request, longest: int = LONGEST_BODY) -> B:
    """Read a body of so many bytes at most.

    Raises:
        Refused: it is not JSON (400, 415), too long (413), or has fields that are unknown or wrong (400).
    """
    if request.content_type != _JSON:
        cure = f"Send the body as {_JSON}"
        raise Refused(problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, cure))
    try:
        text = await request.clone(client_max_size=longest).read()
    except web.HTTPRequestEntityTooLarge:
        cure = f"The body is longer than {longest} bytes"
        raise Refused(problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, cure)) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        errors = field_errors(error, list(model.model_fields))
        raise invalid([_named(one) for one in errors]) from None


def _named(error: FieldError) -> FieldError:
    return error if error.field else FieldError(field="(body)", detail=error.detail)


async def answer(write: Write[Any], deps: HttpDeps, path: Mapping[str, str], body: b.Body) -> bytes:
    """Run a change and return its JSON, once it is durable.

    Raises:
        Refused: it makes no sense as things are (404, 409), or cannot be made durable (503).
    """
    try:
        done = await write.handler(deps, path, body)
    except (UnknownPbx, UnknownFault) as error:
        raise not_found(str(error)) from None
    except (ReportRefused, ShipmentRefused) as error:
        raise Refused(problem(HTTPStatus.CONFLICT, str(error))) from None
    except (NotDurable, NotStored) as error:
        raise Refused(problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)), {hdrs.RETRY_AFTER: "5"}) from None
    made: bytes = write.answer.model_validate(done).model_dump_json().encode()
    return made
