"""The writer: idempotent, coalescing, never in the way, and losing nothing while the database is away."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cti.core.facts import (
    AttemptOutcome,
    Call,
    Disposition,
    Fact,
    Gap,
    Notice,
    Quality,
    Recording,
    Rejected,
    RejectReason,
    State,
    StayOutcome,
    Transfer,
)
from store import Store, StoreError, engine, open_store
from store.engine import parse_url
from store.pending import reopens
from store.tables import FACT_TABLES
from store.transact import transactor
from store.writer import Writer
from tests.store import made
from tests.store.databases import Database

TABLES = [table.name for table in FACT_TABLES.values()]


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: database.rows(table) for table in TABLES}


async def test_each_kind_of_fact_becomes_a_row(store: Store, database: Database) -> None:
    """Each kind of fact becomes one row in its table."""
    store.writer.put(made.one_of_each())
    await store.writer.committed()
    assert {table: len(found) for table, found in everything(database).items()} == dict.fromkeys(TABLES, 1)


async def test_replaying_changes_nothing(store: Store, database: Database) -> None:
    """Whatever is put twice is there once, as it was."""
    seen = []
    for _ in range(2):
        store.writer.put(made.one_of_each())
        await store.writer.committed()
        seen.append(everything(database))
    assert seen[0] == seen[1]


async def test_notices_and_rejections_are_not_stored(store: Store) -> None:
    """Notices and rejections pass the store by."""
    store.writer.put(
        [
            Notice("n", made.PBX, "away_warning", made.T0, "2001", "…"),
            Rejected(made.PBX, RejectReason.MALFORMED, made.T0, "…"),
        ]
    )
    await store.writer.committed()
    assert store.writer.stats.written == 0


async def test_many_snapshots_of_one_call_are_one_write(store: Store) -> None:
    """Of twenty snapshots put in one go the last is written, once."""
    store.writer.put(made.call(caller_name=f"name {n}") for n in range(20))
    await store.writer.committed()
    stored = (await store.queries.calls()).items
    assert (store.writer.stats.written, [one.caller_name for one in stored]) == (1, ["name 19"])


SNAPSHOTS = (
    made.call(),
    made.call(answered_at=made.T0 + 3),
    made.call(answered_at=made.T0 + 3, ended_at=made.T0 + 9, disposition=Disposition.ANSWERED),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3)), max_size=6))
async def test_the_last_snapshot_of_each_key_stands(database: Database, cuts: list[tuple[int, int]]) -> None:
    """However snapshots are repeated and cut into batches, the rows are those of each key's last one."""
    database.renew()
    latest: dict[str, Call] = {}
    reached: dict[int, int] = {}
    async with await open_store(database.url) as store:
        for index, n in cuts:
            reached[n] = max(index, reached.get(n, 0))  # nothing that is over begins again
            latest[f"main-{n}"] = replace(SNAPSHOTS[reached[n]], id=f"main-{n}")
            store.writer.put([latest[f"main-{n}"], made.leg(n)])
            if index == 1:
                await store.writer.committed()
        await store.writer.committed()
        stored = {one.id: one for one in (await store.queries.calls()).items}
    assert stored == latest


async def test_books_fill_in_and_never_overwrite(store: Store) -> None:
    """B3: a call from the books appears where there was none, and leaves one alone that was seen."""
    seen = made.call(1, quality=Quality.GAPPED, caller_name="seen")
    store.writer.put([seen])
    await store.writer.committed()
    from_books = [made.call(n, quality=Quality.FROM_BOOKS, caller_name="books") for n in (1, 2)]
    store.writer.put([*from_books, made.call(3, caller_name="seen")])
    store.writer.put([made.call(3, quality=Quality.FROM_BOOKS, caller_name="books")])
    await store.writer.committed()
    names = {one.id: one.caller_name for one in (await store.queries.calls()).items}
    assert names == {made.call(1).id: "seen", made.call(2).id: "books", made.call(3).id: "seen"}
    store.writer.put([made.call(2, caller_name="seen")])
    await store.writer.committed()
    assert {one.caller_name for one in (await store.queries.calls()).items} == {"seen"}


