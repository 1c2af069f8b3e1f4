"""Books on a real disk, read while they are written, rotated, cut and damaged (B3, B4)."""

import gzip
import os
import random
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core.books import BadLine, QueueRow, parse_queue_line
from cti.daemon.bookindex import Kept, Kind
from cti.daemon.bookreader import Batch, BookReader, BookUnreadable

DAY = 86_400
LATE = 7 * DAY
T0 = 1_700_000_000


class Counting:
    """A queue_log's kind that knows how many lines were parsed."""

    def __init__(self) -> None:
        self.parsed = 0
        self.kind: Kind[QueueRow] = Kind(self._parse, lambda row: row.at, LATE)

    def _parse(self, line: str) -> QueueRow | BadLine:
        self.parsed += 1
        return parse_queue_line(line)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue_log"


def line(number: int) -> str:
    return f"{number}|1.{number}|sales|NONE|ENTERQUEUE||王伟|1\n"


def lines(numbers: Iterable[int]) -> str:
    return "".join(map(line, numbers))


def write(path: Path, text: str | bytes) -> None:
    with path.open("ab") as file:
        file.write(text if isinstance(text, bytes) else text.encode())


def rename(path: Path, name: str) -> Path:
    return path.rename(path.with_name(name))


def reader(path: Path, kept: int = 1 << 20, block: int = 256) -> BookReader[QueueRow]:
    return BookReader(path, Counting().kind, Kept(kept), block=block)


def seen(batch: Batch[QueueRow]) -> list[int]:
    return [int(row.at) for row in batch.rows]


# --- the span ---------------------------------------------------------------------------------------------------------


