"""The link to the PBX is cut, and is black-holed for half a minute, under load (A1, A3).

Promised: a cut is noticed at once, a black hole after twice the keepalive (here 3 s); the fault begins at the last sign
of life and ends when the daemon is in step again; nothing is asked twice, no call is lost that was seen to begin or that
still lives; readiness is red meanwhile.

Asserted: as in `tests.chaos.traffic`, and faults to the second.
"""

import asyncio

from tests.chaos.conftest import Site, epoch
from tests.chaos.traffic import Blind, Traffic, faults, judge, now
from tests.rig import Rig

SEED, KEEPALIVE, HOLE = 21, 3.0, 30.0


async def _ready(rig: Rig) -> bool:
    async with rig.session.get("/readyz") as answer:
        return bool(answer.status == 200)


async def test_a_cut_link_and_a_black_hole_lose_no_call(site: Site) -> None:
    """A1, A3: cut for three seconds, whole again, then silent for thirty with its connections open."""
    rig, blind = await site.rig(), Blind()
    async with rig:
        await rig.logged("published", timeout=20)
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED, rate=2.5) as traffic:
            await traffic.placed(8)
            cut = now()
            mark = len(rig.lines)
            site.link.refusing = True
            site.link.cut()
            await rig.logged("link_down", since=mark, timeout=2, role="reader")
            assert not await _ready(rig)
            await asyncio.sleep(3)
            site.link.refusing = False
            await rig.logged("link_up", since=mark, timeout=15, role="reader")
            blind.times.append((cut, now()))
            await traffic.placed(8)
            mark = len(rig.lines)
            hole = now()
            site.link.swallowing = True
            await rig.logged("link_down", since=mark, timeout=2 * KEEPALIVE + 2, role="reader")
            noticed = now()
            assert not await _ready(rig)
            await asyncio.sleep(hole + HOLE - now())
            site.link.swallowing = False
            site.link.cut()  # what was swallowed is gone: no connection survives such a hole in its bytes
            await rig.logged("link_up", since=mark, timeout=40, role="reader")
            back = now()
            blind.times.append((hole, back))
            await traffic.placed(8)

        await site.settled(rig)
        rows = await faults(rig, "link")
        assert len(rows) == 2, rows
        assert abs(epoch(rows[0]["began_at"]) - cut) < 0.5
        assert abs(epoch(rows[1]["began_at"]) - hole) < 1.5, "not the last sign of life"
        assert KEEPALIVE < noticed - hole < 2 * KEEPALIVE + 1.5
        assert abs(epoch(rows[1]["ended_at"]) - back) < 1
        assert await faults(rig, "pbx_restart") == []
        await rig.eventually(
            lambda: _ready(rig), timeout=35
        )  # the other two accounts come back by themselves
    verdict = await judge(rig, site.lab.pbx, traffic, since, blind)
    assert verdict.breaches == [], verdict
    print(verdict)
