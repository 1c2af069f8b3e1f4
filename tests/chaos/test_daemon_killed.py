"""The daemon is killed (-9) at random moments under load (A1, A3, C3, D7).

Promised: any one death loses no call, incident or work item; a call across it keeps its record and says that it has a
gap; the away rule is applied once, whenever the daemon comes back.

Asserted: see `tests.chaos.traffic` for calls and work items; incidents by number and result, membership on the PBX.
"""

import asyncio
import random

from tests.chaos.conftest import Site, epoch
from tests.chaos.traffic import Blind, Traffic, faults, judge, now
from tests.demo.floor import AGENTS
from tests.rig import Line, Rig

KILLS, SEED = 4, 3
HEARTBEAT = 4.0  # s by which the last sign of life may be older than the death, on a busy machine


async def _incidents(rig: Rig) -> list[Line]:
    return [row for row in await rig.items("/api/v1/incidents") if row["kind"] == "away_limit"]


async def test_no_call_is_lost_by_killing_the_daemon_again_and_again(site: Site) -> None:
    """A1: four deaths at seeded random moments of a busy floor; an overstayer meanwhile is reported exactly once."""
    dice, blind = random.Random(SEED), Blind()
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED) as traffic:
            await site.phones.pause(AGENTS["2006"][1], "1")
            for _ in range(KILLS):
                await asyncio.sleep(dice.uniform(0.5, 3))
                killed = now()
                await rig.kill9()
                await asyncio.sleep(dice.uniform(0, 1.5))
                await rig.start()
                blind.times.append((killed, now()))
            await traffic.placed(5)

        async def one_incident() -> bool:
            return [row["result"] for row in await _incidents(rig)] == ["logged_out"]

        await rig.eventually(one_incident)
        await site.settled(rig)
        assert await site.queues_of("2006") == []
        deaths = await faults(rig, "daemon")
        assert len(deaths) == KILLS, deaths
        assert all(
            killed - HEARTBEAT <= epoch(row["began_at"]) < epoch(row["ended_at"]) <= back + HEARTBEAT
            for row, (killed, back) in zip(deaths, blind.times, strict=True)
        ), (deaths, blind.times)
        items = await rig.items("/api/v1/work-items")
        assert "ringing" not in {item["result"] for item in items}
    verdict = await judge(rig, site.lab.pbx, traffic, since, blind)
    assert verdict.breaches == [], verdict
    assert verdict.booked > 20
    print(verdict)


async def test_who_overstayed_while_the_daemon_was_dead_is_dealt_with_once(site: Site) -> None:
    """C3: away over the limit before it comes back: one incident and one logout, and no second after another death."""
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open("2001", "2002")
        await site.phones.pause(AGENTS["2001"][1], "1")

        async def away() -> bool:
            return any(agent["state"] == "away" for agent in (await rig.get("/api/v1/agents"))["items"])

        await rig.eventually(away)
        await rig.kill9()
        await site.phones.pause(AGENTS["2002"][1], "2")  # while nobody looks
        await asyncio.sleep(5)
        await rig.start()

        async def dealt_with() -> bool:
            rows = await _incidents(rig)
            return [row["result"] for row in rows] == ["logged_out"] * 2

        await rig.eventually(dealt_with)
        assert sorted(row["agent"] for row in await _incidents(rig)) == ["2001", "2002"]
        assert await site.queues_of("2001") + await site.queues_of("2002") == []
        await rig.kill9()
        await rig.start()
        await asyncio.sleep(1)
        assert len(await _incidents(rig)) == 2
