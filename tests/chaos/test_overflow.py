"""A tiny inbox overflows (A1).

Promised: what does not fit is counted, the data is marked as gapped, readiness is red until a resync has healed it, and
begin and end are a fault on record.

Asserted: on the real Asterisk by stopping the daemon for three seconds under load (its events then come in one read),
and on the embedded PBX, whose resync can be held up, for the readiness in between.
"""

import asyncio
import os
import signal
from pathlib import Path

from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import read_recording
from tests.chaos.conftest import Site
from tests.chaos.traffic import Blind, Traffic, faults, judge, now
from tests.fuzz.mutator import RECORDING
from tests.rig import Rig

SEED, STOPPED = 41, 3.5


async def test_a_stalled_daemon_overflows_and_heals(site: Site) -> None:
    """A1: counted, a fault with begin and end, every call on record, those that were touched marked as gapped."""
    rig = await site.rig(pbx_settings='keepalive = "3s"\ninbox_size = 100')
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED, rate=4) as traffic:
            await traffic.placed(8)
            stopped = now()
            os.kill(rig.pid, signal.SIGSTOP)
            await asyncio.gather(traffic.placed(10), asyncio.sleep(STOPPED))
            os.kill(rig.pid, signal.SIGCONT)

            async def healed() -> bool:
                rows = await faults(rig, "overflow")
                return bool(rows) and all(row["ended_at"] is not None for row in rows)

            await rig.eventually(healed)
            blind = Blind([(stopped, now())])
            assert await rig.metric("cti_ami_events_dropped_total", pbx="main") > 0
            gapped = await rig.items("/api/v1/calls", quality="gapped")
            assert gapped
            await traffic.placed(8)

        await site.settled(rig)
    verdict = await judge(rig, site.lab.pbx, traffic, since, blind)
    assert verdict.breaches == [], verdict
    print(verdict)


async def test_readiness_is_red_while_events_are_missing(tmp_path: Path) -> None:
    """A1: after a flood that did not fit, readiness says so until the state has been read again."""
    async with EmbeddedPbx(read_recording(RECORDING), speed=1000.0) as pbx:
        rig = Rig(tmp_path / "cti", pbx.port, pbx_settings="inbox_size = 100")
        async with rig:
            await asyncio.wait_for(pbx.played.wait(), 40)

            async def status() -> int:
                async with rig.session.get("/readyz") as answer:
                    return int(answer.status)

            async def ready() -> bool:
                return await status() == 200

            async def red() -> bool:
                return await status() == 503

            await rig.eventually(ready)
            pbx.unanswered.add("Ping")
            flood = b"\r\n\r\n".join([b"Event: Newstate\r\nUniqueid: 1.1\r\nChannelState: 4"] * 2_000)
            pbx.send(flood)
            await rig.eventually(red)
            assert await rig.metric("cti_ami_events_dropped_total", pbx="main") > 1_000
            pbx.unanswered.clear()
            pbx.cut()
            await rig.eventually(ready)
