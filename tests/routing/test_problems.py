"""Gaps of the roster are found weeks ahead, each named with the cure."""

from dataclasses import replace
from datetime import date

from routing.problems import ProblemKind, problems
from routing.roster import DayKind, OwnDay, Rotation, calendar_of
from tests.routing.rosters import PEOPLE, SALES, WEEK, override, roster

FIRST = date(2026, 1, 6)


def kinds(**changes: object) -> set[tuple[ProblemKind, str]]:
    return {(p.kind, p.subject) for p in problems(roster(**changes), FIRST, 60)}


def test_a_sound_roster_has_no_problems() -> None:
    assert problems(roster(), FIRST, 60) == []


def test_a_missing_calendar_is_told_from_the_first_day_it_bites() -> None:
    """D1: on 1 December 2026 the next 60 days reach into a year without an official table."""
    (problem,) = problems(roster(), date(2026, 12, 1), 60)
    assert (problem.kind, problem.since) == (ProblemKind.CALENDAR_MISSING, date(2027, 1, 1))
    assert "official = true" in problem.cure
    known = roster(calendar=calendar_of([OwnDay(date(2027, 1, 1), DayKind.DAY_OFF, official=True)]))
    assert problems(known, date(2026, 12, 1), 60) == []


def test_people_who_cannot_be_called_are_named() -> None:
    """D2: without a number, with one that may not be dialled, inactive, or unknown."""
    people = (
        replace(PEOPLE[0], number=""),
        replace(PEOPLE[1], number="95555555"),
        replace(PEOPLE[2], active=False),
        PEOPLE[3],
    )
    rotation = replace(WEEK, people=(*WEEK.people, "7777"))
    assert kinds(people=people, rotations=(rotation,)) == {
        (ProblemKind.PERSON_WITHOUT_NUMBER, "person 2001"),
        (ProblemKind.NUMBER_NOT_ALLOWED, "person 2002"),
        (ProblemKind.PERSON_INACTIVE, "person 2003"),
        (ProblemKind.UNKNOWN_PERSON, "person 7777"),
        (ProblemKind.SUPERVISOR_ALONE, "hotline sales"),
    }


def test_a_hotline_without_rotation_supervisor_or_queue_is_named() -> None:
    """D2: what the hotline lacks, and that nobody can be called."""
    assert kinds(hotlines=(replace(SALES, rotation="", supervisor="", queue=""),)) == {
        (ProblemKind.NO_ROTATION, "hotline sales"),
        (ProblemKind.NO_SUPERVISOR, "hotline sales"),
        (ProblemKind.NO_QUEUE, "hotline sales"),
        (ProblemKind.NOBODY, "hotline sales"),
    }


def test_an_empty_list_is_told_from_the_week_it_holds() -> None:
    """D2: a revision that forgot its people is found before its week begins."""
    empty = Rotation("week", date(2026, 2, 2), ())
    found = {p.kind: p.since for p in problems(roster(rotations=(WEEK, empty)), FIRST, 60)}
    assert found == {
        ProblemKind.ROTATION_EMPTY: date(2026, 2, 2),
        ProblemKind.SUPERVISOR_ALONE: date(2026, 2, 2),
    }


def test_an_override_by_nobody_is_told_from_its_first_day() -> None:
    """D2: found weeks ahead."""
    swaps = (override("2026-02-10 18:00", "2026-02-10 21:00", "7777"),)
    found = {p.kind: p.since for p in problems(roster(overrides=swaps), FIRST, 60)}
    assert found == {
        ProblemKind.UNKNOWN_PERSON: date(2026, 2, 10),
        ProblemKind.OVERRIDE_UNUSABLE: date(2026, 2, 10),
    }
