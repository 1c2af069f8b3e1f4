"""Points in time as people write them on the command line."""

import datetime as dt
from zoneinfo import ZoneInfo

from pydantic_core import PydanticCustomError

from config.values import parse_duration


def moment(text: str, zone: ZoneInfo, now: dt.datetime) -> dt.datetime:
    """Read an instant: "2026-10-01", "2026-10-01 09:30" (local), with an offset or Z, "today", "now", or "2h" ago.

    Raises:
        ValueError: it is none of these; the text says how to write one.
    """
    words = {"now": now, "today": now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)}
    if text in words:
        return words[text]
    try:
        return now - dt.timedelta(seconds=parse_duration(text))
    except PydanticCustomError:
        pass  # not a duration: a date then
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'{text!r} is not a time; write "2026-10-01 09:30", "2026-10-01T01:30:00Z", "today", or "2h" for two '
            "hours ago"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)
