"""Reads are gathered while a PBX is busy, and never while it is not (A1)."""

import asyncio

from cti.daemon.gather import PAUSE
from tests.daemon.doors import SECRETS, EmbeddedPbx, door, whats


class Watched:
    """Stands between the door's protocol and its gathering, and keeps the frames of each read."""

    def __init__(self, protocol: object) -> None:
        self.reads: list[int] = []
        self._inner = protocol.gather  # type: ignore[attr-defined]  # the door's own protocol
        self.transport: asyncio.ReadTransport = protocol.transport  # type: ignore[attr-defined]
        protocol.gather = self  # type: ignore[attr-defined]

    def after(self, transport: asyncio.ReadTransport, size: int, frames: int, mono: float) -> None:
        self.reads.append(frames)
        self._inner.after(transport, size, frames, mono)

    def gathering(self) -> bool:
        return bool(self._inner.gathering)


def hangup(number: int) -> dict[str, str]:
    return {"Event": "Hangup", "Timestamp": f"{1700000000 + number}.5", "Uniqueid": f"1.{number}"}


async def say(pbx: EmbeddedPbx, count: int) -> None:
    for number in range(count):
        pbx.send(hangup(number))
        await asyncio.sleep(0)  # the door gets its turn: a segment of its own


async def test_reads_are_gathered_under_load_and_nothing_is_lost_or_reordered() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        watched = Watched(cti.links["reader"]._wire)
        await say(pbx, 400)
        got = await whats(cti, lambda got: len(got) == 401)
        assert [what["Uniqueid"] for what in got[1:]] == [f"1.{n}" for n in range(400)]  # type: ignore[index]
        assert watched.gathering()
        assert len(watched.reads) < 200, "400 events in segments of their own take far fewer reads"


async def test_a_burst_of_one_call_and_what_comes_after_the_load_are_not_kept_waiting() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        watched = Watched(cti.links["reader"]._wire)
        await say(pbx, 25)
        assert not watched.gathering()
        await say(pbx, 200)
        assert watched.gathering()
        await asyncio.sleep(2 * PAUSE)
        pbx.send(hangup(1))  # alone in its pause, so the load is over
        await asyncio.sleep(2 * PAUSE)
        assert not watched.gathering()
        assert watched.transport.is_reading()


async def test_a_link_cut_during_a_pause_is_noticed() -> None:
    async with EmbeddedPbx(secrets=SECRETS) as pbx, door(pbx.port) as cti:
        watched = Watched(cti.links["reader"]._wire)
        await say(pbx, 100)
        assert watched.gathering()
        pbx.cut()
        await whats(cti, lambda got: bool(got) and type(got[-1]).__name__ == "LinkLost")
