"""Who answers a hotline at an instant, and why. Pure: the roster and the instant are arguments.

The local day is the unit, as it is in what the PBX is given: a `Duty` never reaches over local midnight. `decide`
answers for one instant on its own; `segments` cuts a day at every instant at which an answer can change and merges
neighbours that are equal; `resolve` is the segment that contains an instant.

Duty outside office hours is decided in layers, each with its reason:

1. an override for this hotline, else one for every hotline (of several, the one that began last): that person;
2. the rotation: whose week it is; then the next `backups` in order;
3. the supervisor of the hotline, last of the ladder, or alone when nobody else can be called.

Whoever is inactive or has no number that may be dialled is passed over; the turn keeps its place and the next in order
stands in. When nobody at all can be called the hotline is closed, with the reason `nobody`.

Local times that a change of the clock skips or repeats are taken as zoneinfo takes `fold=0`: the first of the two, or
the instant the skipped one would have been.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from routing.calendar import Calendar, Day, DayKind, Missing, OwnDay, calendar_of, day_of
from routing.model import (
    ALLOWED_NUMBERS,
    DEFAULT_HOURS,
    MINUTES_A_DAY,
    Hotline,
    Hours,
    Override,
    Person,
    Roster,
    Rotation,
    Span,
    format_spans,
    hours_of,
    parse_minutes,
    parse_spans,
)

__all__ = [
    "ALLOWED_NUMBERS",
    "DEFAULT_HOURS",
    "MINUTES_A_DAY",
    "Calendar",
    "Day",
    "DayKind",
    "Duty",
    "DutyKind",
    "Hotline",
    "Hours",
    "Missing",
    "Override",
    "OwnDay",
    "Person",
    "Reason",
    "Role",
    "Roster",
    "Rotation",
    "Rung",
    "Span",
    "UnknownHotline",
    "calendar_of",
    "decide",
    "format_spans",
    "hours_of",
    "local_date",
    "number_allowed",
    "parse_minutes",
    "parse_spans",
    "resolve",
    "rotations_named",
    "segments",
    "usable",
]


_NUMBER = re.compile(r"\+?[0-9]{3,20}")  # what a row can carry, whatever else is allowed


class DutyKind(StrEnum):
    """Where a call goes."""

    OFFICE = "office"  # to the queue
    DUTY = "duty"  # up the ladder
    CLOSED = "closed"  # announcement and a call-back


class Role(StrEnum):
    """Why somebody stands on the ladder."""

    PRIMARY = "primary"
    BACKUP = "backup"
    SUPERVISOR = "supervisor"


class Reason(StrEnum):
    """Why it was decided so."""

    OFFICE_HOURS = "office_hours"
    DUTY_HOURS = "duty_hours"
    OUTSIDE_HOURS = "outside_hours"
    ROTATION = "rotation"  # it is this person's turn, or they are next in order
    SUBSTITUTE = "substitute"  # stands in for somebody passed over in the rotation
    OVERRIDE = "override"
    OVERRIDE_UNUSABLE = "override_unusable"  # the override's person cannot be called
    NO_ROTATION = "no_rotation"  # the hotline has none that has begun, or an empty one
    SUPERVISOR = "supervisor"  # last of the ladder, as always
    SUPERVISOR_FALLBACK = "supervisor_fallback"  # alone, because nobody else can be called
    NOBODY = "nobody"  # nobody can be called
    UNVERIFIED_DAY = "unverified_day"  # no official calendar for this year


class UnknownHotline(KeyError):
    """The roster has no hotline of this name."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One number to call."""

    person: str  # id
    name: str
    number: str
    role: Role
    reason: Reason


@dataclass(frozen=True, slots=True)
class Duty:
    """Who answers a hotline from `start` to `end` (epoch seconds, end exclusive), within one local day."""

    hotline: str
    kind: DutyKind
    start: float
    end: float
    ladder: tuple[Rung, ...]  # in the order of calling; empty unless kind is duty
    reasons: tuple[Reason, ...]  # of the kind, then of the ladder as a whole
    day: Day


def local_date(roster: Roster, at: float | datetime) -> date:
    """The local date of an instant."""
    return datetime.fromtimestamp(_epoch(at), ZoneInfo(roster.timezone)).date()


def resolve(roster: Roster, hotline: str, at: float | datetime) -> Duty:
    """Who answers at an instant (epoch seconds or aware datetime), and from when to when that holds.

    Raises:
        UnknownHotline: there is none of this name.
        ValueError: a datetime without a time zone.
    """
    instant = _epoch(at)
    for segment in segments(roster, hotline, local_date(roster, instant)):
        if segment.start <= instant < segment.end:
            return segment
    return decide(roster, hotline, instant)  # a zone whose dates run backwards at a change of the clock


