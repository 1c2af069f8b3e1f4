"""The calendar: hand-checked days of the State Council's notices for 2025 and 2026, and what a missing year is."""

from datetime import date, timedelta

import pytest

from routing.calendar import Calendar, DayKind, DayReason, Missing, OwnDay, calendar_of, day_of, lookup

OFF, WORK = DayKind.DAY_OFF, DayKind.WORKDAY
EMPTY = Calendar()


@pytest.mark.parametrize(
    ("day", "kind", "reason"),
    [
        ("2025-01-26", WORK, DayReason.OFFICIAL_TABLE),  # Sunday worked for the Spring Festival
        ("2025-01-28", OFF, DayReason.OFFICIAL_TABLE),  # New Year's Eve, a Tuesday
        ("2025-02-08", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2025-04-27", WORK, DayReason.OFFICIAL_TABLE),  # Sunday worked for Labour Day
        ("2025-09-28", WORK, DayReason.OFFICIAL_TABLE),  # Sunday worked for National Day
        ("2025-10-08", OFF, DayReason.OFFICIAL_TABLE),  # Wednesday, last day of National Day with Mid-Autumn
        ("2025-10-09", WORK, DayReason.WEEKDAY_RULE),
        ("2025-10-11", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2025-10-12", OFF, DayReason.WEEKDAY_RULE),
        ("2026-01-02", OFF, DayReason.OFFICIAL_TABLE),  # Friday
        ("2026-01-04", WORK, DayReason.OFFICIAL_TABLE),  # Sunday
        ("2026-02-14", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2026-02-16", OFF, DayReason.OFFICIAL_TABLE),  # New Year's Eve, a Monday
        ("2026-02-23", OFF, DayReason.OFFICIAL_TABLE),  # Monday
        ("2026-02-24", WORK, DayReason.WEEKDAY_RULE),
        ("2026-02-28", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2026-05-09", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2026-09-20", WORK, DayReason.OFFICIAL_TABLE),  # Sunday
        ("2026-10-07", OFF, DayReason.OFFICIAL_TABLE),  # Wednesday
        ("2026-10-08", WORK, DayReason.WEEKDAY_RULE),
        ("2026-10-10", WORK, DayReason.OFFICIAL_TABLE),  # Saturday
        ("2026-10-11", OFF, DayReason.WEEKDAY_RULE),
    ],
)
def test_official_days_and_their_make_up_days(day: str, kind: DayKind, reason: DayReason) -> None:
    """D1: official holidays and make-up working days are known, each with the rule that decided it."""
    found = day_of(EMPTY, date.fromisoformat(day))
    assert (found.kind, found.reason, found.verified) == (kind, reason, True)


def test_monday_to_friday_would_be_wrong_on_more_than_20_days_a_year() -> None:
    """D1: the official table matters; a Monday-Friday rule would be wrong on 23 to 27 days of a year."""
    for year in (2025, 2026):
        days = [date(year, 1, 1) + timedelta(days=n) for n in range(365)]
        wrong = [d for d in days if (day_of(EMPTY, d).kind is OFF) != (d.weekday() >= 5)]
        assert 20 < len(wrong) < 30


def test_a_year_without_an_official_table_is_missing_and_not_guessed() -> None:
    """D1: 2027 is missing; for publishing the weekday rule stands in, marked unverified."""
    assert lookup(EMPTY, date(2027, 1, 1)) == Missing(2027)
    new_year = day_of(EMPTY, date(2027, 1, 1))  # a Friday
    assert (new_year.kind, new_year.reason, new_year.verified) == (WORK, DayReason.WEEKDAY_RULE, False)
    assert day_of(EMPTY, date(2027, 1, 2)).kind is OFF


def test_official_rows_complete_a_missing_year() -> None:
    """D1: the notice of a year, entered by hand, makes the year known: named days by row, others by weekday."""
    calendar = calendar_of([OwnDay(date(2027, 1, 1), OFF, official=True, name="元旦")])
    assert day_of(calendar, date(2027, 1, 1)).reason is DayReason.OFFICIAL_ROW
    plain = day_of(calendar, date(2027, 3, 1))
    assert (plain.kind, plain.verified) == (WORK, True)
    assert lookup(calendar, date(2028, 1, 3)) == Missing(2028)


def test_a_company_day_wins_over_the_official_table_but_does_not_complete_a_year() -> None:
    """D1: the company's own day comes first; it says nothing about the rest of a missing year."""
    calendar = calendar_of(
        [
            OwnDay(date(2026, 10, 9), OFF, name="周年庆"),
            OwnDay(date(2026, 10, 9), WORK, official=True),
            OwnDay(date(2027, 5, 5), OFF),
        ]
    )
    anniversary = day_of(calendar, date(2026, 10, 9))
    assert (anniversary.kind, anniversary.reason, anniversary.name) == (OFF, DayReason.COMPANY_DAY, "周年庆")
    assert lookup(calendar, date(2027, 5, 6)) == Missing(2027)
    own = day_of(calendar, date(2027, 5, 5))
    assert (own.kind, own.verified) == (OFF, False)
