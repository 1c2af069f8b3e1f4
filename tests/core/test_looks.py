"""What a list shows after a gap, and what it does not: small enough to read (B1, B3)."""

from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.completing import Completion
from cti.core.core import Core
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Gap,
    Leg,
    Quality,
    QueueStay,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from tests.core.dialogue import seen_member
from tests.core.test_soak_found import created
from tests.scenarios.judge import PBX, RULES, Session
from tests.scenarios.judge import play as played

A, B, LINE = "100.1", "140.3", "102.2"
BOOTED = 1.0


def play(*events: ev.Event) -> Session:
    session = Session()
    played(Core(PBX, RULES), [seen_member(99.0, "2001", "PJSIP/1001", "q1"), *events], session)
    return session


def listed(
    uniqueid: str,
    channel: str,
    bridge: str,
    app: str,
    age: float,
    *,
    at: float = 150.0,
    state: int = 6,
    linkedid: str = "",
) -> ev.ChannelSeen:
    of_call = linkedid or uniqueid
    return ev.ChannelSeen(
        at, uniqueid, of_call, channel, state, "139", "", "from-trunk", "8", bridge, age, app
    )


def look(at: float, *channels: ev.ChannelSeen, waiting: tuple[ev.CallerSeen, ...] = ()) -> ev.Resynced:
    bridges = {one.bridge for one in channels if one.bridge}
    rooms = tuple(ev.BridgeSeen(at, one, "basic", "simple_bridge") for one in sorted(bridges))
    member = seen_member(at, "2001", "PJSIP/1001", "q1")
    return ev.Resynced(at, BOOTED, channels=channels, members=(member,), waiting=waiting, bridges=rooms)


WAITS_AND_RINGS: list[ev.Event] = [
    created(100.0, A, "PJSIP/trunk-a-00000001", "8"),
    ev.CallerJoined(101.0, "q1", A, 1, ""),
    replace(created(102.0, LINE, "PJSIP/1001-00000002", "s", state=0), linkedid=A),
    ev.MemberCalled(102.0, "q1", A, LINE, "2001", "PJSIP/1001"),
    ev.DialBegan(102.0, A, LINE, "PJSIP/1001", ""),
]
TALK: list[ev.Event] = [
    *WAITS_AND_RINGS,
    ev.DialEnded(104.0, A, LINE, "ANSWER", ""),
    ev.CallerLeft(104.0, "q1", A, ""),
    ev.MemberConnected(104.0, "q1", A, LINE, "2001", "PJSIP/1001", 3.0),
    ev.BridgeEntered(104.0, "b1", A, "", "basic", "simple_bridge", ""),
    ev.BridgeEntered(104.0, "b1", LINE, "", "basic", "simple_bridge", ""),
]


def test_an_agent_who_is_rung_again_rings() -> None:
    """B1: the ringing before was cut by the same gap; it was no Local channel that this phone stood behind."""
    caller = listed(A, "PJSIP/trunk-a-00000001", "", "Queue", 30.0, at=130.0)
    again = listed("122.3", "PJSIP/1001-00000003", "", "AppQueue", 8.0, at=130.0, state=5, linkedid=A)
    waits = ev.CallerSeen(130.0, "q1", A, 1, 29.0)
    session = play(
        *WAITS_AND_RINGS,
        ev.LinkLost(105.0, "gone"),
        look(130.0, caller, again, waiting=(waits,)),
        ev.DialEnded(132.0, A, "122.3", "ANSWER", ""),
    )
    found = {one.id: one.outcome for one in session.all(Attempt)}
    assert found == {f"{PBX}-{LINE}/a": AttemptOutcome.UNKNOWN, f"{PBX}-122.3/a": AttemptOutcome.ANSWERED}


