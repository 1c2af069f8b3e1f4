"""Every agent is in exactly one state at any instant, and each change says since when, why and by whom (B2, C1, C2)."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from cti.core import events as ev
from cti.core.facts import AgentState, Call, Cause, State
from cti.core.rules import AwayRule, Rules
from tests.core import scenarios as s
from tests.core.dialogue import RULES, START, Dialogue, seen_member

PHONE = "PJSIP/11"


@pytest.fixture
def pbx() -> Dialogue:
    return Dialogue()


def told(pbx: Dialogue, agent: str = "11") -> list[State]:
    return [state.state for state in pbx.states(agent)]


def on_own_call(pbx: Dialogue, n: str = "5") -> None:
    pbx.channel(f"{n}.1", f"{PHONE}-000{n}", exten="13911110009", number="11", context="from-internal")


def rings(pbx: Dialogue, n: str = "1", queue: str = "q1") -> None:
    s.comes_in(pbx, n, queue)
    pbx.ring(queue, f"{n}.1", f"{n}.2", "11", PHONE)


# -- precedence, row by row


def test_nobody_is_logged_in_without_a_queue(pbx: Dialogue) -> None:
    """C1: membership in a queue is the login; without any the agent is logged out, whatever else is going on."""
    pbx.member("11", PHONE, "q1")
    rings(pbx)
    pbx.remove("11", PHONE, "q1")
    assert pbx.state("11").state is State.LOGGED_OUT
    assert (pbx.state("11").device, pbx.state("11").queues) == ("", ())


def test_on_call_wins_over_ringing_and_away(pbx: Dialogue) -> None:
    """B2: who talks is on a call, though paused and rung on the second line."""
    pbx.member("11", PHONE, "q1")
    on_own_call(pbx)
    rings(pbx)
    pbx.pause("11", PHONE, "q1")
    assert pbx.state("11").state is State.ON_CALL


def test_ringing_wins_over_away(pbx: Dialogue) -> None:
    """B2: a colleague's direct call rings an agent who is away."""
    pbx.member("11", PHONE, "q1")
    pbx.pause("11", PHONE, "q1")
    s.comes_in(pbx, "1")
    pbx.rung("1.2", PHONE)
    pbx.dial("1.1", "1.2", PHONE)
    assert pbx.state("11").state is State.RINGING
    attempt = pbx.attempt("1.2")
    assert (attempt.agent_state, attempt.agent_reason) == (State.AWAY, "break")


def test_away_wins_over_unreachable_and_wrap_up(pbx: Dialogue) -> None:
    """C3: an absent agent with a dead phone is away."""
    pbx.member("11", PHONE, "q1", wrap_up=30)
    rings(pbx)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.hangup("1.2")
    pbx.member("11", PHONE, "q1", what="changed", paused=True, reason="lunch", status=5, wrap_up=30)
    assert (pbx.state("11").state, pbx.state("11").reason) == (State.AWAY, "lunch")


@pytest.mark.parametrize("status", [4, 5])
def test_unreachable_wins_over_wrap_up(pbx: Dialogue, status: int) -> None:
    """C4: a phone that has gone is known as such at once."""
    pbx.member("11", PHONE, "q1", wrap_up=30)
    rings(pbx)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.hangup("1.2")
    pbx.member("11", PHONE, "q1", what="changed", status=status, wrap_up=30)
    assert (pbx.state("11").state, pbx.state("11").cause) == (State.UNREACHABLE, Cause.DEVICE)
    pbx.member("11", PHONE, "q1", what="changed", status=1, wrap_up=30)
    assert pbx.state("11").state is State.WRAP_UP


def test_wrap_up_wins_over_available(pbx: Dialogue) -> None:
    """B2: after a queue call there is time to finish, and then the agent is available by the clock alone."""
    pbx.member("11", PHONE, "q1", wrap_up=30)
    rings(pbx)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.wait(20)
    pbx.leave("b1.1", "1.2", "1.1")
    ended = pbx.talk("1.2").ended_at or 0
    pbx.hangup("1.2")
    assert pbx.state("11").state is State.WRAP_UP
    assert pbx.core.next_deadline() == pytest.approx(ended + 30)
    pbx.wait(60)
    assert told(pbx) == [State.AVAILABLE, State.RINGING, State.ON_CALL, State.WRAP_UP, State.AVAILABLE]
    assert pbx.state("11").since == pytest.approx(ended + 30)
    assert pbx.core.next_deadline() is None


