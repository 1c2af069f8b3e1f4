"""Calls come out of the event stream whole and right (B1)."""

import pytest

from cti.core import events as ev
from cti.core.facts import (
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Leg,
    Quality,
    QueueStay,
    RejectReason,
    State,
    StayOutcome,
    Talk,
)
from tests.core import scenarios as s
from tests.core.dialogue import Dialogue


@pytest.fixture
def pbx() -> Dialogue:
    return Dialogue()


@pytest.mark.parametrize("name", s.ALL)
def test_every_scenario_ends_as_it_should(pbx: Dialogue, name: str) -> None:
    """B1: a call of each kind is one complete record with the right end, and nothing of it lingers."""
    s.ALL[name](pbx, "1")
    (call,) = pbx.all(Call)
    assert (call.id, call.disposition, call.quality) == ("p-1.1", s.DISPOSITION[name], Quality.COMPLETE)
    assert call.ended_at == max(leg.ended_at or 0 for leg in pbx.all(Leg))
    assert [stay.outcome for stay in pbx.all(QueueStay)] == ([s.STAY[name]] if name in s.STAY else [])
    assert {leg.call_id for leg in pbx.all(Leg)} == {"p-1.1"}
    assert pbx.leftovers() == []
    assert pbx.rejected() == []


@pytest.mark.parametrize("name", s.ALL)
def test_the_end_of_each_part_is_told_once(pbx: Dialogue, name: str) -> None:
    """A sink that counts ends counts right: an outcome, once told, never becomes another (B1)."""
    s.ALL[name](pbx, "1")
    for kind, end in (
        (Call, "disposition"),
        (QueueStay, "outcome"),
        (Attempt, "outcome"),
        (Talk, "ended_at"),
    ):
        for part in pbx.all(kind):
            ends = {getattr(f, end) for f in pbx.told(kind) if f.key == part.key}
            assert len(ends - {None}) == 1, (part, ends)


def test_a_queue_call_is_answered(pbx: Dialogue) -> None:
    """B1, B2: wait, talk and the agent with the state they were in stand in the record."""
    s.queue_answered(pbx, "1")
    call, stay, attempt, talk = pbx.call("1.1"), pbx.stay("1.1"), pbx.attempt("1.2"), pbx.talk("1.2")
    assert (call.direction, call.caller_number, call.caller_name) == (
        Direction.INBOUND,
        "13800138000",
        "王伟",
    )
    assert (call.dialed_number, call.ended_by) == ("4001", EndedBy.CALLER)
    assert (stay.queue, stay.agent, stay.position) == ("q1", "11", 1)
    assert stay.answered_at == call.answered_at == attempt.ended_at == pbx.leg("1.2").answered_at
    assert stay.wait == pytest.approx(3, abs=0.1)
    assert (stay.book_wait, stay.book_talk) == (1.0, 20.0)
    assert (attempt.stay_id, attempt.agent, attempt.outcome) == (stay.id, "11", AttemptOutcome.ANSWERED)
    assert (attempt.agent_state, attempt.agent_state_since) == (State.AVAILABLE, pbx.states("11")[0].since)
    assert (talk.agent, talk.queue, talk.device) == ("11", "q1", "PJSIP/11")
    assert (talk.ended_at or 0) - talk.started_at == pytest.approx(20, abs=0.1)
    assert len(pbx.all(Talk)) == 1


def test_a_ringing_told_again_keeps_the_state_it_found_the_agent_in(pbx: Dialogue) -> None:
    """B1, B2: the agent has had other states since; what is on record is not derived from those."""
    s.queue_answered(pbx, "1")
    rang = pbx.attempt("1.2")
    pbx.pause("11", "PJSIP/11", "q1")
    pbx.say_all(list(pbx.events))
    assert len([told for told in pbx.told(Attempt) if told.outcome is None]) == 2
    assert pbx.attempt("1.2") == rang


