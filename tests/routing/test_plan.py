"""What is published: rows that say at every instant what the roster says, and nothing that is not ours."""

import hashlib
import time
from dataclasses import replace
from datetime import date, timedelta

import pytest

from routing.plan import (
    MAX_ROW,
    BadRow,
    Segment,
    at_instant,
    diff,
    entries,
    format_row,
    owned,
    parse_row,
    plan,
    rows,
)
from routing.problems import ProblemKind
from routing.roster import DutyKind, Hotline, Person, Roster, Rotation, decide, local_date
from tests.routing.rosters import CHEN, LI, PEOPLE, SALES, WANG, WEEK, at, override, roster

MIXED = (
    override("2026-01-20 19:07", "2026-01-22 08:11", "2002", name="a"),
    override("2026-02-16 00:00", "2026-02-20 00:00", "9001", hotline="", name="b"),
    override("2026-02-17 10:00", "2026-02-17 10:01", "2003", name="c"),
    override("2026-02-28 20:30", "2026-03-01 09:30", "7777", name="d"),
)


def walk(table: Roster, first: date, days: int, step: int) -> int:
    """Walk the clock over the published rows; returns how many instants were compared."""
    published = {key: parse_row(row) for (_, key), row in rows(table, first, days).items()}
    start, count = int(parse_row(next(iter(rows(table, first, 1).values())))[0].start), 0
    for instant in range(start, start + (days - 1) * 86400, step):
        plain = decide(table, "sales", instant)
        found = at_instant(published[f"{local_date(table, instant):%Y%m%d}"], instant)
        assert found is not None
        assert found.kind is plain.kind, instant
        assert found.numbers == tuple(rung.number for rung in plain.ladder), instant
        count += 1
    return count


def test_every_minute_of_60_days_the_row_says_what_the_roster_says() -> None:
    """D4: the PBX decides from rows; over 60 days, make-up days and swaps included, they never differ."""
    table = roster(overrides=MIXED, rotations=(replace(WEEK, handover=19 * 60 + 13),))
    assert walk(table, date(2026, 1, 15), 60, step=60) == 59 * 1440


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London", "Australia/Lord_Howe"])
def test_the_same_across_a_clock_change(zone: str) -> None:
    """D4: the same in zones that change the clock in spring."""
    table = roster(timezone=zone, overrides=MIXED, rotations=(replace(WEEK, handover=2 * 60 + 15),))
    assert walk(table, date(2026, 2, 25), 45, step=420) == 9052  # 44 days by 7 minutes


def test_a_row_is_written_exactly_as_agreed() -> None:
    """D4: version, checksum, segments; by hand for a Monday with default hours in Shanghai."""
    row = rows(roster(), date(2026, 1, 12), 1)["sales", "20260112"]
    midnight = int(at("2026-01-12 00:00"))
    assert midnight == 1768147200
    rest = (
        "1768147200-1768176000:c;"
        f"1768176000-1768179600:d:{WANG}&{LI}&{CHEN};"
        "1768179600-1768212000:o;"
        f"1768212000-1768222800:d:{LI}&13800002003&{CHEN};"
        "1768222800-1768233600:c"
    )
    assert row == f"1|{hashlib.md5(rest.encode()).hexdigest()[:8]}|{rest}"  # noqa: S324 - the agreed checksum


def test_neighbours_that_call_the_same_numbers_are_one_segment() -> None:
    """D4: an override by whoever is on duty anyway changes nothing in the row."""
    table = roster(overrides=(override("2026-01-06 19:00", "2026-01-06 20:00", "2001"),))
    assert rows(table, date(2026, 1, 6), 1) == rows(roster(), date(2026, 1, 6), 1)


def test_a_long_ladder_loses_its_last_rungs_and_that_is_a_problem() -> None:
    """D4: no row is longer than 900 bytes; the first to be called stay, and somebody is told."""
    people = tuple(Person(str(3000 + n), f"p{n}", f"138{n:08d}") for n in range(40))
    week = Rotation("week", date(2026, 1, 5), tuple(p.id for p in people), backups=39)
    table = roster(people=(*people, PEOPLE[3]), rotations=(week,))
    made = plan(table, date(2026, 1, 6), 60)
    lengths = [len(row.encode()) for (family, _), row in made.entries.items() if family == "cti-duty/sales"]
    assert len(lengths) == 60
    assert max(lengths) <= MAX_ROW
    assert {p.kind for p in made.problems} == {ProblemKind.LADDER_CUT}
    first = parse_row(made.entries["cti-duty/sales", "20260106"])[1]
    assert first.numbers[:2] == (people[0].number, people[1].number)
    assert len(first.numbers) > 20