async def test_parts_from_books_fill_in_and_never_overwrite(store: Store) -> None:
    """B3: parts read from the books obey the same rule as their call."""
    store.writer.put([made.attempt(1, outcome=AttemptOutcome.ANSWERED), made.call(1), made.call(2)])
    await store.writer.committed()
    busy = [made.attempt(n, outcome=AttemptOutcome.BUSY) for n in (1, 2)]
    store.writer.put([*busy, made.state(made.T0)], from_books=True)
    await store.writer.committed()
    records = [await store.queries.call(made.call(n).id) for n in (1, 2)]
    assert [one.attempts[0].outcome for one in records if one] == [
        AttemptOutcome.ANSWERED,
        AttemptOutcome.BUSY,
    ]
    assert len((await store.queries.agent_states()).items) == 1


async def test_a_merged_call_stays_as_a_pointer(store: Store) -> None:
    """B1: a merged call is no call of its own any more, and leads to the one it belongs to."""
    store.writer.put([made.call(1), made.call(2), made.leg(1), made.leg(2)])
    await store.writer.committed()
    store.writer.put([made.call(2, merged_into=made.call(1).id)])
    await store.writer.committed()
    assert [one.id for one in (await store.queries.calls()).items] == [made.call(1).id]
    record = await store.queries.call(made.call(2).id)
    assert record is not None
    assert record.call == made.call(1)
    assert record.legs == (made.leg(1), made.leg(2, call_id=made.call(1).id))


async def _spans(store: Store) -> list[tuple[float, float | None]]:
    found = (await store.queries.agent_states()).items
    return [(one.state.since, one.until) for one in reversed(found)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations([0, 1, 2, 3]), st.booleans())
async def test_states_end_where_the_next_begins(database: Database, order: list[int], at_once: bool) -> None:
    """Exactly one state holds at any instant, in whatever order and batches the states arrive."""
    database.renew()
    states = [
        made.state(
            made.T0 + n, previous=State.AWAY, previous_since=made.T0 + n - 1 if n else None, agent="2001"
        )
        for n in range(4)
    ]
    async with await open_store(database.url) as store:
        for n in [*order, order[0]]:
            store.writer.put([states[n]])
            if not at_once:
                await store.writer.committed()
        await store.writer.committed()
        begins = [one.since for one in states]
        assert await _spans(store) == list(zip(begins, [*begins[1:], None], strict=True))


async def test_time_nobody_recorded_belongs_to_no_state(store: Store) -> None:
    """Where the state before was never stored, the last one known ends when that missing one began."""
    last = made.state(made.T0 + 30, previous=State.AWAY, previous_since=made.T0 + 20)
    store.writer.put([made.state(made.T0), last])
    await store.writer.committed()
    assert await _spans(store) == [(made.T0, made.T0 + 20), (made.T0 + 30, None)]


async def test_states_of_others_are_left_alone(store: Store) -> None:
    """A state ends only the states of the same agent on the same PBX."""
    store.writer.put(
        [made.state(made.T0, agent="2002"), made.state(made.T0, pbx="other"), made.state(made.T0 + 1)]
    )
    await store.writer.committed()
    assert {one.until for one in (await store.queries.agent_states()).items} == {None}


async def test_a_done_work_item_stays_done(store: Store, database: Database) -> None:
    """D7: replaying the call of a work item does not open it again, nor take back who accepted it."""
    store.writer.put([made.work_item(result="accepted", accepted_by="139", accepted_at=made.T0 + 5)])
    await store.writer.committed()
    database.execute("UPDATE work_items SET state = 'done'")
    store.writer.put([made.work_item(result="ringing")])
    await store.writer.committed()
    found = await store.queries.work_item(made.work_item().id)
    assert found == made.work_item(
        result="accepted", accepted_by="139", accepted_at=made.T0 + 5, state="done"
    )