def test_not_every_ringing_is_remembered_for_ever(pbx: Dialogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A1: a process that lives for months keeps the latest ones only."""
    monkeypatch.setattr("cti.core.calls._RUNG", 1)
    s.queue_answered(pbx, "1")
    first, events = pbx.attempt("1.2"), list(pbx.events)
    s.queue_answered(pbx, "2")
    last, again = pbx.attempt("2.2"), pbx.events[len(events) :]
    pbx.say_all(again)
    assert pbx.attempt("2.2") == last
    pbx.say_all(events)
    assert pbx.attempt("1.2") != first


def test_a_caller_who_hangs_up_while_it_rings_abandoned_the_queue(pbx: Dialogue) -> None:
    """B1: abandoned, by the caller; the ringing was cancelled, not unanswered."""
    s.queue_abandoned(pbx, "1")
    assert pbx.call("1.1").ended_by is EndedBy.CALLER
    assert pbx.attempt("1.2").outcome is AttemptOutcome.CANCELLED
    assert pbx.stay("1.1").wait == pytest.approx(7, abs=0.1)


def test_a_queue_that_times_out_was_not_abandoned(pbx: Dialogue) -> None:
    """B1: QueueCallerAbandon comes for a timeout too, and the PBX hangs up after; QUEUESTATUS tells them apart."""
    s.queue_timeout(pbx, "1")
    call, stay = pbx.call("1.1"), pbx.stay("1.1")
    assert (call.ended_by, stay.outcome) == (EndedBy.SYSTEM, StayOutcome.TIMEOUT)
    assert stay.wait == pytest.approx(15, abs=0.1)
    assert pbx.attempt("1.2").outcome is AttemptOutcome.NO_ANSWER


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("TIMEOUT", StayOutcome.TIMEOUT),
        ("LEAVEEMPTY", StayOutcome.EMPTY),
        ("LEAVEUNAVAIL", StayOutcome.EMPTY),
        ("WITHDRAW", StayOutcome.WITHDRAWN),
    ],
)
def test_queuestatus_says_why_a_caller_left(pbx: Dialogue, status: str, outcome: StayOutcome) -> None:
    """B1: even when the caller hangs up in the announcement that follows."""
    s.comes_in(pbx, "1", "q1")
    pbx.waits_in_vain("q1", "1.1", 5)
    pbx.wait(2)
    pbx.asks_hangup("1.1")
    pbx.hangup("1.1", status=status)
    assert pbx.stay("1.1").outcome is outcome
    assert pbx.call("1.1").disposition is Disposition.NO_ANSWER


@pytest.mark.parametrize("by_device", [True, False])
def test_a_waiting_caller_whose_channel_is_hung_up_abandoned(pbx: Dialogue, *, by_device: bool) -> None:
    """B1: by the phone or by a manager; an earlier queue's QUEUESTATUS does not turn it into a timeout."""
    s.comes_in(pbx, "1", "q1")
    pbx.waits_in_vain("q1", "1.1", 5)
    pbx.join("q2", "1.1", status="TIMEOUT")
    pbx.wait(3)
    pbx.asks_hangup("1.1", by_device=by_device)
    pbx.abandon("q2", "1.1")
    pbx.leave_queue("q2", "1.1", status="TIMEOUT")
    pbx.hangup("1.1", status="TIMEOUT")
    assert [stay.outcome for stay in pbx.all(QueueStay)] == [StayOutcome.TIMEOUT, StayOutcome.ABANDONED]
    assert [stay.ordinal for stay in pbx.all(QueueStay)] == [1, 2]
    assert pbx.call("1.1").disposition is Disposition.ABANDONED


def test_the_same_queue_twice_is_two_stays(pbx: Dialogue) -> None:
    """B1: a second timeout is told by the same QUEUESTATUS that the first left behind."""
    s.comes_in(pbx, "1", "q1")
    for status in ("TIMEOUT", ""):
        pbx.waits_in_vain("q1", "1.1", 4, status="" if status else "TIMEOUT")
        if status:
            pbx.join("q1", "1.1", status=status)
    pbx.hangup("1.1", status="TIMEOUT")
    assert [stay.outcome for stay in pbx.all(QueueStay)] == [StayOutcome.TIMEOUT] * 2
    assert [stay.wait for stay in pbx.all(QueueStay)] == [pytest.approx(4, abs=0.1)] * 2


@pytest.mark.parametrize("status", ["FULL", "JOINEMPTY", "JOINUNAVAIL"])
def test_a_queue_that_turns_a_caller_away_is_not_a_menu_left(pbx: Dialogue, status: str) -> None:
    """B1: a full or empty queue sends no event; QUEUESTATUS at the hangup is all there is, and names no queue."""
    s.comes_in(pbx, "1")
    pbx.asks_hangup("1.1", by_device=False)
    pbx.hangup("1.1", status=status)
    assert pbx.call("1.1").disposition is Disposition.NO_ANSWER
    [stay] = pbx.all(QueueStay)
    assert (stay.id, stay.ordinal, stay.queue) == ("p-1.1/n1", 0, "")
    assert stay.outcome is (StayOutcome.FULL if status == "FULL" else StayOutcome.JOIN_EMPTY)
    assert (stay.joined_at, stay.left_at, stay.wait) == (pbx.at, pbx.at, 0.0)


def stays(pbx: Dialogue) -> list[tuple[str, str, StayOutcome | None]]:
    """Ids, queues and ends of the stays of call 1, as they came."""
    found = sorted(pbx.all(QueueStay), key=lambda stay: (stay.joined_at, stay.ordinal))
    return [(stay.id.removeprefix("p-1.1/"), stay.queue, stay.outcome) for stay in found]


REFUSED, ABANDONED, TIMED_OUT = StayOutcome.JOIN_EMPTY, StayOutcome.ABANDONED, StayOutcome.TIMEOUT


def test_who_is_turned_away_and_then_let_in_has_both(pbx: Dialogue) -> None:
    """B1: the joining tells what an earlier queue left behind; the passes are numbered as ever, and it counts once."""
    s.comes_in(pbx, "1")
    pbx.join("q2", "1.1", status="JOINEMPTY")
    assert stays(pbx) == [("n1", "", REFUSED), ("q1", "q2", None)]
    pbx.wait(3)
    pbx.asks_hangup("1.1")
    pbx.abandon("q2", "1.1")
    pbx.leave_queue("q2", "1.1", status="JOINEMPTY")
    pbx.hangup("1.1", status="JOINEMPTY")
    assert stays(pbx) == [("n1", "", REFUSED), ("q1", "q2", ABANDONED)]
    assert pbx.call("1.1").disposition is Disposition.ABANDONED


def test_who_is_turned_away_and_reaches_a_phone_was_turned_away_before(pbx: Dialogue) -> None:
    """B1: seen as the phone is dialled, once, whatever comes after it."""
    s.comes_in(pbx, "1")
    pbx.rung("1.2", s.device("11"))
    pbx.dial("1.1", "1.2", status="FULL")
    seen = pbx.at
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.enter("b", "1.2", "1.1")
    pbx.wait(5)
    pbx.hangup("1.2")
    pbx.hangup("1.1", status="FULL")
    [stay] = pbx.all(QueueStay)
    assert (stay.outcome, stay.joined_at) == (StayOutcome.FULL, seen)
    assert pbx.call("1.1").disposition is Disposition.ANSWERED


def test_being_turned_away_after_a_timeout_is_told_by_another_word(pbx: Dialogue) -> None:
    """B1: and again after another queue's, which is news, too. Leaving itself still has the word from before."""
    s.comes_in(pbx, "1", "q1")
    pbx.waits_in_vain("q1", "1.1", 4)
    pbx.up("1.1", status="TIMEOUT")
    pbx.up("1.1", status="FULL")
    pbx.join("q3", "1.1", status="FULL")
    pbx.waits_in_vain("q3", "1.1", 4, status="FULL")
    pbx.up("1.1", status="TIMEOUT")
    pbx.hangup("1.1", status="FULL")
    full = StayOutcome.FULL
    assert stays(pbx) == [
        ("q1", "q1", TIMED_OUT),
        ("n1", "", full),
        ("q2", "q3", TIMED_OUT),
        ("n2", "", full),
    ]
    assert pbx.call("1.1").disposition is Disposition.NO_ANSWER


def test_a_word_that_is_written_over_is_not_made_up(pbx: Dialogue) -> None:
    """B1: who is turned away right after a pass had its QUEUESTATUS replaced: how that ended is for queue_log to say."""
    s.comes_in(pbx, "1", "q1")
    pbx.waits_in_vain("q1", "1.1", 4)
    pbx.hangup("1.1", status="JOINEMPTY")
    assert stays(pbx) == [("q1", "q1", StayOutcome.UNKNOWN), ("n1", "", REFUSED)]


def test_the_same_word_before_and_after_a_wait_says_nothing_of_it(pbx: Dialogue) -> None:
    """B1: nobody asked for a hangup, so it was not given up; by which of the reasons it ended is for queue_log to say."""
    s.comes_in(pbx, "1")
    pbx.join("q2", "1.1", status="JOINEMPTY")
    pbx.waits_in_vain("q2", "1.1", 20, status="JOINEMPTY")
    pbx.hangup("1.1", status="JOINEMPTY")
    assert stays(pbx) == [("n1", "", REFUSED), ("q1", "q2", StayOutcome.UNKNOWN)]
    assert pbx.call("1.1").disposition is Disposition.NO_ANSWER


def test_words_of_one_meaning_are_one(pbx: Dialogue) -> None:
    """B1: who is taken out of the queue was not turned away again, whichever of the two words is remembered."""
    s.comes_in(pbx, "1")
    pbx.join("q2", "1.1", status="JOINUNAVAIL")
    pbx.waits_in_vain("q2", "1.1", 2, status="JOINEMPTY")
    pbx.rung("1.2", s.device("11"))
    pbx.dial("1.1", "1.2", status="JOINEMPTY")
    pbx.dial_end("1.1", "1.2", "NOANSWER")
    pbx.hangup("1.2")
    pbx.hangup("1.1", status="JOINEMPTY")
    assert stays(pbx) == [("n1", "", REFUSED), ("q1", "q2", StayOutcome.TRANSFERRED_OUT)]


def consults(pbx: Dialogue) -> None:
    """An agent talks with a customer, and picks up another line."""
    s.comes_in(pbx, "1")
    pbx.rung("1.2", s.device("11"))
    pbx.dial("1.1", "1.2")
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.enter("b", "1.2", "1.1")
    pbx.channel("1.3", "PJSIP/11-00000013", number="11", context="from-internal")


def test_a_consultation_that_was_turned_away_is_not_so_again_as_somebody_takes_its_place(
    pbx: Dialogue,
) -> None:
    """B1: it waits no longer; its variables are the other's all the same."""
    consults(pbx)
    pbx.rung("1.4", s.device("12"))
    pbx.dial("1.3", "1.4", status="JOINEMPTY")
    pbx.say(ev.AttendedTransferred(pbx.at, "1.2", "1.3", "1.1", "", "4002", "Dial", "", done=True))
    pbx.hangup("1.2")
    pbx.hangup("1.3")
    pbx.dial_end("1.1", "1.4", "ANSWER")
    pbx.at += 0.001
    pbx.say(ev.BridgeEntered(pbx.at, "c", "1.1", "", "basic", "simple_bridge", "JOINEMPTY"))
    pbx.enter("c", "1.4")
    pbx.hangup("1.4")
    pbx.hangup("1.1", status="JOINEMPTY")
    assert [(stay.uniqueid, stay.outcome) for stay in pbx.all(QueueStay)] == [("1.3", REFUSED)]


def test_what_a_consultation_was_told_is_not_told_of_the_caller(pbx: Dialogue) -> None:
    """B1: who takes the place of a channel in a queue has its variables from then on."""
    consults(pbx)
    pbx.join("q2", "1.3", status="JOINEMPTY")
    pbx.say(
        ev.AttendedTransferred(pbx.at, "1.2", "1.3", "1.1", "", "4002", "Queue", "", done=True),
    )
    pbx.hangup("1.2")
    pbx.hangup("1.3")
    pbx.asks_hangup("1.1")
    pbx.abandon("q2", "1.1")
    pbx.leave_queue("q2", "1.1", status="JOINEMPTY")
    pbx.hangup("1.1", status="JOINEMPTY")
    assert [(stay.uniqueid, stay.outcome) for stay in pbx.all(QueueStay)] == [
        ("1.3", REFUSED),
        ("1.1", ABANDONED),
    ]


def test_the_second_agent_gets_the_call_the_first_let_ring(pbx: Dialogue) -> None:
    """B2: both attempts stand in the record; the answer is the second one's."""
    s.queue_second_agent(pbx, "1")
    outcomes = {attempt.agent: attempt.outcome for attempt in pbx.all(Attempt)}
    assert outcomes == {"11": AttemptOutcome.NO_ANSWER, "12": AttemptOutcome.ANSWERED}
    assert (pbx.stay("1.1").agent, pbx.call("1.1").ended_by) == ("12", EndedBy.AGENT)
    assert [talk.agent for talk in pbx.all(Talk)] == ["12"]
    first = pbx.attempt("1.2")
    assert (first.ended_at or 0) - first.started_at == pytest.approx(10, abs=0.1)


def test_a_ringing_ends_when_it_was_said_to_end(pbx: Dialogue) -> None:
    """B2: AgentRingNoAnswer may come before DialEnd, and the channel lives on a little; the first word counts."""
    s.queue_timeout(pbx, "1")
    attempt = pbx.attempt("1.2")
    assert attempt.ended_at is not None
    assert attempt.ended_at < (pbx.leg("1.2").ended_at or 0)


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        (0, AttemptOutcome.NO_ANSWER),
        (17, AttemptOutcome.BUSY),
        (19, AttemptOutcome.NO_ANSWER),
        (20, AttemptOutcome.UNREACHABLE),
        (21, AttemptOutcome.REJECTED),
        (34, AttemptOutcome.UNREACHABLE),
    ],
)
def test_the_cause_tells_what_the_phone_said(pbx: Dialogue, cause: int, outcome: AttemptOutcome) -> None:
    """B2: app_queue ends each ringing with NOANSWER; busy and rejected show in the channel's cause alone."""
    pbx.member("11", "PJSIP/11", "q1")
    s.comes_in(pbx, "1", "q1")
    pbx.ring("q1", "1.1", "1.2", "11", "PJSIP/11")
    pbx.asks_hangup("1.2")
    pbx.dial_end("1.1", "1.2", "NOANSWER")
    pbx.rings_no_answer("q1", "1.1", "1.2", "11", "PJSIP/11")
    pbx.hangup("1.2", cause)
    assert pbx.attempt("1.2").outcome is outcome