def test_a_day_with_too_many_changes_is_left_to_the_built_in_rule() -> None:
    """D4: a row that cannot be made short enough is left out (the dialplan has its own rule) and reported."""
    swaps = tuple(
        override(
            f"2026-01-10 {h:02d}:{m:02d}",
            f"2026-01-10 {h:02d}:{m + 1:02d}",
            str(2002 + m % 2),
            name=f"{h}{m}",
        )
        for h in range(9, 20)
        for m in range(0, 58, 2)
    )
    made = plan(roster(overrides=swaps), date(2026, 1, 9), 3)
    assert ("cti-duty/sales", "20260110") not in made.entries
    assert ("cti-duty/sales", "20260111") in made.entries
    assert [p.kind for p in made.problems] == [ProblemKind.ROW_TOO_LONG]


def test_entries_for_agents_and_hotlines() -> None:
    """D4: everything the dialplan looks up, family by family; an inactive agent has no PIN there any more."""
    people = (
        Person("2001", "王芳", WANG, pin="ab:cd", queues=(("sales", 0), ("support", 1))),
        Person("2002", "李强", LI, pin="ab:ef", queues=(("sales", 0),), active=False),
        PEOPLE[3],
    )
    hotlines = (SALES, Hotline("night", ("4008005678", "02155550000"), supervisor="2002"))
    made = entries(Roster(people=people, hotlines=hotlines), date(2026, 1, 5), 1)
    assert {entry: value for entry, value in made.items() if not entry[0].startswith("cti-duty")} == {
        ("cti-agent/2001", "pin"): "ab:cd",
        ("cti-agent/2001", "queues"): "sales:0&support:1",
        ("cti-agent/2001", "name"): "王芳",
        ("cti-hotline", "4008001234"): "sales",
        ("cti-hotline", "4008005678"): "night",
        ("cti-hotline", "02155550000"): "night",
        ("cti-hotline-queue", "sales"): "sales",
        ("cti-supervisor", "sales"): CHEN,
    }
    assert {family for family, _ in made if family.startswith("cti-duty")} == {
        "cti-duty/sales",
        "cti-duty/night",
    }


def test_only_our_own_entries_are_ever_deleted() -> None:
    """D4: logins, pending marks and the administrator's own keys stay whatever the roster says."""
    present = {
        ("cti-duty/sales", "20200101"): "old",
        ("cti-agent/2009", "pin"): "gone",
        ("cti-hotline", "4008001234"): "support",
        ("cti-login", "2001"): "PJSIP/1001",
        ("cti-pending", "1.2"): "1|…",
        ("cti-agent/2009", "note"): "somebody else's",
        ("cti-agent", "x"): "somebody else's",
        ("cti-duty", "x"): "somebody else's",
        ("cidname", "138"): "Wang",
    }
    puts, deletes = diff({("cti-hotline", "4008001234"): "sales"}, present)
    assert puts == {("cti-hotline", "4008001234"): "sales"}
    assert deletes == [("cti-agent/2009", "pin"), ("cti-duty/sales", "20200101")]
    assert not owned("cti-dutyx/sales", "20200101")


def test_what_is_there_already_is_not_written_again() -> None:
    """D4: publishing twice changes nothing."""
    wanted = entries(roster(), date(2026, 1, 5), 60)
    assert diff(wanted, wanted) == ({}, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2|00000000|",
        "1|00000000|1768147200-1768176000:c",
        format_row([Segment(2_000_000_000, 1_000_000_000, DutyKind.CLOSED)]),
        format_row([Segment(1_000_000_000, 1_000_000_010, DutyKind.DUTY)]),
        format_row([Segment(1_000_000_000, 1_000_000_010, DutyKind.DUTY, ("1;2",))]),
        format_row(
            [
                Segment(1_000_000_000, 1_000_000_010, DutyKind.CLOSED),
                Segment(1_000_000_020, 1_000_000_030, DutyKind.CLOSED),
            ]
        ),
    ],
)
def test_a_malformed_row_is_refused(text: str) -> None:
    """D4: version, checksum, form and order are checked when a row is read back."""
    with pytest.raises(BadRow):
        parse_row(text)


def test_rows_are_read_back_as_they_were_written() -> None:
    parts = (
        Segment(1_000_000_000, 1_000_000_010, DutyKind.OFFICE),
        Segment(1_000_000_010, 1_000_000_020, DutyKind.DUTY, ("13800002001", "+8613800002002")),
        Segment(1_000_000_020, 1_000_000_030, DutyKind.CLOSED),
    )
    assert parse_row(format_row(parts)) == parts


def test_planning_60_days_of_ten_hotlines_takes_well_under_a_second_each() -> None:
    """Publishing shares the daemon's process; a plan must not hold it up for long."""
    lines = tuple(replace(SALES, name=f"line{n}", numbers=(f"40080012{n:02d}",)) for n in range(10))
    began = time.perf_counter()
    made = entries(roster(hotlines=lines, overrides=MIXED), date(2026, 1, 5), 62)
    assert time.perf_counter() - began < 5
    assert len([1 for family, _ in made if family.startswith("cti-duty")]) == 620
    assert date(2026, 1, 5) + timedelta(days=61) == date(2026, 3, 7)
