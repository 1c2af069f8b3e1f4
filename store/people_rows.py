"""Pure: `routing`'s types to rows of the people side's tables and back, and what a change comes to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from routing.calendar import DayKind, OwnDay
from routing.model import MINUTES_A_DAY, Hotline, Hours, Override, Person, Rotation, Span
from store import tables

Row = Mapping[str, Any]
Rows = dict[Table, list[Row]]

TURN_DAYS = 7


def rows_of_people(people: Iterable[Person]) -> Rows:
    """Rows of `people` and `person_queues`; an empty PIN gives no PIN columns, so the stored one stays."""
    rows: Rows = {tables.people: [], tables.person_queues: []}
    for person in people:
        row = {"id": person.id, "name": person.name, "mobile": person.number, "active": person.active}
        if person.pin:
            row["pin_salt"], _, row["pin_sha1"] = person.pin.partition(":")
        rows[tables.people].append(row)
        rows[tables.person_queues] += [
            {"person": person.id, "queue": queue, "penalty": penalty} for queue, penalty in person.queues
        ]
    return rows


def rows_of_hotlines(hotlines: Iterable[Hotline]) -> Rows:
    """Rows of `hotlines` and `hotline_numbers`."""
    rows: Rows = {tables.hotlines: [], tables.hotline_numbers: []}
    for line in hotlines:
        rows[tables.hotlines].append(
            {
                "name": line.name,
                "queue": line.queue,
                "rotation": line.rotation,
                "supervisor": line.supervisor or None,
            }
        )
        rows[tables.hotline_numbers] += [
            {"did": did, "hotline": line.name, "ordinal": n} for n, did in enumerate(line.numbers)
        ]
    return rows


def rows_of_hours(hours: Iterable[Hours]) -> Rows:
    """Rows of `hours`; a day with neither office nor duty is one row `closed`, told apart from a day not stored."""
    rows: list[Row] = []
    for one in hours:
        spans = [("office", span) for span in one.office] + [("duty", span) for span in one.duty]
        rows += [
            {
                "hotline": one.hotline,
                "day": one.day.value,
                "kind": kind,
                "from_minute": span.start,
                "to_minute": span.end,
            }
            for kind, span in spans or [("closed", Span(0, MINUTES_A_DAY))]
        ]
    return {tables.hours: rows}


def rows_of_rotations(rotations: Iterable[Rotation]) -> Rows:
    """Rows of `rotations` and `rotation_members`."""
    rows: Rows = {tables.rotations: [], tables.rotation_members: []}
    for one in rotations:
        rows[tables.rotations].append(
            {
                "name": one.name,
                "starts": one.starts,
                "turn_days": TURN_DAYS,
                "weekday": one.weekday,
                "handover": one.handover,
                "backups": one.backups,
            }
        )
        rows[tables.rotation_members] += [
            {"rotation": one.name, "starts": one.starts, "ordinal": n, "person": person}
            for n, person in enumerate(one.people)
        ]
    return rows


def rows_of_overrides(overrides: Iterable[Override]) -> Rows:
    """Rows of `duty_overrides`; instants to the microsecond, as the database keeps them."""
    return {
        tables.duty_overrides: [
            {
                "id": one.id,
                "hotline": one.hotline,
                "start": round(one.start, 6),
                "end": round(one.end, 6),
                "person": one.person,
                "note": one.note,
            }
            for one in overrides
        ]
    }


def rows_of_days(days: Iterable[OwnDay]) -> Rows:
    """Rows of `calendar_days`."""
    return {
        tables.calendar_days: [
            {
                "date": day.date,
                "source": "official" if day.official else "company",
                "kind": day.kind.value,
                "name": day.name,
            }
            for day in days
        ]
    }


def people_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[Person, ...]:
    """People with their queues."""
    queues: dict[str, list[tuple[str, int]]] = {}
    for row in rows[tables.person_queues]:
        queues.setdefault(row.person, []).append((row.queue, row.penalty))
    return tuple(
        Person(
            id=row.id,
            name=row.name,
            number=row.mobile,
            active=row.active,
            pin=f"{row.pin_salt}:{row.pin_sha1}" if row.pin_sha1 else "",
            queues=tuple(queues.get(row.id, ())),
        )
        for row in rows[tables.people]
    )


def hotlines_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[Hotline, ...]:
    """Hotlines with their numbers, in the order they were given."""
    numbers: dict[str, list[str]] = {}
    for row in sorted(rows[tables.hotline_numbers], key=lambda row: int(row.ordinal)):
        numbers.setdefault(row.hotline, []).append(row.did)
    return tuple(
        Hotline(row.name, tuple(numbers.get(row.name, ())), row.queue, row.rotation, row.supervisor or "")
        for row in rows[tables.hotlines]
    )


def hours_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[Hours, ...]:
    """Hours by hotline and kind of day."""
    spans: dict[tuple[str, str], dict[str, list[Span]]] = {}
    for row in rows[tables.hours]:
        kinds = spans.setdefault((row.hotline, row.day), {"office": [], "duty": [], "closed": []})
        kinds[row.kind].append(Span(row.from_minute, row.to_minute))
    return tuple(
        Hours(hotline, DayKind(day), tuple(sorted(kinds["office"])), tuple(sorted(kinds["duty"])))
        for (hotline, day), kinds in spans.items()
    )


def rotations_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[Rotation, ...]:
    """Every version of every rotation, with its people in order."""
    people: dict[tuple[str, object], list[str]] = {}
    for row in sorted(rows[tables.rotation_members], key=lambda row: int(row.ordinal)):
        people.setdefault((row.rotation, row.starts), []).append(row.person)
    return tuple(
        Rotation(
            name=row.name,
            starts=row.starts,
            people=tuple(people.get((row.name, row.starts), ())),
            weekday=row.weekday,
            handover=row.handover,
            backups=row.backups,
        )
        for row in rows[tables.rotations]
    )


def overrides_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[Override, ...]:
    """Overrides, the earliest first."""
    found = sorted(rows[tables.duty_overrides], key=lambda row: (float(row.start), str(row.id)))
    return tuple(Override(row.id, row.hotline, row.start, row.end, row.person, row.note) for row in found)


def days_of(rows: Mapping[Table, Sequence[Any]]) -> tuple[OwnDay, ...]:
    """Calendar rows by date."""
    return tuple(
        OwnDay(row.date, DayKind(row.kind), official=row.source == "official", name=row.name)
        for row in rows[tables.calendar_days]
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a change comes to in one table; `removed` people are only marked inactive, for records name them."""

    inserted: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class TableChange:
    """Rows to write into one table; `removed` holds primary keys."""

    inserted: tuple[Row, ...]
    updated: tuple[Row, ...]
    removed: tuple[tuple[Any, ...], ...]
    unchanged: int

    @property
    def counts(self) -> Counts:
        """The numbers for people."""
        return Counts(len(self.inserted), len(self.updated), len(self.removed), self.unchanged)


def change_of(table: Table, stored: Iterable[Row], wanted: Iterable[Row]) -> TableChange:
    """What makes the stored rows the wanted ones; columns that a wanted row lacks keep their value."""
    key_names = [column.name for column in table.primary_key]
    before = {tuple(row[name] for name in key_names): row for row in stored}
    inserted, updated, unchanged = [], [], 0
    for row in wanted:
        old = before.pop(tuple(row[name] for name in key_names), None)
        if old is None:
            inserted.append(row)
        elif any(old[name] != value for name, value in row.items()):
            updated.append(row)
        else:
            unchanged += 1
    gone = tuple(key for key, row in before.items() if row.get("active", True))
    unchanged += len(before) - len(gone)
    return TableChange(tuple(inserted), tuple(updated), gone, unchanged)
