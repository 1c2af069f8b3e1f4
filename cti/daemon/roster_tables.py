"""The tables of the file that `cti import` reads, one frozen model each, with their checks."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from config.problems import HIDDEN
from config.sections import Table
from config.values import Line, refuse
from routing.model import Span, parse_minutes, parse_spans

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _shaped(pattern: str, wrong: str, cure: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            refuse(wrong, cure)
        return value

    return check


def _spans(value: object) -> tuple[Span, ...]:
    if not isinstance(value, str):
        refuse("is not hours", 'write text such as "09:00-18:00" or "09:00-12:00,13:00-18:00"')
    try:
        return parse_spans(value)
    except ValueError as error:
        refuse("is not hours", str(error))


def _minutes(value: object) -> int:
    if not isinstance(value, str):
        refuse("is not a time of day", 'write text such as "09:00"')
    try:
        minutes = parse_minutes(value)
    except ValueError as error:
        refuse("is not a time of day", str(error))
    return minutes


def _pin(value: object) -> SecretStr | None:
    if value is None or isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{4,8}", value) is None:
        refuse("is not a PIN", 'write 4 to 8 digits in quotes, such as "4711"', HIDDEN)
    return SecretStr(value)


_Id = Annotated[
    str,
    AfterValidator(_shaped(r"[0-9]{1,8}", "is not an agent's number", 'write 1 to 8 digits, such as "2001"')),
]
_Name = Annotated[
    str,
    AfterValidator(
        _shaped(r"[A-Za-z0-9_.-]{1,60}", "cannot be a name here", "use A-Z, a-z, 0-9, _ . - only, at most 60")
    ),
]
_Did = Annotated[
    str,
    AfterValidator(
        _shaped(
            r"\+?[0-9]{2,20}", "is not a number", 'write digits as the PBX sees them, such as "4008001234"'
        )
    ),
]
_Spans = Annotated[tuple[Span, ...], BeforeValidator(_spans)]
_Minutes = Annotated[int, BeforeValidator(_minutes)]
_Pin = Annotated[SecretStr | None, BeforeValidator(_pin)]
_Penalty = Annotated[int, Field(ge=0, le=100)]


_Date = date  # a field called `date` hides the type's own name


class PersonTable(Table):
    """`[[people]]`."""

    id: _Id = Field(examples=["2001"])
    name: Line = Field(examples=["王芳"])
    number: str = Field("", examples=["13800002001"])
    active: bool = True
    pin: _Pin = None
    pin_env: str | None = None
    queues: dict[_Name, _Penalty] = Field(default={}, examples=[{"sales": 0}])


class HoursTable(Table):
    """`[hotlines.hours.workday]` and `day_off`: what is left out is closed."""

    office: _Spans = Field((), validate_default=False, examples=["09:00-18:00"])
    duty: _Spans = Field((), validate_default=False, examples=["08:00-21:00"])


class WeekTable(Table):
    """`[hotlines.hours]`: a kind of day that is left out has the default hours."""

    workday: HoursTable | None = None
    day_off: HoursTable | None = None


class HotlineTable(Table):
    """`[[hotlines]]`."""

    name: _Name = Field(examples=["sales"])
    numbers: Annotated[tuple[_Did, ...], Field(strict=False, min_length=1)] = Field(examples=[["4008001234"]])
    queue: _Name | Literal[""] = Field("", examples=["sales"])
    rotation: _Name | Literal[""] = ""
    supervisor: _Id | Literal[""] = Field("", examples=["9001"])
    hours: WeekTable = WeekTable()


class RotationTable(Table):
    """`[[rotations]]`."""

    name: _Name = Field(examples=["week"])
    starts: date = Field(examples=[date(2026, 1, 5)])
    people: Annotated[tuple[_Id, ...], Field(strict=False, min_length=1)] = Field(examples=[["2001", "2002"]])
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "monday"
    handover: _Minutes = Field(9 * 60, validate_default=False, examples=["09:00"])
    backups: Annotated[int, Field(ge=0, le=10)] = 1


class OverrideTable(Table):
    """`[[overrides]]`."""

    start: datetime = Field(examples=[datetime.fromisoformat("2026-02-16T09:00:00")])
    end: datetime = Field(examples=[datetime.fromisoformat("2026-02-20T09:00:00")])
    person: _Id = Field(examples=["2001"])
    hotline: _Name | Literal[""] = ""
    note: str = Field("", max_length=200)

    @field_validator("end")
    @classmethod
    def _after(cls, value: datetime, info: ValidationInfo) -> datetime:
        start = info.data.get("start")
        if start is not None and (start.tzinfo is None) != (value.tzinfo is None):
            refuse("has an offset where start has none, or the other way round", "write both in local time")
        if start is not None and value <= start:
            refuse("is not after start", "write the instant at which the override ends, exclusive")
        return value


class DayTable(Table):
    """`[[calendar]]`."""

    date: _Date = Field(examples=[_Date(2027, 1, 1)])
    kind: Literal["workday", "day_off"] = Field(examples=["day_off"])
    official: bool = False
    name: str = Field("", max_length=60)


class RosterFile(Table):
    """The whole file."""

    people: Annotated[tuple[PersonTable, ...] | None, Field(strict=False)] = None
    hotlines: Annotated[tuple[HotlineTable, ...] | None, Field(strict=False)] = None
    rotations: Annotated[tuple[RotationTable, ...] | None, Field(strict=False)] = None
    overrides: Annotated[tuple[OverrideTable, ...] | None, Field(strict=False)] = None
    calendar: Annotated[tuple[DayTable, ...] | None, Field(strict=False)] = None
