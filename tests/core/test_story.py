"""The stories of real calls as a person reads them: who with whom, and nobody in two columns (B4)."""

import pytest

from cti.core.facts import Attempt, Call, Leg, QueueStay, Recording, Talk, Transfer
from cti.core.story import Parts, Story, picture, tell
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
    assert "anna rings ben; ben was available (DialBegin)" in told
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
