"""A daemon that comes late, or back, finds its calls again: same id, same edges, same end (B3, A1)."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.core import Core
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Disposition,
    EndedBy,
    Fact,
    FactKey,
    Fault,
    FaultKind,
    Leg,
    Link,
    Quality,
    QueueStay,
    RejectReason,
    State,
    StayOutcome,
    Talk,
)
from cti.core.memory import Memory
from tests.core import scenarios as s
from tests.core.dialogue import START, Dialogue, remember, seen_member
from tests.core.shadow import BOOTED, Shadow

PHONE = "PJSIP/11"


def killed(
    events: list[ev.Event], after: int, *, lists_bridges: bool = True
) -> tuple[Dialogue, dict[FactKey, Fact]]:
    """A daemon hears the first events and dies; the next one restores, asks the PBX and hears the rest.

    Returns the second one, and what the store holds in the end.
    """
    first = Dialogue()
    first.say_all(events[:after])
    at = events[after - 1].at
    second = Dialogue(memory=first.memory(), at=at)
    second.say(Shadow(events[:after], lists_bridges=lists_bridges).resynced(at + 0.0002))
    second.say_all(events[after:])
    return second, {**first.latest, **second.latest}


def test_what_ended_as_everything_was_asked_for_is_no_stranger() -> None:
    """A1: a channel that the lists no longer have may be told to be gone a moment later; after that it is a stranger."""
    pbx = Dialogue()
    pbx.resynced()
    pbx.wait(0.5)
    pbx.hangup("9.9")
    assert pbx.rejected() == []
    pbx.wait(1.5)
    pbx.hangup("9.8")
    assert [fact.reason for fact in pbx.rejected()] == [RejectReason.UNKNOWN_CHANNEL]


def test_a_stay_under_an_ordinary_number_may_have_been_turned_away() -> None:
    """B1: what is on record is taken up as it is, under whatever number it stands."""
    pbx = Dialogue()
    s.comes_in(pbx, "1")
    pbx.join("q1", "1.1")
    pbx.leave_queue("q1", "1.1", status="FULL")
    memory = pbx.memory()
    full = replace(memory.stays[0], outcome=StayOutcome.FULL, left_at=pbx.at)
    again = Dialogue(memory=replace(memory, stays=(full,)), at=pbx.at)
    again.hangup("1.1")
    assert again.call("1.1").ended_at is not None


def overflow(pbx: Dialogue) -> None:
    """Turned away by one queue, let in by the next until its time is over, turned away by a third."""
    s.comes_in(pbx, "1")
    pbx.join("q2", "1.1", status="JOINEMPTY")
    pbx.waits_in_vain("q2", "1.1", 4, status="JOINEMPTY")
    pbx.up("1.1", status="TIMEOUT")
    pbx.up("1.1", status="FULL")
    pbx.wait(1)
    pbx.asks_hangup("1.1", by_device=False)
    pbx.hangup("1.1", status="FULL")


def test_killed_at_any_event_nobody_is_turned_away_twice() -> None:
    """B3: what an earlier process heard of QUEUESTATUS is known by what it left on record."""
    whole = Dialogue()
    overflow(whole)
    wanted = {(stay.id, stay.outcome) for stay in whole.all(QueueStay)}
    assert {outcome for _, outcome in wanted} == {
        StayOutcome.JOIN_EMPTY,
        StayOutcome.TIMEOUT,
        StayOutcome.FULL,
    }
    for after in range(begins(whole.events), len(whole.events)):
        _, stored = killed(whole.events, after)
        found = {(one.id, one.outcome) for one in stored.values() if isinstance(one, QueueStay)}
        assert found == wanted, after


def test_a_word_that_is_only_known_by_its_meaning_is_the_same_word() -> None:
    """B3: who is taken out of a queue after a restart was not turned away by another."""
    first = Dialogue()
    s.comes_in(first, "1")
    first.join("q2", "1.1", status="JOINUNAVAIL")
    first.waits_in_vain("q2", "1.1", 4, status="JOINUNAVAIL")
    first.rung("1.2", PHONE)
    first.dial("1.1", "1.2", status="JOINUNAVAIL")
    first.hangup("1.2")
    first.hangup("1.1", status="JOINUNAVAIL")
    joined = next(i for i, event in enumerate(first.events, 1) if isinstance(event, ev.CallerJoined))
    _, stored = killed(first.events, joined)
    found = [one.outcome for one in stored.values() if isinstance(one, QueueStay)]
    assert found == [StayOutcome.JOIN_EMPTY, StayOutcome.TRANSFERRED_OUT]


def of(kind: type[Fact], facts: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in facts if isinstance(fact, kind)]


def begins(events: list[ev.Event]) -> int:
    """How many events it takes until the call is there."""
    return next(i for i, event in enumerate(events, 1) if isinstance(event, ev.ChannelCreated))


# Left the queue without being connected, and then the daemon died: key or timeout can't be told any more.
UNTOLD = {"queue_left_by_key": (ev.CallerLeft, ev.HangupRequested)}


@pytest.mark.parametrize("lists_bridges", [True, False])
@pytest.mark.parametrize("name", s.ALL)
def test_killed_at_every_event(name: str, *, lists_bridges: bool) -> None:
    """B3: whatever moment the daemon dies, the record is the one it would have been, marked gapped."""
    events = s.script(s.ALL[name], "1")
    whole = Dialogue()
    whole.say_all(events)
    for after in range(begins(events), len(events)):
        second, store = killed(events, after, lists_bridges=lists_bridges)
        where = f"{name}, killed after {after}: {type(events[after - 1]).__name__}"
        (call,) = of(Call, store.values())
        assert isinstance(call, Call)
        assert (call.id, call.quality, call.ended_at) == ("p-1.1", Quality.GAPPED, whole.call("1.1").ended_at)
        assert second.leftovers() == [], where
        if isinstance(events[after - 1], UNTOLD.get(name, ())):
            assert call.disposition is Disposition.UNKNOWN, where
            continue
        assert call.disposition is s.DISPOSITION[name], where
        assert call.answered_at == whole.call("1.1").answered_at, where
        for kind in (QueueStay, Attempt, Talk):
            assert summary(kind, store.values()) == summary(kind, whole.latest.values()), where


def summary(kind: type[Fact], facts: Iterable[Fact]) -> set[tuple[object, ...]]:
    """Who, where and how of the parts of one kind."""
    found: set[tuple[object, ...]] = set()
    for fact in facts:
        match fact:
            case QueueStay() if kind is QueueStay:
                found.add((fact.id, fact.queue, fact.outcome, fact.agent))
            case Attempt() if kind is Attempt:
                found.add((fact.id, fact.queue, fact.outcome, fact.agent))
            case Talk() if kind is Talk:
                found.add((fact.device, fact.queue, fact.agent))
    return found


@pytest.mark.parametrize("name", [name for name in s.ALL if name not in UNTOLD])
def test_killed_twice(name: str) -> None:
    """B3: a daemon that dies again and again in one call still tells one call."""
    events = s.script(s.ALL[name], "1")
    middle = len(events) // 2
    store: dict[FactKey, Fact] = {}
    for start, end in ((0, middle - 2), (middle - 2, middle + 1), (middle + 1, len(events))):
        daemon = Dialogue(memory=remember(store.values()), at=events[start].at)
        if start:
            daemon.say(Shadow(events[:start]).resynced(events[start - 1].at + 0.0002))
        daemon.say_all(events[start:end])
        store |= daemon.latest
    assert [fact.key for fact in of(Call, store.values())] == [("call", "p-1.1")]
    assert daemon.call("1.1").disposition is s.DISPOSITION[name]
    assert daemon.leftovers() == []


@pytest.mark.parametrize("name", s.ALL)
def test_attached_at_every_event(name: str) -> None:
    """B3: a daemon that never saw the beginning tells what it saw and never claims what it did not."""
    events = s.script(s.ALL[name], "1")
    for after in range(begins(events), len(events)):
        at = events[after - 1].at
        pbx = Dialogue(at=at)
        pbx.say(Shadow(events[:after]).resynced(at + 0.0002))
        pbx.say_all(events[after:])
        assert pbx.leftovers() == []
        assert {call.quality for call in pbx.all(Call)} == {Quality.GAPPED}
        assert {call.disposition for call in pbx.all(Call)} <= {s.DISPOSITION[name], Disposition.UNKNOWN}
        assert {stay.outcome for stay in pbx.all(QueueStay)} <= {s.STAY.get(name), StayOutcome.UNKNOWN}
        assert len({leg.call_id for leg in pbx.all(Leg)}) == 1


@pytest.mark.parametrize("name", s.ALL)
def test_who_waits_rings_and_talks_is_told_again(name: str) -> None:
    """F3: a live picture that begins with the restarted daemon knows every part that was open before."""
    events = s.script(s.ALL[name], "1")
    for after in range(begins(events), len(events)):
        first = Dialogue()
        first.say_all(events[:after])
        at, memory = events[after - 1].at, first.memory()
        told = Dialogue(memory=memory, at=at).say(Shadow(events[:after]).resynced(at + 0.0002))
        keys = {fact.key for fact in told}
        expected = {stay.key for stay in memory.stays if stay.outcome is None}
        expected |= {attempt.key for attempt in memory.attempts if attempt.outcome is None}
        expected |= {talk.key for talk in memory.talks if talk.ended_at is None}
        assert expected <= keys, after


def test_what_was_missed_in_the_gap_is_unknown() -> None:
    """B3: the call ended while nobody listened; it ended at the latest when the list was made."""
    pbx = Dialogue()
    s.comes_in(pbx, "1", "q1")
    pbx.link_lost()
    pbx.wait(30)
    pbx.resynced()
    call = pbx.call("1.1")
    assert (call.disposition, call.ended_by) == (Disposition.UNKNOWN, EndedBy.UNKNOWN)
    assert (call.ended_at, call.quality) == (pbx.at, Quality.GAPPED)
    assert pbx.stay("1.1").outcome is StayOutcome.UNKNOWN
    assert pbx.leftovers() == []


def test_answered_in_the_gap() -> None:
    """B3: the caller no longer waits and talks with an agent: that agent answered."""
    events = s.script(s.queue_answered, "1")
    ringing = next(i for i, event in enumerate(events) if isinstance(event, ev.DialBegan)) + 1
    talks = [i for i, event in enumerate(events) if isinstance(event, ev.BridgeEntered)][-1] + 1
    pbx = Dialogue()
    pbx.say_all(events[:ringing])
    pbx.link_lost()
    pbx.say(Shadow(events[:talks]).resynced(events[talks - 1].at))
    pbx.say_all(events[talks:])
    stay = pbx.stay("1.1")
    assert (stay.outcome, stay.agent, stay.book_talk) == (StayOutcome.ANSWERED, "11", 20.0)
    assert pbx.call("1.1").disposition is Disposition.ANSWERED
    assert pbx.talk("1.2").queue == "q1"


def test_the_next_queue_was_joined_in_the_gap() -> None:
    """B3: the first pass ended unseen, the second is another one."""
    pbx = Dialogue()
    s.comes_in(pbx, "1", "q1")
    events = pbx.events.copy()
    pbx.link_lost()
    pbx.wait(30)
    moved = Shadow([*events, ev.CallerLeft(pbx.at - 10, "q1", "1.1", "")])
    moved.see(ev.CallerJoined(pbx.at - 10, "q2", "1.1", 1, ""))
    pbx.say(moved.resynced(pbx.at))
    assert [(stay.queue, stay.outcome, stay.ordinal) for stay in pbx.all(QueueStay)] == [
        ("q1", StayOutcome.UNKNOWN, 1),
        ("q2", None, 2),
    ]


def test_a_phone_found_ringing_rings() -> None:
    """B2, B3: the attempt begins when it was found, in the queue its caller waits in."""
    events = s.script(s.queue_answered, "1")
    ringing = next(i for i, event in enumerate(events) if isinstance(event, ev.DialBegan)) + 1
    pbx = Dialogue(at=events[ringing].at)
    pbx.say(Shadow(events[:ringing]).resynced(events[ringing - 1].at))
    assert pbx.state("11").state is State.RINGING
    pbx.say_all(events[ringing:])
    attempt = pbx.attempt("1.2")
    assert (attempt.queue, attempt.outcome) == ("q1", AttemptOutcome.ANSWERED)
    assert pbx.state("11").state is State.AVAILABLE


def channel(uniqueid: str, name: str, application: str, *, linkedid: str, bridge: str = "") -> ev.ChannelSeen:
    return ev.ChannelSeen(
        START, uniqueid, linkedid, name, 6, "", "", "from-trunk", "4001", bridge, 60.0, application
    )


def test_an_agent_pools_channel_ties_no_callers_together() -> None:
    """B1: strangers whose linkedid is the agent's own channel stay strangers when found."""
    pbx = Dialogue()
    pbx.resynced(
        channels=(
            channel("0.1", "PJSIP/1001-0001", "AgentLogin", linkedid="0.1"),
            channel("1.1", "PJSIP/trunk-a-0002", "Queue", linkedid="0.1"),
            channel("2.1", "PJSIP/trunk-a-0003", "Queue", linkedid="0.1"),
        )
    )
    assert sorted(call.id for call in pbx.all(Call) if call.merged_into is None) == [
        "p-0.1",
        "p-1.1",
        "p-2.1",
    ]


