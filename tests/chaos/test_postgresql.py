"""The whole daemon on PostgreSQL, which crashes under load and comes back (A3, B3).

Promised: by changing one URL everything is as on SQLite; a database that is away delays records and loses none.

Asserted: as in `tests.chaos.test_database`: no blind time at all, an incident among what waits, the fault's begin and end.
"""

import asyncio

from tests.chaos.conftest import Site, epoch
from tests.chaos.test_database import LAG, _green, _one_incident, _red
from tests.chaos.traffic import Traffic, faults, judge, now
from tests.demo.floor import AGENTS
from tests.pg.server import Postgres

SEED = 71


async def test_a_crash_of_postgresql_delays_records_and_loses_none(site: Site, pg_own: Postgres) -> None:
    """A3: people, calls, incidents and work items are there, once, though the server died in mid-traffic."""
    rig = await site.rig(database_url=pg_own.url("postgres"))
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED, rate=2.5) as traffic:
            await traffic.placed(5)
            began = now()
            await asyncio.to_thread(pg_own.stop, at_once=True)
            await site.phones.pause(AGENTS["2006"][1], "1")
            await rig.eventually(lambda: _red(rig))
            await traffic.placed(10)
            await asyncio.to_thread(pg_own.start)
            ended = now()
            await rig.eventually(lambda: _green(rig))
            await traffic.placed(3)
        await rig.eventually(lambda: _one_incident(rig))
        await site.settled(rig)
        rows = await faults(rig, "database")
        assert len(rows) == 1, rows
        assert began - 1 <= epoch(rows[0]["began_at"]) <= ended
        assert began < epoch(rows[0]["ended_at"]) <= ended + LAG
        assert await site.queues_of("2006") == []
    verdict = await judge(rig, site.lab.pbx, traffic, since)
    assert verdict.breaches == [], verdict
    assert verdict.night > 0
    print(verdict)