class Scribe:
    """Writes a book as a PBX and its logrotate do, and knows what must be found in it."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.chance, self.clock = path, random.Random(seed), T0
        self.rows: list[int] = []
        self.garbage = self.number = 0
        self._rest = ""  # of a row of which the first half is written

    def write(self, rows: int) -> None:
        """Rows up to a week late."""
        for _ in range(rows):
            self.finish()
            write(self.path, self._row())

    def begin(self, _: int) -> None:
        """The first half of a row."""
        self.finish()
        row = self._row()
        at = self.rows.pop()
        half = self.chance.randrange(1, 10)
        write(self.path, row[:half])
        self._rest, self._at = row[half:], at

    def finish(self) -> None:
        """The second half."""
        if self._rest:
            write(self.path, self._rest)
            self.rows.append(self._at)
        self._rest = ""

    def rubbish(self, count: int) -> None:
        """Also in the midst of a row, which is lost then."""
        self.number += 1
        write(self.path, f"rubbish {self.number}\n" * count)
        self._rest = ""
        self.garbage += count

    def _row(self) -> str:
        self.clock += self.chance.randrange(0, 2_000)
        late = self.chance.choice((0, 0, 0, 5, 3_600, self.chance.randrange(0, LATE)))
        self.number += 1
        self.rows.append(self.clock - late)
        return f"{self.rows[-1]}|1.{self.number}|{'x' * self.chance.randrange(99)}|NONE|ENTERQUEUE||138|1\n"

    def _next_name(self) -> Path:
        self.finish()
        self.number += 1
        return self.path.with_name(f"queue_log-{self.number:06}")

    def rename(self, _: int) -> None:
        """A file that is not there is not rotated."""
        if self.path.exists():
            self.path.rename(self._next_name())

    def pack(self, _: int) -> None:
        """Renamed, and packed at once."""
        if self.path.exists():
            target = self.path.rename(self._next_name())
            target.with_name(target.name + ".gz").write_bytes(gzip.compress(target.read_bytes()))
            target.unlink()

    def copytruncate(self, _: int) -> None:
        """Asterisk keeps the file open."""
        if self.path.exists():
            shutil.copyfile(self.path, self._next_name())
            os.truncate(self.path, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 60)),
        st.tuples(st.just("rubbish"), st.integers(1, 5)),
        st.tuples(st.sampled_from(("begin", "rename", "copytruncate", "pack")), st.just(0)),
        st.tuples(st.just("read"), st.integers(0, 9 * DAY)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 2**32), kept=st.sampled_from((0, 2_000, 1 << 20)))
def test_any_span_of_rows_written_in_any_order_comes_back_whole(
    steps: list[tuple[str, int]], seed: int, kept: int
) -> None:
    """Rows up to a week late, garbage, rotation of every kind, a line being written, little memory: none lost or doubled.

    And each garbage line is counted once, by its place, however often it was read.
    """
    with tempfile.TemporaryDirectory() as directory:
        scribe = Scribe(Path(directory) / "queue_log", seed)
        book = reader(scribe.path, kept)
        counted = 0
        for what, size in [*steps, ("read", 9 * DAY), ("read", 0)]:
            if what != "read":
                getattr(scribe, what)(size)
                continue
            until = scribe.clock - scribe.chance.choice((0, 0, size))
            batch = book.read_now(until - size, until)
            assert seen(batch) == sorted(at for at in scribe.rows if until - size <= at <= until)
            counted += batch.bad.new
        scribe.finish()
        final = book.read_now()
        assert seen(final) == sorted(scribe.rows)
        assert final.bad.count == scribe.garbage
        assert counted + final.bad.new <= scribe.garbage


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 600),
    spans=st.lists(st.tuples(st.integers(0, 60 * DAY), st.integers(0, 10 * DAY)), min_size=1, max_size=6),
)
def test_a_long_book_is_searched_without_losing_late_rows(
    seed: int, count: int, spans: list[tuple[int, int]]
) -> None:
    """Weeks of a book, begun in its midst: whatever span is asked for first, and whichever next."""
    chance = random.Random(seed)
    written: list[int] = []
    clock = T0
    while len(written) < count:
        late = chance.choice((0, 0, 7_200, LATE - 1))  # a chain's rows come together
        for _ in range(chance.randrange(1, 15)):
            clock += chance.randrange(0, 60 * DAY // 300)
            written.append(clock - late)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "queue_log"
        path.write_text(lines(written))
        os.utime(path, (clock, clock))
        book = reader(path)
        for begin, length in spans:
            since, until = T0 + begin, T0 + begin + length
            assert seen(book.read_now(since, until)) == sorted(at for at in written if since <= at <= until)
        write(path, line(clock - 100) + line(clock + 5))
        assert seen(book.read_now(clock + 1, clock + 9)) == [clock + 5]
        assert seen(book.read_now()) == sorted([*written, clock - 100, clock + 5])


# --- only what is new -------------------------------------------------------------------------------------------------


def test_each_line_is_parsed_once_while_the_book_grows(path: Path) -> None:
    """The bookkeeper asks for the last hour each minute: what it had already is not read again."""
    counting = Counting()
    book = BookReader(path, counting.kind, Kept(), block=1024)
    for minute in range(120):
        write(path, lines(range(T0 + minute * 60, T0 + minute * 60 + 60, 6)))
        now = T0 + minute * 60 + 59
        assert len(book.read_now(now - 3600, now).rows) == min(600, (minute + 1) * 10)
    assert counting.parsed == 1200


def test_what_is_written_long_after_its_time_is_told_once(path: Path) -> None:
    """Rows older than every span that is still asked for: each comes once, whether logrotate was there or not."""
    book = reader(path)
    write(path, lines(range(T0, T0 + 50)))
    assert book.read_now(T0 + 40, T0 + 60).behind == ()
    write(path, line(T0 + 3) + line(T0 + 55))
    assert [row.at for row in book.read_now(T0 + 40, T0 + 60).behind] == [T0 + 3]
    assert book.read_now(T0 + 40, T0 + 60).behind == ()
    assert book.read_now(T0, T0 + 60).behind == ()
    rename(path, "queue_log.1")
    write(path, line(T0 + 70) + line(T0 + 7))
    assert [row.at for row in book.read_now(T0 + 60, T0 + 90).behind] == [T0 + 7]


def test_a_rotated_book_is_not_parsed_again(path: Path) -> None:
    """It is the same content under whatever name: renamed, copied or packed."""
    counting = Counting()
    book = BookReader(path, counting.kind, block=512)
    write(path, lines(range(1, 101)) + "rubbish\n")
    assert book.read_now().bad.new == 1
    old = rename(path, "queue_log.1")
    write(path, lines(range(101, 110)))
    assert seen(book.read_now()) == list(range(1, 110))
    with gzip.open(path.with_name("queue_log.1.gz"), "wb") as packed:
        packed.write(old.read_bytes())
    assert seen(book.read_now()) == list(range(1, 110))  # both are there for a moment
    old.unlink()
    assert seen(book.read_now()) == list(range(1, 110))
    assert (book.read_now().bad.count, book.read_now().bad.new) == (1, 0)
    assert counting.parsed == 110


def test_a_long_book_is_not_read_whole(path: Path) -> None:
    """A year of an unrotated book costs a search and a week."""
    counting = Counting()
    path.write_text(lines(range(T0, T0 + 365 * DAY, DAY // 50)))
    os.utime(path, (T0 + 365 * DAY, T0 + 365 * DAY))
    book = BookReader(path, counting.kind, block=1024)
    end = T0 + 365 * DAY
    assert len(book.read_now(end - 3600, end).rows) == 2
    assert counting.parsed < 18_250 / 10
    # What lies before comes when it is asked for.
    for since in (end - 40 * DAY, T0 + 3 * DAY, T0, end - 5 * DAY):
        assert len(book.read_now(since, since + DAY - 1).rows) == 50
    assert counting.parsed < 18_250 * 1.5


def test_memory_is_bounded(path: Path) -> None:
    """Whatever the book's size, so many bytes of lines are kept as rows: the newest; the others are read again."""
    kept = Kept(10_000)
    counting = Counting()
    book = BookReader(path, counting.kind, kept, block=1024)
    write(path, lines(range(T0, T0 + 5_000)))
    assert len(book.read_now().rows) == 5_000
    assert 0 < kept.size <= 10_000
    assert counting.parsed == 5_000
    assert seen(book.read_now(T0 + 4_990, T0 + 4_999))[0] == T0 + 4_990
    assert counting.parsed == 5_000
    assert seen(book.read_now(T0, T0 + 9)) == list(range(T0, T0 + 10))
    assert 5_000 < counting.parsed < 5_100
    assert kept.size <= 10_000


