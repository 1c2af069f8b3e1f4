"""The instants of waits where CEL has two runs of Queue as one (B3, B4)."""

import pytest

from cti.core.books import QueueRow, parse_queue_line
from cti.core.cel import CelRow, channels_of, parse_cel_line
from cti.core.passes import passes
from cti.core.waits import refine

CALLER, FIRST, SECOND = "100.1", "100.2", "103.3"


def cel(event: str, at: float, uniqueid: str, app: str = "", data: str = "") -> str:
    channel = "PJSIP/trunk-a-00000001" if uniqueid == CALLER else f"PJSIP/1001-{uniqueid[-1]:0>8}"
    return (
        f'"{event}","{at:.6f}","{CALLER}","{uniqueid}","{channel}","","1001","","811","from-trunk",'
        f'"{app}","{data}","","",""'
    )


def waits(
    began: float, rang: tuple[float, float], answered: tuple[float, float], wait: int
) -> list[tuple[float, float]]:
    """Joining and leaving of both queues: `rang` is the first member's ringing, `answered` the second's."""
    rows = [
        cel("CHAN_START", began - 1, CALLER),
        cel("APP_START", began, CALLER, "Queue", "sales,,,,2"),
        cel("CHAN_START", rang[0], FIRST),
        cel("HANGUP", rang[1], FIRST, "AppQueue", "(Outgoing Line)"),
        cel("CHAN_END", rang[1], FIRST, "AppQueue", "(Outgoing Line)"),
        cel("CHAN_START", answered[0], SECOND),
        cel("ANSWER", answered[1], SECOND, "AppQueue", "(Outgoing Line)"),
        cel("APP_END", answered[1] + 1, CALLER, "Queue", "support,,,,20"),
        cel("CHAN_END", answered[1] + 1, CALLER),
    ]  # fmt: skip
    over = int(rang[1])
    log = [
        f"{int(began)}|{CALLER}|sales|NONE|ENTERQUEUE||139|1",
        f"{over}|{CALLER}|sales|2001|RINGNOANSWER|2000",
        f"{over}|{CALLER}|sales|NONE|EXITWITHTIMEOUT|1|1|{wait}",
        f"{over}|{CALLER}|support|NONE|ENTERQUEUE||139|1",
        f"{int(answered[1])}|{CALLER}|support|2002|CONNECT|0|{SECOND}|0",
    ]
    channels = channels_of([row for row in map(parse_cel_line, rows) if isinstance(row, CelRow)])
    book = [row for row in map(parse_queue_line, log) if isinstance(row, QueueRow)]
    return [(one.joined_at, one.left_at or 0.0) for one in refine(passes(book), channels)]


@pytest.mark.parametrize("wait", [2, 3])
def test_a_queue_is_left_between_its_last_ringing_and_the_first_of_the_next(wait: int) -> None:
    """app_queue counts whole seconds, and begins to ring late on a busy PBX: what was rung says when it was."""
    first, second = waits(100.18, (100.86, 102.868), (102.870, 102.91), wait)
    assert 102.868 <= first[1] < 102.870
    assert second[0] == first[1]
    assert second[1] == pytest.approx(102.91)


def test_what_rings_in_the_next_queue_does_not_prolong_the_wait_before_it() -> None:
    """What was rung after the second had begun may be either queue's: the wait that was counted says more."""
    first, _ = waits(100.18, (102.2, 102.9), (102.95, 102.99), 2)
    assert first[1] == pytest.approx(102.18)
