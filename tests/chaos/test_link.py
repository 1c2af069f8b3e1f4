"""The link to the PBX is cut, and is black-holed for half a minute, under load (A1, A3).

Promised: a cut is noticed at once, a black hole after twice the keepalive (here 3 s); the fault begins at the last sign
of life and ends when the daemon is in step again; nothing is asked twice, no call is lost that was seen to begin or that
still lives; readiness is red meanwhile.

Asserted: as in `tests.chaos.traffic`, and that each begin and end lies between the moments that frame it.
"""

import asyncio

from tests.chaos.conftest import Site, epoch
from tests.chaos.traffic import Blind, Traffic, faults, judge, now
from tests.demo.floor import AGENTS
from tests.rig import Rig

SEED, KEEPALIVE, HOLE = 21, 3.0, 30.0
CLOCKS = 0.25  # s by which two clocks (the PBX's as the daemon knows it, and this test's) may differ
HICCUP = 5.0  # s for which a busy machine may stand still


async def _ready(rig: Rig) -> bool:
    async with rig.session.get("/readyz") as answer:
        return bool(answer.status == 200)


async def _one_incident(rig: Rig) -> bool:
    return [row["result"] for row in await rig.items("/api/v1/incidents")] == ["logged_out"]


async def test_a_cut_link_and_a_black_hole_lose_no_call(site: Site) -> None:
    """A1, A3: cut for three seconds, whole again, then silent for thirty with its connections open."""
    rig, blind = await site.rig(), Blind()
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED, rate=2.5) as traffic:
            await traffic.placed(8)
            cut = now()
            mark = len(rig.lines)
            site.link.refusing = True
            site.link.cut()
            await rig.logged("link_down", since=mark, role="reader")
            cut_noticed = now()
            assert not await _ready(rig)
            await asyncio.sleep(3)
            site.link.refusing = False
            await rig.logged("link_up", since=mark, role="reader")
            blind.times.append((cut, now()))
            await traffic.placed(8)
            mark = len(rig.lines)
            hole = now()
            site.link.swallowing = True
            await rig.logged("link_down", since=mark, role="reader")
            noticed = now()
            assert not await _ready(rig)
            await site.phones.pause(AGENTS["2006"][1], "1")  # and overstays while nobody hears it
            await asyncio.sleep(hole + HOLE - now())
            healed = now()
            site.link.swallowing = False
            site.link.cut()  # what was swallowed is gone: no connection survives such a hole in its bytes
            await rig.logged("link_up", since=mark, timeout=60, role="reader")
            back = now()
            blind.times.append((hole, back))
            await traffic.placed(8)

        await site.settled(rig)
        rows = await faults(rig, "link")
        assert len(rows) == 2, rows
        assert cut - CLOCKS <= epoch(rows[0]["began_at"]) <= cut_noticed + CLOCKS
        began = epoch(rows[1]["began_at"])
        assert hole - KEEPALIVE <= began, "not the last sign of life"
        assert began <= noticed - 2 * KEEPALIVE + CLOCKS, "not the last sign of life"
        assert noticed < hole + 2 * KEEPALIVE + HICCUP
        assert healed - CLOCKS <= epoch(rows[1]["ended_at"]) <= back + CLOCKS
        assert await faults(rig, "pbx_restart") == []
        await rig.eventually(lambda: _one_incident(rig))
        await rig.eventually(lambda: _ready(rig))  # the other two accounts come back by themselves
    verdict = await judge(rig, site.lab.pbx, traffic, since, blind)
    assert verdict.breaches == [], verdict
    print(verdict)
