"""Asterisk is killed (-9) in mid-call under load, and started again (A1, A3, C3, D4).

Promised: calls that were seen keep their record and get an end, at the latest when the PBX is back; a queued caller's
wait and an agent's login are as the PBX has them now; work items survive though the killed PBX may lose about half a
second of AstDB; the restart and the link's loss are faults with begin and end.

Asserted: as in `tests.chaos.traffic`, where a call the PBX died in has no CDR: its own queue_log, and the daemon, know
it. Nothing is left open.
"""

from tests.chaos.conftest import Site, epoch
from tests.chaos.traffic import Blind, Traffic, faults, judge, now
from tests.demo.floor import AGENTS

SEED = 11
CLOCKS = 0.25  # s by which two clocks may differ


async def test_no_call_is_lost_by_killing_asterisk_in_mid_call(site: Site) -> None:
    """A1, A3: talks, waits and a night call are cut by the kill; each is one record with an end, faults say when."""
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED) as traffic:
            await traffic.placed(15)
            mark, killed = len(rig.lines), now()
            await site.lab.pbx.kill9()
            await rig.logged("link_down", since=mark, role="reader")
            noticed = now()
            await site.lab.pbx.start()
            await rig.logged("link_up", since=mark, timeout=60, role="reader")
            back = now()
            await traffic.placed(15)

        await site.settled(rig)
        assert "ringing" not in {row["result"] for row in await rig.items("/api/v1/work-items")}
        links, restarts = await faults(rig, "link"), await faults(rig, "pbx_restart")
        assert [row["pbx"] for row in links + restarts] == ["main", "main"]
        assert killed - CLOCKS <= epoch(links[0]["began_at"]) <= noticed + CLOCKS
        assert links[0]["ended_at"] is not None
        assert noticed - CLOCKS <= epoch(links[0]["ended_at"]) <= back + CLOCKS
        assert killed - 5 < epoch(restarts[0]["began_at"]) <= epoch(restarts[0]["ended_at"]) <= back + CLOCKS
        states = {row["agent"]: row["state"] for row in (await rig.get("/api/v1/agents"))["items"]}
        assert set(states.values()) == {"available"}, states
    verdict = await judge(rig, site.lab.pbx, traffic, since, Blind([(killed, back)]))
    assert verdict.breaches == [], verdict
    assert verdict.booked > 20
    print(verdict)


async def test_a_pbx_restarted_while_the_daemon_is_dead_loses_nothing(site: Site) -> None:
    """A1, A3, B3: both die, the PBX comes back first, calls go on unseen; every call, work item and incident is there."""
    rig = await site.rig()
    async with rig:
        await rig.logged("published")
        await site.open()
        since = now()
        async with Traffic(site.phones, seed=SEED + 1) as traffic:
            await traffic.placed(8)
            await site.phones.pause(AGENTS["2006"][1], "1")
            await rig.logged("away_warning", agent="2006")  # so it is in AstDB, which a kill may cut short
            killed = now()
            await rig.kill9()
            await site.lab.pbx.kill9()
            await site.lab.pbx.start()
            await traffic.placed(8)
            await rig.start()
            back = now()
            await traffic.placed(5)

        async def one_incident() -> bool:
            rows = await rig.items("/api/v1/incidents")
            return [row["result"] for row in rows if row["kind"] == "away_limit"] == ["logged_out"]

        async def filled() -> bool:
            return all(book["gaps"] == 0 for book in (await rig.get("/api/v1/books"))["items"])

        await rig.eventually(one_incident)
        await site.settled(rig)
        await rig.eventually(filled)
        kinds = {kind: await faults(rig, kind) for kind in ("daemon", "pbx_restart")}
        assert [len(rows) for rows in kinds.values()] == [1, 1], kinds
        assert all(killed - 5 < epoch(rows[0]["began_at"]) <= back for rows in kinds.values()), kinds
        assert all(killed < epoch(rows[0]["ended_at"]) <= back + CLOCKS for rows in kinds.values()), kinds
    verdict = await judge(rig, site.lab.pbx, traffic, since, Blind([(killed, back)]))
    assert (verdict.breaches, verdict.unseen) == ([], 0), verdict
    print(verdict)