# -- since, cause, reason


def test_each_change_says_what_it_came_from(pbx: Dialogue) -> None:
    """B2: a state names the one before it and since when that was, so that seconds can be counted from facts."""
    s.queue_answered(pbx, "1")
    states = pbx.states("11")
    assert [state.cause for state in states] == [Cause.PBX, Cause.DEVICE, Cause.DEVICE, Cause.DEVICE]
    for before, after in itertools.pairwise(states):
        assert (after.previous, after.previous_since) == (before.state, before.since)
        assert after.since > before.since


@pytest.mark.parametrize("first", ["word", "member"])
def test_a_feature_code_explains_the_change_next_to_it(pbx: Dialogue, first: str) -> None:
    """C1: the dialplan's own event and the queue's come in either order; the cause is the agent."""
    changes: dict[str, Callable[[], None]] = {
        "login": lambda: pbx.member("11", PHONE, "q1", "q2"),
        "pause": lambda: pbx.pause("11", PHONE, "q1", "q2"),
        "unpause": lambda: pbx.unpause("11", PHONE, "q1", "q2"),
        "logout": lambda: pbx.remove("11", PHONE, "q1", "q2"),
    }
    for action, change in changes.items():
        pbx.wait(60)
        if first == "word":
            pbx.said(action, "11", PHONE)
        change()
        if first == "member":
            pbx.said(action, "11", PHONE)
    assert [(state.state, state.cause) for state in pbx.states("11")] == [
        (State.AVAILABLE, Cause.AGENT),
        (State.AWAY, Cause.AGENT),
        (State.AVAILABLE, Cause.AGENT),
        (State.LOGGED_OUT, Cause.AGENT),
    ]


def test_a_feature_code_long_ago_explains_nothing(pbx: Dialogue) -> None:
    """C2: what a manager does at the PBX later is not the agent's doing; a refused code says nothing either."""
    pbx.member("11", PHONE, "q1")
    pbx.said("login", "11", PHONE)
    pbx.wait(60)
    pbx.said("refused", "11", PHONE, "pin")
    pbx.pause("11", PHONE, "q1")
    assert pbx.state("11").cause is Cause.PBX


def test_joining_another_queue_changes_neither_since_nor_cause(pbx: Dialogue) -> None:
    """C1: the list of queues is told, the state goes on."""
    pbx.said("login", "11", PHONE)
    pbx.member("11", PHONE, "q1")
    first = pbx.state("11")
    pbx.wait(90)
    pbx.member("11", PHONE, "q2")
    second = pbx.state("11")
    assert (second.since, second.cause, second.queues) == (first.since, Cause.AGENT, ("q1", "q2"))


def test_a_change_within_a_state_does_not_rewrite_its_cause(pbx: Dialogue) -> None:
    """B2: leaving one of two queues in the moment a ringing ended does not make the ringing's end the PBX's doing."""
    pbx.member("11", PHONE, "q1", "q2")
    rings(pbx)
    pbx.dial_end("1.1", "1.2", "CANCEL")
    pbx.hangup("1.2", 0)
    pbx.remove("11", PHONE, "q1")
    assert (pbx.state("11").state, pbx.state("11").cause) == (State.AVAILABLE, Cause.DEVICE)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("lunch", "lunch"),
        ("after-call", "after_call"),
        ("Lunch", "lunch"),
        ("", "other"),
        ("<script>", "other"),
    ],
)
def test_reasons_are_an_enumeration(pbx: Dialogue, said: str, meant: str) -> None:
    """C2: what a dialplan writes becomes one of the known reasons, never free text in a label."""
    pbx.member("11", PHONE, "q1")
    pbx.pause("11", PHONE, "q1", reason=said)
    assert pbx.state("11").reason == meant


# -- queues, devices, calls


def test_paused_in_one_of_two_queues_is_not_away(pbx: Dialogue) -> None:
    """C2: away is paused everywhere; half a pause still takes calls."""
    pbx.member("11", PHONE, "q1", "q2")
    pbx.pause("11", PHONE, "q1")
    assert pbx.state("11").state is State.AVAILABLE
    pbx.pause("11", PHONE, "q2")
    assert pbx.state("11").state is State.AWAY
    pbx.unpause("11", PHONE, "q2")
    assert pbx.state("11").state is State.AVAILABLE


