"""Whatever the order, loss or repetition of events: the same records, no leak, every call ends (B1, B3, A1)."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.facts import (
    AgentState,
    Attempt,
    Call,
    Disposition,
    Fact,
    FactKey,
    Leg,
    QueueStay,
    Rejected,
    State,
    Talk,
)
from tests.core import scenarios as s
from tests.core.dialogue import LINE, START, Dialogue
from tests.core.shadow import Shadow

NAMES = st.sampled_from(sorted(s.ALL))
RECORDS = (Call, Leg, QueueStay, Attempt, Talk)


def records(pbx: Dialogue) -> dict[FactKey, Fact]:
    """The final record of every call, without what depends on the rest of the PBX."""
    return {fact.key: fact for fact in pbx.latest.values() if isinstance(fact, RECORDS)}


def heard(events: list[ev.Event]) -> Dialogue:
    pbx = Dialogue()
    pbx.say_all(events)
    return pbx


@settings(max_examples=60, deadline=None)
@given(names=st.lists(NAMES, min_size=2, max_size=5), seed=st.integers(0, 2**32))
def test_calls_at_the_same_time_do_not_disturb_each_other(names: list[str], seed: int) -> None:
    """B1: any interleaving of several calls gives the records that each gives alone."""
    chance = random.Random(seed)
    scripts = [s.script(s.ALL[name], str(n)) for n, name in enumerate(names, 1)]
    alone: dict[FactKey, Fact] = {}
    for script in scripts:
        alone |= records(heard(script))
    left = [list(script) for script in scripts]
    mixed: list[ev.Event] = []
    while any(left):
        mixed.append(chance.choice([script for script in left if script]).pop(0))
    pbx = heard(mixed)
    assert records(pbx) == alone
    assert pbx.leftovers() == []


@settings(max_examples=60, deadline=None)
@given(name=NAMES, data=st.data())
def test_a_repeated_event_changes_nothing(name: str, data: st.DataObject) -> None:
    """B1: every fact is idempotent; what was said twice was said once."""
    events = s.script(s.ALL[name], "1")
    index = data.draw(st.integers(0, len(events) - 1))
    again = heard([*events[: index + 1], *events[index:]])
    assert records(again) == records(heard(events))
    assert again.leftovers() == []


@pytest.mark.parametrize("name", s.ALL)
def test_any_one_event_may_be_lost(name: str) -> None:
    """B3: no exception, and once nothing lives on the PBX nothing lives here; every call has an end."""
    events = s.script(s.ALL[name], "1")
    for lost in range(len(events)):
        pbx = heard([*events[:lost], *events[lost + 1 :]])
        if not isinstance(events[lost], ev.ChannelHungUp):
            assert pbx.leftovers() == [], events[lost]
        pbx.say(Shadow(events).resynced(pbx.at + 1))
        assert pbx.leftovers() == [], events[lost]
        assert [call for call in pbx.all(Call) if call.disposition is None and call.merged_into is None] == []
        assert [stay for stay in pbx.all(QueueStay) if stay.outcome is None] == []
        assert [attempt for attempt in pbx.all(Attempt) if attempt.outcome is None] == []
        assert [talk for talk in pbx.all(Talk) if talk.ended_at is None] == []


@settings(max_examples=150, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=3), seed=st.integers(0, 2**32), share=st.floats(0, 0.5))
def test_any_mangled_stream_is_survived(names: list[str], seed: int, share: float) -> None:
    """A1: events lost, doubled and out of order never raise, and leave nothing behind once the PBX is empty."""
    chance = random.Random(seed)
    events = [event for n, name in enumerate(names, 1) for event in s.script(s.ALL[name], str(n))]
    mangled: list[ev.Event] = []
    for event in events:
        fate = chance.random()
        if fate > share:
            mangled.append(event)
        elif fate > share / 2:
            mangled.insert(chance.randrange(len(mangled) + 1), event)
            mangled.append(event)
    pbx = heard([replace(event, at=events[0].at + i / 10) for i, event in enumerate(mangled)])
    pbx.resynced()
    assert pbx.leftovers() == []
    assert [call for call in pbx.all(Call) if call.disposition is None and call.merged_into is None] == []
    assert {state.state for state in (pbx.state(a) for a in agents(pbx))} <= {State.LOGGED_OUT}


def agents(pbx: Dialogue) -> set[str]:
    return {state.agent for state in pbx.all(AgentState)}


@settings(max_examples=60, deadline=None)
@given(name=NAMES, data=st.data())
def test_replaying_a_stream_gives_the_same_facts(name: str, data: st.DataObject) -> None:
    """B1: the core reads no clock and rolls no dice."""
    events = s.script(s.ALL[name], "1")
    end = data.draw(st.integers(1, len(events)))
    assert heard(events[:end]).facts == heard(events[:end]).facts


@settings(max_examples=80, deadline=None)
@given(order=st.permutations(range(4)), bridges=st.permutations([(0, 1), (1, 2), (2, 3)]))
def test_merging_does_not_depend_on_the_order(order: list[int], bridges: list[tuple[int, int]]) -> None:
    """B1: whichever bridge comes first, the oldest call keeps its id, all the others point to it, and it has what was theirs."""
    pbx = Dialogue()
    for n in range(4):
        pbx.channel(f"{n}.1", f"PJSIP/trunk-a-000{n}")
    for one, two in bridges:
        for uniqueid in (f"{one}.1", f"{two}.1"):
            pbx.enter(f"b{one}", uniqueid)
        pbx.leave(f"b{one}", f"{one}.1", f"{two}.1")
    for n in order:
        pbx.hangup(f"{n}.1")
    assert {leg.call_id for leg in pbx.all(Leg)} == {"p-0.1"}
    calls = {call.id: call for call in pbx.all(Call)}
    for call in calls.values():
        while call.merged_into is not None:
            call = calls[call.merged_into]  # noqa: PLW2901 - following the pointers is the point
        assert call.id == "p-0.1"
    first = calls["p-0.1"]
    assert first.started_at == pytest.approx(START + LINE)
    assert first.ended_at == pbx.at
    assert first.answered_at == pytest.approx(START + 6 * LINE)  # four channels, and the first two to meet
    assert (first.disposition, first.caller_number) == (Disposition.ANSWERED, "13800138000")
    assert pbx.leftovers() == []


@pytest.mark.parametrize("name", s.ALL)
def test_a_whole_stream_rejects_nothing(name: str) -> None:
    """A1: what a real PBX says in order is understood without remainder."""
    assert heard(s.script(s.ALL[name], "1")).told(Rejected) == []