async def test_what_has_ended_stays_so(store: Store) -> None:
    """A3, C3: an older snapshot that comes late opens no fault and no episode again, and takes no result back."""
    ended: list[Fact] = [
        made.fault(ended_at=made.T0 + 9),
        made.episode(reported_at=made.T0 + 5, ended_at=made.T0 + 9),
        made.incident(result="logged_out"),
    ]
    stale: list[Fact] = [made.fault(), made.fault(2), made.episode(), made.episode(2), made.incident()]
    store.writer.put(ended)
    await store.writer.committed()
    assert await store.queries.not_over([*stale, *ended]) == (
        made.fault(2),
        made.episode(2),
        made.incident(),
        *ended,
    )
    store.writer.put(stale)
    await store.writer.committed()
    assert await store.queries.open_faults() == (made.fault(2),)
    assert set((await store.queries.away_episodes()).items) == {ended[1], made.episode(2)}
    assert (await store.queries.incidents()).items == (ended[2],)


OVER: list[tuple[Fact, Fact]] = [  # as it began, as it ended
    (made.call(), made.call(ended_at=made.T0 + 9, disposition=Disposition.ANSWERED, quality=Quality.GAPPED)),
    (made.call(2), made.call(2, merged_into="main-1.1")),
    (made.leg(), made.leg(ended_at=made.T0 + 9)),
    (made.stay(left_at=made.T0 + 5), made.stay(left_at=made.T0 + 5, outcome=StayOutcome.ABANDONED)),
    (
        made.stay(2, outcome=StayOutcome.ANSWERED, agent="2001", book_wait=2.0),
        made.stay(2, outcome=StayOutcome.ANSWERED, agent="2001", book_wait=2.0, book_talk=3.0),
    ),
    (  # turned away, and by which queue
        made.stay(3, queue="", outcome=StayOutcome.FULL, left_at=made.T0 + 5),
        made.stay(3, queue="sales", outcome=StayOutcome.FULL, left_at=made.T0 + 5),
    ),
    (made.attempt(), made.attempt(ended_at=made.T0 + 3, outcome=AttemptOutcome.NO_ANSWER)),
    (made.talk(), made.talk(ended_at=made.T0 + 9, hold=3.0)),
    (
        Transfer("main-t-1", made.call().id, made.PBX, "blind", "2001", "2002", made.T0, "pending"),
        Transfer("main-t-1", made.call().id, made.PBX, "blind", "2001", "2002", made.T0, "answered"),
    ),
    (
        Recording("main-r-1", made.call().id, made.PBX, "a.wav", made.T0),
        Recording("main-r-1", made.call().id, made.PBX, "a.wav", made.T0, made.T0 + 9),
    ),
    (made.episode(), made.episode(warned_at=made.T0 + 3)),
    (
        Gap("g", made.PBX, made.T0, made.T0 + 9, "link"),
        Gap("g", made.PBX, made.T0, made.T0 + 9, "link", 1.0),
    ),
]


async def test_what_is_over_is_not_opened_again(store: Store, database: Database) -> None:
    """B1: a fact without an end takes none away, on either database; one that has an end is taken."""
    began, ended = zip(*OVER, strict=True)
    for facts in (began, ended):
        store.writer.put(facts)
        await store.writer.committed()
    before = everything(database)
    for facts in (began, ended):
        store.writer.put(facts)
        await store.writer.committed()
        assert everything(database) == before
    assert {
        kind.__name__: len(before[table.name]) for kind, table in FACT_TABLES.items() if before[table.name]
    } == Counter(type(fact).__name__ for fact in ended)


async def test_what_is_over_is_not_opened_again_before_it_is_written(
    store: Store, database: Database
) -> None:
    """B1: what the books were held against may have ended meanwhile; both come in one batch, also after a refused one."""
    stale = [(began, ended) for began, ended in OVER if reopens(began, ended)]
    ended = [fact for _, fact in stale]
    assert len({type(fact) for fact in ended}) == 7
    store.writer.put([*ended, *(fact for fact, _ in stale)])
    await store.writer.committed()
    before = everything(database)
    store.writer.put(ended)
    await store.writer.committed()
    assert everything(database) == before


