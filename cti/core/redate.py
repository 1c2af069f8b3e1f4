"""After a step of the PBX's clock everything open is told in the new clock's time, so that durations stay true.

The new clock is taken to be the right one. What is over stays as it was told. Ids do not change, also where
they hold an instant.
"""

import math

from cti.core.calls import Calls
from cti.core.parts import (
    AttemptPart,
    CallPart,
    LegPart,
    Part,
    RecordingPart,
    StayPart,
    TalkPart,
    TransferPart,
)

_INSTANTS: dict[type, tuple[str, ...]] = {
    CallPart: ("started_at", "answered_at", "ended_at", "hangup_asked_at"),
    LegPart: ("started_at", "ring_started_at", "answered_at", "ended_at"),
    StayPart: ("joined_at", "answered_at", "left_at", "unseen_until"),
    AttemptPart: ("started_at", "ended_at", "over_at", "state_since"),
    TalkPart: ("started_at", "ended_at", "held_since"),
    TransferPart: ("at",),
    RecordingPart: ("started_at", "stopped_at", "muted_since"),
}


def redate(calls: Calls, seconds: float) -> None:
    """Move every living call with all its parts by so many seconds; they are told again."""
    calls.in_step_at += seconds
    for call in calls.calls.values():
        parts: list[Part] = [call, *call.legs, *call.stays, *call.attempts, *call.talks]
        parts += [*call.transfers, *call.recordings]
        for part in parts:
            for name in _INSTANTS[type(part)]:
                at = getattr(part, name)
                if at and math.isfinite(at):
                    setattr(part, name, at + seconds)
            calls.touch(part)
