"""The people side: read whole, replaced part by part, all or nothing."""

import asyncio
from dataclasses import replace
from datetime import date

import pytest

from routing.calendar import DayKind, DayReason, OwnDay, lookup
from routing.model import Hotline, Hours, Override, Person, Rotation, Span
from store import Store, StoreError
from store.people import Counts, PeoplePart, PeopleSnapshot
from tests.store import made
from tests.store.databases import Database

PEOPLE = (
    Person("2001", "张三", "13900000001", pin="s1:aa", queues=(("sales", 0), ("support", 1))),
    Person("2002", "李四", "13900000002", active=False),
    Person("2003", "王五"),
)
WHOLE = PeopleSnapshot(
    people=PEOPLE,
    hotlines=(
        Hotline("day", ("4002", "4001"), queue="sales", rotation="week", supervisor="2003"),
        Hotline("night", ()),
    ),
    hours=(
        Hours("day", DayKind.DAY_OFF),
        Hours("day", DayKind.WORKDAY, (Span(540, 720), Span(780, 1080)), (Span(480, 1260),)),
    ),
    rotations=(
        Rotation("week", date(2025, 1, 6), ("2001", "2003")),
        Rotation("week", date(2025, 3, 3), ("2003", "2001", "2003"), weekday=2, handover=510, backups=0),
    ),
    overrides=(Override("o1", "", 1.7e9 + 0.25, 1.7e9 + 3600, "2003", "swap"),),
    days=(
        OwnDay(date(2027, 1, 1), DayKind.DAY_OFF, name="company day"),
        OwnDay(date(2027, 1, 1), DayKind.DAY_OFF, official=True, name="元旦"),
    ),
)


def part_of(snapshot: PeopleSnapshot) -> PeoplePart:
    return PeoplePart(
        people=snapshot.people,
        hotlines=snapshot.hotlines,
        hours=snapshot.hours,
        rotations=snapshot.rotations,
        overrides=snapshot.overrides,
        days=snapshot.days,
    )


async def test_what_is_replaced_is_read_back(store: Store) -> None:
    """Everything of the people side comes back as it was given."""
    assert await store.people.load() == PeopleSnapshot()
    counts = await store.people.replace(part_of(WHOLE))
    assert await store.people.load() == WHOLE
    assert counts["people"] == Counts(inserted=3)
    assert counts["rotation_members"] == Counts(inserted=5)
    again = await store.people.replace(part_of(WHOLE))
    assert all(one == Counts(unchanged=one.unchanged) for one in again.values())


async def test_a_dry_run_counts_and_changes_nothing(store: Store) -> None:
    """A dry run says exactly what the real one then does."""
    foreseen = await store.people.replace(part_of(WHOLE), dry_run=True)
    assert await store.people.load() == PeopleSnapshot()
    assert await store.people.replace(part_of(WHOLE)) == foreseen


async def test_parts_not_given_are_left_alone(store: Store) -> None:
    """Replacing the calendar leaves people and rotas alone."""
    await store.people.replace(part_of(WHOLE))
    counts = await store.people.replace(PeoplePart(days=()))
    assert counts == {"calendar_days": Counts(removed=2)}
    assert await store.people.load() == replace(WHOLE, days=())


async def test_people_who_left_become_inactive(store: Store) -> None:
    """A person who is no longer named stays on record, inactive and in no queue, and is counted once."""
    await store.people.replace(part_of(WHOLE))
    for removed in (1, 0):
        counts = await store.people.replace(PeoplePart(people=PEOPLE[1:]))
        assert counts["people"] == Counts(removed=removed, unchanged=3 - removed)
    first = (await store.people.load()).people[0]
    assert first == replace(PEOPLE[0], active=False, queues=())


