"""The database is locked for half a minute, and the disk is full, under load (A3, B3).

Promised: the reader goes on, memory stays bounded, readiness is red and says why, `/metrics` and health still answer;
begin and end are a fault on record; afterwards everything is caught up, and no record, incident or work item is missing.

Asserted: all records agree with the books: there is no blind time here at all.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.chaos.conftest import Site, epoch
from tests.chaos.disk import Disk, small_disk
from tests.chaos.traffic import Blind, Traffic, Verdict, faults, judge, now, resident
from tests.demo.floor import AGENTS
from tests.rig import Rig

SEED, LOCKED, FULL, LAG = 31, 30.0, 8.0, 8.0
GROWTH = 60.0  # MB
ANSWERS = 5.0  # s in which health and metrics answer, however busy the machine


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another process holds the database exclusively (to SQLite every connection is a process)."""
    held = sqlite3.connect(database, isolation_level=None)
    try:
        held.execute("BEGIN EXCLUSIVE")
        yield
        held.execute("ROLLBACK")
    finally:
        held.close()


async def _checks(rig: Rig) -> tuple[int, dict[str, Any]]:
    async with rig.session.get("/readyz") as answer:
        body = await answer.json()
    return answer.status, {check["name"]: check for check in body["checks"]}


async def _red(rig: Rig) -> bool:
    status, checks = await _checks(rig)
    return status == 503 and not checks["database"]["ok"]


async def _green(rig: Rig) -> bool:
    return (await _checks(rig))[0] == 200


async def _watch(rig: Rig, seconds: float) -> float:
    """Let so much time pass; health and metrics answer all the while. The most memory there was, MB."""
    most, until = 0.0, now() + seconds
    while now() < until:
        most = max(most, resident(rig))
        async with asyncio.timeout(ANSWERS), rig.session.get("/healthz") as answer:
            assert answer.status == 200
        async with asyncio.timeout(ANSWERS), rig.session.get("/metrics") as answer:
            assert answer.status == 200
        assert await _red(rig)
        await asyncio.sleep(0.5)
    return most


async def _one_incident(rig: Rig) -> bool:
    return [row["result"] for row in await rig.items("/api/v1/incidents")] == ["logged_out"]


async def test_a_locked_database_delays_records_and_loses_none(site: Site) -> None:
    """A3: thirty seconds without a commit, an incident among what waits; then everything is there, once."""
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open()
        since, before = now(), resident(rig)
        async with Traffic(site.phones, seed=SEED, rate=2.5) as traffic:
            await traffic.placed(5)
            with locked(rig.database):
                began = now()
                await site.phones.pause(AGENTS["2006"][1], "1")
                await rig.eventually(lambda: _red(rig))
                most = await _watch(rig, began + LOCKED - now())
            ended = now()
            await rig.eventually(lambda: _green(rig))
            await traffic.placed(5)
        await rig.eventually(lambda: _one_incident(rig))
        await site.settled(rig)
        assert most - before < GROWTH
        rows = await faults(rig, "database")
        assert len(rows) == 1, rows
        assert began - 1 <= epoch(rows[0]["began_at"]) <= began + LAG
        assert ended - 0.1 <= epoch(rows[0]["ended_at"]) <= ended + LAG
    verdict = await judge(rig, site.lab.pbx, traffic, since)
    assert verdict.breaches == [], verdict
    assert verdict.booked > 50
    print(verdict)


async def test_a_full_disk_delays_records_and_loses_none(site: Site) -> None:
    """A3: nothing can be written for eight seconds, an incident among what waits; then everything is there, once."""
    async with small_disk(site.directory / "cti" / "var") as disk:
        rig = await site.rig(disk=disk)
        verdict = await _on_a_full_disk(site, rig, disk)
        print(f"really full: {disk.real}", verdict)
        assert verdict.breaches == [], verdict


async def _on_a_full_disk(site: Site, rig: Rig, disk: Disk) -> Verdict:
    async with rig:
        await rig.logged("published")
        await site.open()
        since, before = now(), resident(rig)
        async with Traffic(site.phones, seed=SEED + 1, rate=2.5) as traffic:
            await traffic.placed(5)
            with disk.full(rig):
                began = now()
                await site.phones.pause(AGENTS["2006"][1], "1")
                await rig.eventually(lambda: _red(rig))
                most = await _watch(rig, began + FULL - now())
            ended = now()
            await rig.eventually(lambda: _green(rig))
            await traffic.placed(3)
        await rig.eventually(lambda: _one_incident(rig))
        await site.settled(rig)
        assert most - before < GROWTH
        rows = await faults(rig, "disk") + await faults(rig, "database")
        assert rows
        assert min(epoch(row["began_at"]) for row in rows) <= began + LAG
        assert all(ended - 1 <= epoch(row["ended_at"]) <= ended + 2 * LAG for row in rows), rows
    rig.database = disk.copy_of(rig.database, site.directory / "afterwards")
    return await judge(rig, site.lab.pbx, traffic, since)


async def test_a_daemon_that_starts_while_the_database_is_away_loses_nothing(site: Site) -> None:
    """A3, B3: ended in mid-traffic and started again beside a held database: calls of before, between and after are there."""
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED + 2, rate=2.5) as traffic:
            await traffic.placed(5)
            ended = now()
            await rig.stop()
            with locked(rig.database):
                await traffic.placed(2)
                mark = len(rig.lines)
                await rig.start(ready=False)
                await rig.logged("link_up", since=mark, role="reader")
                up = now()
                await site.phones.pause(AGENTS["2006"][1], "1")
                assert await _red(rig)
                await traffic.placed(5)
                released = now()
            await rig.logged("taken_up", since=mark)
            taken_up = now()
            await rig.eventually(lambda: _green(rig))
            await traffic.placed(3)
        await rig.eventually(lambda: _one_incident(rig))
        await site.settled(rig)
        rows = await faults(rig, "database")
        assert len(rows) == 1, rows
        assert ended <= epoch(rows[0]["began_at"]) <= up
        assert released - 0.1 <= epoch(rows[0]["ended_at"]) <= released + LAG
        assert await site.queues_of("2006") == []
    blind = Blind([(ended, up), (released, taken_up + 1)])
    verdict = await judge(rig, site.lab.pbx, traffic, since, blind)
    assert verdict.breaches == [], verdict
    print(verdict)
