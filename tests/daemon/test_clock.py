"""Clocks that step are noticed, and nothing else is taken for a step (A3)."""

import asyncio
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cti.core.core import Core
from cti.core.facts import AgentState, Fact, State
from cti.daemon.clock import TOLERANCE, PbxClock, WallClock
from cti.daemon.inbox import Arrival
from cti.daemon.pump import Pump
from store import open_store

START = 1_790_000_000.0
GAPS = st.lists(st.floats(0, 600), min_size=1, max_size=60)


@given(GAPS, st.lists(st.floats(0, 30), min_size=60, max_size=60))
def test_late_events_are_no_step(gaps: list[float], lags: list[float]) -> None:
    """However late the PBX's events arrive, as long as the first did not, no clock is said to have stepped."""
    clock, at, arrived = PbxClock(), START, 0.0
    assert clock.step(at, arrived) == 0
    for gap, lag in zip(gaps, lags, strict=False):
        at += gap
        arrived = max(arrived, at - START + lag)
        assert clock.step(at, arrived) == 0


@given(GAPS, st.floats(-2e-4, 2e-4))
def test_clocks_that_run_apart_are_no_step(gaps: list[float], drift: float) -> None:
    """200 ppm is a bad oscillator, not a step."""
    clock, at, mono = PbxClock(), START, 0.0
    for gap in gaps:
        at += gap * (1 + drift * 0.9)
        mono += gap
        assert clock.step(at, mono) == 0


@given(st.floats(TOLERANCE + 0.1, 1e6), st.booleans())
def test_a_step_is_measured_once(by: float, forward: bool) -> None:
    """Forward or back, by its size; what follows in the new time is no step any more."""
    clock = PbxClock()
    for n in range(10):
        assert clock.step(START + n, float(n)) == 0
    step = by if forward else -by
    found = clock.step(START + step + 10, 10.0)
    if forward or by > TOLERANCE + 1:  # one put back by less than what went by is seen at the next chance
        assert abs(found - step) < 0.001
        assert clock.step(START + step + 11, 11.0) == 0


def test_our_own_clock_is_watched() -> None:
    """A wall clock that was put differs from the monotonic one by the step; slewing is no step."""
    wall, mono, steps = [START], [0.0], list[float]()
    clock = WallClock(steps.append, wall=lambda: wall[0], mono=lambda: mono[0])
    for by in (0.0, 0.5, -0.5, 3600.0, 0.0, -7200.0):
        mono[0] += 1
        wall[0] += 1 + by
        clock.look()
    assert steps == [3600.0, -7200.0]


def member(at: float, *, paused: bool) -> dict[str, str]:
    return {
        "Event": "QueueMemberPause",
        "Timestamp": f"{at:.6f}",
        "Queue": "sales",
        "MemberName": "2001",
        "Interface": "PJSIP/1001",
        "Status": "1",
        "Paused": str(int(paused)),
    }


async def test_state_durations_on_record_survive_a_clock_put_forward(tmp_path: Path) -> None:
    """The seconds an agent's states lasted are on record as they were, an hour's step notwithstanding."""
    steps: list[float] = []
    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/cti.sqlite3") as store:
        pump = Pump(
            Core("main"), [store.writer.put], lambda _commands: None, on_step=lambda _at, by: steps.append(by)
        )
        mono = 0.0
        for at, paused in ((0, False), (60, True), (100, True), (3800, True), (3860, False)):
            mono = at if at < 3800 else at - 3600
            pump.step_all([Arrival("main", START + mono, mono, member(START + at, paused=paused))])
            await asyncio.sleep(0)
        await store.writer.committed()
        spans = sorted((await store.queries.agent_states()).items, key=lambda span: span.state.since)
    lasted: dict[State, float] = {}
    for span in spans:
        if span.until is not None:
            lasted[span.state.state] = lasted.get(span.state.state, 0) + span.until - span.state.since
    assert [round(by) for by in steps] == [3600]
    assert {state: round(seconds) for state, seconds in lasted.items()} == {
        State.AVAILABLE: 60,
        State.AWAY: 200,
    }
    assert all(one.until is not None and one.until <= two.state.since for one, two in pairwise(spans))


def test_an_absence_survives_a_step() -> None:
    """C3: a clock put forward by an hour reports nobody."""
    facts: list[Fact] = []
    pump = Pump(Core("main"), [facts.extend], lambda _commands: None)
    for at, mono in ((0, 0), (60, 60), (3700, 100)):
        pump.step_all([Arrival("main", START + mono, float(mono), member(START + at, paused=at > 0))])
    states = [fact.state for fact in facts if isinstance(fact, AgentState)]
    assert State.AWAY in states
    assert not [fact for fact in facts if type(fact).__name__ in {"Incident", "Notice"}]
