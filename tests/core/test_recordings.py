"""What is on record of a recording: its file, from when to when, and how long of that nothing was recorded (B6)."""

from collections.abc import Callable

import pytest

from cti.core import events as ev
from cti.core.facts import Recording
from tests.core.dialogue import Dialogue

Step = Callable[[Dialogue], None]


def recorded() -> Dialogue:
    """A call whose caller is recorded."""
    pbx = Dialogue()
    pbx.channel("c", "PJSIP/trunk-a-00000001")
    pbx.say(ev.RecordingBegan(pbx.at, "c", "/calls/1.wav"))
    return pbx


def mutes(direction: str, *, muted: bool = True) -> Step:
    def step(pbx: Dialogue) -> None:
        pbx.say(ev.RecordingMuted(pbx.at, "c", direction, muted))

    return step


def waits(seconds: float) -> Step:
    return lambda pbx: pbx.wait(seconds)


def puts_the_clock(by: float) -> Step:
    def step(pbx: Dialogue) -> None:
        pbx.at += by
        pbx.say(ev.ClockStepped(pbx.at, by))

    return step


BOTH, GO_ON = mutes("both"), mutes("both", muted=False)


@pytest.mark.parametrize(
    ("steps", "paused"),
    [
        ([waits(5)], 0.0),
        ([BOTH, waits(3), GO_ON, waits(1)], 3.0),
        ([BOTH, waits(1), GO_ON, waits(1), BOTH, waits(2), GO_ON], 3.0),
        ([mutes("read"), waits(4)], 0.0),
        ([mutes("read"), waits(1), mutes("write"), waits(2), mutes("read", muted=False), waits(1)], 2.0),
        ([BOTH, waits(1), BOTH, waits(1), GO_ON, GO_ON, waits(1)], 2.0),
        ([waits(1), BOTH, waits(2)], 2.0),
        ([BOTH, waits(1), puts_the_clock(3600), waits(1), GO_ON], 2.0),
        ([BOTH, waits(1), puts_the_clock(-3600), waits(1), GO_ON], 2.0),
    ],
    ids=[
        "never",
        "once",
        "twice",
        "one side",
        "overlap",
        "told again",
        "to the end",
        "clock on",
        "clock back",
    ],
)
def test_a_pause_is_when_neither_side_is_recorded(steps: list[Step], paused: float) -> None:
    """B6: pauses add up, one side alone is none, and one that is open ends with the recording."""
    pbx = recorded()
    for step in steps:
        step(pbx)
    pbx.hangup("c")
    [recording] = pbx.all(Recording)
    assert recording.file == "/calls/1.wav"
    assert recording.paused == pytest.approx(paused, abs=0.01)
    assert recording.stopped_at is not None
    assert recording.stopped_at - recording.started_at >= paused


def test_a_restart_keeps_what_was_paused() -> None:
    """B3: the seconds paused before the daemon died still count."""
    pbx = recorded()
    for step in (BOTH, waits(3), GO_ON):
        step(pbx)
    second = Dialogue(memory=pbx.memory(), at=pbx.at)
    seen = ev.ChannelSeen(
        pbx.at, "c", "c", "PJSIP/trunk-a-00000001", 6, "1", "", "from-trunk", "s", "", 3.0, "Queue"
    )
    second.resynced(channels=(seen,))
    second.wait(1)
    second.hangup("c")
    assert [one.paused for one in second.all(Recording)] == [pytest.approx(3.0, abs=0.01)]