async def test_a_part_stays_with_the_older_call(store: Store) -> None:
    """B1: what came to another call when two became one does not go back, though what else is new of it is taken."""
    older, younger = made.call(1), made.call(2)
    store.writer.put([older, younger, made.talk(2)])
    await store.writer.committed()
    store.writer.put([replace(younger, merged_into=older.id), made.talk(2, call_id=older.id)])
    await store.writer.committed()
    store.writer.put([made.talk(2, ended_at=made.T0 + 9)])
    await store.writer.committed()
    found = await store.queries.call(older.id)
    assert found is not None
    assert found.talks == (made.talk(2, call_id=older.id, ended_at=made.T0 + 9),)


async def test_a_locked_database_stops_nobody(database: Database) -> None:
    """A3: with the database locked `put` stays instant, the trouble's begin and end are told, and all is there after."""
    told: list[tuple[bool, str]] = []
    began, ended = asyncio.Event(), asyncio.Event()

    def on_trouble(begins: bool, detail: str) -> None:
        told.append((begins, detail))
        (began if begins else ended).set()

    async with await open_store(database.url, on_trouble=on_trouble) as store:
        store.writer.put([made.call(0)])
        await store.writer.committed()
        with database.locked():
            store.writer.put([made.call(1)])
            await began.wait()
            start = time.process_time()
            for n in range(2, 500):
                store.writer.put([made.call(n), made.leg(n)])
            assert time.process_time() - start < 0.5, "putting waits for nothing"
            assert store.writer.stats.in_trouble
            assert "another program holds the database" in store.writer.stats.last_error
            assert len((await store.queries.calls()).items) == 1, "reading goes on"
        await store.writer.committed()
        await ended.wait()
        assert [begins for begins, _ in told] == [True, False]
        stats = store.writer.stats
        assert (stats.queued, stats.dropped, stats.in_trouble) == (0, 0, False)
        assert len(database.rows("calls")) == 500


async def until(happened: Callable[[], object]) -> None:
    """Wait for something that only another thread or task can show."""
    while not happened():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.02])
async def test_a_killed_writer_leaves_whole_batches(database: Database, pause: float) -> None:
    """A writer killed in mid-batch leaves all of the batch or nothing, and the same facts can be put again."""
    opened = engine.Database(parse_url(database.url))
    writer = Writer(transactor(opened), opened.url, window=0.0)
    batch: list[Fact] = [one for n in range(1, 1300) for one in (made.call(n), made.leg(n))]
    writer.put(batch)
    await until(lambda: writer._writing.live)
    await asyncio.sleep(pause)
    writer._task.cancel()
    await asyncio.wait({writer._task})
    await opened.dispose()
    there = database.execute("SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM legs)")
    assert there in ([(0, 0)], [(1299, 1299)])
    async with await open_store(database.url) as store:
        store.writer.put(batch)
        await store.writer.committed()
    assert (len(database.rows("calls")), len(database.rows("legs"))) == (1299, 1299)


_WRITES_FOR_EVER = """
import asyncio, sys
from store import open_store
from tests.store import made

async def main():
    store = await open_store(sys.argv[1])
    for n in range(1_000_000):
        store.writer.put([made.call(n), made.leg(n)])
        await store.writer.committed()
        print(n, flush=True)

asyncio.run(main())
"""


