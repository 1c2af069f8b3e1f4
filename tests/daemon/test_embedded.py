"""The embedded PBX plays a recording through the real door (issue 2)."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path

from cti.core.events import ChannelSeen, MemberSeen, Resynced
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import Recording, read_recording
from tests.daemon.doors import SECRETS, door, kinds, whats

RECORDED = 1_700_000_000.0

FRAMES = [
    (0.0, "Response: Success\r\nActionID: cti-recorder-2\r\nMessage: Authentication accepted"),
    (0.0, "Event: FullyBooted\r\nUptime: 3600\r\nStatus: Fully Booted"),
    (0.1, "Response: Success\r\nActionID: cti-resync-1-Ping\r\nPing: Pong\r\nTimestamp: 1700000000.250000"),
    (0.1, "Response: Success\r\nActionID: cti-resync-1-CoreSettings\r\nAsteriskVersion: 22.10.1"),
    (
        0.1,
        "Response: Success\r\nActionID: cti-resync-1-CoreStatus\r\nCoreStartupDate: 2023-11-14\r\nCoreStartupTime: 21:13:20",
    ),
    (0.1, "Response: Success\r\nActionID: cti-resync-1-CoreShowChannels\r\nEventList: start"),
    (
        0.1,
        "Event: CoreShowChannel\r\nActionID: cti-resync-1-CoreShowChannels\r\nUniqueid: 1.1\r\nChannel: PJSIP/9-1",
    ),
    (
        0.1,
        "Event: CoreShowChannelsComplete\r\nActionID: cti-resync-1-CoreShowChannels\r\nEventList: Complete",
    ),
    (0.1, "Response: Success\r\nActionID: cti-resync-1-QueueStatus\r\nEventList: start"),
    (
        0.1,
        (
            "Event: QueueMember\r\nActionID: cti-resync-1-QueueStatus\r\nQueue: q\r\nName: 2001\r\nLocation: PJSIP/1\r\n"
            "LoginTime: 1699999990\r\nLastPause: 0"
        ),
    ),
    (0.1, "Event: QueueStatusComplete\r\nActionID: cti-resync-1-QueueStatus\r\nEventList: Complete"),
    (0.2, "Event: Hangup\r\nTimestamp: 1700000000.350000\r\nUniqueid: 1.1"),
    (
        0.5,
        "Event: QueueMemberPause\r\nTimestamp: 1700000000.650000\r\nQueue: q\r\nInterface: i\r\nLastPause: 1700000000",
    ),
]


def recording(path: Path, slower: float = 1.0) -> Recording:
    header = {
        "format": "cti-recording",
        "version": 1,
        "pbx": "22.10.1",
        "recorded_at": "2023-11-14T22:13:20Z",
    }
    with path.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        for offset, frame in FRAMES:
            data = frame.encode() + b"\r\n\r\n"
            file.write(f"{offset * slower:.6f} {len(data)}\n".encode() + data + b"\n")
    return read_recording(path)


async def test_a_recording_is_played_with_its_state_and_its_timing_moved_to_now(tmp_path: Path) -> None:
    """Recorded answers, then recorded events 0.1 s and 0.4 s later; every instant is now, not then."""
    began = time.time()
    async with EmbeddedPbx(recording(tmp_path / "r.ami"), secrets=SECRETS) as pbx, door(pbx.port) as cti:
        got = await whats(cti, lambda got: len(got) == 3)
        took = time.time() - began
    state, hangup, pause = got
    assert isinstance(state, Resynced)
    assert [type(item) for item in (*state.channels, *state.members)] == [ChannelSeen, MemberSeen]
    assert began - 0.25 <= state.at <= began + took
    assert began - 3602 <= state.booted_at <= began + took - 3598
    assert began - 12 <= state.members[0].login_time <= began + took - 8
    assert state.members[0].last_pause == 0
    assert isinstance(hangup, Mapping)
    assert isinstance(pause, Mapping)
    assert abs(float(pause["Timestamp"]) - float(hangup["Timestamp"]) - 0.3) < 0.001
    assert began + 0.1 - 0.25 <= float(hangup["Timestamp"]) <= began + took
    assert began - 2 <= float(pause["LastPause"]) <= began + took + 2
    assert took > 0.3
    assert cti.stream.version == "22.10.1"


async def test_it_plays_faster_when_asked(tmp_path: Path) -> None:
    """Forty seconds go by in a moment."""
    async with (
        EmbeddedPbx(recording(tmp_path / "r.ami", slower=100.0), speed=1000.0) as pbx,
        door(pbx.port) as cti,
        asyncio.timeout(20),
    ):
        got = await whats(cti, lambda got: len(got) == 3)
        await pbx.played.wait()
    assert kinds(got) == ["Resynced", "Hangup", "QueueMemberPause"]


async def test_astdb_and_queue_actions_are_answered_as_asterisk_does() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        await cti.action(
            "publisher", {"Action": "DBPut", "Family": "cti-duty/h", "Key": "20260301", "Val": "1|x"}
        )
        rows = await cti.listing(
            "reader", {"Action": "DBGetTree", "Family": "cti-duty"}, {"DBGetTreeResponse"}
        )
        assert [(row["Key"], row["Val"]) for row in rows] == [("/cti-duty/h/20260301", "1|x")]
        one = {"Action": "DBGet", "Family": "cti-duty/h", "Key": "20260301"}
        assert (await cti.listing("reader", one, {"DBGetResponse"}))[0]["Val"] == "1|x"
        await cti.action("publisher", {"Action": "DBDel", "Family": "cti-duty/h", "Key": "20260301"})
        assert pbx.db == {"cti-duty/h": {}}
        paused = await cti.action("actor", {"Action": "QueuePause", "Interface": "i", "Paused": "true"})
        assert paused["Message"] == "Interface paused successfully"


async def test_a_restart_is_a_new_boot(tmp_path: Path) -> None:
    """It can be stopped and started on the same port, as a PBX is."""
    pbx = EmbeddedPbx(recording(tmp_path / "r.ami"), secrets=SECRETS)
    await pbx.start()
    async with door(pbx.port) as cti:
        await pbx.stop()
        await whats(cti, lambda got: "LinkLost" in kinds(got))
        await pbx.start()
        assert "Resynced" in kinds(await whats(cti, lambda got: "Resynced" in kinds(got)))
        await pbx.stop()