def test_the_losers_of_a_race_were_cancelled(pbx: Dialogue) -> None:
    """B2: with ringall one phone wins; the other did not refuse, and nobody counts it as unanswered."""
    s.queue_ringall(pbx, "1")
    assert {a.agent: a.outcome for a in pbx.all(Attempt)} == {
        "11": AttemptOutcome.ANSWERED,
        "12": AttemptOutcome.CANCELLED,
    }


@pytest.mark.parametrize(("by", "ended_by"), [("caller", EndedBy.CALLER), ("agent", EndedBy.AGENT)])
def test_who_ended_a_direct_call(pbx: Dialogue, by: str, ended_by: EndedBy) -> None:
    """B1: the first to ask for the hangup ended it, whichever channel goes first."""
    s.direct(pbx, "1", by=by)
    call, talk = pbx.call("1.1"), pbx.talk("1.2")
    assert (call.ended_by, call.answered_at, talk.queue) == (ended_by, talk.started_at, None)


@pytest.mark.parametrize(
    ("scenario", "outcome"),
    [
        (s.direct_busy, AttemptOutcome.BUSY),
        (s.direct_rejected, AttemptOutcome.REJECTED),
        (s.direct_unreachable, AttemptOutcome.UNREACHABLE),
        (s.direct_no_answer, AttemptOutcome.NO_ANSWER),
        (s.direct_cancelled, AttemptOutcome.CANCELLED),
    ],
)
def test_a_direct_call_that_came_to_nothing(
    pbx: Dialogue, scenario: s.Scenario, outcome: AttemptOutcome
) -> None:
    """B1, B2: the agent's attempt says what became of it, and nobody is said to have talked."""
    scenario(pbx, "1")
    assert pbx.attempt("1.2").outcome is outcome
    assert (pbx.call("1.1").answered_at, pbx.all(Talk)) == (None, [])


