"""Pending marks on a real PBX become durable work items, once, whatever dies in between."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import pytest_asyncio
from sqlalchemy import select

from cti.core.facts import Call, Direction, Fact, Quality, WorkItem
from cti.daemon.ami import Pbx
from cti.daemon.errors import ActionFailed
from cti.daemon.pending import BAD_FAMILY, MarkFate, PendingMarks
from store import Store, open_store, tables
from store.writer import Writer
from tests.daemon.duty_pbx import DutyPbx, duty_pbx

pytestmark = [pytest.mark.pbx, pytest.mark.asyncio(loop_scope="module")]

ENTERED = 1768212345.125
NOW = ENTERED + 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[DutyPbx]:
    async with duty_pbx() as pbx:
        yield pbx


@pytest_asyncio.fixture(loop_scope="module")
async def pbx(running: DutyPbx) -> DutyPbx:
    await running.empty()
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/cti.sqlite3") as opened:
        yield opened


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> float:
        return self.at


def marks(
    pbx: DutyPbx, store: Store, alive: Callable[[str], bool | None] = lambda _: True, **more: Any
) -> PendingMarks:
    return PendingMarks(pbx.door, store.writer, alive, **{"now": lambda: NOW, **more})


def mark(state: str, number: str = "", accepted: str = "", ended: str = "") -> str:
    return f"1|{ENTERED}|sales|4008001234|13912345678|{state}|{number}|{accepted}|{ended}"


async def leave(pbx: DutyPbx, uniqueid: str, value: str) -> None:
    await pbx.ami.db_put("cti-pending", uniqueid, value)


async def items(store: Store) -> list[tuple[str, str]]:
    async with store.engine.connect() as connection:
        rows = await connection.execute(select(tables.work_items.c.id, tables.work_items.c.result))
        return sorted((row.id, row.result) for row in rows)


async def calls(store: Store) -> dict[str, Any]:
    async with store.engine.connect() as connection:
        return {row.id: row for row in await connection.execute(select(tables.calls))}


async def test_an_ended_mark_becomes_a_work_item_and_is_deleted(pbx: DutyPbx, store: Store) -> None:
    """D7: item and call are in the database, the mark is gone."""
    await leave(pbx, "17.1", mark("accepted", "13800002001", "1768212360.5", "1768212400"))
    await leave(pbx, "17.2", mark("unanswered", ended="1768212400"))
    status = await marks(pbx, store).collect()
    assert (status.error, status.fates[MarkFate.DONE], status.live) == ("", 2, 0)
    assert await items(store) == [("main-17.1", "accepted"), ("main-17.2", "unanswered")]
    assert (await calls(store))["main-17.1"].quality == "from_books"
    assert await pbx.tree("cti-pending") == {}


async def test_a_living_call_keeps_its_mark_and_has_its_item_already(pbx: DutyPbx, store: Store) -> None:
    """D7: the item is there from the first moment and follows the call to its end."""
    collecting = marks(pbx, store)
    for value, result in (
        (mark("ringing"), "ringing"),
        (mark("accepted", "13800002001", "1768212360.5"), "accepted"),
    ):
        await leave(pbx, "17.3", value)
        status = await collecting.collect()
        assert (status.live, await items(store)) == (1, [("main-17.3", result)])
    assert await calls(store) == {}
    await leave(pbx, "17.3", mark("accepted", "13800002001", "1768212360.5", "1768212400"))
    assert (await collecting.collect()).live == 0
    assert list(await calls(store)) == ["main-17.3"]


async def test_a_call_that_was_seen_live_is_not_overwritten(pbx: DutyPbx, store: Store) -> None:
    """B3: what the books say never replaces what was seen."""
    seen = Call(
        "main-17.4",
        "main",
        Direction.INBOUND,
        "13912345678",
        "王",
        "4008001234",
        ENTERED,
        quality=Quality.COMPLETE,
    )
    store.writer.put([seen])
    await store.writer.committed()
    await leave(pbx, "17.4", mark("abandoned", ended="1768212400"))
    await marks(pbx, store).collect()
    call = (await calls(store))["main-17.4"]
    assert (call.caller_name, call.quality, call.disposition) == ("王", "complete", None)


class Dying:
    """A writer whose process dies between the commit and what follows."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @property
    def stats(self) -> Any:
        return self._writer.stats

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        self._writer.put(facts, from_books=from_books)

    async def committed(self) -> None:
        await self._writer.committed()
        raise asyncio.CancelledError


