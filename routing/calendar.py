"""What kind of day a local date is: a working day or a day off, and by which rule.

Precedence, first that knows the date:

1. rows of the database (`OwnDay`): the company's own days before official ones of the same date;
2. the official Chinese table shipped with `chinese_calendar` (2004 to the last year the State Council has published),
   make-up working days included;
3. in a year for which an official table exists, a date it does not name follows the weekday rule: Saturday and Sunday
   are days off.

A year with no official table, neither in the library nor as rows marked `official` in the database, is `Missing`:
never guessed. The roster must not end on New Year's Eve for that, so `day_of` goes on by the weekday rule and marks the
day `verified=False`; `routing.problems` lists `calendar_missing` from the first such date on. Rows marked `official`
count as the year's whole table, because the State Council publishes a year in one notice: enter all of its days.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from chinese_calendar import constants

LIBRARY_YEARS = range(min(constants.holidays).year, max(constants.holidays).year + 1)
"""Years the shipped official table knows."""

_SATURDAY = 5


class DayKind(StrEnum):
    """What the hours depend on."""

    WORKDAY = "workday"
    DAY_OFF = "day_off"


class DayReason(StrEnum):
    """Which rule decided the kind of a day."""

    COMPANY_DAY = "company_day"  # the company's own row
    OFFICIAL_ROW = "official_row"  # an official day entered into the database
    OFFICIAL_TABLE = "official_table"  # named by the shipped official table: holiday or make-up working day
    WEEKDAY_RULE = "weekday_rule"  # not named by any table


@dataclass(frozen=True, slots=True)
class OwnDay:
    """One editable row of the calendar in the database."""

    date: date
    kind: DayKind
    official: bool = False  # copied from the State Council's notice, not the company's own decision
    name: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """What a date is."""

    date: date
    kind: DayKind
    reason: DayReason
    name: str = ""  # of the holiday, for people
    verified: bool = True  # False: no official table for its year, the weekday rule stands in


@dataclass(frozen=True, slots=True)
class Missing:
    """No official table is known for this year."""

    year: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """The rows of the database, indexed; build it with `calendar_of`."""

    company: Mapping[date, OwnDay] = field(default_factory=dict)
    official: Mapping[date, OwnDay] = field(default_factory=dict)
    official_years: frozenset[int] = frozenset()


def calendar_of(days: Iterable[OwnDay]) -> Calendar:
    """Index calendar rows; of two rows for one date and sort the later one in the iteration wins."""
    rows = tuple(days)
    official = {row.date: row for row in rows if row.official}
    company = {row.date: row for row in rows if not row.official}
    return Calendar(company, official, frozenset(day.year for day in official))


def lookup(calendar: Calendar, day: date) -> Day | Missing:
    """Kind of a local date, or `Missing` when its year has no official table and no own row names the date."""
    own = calendar.company.get(day)
    if own is not None:
        return Day(day, own.kind, DayReason.COMPANY_DAY, own.name, verified=_covered(calendar, day.year))
    row = calendar.official.get(day)
    if row is not None:
        return Day(day, row.kind, DayReason.OFFICIAL_ROW, row.name)
    if day.year in calendar.official_years:
        return _by_weekday(day, verified=True)
    if day.year in LIBRARY_YEARS:
        return _from_library(day)
    return Missing(day.year)


def day_of(calendar: Calendar, day: date) -> Day:
    """Like `lookup`, but a missing year goes by the weekday rule with `verified=False`: the roster never ends."""
    found = lookup(calendar, day)
    return _by_weekday(day, verified=False) if isinstance(found, Missing) else found


def _covered(calendar: Calendar, year: int) -> bool:
    return year in calendar.official_years or year in LIBRARY_YEARS


def _from_library(day: date) -> Day:
    for table, kind in ((constants.workdays, DayKind.WORKDAY), (constants.holidays, DayKind.DAY_OFF)):
        if day in table:
            return Day(day, kind, DayReason.OFFICIAL_TABLE, str(table[day]))
    return _by_weekday(day, verified=True)


def _by_weekday(day: date, *, verified: bool) -> Day:
    kind = DayKind.DAY_OFF if day.weekday() >= _SATURDAY else DayKind.WORKDAY
    return Day(day, kind, DayReason.WEEKDAY_RULE, verified=verified)
