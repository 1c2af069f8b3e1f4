"""The roster on a real PBX: complete, only the difference written, others' entries untouched, faults visible."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio

from cti.daemon import astdb
from cti.daemon.publish import Publisher, PublishState, PublishStatus
from routing.plan import entries
from routing.roster import Roster, decide, segments
from store import StoreError, open_store
from store.people import PeoplePart
from tests.daemon.duty_pbx import DutyPbx, duty_pbx, until
from tests.routing.rosters import PEOPLE, SALES, WEEK, at, override, roster

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="module")]

NOW = at("2026-01-15 10:00")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[DutyPbx]:
    async with duty_pbx() as pbx:
        yield pbx


@pytest_asyncio.fixture(loop_scope="module")
async def pbx(running: DutyPbx) -> DutyPbx:
    await running.empty()
    return running


class Source:
    """The roster as some database would give it, or the database's error."""

    def __init__(self, first: Roster | StoreError) -> None:
        self.roster = first

    async def __call__(self) -> Roster:
        if isinstance(self.roster, StoreError):
            raise self.roster
        return self.roster


def publisher(pbx: DutyPbx, source: Source, now: float = NOW, days: int = 60) -> Publisher:
    return Publisher(pbx.door, source, days=days, now=lambda: now)


async def published(pbx: DutyPbx) -> dict[astdb.Entry, str]:
    found: dict[astdb.Entry, str] = {}
    for family in ("cti-agent", "cti-duty", "cti-hotline", "cti-hotline-queue", "cti-supervisor"):
        found |= await pbx.tree(family)
    return found


async def test_sixty_days_stand_in_the_pbx_as_planned(pbx: DutyPbx) -> None:
    """D4: after one cycle AstDB holds every row of the coming 60 days, verified by reading back."""
    people = (replace(PEOPLE[0], pin="ab:cd", queues=(("sales", 0),)), *PEOPLE[1:])
    table = roster(people=people)
    status = await publisher(pbx, Source(table)).publish()
    assert (status.state, status.error) == (PublishState.OK, "")
    assert (status.rows, status.horizon, status.last_ok_at) == (60, date(2026, 3, 15), NOW)
    assert await published(pbx) == entries(table, date(2026, 1, 14), 61)
    assert await pbx.ami.db_get("cti-agent/2001", "name") == "王芳"


async def test_a_second_cycle_writes_nothing_and_a_change_writes_only_itself(pbx: DutyPbx) -> None:
    """D4: AstDB is not rewritten every hour."""
    source = Source(roster())
    publishing = publisher(pbx, source)
    first = await publishing.publish()
    again = await publishing.publish()
    assert (again.state, again.puts) == (PublishState.OK, first.puts)
    source.roster = roster(overrides=(override("2026-01-20 19:00", "2026-01-20 20:00", "9001"),))
    changed = await publishing.publish()
    assert (changed.puts, changed.deletes) == (1, 0)
    row = await pbx.ami.db_get("cti-duty/sales", "20260120")
    assert row == entries(source.roster, date(2026, 1, 20), 1)["cti-duty/sales", "20260120"]


async def test_old_rows_and_what_left_the_roster_go_and_others_entries_stay(pbx: DutyPbx) -> None:
    """D4: rows older than yesterday are deleted; logins, pending marks and foreign keys never."""
    foreign = {
        ("cti-login", "2001"): "PJSIP/1001",
        ("cti-pending", "1768212345.17"): "1|…",
        ("cti-agent/2001", "note"): "mine",
        ("cti-duty", "note"): "mine",
        ("other", "x"): "y",
    }
    for (family, key), value in foreign.items():
        await pbx.ami.db_put(family, key, value)
    await publisher(pbx, Source(roster())).publish()
    later = await publisher(
        pbx, Source(roster(hotlines=(replace(SALES, numbers=("4009",)),))), NOW + 3 * 86400
    ).publish()
    assert later.state is PublishState.OK
    rows = sorted(key for family, key in await published(pbx) if family == "cti-duty/sales")
    assert (rows[0], rows[-1], len(rows)) == ("20260117", "20260318", 61)
    assert await pbx.ami.db_get("cti-hotline", "4008001234") is None
    for (family, key), value in foreign.items():
        assert await pbx.ami.db_get(family, key) == value


async def test_what_was_changed_behind_our_back_is_put_right(pbx: DutyPbx) -> None:
    """D4: a damaged or deleted row is restored by the next cycle."""
    publishing = publisher(pbx, Source(roster()))
    await publishing.publish()
    before = await published(pbx)
    await pbx.ami.db_put("cti-duty/sales", "20260116", "1|00000000|x")
    await pbx.ami.db_del("cti-duty/sales", "20260117")
    status = await publishing.publish()
    assert (status.puts, status.deletes) == (2, 0)
    assert await published(pbx) == before


