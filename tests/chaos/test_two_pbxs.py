"""Two PBXs in one daemon, one of them flapping (A2).

Promised: everything is keyed by PBX; a PBX that comes and goes, floods and sends garbage never disturbs the other.

Asserted: the records of the healthy, real one agree with its books without any blind time, no fault names it, and what
happens on it is shown within half a second (as a rule: the median) all the while; the flapping one's faults are on record.
"""

import asyncio
import statistics

from cti.daemon.embedded import EmbeddedPbx
from cti.daemon.recorder import read_recording
from tests.chaos.conftest import PBX_SETTINGS, Site
from tests.chaos.traffic import Traffic, faults, judge, now
from tests.fuzz.mutator import RECORDING, corpus
from tests.pbx.amiclient import AmiError
from tests.pbx.asterisk import ACTOR, PUBLISHER, READER
from tests.rig import Rig, RigError

SEED, SHOWN = 51, 0.5


def _flapping(port: int) -> str:
    accounts = "".join(
        f'[pbx.flap.{role}]\nuser = "{user}"\nsecret_file = "secrets/{role}"\n'
        for role, (user, _) in (("reader", READER), ("actor", ACTOR), ("publisher", PUBLISHER))
    )
    return f'[pbx.flap]\nhost = "127.0.0.1"\nport = {port}\nkeepalive = "1s"\n{accounts}'


async def _flap(pbx: EmbeddedPbx) -> None:
    """Up for a moment, with a flood of what it is good for and not, then gone or dumb."""
    turn = 0
    while True:
        await asyncio.sleep(0.6)
        if any(session.events for session in pbx.sessions):
            turn += 1
            pbx.send(b"\r\n\r\n".join(corpus()[:1_500]))
            pbx.send(b"Event: Hangup\r\nUniqueid: \xff\xfe\r\nTimestamp: nan")
            await asyncio.sleep(0.2)
            pbx.cut()


async def test_a_flapping_pbx_never_disturbs_the_other(site: Site) -> None:
    """A2: records, latency and faults of the healthy PBX are as if the other were not there."""
    async with EmbeddedPbx(read_recording(RECORDING), speed=1.0) as other:
        rig = await site.rig(settings=_flapping(other.port), pbx_settings=PBX_SETTINGS)
        async with rig:
            await rig.logged("published", pbx="main")
            await site.open()
            flapping = asyncio.create_task(_flap(other))
            since = now()
            async with Traffic(site.phones, seed=SEED, rate=2.5) as traffic:
                shown = [await _shown_within(site, rig, f"1390000{number:04}") for number in range(12)]
                await traffic.placed(5)
            flapping.cancel()

            await site.settled(rig)
            assert statistics.median(shown) < SHOWN, shown  # the machine itself may stand still now and then
            rows = await rig.items("/api/v1/faults")
            assert {row["pbx"] for row in rows} == {"flap"}
            assert len(await faults(rig, "link", pbx="flap")) >= 3
        verdict = await judge(rig, site.lab.pbx, traffic, since)
        assert verdict.breaches == [], verdict
        print(verdict, f"slowest shown {max(shown):.2f} s")


async def _shown_within(site: Site, rig: Rig, number: str) -> float:
    """Seconds from an event of the real PBX (the caller's line is gone) to its record in the API."""
    handle = await site.phones.customer_calls("4001", "王伟", number, patience=0.6)
    try:
        await handle.ended()
    except AmiError as error:
        raise RigError(str(error)) from error
    began = now()

    async def over() -> bool:
        found = await rig.items("/api/v1/calls", caller_number=number)
        return bool(found) and found[0]["ended_at"] is not None

    await rig.eventually(over)
    return now() - began
