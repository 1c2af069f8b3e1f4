"""In step with the PBX: lists and live events to arrivals, without any socket (A1)."""

from collections.abc import Iterator, Mapping

import pytest

from cti.core.events import BridgeSeen, CallerSeen, Event, LinkLost, Resynced
from cti.core.wire import Message
from cti.daemon.inbox import Arrival
from cti.daemon.resync import STEPS, Mode, Stream, booted_at, round_of_actions

AT = 1_700_000_000.0
CLOCK = AT + 5.25  # the PBX's clock is ahead
BOOT = 1_699_999_000  # 2023-11-14 21:56:40 UTC


def frame(**headers: str) -> bytes:
    return "\r\n".join(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()).encode()


def hangup(number: int) -> bytes:
    return frame(Event="Hangup", Timestamp=f"{CLOCK + number}", Uniqueid=f"u{number}", Cause="16")


def answers(number: int = 1, entries: int = 1) -> Iterator[bytes]:
    ids = {step: f"cti-resync-{number}-{step}" for step in STEPS}
    yield frame(Response="Success", ActionID=ids["Ping"], Ping="Pong", Timestamp=f"{CLOCK:.6f}")
    yield frame(Response="Success", ActionID=ids["CoreSettings"], AsteriskVersion="22.10.1")
    yield frame(
        Response="Success",
        ActionID=ids["CoreStatus"],
        CoreStartupDate="2023-11-15",
        CoreStartupTime="05:56:40",
    )
    yield frame(Response="Success", ActionID=ids["CoreShowChannels"], EventList="start")
    yield frame(
        Event="CoreShowChannel",
        ActionID=ids["CoreShowChannels"],
        Uniqueid="u7",
        Channel="PJSIP/1001-00000001",
        Duration="00:01:05",
    )
    yield frame(Event="CoreShowChannelsComplete", ActionID=ids["CoreShowChannels"], EventList="Complete")
    yield frame(Response="Success", ActionID=ids["QueueStatus"], EventList="start")
    yield frame(Event="QueueParams", ActionID=ids["QueueStatus"], Queue="sales", Max="0", Strategy="ringall")
    yield frame(
        Event="QueueMember", ActionID=ids["QueueStatus"], Queue="sales", Name="2001", Location="PJSIP/1001"
    )
    for position in range(entries):
        yield frame(
            Event="QueueEntry",
            ActionID=ids["QueueStatus"],
            Queue="sales",
            Uniqueid=f"w{position}",
            Position=f"{position + 1}",
            Wait="12",
        )
    yield frame(Event="QueueStatusComplete", ActionID=ids["QueueStatus"], EventList="Complete")


BOOTED = frame(Event="FullyBooted", Uptime=f"{int(CLOCK - BOOT)}", Status="Fully Booted")


class Taken:
    """A stream and what came out of it."""

    def __init__(self, size: int = 1_000, hold: int = 100) -> None:
        self.size = size
        self.out: list[Message | Event] = []
        self.stream = Stream("main", self.put, hold)

    def put(self, arrival: Arrival) -> bool:
        if len(self.out) >= self.size and not isinstance(arrival.what, LinkLost):
            return False
        self.out.append(arrival.what)
        return True

    def feed(self, *frames: bytes) -> None:
        for one in frames:
            assert self.stream.take(one, AT, 1.0) is None

    @property
    def names(self) -> list[str]:
        return [what["Uniqueid"] if isinstance(what, Mapping) else type(what).__name__ for what in self.out]


def test_live_events_wait_for_the_state_and_then_follow_in_order() -> None:
    """Events that arrive amid the lists come after the one Resynced, in their order; nothing is lost."""
    taken = Taken()
    taken.feed(BOOTED)
    for number, one in enumerate(answers()):
        taken.feed(hangup(number), one)
    taken.feed(hangup(99))
    assert taken.names == ["Resynced", *(f"u{n}" for n in range(len(list(answers())))), "u99"]


def test_the_state_is_told_on_the_pbxs_clock() -> None:
    """Resynced carries the instant of the PBX's clock, and when it booted, whatever zone it writes times in."""
    taken = Taken()
    taken.feed(BOOTED, *answers(entries=2))
    (state,) = taken.out
    assert isinstance(state, Resynced)
    assert state.at == CLOCK
    assert state.booted_at == BOOT
    assert [channel.duration for channel in state.channels] == [65.0]
    assert [queue.queue for queue in state.queues] == ["sales"]
    assert [(member.member, member.interface) for member in state.members] == [("2001", "PJSIP/1001")]
    assert state.waiting == (
        CallerSeen(CLOCK, "sales", "w0", 1, 12.0),
        CallerSeen(CLOCK, "sales", "w1", 2, 12.0),
    )
    assert taken.stream.clock == pytest.approx(5.25)
    assert taken.stream.version == "22.10.1"


@pytest.mark.parametrize("zone_hours", [0, 8, -3.5, 5.75, 12.75, -11])
@pytest.mark.parametrize("wrong_by", [-1.4, 0.0, 1.4, 200.0])
def test_the_boot_instant_is_exact_whatever_the_zone(zone_hours: float, wrong_by: float) -> None:
    """Two logins to the same Asterisk give the same second, though Uptime is rounded and the zone unknown."""
    local = BOOT + round(zone_hours * 3600)
    core = {
        "CoreStartupDate": "2023-11-15",
        "CoreStartupTime": f"{local // 3600 % 24:02}:{local // 60 % 60:02}:{local % 60:02}",
    }
    assert booted_at(core, BOOT + wrong_by) == BOOT