async def test_an_empty_database_deletes_nothing(pbx: DutyPbx) -> None:
    """D4: a lost or wrong database must not empty the PBX; the status says so."""
    await publisher(pbx, Source(roster())).publish()
    before = await published(pbx)
    status = await publisher(pbx, Source(Roster())).publish()
    assert status.state is PublishState.EMPTY_ROSTER
    assert "import" in status.error
    assert await published(pbx) == before


async def test_a_database_that_is_away_is_a_status_and_the_rows_stay(pbx: DutyPbx) -> None:
    """D4: neither an exception nor an empty PBX."""
    source = Source(roster())
    publishing = publisher(pbx, source)
    ok = await publishing.publish()
    source.roster = StoreError("the database is locked")
    status = await publishing.publish()
    assert (status.state, status.error) == (PublishState.NO_DATABASE, "the database is locked")
    assert (status.last_ok_at, status.rows) == (ok.last_ok_at, 60)
    source.roster = roster()
    assert (await publishing.publish()).state is PublishState.OK


async def test_what_the_pbx_refuses_is_a_status_that_names_it(pbx: DutyPbx) -> None:
    """D4: a value that cannot be sent never injects a header, and the rest of the cycle is told as failed."""
    bad = replace(PEOPLE[0], pin="ab:cd\r\nAction: Originate", queues=(("sales", 0),))
    status = await publisher(pbx, Source(roster(people=(bad, *PEOPLE[1:])))).publish()
    assert status.state is PublishState.REFUSED
    assert "line break" in status.error


async def test_problems_of_the_roster_are_in_the_status(pbx: DutyPbx) -> None:
    """D1: in December the missing table of next year is told, and the rows go on over New Year."""
    status = await publisher(pbx, Source(roster()), at("2026-12-01 10:00")).publish()
    assert [(p.kind.value, p.since) for p in status.problems] == [("calendar_missing", date(2027, 1, 1))]
    assert (status.state, status.horizon) == (PublishState.OK, date(2027, 1, 29))


async def test_a_restarted_pbx_still_has_the_rows_and_a_lost_link_is_a_status(
    running: DutyPbx, pbx: DutyPbx
) -> None:
    """D4: AstDB survives a restart; meanwhile the status says no_pbx, and afterwards a cycle succeeds."""
    publishing = publisher(pbx, Source(roster()))
    await publishing.publish()
    before = await published(pbx)
    await running.asterisk.stop()
    down = await publishing.publish()
    assert down.state is PublishState.NO_PBX
    await running.restart()
    async with asyncio.timeout(30):
        await pbx.door.up("publisher")
    assert await published(pbx) == before
    assert (await publishing.publish()).state is PublishState.OK


async def test_the_dialplan_decides_from_the_rows_what_the_roster_says(pbx: DutyPbx) -> None:
    """D4: the real dialplan, asked a second before and at every boundary of a week, answers as `decide` does."""
    table = roster(
        rotations=(replace(WEEK, handover=19 * 60),),
        overrides=(
            override("2026-01-16 19:07", "2026-01-17 10:11", "2003"),
            override("2026-01-18 12:00", "2026-01-18 12:01", "9001"),
        ),
    )
    await publisher(pbx, Source(table)).publish()
    instants = {
        edge + step
        for day in range(15, 22)
        for part in segments(table, "sales", date(2026, 1, day))
        for edge in (int(part.start), int(part.end))
        for step in (-1, 0)
    }
    for instant in sorted(instants):
        duty = decide(table, "sales", instant)
        wanted = {"office": "o", "closed": "c"}.get(duty.kind) or "d:" + "&".join(
            r.number for r in duty.ladder
        )
        assert await pbx.decide(instant) == (wanted, "row")


async def test_running_it_publishes_at_once_when_woken_and_when_the_database_changes(
    pbx: DutyPbx, tmp_path: Path
) -> None:
    """D4: from the real database, at the start, on wake(), and after `cti import` in another process."""
    told: list[PublishStatus] = []
    news = asyncio.Event()

    def tell(status: PublishStatus) -> None:
        told.append(status)
        news.set()

    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/cti.sqlite3") as store:
        await store.people.replace(PeoplePart(people=PEOPLE, hotlines=(SALES,), rotations=(WEEK,)))

        async def load() -> Roster:
            return (await store.people.load()).roster("Asia/Shanghai")

        publishing = Publisher(pbx.door, load, days=3, look=0.05, now=lambda: NOW, told=tell)
        task = asyncio.create_task(publishing.run())
        await until(lambda: len(told) == 1, news)
        assert (told[0].state, told[0].rows) == (PublishState.OK, 3)
        publishing.wake()
        await until(lambda: len(told) == 2, news)
        assert told[1].state is PublishState.OK
        swap = override("2026-01-16 19:00", "2026-01-16 20:00", "2003")
        await store.people.replace(PeoplePart(overrides=(swap,)))
        await until(lambda: len(told) == 3, news)
        assert (told[2].state, told[2].puts) == (PublishState.OK, 1)
        task.cancel()
        await asyncio.wait({task})