async def test_an_empty_pin_keeps_the_stored_one(store: Store) -> None:
    """C1: importing people without PINs locks nobody out; a new PIN replaces the old."""
    await store.people.replace(PeoplePart(people=PEOPLE))
    await store.people.replace(PeoplePart(people=(replace(PEOPLE[0], pin="", name="张三丰"), *PEOPLE[1:])))
    assert (await store.people.load()).people[0] == replace(PEOPLE[0], name="张三丰")
    await store.people.replace(PeoplePart(people=(replace(PEOPLE[0], pin="s2:bb"), *PEOPLE[1:])))
    assert (await store.people.load()).people[0].pin == "s2:bb"


async def test_a_change_is_all_or_nothing(store: Store) -> None:
    """A rota that names nobody we know is refused, and nothing of that change stays."""
    await store.people.replace(part_of(WHOLE))
    wrong = PeoplePart(days=(), rotations=(Rotation("week", date(2025, 1, 6), ("9999",)),))
    with pytest.raises(StoreError, match="nothing of this change was kept"):
        await store.people.replace(wrong)
    assert await store.people.load() == WHOLE


async def test_twins_are_named(store: Store) -> None:
    """Two rows with one key are refused before anything is done, by name."""
    with pytest.raises(StoreError, match="people: id 2001 is given twice"):
        await store.people.replace(PeoplePart(people=(PEOPLE[0], PEOPLE[0])))
    lines = (Hotline("a", ("4001",)), Hotline("b", ("4001",)))
    with pytest.raises(StoreError, match="hotline_numbers: did 4001 is given twice"):
        await store.people.replace(PeoplePart(hotlines=lines))


async def test_a_number_can_move_to_another_hotline(store: Store) -> None:
    """A number moves from a hotline that goes to one that comes; the gone one's hours go with it."""
    await store.people.replace(part_of(WHOLE))
    await store.people.replace(PeoplePart(hotlines=(Hotline("new", ("4001",)),)))
    snapshot = await store.people.load()
    assert (snapshot.hotlines, snapshot.hours) == ((Hotline("new", ("4001",)),), ())


async def test_columns_that_are_not_given_keep_their_value(store: Store, database: Database) -> None:
    """Role and date of entry are not lost when people are imported again."""
    await store.people.replace(PeoplePart(people=PEOPLE))
    database.execute("UPDATE people SET role = 'lead', entered_on = '2020-01-01'")
    await store.people.replace(PeoplePart(people=(replace(PEOPLE[0], name="x"), *PEOPLE[1:])))
    assert {(row[5], str(row[6])) for row in database.rows("people")} == {("lead", "2020-01-01")}


async def test_a_snapshot_is_a_roster(store: Store) -> None:
    """D1: what is loaded is what routing decides from, calendar included."""
    await store.people.replace(part_of(WHOLE))
    roster = (await store.people.load()).roster("Asia/Shanghai")
    assert roster.hotlines == WHOLE.hotlines
    found = lookup(roster.calendar, date(2027, 1, 1))
    assert getattr(found, "reason", None) is DayReason.COMPANY_DAY


async def test_a_locked_database_is_said_so(store: Store, database: Database) -> None:
    """A change that meets another program's lock fails with the cure, and can be read past."""
    with database.locked():
        with pytest.raises(StoreError, match="another program holds the database"):
            await store.people.replace(PeoplePart(people=PEOPLE))
        assert await store.people.load() == PeopleSnapshot()


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.005, 0.01, 0.02])
async def test_a_cancelled_change_gives_the_lock_back(store: Store, pause: float) -> None:
    """A change whose task is cancelled half-way is undone at once, and keeps nobody from writing."""
    many = tuple(Person(str(n), "x", queues=(("sales", n),)) for n in range(1500))
    task = asyncio.create_task(store.people.replace(PeoplePart(people=many)))
    await asyncio.sleep(pause)
    task.cancel()
    await asyncio.wait({task})
    async with asyncio.timeout(1.5):  # less than waiting for a lock takes
        store.writer.put([made.call()])
        await store.writer.committed()
    assert store.writer.stats.retries == 0
    assert len((await store.people.load()).people) in {0, 1500}


def test_pins_do_not_show() -> None:
    """A person's PIN is in no repr."""
    assert "aa" not in repr(WHOLE)
