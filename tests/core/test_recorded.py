"""A session of a real Asterisk 22, recorded by our own recorder, through the core (B1, B3, B4)."""

import gc
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from cti.core import events as ev
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AttemptOutcome,
    Call,
    Disposition,
    Fact,
    Quality,
    QueueStay,
    Rejected,
    StayOutcome,
    Talk,
)
from cti.core.parsing import parse
from cti.core.parts import AttemptPart, CallPart, LegPart, StayPart, TalkPart
from cti.daemon.recorder import arrivals, read_recording
from tests.core.dialogue import Dialogue
from tests.core.shadow import Shadow

PARTS = (CallPart, LegPart, StayPart, AttemptPart, TalkPart)
RECORDINGS = Path(__file__).parent.parent / "recordings"


@pytest.fixture(scope="module")
def events() -> list[ev.Event]:
    """The demo's session, as the live door would have told it."""
    told = []
    for arrival in arrivals(read_recording(RECORDINGS / "demo.ami.gz"), "p"):
        event = parse(arrival.what, arrival.at) if isinstance(arrival.what, Mapping) else arrival.what
        told += [event] if event is not None else []
    return told


@pytest.fixture(scope="module")
def whole(events: list[ev.Event]) -> Dialogue:
    pbx = Dialogue()
    pbx.say_all(events)
    return pbx


def test_nothing_is_rejected_and_nothing_lingers(whole: Dialogue) -> None:
    """A1: a real PBX is understood without remainder, and every call in it has an end."""
    assert whole.told(Rejected) == []
    assert whole.leftovers() == []
    assert {call.disposition for call in whole.all(Call)} <= set(Disposition)
    assert (
        Counter(call.quality for call in whole.all(Call))[Quality.GAPPED] <= 1
    )  # the one that was there first


def test_each_queue_stay_ends_as_the_queue_log_says(whole: Dialogue) -> None:
    """B4: answered, abandoned and timed out agree with the PBX's own book, stay by stay, with the same agent."""
    verbs = {
        "CONNECT": StayOutcome.ANSWERED,
        "ABANDON": StayOutcome.ABANDONED,
        "EXITWITHTIMEOUT": StayOutcome.TIMEOUT,
        "EXITEMPTY": StayOutcome.EMPTY,
        "EXITWITHKEY": StayOutcome.LEFT_BY_KEY,
    }
    book = {}
    for line in (RECORDINGS / "demo.queue_log").read_text().splitlines():
        _at, call, queue, member, verb, *_rest = line.split("|")
        if verb in verbs:
            agent = member if verb == "CONNECT" else None
            book[call, queue] = (verbs[verb], agent)
    ours = {(stay.uniqueid, stay.queue): (stay.outcome, stay.agent) for stay in whole.all(QueueStay)}
    assert ours == book


def test_answered_stays_talk(whole: Dialogue) -> None:
    """B4: whoever answered a queue's call talked, as long as app_queue says, within its whole seconds."""
    talks: dict[tuple[str, str | None], float] = {}
    for talk in whole.all(Talk):
        if talk.queue is not None:
            key = talk.call_id, talk.agent
            talks[key] = talks.get(key, 0.0) + (talk.ended_at or 0) - talk.started_at
    for stay in whole.all(QueueStay):
        if stay.outcome is StayOutcome.ANSWERED:
            assert talks[stay.call_id, stay.agent] == pytest.approx(stay.book_talk, abs=1.0)
            assert stay.wait == pytest.approx(stay.book_wait, abs=1.0)


def test_the_states_of_an_agent_follow_each_other(whole: Dialogue) -> None:
    """B2: each names the one before it; no instant has two and none has none."""
    for agent in {state.agent for state in whole.all(AgentState)}:
        states = whole.states(agent)
        for before, after in zip(states, states[1:], strict=False):  # noqa: RUF007 - pairs of one list
            assert (after.previous, after.previous_since) == (before.state, before.since)


def test_killed_at_every_event_of_a_real_session(events: list[ev.Event], whole: Dialogue) -> None:
    """B3: at whatever event the daemon dies, each call it had is found again with the id and end it would have had."""
    first, shadow = Dialogue(), Shadow()
    for heard, event in enumerate(events[:-1], 1):
        first.say(event)
        shadow.see(event)
        memory = first.memory()
        if heard < 10 or not memory.calls:
            continue
        second = Dialogue(memory=memory, at=event.at)
        second.say(shadow.resynced(event.at + 0.00001))
        mine = {call.id for call in memory.calls}
        for later in events[heard:]:
            if not mine & second.core.calls.calls.keys():
                break
            second.say(later)
        for key, fact in second.latest.items():
            if getattr(fact, "call_id", getattr(fact, "id", "")) in mine:
                assert ended(fact) == ended(whole.latest[key]), (heard, event)
    assert first.latest


def ended(fact: Fact) -> tuple[object, ...]:
    """What a restart must not change about a part."""
    match fact:
        case Call():
            return (fact.disposition, fact.answered_at, fact.ended_at, fact.caller_number)
        case QueueStay():
            return (fact.queue, fact.outcome, fact.agent, fact.joined_at)
        case Attempt():
            return (fact.queue, fact.outcome, fact.agent, fact.stay_id)
        case Talk():
            return (fact.queue, fact.agent, fact.device, fact.started_at)
    return ()


def test_an_ended_call_leaves_nothing_to_the_garbage_collector(events: list[ev.Event]) -> None:
    """Issue 3: what is over is freed at once, without a search for it among everything that lives."""
    gc.collect()
    before = [part for part in gc.get_objects() if isinstance(part, PARTS)]
    gc.disable()
    try:
        core = Core("p")
        for event in events:
            core.step(event)
        left = [part for part in gc.get_objects() if isinstance(part, PARTS)]
    finally:
        gc.enable()
    known = {id(part) for part in before}
    assert {part.call.id for part in left if id(part) not in known} <= set(core.calls.calls)
    assert len(core.calls.calls) <= 1


def test_refused_phones_are_told_from_unanswered_ones(whole: Dialogue) -> None:
    """B2: the demo has agents who miss calls and agents who decline them."""
    outcomes = Counter(attempt.outcome for attempt in whole.all(Attempt))
    assert outcomes[AttemptOutcome.UNKNOWN] == 0
    assert outcomes[AttemptOutcome.ANSWERED] > outcomes[AttemptOutcome.NO_ANSWER] > 0
