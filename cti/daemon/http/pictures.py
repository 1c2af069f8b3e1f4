"""The API's answers that are pictures: what holds now, and who is on duty when."""

import datetime as dt
from typing import Generic, TypeVar

from pydantic import Field

from cti.core import facts as f
from cti.daemon.http.instants import Instant
from cti.daemon.http.models import AgentState, Answer, AwayEpisode, Call, Figures
from routing.calendar import DayKind, DayReason
from routing.roster import DutyKind, Reason, Role

T = TypeVar("T")


class Now(Answer, Generic[T]):
    """The current picture."""

    at: Instant = Field(description="the moment of this picture")
    items: list[T]


class FiguresNow(Now[T], Figures, Generic[T]):
    """The current picture, how far its figures are verified, and whether those of today are whole."""

    today_complete: bool = Field(
        description="false after a start until what is on record of today was read back: its figures are too low"
    )


class UnreadableLine(Answer):
    """A line of a book that could not be read; its beginning."""

    book: str = Field(description="its key in the configuration: queue_log, cdr_csv, cel_csv")
    why: str
    line: str


class Books(Answer):
    """How the records of a PBX stand against its own books; counts are since the daemon started."""

    pbx: str
    unverified: str = Field(description="why they cannot be compared; empty when they are")
    verified_until: Instant | None = Field(description="what ended before was compared")
    checked: int
    mismatches: dict[str, int] = Field(
        description="by reason; what a rule explains, and those that were never found are left out"
    )
    explained: dict[str, int] = Field(
        description="differences that a written rule explains (docs/scenarios.md), by rule"
    )
    notes: list[str] = Field(
        description="what lacks although the records can be verified, such as CEL; with the cure"
    )
    bad_lines: int = Field(description="lines of the books that could not be read, each counted once")
    bad_samples: list[UnreadableLine] = Field(description="some of them")
    gaps: int = Field(description="times the daemon did not listen that are not filled in yet")
    filled: int = Field(description="records and parts written from the books")


class StoryLine(Answer):
    """One line of the PBX's books."""

    at: Instant
    book: str = Field(description="queue_log, cel or cdr")
    line: str = Field(description="as it stands there", validation_alias="raw")


class StoryStep(Answer):
    """One thing that happened in a call."""

    at: Instant
    kind: str = Field(description="what sort of thing, in one word: begin, join, ring, talk, move …")
    who: str = Field(description="to whom; empty when it happened to the call as a whole")
    what: str = Field(description="for people, after `who`")
    source: str = Field(description="seen, queue_log, cdr, cel, mark; guess: nobody knows the instant")
    event: str = Field(description="what told it: the AMI event when seen, else the book's word, if known")
    to: str = Field(description="with whom, if with anybody")
    lines: list[StoryLine] = Field(description="of the PBX's books, that prove it")


class Story(Figures):
    """The story of one call, from its record and the PBX's books."""

    call: Call
    actors: list[str]
    steps: list[StoryStep]
    unexplained: list[StoryLine] = Field(description="lines of the books about the call that prove no step")
    notes: list[str] = Field(description="what lacks though the books can be believed")


class Agent(AgentState):
    """An agent now."""

    away: AwayEpisode | None = Field(description="the episode that goes on")
    seconds: dict[f.State, float] = Field(description="seconds in each state today")
    occupancy: float | None = Field(description="(on_call + wrap_up) ÷ (those + available + ringing) today")


class QueueToday(Answer):
    """A queue's stays that joined on the local day."""

    offered: int
    answered: int
    abandoned: int
    lost: int
    answered_within: int = Field(description="within the threshold")
    abandoned_within: int = Field(description="within the threshold")
    asa: float | None = Field(description="seconds: waits of the answered ÷ answered")
    longest_wait: float = Field(description="seconds, abandoned included")


class ServiceLevel(Answer):
    """The service level in its four variants, and which one is shown by default."""

    threshold: float = Field(description="seconds")
    default: str = Field(description="the variant shown by default")
    ignore_early_abandons: float | None
    strict: float | None
    abandons_as_good: float | None
    answered_only: float | None


class Queue(Answer):
    """A queue as the PBX has it, and what happens in it now."""

    pbx: str
    name: str = Field(description="empty: of callers who were turned away by a queue that CEL has not named")
    strategy: str
    wrap_up_seconds: float
    max_waiting: int
    waiting: int
    longest_waiting_since: Instant | None = Field(description="when the one who waits longest joined")
    agents: dict[f.State, int] = Field(description="agents logged in to it, by state")
    today: QueueToday
    service_level: ServiceLevel


class Rung(Answer):
    """One number to call."""

    person: str
    name: str
    number: str
    role: Role
    reason: Reason


class Day(Answer):
    """What a date is."""

    date: dt.date
    kind: DayKind
    reason: DayReason
    name: str
    verified: bool = Field(description="false: no official calendar for its year, the weekday rule stands in")


class Duty(Answer):
    """Who answers a hotline from `start` to `end`."""

    hotline: str
    kind: DutyKind
    start: Instant
    end: Instant
    ladder: list[Rung] = Field(description="in the order of calling; empty unless kind is duty")
    reasons: list[Reason]
    day: Day


class Check(Answer):
    """One thing that is well or not."""

    name: str
    ok: bool
    detail: str


class Health(Answer):
    """How the daemon is."""

    status: str = Field(description="ok or failed")
    checks: list[Check]