def test_a_state_says_in_which_queues_the_agent_is_paused(pbx: Dialogue) -> None:
    """C1: without the other queue that agent is away, and for which reason nothing else on record tells."""
    pbx.member("2001", "PJSIP/1001", "q1", "q2")
    pbx.pause("2001", "PJSIP/1001", "q2", reason="lunch")
    here = pbx.told(AgentState)[-1]
    assert (here.state, here.paused) == (State.AVAILABLE, ("q2:lunch",))
    pbx.remove("2001", "PJSIP/1001", "q1")
    away = pbx.told(AgentState)[-1]
    assert (away.state, away.reason, away.paused) == (State.AWAY, "lunch", ("q2:lunch",))
    pbx.unpause("2001", "PJSIP/1001", "q2")
    assert pbx.told(AgentState)[-1].paused == ()


def test_an_agent_moves_to_another_desk(pbx: Dialogue) -> None:
    """C1: the new phone's calls are the agent's, the old one's no longer."""
    pbx.member("11", PHONE, "q1")
    pbx.remove("11", PHONE, "q1")
    pbx.member("11", "PJSIP/99", "q1")
    assert pbx.state("11").device == "PJSIP/99"
    on_own_call(pbx)
    assert pbx.leg("5.1").agent is None
    pbx.channel("6.1", "PJSIP/99-0006", exten="13911110009")
    assert pbx.leg("6.1").agent == "11"


def test_the_old_desks_removal_may_come_after_the_new_desks_login(pbx: Dialogue) -> None:
    """C1: removing the old phone does not log out the agent who sits at the new one."""
    pbx.member("11", PHONE, "q1")
    pbx.member("11", "PJSIP/99", "q1")
    pbx.remove("11", PHONE, "q1")
    assert (pbx.state("11").state, pbx.state("11").device) == (State.AVAILABLE, "PJSIP/99")


def test_a_phone_taken_over_belongs_to_the_newcomer(pbx: Dialogue) -> None:
    """C1: whoever logged in last owns the phone's calls, in whichever order the events come."""
    pbx.member("11", PHONE, "q1")
    pbx.member("12", PHONE, "q1")
    pbx.remove("11", PHONE, "q1")
    on_own_call(pbx)
    assert (pbx.leg("5.1").agent, pbx.state("12").state) == ("12", State.ON_CALL)
    assert pbx.state("11").state is State.LOGGED_OUT


def test_a_call_the_agent_places_is_a_call(pbx: Dialogue) -> None:
    """B2: from the moment of dialling, and without wrap-up after it."""
    pbx.member("11", PHONE, "q1", wrap_up=30)
    on_own_call(pbx)
    assert pbx.state("11").state is State.ON_CALL
    pbx.hangup("5.1")
    assert pbx.state("11").state is State.AVAILABLE


def test_a_feature_code_is_a_call_but_no_change_of_state(pbx: Dialogue) -> None:
    """C1: dialling *13 is a call to the PBX itself: recorded, but nobody is busy with a customer."""
    pbx.member("11", PHONE, "q1")
    pbx.channel("5.1", f"{PHONE}-0005", exten="*13", number="11", context="from-internal")
    pbx.pause("11", PHONE, "q1")
    pbx.hangup("5.1")
    assert told(pbx) == [State.AVAILABLE, State.AWAY]
    assert len(pbx.all(Call)) == 1


def test_calls_of_a_logged_out_person_leave_the_state_alone(pbx: Dialogue) -> None:
    """B2: the call is recorded; the state is not told again and again."""
    pbx.member("11", PHONE, "q1")
    rings(pbx)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.remove("11", PHONE, "q1")
    pbx.wait(5)
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    assert told(pbx) == [State.AVAILABLE, State.RINGING, State.ON_CALL, State.LOGGED_OUT]
    assert pbx.leg("1.2").agent == "11"


def test_two_phones_ringing_for_one_agent_ring_once(pbx: Dialogue) -> None:
    """B2: ringing lasts until the last ringing ends."""
    pbx.member("11", PHONE, "q1", "q2")
    rings(pbx)
    s.comes_in(pbx, "2", "q2")
    pbx.ring("q2", "2.1", "2.2", "11", PHONE)
    for n in ("1", "2"):
        assert pbx.state("11").state is State.RINGING
        pbx.dial_end(f"{n}.1", f"{n}.2", "NOANSWER")
        pbx.hangup(f"{n}.2", 0)
    assert told(pbx) == [State.AVAILABLE, State.RINGING, State.AVAILABLE]


