"""Recordings: made, read, replayed (issue 2)."""

import asyncio
import gzip
import json
import statistics
from collections.abc import Mapping
from pathlib import Path

import pytest

from cti.core.events import LinkLost, Resynced
from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.errors import LinkDown, LoginRefused, RecordingError
from cti.daemon.inbox import Arrival
from cti.daemon.recorder import RecordingSummary, arrivals, read_recording, record
from tests.daemon.doors import SECRETS, door, whats

HANGUP = {"Event": "Hangup", "Timestamp": "1700000000.5", "Uniqueid": "1.1", "CallerIDName": "王小明"}


def quiet(_: RecordingSummary) -> None:
    """Progress nobody looks at."""


async def recorded(out: Path, pbx: EmbeddedPbx, events: int = 3) -> RecordingSummary:
    """Record this PBX while it sends some events, until it cuts the link."""
    task = asyncio.create_task(record("127.0.0.1", pbx.port, "reader", SECRETS["reader"], out, None, quiet))
    async with asyncio.timeout(20):
        while not any(action["Action"] == "QueueStatus" for action in pbx.actions):  # noqa: ASYNC110 - the other side has no event
            await asyncio.sleep(0.005)
    for number in range(events):
        pbx.send({**HANGUP, "Uniqueid": f"1.{number}"})
        pbx.send({"Event": "VarSet", "Variable": "nobody reads it"})
        await asyncio.sleep(0.01)
    pbx.cut()
    return await task


@pytest.mark.parametrize("name", ["a.ami", "a.ami.gz"])
async def test_what_was_recorded_is_read_back_byte_by_byte(tmp_path: Path, name: str) -> None:
    """The file begins with the greeting, holds every byte in order with growing offsets, and says what it is."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        summary = await recorded(tmp_path / name, pbx)
    recording = read_recording(tmp_path / name)
    chunks = list(recording)
    assert recording.header["pbx"] == summary.pbx == "22.0.0-embedded"
    data = b"".join(chunk for _, chunk in chunks)
    assert data.startswith(b"Asterisk Call Manager/")
    assert data.count(b"Event: Hangup") == data.count(b"Event: VarSet") == summary.events == 3
    assert (summary.bytes, summary.reads) == (len(data), len(chunks))
    offsets = [offset for offset, _ in chunks]
    assert offsets == sorted(offsets)
    assert summary.ended == "the PBX closed the connection"
    assert list(recording) == chunks


async def test_no_secret_is_in_a_recording_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        await recorded(tmp_path / "a.ami", pbx)
    text = (tmp_path / "a.ami").read_bytes()
    assert SECRETS["reader"].encode() not in text
    assert b"Key:" not in text
    assert (tmp_path / "a.ami").stat().st_mode & 0o077 == 0


async def test_a_recording_ends_when_its_time_is_up(tmp_path: Path) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        summary = await record(
            "127.0.0.1", pbx.port, "reader", SECRETS["reader"], tmp_path / "a.ami", 0.05, quiet
        )
    assert summary.ended == "the time is up"
    assert [type(a.what) for a in arrivals(read_recording(tmp_path / "a.ami"), "main")] == [Resynced]


async def test_a_recording_that_is_broken_off_is_whole_so_far(tmp_path: Path) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        task = asyncio.create_task(
            record("127.0.0.1", pbx.port, "reader", SECRETS["reader"], tmp_path / "a.ami.gz", None, quiet)
        )
        async with asyncio.timeout(20):
            while len(pbx.actions) < 5:  # noqa: ASYNC110 - the other side has no event
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [type(a.what) for a in arrivals(read_recording(tmp_path / "a.ami.gz"), "main")] == [Resynced]


async def test_what_cannot_be_recorded_says_why_and_leaves_no_file(tmp_path: Path) -> None:
    out = tmp_path / "a.ami"
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        with pytest.raises(LoginRefused, match="account 'reader'"):
            await record("127.0.0.1", pbx.port, "reader", "wrong", out, 1.0, quiet)
        port = pbx.port
    with pytest.raises(LinkDown, match="no connection"):
        await record("127.0.0.1", port, "reader", "x", out, 1.0, quiet)
    assert not out.exists()
    out.write_text("precious")
    with pytest.raises(RecordingError, match="exists"):
        await record("127.0.0.1", port, "reader", "x", out, 1.0, quiet)
    assert out.read_text() == "precious"


async def test_replay_gives_what_the_live_door_gave(tmp_path: Path) -> None:
    """A live door and a replay of what was recorded beside it see the same arrivals, value by value."""
    async with EmbeddedPbx(secrets=SECRETS) as source:
        await recorded(tmp_path / "source.ami", source, events=20)
    played = read_recording(tmp_path / "source.ami")
    async with EmbeddedPbx(played, secrets=SECRETS) as pbx, door(pbx.port) as live:
        got = await whats(live, lambda got: len(got) == 21)
    async with EmbeddedPbx(played, secrets=SECRETS) as again:
        out = tmp_path / "again.ami"
        task = asyncio.create_task(
            record("127.0.0.1", again.port, "reader", SECRETS["reader"], out, None, quiet)
        )
        async with asyncio.timeout(20):
            await again.played.wait()
        await asyncio.sleep(0.05)
        again.cut()
        await task
    replayed = [arrival.what for arrival in arrivals(read_recording(out), "main")]
    assert [steady(what) for what in replayed] == [steady(what) for what in got]


def steady(what: object) -> object:
    """A value without the instants, which differ from run to run."""
    if isinstance(what, Resynced):
        return (what.channels, what.queues, what.members, what.waiting)
    assert isinstance(what, Mapping)
    return {name: value for name, value in what.items() if name != "Timestamp"}


async def test_a_tapped_door_and_its_replay_agree_to_the_last_value(tmp_path: Path) -> None:
    """The same bytes give equal messages and equal state, instants on the PBX's clock included."""
    live: list[Arrival] = []
    out = tmp_path / "a.ami"
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        from cti.daemon import recorder  # noqa: PLC0415 - its writer is tapped here

        count = recorder._Writer.count

        def keep(writer: recorder._Writer, arrival: Arrival) -> bool:
            live.append(arrival)
            return count(writer, arrival)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recorder._Writer, "count", keep)
            await recorded(out, pbx)
    replayed = list(arrivals(read_recording(out), "recording"))
    assert [a.what for a in replayed] == [a.what for a in live if not isinstance(a.what, LinkLost)]
    apart = [abs(one.at - other.at) for one, other in zip(replayed, live, strict=False)]
    assert statistics.median(apart) < 0.05  # the machine may stand still between two readings of the clock


