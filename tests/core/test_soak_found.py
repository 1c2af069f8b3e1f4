"""What the soak found about the live stream, small enough to read (B1, B3)."""

from dataclasses import replace

from cti.core import events as ev
from cti.core.core import Core
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Disposition,
    EndedBy,
    Leg,
    QueueStay,
    StayOutcome,
    Talk,
    Transfer,
)
from tests.core.dialogue import remember, seen_member
from tests.core.shadow import Shadow
from tests.scenarios.judge import PBX, RULES, Session, events_of, play
from tests.scenarios.run import FIXTURES

LINE, CUSTOMER = "100.1", "105.2"


def created(at: float, uniqueid: str, channel: str, exten: str, state: int = 4) -> ev.ChannelCreated:
    context = "from-trunk" if "trunk" in channel else "from-internal"
    return ev.ChannelCreated(at, uniqueid, uniqueid, channel, state, "1001", "", context, exten)


def test_a_phone_that_refuses_before_its_ringing_is_told() -> None:
    """B1: a program rings a busy phone, and the PBX tells of the refusal first: nobody hung up on anybody."""
    session = Session()
    told: list[ev.Event] = [
        created(100.0, LINE, "PJSIP/1001-00000001", "s", state=0),
        ev.HangupRequested(100.01, LINE, by_device=True),
        ev.DialBegan(100.011, "", LINE, "1001", ""),
        ev.DialEnded(100.012, "", LINE, "BUSY", ""),
        ev.ChannelHungUp(100.013, LINE, 17, ""),
    ]
    play(Core(PBX, RULES), told, session)
    [call] = session.all(Call)
    assert (call.disposition, call.ended_by) == (Disposition.BUSY, EndedBy.SYSTEM)