def test_the_members_own_wrap_up_goes_before_the_queues() -> None:
    """B2: 0 at the member falls back to the queue's."""
    for member_seconds, expected in ((0.0, 12.0), (40.0, 40.0)):
        d = Dialogue()
        d.resynced(queues=(ev.QueueSeen(0.0, "q1", "rrmemory", 12.0, 0),))
        d.member("11", PHONE, "q1", wrap_up=member_seconds)
        rings(d)
        s.takes(d, "q1", "1.1", "1.2", "11")
        d.leave("b1.1", "1.2", "1.1")
        d.hangup("1.2")
        deadline = d.core.next_deadline() or 0
        assert deadline - (d.talk("1.2").ended_at or 0) == pytest.approx(expected)


def test_a_configured_wrap_up_holds_where_the_pbx_tells_none() -> None:
    """B2: a queue's wrapuptime is in no AMI event; the member's own still goes before it."""
    for member_seconds, expected in ((0.0, 15.0), (40.0, 40.0)):
        d = Dialogue(replace(RULES, wrap_up={"q1": 15.0}, default_wrap_up=3.0))
        d.resynced(queues=(ev.QueueSeen(0.0, "q1", "rrmemory", 0.0, 0),))
        d.member("11", PHONE, "q1", wrap_up=member_seconds)
        rings(d)
        s.takes(d, "q1", "1.1", "1.2", "11")
        d.leave("b1.1", "1.2", "1.1")
        d.hangup("1.2")
        assert d.state("11").state is State.WRAP_UP
        deadline = d.core.next_deadline() or 0
        assert deadline - (d.talk("1.2").ended_at or 0) == pytest.approx(expected)


# -- after a resync


def listed(pbx: Dialogue, agent: str = "11", **what: float | str | bool) -> ev.MemberSeen:
    return seen_member(pbx.at, agent, PHONE, "q1", **what)  # type: ignore[arg-type]  # a subset of its own keywords


def test_every_agent_is_told_again_after_a_resync(pbx: Dialogue) -> None:
    """A1: whoever listens hears each agent once, with the state as it has been since before the gap."""
    pbx.member("11", PHONE, "q1")
    before = pbx.state("11")
    pbx.link_lost()
    pbx.wait(5)
    facts = pbx.resynced(members=(listed(pbx),))
    assert [fact for fact in facts if isinstance(fact, AgentState)] == [before]


def test_what_changed_in_the_gap_was_changed_while_the_link_was_lost(pbx: Dialogue) -> None:
    """A1: nobody knows who did it, and the cause says so."""
    pbx.member("11", PHONE, "q1")
    pbx.link_lost()
    pbx.wait(5)
    pbx.resynced(members=(listed(pbx, paused=True, reason="lunch"),))
    state = pbx.state("11")
    assert (state.state, state.cause, state.since) == (State.AWAY, Cause.LINK_LOST, pbx.at)
    pbx.link_lost()
    pbx.resynced()
    assert (pbx.state("11").state, pbx.state("11").cause) == (State.LOGGED_OUT, Cause.LINK_LOST)


def from_books(state: State, since: float) -> AgentState:
    """What the books told of a gap, after it."""
    return AgentState("p", "11", "11", "", (), state, since, "", Cause.PBX, sources=("*:queue_log",))


def test_what_the_books_told_of_a_gap_is_gone_on_from(pbx: Dialogue) -> None:
    """B3: who went and came back while nobody listened is there since coming back; what is told then is of that row."""
    pbx.member("11", PHONE, "q1")
    pbx.link_lost()
    lost = pbx.at
    pbx.wait(60)
    pbx.resynced(members=(listed(pbx),))
    gone, back = from_books(State.LOGGED_OUT, lost + 10), from_books(State.AVAILABLE, lost + 30)
    pbx.core.agents.learn([back, gone])
    assert pbx.core.agents.state_of("11") == (State.AVAILABLE, lost + 30, "")
    pbx.member("11", PHONE, "q2")
    now = pbx.state("11")
    assert (now.since, now.queues, now.sources) == (lost + 30, ("q1", "q2"), ("*:queue_log",))
    pbx.pause("11", PHONE, "q1", "q2")
    assert (pbx.state("11").previous_since, pbx.state("11").sources) == (lost + 30, ())