def test_a_phone_that_does_not_exist_fails(pbx: Dialogue) -> None:
    """B1: the dial that never had a channel leaves a caller who reached nothing."""
    s.comes_in(pbx, "1")
    pbx.hangup("1.1", 20)
    assert pbx.call("1.1").disposition is Disposition.FAILED


def test_the_first_dialend_counts(pbx: Dialogue) -> None:
    """B1: NOANSWER then CANCEL, or CANCEL twice, is one end of one ringing."""
    s.queue_timeout(pbx, "1")
    assert pbx.leg("1.2").dial_status == "NOANSWER"


def test_a_phone_dialled_again_while_it_rings_has_not_failed(pbx: Dialogue) -> None:
    """B1: a half-finished transfer ends the dial with NOANSWER and begins another for the same ringing phone."""
    pbx.member("11", "PJSIP/11", "q1")
    s.comes_in(pbx, "1")
    pbx.rung("1.2", "PJSIP/11", linkedid="1.1")
    pbx.dial("1.1", "1.2", "PJSIP/11")
    pbx.wait(3)
    pbx.dial_end("1.1", "1.2", "NOANSWER")
    pbx.dial("1.1", "1.2", "PJSIP/11")
    pbx.wait(3)
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.enter("b", "1.2", "1.1")
    assert pbx.attempt("1.2").outcome is AttemptOutcome.ANSWERED
    assert [state.state for state in pbx.states("11")] == [State.AVAILABLE, State.RINGING, State.ON_CALL]


