"""What is on record of a recording: its file, from when to when, and how long of that nothing was recorded (B6)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.backfill import Plan, Rows, plan
from cti.core.books import BadLine, parse_queue_line
from cti.core.cel import parse_cel_line
from cti.core.facts import Call, Gap, Leg, Quality, Recording
from cti.core.memory import Known
from cti.core.retell import retell
from tests.core.dialogue import Dialogue
from tests.scenarios.judge import PBX, RULES, Session, hear
from tests.scenarios.run import FIXTURES

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


def _books() -> Rows:
    name = "recorded_from_the_dialplan"
    cel = [parse_cel_line(line) for line in (FIXTURES / f"{name}.cel.csv").read_text().splitlines()]
    queue_log = [parse_queue_line(line) for line in (FIXTURES / f"{name}.queue_log").read_text().splitlines()]
    return Rows(
        [row for row in queue_log if not isinstance(row, BadLine)],
        [row for row in cel if not isinstance(row, BadLine)],
    )


def _heard() -> Session:
    return hear(FIXTURES / "recorded_from_the_dialplan.ami.gz")


def _gap(began: float, ended: float) -> Gap:
    return Gap("gap", PBX, began, ended, "stopped")


def test_a_recording_nobody_saw_is_told_from_cel() -> None:
    """B3, B6: the file as the dialplan names it, from when to when, on the same channel as it would have been."""
    rows, (right,) = _books(), _heard().all(Recording)
    everything = _gap(rows.cel[0].at - 10, rows.cel[-1].at + 10)
    new = plan(PBX, RULES, [everything], rows, Known()).new
    (told,) = [fact for fact in new if isinstance(fact, Recording)]
    assert (told.id, told.call_id, told.paused) == (right.id, right.call_id, right.paused)
    assert right.file.endswith(f"/{told.file}")
    assert told.started_at == pytest.approx(right.started_at, abs=0.05)
    assert told.stopped_at == pytest.approx(right.stopped_at, abs=0.05)
    assert told.sources == ("*:cel",)


def test_a_recording_of_a_call_that_a_gap_cut_is_there_once() -> None:
    """Begun in the gap: added. Seen to begin: only its end is dated, and once more nothing changes."""
    rows, session = _books(), _heard()
    (right,) = session.all(Recording)
    assert right.stopped_at is not None
    call = replace(session.all(Call)[0], quality=Quality.GAPPED)
    legs = session.all(Leg)
    gap = _gap(right.started_at - 0.2, right.started_at + 0.2)
    found = plan(PBX, RULES, [gap], rows, Known([call], legs))
    (added,) = [fact for fact in found.new if isinstance(fact, Recording)]
    assert added.id == right.id
    assert not _recordings(plan(PBX, RULES, [gap], rows, Known([call], legs, recordings=[added])))
    late = _gap(right.started_at + 0.5, right.stopped_at + 5)
    ends = replace(right, stopped_at=late.ended_at)
    known = Known([replace(call, ended_at=late.ended_at)], legs, recordings=[ends])
    (dated,) = _recordings(plan(PBX, RULES, [late], rows, known))
    assert dated.id == right.id
    assert dated.stopped_at == pytest.approx(right.stopped_at, abs=0.05)
    assert dated.file == right.file
    assert not _recordings(plan(PBX, RULES, [late], rows, replace(known, recordings=[dated])))


def _recordings(found: Plan) -> list[Recording]:
    return [fact for fact in (*found.new, *found.completed) if isinstance(fact, Recording)]


def test_a_recording_that_the_dialplan_stops_ends_then() -> None:
    """StopMixMonitor, as CEL notes it."""
    rows = _books()
    start = next(row for row in rows.cel if row.app == "MixMonitor")
    stop = replace(start, at=start.at + 1.0, app="StopMixMonitor", appdata="")
    cel = sorted([*rows.cel, stop], key=lambda row: row.at)
    events = retell(cel, rows.queue_log)
    assert [type(event) for event in events if isinstance(event, ev.RecordingBegan | ev.RecordingEnded)] == [
        ev.RecordingBegan,
        ev.RecordingEnded,
    ]
