"""Instants at the edge: ISO-8601 in UTC with `Z` and microseconds going out, RFC 3339 with any offset coming in."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253402300799.0  # 9999-12-31T23:59:59Z
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+ -])(\d\d):([0-5]\d))", re.ASCII
)
_LEAP_SECOND = 60
_EXAMPLE = "2026-10-01T09:00:00Z"
_SCHEMA = {"type": "string", "format": "date-time", "examples": [_EXAMPLE]}


def iso(at: float) -> str:
    """Write epoch seconds as ISO-8601 UTC, e.g. 2026-10-01T01:00:00.000000Z."""
    moment = _EPOCH + timedelta(seconds=min(max(at, 0.0), _LAST))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: object) -> float:
    """Read RFC 3339 to epoch seconds; a `+` that a query string turned into a blank is understood.

    Instants before 1970 become 0: nothing is older here.
    """
    match = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        _refuse()
    date, clock, second, fraction, zulu, sign, hours, minutes = match.groups()
    leap = int(second) == _LEAP_SECOND
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}:{59 if leap else second}+00:00")
    except ValueError:
        _refuse()
    offset = 0 if zulu else (int(hours) * 60 + int(minutes)) * (-60 if sign == "-" else 60)
    at = (moment - _EPOCH).total_seconds() + leap + float(f"0.{(fraction or '0')[:6]}") - offset
    return min(max(at, 0.0), _LAST)


def _refuse() -> NoReturn:
    raise PydanticCustomError(
        "instant", "is not an instant; write one with its offset, e.g. {example}", {"example": _EXAMPLE}
    )


Instant = Annotated[float, PlainSerializer(iso, return_type=str), WithJsonSchema(_SCHEMA)]
"""A float of epoch seconds inside, ISO-8601 UTC in JSON."""

InstantParameter = Annotated[float, BeforeValidator(parse_instant), WithJsonSchema(_SCHEMA)]
"""RFC 3339 text in a query string, a float of epoch seconds inside."""
