"""What must stand in the PBX's AstDB, computed ahead of time, so that no call ever waits for us.

A row, one for each hotline and local date (family `cti-duty/<hotline>`, key `<yyyymmdd>`), is complete in itself:

    1|<first 8 hex digits of the MD5 of rest>|<rest>

and rest is `;`-separated segments, sorted, end exclusive, together the whole local day:

    <start epoch>-<end epoch>:o                          the queue
    <start epoch>-<end epoch>:d:<number>&<number>…       the duty ladder, in the order of calling
    <start epoch>-<end epoch>:c                          closed: announcement and a call-back

A row is at most 900 bytes, because a line of an AMI action ends at 1,024. Ladders that do not fit lose their last
rungs, the longest first, and that is a problem on the list; a row that still does not fit is left out, and the
dialplan's built-in rule (queue in office hours, else the supervisor) takes the calls of that day.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from routing.model import Hotline, Person, Roster
from routing.problems import Problem, ProblemKind, dates, supervisor_number
from routing.roster import Duty, DutyKind, segments

MAX_ROW = 900  # bytes
Entry = tuple[str, str]  # (family, key)

TREES = ("cti-agent", "cti-duty", "cti-hotline", "cti-hotline-queue", "cti-supervisor")
"""Top families that belong to the publisher; everything else in AstDB is somebody else's."""

_FLAT = frozenset({"cti-hotline", "cti-hotline-queue", "cti-supervisor"})
_AGENT_KEYS = frozenset({"pin", "queues", "name"})
_LETTER = {DutyKind.OFFICE: "o", DutyKind.DUTY: "d", DutyKind.CLOSED: "c"}
_KIND = {letter: kind for kind, letter in _LETTER.items()}
_SEGMENT = re.compile(r"([0-9]{9,11})-([0-9]{9,11}):(?:([oc])|d:(\+?[0-9]{3,20}(?:&\+?[0-9]{3,20})*))")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


class BadRow(ValueError):
    """A text that is not a row; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a row. Epoch seconds, end exclusive."""

    start: int
    end: int
    kind: DutyKind
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that must be in AstDB, and what could not be put there as it should."""

    entries: dict[Entry, str]
    problems: tuple[Problem, ...]


def plan(roster: Roster, first: date, days: int) -> Plan:
    """Entries for the agents, the hotlines and `days` local dates of rows from `first` on."""
    wanted: dict[Entry, str] = {}
    for person in roster.people:
        wanted.update(_agent(person))
    for line in roster.hotlines:
        wanted.update(_line(roster, line))
    found: list[Problem] = []
    for (hotline, key), row in _rows(roster, first, days, found).items():
        wanted[f"cti-duty/{hotline}", key] = row
    return Plan(wanted, tuple(found))


def entries(roster: Roster, first: date, days: int) -> dict[Entry, str]:
    """The entries of `plan`: (family, key) to value."""
    return plan(roster, first, days).entries


def rows(roster: Roster, first: date, days: int) -> dict[tuple[str, str], str]:
    """The duty rows alone: (hotline, yyyymmdd) to row."""
    return _rows(roster, first, days, [])


def owned(family: str, key: str) -> bool:
    """Whether this AstDB entry is one that the publisher may change or delete."""
    top, slash, rest = family.partition("/")
    if not slash:
        return family in _FLAT
    return bool(rest) and (top == "cti-duty" or (top == "cti-agent" and key in _AGENT_KEYS))


def diff(wanted: Mapping[Entry, str], present: Mapping[Entry, str]) -> tuple[dict[Entry, str], list[Entry]]:
    """What to put and what to delete, so that what we own becomes as wanted; others' entries stay."""
    puts = {entry: value for entry, value in wanted.items() if present.get(entry) != value}
    deletes = [entry for entry in present if entry not in wanted and owned(*entry)]
    return puts, sorted(deletes)


def format_row(parts: Iterable[Segment]) -> str:
    """The row's text."""
    rest = ";".join(_format_segment(part) for part in parts)
    return f"1|{_checksum(rest)}|{rest}"


