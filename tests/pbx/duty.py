"""Duty rows as the daemon publishes them in AstDB: what the dialplan decides by, whatever the time of day."""

# ruff: noqa: S324  # the hash is part of the format of the rows that the dialplan reads

import hashlib
import time

from tests.pbx.amiclient import AmiClient

_SHANGHAI_OFFSET_S = 8 * 3600
_DAY_S = 86_400


def duty_row(rest: str) -> str:
    """A complete duty row with its checksum."""
    return f"1|{hashlib.md5(rest.encode()).hexdigest()[:8]}|{rest}"


def now_segment(kind: str) -> str:
    """A segment that covers this minute."""
    now = int(time.time())
    return f"{now - 60}-{now + 3600}:{kind}"


async def publish_row(ami: AmiClient, hotline: str, row: str) -> None:
    """Put a row for today and, lest midnight passes during a test, for tomorrow."""
    for later in (0, _DAY_S):
        day = time.strftime("%Y%m%d", time.gmtime(time.time() + _SHANGHAI_OFFSET_S + later))
        await ami.db_put(f"cti-duty/{hotline}", day, row)
