"""The spool: what no book gives back is on disk before it counts as safe, and comes back exactly as it was."""

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.facts import CommandKind, CommandOutcome, CommandRecord, Delivery, Fact
from cti.daemon.errors import SpoolError
from cti.daemon.segments import Segments, decode, encode
from cti.daemon.spool import Spool
from store import open_store
from store.pending import KEPT
from tests.store import made

RECORD = CommandRecord(
    "c1", "main", CommandKind.REMOVE_MEMBER, "2001", "sales", "PJSIP/1001", 5.25, 6.5, CommandOutcome.REFUSED, "no"
)  # fmt: skip
EACH: list[Fact] = [
    made.incident(),
    made.episode(sources=("*:queue_log",)),
    made.fault(reported_by="2001"),
    made.work_item(),
    RECORD,
    Delivery("n/webhook", "f", "main", "fault_began", "webhook", 7.0, ok=False, detail="张"),
]


def segments_in(directory: Path) -> list[Path]:
    return sorted(directory.glob("0*"))


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another program holds the database's write lock."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def spooling(directory: Path, **options: Any) -> AsyncIterator[Spool]:
    spool = Spool(directory, **options)
    await spool.open()
    try:
        yield spool
    finally:
        await spool.close()


async def left_behind(directory: Path) -> tuple[Fact, ...]:
    spool = Spool(directory)
    facts = await spool.open()
    await spool.close()
    return facts


def test_every_kind_that_is_kept_is_tested() -> None:
    assert {type(fact) for fact in EACH} == set(KEPT)


@pytest.mark.parametrize("fact", EACH)
def test_a_line_gives_back_its_fact(fact: Fact) -> None:
    assert decode(encode(fact).removesuffix(b"\n")) == fact


@given(st.sampled_from(EACH), st.data())
def test_a_damaged_line_is_noticed(fact: Fact, data: st.DataObject) -> None:
    """Whichever byte is changed, the line is refused, never taken for another fact."""
    line = bytearray(encode(fact).removesuffix(b"\n"))
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError):  # noqa: PT011 - any
        decode(bytes(line))


async def test_what_is_synced_survives_a_death(tmp_path: Path) -> None:
    """A3, C3, D7: another process that is killed at once leaves everything it was promised."""
    script = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from cti.daemon.spool import Spool; from tests.store import made\n"
        "async def main():\n"
        "    spool = Spool(Path(sys.argv[1])); await spool.open()\n"
        "    spool.put([made.incident(), made.work_item(), made.call()]); await spool.synced()\n"
        "    spool.put([made.fault()]); os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script, str(tmp_path / "spool")], check=False
    )
    assert done.returncode == -9
    assert set(await left_behind(tmp_path / "spool")) >= {made.incident(), made.work_item()}


async def test_the_last_snapshot_of_each_comes_back(tmp_path: Path) -> None:
    """Replaying gives one fact of each key, the newest, whatever order and however many segments."""
    over = replace(made.fault(), ended_at=made.T0 + 60)
    async with spooling(tmp_path, segment_bytes=200) as spool:
        for fact in (made.fault(), made.incident(), over, made.incident(result="logged_out")):
            spool.put([fact])
            await spool.synced()
        assert len(segments_in(tmp_path)) > 1
    assert await left_behind(tmp_path) == (over, made.incident(result="logged_out"))
    assert await left_behind(tmp_path) == (over, made.incident(result="logged_out"))


async def test_a_line_cut_short_and_garbage_cost_only_themselves(tmp_path: Path) -> None:
    """A torn last line is passed over; garbage is counted, told, and set aside instead of deleted."""
    async with spooling(tmp_path) as spool:
        spool.put([made.incident(), made.fault()])
        await spool.synced()
    (segment,) = segments_in(tmp_path)
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(lines[0] + b"\xff\x00 nonsense\n" + lines[1] + lines[0][:40])
    spool = Spool(tmp_path)
    assert await spool.open() == (made.incident(), made.fault())
    assert (spool.stats.torn, spool.stats.damaged, spool.stats.recovered) == (1, 1, 2)
    await spool.close(committed=True)
    assert [path.suffix for path in segments_in(tmp_path)] == [".damaged"]


