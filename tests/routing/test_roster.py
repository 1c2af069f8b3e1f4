"""Who is on duty: hours, weeks, overrides, people who cannot be called, zones with a changing clock."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from routing.roster import (
    DayKind,
    DutyKind,
    Hours,
    Reason,
    Role,
    Roster,
    Rotation,
    Span,
    UnknownHotline,
    decide,
    format_spans,
    local_date,
    parse_spans,
    resolve,
    segments,
)
from tests.routing.rosters import CHEN, LI, PEOPLE, SALES, WANG, WEEK, ZHAO, at, override, roster

NEW_YORK = ZoneInfo("America/New_York")


def numbers(table: Roster, when: str) -> list[str]:
    return [rung.number for rung in resolve(table, "sales", at(when)).ladder]


def day_of_kinds(table: Roster, day: date) -> list[str]:
    zone = ZoneInfo(table.timezone)
    return [
        f"{datetime.fromtimestamp(part.start, zone):%H:%M} {part.kind}"
        for part in segments(table, "sales", day)
    ]


def test_default_hours_of_a_working_day_and_a_day_off() -> None:
    """D1: office 9-18 and duty 8-21 on working days, duty 9-20 on days off, closed otherwise."""
    work = ["00:00 closed", "08:00 duty", "09:00 office", "18:00 duty", "21:00 closed"]
    off = ["00:00 closed", "09:00 duty", "20:00 closed"]
    assert day_of_kinds(roster(), date(2026, 3, 3)) == work
    assert day_of_kinds(roster(), date(2026, 3, 7)) == off
    assert day_of_kinds(roster(), date(2026, 2, 14)) == work  # a Saturday that is worked
    assert day_of_kinds(roster(), date(2026, 10, 1)) == off  # a Thursday that is not


def test_own_hours_replace_the_default_of_that_kind_of_day_only() -> None:
    """D1: hours are stored for each hotline and kind of day; none stored means the default."""
    hours = Hours("sales", DayKind.DAY_OFF, duty=parse_spans("00:00-24:00"))
    table = roster(hours=(hours,))
    assert day_of_kinds(table, date(2026, 3, 7)) == ["00:00 duty"]
    assert day_of_kinds(table, date(2026, 3, 3))[0] == "00:00 closed"


def test_hours_that_say_nothing_are_closed() -> None:
    """An empty entry is a decision: closed all day."""
    table = roster(hours=(Hours("sales", DayKind.DAY_OFF),))
    assert day_of_kinds(table, date(2026, 3, 7)) == ["00:00 closed"]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-01-05 18:00", [WANG, LI, CHEN]),
        ("2026-01-11 19:59", [WANG, LI, CHEN]),
        ("2026-01-12 08:59", [WANG, LI, CHEN]),  # Monday before the handover: still last week's person
        ("2026-01-12 18:00", [LI, ZHAO, CHEN]),
        ("2026-01-19 18:00", [ZHAO, WANG, CHEN]),  # the last of the list has the first as backup
        ("2026-01-26 18:00", [WANG, LI, CHEN]),
        ("2026-03-30 18:00", [WANG, LI, CHEN]),  # 12 weeks on, the same place in the order
    ],
)
def test_one_week_each_in_order_with_the_next_as_backup(when: str, expected: list[str]) -> None:
    """D2: one person a week, handover Monday 09:00, the next in order is the backup, then the supervisor."""
    assert numbers(roster(), when) == expected


def test_roles_and_reasons_stand_beside_each_number() -> None:
    """D2: a decision says why."""
    duty = resolve(roster(), "sales", at("2026-01-05 18:00"))
    assert [(r.role, r.reason) for r in duty.ladder] == [
        (Role.PRIMARY, Reason.ROTATION),
        (Role.BACKUP, Reason.ROTATION),
        (Role.SUPERVISOR, Reason.SUPERVISOR),
    ]
    assert duty.reasons == (Reason.DUTY_HOURS, Reason.ROTATION)
    assert resolve(roster(), "sales", at("2026-01-05 12:00")).reasons == (Reason.OFFICE_HOURS,)
    assert resolve(roster(), "sales", at("2026-01-05 03:00")).reasons == (Reason.OUTSIDE_HOURS,)


def test_the_handover_can_fall_into_duty_hours() -> None:
    """D2: at the handover's instant the new week's person has it, a second before the old one."""
    table = roster(rotations=(replace(WEEK, handover=19 * 60),))
    assert numbers(table, "2026-01-12 18:59:59") == [WANG, LI, CHEN]
    assert numbers(table, "2026-01-12 19:00:00") == [LI, ZHAO, CHEN]
    assert [part.kind for part in segments(table, "sales", date(2026, 1, 12))].count(DutyKind.DUTY) == 3


def test_an_inactive_person_is_passed_over_and_keeps_the_place() -> None:
    """D2: the next in order stands in for that week; every other week stays whose it was."""
    people = (PEOPLE[0], replace(PEOPLE[1], active=False), *PEOPLE[2:])
    table = roster(people=people)
    duty = resolve(table, "sales", at("2026-01-12 18:00"))
    assert [(r.number, r.reason) for r in duty.ladder] == [
        (ZHAO, Reason.SUBSTITUTE),
        (WANG, Reason.ROTATION),
        (CHEN, Reason.SUPERVISOR),
    ]
    assert duty.reasons == (Reason.DUTY_HOURS, Reason.SUBSTITUTE)
    assert numbers(table, "2026-01-19 18:00") == [ZHAO, WANG, CHEN]
    assert numbers(table, "2026-01-26 18:00") == [WANG, ZHAO, CHEN]


def test_a_revised_list_takes_over_without_moving_a_week() -> None:
    """D2: a new version of the rotation begins with its own first person, the weeks before are untouched."""
    revised = Rotation("week", date(2026, 1, 19), ("2003", "2001"))
    table = roster(rotations=(WEEK, revised))
    assert numbers(table, "2026-01-12 18:00") == [LI, ZHAO, CHEN]
    assert numbers(table, "2026-01-19 08:30") == [LI, ZHAO, CHEN]
    assert numbers(table, "2026-01-19 18:00") == [ZHAO, WANG, CHEN]
    assert numbers(table, "2026-01-26 18:00") == [WANG, ZHAO, CHEN]


def test_a_rotation_that_starts_in_mid_week_begins_that_midnight() -> None:
    """D2: the week that contains `starts` is the first person's; there is no gap until the next handover."""
    table = roster(rotations=(Rotation("week", date(2026, 1, 8), ("2001", "2002")),))
    assert numbers(table, "2026-01-07 20:00") == [CHEN]
    assert numbers(table, "2026-01-08 08:00") == [WANG, LI, CHEN]
    assert numbers(table, "2026-01-12 18:00") == [LI, WANG, CHEN]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-01-06 18:59:59", [WANG, LI, CHEN]),
        ("2026-01-06 19:00:00", [ZHAO, LI, CHEN]),  # who swapped away does not become the backup
        ("2026-01-06 20:29:59", [ZHAO, LI, CHEN]),
        ("2026-01-06 20:30:00", [WANG, LI, CHEN]),
    ],
)
def test_an_override_holds_from_its_first_to_before_its_last_second(when: str, expected: list[str]) -> None:
    """D2: a swap takes over exactly in its time, and backup and supervisor stay behind it."""
    table = roster(overrides=(override("2026-01-06 19:00", "2026-01-06 20:30", "2003"),))
    assert numbers(table, when) == expected


