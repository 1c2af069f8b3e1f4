"""People, hotlines, rotas and calendars: read whole in one transaction, replaced part by part in one.

snapshot = await store.people.load()
roster = snapshot.roster(timezone="Asia/Shanghai")
counts = await store.people.replace(PeoplePart(people=…, hotlines=…), dry_run=True)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from routing.calendar import OwnDay, calendar_of
from routing.model import ALLOWED_NUMBERS, Hotline, Hours, Override, Person, Roster, Rotation
from store import people_rows, tables
from store.engine import Database
from store.errors import StoreError
from store.people_rows import Counts, Rows, TableChange

__all__ = ["Counts", "People", "PeoplePart", "PeopleSnapshot"]

_TABLES: tuple[Table, ...] = (  # parents before children
    tables.people,
    tables.person_queues,
    tables.hotlines,
    tables.hotline_numbers,
    tables.hours,
    tables.rotations,
    tables.rotation_members,
    tables.calendar_days,
    tables.duty_overrides,
)


@dataclass(frozen=True, slots=True)
class PeopleSnapshot:
    """Everything of the people side, as it stood at one moment."""

    people: tuple[Person, ...] = ()
    hotlines: tuple[Hotline, ...] = ()
    hours: tuple[Hours, ...] = ()
    rotations: tuple[Rotation, ...] = ()
    overrides: tuple[Override, ...] = ()
    days: tuple[OwnDay, ...] = ()

    def roster(self, timezone: str, allowed: str = ALLOWED_NUMBERS) -> Roster:
        """What `routing` decides from; `timezone` and `allowed` come from the configuration."""
        return Roster(
            people=self.people,
            hotlines=self.hotlines,
            hours=self.hours,
            rotations=self.rotations,
            overrides=self.overrides,
            calendar=calendar_of(self.days),
            timezone=timezone,
            allowed=allowed,
        )


@dataclass(frozen=True, slots=True)
class PeoplePart:
    """What is to stand in the database: each given part replaces the stored one wholly; None leaves it alone.

    People who are not in a given `people` become inactive and lose their queues; they stay, for records name them. An
    empty `Person.pin` keeps the stored PIN.
    """

    people: tuple[Person, ...] | None = None
    hotlines: tuple[Hotline, ...] | None = None
    hours: tuple[Hours, ...] | None = None
    rotations: tuple[Rotation, ...] | None = None
    overrides: tuple[Override, ...] | None = None
    days: tuple[OwnDay, ...] | None = None


class People:
    """Reads and replaces the people side."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> PeopleSnapshot:
        """Everything, read in one transaction. Raises StoreError."""
        async with self._database.read() as connection:
            rows = {table: (await connection.execute(_all(table))).all() for table in _TABLES}
        return PeopleSnapshot(
            people=people_rows.people_of(rows),
            hotlines=people_rows.hotlines_of(rows),
            hours=people_rows.hours_of(rows),
            rotations=people_rows.rotations_of(rows),
            overrides=people_rows.overrides_of(rows),
            days=people_rows.days_of(rows),
        )

    async def replace(self, part: PeoplePart, *, dry_run: bool = False) -> Mapping[str, Counts]:
        """Make the given parts stand in the database, all or nothing.

        Args:
            part: what is wanted.
            dry_run: only say what would change.

        Returns:
            Counts by table name, of the tables the given parts are kept in.

        Raises:
            StoreError: the database cannot be used, or a row refers to somebody who is not there.
        """
        wanted = _rows_of(part)
        if dry_run:
            async with self._database.read() as connection:
                changes = await _changes(connection, wanted)
        else:
            async with self._database.write() as connection:
                changes = await _changes(connection, wanted)
                await _apply(connection, changes)
        return {table.name: change.counts for table, change in changes.items()}


def _all(table: Table) -> Any:
    return select(table).order_by(*table.primary_key)


def _rows_of(part: PeoplePart) -> Rows:
    builders: tuple[tuple[Iterable[Any] | None, Callable[[Any], Rows]], ...] = (
        (part.people, people_rows.rows_of_people),
        (part.hotlines, people_rows.rows_of_hotlines),
        (part.hours, people_rows.rows_of_hours),
        (part.rotations, people_rows.rows_of_rotations),
        (part.days, people_rows.rows_of_days),
        (part.overrides, people_rows.rows_of_overrides),
    )
    rows: Rows = {}
    for given, build in builders:
        if given is not None:
            rows |= build(given)
    _refuse_twins(rows)
    return rows


def _refuse_twins(rows: Rows) -> None:
    for table, wanted in rows.items():
        names = [column.name for column in table.primary_key]
        seen = set()
        for row in wanted:
            key = tuple(row[name] for name in names)
            if key in seen:
                shown = ", ".join(f"{name} {value}" for name, value in zip(names, key, strict=True))
                raise StoreError(f"{table.name}: {shown} is given twice; keep one of the two")
            seen.add(key)


async def _changes(connection: AsyncConnection, wanted: Rows) -> dict[Table, TableChange]:
    changes: dict[Table, TableChange] = {}
    for table in _TABLES:
        if table in wanted:
            stored = [row._asdict() for row in (await connection.execute(_all(table))).all()]
            changes[table] = people_rows.change_of(table, stored, wanted[table])
    return changes


async def _apply(connection: AsyncConnection, changes: dict[Table, TableChange]) -> None:
    for table, change in changes.items():
        for row in change.updated:
            keys = [column == row[column.name] for column in table.primary_key]
            await connection.execute(update(table).where(*keys).values(**row))
        if change.inserted:
            await connection.execute(insert(table), [_with_defaults(table, row) for row in change.inserted])
    for table in reversed(
        list(changes)
    ):  # at last, for what moved to another parent must not go with the old one
        await _remove(connection, table, changes[table])


async def _remove(connection: AsyncConnection, table: Table, change: TableChange) -> None:
    if not change.removed:
        return
    columns = list(table.primary_key)
    where = [column == bindparam(f"key_{column.name}") for column in columns]
    statement = delete(table) if table is not tables.people else update(table).values(active=False)
    names = [f"key_{column.name}" for column in columns]
    keys = [dict(zip(names, key, strict=True)) for key in change.removed]
    await connection.execute(statement.where(*where), keys)


_PERSON_DEFAULTS = {"pin_salt": "", "pin_sha1": "", "role": "agent", "entered_on": None}


def _with_defaults(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    return {**_PERSON_DEFAULTS, **row} if table is tables.people else dict(row)
