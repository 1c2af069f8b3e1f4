"""The stories of real calls as a person reads them: who with whom, and nobody in two columns (B4)."""

from dataclasses import replace

import pytest

from cti.core.facts import (
    Attempt,
    Call,
    Direction,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.picture import picture
from cti.core.story import Parts, Story
from cti.core.telling import tell
from tests.core.recorded_calls import all_names
from tests.scenarios.fixtures import run_of
from tests.scenarios.judge import hear
from tests.scenarios.run import FIXTURES
from tests.scenarios.scenes import loaded


def story(name: str) -> Story:
    """The story of a recorded scenario's first call, with roles in place of agents' numbers."""
    session = hear(FIXTURES / f"{name}.ami.gz")
    call = min((c for c in session.all(Call) if c.merged_into is None), key=lambda call: call.started_at)
    return tell(
        Parts(
            call,
            [leg for leg in session.all(Leg) if leg.call_id == call.id],
            [stay for stay in session.all(QueueStay) if stay.call_id == call.id],
            [attempt for attempt in session.all(Attempt) if attempt.call_id == call.id],
            [talk for talk in session.all(Talk) if talk.call_id == call.id],
            [transfer for transfer in session.all(Transfer) if transfer.call_id == call.id],
            [recording for recording in session.all(Recording) if recording.call_id == call.id],
        )
    )


def lines(name: str) -> list[str]:
    """`who what (event)` of each step; agents by their role, without their device."""
    told, cast = story(name), run_of(loaded()[name]).cast
    out = []
    for step in told.steps:
        line = f"{step.who} {step.what} ({step.event})"
        for role, number in cast.items():
            line = line.replace(f"{number} PJSIP/1{number[1:]}", role).replace(number, role)
        out.append(line)
    return out


def test_a_consultation_is_between_the_two_who_consult() -> None:
    """The colleague is rung by the agent and talks with the agent; with the caller only after the transfer."""
    told = lines("attended_by_the_phone")
    assert "anna rings ben (was available) (DialBegin)" in told
    assert "anna talks with ben (BridgeEnter)" in told
    talks = [line for line in told if "talks with" in line]
    assert talks == [
        "anna talks with the caller (BridgeEnter)",
        "anna talks with ben (BridgeEnter)",
        "ben talks with the caller (BridgeEnter)",
    ]


@pytest.mark.parametrize("name", ["blind_by_the_phone", "attended_by_the_phone", "half_finished_to_a_queue"])
def test_whoever_hands_on_has_one_column(name: str) -> None:
    """The one who transfers is the one who talked, and the picture shows it."""
    told = story(name)
    move = next(step for step in told.steps if step.kind == "move")
    assert move.who in {step.who for step in told.steps if step.kind == "talk"}
    agents = [actor.split()[0] for actor in told.actors if "PJSIP/" in actor]
    assert len(agents) == len(set(agents))
    assert any("hands on" in line for line in picture(told))


def test_a_consulted_queue_is_joined_by_the_agent() -> None:
    """Whoever consults a queue goes into it; who comes out of it is who was put through by then."""
    told = [line for line in lines("half_finished_to_a_queue") if "queue" in line or "connected" in line]
    assert "anna joins the queue at place 1 (QueueCallerJoin)" in told
    assert "caller is connected to ben after 2.0 s (DialEnd, AgentConnect)" in told
    told = lines("attended_to_a_queue")
    assert [line for line in told if "joins the queue" in line] == [
        "caller joins the queue at place 1 (QueueCallerJoin)",
        "anna joins the queue at place 1 (QueueCallerJoin)",
    ]
    assert "anna is connected to ben after 0.0 s (DialEnd, AgentConnect)" in told


def test_a_queue_consulted_by_feature_code_is_joined_by_the_agent() -> None:
    """The channel that waits is a Local one of the PBX's; the agent talks to it, and hands the caller on to it."""
    call, agent = _leg("1.1", "PJSIP/trunk-a"), _leg("1.2", "PJSIP/1001", agent="2001", dialed=True)
    local = _leg("1.4", "Local/7044@agents")
    stay = QueueStay(
        "p-1.4/q1", call.id, "p", 1, "support", "1.4", 20.0, 1, 25.0, 25.0, StayOutcome.ANSWERED, 5.0, "2002"
    )
    talk = Talk("p-1.2/t1", call.id, "p", "sales", "2001", "PJSIP/1001", 10.0, 30.0)
    handed_on = Transfer("p-1.2/x1", call.id, "p", "attended", "2001", "7044", 30.0, "answered")
    whole = Call("p-1.1", "p", Direction.INBOUND, "139", "", "7044", 1.0)
    told = tell(Parts(whole, [call, agent, local], [stay], talks=[talk], transfers=[handed_on]))
    assert [step.who for step in told.steps if step.kind in {"join", "leave"}] == ["2001 PJSIP/1001"] * 2


def _leg(uniqueid: str, device: str, *, agent: str | None = None, dialed: bool = False) -> Leg:
    return Leg(f"p-{uniqueid}", "p-1.1", "p", uniqueid, "1.1", f"{device}-1", device, "", agent, dialed, 1.0)


def test_a_transfer_says_where_it_is_known_from() -> None:
    """What a book filled in is marked, part by part."""
    session = hear(FIXTURES / "blind_by_the_phone.ami.gz")
    call = min(session.all(Call), key=lambda call: call.started_at)
    (transfer,) = session.all(Transfer)
    for sources, said in (((), "seen"), (("*:cel",), "cel"), (("result:cel",), "seen")):
        told = tell(Parts(call, session.all(Leg), transfers=[replace(transfer, sources=sources)]))
        assert [step.source for step in told.steps if step.kind == "move"] == [said]


def test_a_pickup_is_no_ringing() -> None:
    """Who takes a call that rings elsewhere was not rung."""
    told = lines("pickup_of_a_queue_call")
    assert [line for line in told if line.startswith("ben takes the ringing call")]
    assert not [line for line in told if "rings ben" in line]


def test_a_talk_of_two_agents_is_told_once() -> None:
    """An internal call: one talk, and nobody talks with themselves."""
    assert [line for line in lines("internal_answered") if "talks with" in line] == [
        "ben talks with the caller (BridgeEnter)"
    ]


def test_mobiles_behind_one_trunk_are_told_apart() -> None:
    """After hours every leg leaves by a trunk: its number says whose phone it was."""
    told = story("night_second_number_takes_it")
    rung = [step.to for step in told.steps if step.kind == "ring"]
    assert len(rung) == len(set(rung)) == 2


@pytest.mark.parametrize("name", all_names())
def test_every_recorded_call_can_be_told(name: str) -> None:
    """In order of time, from begin to end, with a line in the picture for everybody."""
    told = story(name)
    assert [step.at for step in told.steps] == sorted(step.at for step in told.steps)
    assert told.steps[0].kind == "begin"
    assert "end" in {step.kind for step in told.steps}
    assert not [step for step in told.steps if step.kind == "talk" and step.to == step.who]
    assert len(picture(told)) > 1