def test_of_two_overrides_the_hotlines_own_then_the_later_one_holds() -> None:
    """D2: precedence is fixed: the hotline's own before everybody's, then the one that began last."""
    everybody = override("2026-01-06 00:00", "2026-01-07 00:00", "9001", hotline="", name="a")
    early = override("2026-01-06 18:00", "2026-01-06 21:00", "2002", name="b")
    late = override("2026-01-06 19:00", "2026-01-06 20:00", "2003", name="c")
    table = roster(overrides=(late, everybody, early))
    assert numbers(table, "2026-01-06 08:30")[0] == CHEN
    assert numbers(table, "2026-01-06 18:30")[0] == LI
    assert numbers(table, "2026-01-06 19:30")[0] == ZHAO
    assert numbers(table, "2026-01-06 20:30")[0] == LI


def test_an_override_by_somebody_who_cannot_be_called_changes_nothing_but_says_so() -> None:
    """D2: the rotation goes on, with the reason on record."""
    table = roster(overrides=(override("2026-01-06 18:00", "2026-01-06 21:00", "7777"),))
    duty = resolve(table, "sales", at("2026-01-06 19:00"))
    assert [r.number for r in duty.ladder] == [WANG, LI, CHEN]
    assert Reason.OVERRIDE_UNUSABLE in duty.reasons


def test_without_a_rotation_the_supervisor_is_called() -> None:
    """D4: no rotation is no reason to lose a call."""
    duty = resolve(roster(rotations=()), "sales", at("2026-01-06 19:00"))
    assert [(r.number, r.role, r.reason) for r in duty.ladder] == [
        (CHEN, Role.SUPERVISOR, Reason.SUPERVISOR_FALLBACK)
    ]
    assert duty.reasons == (Reason.DUTY_HOURS, Reason.NO_ROTATION, Reason.SUPERVISOR_FALLBACK)


def test_nobody_to_call_is_closed_and_says_nobody() -> None:
    """D4: duty hours with nobody to call are closed, never an empty ladder."""
    duty = resolve(roster(people=()), "sales", at("2026-01-06 19:00"))
    assert (duty.kind, duty.ladder) == (DutyKind.CLOSED, ())
    assert Reason.NOBODY in duty.reasons