async def test_dying_between_commit_and_delete_makes_no_second_item(pbx: DutyPbx, store: Store) -> None:
    """D7: the mark is still there after the death, and makes the same item again; one that is done stays done."""
    await leave(pbx, "17.5", mark("unanswered", ended="1768212400"))
    with pytest.raises(asyncio.CancelledError):
        await PendingMarks(pbx.door, Dying(store.writer), lambda _: True, now=lambda: NOW).collect()
    assert await items(store) == [("main-17.5", "unanswered")]
    assert list(await pbx.tree("cti-pending")) == [("cti-pending", "17.5")]
    store.writer.put(
        [
            WorkItem(
                "main-17.5",
                "main",
                "after_hours_call",
                "main-17.5",
                "sales",
                "139",
                ENTERED,
                "unanswered",
                state="done",
            )
        ]
    )
    await store.writer.committed()
    await marks(pbx, store).collect()
    assert await items(store) == [("main-17.5", "unanswered")]
    async with store.engine.connect() as connection:
        assert (await connection.execute(select(tables.work_items.c.state))).scalar_one() == "done"
    assert await pbx.tree("cti-pending") == {}


async def test_a_mark_whose_channel_stays_gone_is_closed_as_gapped(pbx: DutyPbx, store: Store) -> None:
    """D4: a killed PBX writes no end; after 30 s without the channel the item is closed, ringing as abandoned."""
    clock = Clock()
    collecting = marks(pbx, store, lambda uniqueid: uniqueid == "17.8", now=clock)
    await leave(pbx, "17.6", mark("ringing"))
    await leave(pbx, "17.7", mark("accepted", "13800002001", "1768212360.5"))
    await leave(pbx, "17.8", mark("ringing"))
    assert (await collecting.collect()).live == 3
    clock.at += 29
    assert (await collecting.collect()).live == 3
    clock.at += 1
    status = await collecting.collect()
    assert (status.live, status.fates[MarkFate.CUT_OFF]) == (1, 2)
    assert await items(store) == [
        ("main-17.6", "abandoned"),
        ("main-17.7", "accepted"),
        ("main-17.8", "ringing"),
    ]
    cut = (await calls(store))["main-17.6"]
    assert (cut.quality, cut.ended_at) == ("gapped", ENTERED)
    assert list(await pbx.tree("cti-pending")) == [("cti-pending", "17.8")]


async def test_a_channel_that_shows_up_again_or_is_not_known_closes_nothing(
    pbx: DutyPbx, store: Store
) -> None:
    """D4: right after a reconnect the picture of what lives may be a moment behind."""
    clock = Clock()
    answers: list[bool | None] = [False, True, False, None, False]
    collecting = marks(pbx, store, lambda _: answers.pop(0), now=clock)
    await leave(pbx, "17.9", mark("ringing"))
    while answers:
        assert (await collecting.collect()).live == 1
        clock.at += 20


async def test_a_bad_mark_is_set_aside_and_hides_no_other(pbx: DutyPbx, store: Store) -> None:
    """D7: a torn mark is kept for a person, counted, and the good ones go their way."""
    await leave(pbx, "17.10", "1|torn")
    await leave(pbx, "deeper/17.11", mark("ringing"))
    await leave(pbx, "17.12", mark("closed", ended="1768212350"))
    status = await marks(pbx, store, lambda _: False).collect()
    assert (status.fates[MarkFate.BAD], status.fates[MarkFate.DONE], status.error) == (2, 1, "")
    assert await items(store) == [("main-17.12", "closed")]
    assert await pbx.tree("cti-pending") == {}
    assert await pbx.tree("cti-pending-bad") == {
        ("cti-pending-bad", "17.10"): "1|torn",
        ("cti-pending-bad", "deeper_17.11"): mark("ringing"),
    }