async def test_calls_are_not_spooled(tmp_path: Path) -> None:
    """Calls come back from the books; only what no book has costs a sync."""
    async with spooling(tmp_path) as spool:
        spool.put([made.call(), made.leg(), made.stay()])
        await spool.synced()
    assert segments_in(tmp_path) == []


async def test_a_second_daemon_is_kept_out(tmp_path: Path) -> None:
    """Two daemons on one data directory would delete each other's facts; the second one is told what to do."""
    async with spooling(tmp_path):
        second = Spool(tmp_path)
        with pytest.raises(SpoolError, match="another daemon runs on this data_dir"):
            await second.open()
        await second.close()


async def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """G1: it holds callers' numbers."""
    async with spooling(tmp_path / "spool") as spool:
        spool.put([made.work_item()])
        await spool.synced()
    modes = {os.stat(path).st_mode & 0o777 for path in (tmp_path / "spool").iterdir()}  # noqa: PTH116
    assert modes == {0o600}
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


async def test_what_the_database_has_is_deleted_here(tmp_path: Path) -> None:
    """While the database is locked everything stays; once it has committed, nothing does."""
    file = tmp_path / "cti.sqlite3"
    async with await open_store(f"sqlite+aiosqlite:///{file}") as store:
        spool = Spool(tmp_path / "spool", trim_every=0.01)
        await spool.open()
        following = asyncio.create_task(spool.follow(store.writer.committed))
        with locked(file):
            for fact in EACH:
                spool.put([fact])
                store.writer.put([fact])
            await spool.synced()
            trimmed = asyncio.create_task(store.writer.committed())
            await asyncio.wait({trimmed}, timeout=0.2)
            there = segments_in(tmp_path / "spool")
            assert spool.stats.segments == len(there) > 0
            assert spool.stats.size == sum(path.stat().st_size for path in there)
        await trimmed
        async with asyncio.timeout(20):
            while segments_in(tmp_path / "spool"):  # noqa: ASYNC110 - deleting tells nobody
                await asyncio.sleep(0.01)
            while spool.stats.segments:  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
        assert spool.stats.size == 0
        assert (await store.queries.incidents()).items == (made.incident(),)
        following.cancel()
        await asyncio.wait({following})
        await spool.close()


@contextlib.contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes: a write is cut short, the next one fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """A3: the facts stay in memory and are on disk once there is room; begin and end are told."""
    told: list[tuple[bool, str]] = []
    size = 4 << 20
    async with spooling(
        tmp_path, on_trouble=lambda *what: told.append(what), segment_bytes=size * 2
    ) as spool:
        with disk_full_at(size):
            many = [made.incident(n, detail="x" * 1000) for n in range(5_000)]
            spool.put(many)
            waiting = asyncio.create_task(spool.synced())
            async with asyncio.timeout(20):
                while not told:  # noqa: ASYNC110 - told by a callback
                    await asyncio.sleep(0.01)
            stats = spool.stats
            assert stats.in_trouble
            assert "free space on the disk" in stats.last_error
            assert stats.waiting == 5_000
            assert not waiting.done()
            spool.put([made.fault()])
        async with asyncio.timeout(20):
            await waiting
        assert [began for began, _ in told] == [True, False]
        assert not spool.stats.in_trouble
    assert set(await left_behind(tmp_path)) == {*many, made.fault()}


async def test_a_closed_spool_says_so(tmp_path: Path) -> None:
    async with spooling(tmp_path) as spool:
        pass
    with pytest.raises(SpoolError, match="closed"):
        await spool.synced()


async def test_what_waits_is_on_disk_at_the_end(tmp_path: Path) -> None:
    """A3: an orderly end with the database away leaves everything in the spool."""
    async with spooling(tmp_path) as spool:
        spool.put(EACH)
    assert list(await left_behind(tmp_path)) == EACH


def test_a_segment_that_failed_is_not_written_to_again(tmp_path: Path) -> None:
    """After a failed sync nobody knows what is safe: the next line begins a new segment."""
    segments = Segments(tmp_path)
    segments.open()
    segments.append([made.incident()])
    assert segments._fd is not None
    os.close(segments._fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        segments.append([made.fault()])
    segments.append([made.fault()])
    segments.close()
    again = Segments(tmp_path)
    assert list(again.open().facts.values()) == [made.incident(), made.fault()]
    assert again.held.segments == 2
    assert again.held.size == sum(path.stat().st_size for path in segments_in(tmp_path))
    again.close()