async def test_a_killed_process_loses_nothing_that_was_committed(database: Database) -> None:
    """After kill -9 every fact whose commit was awaited is there, and the next start goes on writing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WRITES_FOR_EVER, database.url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(30):
        last = int(await process.stdout.readline())
    process.kill()
    rest = (await process.communicate())[0].split(b"\n")
    last = max([last, *(int(line) for line in rest[:-1])])
    async with await open_store(database.url) as store:
        store.writer.put([made.call(-1)])
        await store.writer.committed()
        there = {one.id for one in (await store.queries.calls(limit=1000)).items}
    assert {made.call(n).id for n in range(-1, last + 1)} <= there
    assert len(database.rows("legs")) == len(there) - 1


async def test_a_clean_shutdown_loses_nothing(database: Database) -> None:
    """Whatever was put before `close` is written by it; closing again does nothing."""
    store = await open_store(database.url)
    store.writer.put(made.call(n) for n in range(5000))
    await store.close()
    await store.close()
    assert len(database.rows("calls")) == 5000


async def test_a_shutdown_without_database_ends_in_time_and_says_what_is_lost(database: Database) -> None:
    """With the database away a shutdown ends within its time and says how much could not be written, and why."""
    store = await open_store(database.url)
    with database.locked():
        store.writer.put([made.call(1), made.call(2)])
        start = time.monotonic()
        with pytest.raises(StoreError, match=r"2 facts could not be written within 0\.3 s"):
            await store.close(timeout=0.3)
        assert time.monotonic() - start < 5
    store.writer.put([made.call(3)])
    assert store.writer.stats.dropped == 3
    with pytest.raises(StoreError, match="closed"):
        await store.writer.committed()


async def test_memory_is_bounded_and_what_no_book_has_is_kept(database: Database) -> None:
    """With the database away the oldest parts go first and are counted; incidents, faults and work items never go."""
    async with await open_store(database.url) as opened:
        writer = Writer(transactor(opened._database), opened._database.url, limit=200, window=0.0)
        with database.locked():
            writer.put([made.incident(), made.fault(), made.work_item(), made.episode()])
            for n in range(1, 400):
                writer.put([made.call(n), made.leg(n, ended_at=made.T0 + n)])
            stats = writer.stats
            assert stats.queued <= 2 * 200
            assert stats.dropped + stats.queued == 4 + 2 * 399
        await writer.committed()
        await writer.close()
        assert [
            len(database.rows(table)) for table in ("incidents", "faults", "work_items", "away_episodes")
        ] == [1] * 4
        assert len(database.rows("legs")) < len(database.rows("calls"))


@pytest.mark.parametrize(
    ("bad", "kept"),
    [
        (made.call(2, caller_name="half \ud83d"), "half ?"),
        (made.call(2, hangup_cause=10**30, caller_name="huge"), "huge"),
    ],
)
async def test_what_no_database_takes_is_mended(store: Store, bad: Call, kept: str) -> None:
    """A value that no database takes costs that value, not its record, and never the batch."""
    store.writer.put([made.call(1), bad, made.call(3)])
    await store.writer.committed()
    names = {one.id: one.caller_name for one in (await store.queries.calls()).items}
    assert len(names) == 3
    assert names[bad.id] == kept
    assert store.writer.stats.refused == 0


async def test_what_cannot_be_mended_is_refused_alone(store: Store) -> None:
    """A fact that cannot be stored at all is counted and logged; its batch is written."""
    store.writer.put([made.call(1), made.call(2, started_at=float("nan")), made.call(3)])
    await store.writer.committed()
    assert len((await store.queries.calls()).items) == 2
    stats = store.writer.stats
    assert (stats.refused, stats.in_trouble, stats.queued) == (1, False, 0)
    assert "cannot convert float NaN" in stats.last_error


async def test_a_failing_callback_does_not_stop_the_writer(database: Database) -> None:
    """The writer outlives an error of whoever listens to its troubles."""

    def on_trouble(_begins: bool, _detail: str) -> None:
        raise RuntimeError("listener")

    async with await open_store(database.url, on_trouble=on_trouble) as store:
        with database.locked():
            store.writer.put([made.call()])
            await until(lambda: store.writer.stats.retries)
        await store.writer.committed()
    assert len(database.rows("calls")) == 1


async def test_rows_follow_their_events_within_half_a_second(store: Store, database: Database) -> None:
    """A fact put into an idle store is a row soon, without anybody asking for it."""
    took = []
    for n in range(5):  # the best of some: a busy machine may stand still for as long
        written, start = store.writer.stats.written, time.monotonic()
        store.writer.put([made.call(n)])
        await until(lambda before=written: store.writer.stats.written > before)  # type: ignore[misc]  # bound at once
        took.append(time.monotonic() - start)
    assert min(took) < 0.5, took
    assert len(database.rows("calls")) == 5
