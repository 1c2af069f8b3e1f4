"""What may be asked: one model of query parameters for each route. Unknown ones are refused, none is guessed."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

from cti.core.facts import Direction, Disposition, Quality, State
from cti.daemon.http.instants import InstantParameter

DEFAULT_LIMIT = 100
MOST = 500


def _yes_or_no(value: object) -> object:
    if value not in {"true", "false"}:
        raise PydanticCustomError("yes_or_no", "is neither true nor false", {})
    return value == "true"


def _whole(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= 9):  # noqa: PLR2004 - digits
        raise PydanticCustomError("whole", "is not a whole number", {})
    return value


YesOrNo = Annotated[bool, BeforeValidator(_yes_or_no), WithJsonSchema({"type": "boolean"})]
Text = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Cursor = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[A-Za-z0-9_-]*$")]
Limit = Annotated[int, Field(ge=1, le=MOST), BeforeValidator(_whole)]


class WorkState(StrEnum):
    """Whether a work item waits for somebody."""

    OPEN = "open"
    DONE = "done"


class Query(BaseModel):
    """No parameter at all; the others add theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PbxQuery(Query):
    """Of one PBX or of all."""

    pbx: Text | None = Field(None, description="the PBX's name in the configuration")


class PagedQuery(PbxQuery):
    """An interval, page by page, newest first."""

    since: InstantParameter | None = Field(None, alias="from", description="from this instant on (RFC 3339)")
    before: InstantParameter | None = Field(
        None, alias="to", description="up to, not including, this instant"
    )
    cursor: Cursor | None = Field(None, description="`next_cursor` of the page before")
    limit: Limit = Field(DEFAULT_LIMIT, description="rows of a page")

    @field_validator("before")
    @classmethod
    def _in_order(cls, before: float | None, info: ValidationInfo) -> float | None:
        since = info.data.get("since")
        if before is not None and since is not None and before < since:
            raise PydanticCustomError("order", "lies before `from`; exchange the two, or leave one out", {})
        return before

    def interval(self) -> dict[str, Any]:
        """Return what every listing of the store takes."""
        return {"since": self.since, "before": self.before, "cursor": self.cursor, "limit": self.limit}


class CallsQuery(PagedQuery):
    """Which calls; the interval is about `started_at`."""

    direction: Direction | None = None
    disposition: Disposition | None = None
    quality: Quality | None = None
    agent: Text | None = Field(None, description="who talked, or answered from a queue")
    queue: Text | None = Field(None, description="in which the call waited")
    caller_number: Text | None = None
    open: YesOrNo | None = Field(None, description="true: still going on, false: over")


class AgentsQuery(PbxQuery):
    """Which agents."""

    state: State | None = None


class StatesQuery(PagedQuery):
    """Which part of an agent's history: the states that held at some time in the interval."""


class DutyQuery(Query):
    """Whose duty, when."""

    at: InstantParameter | None = Field(None, description="now when left out")
    hotline: Text | None = Field(None, description="all hotlines when left out")


class WorkItemsQuery(PagedQuery):
    """Which work items; the interval is about `created_at`."""

    state: WorkState | None = None
    hotline: Text | None = None


class FaultsQuery(PagedQuery):
    """Which faults: those that lasted into the interval."""

    open: YesOrNo | None = Field(None, description="true: still going on, false: over")


class IncidentsQuery(PagedQuery):
    """Which incidents; the interval is about `at`."""

    agent: Text | None = None
    kind: Text | None = None