def test_an_agents_own_line_talks_with_the_next_caller() -> None:
    """B1: the first was gone by then, and their talk with them."""
    line = listed(LINE, "PJSIP/1001-00000002", "b2", "AgentLogin", 50.0)
    second = listed(B, "PJSIP/trunk-a-00000003", "b2", "Queue", 10.0)
    session = play(
        created(100.0, LINE, "PJSIP/1001-00000002", "88"),
        ev.StaysOnLine(101.0, LINE),
        created(110.0, A, "PJSIP/trunk-a-00000001", "8"),
        ev.BridgeEntered(112.0, "b1", A, "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(112.0, "b1", LINE, "", "basic", "simple_bridge", ""),
        ev.LinkLost(120.0, "gone"),
        look(150.0, line, second),
        ev.BridgeLeft(170.0, "b2", B),
        ev.ChannelHungUp(170.0, B, 16, ""),
    )
    talks = [(one.call_id, one.started_at, one.ended_at) for one in session.all(Talk)]
    assert talks == [(f"{PBX}-{A}", 112.0, 150.0), (f"{PBX}-{B}", 150.0, 170.0)]


def test_whoever_talks_with_somebody_else_talks_anew() -> None:
    """B1: the customer is gone, and with them the hold; the agent was found with a colleague."""
    agent = listed(LINE, "PJSIP/1001-00000002", "b2", "AppQueue", 48.0, linkedid=A)
    colleague = listed(B, "PJSIP/1002-00000003", "b2", "AppDial2", 20.0, linkedid=A)
    session = play(
        *TALK,
        ev.HoldBegan(115.0, LINE),
        ev.LinkLost(120.0, "gone"),
        look(150.0, agent, colleague),
        ev.BridgeLeft(190.0, "b2", B),
        ev.ChannelHungUp(190.0, B, 16, ""),
    )
    talks = [(one.started_at, one.ended_at, one.hold) for one in session.all(Talk) if one.agent == "2001"]
    assert talks == [(104.0, 150.0, 35.0), (150.0, 190.0, 0.0)]


def test_a_transfer_by_a_second_line_is_not_to_the_agent_who_made_it() -> None:
    """B1: a Local channel in the caller's bridge is the agent's own, when a queue's member is one."""
    half = "Local/2001@agents-00000001"
    session = play(
        created(100.0, A, "PJSIP/trunk-a-00000001", "8"),
        replace(created(102.0, "102.3", f"{half};1", "2001", state=0), linkedid=A),
        replace(created(102.0, "102.4", f"{half};2", "2001"), linkedid=A),
        ev.DialBegan(102.0, A, "102.3", "Local/2001@agents", ""),
        replace(created(102.1, "102.5", "PJSIP/1001-00000002", "s", state=0), linkedid=A),
        ev.DialBegan(102.2, "102.4", "102.5", "PJSIP/1001", ""),
        ev.DialEnded(104.0, "102.4", "102.5", "ANSWER", ""),
        ev.BridgeEntered(104.0, "b1", A, "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(104.0, "b1", "102.3", "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(104.0, "b2", "102.5", "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(104.0, "b2", "102.4", "", "basic", "simple_bridge", ""),
        created(110.0, "110.6", "PJSIP/1001-00000009", "1002"),
        ev.AttendedTransferred(120.0, "102.5", "110.6", "102.4", "", "", "", "b1", done=True),
        ev.AttendedTransferred(121.0, "102.5", "102.5", "102.4", "", "", "", "b1", done=False),
    )
    assert [one.to for one in session.all(Transfer)] == ["", ""]


def test_callers_without_a_number_stay_apart() -> None:
    """B1: they have come to share the linkedid of an agent's line, and withhold their numbers both."""
    line = "50.1"
    first = listed(A, "PJSIP/trunk-a-00000001", "", "Queue", 20.0, at=120.0, linkedid=line)
    half = "Local/1002@agents-00000001"
    session = play(
        look(120.0, replace(first, caller_number="anonymous")),
        replace(created(130.0, B, "PJSIP/trunk-a-00000003", "8"), caller_number="anonymous"),
        replace(created(140.0, "140.4", f"{half};1", "1002", state=0), linkedid=line),
        replace(created(140.0, "140.5", f"{half};2", "1002"), linkedid=line),
        ev.CallerChanged(140.01, "140.5", "anonymous", ""),
        ev.DialBegan(140.02, B, "140.4", "Local/1002@agents", ""),
    )
    assert {leg.uniqueid: leg.call_id for leg in session.all(Leg) if leg.uniqueid != line} == {
        A: f"{PBX}-{A}",
        B: f"{PBX}-{B}",
        "140.4": f"{PBX}-{B}",
        "140.5": f"{PBX}-{B}",
    }


def test_whoever_comes_back_to_the_same_queue_waits_anew() -> None:
    """B1: nobody saw the first wait end; no list had the caller in that queue, and then they joined it."""
    hears = listed(A, "PJSIP/trunk-a-00000001", "", "Playback", 65.0, at=165.0)
    session = play(
        created(100.0, A, "PJSIP/trunk-a-00000001", "8"),
        ev.CallerJoined(101.0, "q1", A, 1, ""),
        ev.LinkLost(120.0, "gone"),
        look(165.0, hears),
        ev.CallerJoined(171.0, "q1", A, 1, "TIMEOUT"),
        ev.CallerAbandoned(180.0, "q1", A),
        ev.CallerLeft(180.0, "q1", A, ""),
        ev.ChannelHungUp(180.0, A, 16, ""),
    )
    waits = [(one.joined_at, one.left_at, one.outcome) for one in session.all(QueueStay)]
    assert waits == [(101.0, 171.0, StayOutcome.TIMEOUT), (171.0, 180.0, StayOutcome.ABANDONED)]


def test_whoever_answered_in_a_gap_has_answered() -> None:
    """B1: the phone was known, and it was picked up while nobody listened."""
    caller = listed(A, "PJSIP/trunk-a-00000001", "b1", "Queue", 30.0, at=130.0)
    agent = listed(LINE, "PJSIP/1001-00000002", "b1", "AppQueue", 28.0, at=130.0, linkedid=A)
    session = play(*WAITS_AND_RINGS, ev.LinkLost(103.0, "gone"), look(130.0, caller, agent))
    assert {one.uniqueid: one.answered_at for one in session.all(Leg)} == {A: None, LINE: 130.0}


@pytest.mark.parametrize(("ended", "kind"), [(1010.0, "attended"), (1995.0, "half_finished")])
def test_of_a_transfer_whose_consultation_was_seen_the_kind_is_known(ended: float, kind: str) -> None:
    """B3: only a gap that lasts into the consultation leaves open whether it was answered by then."""
    call = Call(
        f"{PBX}-1.1", PBX, Direction.INBOUND, "139", "", "8", 1005.0, 1006.0, 2100.0, Disposition.ANSWERED,
        EndedBy.CALLER, 16, Quality.GAPPED,
    )  # fmt: skip
    asked = Leg(
        f"{PBX}-1.3", call.id, PBX, "1.3", "1.1", "PJSIP/1002-00000003", "PJSIP/1002", "1002", "2002", True, 1990.0,
        1990.0, None, 2100.0, "ANSWER", 16,
    )  # fmt: skip
    stored = Transfer(f"{PBX}-1.2/x1", call.id, PBX, "attended", "2001", "1002", 2000.0, "answered")
    told = replace(stored, kind="half_finished", at=2000.001, result="failed")
    gap = Gap("g", PBX, 1000.0, ended, "link")
    known = Known(calls=(call,), legs=(asked,), transfers=(stored,))
    completion = Completion(PBX, [gap], "cel", known, [call, asked, told])
    completion.complete(call, call, [asked, told])
    found = [one.kind for one in completion.completed if isinstance(one, Transfer)]
    assert (found or [stored.kind]) == [kind]
