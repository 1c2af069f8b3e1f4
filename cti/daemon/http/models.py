"""The API's answers that are records. Names are those of the facts and of the definitions; a test holds the two together.

Instants are ISO-8601 UTC with `Z`, durations seconds, ratios 0–1. Enumerations are the facts' own.
"""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from cti.core import facts as f
from cti.daemon.http.instants import Instant

T = TypeVar("T")


class Answer(BaseModel):
    """What every answer is: made from a fact's attributes, with no field left out."""

    model_config = ConfigDict(
        frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True
    )


class Page(Answer, Generic[T]):
    """Some of the rows, newest first."""

    items: list[T]
    next_cursor: str | None = Field(
        validation_alias="next", description="`cursor` of the following page; null on the last one"
    )


class Unverified(Answer):
    """A PBX whose records cannot be held against its own books at the moment."""

    pbx: str
    why: str


class Figures(Answer):
    """An answer whose figures stand or fall with the books of the PBXs they are about."""

    unverified: list[Unverified] = Field([], description="PBXs whose figures here are unverified, and why")


class FiguresPage(Page[T], Figures, Generic[T]):
    """Some of the rows, newest first, and how far they are verified."""


class Call(Answer):
    """One contact from its first channel to its last hangup."""

    id: str
    pbx: str
    direction: f.Direction
    caller_number: str
    caller_name: str
    dialed_number: str
    started_at: Instant
    answered_at: Instant | None = Field(description="first human or queue member")
    ended_at: Instant | None
    disposition: f.Disposition | None = Field(description="null while the call lives")
    ended_by: f.EndedBy | None
    hangup_cause: int | None = Field(description="Q.850")
    quality: f.Quality
    merged_into: str | None
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class Leg(Answer):
    """One channel that took part in a call."""

    id: str
    call_id: str
    pbx: str
    uniqueid: str
    linkedid: str
    channel: str
    device: str
    number: str
    agent: str | None
    dialed: bool = Field(description="true when the PBX rang it, false when it came in by itself")
    started_at: Instant
    ring_started_at: Instant | None
    answered_at: Instant | None
    ended_at: Instant | None
    dial_status: str | None
    hangup_cause: int | None = Field(description="Q.850")
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class QueueStay(Answer):
    """One pass of a call through one queue, or its being turned away by one (join_empty, full)."""

    id: str
    call_id: str
    pbx: str
    ordinal: int = Field(description="of the passes of its channel; 0: it was turned away")
    queue: str = Field(description="empty: turned away by one that CEL has not named")
    uniqueid: str
    joined_at: Instant
    position: int | None
    answered_at: Instant | None
    left_at: Instant | None
    outcome: f.StayOutcome | None = Field(description="null while the caller waits")
    wait: float | None = Field(description="seconds, joined to answered or left")
    agent: str | None = Field(description="who answered")
    book_wait: float | None = Field(description="seconds, app_queue's own figure")
    book_talk: float | None = Field(description="seconds, app_queue's own figure")
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class Attempt(Answer):
    """One ringing of one member."""

    id: str
    call_id: str
    pbx: str
    stay_id: str | None
    queue: str | None
    agent: str | None
    device: str
    agent_state: f.State | None = Field(description="as the ringing began")
    agent_state_since: Instant | None
    agent_reason: str | None
    started_at: Instant
    ended_at: Instant | None
    outcome: f.AttemptOutcome | None = Field(description="null while it rings")
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class Talk(Answer):
    """One interval in which a party's device and the other side were bridged."""

    id: str
    call_id: str
    pbx: str
    queue: str | None
    agent: str | None
    device: str
    started_at: Instant
    ended_at: Instant | None
    hold: float | None = Field(
        description="seconds on hold inside, as far as seen; null where only a book tells of the talk"
    )
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class Transfer(Answer):
    """One transfer inside a call."""

    id: str
    call_id: str
    pbx: str
    kind: str
    by: str
    to: str
    at: Instant
    result: str
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class Recording(Answer):
    """One recording of a call."""

    id: str
    call_id: str
    pbx: str
    file: str
    started_at: Instant
    stopped_at: Instant | None
    paused: float
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")


class CallRecord(Call, Figures):
    """One call with all its parts, each kind in order of time."""

    legs: list[Leg]
    queue_stays: list[QueueStay]
    attempts: list[Attempt]
    talks: list[Talk]
    transfers: list[Transfer]
    recordings: list[Recording]


class AgentState(Answer):
    """An agent's state, from `since` on."""

    pbx: str
    agent: str
    name: str
    device: str
    queues: list[str]
    state: f.State
    since: Instant
    reason: str = Field(description="the pause reason while away")
    cause: f.Cause
    previous: f.State | None
    previous_since: Instant | None
    sources: list[str] = Field(description="where it was not seen: field:book, * being all others")
    paused: list[str] = Field(description="queue:reason of each queue in which the agent is paused")


class StateSpan(AgentState):
    """A state of an agent's history."""

    until: Instant | None = Field(description="when the next one began; null while it holds")


class AwayEpisode(Answer):
    """From an agent's leaving to being available again."""

    id: str
    pbx: str
    agent: str
    reason: str
    started_at: Instant
    warn_at: Instant
    limit_at: Instant
    warned_at: Instant | None
    reported_at: Instant | None
    logged_out_at: Instant | None
    ended_at: Instant | None
    sources: list[str] = Field(description="where it was not seen: field:book, or field:list for a lookup")


class WorkItem(Answer):
    """Something a person has to do."""

    id: str
    pbx: str
    kind: str
    call_id: str
    hotline: str
    caller_number: str
    created_at: Instant
    result: str
    accepted_by: str | None
    accepted_at: Instant | None
    state: str


class Fault(Answer):
    """Something was broken, from when to when."""

    id: str
    kind: f.FaultKind
    pbx: str
    began_at: Instant
    ended_at: Instant | None
    detail: str
    reported_by: str | None = Field(description="who reported it by hand; null when the daemon saw it itself")


class Delivery(Answer):
    """A notice was brought to somebody, or could not be."""

    id: str
    subject: str = Field(description="the id of the fault or away episode it was about")
    pbx: str
    kind: str
    channel: str
    at: Instant
    ok: bool
    detail: str = Field(description="why it could not be")


class FaultReport(Fault):
    """A fault, and who was told of it."""

    told: list[Delivery] = Field(description="in order of time")


class Incident(Answer):
    """A floor rule was broken."""

    id: str
    pbx: str
    kind: str
    agent: str
    at: Instant
    detail: str
    result: str | None


class StoredBook(Answer):
    """How far one file of a book is here."""

    book: str
    file: str
    size: int = Field(description="bytes; go on from there")


class StoredBooks(Answer):
    """How far every file of a PBX's books is here."""

    files: list[StoredBook]
