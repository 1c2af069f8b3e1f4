"""Playing a recording, or a piece of it, over finished records changes nothing (B1)."""

import gzip
from pathlib import Path

import pytest

from cti.core.core import Core
from cti.daemon.replay import Unsettled, replay
from store import open_store
from store.tables import metadata
from tests.core.recorded_calls import plain_names, recorded
from tests.core.shadow import Shadow
from tests.scenarios.judge import RULES
from tests.scenarios.run import FIXTURES
from tests.store.databases import Rows, SqliteFile

HEARD = ("attended_then_blind", "queue_became_empty", "recorded_and_paused")


@pytest.fixture
def database(tmp_path: Path) -> SqliteFile:
    """A file that the first opening makes."""
    return SqliteFile(tmp_path / "cti.sqlite3", tmp_path)


def rows(database: SqliteFile) -> dict[str, Rows]:
    """Every row of every table."""
    return {table.name: database.rows(table.name) for table in metadata.sorted_tables}


def changed(before: dict[str, Rows], after: dict[str, Rows]) -> dict[str, set[object]]:
    """Rows that are not in both."""
    return {name: set(after[name]) ^ set(before[name]) for name in before if after[name] != before[name]}


async def test_a_recording_that_was_cut_off(database: SqliteFile, tmp_path: Path) -> None:
    """`cti replay` of the first part of a file, however long, over what the whole file gave."""
    for name in HEARD:
        whole = gzip.decompress((FIXTURES / f"{name}.ami.gz").read_bytes())
        part = tmp_path / "part.ami"
        part.write_bytes(whole)
        await replay(part, database_url=database.url, pbx=name, rules=RULES)
        before = rows(database)
        for percent in (90, 60, 35):
            part.write_bytes(whole[: len(whole) * percent // 100])
            await replay(part, database_url=database.url, pbx=name, rules=RULES)
        assert changed(before, rows(database)) == {}


async def test_a_recording_that_was_begun_in_the_middle(database: SqliteFile) -> None:
    """It finds channels, members and waiting callers in lists, knows less of them, and nothing of it is written."""
    async with await open_store(database.url) as store:
        for name in plain_names():
            core, whole = Core(name, RULES), Unsettled(store)
            for event in recorded(name):
                whole.take(core.step(event).facts)
            await whole.write()
        before = rows(database)
        for name in plain_names():
            events = recorded(name)
            for begin in (len(events) // 3, 2 * len(events) // 3):
                core, part = Core(name, RULES), Unsettled(store)
                login = Shadow(events[:begin]).resynced(events[begin - 1].at + 1e-5)
                for event in (login, *events[begin:]):
                    part.take(core.step(event).facts)
                await part.write()
        after = rows(database)
    assert len(before["calls"]) >= len(plain_names())
    assert changed(before, after) == {}