def test_an_unreadable_boot_instant_is_unknown_not_wrong() -> None:
    assert booted_at({}, None) == 0.0
    assert booted_at({"CoreStartupDate": "x", "CoreStartupTime": "y"}, 12.0) == 12.0


def test_a_list_item_that_makes_no_sense_is_counted_and_the_rest_taken() -> None:
    taken = Taken()
    taken.feed(BOOTED)
    frames = list(answers())
    frames.insert(
        4, frame(Event="CoreShowChannel", ActionID="cti-resync-1-CoreShowChannels", Channel="no id")
    )
    taken.feed(*frames)
    assert taken.stream.unusable == 1
    assert isinstance(taken.out[0], Resynced)
    assert len(taken.out[0].channels) == 1


def test_overflow_makes_the_data_gapped_and_another_round_mends_it() -> None:
    """What does not fit is not silently missing: LinkLost, then nothing until the state is read again."""
    taken = Taken(size=3)
    taken.feed(BOOTED, *answers(1), hangup(1), hangup(2), hangup(3), hangup(4))
    assert taken.names == ["Resynced", "u1", "u2", "LinkLost"]
    assert taken.stream.mode is Mode.GAPPED
    assert taken.stream.wants_resync
    assert taken.stream.missed == 2
    taken.size = 100
    taken.feed(hangup(5), *answers(2), hangup(6))
    assert taken.names[4:] == ["Resynced", "u6"]
    assert taken.stream.missed == 3


def test_too_many_events_while_the_state_is_read_are_a_gap() -> None:
    taken = Taken(hold=2)
    taken.feed(BOOTED, *[hangup(n) for n in range(4)])
    assert taken.names == ["LinkLost"]
    assert taken.stream.missed == 4
    taken.feed(*answers(2))
    assert taken.names == ["LinkLost", "Resynced"]


def test_a_lost_link_is_told_once() -> None:
    """However often the reconnect fails, the link was lost once; `at` is on the PBX's clock."""
    taken = Taken()
    taken.feed(BOOTED, *answers())
    for _ in range(3):
        taken.stream.disconnected(AT + 60, 61.0, "the PBX closed the connection")
        taken.stream.connected()
    assert taken.out[1:] == [LinkLost(CLOCK + 60, "the PBX closed the connection")]


def test_a_pbx_that_was_still_starting_is_asked_again() -> None:
    """FullyBooted after the round: the lists came from a PBX that had not loaded its queues yet."""
    taken = Taken()
    taken.feed(*answers())
    assert not taken.stream.wants_resync
    taken.feed(BOOTED)
    assert taken.stream.wants_resync


def test_a_pbx_without_queues_is_in_step_and_one_that_denies_is_not() -> None:
    taken = Taken()
    frames = [one for one in answers() if b"-QueueStatus" not in one]
    taken.feed(
        BOOTED,
        *frames,
        frame(
            Response="Error",
            ActionID="cti-resync-1-QueueStatus",
            Message="Invalid/unknown command: QueueStatus.",
        ),
    )
    assert taken.names == ["Resynced"]
    denied = Taken()
    denied.feed(
        frame(Response="Error", ActionID="cti-resync-1-CoreShowChannels", Message="Permission denied")
    )
    assert denied.stream.refused == "CoreShowChannels: Permission denied"


def test_bridges_are_listed_where_the_pbx_says_them() -> None:
    """B1: kinds of bridges come with the state; a PBX that refuses to list them is in step all the same."""
    told, ids = Taken(), {"ActionID": "cti-resync-1-BridgeList"}
    ping, *rest = answers()
    told.feed(
        BOOTED,
        ping,
        frame(Response="Success", EventList="start", **ids),
        frame(
            Event="BridgeListItem", BridgeUniqueid="b1", BridgeType="base", BridgeTechnology="softmix", **ids
        ),
        frame(Event="BridgeListComplete", EventList="Complete", ListItems="1", **ids),
        *rest,
    )
    refused = Taken()
    refused.feed(BOOTED, ping, frame(Response="Error", Message="Permission denied", **ids), *rest)
    (state,), (without,) = told.out, refused.out
    assert isinstance(state, Resynced)
    assert isinstance(without, Resynced)
    assert state.bridges == (BridgeSeen(CLOCK, "b1", "base", "softmix"),)
    assert without.bridges is None


def test_what_nobody_consumes_is_dropped_and_answers_to_others_are_handed_back() -> None:
    taken = Taken()
    assert taken.stream.take(b"Event: VarSet\r\nVariable: x", AT, 1.0) is None
    mine = taken.stream.take(b"Response: Success\r\nActionID: cti-reader-4", AT, 1.0)
    assert mine == {"Response": "Success", "ActionID": "cti-reader-4"}
    assert taken.out == []


def test_every_round_has_its_own_ids() -> None:
    ids = [action["ActionID"] for number in (1, 2) for action in round_of_actions(number)]
    assert len(set(ids)) == len(ids)
    assert ids[0] == "cti-resync-1-Ping"
