"""What one growing file of a book has been found to hold: each byte is read once, and then found again by its time.

A book is not in order of its instants: a CDR row is written when the whole chain of calls it belongs to is over, which
may be hours after the row's own end, and CEL in batches. So the file is kept in mind as blocks of lines with the earliest and
the latest instant of each, and a span of time is answered from every block that may have something of it.

Parsed rows are kept for the newest blocks only, as far as `Kept` allows; others are parsed again when they are asked for.

A row is written at most `Kind.late` seconds after its instant. So a long file is not read whole: where all rows of a block
are older than a span by more than that, everything before was written, and happened, before the span; and where all are
newer by more than that, nothing of the span follows. Small files are read from their beginning.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Generic, TypeVar

from cti.core.books import BadLine

Row = TypeVar("Row")

KEPT = 12 * 1024 * 1024  # bytes of lines whose rows are kept; in memory they take about five times as much
KEPT_FOR = 7_200.0  # s, before the newest row, of which rows are kept
LATE = 86_400.0  # s
BLOCK = 64 * 1024  # bytes
_CHUNK = 16  # blocks of one reading, and the longest line
HEAD, _TAIL = 1024, 64  # bytes by which a file is known again
_SMALL = 16  # blocks; what is smaller is not worth a search
NEWEST = 100  # rows
_BEHIND = 10_000  # rows
_SAMPLES = 3  # bad lines that are shown of one answer


@dataclass(frozen=True, slots=True)
class Kind(Generic[Row]):
    """How the lines of a book are read, what time a row belongs to, and how long after it a row may be written (s)."""

    parse: Callable[[str], Row | BadLine]
    at: Callable[[Row], float]
    late: float = LATE


@dataclass(frozen=True, slots=True)
class BadLines:
    """Lines of a span that could not be read: how many, how many of them never met before, and some of them.

    `after` is the instant of the row that the last of them stands behind; infinite when no row tells.
    """

    count: int = 0
    new: int = 0
    samples: tuple[BadLine, ...] = ()
    after: float = -math.inf

    def __add__(self, other: "BadLines") -> "BadLines":
        """Both."""
        samples = (self.samples + other.samples)[-_SAMPLES:]
        after = max(self.after, other.after)
        return BadLines(self.count + other.count, self.new + other.new, samples, after)


@dataclass(slots=True)
class _Run:
    """Bad lines that follow each other; `near` is the instant of the row before them, None when there is none."""

    near: float | None
    count: int
    samples: list[BadLine]  # the first of them


@dataclass(slots=True, eq=False)
class Block(Generic[Row]):
    """Whole lines of a file, from `offset` to before `end`."""

    offset: int
    end: int
    before: float | None  # instant of the last row in front of it
    low: float = math.inf
    high: float = -math.inf
    rows: list[Row] = field(default_factory=list)
    bad: list[_Run] = field(default_factory=list)
    loaded: bool = True
    fixed: bool = False  # one line without an end: neither rows, nor ever read again

    def may_have(self, since: float, until: float) -> bool:
        """Whether something of this span may be in it."""
        return self.low <= until and self.high >= since


class Kept:
    """The blocks whose rows are in memory: those of the last hours, at most `limit` bytes of lines together."""

    def __init__(self, limit: int = KEPT, seconds: float = KEPT_FOR) -> None:
        """Nothing is kept yet; `seconds` are counted back from the newest row."""
        self._limit, self._seconds = limit, seconds
        self._blocks: dict[int, Block[Any]] = {}

    @property
    def size(self) -> int:
        """Bytes of the lines whose rows are kept."""
        return sum(block.end - block.offset for block in self._blocks.values())

    def hold(self, block: Block[Any]) -> None:
        """Keep the rows of this one."""
        self._blocks[id(block)] = block

    def trim(self, since: float = math.inf, until: float = -math.inf) -> None:
        """Let go of what is older than the limits allow; not yet of what an answer about this span needs."""
        size = self.size
        blocks = sorted(self._blocks.values(), key=lambda block: block.high)
        newest = max((block.high for block in blocks if block.high < math.inf), default=-math.inf)
        for block in blocks:
            if size <= self._limit and block.high >= newest - self._seconds:
                return
            if block.may_have(since, until):
                continue
            size -= block.end - block.offset
            self.forget([block])

    def forget(self, blocks: Iterable[Block[Any]]) -> None:
        """Let go of these."""
        for block in blocks:
            if self._blocks.pop(id(block), None) is not None and not block.fixed:
                block.rows, block.bad, block.loaded = [], [], False


class Index(Generic[Row]):
    """One file's content; it stays what it is when the file is renamed, copied or packed."""

    def __init__(self, kind: Kind[Row], kept: Kept, head: bytes, *, block: int = BLOCK) -> None:
        """Of the file that begins with `head`; nothing is read yet."""
        self.head = head
        self.newest: deque[Row] = deque(maxlen=NEWEST)  # of those that were written last
        self.behind: deque[Row] = deque(
            maxlen=_BEHIND
        )  # read since this was cleared, and older than what was asked for
        self.new_bad = 0  # met since this was last set to 0, of the span asked for or later
        self._kind, self._kept, self._block_size = kind, kept, block
        self._chunk = _CHUNK * block
        self._blocks: list[Block[Row]] = []
        self._end = 0
        self._tail = b""
        self._wanted = math.inf  # spans from then on are covered
        self._last: float | None = None
        self._endless = False  # inside a line longer than a chunk
        self._cut: tuple[int, BadLines] | None = None  # what stands behind `_end` that is no line

    # -- is it this file?

    def resembles(self, head: bytes) -> bool:
        """Whether a file that begins like this has the same content, as far as can be told from there."""
        length = min(len(head), len(self.head))
        return length > 0 and head[:length] == self.head[:length]

    def continues_in(self, stream: BinaryIO) -> bool:
        """Whether everything that was read stands there still."""
        stream.seek(self._end - len(self._tail))
        return stream.read(len(self._tail)) == self._tail

    def grow_head(self, head: bytes) -> None:
        """A longer beginning is known now."""
        self.head = max(self.head, head, key=len)

    # -- reading

    def covers(self, since: float) -> bool:
        """Whether what was read begins early enough."""
        return since >= self._wanted

    def cover(self, stream: BinaryIO, since: float, until: float, *, searchable: bool) -> None:
        """Read what is not known yet and may have something of this span.

        Args:
            stream: the file.
            since: begin of the span.
            until: behind rows that are all too long after it nothing is looked for.
            searchable: whether going to and fro in it is cheap.
        """
        if not self.covers(since):
            begin = self._begin(stream, since) if searchable and since > -math.inf else 0
            if not self._blocks:
                self._end = begin
            elif begin < self._blocks[0].offset:
                self._read_front(stream, begin, since, until)
            self._wanted = since if begin else -math.inf
        while not (self._blocks and self._blocks[-1].low > until + self._kind.late) and self._read_on(
            stream, since
        ):
            self._kept.trim(since, until)

    def _read_front(self, stream: BinaryIO, begin: int, since: float, until: float) -> None:
        """Read what lies before the first block; it is as if that had been read first."""
        front = Index(self._kind, self._kept, self.head, block=self._block_size)
        front._end = begin
        while front._end < self._blocks[0].offset:
            length = min(self._chunk, self._blocks[0].offset - front._end)
            if not front._read_on(stream, since, length):
                break
            self._kept.trim(since, until)
        self.new_bad += front.new_bad
        self._blocks[:0] = front._blocks

    def _read_on(self, stream: BinaryIO, since: float, length: int | None = None) -> bool:
        """Take the next whole lines; returns whether there were any."""
        stream.seek(self._end)
        data = stream.read(length or self._chunk)
        used = data.rfind(b"\n") + 1
        if not used and len(data) < self._chunk:
            return False
        if self._endless or not used:
            used = self._through_endless_line(data)
        else:
            self._take(data[:used], since)
        self._tail = (self._tail + data[max(0, used - _TAIL) : used])[-_TAIL:]
        self._end += used
        return True

    def _through_endless_line(self, data: bytes) -> int:
        """Pass over a line that is longer than a chunk; returns the bytes passed over."""
        used = data.find(b"\n") + 1
        if not self._endless:
            run = _Run(self._last, 1, [BadLine(_text(data[:500]), "too long")])
            block: Block[Row] = Block(self._end, self._end, self._last, bad=[run], fixed=True)
            self._settle(block)
            self._blocks.append(block)
            self.new_bad += 1
        self._endless = not used
        self._blocks[-1].end += used or len(data)
        return used or len(data)

    def _take(self, data: bytes, since: float) -> None:
        offset = self._end
        for line in data.split(b"\n")[:-1]:
            block = self._open_block(offset)
            offset += len(line) + 1
            block.end = offset
            row = self._put(block, line, self._last)
            if isinstance(row, BadLine):
                self.new_bad += self._last is None or self._last >= since
            elif row is not None:
                self._last = self._kind.at(row)
                self.newest.append(row)
                if self._last < since:
                    self.behind.append(row)
        self._settle(self._blocks[-1])

    def _open_block(self, offset: int) -> Block[Row]:
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.fixed or not last.loaded or last.end - last.offset >= self._block_size:
            if last is not None and last.loaded:
                self._settle(last)
            last = Block(offset, offset, self._last)
            self._blocks.append(last)
            self._kept.hold(last)
        return last

    def _put(self, block: Block[Row], line: bytes, near: float | None) -> Row | BadLine | None:
        """Put a line into a block; returns what it is, None when it is empty."""
        if not line.strip():
            return None
        row = self._kind.parse(_text(line))
        if not isinstance(row, BadLine):
            block.rows.append(row)
        elif block.bad and block.bad[-1].near == near:
            block.bad[-1].count += 1
            if len(block.bad[-1].samples) < _SAMPLES:
                block.bad[-1].samples.append(row)
        else:
            block.bad.append(_Run(near, 1, [row]))
        return row

    def _settle(self, block: Block[Row]) -> None:
        """Find the time of a block; bad lines before its first row, and before every other, belong to that row."""
        ats = [self._kind.at(row) for row in block.rows]
        for run in block.bad:
            if run.near is None and ats:
                run.near = ats[0]
        nears = [run.near for run in block.bad]
        known = [*ats, *(near for near in nears if near is not None)]
        anytime = None in nears
        block.low = -math.inf if anytime else min(known, default=math.inf)
        block.high = math.inf if anytime else max(known, default=-math.inf)

    def _begin(self, stream: BinaryIO, since: float) -> int:
        """The begin of a line before which nothing of a time from `since` on can stand."""
        low, high = 0, stream.seek(0, os.SEEK_END)
        while high - low > _SMALL * self._block_size:
            middle = (low + high) // 2
            stream.seek(middle)
            first = len(stream.readline(self._chunk))
            probe: Block[Row] = Block(middle, middle, None)
            for line in stream.read(self._block_size).split(b"\n")[:-1]:
                self._put(probe, line, None)
            self._settle(probe)
            if probe.rows and probe.high < since - self._kind.late:
                low = middle + first
            else:
                high = middle
        return low

    # -- answering

    def answer(
        self, stream: Callable[[], BinaryIO], since: float, until: float
    ) -> tuple[list[Row], BadLines]:
        """Rows of [since, until], in the file's order, and the bad lines beside them; `stream` opens the file if need be."""
        rows: list[Row] = []
        bad = BadLines(new=self.new_bad)
        self.new_bad = 0
        for block in self._blocks:
            if block.may_have(since, until):
                self._load(block, stream)
                rows += [row for row in block.rows if since <= self._kind.at(row) <= until]
                for run in block.bad:
                    if run.near is None or since <= run.near <= until:
                        bad += BadLines(
                            run.count, 0, tuple(run.samples), math.inf if run.near is None else run.near
                        )
        self._kept.trim()
        return rows, bad

    def _load(self, block: Block[Row], stream: Callable[[], BinaryIO]) -> None:
        if block.loaded:
            return
        file = stream()
        file.seek(block.offset)
        near = block.before
        for line in file.read(block.end - block.offset).split(b"\n")[:-1]:
            row = self._put(block, line, near)
            near = near if row is None or isinstance(row, BadLine) else self._kind.at(row)
        block.loaded = True
        self._settle(block)
        self._kept.hold(block)

    def cut_off(self, stream: Callable[[], BinaryIO]) -> BadLines:
        """The last line of a file that is written no more, when it has no end; `stream` opens the file if need be."""
        if self._cut is None or self._cut[0] != self._end:
            file = stream()
            file.seek(self._end)
            rest = file.read(500)
            lines = (BadLine(_text(rest), "cut off at the end of the file"),) if rest.strip() else ()
            self._cut = self._end, BadLines(len(lines), 0, lines)
            return replace(self._cut[1], new=len(lines))
        return self._cut[1]

    def forget(self) -> None:
        """Let go of every row."""
        self._kept.forget(self._blocks)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "replace")
