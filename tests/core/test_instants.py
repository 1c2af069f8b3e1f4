"""B3, B4: rows that were read in a wrong time zone are told by the uniqueids of their channels."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.instants import moment, zone_error

MADE = 1_795_301_402


def local(at: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def read(written: str, as_: str, calls: int = 4, late: int = 0) -> list[tuple[str, float]]:
    """The begins of some calls, written in one zone and read in another."""
    made = [MADE + 100 * number for number in range(calls)]
    found = [(f"{at}.{at % 7}", moment(local(at + late, written), ZoneInfo(as_))) for at in made]
    return [(uniqueid, at) for uniqueid, at in found if at is not None]


@pytest.mark.parametrize(
    ("written", "as_", "error"),
    [
        ("UTC", "UTC", 0),
        ("Asia/Shanghai", "Asia/Shanghai", 0),
        ("Asia/Shanghai", "UTC", 8 * 3600),
        ("UTC", "Asia/Shanghai", -8 * 3600),
        ("Asia/Kathmandu", "UTC", 20_700),
        ("America/New_York", "Europe/Berlin", -6 * 3600),
    ],
)
def test_a_wrong_zone_is_measured(written: str, as_: str, error: float) -> None:
    """By how much, and in which direction; also where the difference is no whole hour."""
    assert zone_error(read(written, as_)) == error


def test_one_row_too_early_is_enough_and_late_ones_must_agree() -> None:
    """Nothing begins before its channel; a row may begin long after it, but not all of them by the same hours."""
    assert zone_error(read("UTC", "Asia/Shanghai", calls=1)) == -8 * 3600
    assert zone_error(read("UTC", "UTC", calls=2, late=3600)) == 0
    mixed = [(f"{MADE}.1", MADE + 3600.0), (f"{MADE}.2", MADE + 3700.0), (f"{MADE}.3", MADE + 9000.0)]
    assert zone_error(mixed) == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 50_000)), max_size=30))
def test_rows_with_one_right_one_are_never_wrong(rows: list[tuple[int, float]]) -> None:
    """Whatever the others say: the first row of a channel that begins with it shows that the zone is right."""
    begins = [(f"{MADE + made}.{number}", MADE + made + away) for number, (made, away) in enumerate(rows)]
    assert zone_error([*begins, (f"{MADE}.999", float(MADE))]) == 0


def test_uniqueids_that_tell_nothing_judge_nothing() -> None:
    """Another format of uniqueids, or none."""
    assert zone_error([("abc", 5.0), ("", 7.0)]) == 0
    assert zone_error([]) == 0
