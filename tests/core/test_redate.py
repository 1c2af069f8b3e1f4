"""A3: a step of the PBX's clock gives no wrong duration and logs nobody out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core import events as ev
from cti.core.facts import Notice, State
from tests.core.dialogue import Dialogue
from tests.core.test_away import LIMIT, PHONE, WARN, logged_in

STEPS = st.floats(-86_400, 86_400).filter(lambda by: abs(by) > 2)


def step(pbx: Dialogue, by: float) -> None:
    """The clock is put, and the core is told so before it hears anything in the new time."""
    pbx.at += by
    pbx.say(ev.ClockStepped(pbx.at, by))


@given(STEPS)
def test_a_queue_call_keeps_its_durations(by: float) -> None:
    """Wait, talk, hold and the call's own length are as they were, forward and back."""
    pbx = Dialogue()
    pbx.member("11", PHONE, "q1")
    begun = pbx.at
    pbx.channel("c", "PJSIP/trunk-a")
    pbx.join("q1", "c")
    pbx.wait(5)
    pbx.ring("q1", "c", "m", "11", PHONE)
    pbx.wait(3)
    pbx.dial_end("c", "m", "ANSWER")
    pbx.leave_queue("q1", "c")
    pbx.connect("q1", "c", "m", "11", PHONE)
    pbx.enter("b", "c", "m")
    pbx.wait(10)
    pbx.hold("m")
    pbx.wait(2)
    spent = pbx.at - begun
    step(pbx, by)
    pbx.wait(2)
    pbx.unhold("m")
    pbx.wait(6)
    at = pbx.at
    pbx.leave("b", "c", "m")
    pbx.hangup("m")
    pbx.hangup("c")
    call, talk, stay, leg = pbx.call("c"), pbx.talk("m"), pbx.stay("c"), pbx.leg("c")
    assert call.ended_at is not None
    assert call.ended_at - call.started_at == pytest.approx(pbx.at - by - begun, abs=0.1)
    assert (talk.ended_at or 0) - talk.started_at == pytest.approx(20, abs=0.1)
    assert talk.hold == pytest.approx(4, abs=0.1)
    assert stay.wait == pytest.approx(8, abs=0.1)
    assert (leg.ended_at or 0) - leg.started_at == pytest.approx(at - by - begun, abs=0.1)
    assert spent > 0


@given(STEPS)
def test_the_away_rule_keeps_its_clock(by: float) -> None:
    """C3: neither is anybody logged out early by a clock put forward, nor stays away longer by one put back."""
    pbx = logged_in()
    pbx.pause("11", PHONE, "q1", "q2")
    left = pbx.at
    pbx.wait(LIMIT - WARN - 60)
    step(pbx, by)
    pbx.wait(30)
    assert pbx.told(Notice) == []
    assert pbx.commands == []
    pbx.wait(WARN - 20)
    assert [notice.kind for notice in pbx.told(Notice)] == ["away_warning"]
    pbx.wait(60)
    episode = pbx.episode("11")
    assert (episode.reported_at or 0) - by - left == pytest.approx(LIMIT, abs=0.1)
    assert (episode.reported_at or 0) - episode.started_at == pytest.approx(LIMIT, abs=0.1)
    assert len(pbx.incidents()) == 1


def test_a_wrap_up_lasts_as_long_as_it_should() -> None:
    """An agent's wrap-up is neither cut short nor drawn out."""
    pbx = Dialogue()
    pbx.member("11", PHONE, "q1", wrap_up=30)
    pbx.channel("c", "PJSIP/trunk-a")
    pbx.join("q1", "c")
    pbx.ring("q1", "c", "m", "11", PHONE)
    pbx.dial_end("c", "m", "ANSWER")
    pbx.leave_queue("q1", "c")
    pbx.connect("q1", "c", "m", "11", PHONE)
    pbx.enter("b", "c", "m")
    pbx.wait(5)
    pbx.leave("b", "c", "m")
    pbx.hangup("m")
    pbx.hangup("c")
    step(pbx, 3600)
    pbx.wait(20)
    assert pbx.state("11").state is State.WRAP_UP
    pbx.wait(15)
    assert pbx.state("11").state is State.AVAILABLE