def test_pure_garbage_is_counted_in_little_memory(path: Path) -> None:
    """A book that is something else: the count is right, and a few lines are kept to be shown."""
    write(path, "some other log\n" * 50_000)
    book = reader(path, block=65_536)
    bad = book.read_now(T0, T0 + 60).bad
    assert (bad.count, bad.new, len(bad.samples)) == (50_000, 50_000, 3)
    assert book.read_now(T0, T0 + 60).bad.new == 0


# --- as it is written -------------------------------------------------------------------------------------------------


def test_a_line_being_written_is_left_for_the_next_look(path: Path) -> None:
    """A truncated last line is neither lost nor taken for a whole one, not even inside a character."""
    book = reader(path)
    whole = lines((1, 2)).encode()
    first = len(line(1).encode())
    cut = first + whole[first:].index("王".encode()) + 1
    write(path, whole[:cut])
    assert seen(book.read_now()) == [1]
    write(path, whole[cut:])
    batch = book.read_now()
    assert (seen(batch), batch.bad.count) == ([1, 2], 0)
    assert batch.rows[1].data[1] == "王伟"


def test_a_book_that_does_not_exist_yet_is_empty(path: Path) -> None:
    """Asterisk makes the file with its first line; until then there is nothing, and it is said to be absent."""
    book = reader(path)
    assert (book.read_now().rows, book.read_now().absent) == ((), True)
    write(path, line(1))
    assert (seen(book.read_now()), book.read_now().absent) == ([1], False)
    rename(path, "queue_log.1")
    assert not book.read_now().absent


def test_lines_added_to_the_renamed_file_are_read(path: Path) -> None:
    """Asterisk writes on into the old file until it is told to open the new one."""
    book = reader(path)
    write(path, line(1))
    assert seen(book.read_now()) == [1]
    old = rename(path, "queue_log.1")
    write(old, line(2))
    assert seen(book.read_now()) == [1, 2]
    write(path, line(4))
    write(old, line(3))
    assert seen(book.read_now()) == [1, 2, 3, 4]