def test_answered_without_a_bridge_is_not_talk(pbx: Dialogue) -> None:
    """B1: a mobile that picks up but presses nothing took no call."""
    s.comes_in(pbx, "1")
    pbx.rung("1.2", "PJSIP/trunk-a", linkedid="1.1")
    pbx.dial("1.1", "1.2", "13911110001@trunk-a")
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.wait(6)
    pbx.asks_hangup("1.2")
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    assert pbx.call("1.1").disposition is Disposition.NO_ANSWER
    assert pbx.all(Talk) == []


def test_a_duty_call_is_one_call_through_all_its_legs(pbx: Dialogue) -> None:
    """D4, B1: two ladders of Local legs and mobiles belong to one record; only the mobile that took it talked."""
    s.duty_accepted(pbx, "1")
    call = pbx.call("1.1")
    (talk,) = pbx.all(Talk)
    assert talk.id == "p-1.7/t1"
    assert (talk.ended_at or 0) - talk.started_at == pytest.approx(60, abs=0.1)
    assert (call.answered_at, call.ended_by) == (talk.started_at, EndedBy.AGENT)
    assert len(pbx.all(Leg)) == 7
    assert pbx.leg("1.7").number == "13911110002"


def test_a_duty_call_nobody_takes_was_not_answered(pbx: Dialogue) -> None:
    """D4, B1: busy is what the mobile said, not what the dialplan's own hangup of the Local leg says."""
    s.comes_in(pbx, "1")
    pbx.local("1.2", "1.3", "13911110001@cti-leg", linkedid="1.1")
    pbx.dial("1.1", "1.2", "13911110001@cti-leg/n")
    pbx.rung("1.4", "PJSIP/trunk-a", linkedid="1.1")
    pbx.dial("1.3", "1.4", "13911110001@trunk-a")
    pbx.dial_end("1.3", "1.4", "BUSY")
    pbx.hangup("1.4", 17)
    pbx.dial_end("1.1", "1.2", "NOANSWER")
    pbx.hangup("1.2", 21)
    pbx.hangup("1.3", 21)
    pbx.hangup("1.1")
    assert pbx.call("1.1").disposition is Disposition.BUSY