def test_what_the_books_told_too_late_changes_nothing_now(pbx: Dialogue) -> None:
    """B3: a state that began after the gap, or that the books do not lead to, is what was seen."""
    pbx.member("11", PHONE, "q1")
    pbx.link_lost()
    lost = pbx.at
    pbx.wait(60)
    pbx.resynced(members=(listed(pbx),))
    before = pbx.state("11")
    pbx.core.agents.learn([from_books(State.LOGGED_OUT, lost + 10)])
    assert pbx.core.agents.state_of("11") == (State.AVAILABLE, before.since, "")
    pbx.pause("11", PHONE, "q1")
    away = pbx.state("11")
    pbx.core.agents.learn([from_books(State.AVAILABLE, lost + 30)])
    assert pbx.core.agents.state_of("11") == (State.AWAY, away.since, "break")


def test_a_restarted_daemon_goes_on_where_it_was(pbx: Dialogue) -> None:
    """A1: a state that still holds keeps its since; nothing is decided before the PBX has been asked."""
    pbx.member("11", PHONE, "q1")
    pbx.pause("11", PHONE, "q1", reason="training")
    later = Dialogue(at=pbx.at + 100, memory=pbx.memory())
    later.link_lost("not yet there")
    later.wait(50)
    assert later.told(AgentState) == []
    later.resynced(members=(listed(later, paused=True, reason="training"),))
    assert later.told(AgentState) == [pbx.state("11")]


def test_wrap_up_outlives_a_restart(pbx: Dialogue) -> None:
    """B2: the seconds that are left are kept."""
    pbx.member("11", PHONE, "q1", wrap_up=30)
    rings(pbx)
    s.takes(pbx, "q1", "1.1", "1.2", "11")
    pbx.leave("b1.1", "1.2", "1.1")
    pbx.hangup("1.2")
    pbx.hangup("1.1")
    began = pbx.state("11").since
    later = Dialogue(at=pbx.at + 5, memory=pbx.memory())
    later.resynced(members=(listed(later, wrap_up=30.0),))
    assert later.state("11") == pbx.state("11")
    later.wait(60)
    assert later.state("11").state is State.AVAILABLE
    assert later.state("11").since == pytest.approx(began + 30, abs=0.1)


def test_names_come_from_the_people_not_from_the_pbx(pbx: Dialogue) -> None:
    """B2: the record shows the person's name; without one, the number."""
    pbx.core.know({"11": "张伟"})
    pbx.member("11", PHONE, "q1")
    pbx.member("12", "PJSIP/12", "q1")
    assert (pbx.state("11").name, pbx.state("12").name) == ("张伟", "12")


def test_exactly_one_state_at_any_instant() -> None:
    """B2: over a busy hour the states of each agent follow each other without gap, overlap or repetition."""
    pbx = Dialogue(Rules(trunks=RULES.trunks, away=AwayRule(limit=30, warn_before=10)))
    for n in range(1, 9):
        for scenario in (s.queue_answered, s.queue_second_agent, s.dials_out):
            scenario(pbx, f"{n}{scenario.__name__[-1]}")
    for agent in {state.agent for state in pbx.all(AgentState)}:
        states = pbx.states(agent)
        for before, after in itertools.pairwise(states):
            assert (after.previous, after.previous_since) == (before.state, before.since)
            assert (after.state, after.reason) != (before.state, before.reason)


def test_the_reason_of_the_latest_pause_counts(pbx: Dialogue) -> None:
    """B2: one who was paused in one queue for one reason is paused in all for another, queue by queue."""
    pbx.member("2001", "PJSIP/1001", "q1", "q2")
    pbx.member(
        "2001", "PJSIP/1001", "q1", what="changed", paused=True, reason="meeting", last_pause=START + 10
    )
    for queue in ("q2", "q1"):
        pbx.member(
            "2001", "PJSIP/1001", queue, what="changed", paused=True, reason="lunch", last_pause=START + 16
        )
    away = {state.reason for state in pbx.told(AgentState) if state.state is State.AWAY}
    assert away == {"lunch"}