def parse_row(text: str) -> tuple[Segment, ...]:
    """The segments of a row.

    Raises:
        BadRow: wrong version, checksum, form or order.
    """
    version, _, tail = text.partition("|")
    checksum, _, rest = tail.partition("|")
    if version != "1":
        raise BadRow(f"version {version[:8]!r} is not 1")
    if checksum != _checksum(rest):
        raise BadRow(f"checksum {checksum[:16]!r} is not that of the rest")
    parts = tuple(_parse_segment(part) for part in rest.split(";"))
    for before, after in itertools.pairwise(parts):
        if before.end != after.start:
            raise BadRow(f"a gap or an overlap at {before.end}")
    return parts


def at_instant(parts: Iterable[Segment], at: float) -> Segment | None:
    """The segment of a row that holds at an instant (epoch seconds)."""
    return next((part for part in parts if part.start <= at < part.end), None)


def segments_of(duties: Iterable[Duty]) -> list[Segment]:
    """What a row says of a day: neighbours that send calls to the same numbers are one segment."""
    merged: list[Segment] = []
    for duty in duties:
        numbers = tuple(rung.number for rung in duty.ladder)
        part = Segment(int(duty.start), int(duty.end), duty.kind, numbers)
        if part.start == part.end:
            continue
        if merged and (merged[-1].kind, merged[-1].numbers) == (part.kind, part.numbers):
            part = Segment(merged.pop().start, part.end, part.kind, part.numbers)
        merged.append(part)
    return merged


def _rows(roster: Roster, first: date, days: int, found: list[Problem]) -> dict[tuple[str, str], str]:
    made: dict[tuple[str, str], str] = {}
    for line in roster.hotlines:
        for day in dates(first, days):
            row = _fit(segments_of(segments(roster, line.name, day)), line.name, day, found)
            if row is not None:
                made[line.name, f"{day:%Y%m%d}"] = row
    return made


def _fit(parts: list[Segment], hotline: str, day: date, found: list[Problem]) -> str | None:
    """The row, with ladders cut from the end until it is short enough; None when it cannot be."""
    subject = f"hotline {hotline} on {day}"
    row = format_row(parts)
    if len(row) <= MAX_ROW:
        return row
    longest = max(len(part.numbers) for part in parts)
    for keep in range(longest - 1, 0, -1):
        row = format_row(Segment(p.start, p.end, p.kind, p.numbers[:keep]) for p in parts)
        if len(row) <= MAX_ROW:
            cure = f"only the first {keep} of {longest} numbers fit; name fewer backups or fewer overrides"
            found.append(Problem(ProblemKind.LADDER_CUT, subject, day, cure))
            return row
    cure = (
        f"{len(parts)} changes in one day do not fit; until there are fewer the PBX's built-in rule decides"
    )
    found.append(Problem(ProblemKind.ROW_TOO_LONG, subject, day, cure))
    return None


def _format_segment(part: Segment) -> str:
    numbers = f":{'&'.join(part.numbers)}" if part.kind is DutyKind.DUTY else ""
    return f"{part.start}-{part.end}:{_LETTER[part.kind]}{numbers}"


def _parse_segment(text: str) -> Segment:
    match = _SEGMENT.fullmatch(text)
    if match is None:
        raise BadRow(f"{text[:60]!r} is not a segment")
    start, end = int(match[1]), int(match[2])
    if start >= end:
        raise BadRow(f"{text[:60]!r} ends before it begins")
    return Segment(start, end, _KIND[match[3] or "d"], tuple(match[4].split("&")) if match[4] else ())


def _checksum(rest: str) -> str:
    return hashlib.md5(rest.encode(), usedforsecurity=False).hexdigest()[:8]


def _agent(person: Person) -> dict[Entry, str]:
    """The entries of somebody who may log in; an inactive person has none, so their login ends."""
    family = f"cti-agent/{person.id}"
    if not person.active or not (person.pin or person.queues):
        return {}
    queues = "&".join(f"{queue}:{penalty}" for queue, penalty in person.queues)
    values = {"pin": person.pin, "queues": queues, "name": _UNPRINTABLE.sub(" ", person.name).strip()}
    return {(family, key): value for key, value in values.items() if value}


def _line(roster: Roster, line: Hotline) -> dict[Entry, str]:
    wanted = {("cti-hotline", number): line.name for number in line.numbers}
    if line.queue:
        wanted["cti-hotline-queue", line.name] = line.queue
    if number := supervisor_number(roster, line):
        wanted["cti-supervisor", line.name] = number
    return wanted