@pytest.mark.parametrize("scenario", [s.local_member, s.local_member_optimised])
def test_a_member_on_a_local_channel_talks_on_the_real_phone(pbx: Dialogue, scenario: s.Scenario) -> None:
    """B1: the agent is credited once, with the bridge of the real device, with and without optimisation."""
    scenario(pbx, "1")
    (talk,) = pbx.all(Talk)
    assert (talk.device, talk.agent, talk.queue) == ("PJSIP/11", "11", "q1")
    assert (talk.ended_at or 0) - talk.started_at == pytest.approx(10, abs=0.1)
    assert [a.outcome for a in pbx.all(Attempt)] == [AttemptOutcome.ANSWERED]
    assert pbx.stay("1.1").book_talk == 10.0
    states = [state.state for state in pbx.states("11")]
    assert states == [State.AVAILABLE, State.RINGING, State.ON_CALL, State.AVAILABLE]


def test_a_forwarding_phone_leads_to_one_talk(pbx: Dialogue) -> None:
    """B1: a 302 cancels the first ringing and goes on through a Local channel; only the other phone talked."""
    s.comes_in(pbx, "1")
    pbx.rung("1.2", "PJSIP/1001", linkedid="1.1")
    pbx.dial("1.1", "1.2", "PJSIP/1001")
    pbx.local("1.3", "1.4", "1002@from-internal", linkedid="1.1")
    pbx.dial_end("1.1", "1.2", "CANCEL", forward="Local/1002@from-internal")
    pbx.dial("1.1", "1.3", "1002@from-internal")
    pbx.hangup("1.2", 23)
    pbx.rung("1.5", "PJSIP/1002", linkedid="1.1")
    pbx.dial("1.4", "1.5", "PJSIP/1002")
    pbx.dial_end("1.4", "1.5", "ANSWER")
    pbx.enter("i", "1.5", "1.4")
    pbx.dial_end("1.1", "1.3", "ANSWER")
    pbx.enter("o", "1.3", "1.1")
    pbx.wait(5)
    pbx.asks_hangup("1.5")
    pbx.leave("i", "1.5", "1.4")
    pbx.hangup("1.5")
    pbx.hangup("1.4")
    pbx.leave("o", "1.3", "1.1")
    pbx.hangup("1.3")
    pbx.hangup("1.1")
    assert [talk.device for talk in pbx.all(Talk)] == ["PJSIP/1002"]
    assert pbx.call("1.1").ended_by is EndedBy.AGENT


def test_strangers_who_share_a_linkedid_never_merge(pbx: Dialogue) -> None:
    """B1: with agent-pool logins unrelated callers share a linkedid all day; it joins nothing."""
    for n in ("1", "2"):
        pbx.channel(f"{n}.1", f"PJSIP/trunk-a-000{n}", linkedid="0.1", number=f"1380000000{n}")
    for n in ("1", "2"):
        pbx.rung(f"{n}.2", f"PJSIP/100{n}", linkedid="0.1")
        pbx.dial(f"{n}.1", f"{n}.2")
        pbx.dial_end(f"{n}.1", f"{n}.2", "ANSWER")
        pbx.enter(f"b{n}", f"{n}.1", f"{n}.2")
    for n in ("1", "2"):
        pbx.hangup(f"{n}.2")
        pbx.hangup(f"{n}.1")
    assert {call.id: call.caller_number for call in pbx.all(Call)} == {
        "p-1.1": "13800000001",
        "p-2.1": "13800000002",
    }
    assert {leg.call_id for leg in pbx.all(Leg) if leg.uniqueid.startswith("2")} == {"p-2.1"}