def test_an_agents_own_line_is_known_again_after_a_restart() -> None:
    """B3: an agent stays on the line (AgentLogin) while the daemon dies: the next customer's call is not the agent's."""
    session = Session()
    before: list[ev.Event] = [
        seen_member(99.0, "2001", "PJSIP/1001", "shift"),
        created(100.0, LINE, "PJSIP/1001-00000001", "810"),
        ev.StaysOnLine(101.0, LINE),
    ]
    play(Core(PBX, RULES), before, session)
    second, shadow = Core(PBX, RULES), Shadow(before)
    second.restore(remember(session.latest.values()))
    shadow.application(LINE, "AgentLogin")
    after: list[ev.Event] = [
        shadow.resynced(104.0),
        created(105.0, CUSTOMER, "PJSIP/trunk-a-00000002", "811"),
        ev.BridgeEntered(105.5, "b1", LINE, "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(105.5, "b1", CUSTOMER, "", "basic", "simple_bridge", ""),
        ev.BridgeLeft(106.5, "b1", CUSTOMER),
        ev.ChannelHungUp(106.5, CUSTOMER, 16, ""),
    ]
    play(second, after, session)
    calls = {call.id: call.merged_into for call in session.all(Call)}
    assert calls == {f"{PBX}-{LINE}": None, f"{PBX}-{CUSTOMER}": None}
    [talk] = session.all(Talk)
    assert talk.call_id == f"{PBX}-{CUSTOMER}"


def test_a_conference_that_was_found_is_one_that_people_talk_in() -> None:
    """B1: a list does not say what kind of bridge it shows; who enters it later is heard, and on record as talking."""
    session, core = Session(), Core(PBX, RULES)
    shadow = Shadow([created(100.0, LINE, "PJSIP/1001-00000001", "760"), _enters(100.5, LINE)])
    shadow.application(LINE, "ConfBridge")
    told: list[ev.Event] = [
        shadow.resynced(104.0),
        seen_member(104.5, "2002", "PJSIP/1002", "shift"),
        created(105.0, CUSTOMER, "PJSIP/1002-00000002", "760"),
        _enters(105.5, CUSTOMER),
        ev.BridgeLeft(106.5, "b1", CUSTOMER),
        ev.ChannelHungUp(106.5, CUSTOMER, 16, ""),
    ]
    play(core, told, session)
    [call] = [call for call in session.all(Call) if call.id == f"{PBX}-{CUSTOMER}"]
    assert call.disposition is Disposition.ANSWERED
    assert [(talk.started_at, talk.ended_at) for talk in session.all(Talk) if talk.agent == "2002"] == [
        (105.5, 106.5)
    ]


def test_a_phone_taken_from_the_dial_that_rang_it_answered() -> None:
    """B1: a program bridges a phone in the instant in which it is picked up (AMI Bridge): no DialEnd tells of the answer."""
    session = Session()
    told: list[ev.Event] = [
        seen_member(99.0, "2001", "PJSIP/1001", "shift"),
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000002", "750"),
        created(100.1, LINE, "PJSIP/1001-00000001", "s", state=0),
        ev.DialBegan(100.2, "", LINE, "1001", ""),
        ev.BridgeEntered(101.0, "b1", CUSTOMER, "", "basic", "simple_bridge", ""),
        ev.ChannelStateChanged(101.1, LINE, 6, ""),
        ev.BridgeEntered(101.5, "b1", LINE, "", "basic", "simple_bridge", ""),
        ev.ChannelHungUp(103.0, CUSTOMER, 16, ""),
        ev.ChannelHungUp(103.1, LINE, 16, ""),
    ]
    play(Core(PBX, RULES), told, session)
    [attempt] = session.all(Attempt)
    assert (attempt.agent, attempt.outcome, attempt.ended_at) == ("2001", AttemptOutcome.ANSWERED, 101.5)


def _enters(at: float, uniqueid: str) -> ev.BridgeEntered:
    return ev.BridgeEntered(at, "b1", uniqueid, "", "base", "softmix", "")


def test_a_caller_who_hangs_up_in_the_instant_of_the_key_left_by_it() -> None:
    """B1: who hangs up in the queue is told of as an abandon; without one the key was first."""
    pbx = Session()
    told: list[ev.Event] = [
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000002", "700"),
        ev.CallerJoined(101.0, "sales", CUSTOMER, 1, ""),
        ev.CallerLeft(105.0, "sales", CUSTOMER, ""),
        ev.HangupRequested(105.001, CUSTOMER, by_device=True),
        ev.ChannelHungUp(105.002, CUSTOMER, 16, ""),
    ]
    play(Core(PBX, RULES), told, pbx)
    [stay] = pbx.all(QueueStay)
    assert (stay.outcome, stay.left_at) == (StayOutcome.LEFT_BY_KEY, 105.0)


def test_a_caller_who_hangs_up_right_before_the_next_queue_abandons_it() -> None:
    """B1: the channel still joins it; what the queue before left behind says nothing of this pass."""
    pbx = Session()
    told: list[ev.Event] = [
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000002", "700"),
        ev.CallerJoined(101.0, "sales", CUSTOMER, 1, ""),
        ev.CallerAbandoned(103.0, "sales", CUSTOMER),
        ev.CallerLeft(103.0, "sales", CUSTOMER, "TIMEOUT"),
        ev.HangupRequested(103.5, CUSTOMER, by_device=True),
        ev.CallerJoined(103.501, "sales", CUSTOMER, 1, "TIMEOUT"),
        ev.CallerAbandoned(103.51, "sales", CUSTOMER),
        ev.CallerLeft(103.51, "sales", CUSTOMER, "TIMEOUT"),
        ev.ChannelHungUp(103.52, CUSTOMER, 0, "TIMEOUT"),
    ]
    play(Core(PBX, RULES), told, pbx)
    assert [stay.outcome for stay in pbx.all(QueueStay)] == [StayOutcome.TIMEOUT, StayOutcome.ABANDONED]


def test_a_caller_who_hangs_up_as_they_are_connected_ended_the_call() -> None:
    """B1: the request is told a moment before they meet."""
    pbx = Session()
    told: list[ev.Event] = [
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000002", "1001"),
        created(100.1, LINE, "PJSIP/1001-00000001", "s", state=0),
        ev.DialBegan(100.2, CUSTOMER, LINE, "1001", ""),
        ev.DialEnded(103.0, CUSTOMER, LINE, "ANSWER", ""),
        ev.HangupRequested(103.001, CUSTOMER, by_device=True),
        ev.BridgeEntered(103.002, "b1", LINE, "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(103.003, "b1", CUSTOMER, "", "basic", "simple_bridge", ""),
        ev.BridgeLeft(103.004, "b1", CUSTOMER),
        ev.ChannelHungUp(103.005, CUSTOMER, 16, ""),
        ev.ChannelHungUp(103.006, LINE, 16, ""),
    ]
    play(Core(PBX, RULES), told, pbx)
    call = next(call for call in pbx.all(Call) if call.merged_into is None)
    assert (call.disposition, call.ended_by) == (Disposition.ANSWERED, EndedBy.CALLER)


def test_a_transfer_whose_target_is_not_named_went_to_what_its_consultation_dialled() -> None:
    """B1: under load AttendedTransfer names nobody; the Local channel in the consultation's bridge has the number."""
    events = list(events_of(FIXTURES / "half_finished_by_feature_code.ami.gz"))
    nameless = [
        replace(event, to="") if isinstance(event, ev.AttendedTransferred) else event for event in events
    ]
    assert nameless != events
    found = []
    for told in (events, nameless):
        session = Session()
        play(Core(PBX, RULES), told, session)
        found.append([transfer.to for transfer in session.all(Transfer)])
    assert found[0] == found[1]
    assert found[0][0]


def test_a_consultation_of_another_line_stays_a_call_of_its_own_when_its_transfer_fails() -> None:
    """B1: what a failed transfer was to connect is one call only where a feature code dialled it for that call."""
    events: list[ev.Event] = [
        created(100.0, LINE, "PJSIP/1001-00000001", "810"),
        created(101.0, CUSTOMER, "PJSIP/1001-00000002", "811"),
        ev.BridgeEntered(101.5, "b2", CUSTOMER, "", "basic", "simple_bridge", ""),
        ev.AttendedTransferred(102.0, LINE, CUSTOMER, "", "", "811", "", "", done=False, consultation="b2"),
    ]
    session = Session()
    play(Core(PBX, RULES), events, session)
    assert [call.merged_into for call in session.all(Call)] == [None, None]
    assert [transfer.result for transfer in session.all(Transfer)] == ["failed"]


def test_a_consultation_that_is_over_before_the_agent_comes_to_it() -> None:
    """B1: the phone is busy at once; the agent enters the bridge that the Local channel has left already."""
    half = "Local/1002@from-internal-00000000"
    events: list[ev.Event] = [
        created(100.0, LINE, "PJSIP/1001-00000001", "810"),
        created(101.0, "101.2", f"{half};1", "1002", state=0),
        created(101.0, "101.3", f"{half};2", "1002"),
        ev.BridgeEntered(101.001, "b2", "101.2", "", "basic", "simple_bridge", "", up=False),
        ev.ChannelHungUp(101.002, "101.3", 17, ""),
        ev.BridgeLeft(101.003, "b2", "101.2"),
        ev.BridgeEntered(101.004, "b2", LINE, "", "basic", "simple_bridge", ""),
        ev.ChannelHungUp(101.005, "101.2", 17, ""),
        ev.BridgeLeft(101.006, "b2", LINE),
        ev.BridgeDestroyed(101.006, "b2"),
        ev.ChannelHungUp(102.0, LINE, 16, ""),
    ]
    session = Session()
    play(Core(PBX, RULES), events, session)
    assert session.leftovers == []
    assert [call.id for call in session.all(Call)] == [f"{PBX}-{LINE}"]
    others = [
        replace(event, bridge="b3")
        if isinstance(event, ev.BridgeEntered) and event.uniqueid == LINE
        else event
        for event in events
    ]
    apart = Session()
    play(Core(PBX, RULES), others, apart)
    assert {call.id for call in apart.all(Call)} == {f"{PBX}-{LINE}", f"{PBX}-101.2"}


def test_a_phone_that_is_picked_up_as_the_caller_hangs_up() -> None:
    """B1: the dial ends by the caller's hangup, and for a moment they are in one bridge all the same."""
    session = Session()
    told: list[ev.Event] = [
        seen_member(99.0, "2001", "PJSIP/1001", "shift"),
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000001", "1001"),
        created(100.1, "100.3", "PJSIP/1001-00000002", "s", state=0),
        ev.DialBegan(100.1, CUSTOMER, "100.3", "PJSIP/1001", ""),
        ev.HangupRequested(101.0, CUSTOMER, by_device=True),
        ev.DialEnded(101.001, CUSTOMER, "100.3", "NOANSWER", ""),
        ev.BridgeEntered(101.002, "b1", "100.3", "", "basic", "simple_bridge", ""),
        ev.BridgeEntered(101.002, "b1", CUSTOMER, "", "basic", "simple_bridge", ""),
        ev.BridgeLeft(101.004, "b1", CUSTOMER),
        ev.ChannelHungUp(101.005, "100.3", 16, ""),
        ev.ChannelHungUp(101.006, CUSTOMER, 16, ""),
    ]
    play(Core(PBX, RULES), told, session)
    [attempt] = session.all(Attempt)
    assert (attempt.outcome, attempt.ended_at) == (AttemptOutcome.ANSWERED, 101.001)
    unmet = Session()
    play(Core(PBX, RULES), [event for event in told if not isinstance(event, ev.BridgeEntered)], unmet)
    assert [one.outcome for one in unmet.all(Attempt)] == [AttemptOutcome.NO_ANSWER]


def test_a_phone_that_is_picked_up_just_before_the_caller_is_gone() -> None:
    """B1: app_dial ends such a ringing twice, the second time as answered; nobody talks, and it was picked up."""
    session = Session()
    told: list[ev.Event] = [
        seen_member(99.0, "2001", "PJSIP/1001", "shift"),
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000001", "1001"),
        created(100.1, "100.3", "PJSIP/1001-00000002", "s", state=0),
        ev.DialBegan(100.1, CUSTOMER, "100.3", "PJSIP/1001", ""),
        ev.ChannelStateChanged(101.0, "100.3", 6, ""),
        ev.DialEnded(101.001, CUSTOMER, "100.3", "NOANSWER", ""),
        ev.DialEnded(101.002, CUSTOMER, "100.3", "ANSWER", ""),
        ev.ChannelHungUp(101.005, "100.3", 16, ""),
        ev.ChannelHungUp(101.006, CUSTOMER, 16, ""),
    ]
    play(Core(PBX, RULES), told, session)
    [attempt] = session.all(Attempt)
    assert (attempt.outcome, attempt.ended_at) == (AttemptOutcome.ANSWERED, 101.002)
    [leg] = [leg for leg in session.all(Leg) if leg.dialed]
    assert (leg.dial_status, leg.answered_at) == ("ANSWER", 101.002)
    [call] = [call for call in session.all(Call) if call.merged_into is None]
    assert (call.disposition, call.answered_at) == (Disposition.NO_ANSWER, None)


def test_a_consultation_that_the_agent_never_comes_to() -> None:
    """B1: dialled by feature code as the agent's phone goes away: its number and its linkedid say whose it is."""
    half = "Local/1002@from-internal-00000000"

    def told(number: str) -> list[ev.Event]:
        return [
            created(100.0, LINE, "PJSIP/1001-00000001", "810"),
            replace(created(101.0, "101.2", f"{half};1", "1002", state=0), linkedid=LINE),
            replace(created(101.0, "101.3", f"{half};2", "1002"), linkedid=LINE),
            ev.CallerChanged(101.001, "101.3", number, "Phone"),
            ev.BridgeEntered(101.002, "b2", "101.2", "", "basic", "simple_bridge", "", up=False),
            ev.ChannelHungUp(102.0, LINE, 16, ""),
            ev.BridgeLeft(102.001, "b2", "101.2"),
            ev.ChannelHungUp(102.002, "101.2", 16, ""),
            ev.ChannelHungUp(102.003, "101.3", 16, ""),
        ]

    session, apart = Session(), Session()
    play(Core(PBX, RULES), told("1001"), session)
    assert [call.id for call in session.all(Call)] == [f"{PBX}-{LINE}"]
    assert session.leftovers == []
    play(Core(PBX, RULES), told("1009"), apart)
    assert len(apart.all(Call)) == 2


def test_who_hands_on_by_hanging_up_has_ended_nothing() -> None:
    """B1: half finished, and the PBX gives it up: neither hung up on the other."""
    events = list(events_of(FIXTURES / "half_finished_and_recalled.ami.gz"))
    moved = next(event for event in events if isinstance(event, ev.AttendedTransferred))
    cut, at = events.index(moved) + 1, moved.at
    channels = [event.uniqueid for event in events[:cut] if isinstance(event, ev.ChannelCreated)]
    came = [
        event.at
        for event in events[:cut]
        if isinstance(event, ev.BridgeEntered) and event.uniqueid == moved.by
    ]
    for quit_at in (came[-1] + 0.0001, at + 0.0001):
        quits = ev.HangupRequested(quit_at, moved.by, by_device=True)
        over = [ev.ChannelHungUp(at + 1.5, one, 16, "") for one in channels]
        session = Session()
        play(Core(PBX, RULES), sorted([*events[:cut], quits, *over], key=lambda event: event.at), session)
        assert {call.ended_by for call in session.all(Call) if call.merged_into is None} == {EndedBy.SYSTEM}


def test_a_phone_behind_a_member_who_was_given_up_already_does_not_ring_again() -> None:
    """B1: the caller is gone within milliseconds, and the chain of Local channels is wound up from its outer end."""
    half = "Local/2001@agents-00000001"
    told: list[ev.Event] = [
        seen_member(99.0, "2001", "PJSIP/1001", "q1"),
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000001", "8"),
        ev.CallerJoined(100.9, "q1", CUSTOMER, 1, ""),
        replace(created(101.0, "101.2", f"{half};1", "2001", state=0), linkedid=CUSTOMER),
        replace(created(101.0, "101.3", f"{half};2", "2001"), linkedid=CUSTOMER),
        ev.MemberCalled(101.0, "q1", CUSTOMER, "101.2", "2001", "Local/2001@agents"),
        ev.DialBegan(101.0, CUSTOMER, "101.2", "Local/2001@agents", ""),
        replace(created(101.005, "101.4", "PJSIP/1001-00000002", "s", state=0), linkedid=CUSTOMER),
        ev.HangupRequested(101.006, CUSTOMER, by_device=True),
        ev.DialEnded(101.007, CUSTOMER, "101.2", "CANCEL", ""),
        ev.ChannelHungUp(101.008, "101.2", 0, ""),
        ev.DialBegan(101.009, "101.3", "101.4", "PJSIP/1001", ""),
        ev.DialEnded(101.01, "101.3", "101.4", "CANCEL", ""),
    ]
    session = Session()
    play(Core(PBX, RULES), told, session)
    assert [one.device for one in session.all(Attempt)] == ["Local/2001@agents"]


def test_a_channel_that_cannot_even_be_rung_is_of_the_call_it_was_made_for() -> None:
    """B1: no port, no codec: it is there and gone, and no dial is told of; nobody called anybody with it."""
    events: list[ev.Event] = [
        created(100.0, CUSTOMER, "PJSIP/trunk-a-00000001", "8"),
        replace(created(101.0, "101.2", "PJSIP/1001-00000002", "s", state=0), linkedid=CUSTOMER),
        ev.ChannelHungUp(101.002, "101.2", 58, ""),
        ev.ChannelHungUp(103.0, CUSTOMER, 16, ""),
    ]
    session = Session()
    play(Core(PBX, RULES), events, session)
    [call] = session.all(Call)
    assert (call.id, call.ended_at) == (f"{PBX}-{CUSTOMER}", 103.0)
    assert {leg.uniqueid: leg.ended_at for leg in session.all(Leg)} == {CUSTOMER: 103.0, "101.2": 101.002}
    alone = [created(101.0, "101.2", "PJSIP/1001-00000002", "s", state=0), events[2]]
    own = Session()
    play(Core(PBX, RULES), alone, own)
    assert [call.id for call in own.all(Call)] == [f"{PBX}-101.2"]


def test_the_end_of_a_talk_whose_caller_is_gone_is_of_the_members_channel() -> None:
    """B2: an agent with two calls of a queue; AgentComplete of the one no longer has the caller's channel."""
    told: list[ev.Event] = [seen_member(99.0, "2001", "PJSIP/1001", "q1")]
    for n, (caller, member) in enumerate((("100.1", "100.2"), ("101.3", "101.4"))):
        at = 100.0 + n
        told += [
            created(at, caller, f"PJSIP/trunk-a-0000000{n}", "8"),
            ev.CallerJoined(at + 0.1, "q1", caller, 1, ""),
            replace(created(at + 0.2, member, f"PJSIP/1001-0000001{n}", "s", state=0), linkedid=caller),
            ev.MemberCalled(at + 0.2, "q1", caller, member, "2001", "PJSIP/1001"),
            ev.DialBegan(at + 0.2, caller, member, "PJSIP/1001", ""),
            ev.DialEnded(at + 0.3, caller, member, "ANSWER", ""),
            ev.CallerLeft(at + 0.3, "q1", caller, ""),
            ev.MemberConnected(at + 0.3, "q1", caller, member, "2001", "PJSIP/1001", 0.0),
        ]
    told += [
        ev.MemberCompleted(103.0, "q1", "", "2001", "PJSIP/1001", 0.0, 1.0, "caller", "101.4"),
        ev.MemberCompleted(103.5, "q1", "100.1", "2001", "PJSIP/1001", 0.0, 3.0, "caller", "100.2"),
    ]
    session = Session()
    play(Core(PBX, RULES), told, session)
    assert {stay.uniqueid: stay.book_talk for stay in session.all(QueueStay)} == {"100.1": 3.0, "101.3": 1.0}