def test_an_agent_found_on_a_line_of_the_pool_is_the_queues_member() -> None:
    """B1: AgentLogin's number is in the member's state interface; waiting there for callers is no call."""
    pbx = Dialogue()
    line = channel("0.1", "PJSIP/1001-0001", "AgentLogin", linkedid="0.1")
    member = seen_member(START, "2001", "Local/3003@pool/n", "sales", state_interface="Agent:3003")
    pbx.resynced(channels=(replace(line, data="3003,s"),), members=(member,))
    assert [leg.agent for leg in pbx.all(Leg)] == ["2001"]
    assert pbx.state("2001").state is State.AVAILABLE


def test_an_agent_of_the_pool_is_on_call_while_they_talk() -> None:
    """B1: a line that is open all day is no call of its agent's, though the phone is known as theirs; each talk on it is."""
    pbx = Dialogue()
    line = channel("0.1", "PJSIP/1001-0001", "Dial", linkedid="0.1")
    pbx.resynced(channels=(line,), members=(seen_member(START, "2001", "PJSIP/1001", "shift"),))
    customer = channel("1.1", "PJSIP/trunk-a-0002", "AgentRequest", linkedid="1.1")
    states = [pbx.state("2001").state]
    for event in (
        ev.StaysOnLine(START + 1, "0.1", "3003"),
        ev.ChannelCreated(START + 2, "1.1", "1.1", customer.channel, 4, "139", "", "from-trunk", "811"),
        ev.BridgeEntered(START + 3, "b1", "1.1", "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(START + 3, "b1", "0.1", "", "basic", "simple_bridge", ""),
        ev.BridgeLeft(START + 9, "b1", "1.1"),
    ):
        pbx.say(event)
        states.append(pbx.state("2001").state)
    on_call, available = State.ON_CALL, State.AVAILABLE
    assert states == [on_call, available, available, available, on_call, available]


def test_who_joins_a_queue_from_a_line_of_the_pool_is_its_member_from_then_on() -> None:
    """B1: first AgentLogin, then the login to the queue."""
    pbx = Dialogue()
    pbx.resynced(channels=(channel("0.1", "PJSIP/1001-0001", "Wait", linkedid="0.1"),))
    member = seen_member(START + 2, "2001", "Local/3003@pool/n", "sales", state_interface="Agent:3003")
    for event in (
        ev.StaysOnLine(START + 1, "0.1", "3003"),
        replace(member, what="added"),
        ev.ChannelCreated(START + 3, "1.1", "1.1", "PJSIP/trunk-a-0002", 4, "139", "", "from-trunk", "811"),
        ev.BridgeEntered(START + 4, "b1", "1.1", "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(START + 4, "b1", "0.1", "", "basic", "simple_bridge", ""),
    ):
        pbx.say(event)
    assert [(talk.agent, talk.call_id) for talk in pbx.all(Talk)] == [("2001", "p-1.1")]
    assert pbx.state("2001").state is State.ON_CALL


def test_parked_callers_stay_strangers() -> None:
    """B1: two who wait in one parking lot share a bridge and nothing else."""
    pbx = Dialogue()
    pbx.resynced(
        channels=(
            channel("1.1", "PJSIP/trunk-a-0002", "Park", linkedid="1.1", bridge="lot"),
            channel("2.1", "PJSIP/trunk-a-0003", "Park", linkedid="2.1", bridge="lot"),
        )
    )
    assert [call.merged_into for call in pbx.all(Call)] == [None, None]
    assert pbx.all(Talk) == []


def test_callers_handed_on_to_a_parking_lot_stay_strangers() -> None:
    """B1: a parked caller is still listed as waiting in a queue; the list of bridges says that nobody talks there."""
    pbx = Dialogue()
    pbx.resynced(
        channels=(
            channel("1.1", "PJSIP/trunk-a-0002", "Queue", linkedid="1.1", bridge="lot"),
            channel("2.1", "PJSIP/trunk-a-0003", "Dial", linkedid="1.1", bridge="lot"),
        ),
        bridges=(ev.BridgeSeen(START, "lot", "base", "holding_bridge"),),
    )
    assert [call.merged_into for call in pbx.all(Call)] == [None, None]
    assert pbx.all(Talk) == []


def test_people_found_in_a_conference_talk() -> None:
    """B1: strangers in a room stay in calls of their own, and talk."""
    pbx = Dialogue()
    pbx.resynced(
        channels=(
            channel("1.1", "PJSIP/1001-0002", "ConfBridge", linkedid="1.1", bridge="room"),
            channel("2.1", "PJSIP/1002-0003", "ConfBridge", linkedid="1.1", bridge="room"),
        ),
        members=tuple(
            ev.MemberSeen(
                START, "listed", "sales", agent, f"PJSIP/{phone}", "", "dynamic", False, "", 2, 0, 0, 0
            )
            for agent, phone in (("2001", "1001"), ("2002", "1002"))
        ),
        bridges=(ev.BridgeSeen(START, "room", "base", "softmix"),),
    )
    assert [call.merged_into for call in pbx.all(Call)] == [None, None]
    assert [talk.call_id for talk in pbx.all(Talk)] == ["p-1.1", "p-2.1"]


def test_a_bridge_made_after_the_list_is_told_when_it_is_entered() -> None:
    """B1: what was made between two lists is not guessed at; the events that were held back tell it."""
    pbx = Dialogue()
    pbx.resynced(
        channels=(
            channel("1.1", "PJSIP/1001-0002", "Dial", linkedid="1.1", bridge="new"),
            channel("2.1", "PJSIP/1002-0003", "AppDial", linkedid="1.1", bridge="new"),
        ),
        bridges=(),
    )
    assert pbx.all(Talk) == []
    pbx.say(ev.BridgeEntered(START + 1, "new", "1.1", "", "basic", "simple_bridge", ""))
    pbx.say(ev.BridgeEntered(START + 1, "new", "2.1", "", "basic", "simple_bridge", ""))
    assert [talk.started_at for talk in pbx.all(Talk)] == [START + 1]


def test_what_began_while_the_lists_were_made_is_gapped() -> None:
    """B3: its events were held back, but who made it may have come and gone before the lists were read."""
    pbx = Dialogue()
    pbx.resynced()
    early, late = (
        ev.ChannelCreated(at, uniqueid, "0.9", f"PJSIP/1001-000{n}", 0, "1001", "", "from-internal", "s")
        for n, (at, uniqueid) in enumerate(((pbx.at - 0.01, "1.1"), (pbx.at + 0.01, "1.2")))
    )
    for created in (early, late):
        pbx.say(created)
        pbx.say(ev.DialBegan(created.at, "", created.uniqueid, "1001", ""))
        pbx.say(ev.DialEnded(created.at, "", created.uniqueid, "BUSY", ""))
        pbx.say(ev.ChannelHungUp(created.at, created.uniqueid, 17, ""))
    assert [call.quality for call in pbx.all(Call)] == [Quality.GAPPED, Quality.COMPLETE]


def test_a_member_on_a_local_channel_that_is_found_ringing_rings_once() -> None:
    """B1, B3: the phone behind it is listed, too, and the events held back tell of the member's ringing."""
    pbx = Dialogue()
    local, phone = "Local/1001@phones-01;1", "PJSIP/1001-0003"
    caller = channel("1.1", "PJSIP/trunk-a-0001", "Queue", linkedid="1.1")
    rung = [
        replace(channel(uniqueid, name, application, linkedid="1.1"), state=5)
        for uniqueid, name, application in (("1.4", phone, "AppDial"), ("1.2", local, "AppQueue"))
    ]
    member = ev.MemberSeen(
        START, "listed", "sales", "2001", "Local/1001@phones", "PJSIP/1001", "dynamic", False, "", 6, 0, 0, 0
    )
    waiting = ev.CallerSeen(START, "sales", "1.1", 1, 5.0)
    pbx.resynced(channels=(*rung, caller), members=(member,), waiting=(waiting,))
    pbx.say(ev.MemberCalled(START - 0.01, "sales", "1.1", "1.2", "2001", "Local/1001@phones"))
    assert [(one.id, one.agent, one.queue) for one in pbx.all(Attempt)] == [("p-1.2/a", "2001", "sales")]


def test_a_lost_link_is_a_fault_from_its_begin_to_its_end() -> None:
    """A3: one fault however often the link is lost before it is back."""
    pbx = Dialogue()
    pbx.link_lost("timed out")
    began = pbx.at
    pbx.wait(5)
    pbx.link_lost("refused")
    pbx.wait(5)
    pbx.resynced()
    (fault,) = pbx.all(Fault)
    assert (fault.kind, fault.began_at, fault.ended_at) == (FaultKind.LINK, began, pbx.at)


def test_a_restarted_pbx_ends_every_call_and_leaves_a_fault() -> None:
    """A3, B3: no hangups come for the calls that a restart cut off."""
    pbx = Dialogue()
    pbx.resynced(booted_at=BOOTED)
    s.comes_in(pbx, "1", "q1")
    pbx.link_lost()
    cut = pbx.at
    pbx.wait(20)
    pbx.resynced(booted_at=pbx.at - 3)
    (fault,) = [fault for fault in pbx.all(Fault) if fault.kind is FaultKind.PBX_RESTART]
    assert (fault.began_at, fault.ended_at) == (cut, pbx.at)
    assert pbx.call("1.1").disposition is Disposition.UNKNOWN
    assert pbx.leftovers() == []


def test_a_pbx_restarted_while_the_daemon_was_dead_leaves_a_fault() -> None:
    """A3: nothing is remembered from before a PBX started, unless it was restarted since."""
    first = Dialogue()
    s.comes_in(first, "1", "q1")
    second = Dialogue(memory=first.memory(), at=first.at + 60)
    second.resynced(booted_at=first.at + 50)
    assert [fault.kind for fault in second.all(Fault)] == [FaultKind.PBX_RESTART]
    ended_at = second.call("1.1").ended_at
    assert ended_at is not None
    assert (
        first.memory().latest() <= ended_at <= first.at
    )  # when Asterisk was last heard of, as far as is remembered


def test_a_reconnect_is_no_restart() -> None:
    """A3: CoreStatus gives whole seconds; a second's difference is none."""
    pbx = Dialogue()
    pbx.resynced(booted_at=BOOTED)
    pbx.resynced(booted_at=BOOTED + 1)
    assert pbx.all(Fault) == []


def test_a_restart_that_nobody_saw_is_known_by_when_asterisk_started() -> None:
    """A3: however soon the PBX was back; the same Asterisk met again by another process was not restarted."""

    def faults(remembered: Memory, booted: float) -> list[Fault]:
        core = Core("p")
        core.restore(remembered)
        return [fact for fact in core.step(ev.Resynced(1_002.0, booted)).facts if isinstance(fact, Fault)]

    assert faults(Memory(booted_at=500.0), 501.0) == []
    (restart,) = faults(Memory(booted_at=500.0), 1_001.0)
    assert (restart.kind, restart.began_at, restart.ended_at) == (FaultKind.PBX_RESTART, 1_001.0, 1_002.0)
    (link,) = [fact for fact in Core("p").step(ev.Resynced(1_002.0, 1_001.0)).facts if isinstance(fact, Link)]
    assert link.booted_at == 1_001.0