def segments(roster: Roster, hotline: str, day: date) -> tuple[Duty, ...]:
    """The whole local day, cut where the answer changes; sorted, without gaps, no two equal neighbours.

    Raises:
        UnknownHotline: there is none of this name.
    """
    first, last = _day_bounds(roster, day)
    cuts = sorted({cut for cut in _cuts(roster, hotline, day) if first < cut < last} | {first, last})
    merged: list[Duty] = []
    for start, end in itertools.pairwise(cuts):
        duty = replace(decide(roster, hotline, start), start=start, end=end)
        if merged and replace(merged[-1], start=start, end=end) == duty:
            merged[-1] = replace(merged[-1], end=end)
        else:
            merged.append(duty)
    return tuple(merged)


def decide(roster: Roster, hotline: str, at: float) -> Duty:
    """The answer for one instant; `start` and `end` are those of the local day.

    Raises:
        UnknownHotline: there is none of this name.
    """
    line = _hotline(roster, hotline)
    day = day_of(roster.calendar, local_date(roster, at))
    kind = _kind_at(roster, line, day, at)
    doubts = () if day.verified else (Reason.UNVERIFIED_DAY,)
    bounds = _day_bounds(roster, day.date)
    if kind is DutyKind.OFFICE:
        return Duty(hotline, kind, *bounds, (), (Reason.OFFICE_HOURS, *doubts), day)
    if kind is DutyKind.CLOSED:
        return Duty(hotline, kind, *bounds, (), (Reason.OUTSIDE_HOURS, *doubts), day)
    ladder, reasons = _ladder(roster, line, at)
    if not ladder:
        kind = DutyKind.CLOSED
    return Duty(hotline, kind, *bounds, ladder, (Reason.DUTY_HOURS, *reasons, *doubts), day)


def _epoch(at: float | datetime) -> float:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError(f"{at.isoformat()} has no time zone; give an aware datetime or epoch seconds")
        return at.timestamp()
    return float(at)


def _instant(roster: Roster, day: date, minutes: int) -> float:
    """Epoch seconds of a local time of day."""
    return _instant_in(roster.timezone, day, minutes)


@functools.lru_cache(maxsize=8192)
def _instant_in(timezone: str, day: date, minutes: int) -> float:
    local = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)
    return local.replace(tzinfo=ZoneInfo(timezone)).timestamp()


def _day_bounds(roster: Roster, day: date) -> tuple[float, float]:
    return _instant(roster, day, 0), _instant(roster, day, MINUTES_A_DAY)


def _hotline(roster: Roster, name: str) -> Hotline:
    for hotline in roster.hotlines:
        if hotline.name == name:
            return hotline
    raise UnknownHotline(name)


def _kind_at(roster: Roster, line: Hotline, day: Day, at: float) -> DutyKind:
    hours = hours_of(roster, line.name, day.kind)
    for kind, spans in ((DutyKind.OFFICE, hours.office), (DutyKind.DUTY, hours.duty)):
        for span in spans:
            if _instant(roster, day.date, span.start) <= at < _instant(roster, day.date, span.end):
                return kind
    return DutyKind.CLOSED


def _cuts(roster: Roster, hotline: str, day: date) -> Iterator[float]:
    """Every instant of this day at which the answer may change; others may be among them."""
    line = _hotline(roster, hotline)
    hours = hours_of(roster, hotline, day_of(roster.calendar, day).kind)
    for span in (*hours.office, *hours.duty):
        yield _instant(roster, day, span.start)
        yield _instant(roster, day, span.end)
    for rotation in roster.rotations:
        if rotation.name == line.rotation:
            yield _instant(roster, day, rotation.handover)
    for override in roster.overrides:
        yield override.start
        yield override.end


# --- the ladder ---------------------------------------------------------------------------------------------------


