"""The roster as it stands in the database: frozen, complete, without behaviour. `routing.resolve` decides from it.

Times of day are minutes since local midnight (0–1440), dates are local dates, both in `Roster.timezone`; instants
are epoch seconds (UTC).
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from routing.calendar import Calendar, DayKind

MINUTES_A_DAY = 1440
ALLOWED_NUMBERS = r"^(1[3-9][0-9]{9}|0[1-9][0-9]{8,10}|[2-8][0-9]{2,7})$"
"""Numbers that may be dialled unless the administrator says otherwise; the same default as the dialplan's."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who takes calls: at a desk (queues and a PIN), on duty (a number), or both."""

    id: str  # the agent's number, digits, e.g. "2001"; the queue member's name
    name: str
    number: str = ""  # where duty calls reach them, usually a mobile
    active: bool = True
    pin: str = field(default="", repr=False)  # "<salt>:<sha1 hex of salt+pin>"
    queues: tuple[tuple[str, int], ...] = ()  # (queue, penalty)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A piece of a local day, end exclusive. It does not cross midnight: an overnight one is written as two."""

    start: int  # minutes since midnight
    end: int  # minutes since midnight, 1440 = midnight


@dataclass(frozen=True, slots=True)
class Hours:
    """When a hotline is open on one kind of day. Office wins where both name a minute; neither means closed."""

    hotline: str
    day: DayKind
    office: tuple[Span, ...] = ()
    duty: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Hotline:
    """A hotline: numbers that are called, the queue by day, a rotation and a supervisor by night."""

    name: str  # [A-Za-z0-9_.-]+, unique; a part of AstDB keys
    numbers: tuple[str, ...]  # the numbers callers dial, as the PBX sees them
    queue: str = ""
    rotation: str = ""  # name of a Rotation; several hotlines may share one
    supervisor: str = ""  # person id


@dataclass(frozen=True, slots=True)
class Rotation:
    """A list of people who take one week each, in order; a version of it that holds from `starts` on.

    Of several versions with one name the latest that has begun holds. So a revised list is a new version whose first
    name is the person whose turn the week of `starts` is, and no turn that was announced before it moves.
    """

    name: str
    starts: date  # in the first person's week: the turn that contains this date is theirs
    people: tuple[str, ...]  # person ids in order
    weekday: int = 0  # of the handover, Monday = 0
    handover: int = 9 * 60  # minutes since local midnight
    backups: int = 1  # how many next in order stand in before the supervisor is called


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody else takes the duty for a while: a swap, a holiday, an illness."""

    id: str
    hotline: str  # name, or "" for every hotline
    start: float  # epoch seconds
    end: float  # epoch seconds, exclusive
    person: str  # person id
    note: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """Everything that decides who answers, loaded at once so that the decision needs no I/O."""

    people: tuple[Person, ...] = ()
    hotlines: tuple[Hotline, ...] = ()
    hours: tuple[Hours, ...] = ()
    rotations: tuple[Rotation, ...] = ()
    overrides: tuple[Override, ...] = ()
    calendar: Calendar = field(default_factory=Calendar)
    timezone: str = "Asia/Shanghai"  # IANA name
    allowed: str = ALLOWED_NUMBERS  # regular expression of numbers that may be dialled


OFFICE_SPAN = Span(9 * 60, 18 * 60)
DEFAULT_HOURS: dict[DayKind, tuple[tuple[Span, ...], tuple[Span, ...]]] = {
    DayKind.WORKDAY: ((OFFICE_SPAN,), (Span(8 * 60, 21 * 60),)),
    DayKind.DAY_OFF: ((), (Span(9 * 60, 20 * 60),)),
}
"""(office, duty) of a hotline that has no hours stored for that kind of day."""


def hours_of(roster: Roster, hotline: str, day: DayKind) -> Hours:
    """The hours stored for a hotline and kind of day, else the default ones."""
    for hours in roster.hours:
        if hours.hotline == hotline and hours.day == day:
            return hours
    office, duty = DEFAULT_HOURS[day]
    return Hours(hotline, day, office, duty)


def parse_minutes(text: str) -> int:
    """Minutes since midnight of "HH:MM", "24:00" included.

    Raises:
        ValueError: the text is not such a time of day.
    """
    hours, colon, minutes = text.strip().partition(":")
    digits = hours.isascii() and minutes.isascii() and hours.isdecimal() and minutes.isdecimal()
    if not colon or not digits or len(hours) > 2 or len(minutes) != 2:  # noqa: PLR2004 - HH:MM
        raise ValueError(f"{text!r} is not a time of day; write HH:MM, such as 09:00")
    value = int(hours) * 60 + int(minutes)
    if int(minutes) >= 60 or value > MINUTES_A_DAY:  # noqa: PLR2004 - minutes of an hour
        raise ValueError(f"{text!r} is not a time of day; write 00:00 to 24:00")
    return value


def parse_spans(text: str) -> tuple[Span, ...]:
    """Spans of "09:00-12:00,13:00-18:00"; an empty text has none.

    Raises:
        ValueError: a span is not HH:MM-HH:MM, ends before it begins, or overlaps another.
    """
    spans = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        begin, dash, end = part.partition("-")
        if not dash:
            raise ValueError(f"{part!r} is not a span; write HH:MM-HH:MM")
        span = Span(parse_minutes(begin), parse_minutes(end))
        if span.start >= span.end:
            raise ValueError(f"{part!r} ends before it begins; write one over midnight as two, up to 24:00")
        spans.append(span)
    spans.sort()
    for before, after in itertools.pairwise(spans):
        if after.start < before.end:
            raise ValueError(f"{text!r} has spans that overlap; write them one after the other")
    return tuple(spans)


def format_spans(spans: Iterable[Span]) -> str:
    """The inverse of `parse_spans`."""
    return ",".join(f"{_hhmm(span.start)}-{_hhmm(span.end)}" for span in spans)


def _hhmm(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