@pytest.mark.parametrize("alive", [True, None])
async def test_a_bad_mark_of_a_living_call_is_left_to_the_dialplan(
    pbx: DutyPbx, store: Store, alive: bool | None
) -> None:
    """D4: the dialplan reads its mark while the call goes on; nobody takes it away under its feet."""
    await leave(pbx, "17.17", "1|torn")
    status = await marks(pbx, store, lambda _: alive).collect()
    assert (status.fates[MarkFate.BAD], status.live, status.error) == (0, 1, "")
    assert await pbx.tree("cti-pending") == {("cti-pending", "17.17"): "1|torn"}


class NoRoom:
    """The real PBX, save that it refuses to keep a bad mark elsewhere."""

    def __init__(self, door: Pbx) -> None:
        self.name, self._door = door.name, door
        self.refused = 0

    async def action(self, role: Literal["publisher"], action: Mapping[str, str]) -> Mapping[str, str]:
        if action["Family"] == BAD_FAMILY:
            self.refused += 1
            raise ActionFailed("Failed to update entry")
        return await self._door.action(role, action)

    async def listing(
        self, role: Literal["publisher"], action: Mapping[str, str], item_events: set[str]
    ) -> Iterable[Mapping[str, str]]:
        return await self._door.listing(role, action, item_events)


async def test_a_bad_mark_that_cannot_be_moved_stays_and_is_told_once(pbx: DutyPbx, store: Store) -> None:
    """D7: nothing is deleted that is not safe elsewhere, and the good marks go their way all the same."""
    await leave(pbx, "17.15", "1|torn")
    await leave(pbx, "17.16", mark("closed", ended="1768212350"))
    cramped = NoRoom(pbx.door)
    collecting = PendingMarks(cramped, store.writer, lambda _: False, now=lambda: NOW)
    for _ in range(3):
        assert (await collecting.collect()).error == ""
    assert (cramped.refused, collecting.status.fates[MarkFate.BAD]) == (1, 1)
    assert await items(store) == [("main-17.16", "closed")]
    assert list(await pbx.tree("cti-pending")) == [("cti-pending", "17.15")]


async def test_a_call_through_the_real_dialplan_leaves_a_mark_that_is_understood(
    pbx: DutyPbx, store: Store
) -> None:
    """D7: a call to a hotline that is closed, made on the real PBX, is on the list when it has ended."""
    await pbx.ami.action(
        "Originate",
        {
            "Channel": "Local/4999@cti-hotline/n",
            "Application": "Wait",
            "Data": "5",
            "CallerID": "13912345678",
            "Async": "true",
        },
    )
    await pbx.ami.wait_for(
        "UserEvent", where=lambda m: (m.get("UserEvent"), m.get("Action")) == ("CtiDuty", "ended")
    )
    status = await marks(pbx, store).collect()
    assert (status.fates[MarkFate.DONE], status.fates[MarkFate.BAD]) == (1, 0)
    ((_, result),) = await items(store)
    assert result in {"closed", "abandoned"}
    ((_, call),) = (await calls(store)).items()
    assert (call.caller_number, call.dialed_number) == ("13912345678", "4999")


async def test_running_it_reads_at_once_and_when_woken(pbx: DutyPbx, store: Store) -> None:
    """D7: no waiting for the minute when the dialplan says that a call has ended."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    def note(facts: Iterable[Fact]) -> None:
        for fact in facts:
            if isinstance(fact, WorkItem):
                seen.put_nowait(fact.id)

    await leave(pbx, "17.13", mark("unanswered", ended="1768212400"))
    collecting = marks(pbx, store, every=3600.0, seen=note)
    task = asyncio.create_task(collecting.run())
    async with asyncio.timeout(10):
        assert await seen.get() == "main-17.13"
        await leave(pbx, "17.14", mark("unanswered", ended="1768212400"))
        collecting.wake()
        assert await seen.get() == "main-17.14"
    task.cancel()
    await asyncio.wait({task})