@pytest.mark.parametrize("first", ["1.1", "2.1"])
def test_a_merge_keeps_the_older_call_and_leaves_a_pointer(pbx: Dialogue, first: str) -> None:
    """B1: two calls already told become one by a shared bridge, whichever enters first; the younger points to it."""
    second = {"1.1": "2.1", "2.1": "1.1"}[first]
    s.comes_in(pbx, "1")
    pbx.wait(1)
    s.comes_in(pbx, "2")
    pbx.enter("b", first, second)
    assert pbx.call("2.1").merged_into == "p-1.1"
    assert pbx.call("1.1").merged_into is None
    pbx.hangup("2.1")
    pbx.hangup("1.1")
    assert {leg.call_id for leg in pbx.all(Leg)} == {"p-1.1"}
    assert (pbx.call("2.1").ended_at, pbx.call("1.1").ended_at is not None) == (None, True)
    assert pbx.leftovers() == []


def test_channels_that_a_dial_creates_leave_no_pointer(pbx: Dialogue) -> None:
    """B1: what was never told needs no pointer."""
    s.duty_accepted(pbx, "1")
    assert [call.id for call in pbx.all(Call)] == ["p-1.1"]


def test_a_conference_joins_nobody(pbx: Dialogue) -> None:
    """B1: only a two-party bridge is an edge; strangers in a conference or on hold stay strangers."""
    for n in ("1", "2"):
        s.comes_in(pbx, n)
    pbx.enter("conf", "1.1", "2.1", kind="base")
    pbx.leave("conf", "1.1", "2.1")
    pbx.enter("lot", "1.1", "2.1", kind="holding")
    for n in ("1", "2"):
        pbx.hangup(f"{n}.1")
    assert [(call.id, call.merged_into) for call in pbx.all(Call)] == [("p-1.1", None), ("p-2.1", None)]


def talking(pbx: Dialogue) -> None:
    pbx.member("11", "PJSIP/11", "q1")
    s.comes_in(pbx, "1", "q1")
    pbx.ring("q1", "1.1", "1.2", "11", "PJSIP/11")
    s.takes(pbx, "q1", "1.1", "1.2", "11")


def test_hold_is_counted_inside_the_talk(pbx: Dialogue) -> None:
    """B1: several holds add up, two holders at once count once, and the talk goes on."""
    talking(pbx)
    pbx.wait(5)
    pbx.hold("1.2")
    pbx.wait(3)
    pbx.hold("1.1")
    pbx.wait(2)
    pbx.unhold("1.2")
    pbx.wait(1)
    pbx.unhold("1.1")
    pbx.hold("1.2")
    pbx.wait(4)
    pbx.unhold("1.2")
    pbx.leave("b1.1", "1.2", "1.1")
    (talk,) = pbx.all(Talk)
    assert talk.hold == pytest.approx(10, abs=0.1)
    assert (talk.ended_at or 0) - talk.started_at == pytest.approx(15, abs=0.1)


def test_a_hangup_on_hold_closes_the_hold(pbx: Dialogue) -> None:
    """B1: Unhold does not come for a call that ends on hold."""
    talking(pbx)
    pbx.hold("1.2")
    pbx.wait(6)
    pbx.hangup("1.2")
    assert pbx.talk("1.2").hold == pytest.approx(6, abs=0.1)


def test_a_caller_who_stays_on_ended_the_call(pbx: Dialogue) -> None:
    """B1: after the agent's hangup the caller hears a survey, and hangs up in it."""
    talking(pbx)
    pbx.wait(5)
    pbx.asks_hangup("1.2")
    pbx.leave("b1.1", "1.2", "1.1")
    pbx.hangup("1.2")
    pbx.wait(8)
    pbx.asks_hangup("1.1")
    pbx.hangup("1.1")
    assert pbx.call("1.1").ended_by is EndedBy.CALLER


def test_the_agents_hangup_is_not_the_callers(pbx: Dialogue) -> None:
    """B1: the caller's phone follows within a moment; that is an echo, not a decision."""
    talking(pbx)
    pbx.asks_hangup("1.2")
    pbx.asks_hangup("1.1")
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    assert pbx.call("1.1").ended_by is EndedBy.AGENT


