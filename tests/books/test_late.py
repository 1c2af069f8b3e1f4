"""B3, B4: what comes into the books late is still found, and books that cannot be read are asked for ever more rarely."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.sections import PbxSettings
from cti.core.books import CdrRow, parse_cdr_line
from cti.core.facts import Link
from cti.daemon.bookkeeper import Bookkeeper, wait_after
from cti.daemon.books import Books
from store import open_store
from tests.daemon.test_bookkeeper import BEGAN, ENDED, RULES, SESSION, Kept


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    async with await open_store(f"sqlite+aiosqlite:///{tmp_path}/db.sqlite3") as store:
        yield Kept(store, tmp_path)


async def test_a_call_that_comes_late_is_filled_in(kept: Kept) -> None:
    """Its time was judged already: it is put on record all the same, once, and nothing else changes."""
    rows = [
        row
        for row in map(parse_cdr_line, (SESSION / "cdr.csv").read_text().splitlines())
        if isinstance(row, CdrRow)
    ]
    groups = [row.group for row in rows]
    late = next(group for group in groups if groups.count(group) == 1)
    for path in kept.paths.values():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if late not in line))
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    before = await kept.calls()
    assert f"main-{late}" not in {call.id for call in before}
    for whole in kept.paths.values():
        shutil.copyfile(SESSION / whole.name, whole)
    kept.now += 120
    await kept.keeper.round()
    after = await kept.calls()
    assert {call.id for call in after} - {call.id for call in before} == {f"main-{late}"}
    assert [call for call in after if call.id != f"main-{late}"] == before
    kept.now += 120
    await kept.keeper.round()
    assert await kept.calls() == after


async def test_a_row_that_is_written_hours_later_is_filled_in(kept: Kept) -> None:
    """Without CEL only the CDR knows an unseen call, whose row waits until all that it is tied to is over."""
    kept.keeper = kept.made(cel_csv=None)
    path = kept.paths["cdr_csv"]
    whole = path.read_text().splitlines(keepends=True)
    rows = [row for row in map(parse_cdr_line, whole) if isinstance(row, CdrRow)]
    groups = [row.group for row in rows]
    late = next(group for group in groups if groups.count(group) == 1)
    path.write_text("".join(line for line in whole if late not in line))
    await kept.put(Link("main", up=True, at=BEGAN - 10))
    await kept.keeper.restore()
    kept.keeper.take([Link("main", up=True, at=ENDED)])
    await kept.keeper.round()
    for _ in range(2):
        kept.now += 3 * 3600
        await kept.keeper.round()
    before = await kept.calls()
    assert f"main-{late}" not in {call.id for call in before}
    with path.open("a") as book:
        book.write("".join(line for line in whole if late in line))
    kept.now += 60
    await kept.keeper.round()
    after = await kept.calls()
    assert {call.id for call in after} - {call.id for call in before} == {f"main-{late}"}
    kept.now += 60
    await kept.keeper.round()
    assert await kept.calls() == after


async def test_unreadable_books_are_said_even_when_there_is_nothing_to_compare(
    kept: Kept, tmp_path: Path
) -> None:
    """Without a link and without a gap it is still known whether the books can be read, and told each time."""
    told: list[str] = []
    settings = PbxSettings.model_construct(
        queue_log=tmp_path / "no/queue_log", cdr_csv=tmp_path / "c", cel_csv=None
    )
    keeper = Bookkeeper(
        "main", RULES, Books(settings), kept.store.queries, kept.store.writer, now=lambda: kept.now, readable=told.append
    )  # fmt: skip
    assert "not been read yet" in keeper.status.unverified
    assert "the directory does not exist" in (await keeper.round()).unverified
    (tmp_path / "no").mkdir()
    assert (await keeper.round()).unverified == ""
    assert ["directory" in why for why in told] == [True, False]


def test_a_failure_is_tried_again_ever_more_rarely() -> None:
    """Growing, never together with others, and at least once a minute."""
    assert all(1 <= wait_after(1) <= 2 for _ in range(50))
    assert all(4 <= wait_after(3) <= 8 for _ in range(50))
    assert all(30 <= wait_after(1000) <= 60 for _ in range(50))
    assert len({wait_after(5) for _ in range(20)}) > 1