async def test_replaying_twice_is_the_same(tmp_path: Path) -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        await recorded(tmp_path / "a.ami", pbx)
    recording = read_recording(tmp_path / "a.ami")
    assert list(arrivals(recording, "main")) == list(arrivals(recording, "main"))


@pytest.mark.parametrize("name", ["a.ami", "a.ami.gz"])
async def test_a_file_cut_short_anywhere_is_read_to_its_last_whole_record(tmp_path: Path, name: str) -> None:
    """Power lost, disk full: no error, never half a record, and it is known that something is missing."""
    async with EmbeddedPbx(secrets=SECRETS) as pbx:
        await recorded(tmp_path / name, pbx)
    whole = (tmp_path / name).read_bytes()
    whole_one = read_recording(tmp_path / name)
    chunks = list(whole_one)
    head = len(whole) // 2 if name.endswith("gz") else whole.index(b"\n") + 1
    borders = {head}  # an uncompressed file cut between two records cannot be told from a whole one
    for offset, data in () if name.endswith("gz") else chunks:
        borders.add(max(borders) + len(b"%.6f %d\n%b\n" % (offset, len(data), data)))
    borders -= {head} if name.endswith("gz") else set()
    cut = tmp_path / f"cut-{name}"
    for length in range(head, len(whole), 7):
        cut.write_bytes(whole[:length])
        try:
            got = list(recording := read_recording(cut))
        except RecordingError as error:
            assert name.endswith("gz")
            assert "damaged" in str(error)  # noqa: PT017 - compressed, its first line may be cut off
            continue
        assert got == chunks[: len(got)]
        assert recording.cut_short == (length not in borders)
    assert not whole_one.cut_short


def test_what_is_no_recording_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.ami"
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(path)
    for text in [
        "",
        "hello",
        "{}",
        "[]",
        '{"format": "cti-recording", "version": 1, "recorded_at": "yesterday"}',
    ]:
        path.write_text(text)
        with pytest.raises(RecordingError, match="is no recording"):
            read_recording(path)
    header = {"format": "cti-recording", "version": 2, "recorded_at": "2026-03-01T08:00:00Z"}
    path.write_text(json.dumps(header))
    with pytest.raises(RecordingError, match="version 2"):
        read_recording(path)
    path.write_text(json.dumps({**header, "version": 1}) + "\n0.0 many\nbytes")
    with pytest.raises(RecordingError, match="damaged"):
        list(read_recording(path))
    packed = tmp_path / "x.gz"
    packed.write_bytes(gzip.compress(b"x")[:4] + b"garbage")
    with pytest.raises(RecordingError):
        read_recording(packed)