def test_a_call_placed_by_an_agent_goes_out(pbx: Dialogue) -> None:
    """B1: outbound, named after who placed it; the called side hanging up is the customer."""
    s.dials_out(pbx, "1")
    call = pbx.call("1.1")
    assert (call.direction, call.dialed_number) == (Direction.OUTBOUND, "13911110009")
    assert call.ended_by is EndedBy.CALLER
    assert pbx.leg("1.1").agent == "11"


def test_a_late_completion_finds_its_call(pbx: Dialogue) -> None:
    """B4: AgentComplete may come after the hangups, twice, or without the caller's channel."""
    talking(pbx)
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    pbx.complete("q1", "", "11", "PJSIP/11", talk=3.0)
    pbx.complete("q1", "1.1", "11", "PJSIP/11", talk=99.0)
    assert pbx.stay("1.1").book_talk == 3.0


def test_a_lost_agentconnect_does_not_lose_the_answer(pbx: Dialogue) -> None:
    """B3: who took the caller and talked with them answered, whatever event was lost."""
    pbx.member("11", "PJSIP/11", "q1")
    s.comes_in(pbx, "1", "q1")
    pbx.ring("q1", "1.1", "1.2", "11", "PJSIP/11")
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.leave_queue("q1", "1.1")
    pbx.enter("b", "1.2", "1.1")
    pbx.wait(5)
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    assert (pbx.stay("1.1").outcome, pbx.stay("1.1").agent) == (StayOutcome.ANSWERED, "11")
    assert pbx.talk("1.2").queue == "q1"


def test_a_member_who_picks_up_as_the_caller_hangs_up_answered(pbx: Dialogue) -> None:
    """B4: app_queue connects them all the same, and says so in its book; there was no QueueCallerAbandon."""
    pbx.member("11", "PJSIP/11", "q1")
    s.comes_in(pbx, "1", "q1")
    pbx.ring("q1", "1.1", "1.2", "11", "PJSIP/11")
    pbx.wait(3)
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.asks_hangup("1.1")
    pbx.leave_queue("q1", "1.1")
    pbx.connect("q1", "1.1", "1.2", "11", "PJSIP/11", hold=3.0)
    pbx.enter("b", "1.2", "1.1")
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    pbx.complete("q1", "1.1", "11", "PJSIP/11", talk=0.0)
    stay = pbx.stay("1.1")
    assert (stay.outcome, stay.agent, stay.book_talk) == (StayOutcome.ANSWERED, "11", 0.0)
    assert pbx.call("1.1").disposition is Disposition.ANSWERED


def test_a_menu_behind_a_local_channel_is_a_menu(pbx: Dialogue) -> None:
    """B1: a Local half that answers by itself is nobody's phone: the caller heard a menu and left."""
    pbx.channel("1.1", "PJSIP/trunk-a-1")
    pbx.local("1.2", "1.3", "9000")
    pbx.dial("1.1", "1.2", "9000@menu")
    pbx.up("1.3")
    pbx.dial_end("1.1", "1.2", "ANSWER")
    pbx.enter("b", "1.2", "1.1")
    pbx.wait(10)
    pbx.asks_hangup("1.1")
    pbx.leave("b", "1.1", "1.2")
    for uniqueid in ("1.3", "1.2", "1.1"):
        pbx.hangup(uniqueid)
    call = pbx.call("1.1")
    assert (call.disposition, call.answered_at, pbx.all(Talk)) == (Disposition.LEFT_MENU, None, [])


def test_unknown_channels_are_counted_not_raised(pbx: Dialogue) -> None:
    """A1: an event about a channel nobody introduced becomes a reason, and nothing else."""
    pbx.hangup("9.9")
    pbx.dial("9.8", "9.9")
    pbx.enter("b", "9.9")
    assert [fact.reason for fact in pbx.rejected()] == [RejectReason.UNKNOWN_CHANNEL] * 3
    assert pbx.leftovers() == []


def test_who_hung_up_though_the_other_is_told_to_leave_first(pbx: Dialogue) -> None:
    """B1: the other side's leaving of the bridge may be told a moment before the hangup that caused it."""
    pbx.member("11", "PJSIP/1001", "q1")
    pbx.channel("c", "PJSIP/trunk-a-00000001")
    pbx.rung("a", "PJSIP/1001")
    pbx.dial("c", "a", "1001")
    pbx.dial_end("c", "a", "ANSWER")
    pbx.enter("b", "c", "a")
    pbx.wait(5)
    pbx.leave("b", "c")
    pbx.asks_hangup("a")
    pbx.leave("b", "a")
    pbx.hangup("a")
    pbx.hangup("c")
    assert pbx.call("c").ended_by is EndedBy.AGENT
