"""A roster small enough to check by hand, for the tests of this room."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from routing.roster import Hotline, Override, Person, Roster, Rotation

SHANGHAI = ZoneInfo("Asia/Shanghai")
WANG, LI, ZHAO, CHEN = "13800002001", "13800002002", "13800002003", "13800009001"

PEOPLE = (
    Person("2001", "王芳", WANG),
    Person("2002", "李强", LI),
    Person("2003", "赵敏", ZHAO),
    Person("9001", "陈主管", CHEN),
)
SALES = Hotline("sales", ("4008001234",), queue="sales", rotation="week", supervisor="9001")
WEEK = Rotation("week", date(2026, 1, 5), ("2001", "2002", "2003"))  # a Monday


def roster(**changes: object) -> Roster:
    """Three people by the week from Monday 2026-01-05 on, one supervisor, one hotline, default hours."""
    base: dict[str, object] = {"people": PEOPLE, "hotlines": (SALES,), "rotations": (WEEK,)}
    return Roster(**{**base, **changes})  # type: ignore[arg-type]  # a test names the field it changes


def at(text: str, zone: ZoneInfo = SHANGHAI) -> float:
    """Epoch seconds of a local time, "2026-01-05 09:00"."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def override(begin: str, end: str, person: str, hotline: str = "sales", name: str = "swap") -> Override:
    return Override(name, hotline, at(begin), at(end), person)