def _ladder(roster: Roster, line: Hotline, at: float) -> tuple[tuple[Rung, ...], tuple[Reason, ...]]:
    people = {person.id: person for person in roster.people}
    reasons: list[Reason] = []
    rungs: list[Rung] = []
    override = _override_at(roster, line.name, at)
    if override is not None:
        chosen = people.get(override.person)
        if chosen is not None and usable(roster, chosen):
            rungs.append(_rung(chosen, Role.PRIMARY, Reason.OVERRIDE))
            reasons.append(Reason.OVERRIDE)
        else:
            reasons.append(Reason.OVERRIDE_UNUSABLE)
    rotation = _rotation_at(roster, line.rotation, at)
    if rotation is None or not rotation.people:
        reasons.append(Reason.NO_ROTATION)
    else:
        rungs = _fill(roster, rotation, _turn(roster, rotation, at), rungs)
        if rungs and Reason.OVERRIDE not in reasons:
            reasons.append(rungs[0].reason)
    supervisor = people.get(line.supervisor)
    if supervisor is not None and usable(roster, supervisor):
        if not rungs:
            reasons.append(Reason.SUPERVISOR_FALLBACK)
            rungs.append(_rung(supervisor, Role.SUPERVISOR, Reason.SUPERVISOR_FALLBACK))
        elif supervisor.number not in {rung.number for rung in rungs}:
            rungs.append(_rung(supervisor, Role.SUPERVISOR, Reason.SUPERVISOR))
    if not rungs:
        reasons.append(Reason.NOBODY)
    return tuple(rungs), tuple(reasons)


def _fill(roster: Roster, rotation: Rotation, turn: int, above: list[Rung]) -> list[Rung]:
    """The rungs of `above` (an override), then those of the rotation, up to one primary and `backups`."""
    rungs = list(above)
    reason = Reason.ROTATION
    for person in _in_order(roster, rotation, turn, absent=bool(above)):
        if len(rungs) > rotation.backups:
            break
        if person is None:
            reason = Reason.SUBSTITUTE
        elif person.number not in {rung.number for rung in rungs}:
            rungs.append(_rung(person, Role.BACKUP if rungs else Role.PRIMARY, reason))
            reason = Reason.ROTATION
    return rungs


def _in_order(roster: Roster, rotation: Rotation, turn: int, *, absent: bool) -> Iterator[Person | None]:
    """Everybody of the rotation from this turn on, None for who cannot be called.

    Whose turn an override took over comes last: they said they cannot.
    """
    people = {person.id: person for person in roster.people}
    order = rotation.people[turn:] + rotation.people[:turn]
    if absent:
        order = order[1:] + order[:1]
    for name in order:
        person = people.get(name)
        yield person if person is not None and usable(roster, person) else None


def _rung(person: Person, role: Role, reason: Reason) -> Rung:
    return Rung(person.id, person.name, person.number, role, reason)


def usable(roster: Roster, person: Person) -> bool:
    """Whether duty calls may go to this person: active, with a number that may be dialled."""
    return person.active and bool(person.number) and number_allowed(roster, person.number)


def number_allowed(roster: Roster, number: str) -> bool:
    """Whether a number may be dialled: it matches the allowed pattern and is not one of the hotlines' own."""
    if _NUMBER.fullmatch(number) is None or re.fullmatch(roster.allowed, number) is None:
        return False
    return not any(number in line.numbers for line in roster.hotlines)


def _override_at(roster: Roster, hotline: str, at: float) -> Override | None:
    live = [o for o in roster.overrides if o.start <= at < o.end and o.hotline in {hotline, ""}]
    return max(live, key=lambda o: (o.hotline != "", o.start, o.id), default=None)


def _rotation_at(roster: Roster, name: str, at: float) -> Rotation | None:
    begun = [r for r in roster.rotations if name and r.name == name and _begins(roster, r) <= at]
    return max(begun, key=lambda r: r.starts, default=None)


def _first_handover(rotation: Rotation) -> date:
    """The handover day of the week that contains `starts`."""
    return rotation.starts - timedelta(days=(rotation.starts.weekday() - rotation.weekday) % 7)


def _begins(roster: Roster, rotation: Rotation) -> float:
    """From when this version holds: the handover on `starts`, or its midnight when that is no handover day."""
    first = _first_handover(rotation)
    minutes = rotation.handover if first == rotation.starts else 0
    return _instant(roster, rotation.starts, minutes)


def _turn(roster: Roster, rotation: Rotation, at: float) -> int:
    """Index of whose week it is."""
    first = _first_handover(rotation)
    weeks = (local_date(roster, at) - first).days // 7
    if at < _instant(roster, first + timedelta(weeks=weeks), rotation.handover):
        weeks -= 1
    return weeks % len(rotation.people)


def rotations_named(roster: Roster, name: str) -> Iterable[Rotation]:
    """All versions of a rotation, earliest first."""
    return sorted((r for r in roster.rotations if r.name == name), key=lambda r: r.starts)
