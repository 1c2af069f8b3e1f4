"""`cti import FILE [--apply]`: says what a file of people and rosters would change, and changes it when told to.

Two steps, so that nobody has to guess: `plan_import` reads, checks and compares, without writing; `apply_import`
makes the plan stand, all or nothing. A running daemon notices the new roster by itself and publishes it.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from cti.daemon.roster_file import Reader, read
from routing.calendar import OwnDay
from routing.model import ALLOWED_NUMBERS, Hours, Person, Rotation, Span, format_spans
from routing.problems import Problem as RosterProblem
from routing.problems import problems
from routing.roster import local_date
from store import Store
from store.people import Counts, PeoplePart, PeopleSnapshot

_LOOK_AHEAD = 60  # days
_NOT_THERE = "not in the file"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that would be different."""

    part: str  # people, hotlines, hours, rotations, overrides, calendar
    what: str  # added, changed, deactivated, removed
    key: str
    detail: str = ""  # for people; never a PIN

    def __str__(self) -> str:
        return f"{self.what:<11} {self.part}: {self.key}{f' ({self.detail})' if self.detail else ''}"


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What a file would do."""

    part: PeoplePart
    changes: tuple[Change, ...]
    unchanged: int  # things the file and the database agree on
    problems: tuple[RosterProblem, ...]  # of the roster as it would be, for the coming weeks

    @property
    def lines(self) -> list[str]:
        """The plan for people."""
        told = [str(change) for change in self.changes]
        told += [f"warning     {p.kind.value} from {p.since}: {p.subject}: {p.cure}" for p in self.problems]
        counts = [f"{sum(1 for c in self.changes if c.what == what)} {what}" for what in _WHAT]
        return [*told, f"{', '.join(counts)}, {self.unchanged} unchanged"]

    def as_dict(self) -> dict[str, Any]:
        """The plan for scripts."""
        return {
            "changes": [
                {"part": c.part, "what": c.what, "key": c.key, "detail": c.detail} for c in self.changes
            ],
            "unchanged": self.unchanged,
            "problems": [
                {"kind": p.kind.value, "subject": p.subject, "since": str(p.since), "cure": p.cure}
                for p in self.problems
            ],
        }


_WHAT = ("added", "changed", "deactivated", "removed")


async def plan_import(
    store: Store,
    path: Path,
    *,
    timezone: str = "Asia/Shanghai",
    allowed: str = ALLOWED_NUMBERS,
    environ: Mapping[str, str] | None = None,
    now: float | None = None,
) -> ImportPlan:
    """What importing a file would change; nothing is written.

    Args:
        store: the open database.
        path: the TOML file, see `config/people.example.toml`.
        timezone: of local times in the file (settings.duty.timezone).
        allowed: regular expression of numbers that may be dialled.
        environ: where `pin_env` looks; the process's own if not given.
        now: epoch seconds, for the warnings about the coming weeks.

    Raises:
        FileRefused: with every problem of the file. StoreError: the database cannot be read.
    """
    file = read(path)
    stored = await store.people.load()
    part = Reader(file, stored, timezone, os.environ if environ is None else environ, allowed).part()
    changes = tuple(_changes(stored, part))
    roster = _as_it_would_be(stored, part).roster(timezone, allowed)
    today = local_date(roster, time.time() if now is None else now)
    warnings = tuple(problems(roster, today, _LOOK_AHEAD))
    return ImportPlan(part, changes, _known(part) - _touched(changes), warnings)


async def apply_import(store: Store, plan: ImportPlan) -> Mapping[str, Counts]:
    """Make the plan stand in the database, all or nothing; counts by table. Raises StoreError."""
    return await store.people.replace(plan.part)


def _as_it_would_be(stored: PeopleSnapshot, part: PeoplePart) -> PeopleSnapshot:
    given = {f.name: getattr(part, f.name) for f in fields(part) if getattr(part, f.name) is not None}
    kept = {f.name: getattr(stored, f.name) for f in fields(stored)}
    if part.people is not None:
        named = {one.id for one in part.people}
        gone = (replace(one, active=False, queues=()) for one in stored.people if one.id not in named)
        given["people"] = (*part.people, *gone)
    return PeopleSnapshot(**(kept | given))


def _known(part: PeoplePart) -> int:
    return sum(len(getattr(part, f.name) or ()) for f in fields(part))


def _touched(changes: Iterable[Change]) -> int:
    return sum(1 for change in changes if change.detail != _NOT_THERE)


def _changes(stored: PeopleSnapshot, part: PeoplePart) -> Iterator[Change]:
    yield from _of_people(stored.people, part.people)
    yield from _of("hotlines", stored.hotlines, part.hotlines, lambda one: one.name)
    yield from _of("hours", stored.hours, part.hours, lambda one: f"{one.hotline} on a {one.day.value}")
    yield from _of("rotations", stored.rotations, part.rotations, lambda one: f"{one.name} from {one.starts}")
    yield from _of("overrides", stored.overrides, part.overrides, lambda one: one.id)
    yield from _of("calendar", stored.days, part.days, lambda one: f"{one.date} {_source(one)}")


def _of_people(stored: tuple[Person, ...], wanted: tuple[Person, ...] | None) -> Iterator[Change]:
    """People are never removed, for records name them."""
    if wanted is None:
        return
    before, after = {one.id: one for one in stored}, {one.id: one for one in wanted}
    for key, one in after.items():
        title = f"{key} {one.name}"
        if key not in before:
            yield Change("people", "added", title, _detail(one))
        elif detail := ", ".join(_person_differences(before[key], one)):
            gone = before[key].active and not one.active
            yield Change("people", "deactivated" if gone else "changed", title, detail)
    for key, one in before.items():
        if key not in after and one.active:
            yield Change("people", "deactivated", f"{key} {one.name}", _NOT_THERE)


def _person_differences(before: Person, after: Person) -> Iterator[str]:
    for name in ("name", "number", "active"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_shown(old)} → {_shown(new)}"
    if dict(before.queues) != dict(after.queues):
        yield f"queues {_shown(before.queues)} → {_shown(after.queues)}"
    if after.pin and after.pin != before.pin:
        yield "a new PIN"


def _of(
    part: str, stored: tuple[T, ...], wanted: tuple[T, ...] | None, key_of: Callable[[T], str]
) -> Iterator[Change]:
    if wanted is None:
        return
    before, after = {key_of(one): one for one in stored}, {key_of(one): one for one in wanted}
    for key, one in after.items():
        if key not in before:
            yield Change(part, "added", key, _detail(one))
        elif before[key] != one:
            yield Change(part, "changed", key, ", ".join(_differences(before[key], one)))
    for key in sorted(before.keys() - after.keys()):
        yield Change(part, "removed", key, _NOT_THERE)


def _differences(before: Any, after: Any) -> Iterator[str]:
    for field in fields(before):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old != new:
            yield f"{field.name} {_shown(old)} → {_shown(new)}"


def _detail(one: Any) -> str:
    match one:
        case Person():
            told = [one.number, _shown(one.queues) if one.queues else "", "with a PIN" if one.pin else ""]
            return ", ".join([*filter(None, told), *([] if one.active else ["inactive"])])
        case Hours():
            return f"office {format_spans(one.office) or 'never'}, duty {format_spans(one.duty) or 'never'}"
        case Rotation():
            return " → ".join(one.people)
        case OwnDay():
            return f"{one.kind.value} {one.name}".strip()
    return ""


def _source(day: OwnDay) -> str:
    return "official" if day.official else "company"


def _shown(value: Any) -> str:
    match value:
        case "" | ():
            return "nothing"
        case bool():
            return "yes" if value else "no"
        case (Span(), *_):
            return format_spans(value)
        case tuple():
            return "&".join(":".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)
    return str(value)
