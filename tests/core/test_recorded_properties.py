"""Real calls, mixed, torn and doubled: the same records, no leak, every call ends, strangers stay strangers (B1, B3, A1).

The material is every recorded scenario whose link stays up; what is drawn is which, when, and what happens to the events.
"""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.facts import (
    Attempt,
    Call,
    Fact,
    FactKey,
    Leg,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from tests.core.dialogue import Dialogue
from tests.core.recorded_calls import later, plain_names, recorded, script, together

PARTS = (Call, Leg, QueueStay, Attempt, Talk, Transfer, Recording)
SESSIONS = st.lists(
    st.tuples(st.sampled_from(plain_names()), st.floats(0, 4)),  # a scenario, and s after the first one
    min_size=2,
    max_size=4,
)
SEEDS = st.integers(0, 2**32)


def heard(events: Iterable[ev.Event]) -> Dialogue:
    pbx = Dialogue()
    pbx.say_all(events)
    return pbx


def scripts(session: list[tuple[str, float]], *, shared: bool = False) -> list[list[ev.Event]]:
    return [later(script(name, n, shared=shared), after) for n, (name, after) in enumerate(session, 1)]


def records(pbx: Dialogue) -> dict[FactKey, Fact]:
    return {fact.key: fact for fact in pbx.latest.values() if isinstance(fact, PARTS)}


def belonging(pbx: Dialogue) -> dict[str, str | None]:
    """Each channel's call, and each call's elder that it was merged into."""
    return {leg.id: leg.call_id for leg in pbx.all(Leg)} | {
        f"call {call.id}": call.merged_into for call in pbx.all(Call)
    }


def unended(pbx: Dialogue) -> list[Fact]:
    """Calls and parts of calls that go on, as far as anybody was told."""
    return [fact for fact in records(pbx).values() if _goes_on(fact)]


def _goes_on(fact: Fact) -> bool:
    match fact:
        case Call():
            return fact.merged_into is None and (fact.ended_at is None or fact.disposition is None)
        case Leg() | Talk():
            return fact.ended_at is None
        case QueueStay() | Attempt():
            return fact.outcome is None
        case Recording():
            return fact.stopped_at is None
        case Transfer():
            return fact.result == "pending"
    return False


@settings(max_examples=60, deadline=None)
@given(session=SESSIONS)
def test_calls_at_the_same_time_give_the_records_they_give_alone(session: list[tuple[str, float]]) -> None:
    """B1: however calls overlap, each field of each part is as if the call had been the only one."""
    alone: dict[FactKey, Fact] = {}
    for one in scripts(session):
        alone |= records(heard(one))
    pbx = heard(together(scripts(session)))
    assert records(pbx) == alone
    assert pbx.leftovers() == []


@settings(max_examples=50, deadline=None)
@given(session=SESSIONS)
def test_strangers_never_become_one_call(session: list[tuple[str, float]]) -> None:
    """B1: also when the same phones, agents and queues take part in all of them at once."""
    alone: dict[str, str | None] = {}
    for one in scripts(session, shared=True):
        alone |= belonging(heard(one))
    pbx = heard(together(scripts(session, shared=True)))
    assert belonging(pbx) == alone
    assert pbx.leftovers() == []


@settings(max_examples=60, deadline=None)
@given(session=SESSIONS, seed=SEEDS, share=st.floats(0, 1))
def test_doubled_events_change_nothing(session: list[tuple[str, float]], seed: int, share: float) -> None:
    """B1: whichever events are told twice, every part of every call is what it was."""
    chance, events = random.Random(seed), together(scripts(session))
    doubled = [event for once in events for event in ([once, once] if chance.random() < share else [once])]
    assert records(heard(doubled)) == records(heard(events))


@settings(max_examples=60, deadline=None)
@given(session=SESSIONS, seed=SEEDS, share=st.floats(0, 0.9))
def test_hangups_alone_end_everything(session: list[tuple[str, float]], seed: int, share: float) -> None:
    """B1: whatever else is lost, once all channels have hung up nothing is held on to and nothing goes on."""
    chance = random.Random(seed)
    left = [
        event
        for event in together(scripts(session))
        if isinstance(event, ev.ChannelHungUp | ev.Resynced) or chance.random() >= share
    ]
    pbx = heard(left)
    assert pbx.leftovers() == []
    assert unended(pbx) == []


@settings(max_examples=60, deadline=None)
@given(session=SESSIONS, seed=SEEDS, share=st.floats(0, 0.9))
def test_a_torn_stream_ends_with_the_next_login(
    session: list[tuple[str, float]], seed: int, share: float
) -> None:
    """A1: events lost, doubled and out of order, hangups too: once a login finds no channels, everything has ended."""
    chance, events = random.Random(seed), together(scripts(session))
    torn: list[ev.Event] = []
    for event in events:
        fate = chance.random()
        if fate >= share:
            torn.append(event)
        elif fate > share / 2:
            torn.insert(chance.randrange(len(torn) + 1), event)
            torn.append(event)
    pbx = heard(torn)
    pbx.at = max(event.at for event in events)
    pbx.resynced()
    assert pbx.leftovers() == []
    assert unended(pbx) == []


@pytest.mark.parametrize("name", plain_names())
def test_any_one_event_of_a_real_call_may_be_lost(name: str) -> None:
    """B1: but for a hangup, the loss of any one event leaves nothing open when the call is over."""
    events = recorded(name)
    open_after = {
        n: unended(pbx) or pbx.leftovers()
        for n, event in enumerate(events)
        if not isinstance(event, ev.ChannelHungUp | ev.Resynced | ev.MemberSeen | ev.MemberRemoved)
        for pbx in [heard([*events[:n], *events[n + 1 :]])]
    }
    assert {events[n]: what for n, what in open_after.items() if what} == {}