def test_a_line_cut_off_by_rotation_is_a_bad_line(path: Path) -> None:
    """The last line of a file nobody writes any more, without its end, is counted once and not believed."""
    book = reader(path)
    write(path, line(1) + "2|1.2|sales|2001|COMPLETECALLER|1|2")
    rename(path, "queue_log.1")
    assert book.read_now().bad.count == 0
    write(path, line(3))
    batch = book.read_now()
    assert seen(batch) == [1, 3]
    assert [bad.why for bad in batch.bad.samples] == ["cut off at the end of the file"]
    assert (batch.bad.new, book.read_now().bad.new, book.read_now().bad.count) == (1, 0, 1)


@pytest.mark.parametrize("more", [1, 500])
def test_rotation_by_cutting_begins_again(path: Path, more: int) -> None:
    """Copytruncate without its copy: also when the file has grown beyond its old size before the next look."""
    book = reader(path)
    write(path, lines((1, 2, 3)))
    assert seen(book.read_now()) == [1, 2, 3]
    os.truncate(path, 0)
    write(path, lines(range(10, 10 + more)))
    assert seen(book.read_now()) == list(range(10, 10 + more))


def test_a_file_that_was_edited_is_read_again(path: Path) -> None:
    """Lines taken from its end, or changed there."""
    book = reader(path)
    write(path, lines(range(1, 100)))
    assert len(book.read_now().rows) == 99
    path.write_text(lines(range(1, 50)))
    assert seen(book.read_now()) == list(range(1, 50))
    path.write_text(lines([*range(1, 49), 77, 78]))
    assert seen(book.read_now()) == [*range(1, 49), 77, 78]


def test_garbage_is_counted_and_skipped(path: Path) -> None:
    """Damaged lines and bytes that are no text hide no other line."""
    write(path, line(1).encode() + b"\x00\xff\xfe garbage\n\r\n\n" + line(2).replace("\n", "\r\n").encode())
    batch = reader(path).read_now()
    assert seen(batch) == [1, 2]
    assert batch.rows[1].data[-1] == "1"
    assert batch.bad.count == 1


def test_garbage_belongs_to_the_rows_beside_it(path: Path) -> None:
    """What could not be read of a span is told with that span, and not with every other."""
    write(path, "head\n" + line(100) + "rubbish\nrubbish\n" + lines(range(200, 260)) + "end\n")
    book = reader(path)
    for since, until, count in ((100, 100, 3), (0, 99, 0), (150, 220, 0), (200, 300, 1), (0, 500, 4)):
        assert book.read_now(since, until).bad.count == count


def test_an_endless_line_does_not_eat_the_memory(path: Path) -> None:
    """A line of megabytes is one bad line, and reading goes on behind it."""
    write(path, line(1) + "x" * 3_000_000)
    book = reader(path)
    assert (seen(book.read_now()), book.read_now().bad.count) == ([1], 1)
    write(path, "x" * 200_000 + "\n" + line(2))
    batch = book.read_now()
    assert (seen(batch), batch.bad.count, [bad.why for bad in batch.bad.samples]) == ([1, 2], 1, ["too long"])


def test_a_book_that_cannot_be_read_says_so(path: Path) -> None:
    """The error names the file and the cure; so does one for a broken packed file, or a directory that is not there."""
    path.mkdir()
    with pytest.raises(BookUnreadable, match=r"cannot read .*queue_log: it is not a file.*usermod"):
        reader(path).read_now()
    with pytest.raises(BookUnreadable, match="the directory does not exist"):
        reader(path / "no" / "queue_log").read_now()
    path.rmdir()
    path.with_name("queue_log.1.gz").write_bytes(gzip.compress(lines(range(1000)).encode())[:-30])
    with pytest.raises(BookUnreadable, match="cannot read"):
        reader(path).read_now()


def test_a_packed_file_beside_its_source_is_left_alone(path: Path) -> None:
    """Gzip is still writing it."""
    write(path.with_name("queue_log.1"), lines((1, 2)))
    path.with_name("queue_log.1.gz").write_bytes(gzip.compress(lines(range(1000)).encode())[:-30])
    write(path, line(3))
    assert seen(reader(path).read_now()) == [1, 2, 3]