@pytest.mark.parametrize(
    "number", ["", "95555555", "0086138", "4008001234", "13800002001;", "+8613800002001"]
)
def test_a_number_that_may_not_be_dialled_is_passed_over(number: str) -> None:
    """D4: toll fraud and loops: a number outside the allowed pattern or a hotline's own is never called."""
    people = (replace(PEOPLE[0], number=number), *PEOPLE[1:])
    assert numbers(roster(people=people), "2026-01-05 18:00") == [LI, ZHAO, CHEN]


def test_one_number_is_called_once() -> None:
    """Two people who share a mobile are one rung."""
    people = (PEOPLE[0], replace(PEOPLE[1], number=WANG), *PEOPLE[2:])
    assert numbers(roster(people=people), "2026-01-05 18:00") == [WANG, ZHAO, CHEN]


def test_an_unverified_day_says_so() -> None:
    """D1: in a year without an official table every decision carries the doubt."""
    assert Reason.UNVERIFIED_DAY in resolve(roster(), "sales", at("2027-01-01 19:00")).reasons


def test_an_aware_datetime_serves_as_well_and_a_naive_one_is_refused() -> None:
    """Instants are epoch seconds or aware datetimes."""
    when = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
    assert resolve(roster(), "sales", when) == resolve(roster(), "sales", when.timestamp())
    with pytest.raises(ValueError, match="no time zone"):
        resolve(roster(), "sales", when.replace(tzinfo=None))
    with pytest.raises(UnknownHotline):
        resolve(roster(), "nowhere", when)


def test_days_of_a_clock_change_are_23_and_25_hours_long_and_whole() -> None:
    """D2: in a zone with summer time the segments still cover the whole local day, on the wall clock's hours."""
    table = roster(timezone="America/New_York")
    for day, hours in ((date(2026, 3, 8), 23), (date(2026, 11, 1), 25)):
        parts = segments(table, "sales", day)
        assert parts[-1].end - parts[0].start == hours * 3600
        assert all(a.end == b.start for a, b in itertools.pairwise(parts))
        assert day_of_kinds(table, day) == ["00:00 closed", "09:00 duty", "20:00 closed"]


def test_the_handover_stays_at_nine_across_a_clock_change() -> None:
    """D2: a week with a clock change is an hour shorter or longer, the handover stays at the local time."""
    table = roster(timezone="America/New_York", rotations=(replace(WEEK, handover=19 * 60),))
    before = resolve(table, "sales", at("2026-03-09 18:59", NEW_YORK)).ladder[0].number
    after = resolve(table, "sales", at("2026-03-09 19:00", NEW_YORK)).ladder[0].number
    assert (before, after) == (ZHAO, WANG)


def test_hours_in_the_hour_that_is_skipped_or_repeated() -> None:
    """D2: a span in the skipped hour vanishes or shrinks, never turns round; a repeated hour is cut without a gap."""
    hours = tuple(Hours("sales", kind, duty=(Span(90, 150), Span(150, 170))) for kind in DayKind)
    table = roster(timezone="America/New_York", hours=hours)
    for day in (date(2026, 3, 8), date(2026, 11, 1)):
        parts = segments(table, "sales", day)
        assert all(part.start < part.end for part in parts)
        assert all(a.end == b.start for a, b in itertools.pairwise(parts))


def test_every_instant_lies_in_the_segment_that_resolve_answers() -> None:
    """D2: cutting a day at its boundaries loses nothing: random instants of a year, in three zones."""
    chance = random.Random(7)
    swaps = tuple(
        override(
            f"2026-{m:02d}-{m + 3:02d} 19:{m:02d}",
            f"2026-{m:02d}-{m + 5:02d} 08:{m + 30}",
            "2003",
            name=str(m),
        )
        for m in range(1, 13)
    )
    for zone in ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe"):
        table = roster(timezone=zone, overrides=swaps)
        for _ in range(400):
            instant = at("2026-01-01 00:00") + chance.randrange(365 * 86400)
            found = resolve(table, "sales", instant)
            assert found.start <= instant < found.end
            plain = decide(table, "sales", instant)
            assert (found.kind, found.ladder, found.reasons) == (plain.kind, plain.ladder, plain.reasons)
            assert found.day.date == local_date(table, instant)


def test_spans_are_written_and_read_the_same() -> None:
    """Hours are text in the database and in files."""
    assert parse_spans("13:00-18:00, 09:00-12:00") == (Span(540, 720), Span(780, 1080))
    assert format_spans(parse_spans("00:00-24:00")) == "00:00-24:00"
    assert parse_spans("") == ()


@pytest.mark.parametrize(
    "text",
    ["9-18", "09:00", "18:00-09:00", "09:60-10:00", "20:00-25:00", "09:00-12:00,11:00-13:00", "٠٩:00-10:00"],
)
def test_a_span_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"HH:MM|ends before|overlap|00:00 to 24:00"):
        parse_spans(text)


def test_sales_hotline_is_what_these_tests_think() -> None:
    """The fixture itself: a Monday, and a hotline that uses the rotation."""
    assert WEEK.starts.weekday() == 0
    assert SALES.rotation == WEEK.name
    assert WEEK.starts + timedelta(weeks=1) == date(2026, 1, 12)
