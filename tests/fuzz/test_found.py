"""What the fuzzer found once, each as the shortest way to it (A1, B1)."""

import pytest

from cti.core.core import Core
from cti.core.events import Event
from cti.core.facts import State
from cti.core.fields import Unusable
from cti.core.parsing import parse
from cti.core.wire import Message
from tests.fuzz.pipeline import Pipeline

AT = 1_790_000_000.0


def _says(core: Core, name: str, **headers: str) -> None:
    message: Message = {"Event": name, "Timestamp": f"{AT}", **headers}
    event = parse(message, AT)
    assert event is not None
    core.step(event)


def _channel(core: Core, uniqueid: str, channel: str = "PJSIP/1001-1") -> None:
    _says(core, "Newchannel", Uniqueid=uniqueid, Linkedid=uniqueid, Channel=channel, ChannelState="4")


def test_a_renamed_local_channel_leaves_its_old_name_to_nobody() -> None:
    """The other half of a Local channel that comes after the renamed one has gone finds no ghost."""
    core = Core("main")
    _channel(core, "1.1", "Local/s@x-1;1")
    _says(core, "Rename", Uniqueid="1.1", Newname="PJSIP/1001-7")
    _says(core, "Hangup", Uniqueid="1.1")
    _channel(core, "1.2", "Local/s@x-1;2")
    assert list(core.calls.legs) == ["1.2"]


def test_a_first_channel_told_again_after_its_end_does_not_split_its_call() -> None:
    """A second Newchannel of a channel that has hung up, while the rest of its call goes on, is passed over."""
    core = Core("main")
    for uniqueid in ("1.1", "1.2"):
        _channel(core, uniqueid)
    _says(core, "DialBegin", Uniqueid="1.1", DestUniqueid="1.2", DialString="1002")
    _says(core, "Hangup", Uniqueid="1.1")
    _channel(core, "1.1")
    _says(core, "Hangup", Uniqueid="1.2")
    assert (core.calls.calls, core.calls.legs) == ({}, {})


def test_an_agent_whose_call_turns_out_to_be_anothers_is_free_again() -> None:
    """A channel of one agent's device that the queue says is another member's keeps only that one busy."""
    core = Core("main")
    for agent, device in (("2001", "PJSIP/1001"), ("2002", "PJSIP/1002")):
        _says(core, "QueueMemberAdded", Queue="q", MemberName=agent, Interface=device, Status="1")
    _channel(core, "1.1", "PJSIP/1001-1")
    _says(core, "AgentCalled", Queue="q", Uniqueid="9.9", DestUniqueid="1.1", MemberName="2002", Interface="X/1")  # fmt: skip
    _says(core, "DialEnd", Uniqueid="9.9", DestUniqueid="1.1", DialStatus="ANSWER")
    one, two = core.agents.state_of("2001"), core.agents.state_of("2002")
    assert one is not None
    assert two is not None
    assert (one[0], two[0]) == (State.AVAILABLE, State.ON_CALL)


def test_a_bridge_merged_into_itself_stays() -> None:
    """Who is in it is not left in a bridge that nobody knows."""
    core = Core("main")
    for uniqueid in ("1.1", "1.2"):
        _channel(core, uniqueid)
        _says(core, "BridgeEnter", Uniqueid=uniqueid, BridgeUniqueid="b", BridgeType="basic")
    _says(core, "BridgeMerge", ToBridgeUniqueid="b", FromBridgeUniqueid="b")
    assert core.calls.bridges["b"].members == {"1.1", "1.2"}


@pytest.mark.parametrize("stamp", ["1e16", "nan", "inf", "-5", "99999999999999999999"])
def test_a_timestamp_no_calendar_has_is_unusable(stamp: str) -> None:
    """An instant beyond 2100 or before 1970 is refused by name, instead of breaking whoever dates it."""
    with pytest.raises(Unusable, match="Timestamp"):
        parse({"Event": "Hangup", "Uniqueid": "1.1", "Timestamp": stamp}, AT)


def test_a_listed_age_without_end_is_not_believed() -> None:
    """A Duration of a thousand colons does not put the beginning of a call at minus infinity."""
    item: Event | None = parse(
        {"Event": "CoreShowChannel", "Uniqueid": "1.1", "Channel": "PJSIP/1-1", "Duration": ":".join("9" * 999)},
        AT,
    )  # fmt: skip
    assert item is not None
    assert getattr(item, "duration", None) == 0.0


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("stamp", ["nan", "inf", "-1", "1e17", ""])
def test_a_ping_answered_with_nonsense_leaves_the_clock_as_it_was(stamp: str) -> None:
    """The PBX's clock is read from the answer to Ping only when there can be such an instant."""
    pipeline = Pipeline()
    before = pipeline.stream.clock
    pipeline.stream.set_clock({"Timestamp": stamp}, pipeline.at)
    assert pipeline.stream.clock == before
