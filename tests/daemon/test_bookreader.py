"""Books on a real disk, read while they are written, rotated, cut and damaged."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cti.core.books import BadLine, QueueRow, parse_queue_line
from cti.daemon.bookreader import Batch, BookReader, BookUnreadable, Position


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue_log"


def line(number: int) -> str:
    return f"{number}|1.{number}|sales|NONE|ENTERQUEUE||王伟|1\n"


def write(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def make_directory(path: Path) -> None:
    path.mkdir()


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


Make = Callable[..., BookReader[QueueRow]]


@pytest.fixture
def reader() -> Iterator[Make]:
    made: list[BookReader[QueueRow]] = []

    def make(path: Path, *, start: Position | None = None, chunk: int = 4096) -> BookReader[QueueRow]:
        made.append(BookReader(path, parse_queue_line, start=start, chunk=chunk))
        return made[-1]

    yield make
    for book in made:
        book.close()


def seen(batch: Batch[QueueRow]) -> list[int]:
    return [int(row.at) for row in batch.rows]


async def test_what_was_added_since_the_last_read(path: Path, reader: Make) -> None:
    """Each read brings only what is new, whole and in order."""
    book = reader(path)
    write(path, line(1) + line(2))
    assert seen(await book.read()) == [1, 2]
    assert seen(await book.read()) == []
    write(path, line(3))
    batch = await book.read()
    assert seen(batch) == [3]
    assert batch.rows[0].data[1] == "王伟"


async def test_a_line_being_written_is_left_for_the_next_read(path: Path, reader: Make) -> None:
    """A truncated last line is neither lost nor taken for a whole one, not even inside a character."""
    book = reader(path)
    whole = (line(1) + line(2)).encode()
    cut = len(line(1).encode()) + whole[len(line(1).encode()) :].index("王".encode()) + 1
    write(path, whole[:cut])
    assert seen(await book.read()) == [1]
    write(path, whole[cut:])
    batch = await book.read()
    assert (seen(batch), batch.bad) == ([2], ())


async def test_a_book_that_does_not_exist_yet_is_empty(path: Path, reader: Make) -> None:
    """Asterisk makes the file with its first line; until then there is nothing, and no error."""
    book = reader(path)
    assert seen(await book.read()) == []
    assert book.position is None
    write(path, line(1))
    assert seen(await book.read()) == [1]


async def test_rotation_by_renaming_loses_nothing(path: Path, reader: Make) -> None:
    """Lines written to the old file before and after its renaming are read, then the new file."""
    book = reader(path)
    write(path, line(1))
    assert seen(await book.read()) == [1]
    write(path, line(2))
    old = rename(path, "queue_log.1")
    write(old, line(3))
    assert seen(await book.read_to_end()) == [2, 3]
    write(old, line(4))
    write(path, line(5))
    assert seen(await book.read_to_end()) == [4, 5]
    assert seen(await book.read_to_end()) == []


async def test_a_line_cut_off_by_rotation_is_a_bad_line(path: Path, reader: Make) -> None:
    """The last line of a file nobody writes any more, without its end, is counted and not believed."""
    book = reader(path)
    write(path, line(1) + "2|1.2|sales|2001|COMPLETECALLER|1|2")
    assert seen(await book.read()) == [1]
    rename(path, "queue_log.1")
    write(path, line(3))
    batch = await book.read_to_end()
    assert seen(batch) == [3]
    [bad] = batch.bad
    assert bad.why == "cut off at the end of the file"


async def test_rotation_by_cutting_begins_again(path: Path, reader: Make) -> None:
    """copytruncate: a file shorter than what was read is read from its beginning."""
    book = reader(path)
    write(path, line(1) + line(2))
    assert seen(await book.read()) == [1, 2]
    os.truncate(path, 0)
    write(path, line(3))
    assert seen(await book.read()) == [3]


async def test_a_new_reader_continues_where_another_stood(path: Path, reader: Make) -> None:
    """After a restart the book is read on, also when it was rotated meanwhile."""
    book = reader(path)
    write(path, line(1))
    await book.read()
    book.close()
    position = book.position
    write(path, line(2))
    rename(path, "queue_log-20260101")
    write(path, line(3))
    later = reader(path, start=position)
    assert seen(await later.read_to_end()) == [2, 3]


async def test_a_book_that_is_gone_is_read_anew(path: Path, reader: Make) -> None:
    """When the file of the old position no longer exists anywhere, the present one is read from its beginning."""
    write(path, line(1) + line(2))
    book = reader(path)
    await book.read()
    book.close()
    rename(path, "inode-keeper")
    write(path, line(3))
    later = reader(path, start=book.position)
    assert seen(await later.read_to_end()) == [3]


async def test_garbage_is_counted_and_skipped(path: Path, reader: Make) -> None:
    """Damaged lines and bytes that are no text hide no other line."""
    write(path, line(1).encode() + b"\x00\xff\xfe garbage\n\r\n\n" + line(2).replace("\n", "\r\n").encode())
    batch = await reader(path).read()
    assert seen(batch) == [1, 2]
    assert batch.rows[1].data[-1] == "1"
    assert all(isinstance(bad, BadLine) for bad in batch.bad)
    assert len(batch.bad) == 1


async def test_an_endless_line_does_not_eat_the_memory(path: Path, reader: Make) -> None:
    """A line longer than a chunk is one bad line, and reading goes on behind it."""
    write(path, line(1) + "x" * 1000 + "\n" + line(2))
    batch = await reader(path, chunk=100).read_to_end()
    assert seen(batch) == [1, 2]
    assert [bad.why for bad in batch.bad] == ["too long"]


async def test_a_big_book_comes_in_chunks(path: Path, reader: Make) -> None:
    """A read takes a bounded piece and says that there is more."""
    write(path, "".join(line(number) for number in range(1, 21)))
    book = reader(path, chunk=200)
    first = await book.read()
    assert first.more
    rest = await book.read_to_end()
    assert seen(first) + seen(rest) == list(range(1, 21))


async def test_a_book_that_cannot_be_read_says_so(path: Path, reader: Make) -> None:
    """The error names the file and the cure."""
    make_directory(path)
    with pytest.raises(BookUnreadable, match=r"cannot read .*queue_log: .*usermod"):
        await reader(path).read()


async def test_reading_does_not_block_the_loop(tmp_path: Path, reader: Make) -> None:
    """A book on a disk that hangs (here: a pipe nobody writes) leaves the event loop running."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = asyncio.create_task(reader(pipe).read())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    opened = threading.Thread(target=lambda: pipe.open("wb").close())
    opened.start()
    with pytest.raises(BookUnreadable):
        await asyncio.wait_for(reading, 5)
    opened.join()
