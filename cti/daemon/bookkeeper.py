"""Keeps the records of one PBX in agreement with its books: fills every gap, then compares, for as long as it runs.

A gap begins with the last thing surely seen (by this process, or by the one before it as the store remembers it) and
ends when the daemon is in step with the PBX again. It is put on record at once and stays open until every call it touched
is over and completed, so that a daemon that dies meanwhile takes it up again. Which lines of the books belong to it is
found by their time, so nothing about the books themselves has to be remembered.

The comparison goes on in windows that follow each other and judges whatever ended in them, once. A call that is missing
although there was no gap counts as a mismatch, and is then filled in all the same. Before each, callers who were turned away
get the queue that did it: AMI does not tell, gap or none.
"""

import asyncio
import contextlib
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from cti.core.backfill import Plan, Rows, of_calls, place, plan, uniqueids
from cti.core.books import CdrRow
from cti.core.comparison import Pages, compare
from cti.core.explained import RULES
from cti.core.facts import AgentState, AwayEpisode, Call, Fact, Gap, Link, Quality, QueueStay
from cti.core.memory import Known
from cti.core.mismatch import Mismatch, MismatchReason, Report
from cti.core.rules import Rules
from cti.daemon.bookfitness import fillable, fitness
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import BookRows, Books
from cti.daemon.latecomers import Latecomers
from store.errors import StoreError

SETTLE = 3.0  # s after which the books have what happened
_EVERY = 60.0  # s between two comparisons
_LAG = 15.0  # s by which they stay behind: a call that ends now is being written by both sides
_TICK = 0.001  # s
_SURELY = 60.0  # s before a lost link in which something may have been missed already
_MARGIN = 5.0  # s read beyond what is asked for
_UNJUDGED = 120.0  # s before its death that a process may have left unjudged
_LOOK_BACK = 3600.0  # s before a window in which a queue pass that ends in it may have begun
_LONGEST = 86_400.0  # s after which a gap is closed although a channel in the books has no end
_RETRY = 2.0, 60.0  # s after a failure: growing from about the first to at most the second
_SAMPLES = 5  # unreadable lines that are shown
_LOGGED = 20  # mismatches of one comparison; the counters have all

log = structlog.get_logger(__name__)


class Records(Protocol):
    """What is asked of the store."""

    async def around(self, pbx: str, uniqueids: Iterable[str], *, since: float, before: float) -> Known:
        """Calls that ended then or have one of these channels."""

    async def seen_between(self, pbx: str) -> tuple[float, float] | None:
        """When the PBX was first heard, and the newest thing on record."""

    async def open_gaps(self, pbx: str) -> tuple[Gap, ...]:
        """Gaps not filled yet."""


class FactWriter(Protocol):
    """What is needed of `store.writer.Writer`."""

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        """Take facts to be written soon."""

    async def committed(self) -> None:
        """Wait until everything put before is durable."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line of a book (by its key in the configuration) that could not be read, as far as it is shown."""

    book: str
    why: str
    line: str


@dataclass(slots=True)
class BooksStatus:
    """How the books of one PBX stand, for health, metrics and the API; counts are since the start."""

    pbx: str
    unverified: str = ""  # why the records cannot be held against the books; "" when they are
    verified_until: float | None = None  # what ended before was compared
    checked: int = 0
    mismatches: Counter[str] = field(default_factory=Counter)  # by reason, those explained left out
    explained: Counter[str] = field(default_factory=Counter)  # by rule
    bad_lines: int = 0
    bad_samples: tuple[Unreadable, ...] = ()  # the last of them
    notes: tuple[str, ...] = ()  # what lacks although the records can be verified
    gaps: int = 0  # not filled yet
    filled: int = 0  # facts written from the books


@dataclass(frozen=True, slots=True)
class Span:
    """One reading of books and records about the same time."""

    books: BookRows
    known: Known
    since: float  # they were read from here on
    until: float  # and so far

    def rows(self) -> Rows:
        """What a plan is made of."""
        return replace(self.books.rows(), since=self.since, until=self.until)


class Bookkeeper:
    """Fills and compares; `take` is a sink for this PBX's facts, `run` the task."""

    def __init__(
        self,
        pbx: str,
        rules: Rules,
        books: Books,
        records: Records,
        writer: FactWriter,
        *,
        now: Callable[[], float],
        seen: Callable[[Sequence[Fact]], None] = lambda _facts: None,
        learned: Callable[[Sequence[AgentState]], None] = lambda _states: None,
        away: Callable[[Sequence[AwayEpisode]], None] = lambda _episodes: None,
        keep: Callable[[Sequence[Fact]], None] = lambda _facts: None,
        reconciled: Callable[[Report, int], None] = lambda _report, _bad: None,
        readable: Callable[[str], None] = lambda _why: None,
        settle: float = SETTLE,
        lag: float = _LAG,
        every: float = _EVERY,
    ) -> None:
        """Make one.

        Args:
            pbx: its name.
            rules: as the live core has them.
            books: where they are read.
            records: the store's queries.
            writer: the store's.
            now: epoch seconds on the PBX's clock.
            seen: gets calls and parts that nobody had seen, and queue stays of which more is known now, for today's figures.
            learned: gets states of agents that nobody had seen, for the live core.
            away: gets what the books know of absences that go on, for the live rule.
            keep: gets what was completed, for a spool that may have it as it was before, and would write that again.
            reconciled: gets each comparison, and how many unreadable lines were met for the first time.
            readable: hears after each round why the books could not be read; "" when they could.
            settle: seconds the books get to have something.
            lag: seconds the comparison stays behind.
            every: seconds between two comparisons.
        """
        self.status = BooksStatus(pbx, unverified="the books have not been read yet")
        self._pbx, self._rules, self._books = pbx, rules, books
        self._records, self._writer = records, writer
        self._now, self._seen, self._learned, self._reconciled = now, seen, learned, reconciled
        self._away, self._keep = away, keep
        self._settle, self._lag, self._every = settle + books.behind, lag + books.behind, every
        self._readable, self._failed = readable, 0  # rounds in a row
        self._gaps: dict[str, Gap] = {}
        self._first_seen: float | None = None  # what was before is not ours to tell
        self._last_seen: float | None = None
        self._lost: tuple[float, str] | None = None
        self._in_step = False
        self._compared_until: float | None = None
        self._untold_bad = 0  # unreadable lines, met since the last comparison
        self._behind: list[CdrRow] = []  # came long after their time, since the last comparison
        self._looked: set[str] = set()  # gaps filled as far as their calls are over
        self._due = 0.0  # when the gaps are to be looked at
        self._latecomers = Latecomers()
        self._wake = asyncio.Event()

    # -- what happens

    async def restore(self, seen: tuple[float, float] | None = None) -> None:
        """Take up what an earlier process left; call it before events arrive. Raises StoreError.

        Args:
            seen: what the store's `seen_between` said before this process put anything there, if that is known.
        """
        self._gaps = {gap.id: gap for gap in await self._records.open_gaps(self._pbx)}
        self.status.gaps = len(self._gaps)
        seen = seen or await self._records.seen_between(self._pbx)
        if seen is not None:
            self._first_seen, self._last_seen = seen

    def take(self, facts: Sequence[Fact]) -> None:
        """Notice gaps, and calls and absences of theirs that are over."""
        for fact in facts:
            match fact:
                case Link(up=False):
                    if self._in_step:
                        self._lost = (fact.at - _SURELY, "overflow" if "overflow" in fact.detail else "link")
                        self._in_step = False
                case Link(up=True):
                    self._back(fact.at)
                case Call(ended_at=float()) if fact.quality is not Quality.COMPLETE:
                    self._look_at(self._now() + self._settle)
                case AwayEpisode() if self._gaps and (fact.ended_at is not None or fact.sources):
                    self._look_at(self._now() + self._settle)

    def _back(self, at: float) -> None:
        if self._in_step:
            return
        began, cause = self._lost or (at, "stopped")
        if self._first_seen is None:
            self._first_seen = at
        if self._lost is None and self._last_seen is not None:
            began = self._last_seen - _SURELY
        # A line of queue_log that is dated to that second may be of later in it.
        began = max(began, math.floor(self._first_seen) - _TICK)
        self._in_step, self._lost = True, None
        gap = Gap(f"{self._pbx}-{at:.6f}", self._pbx, min(began, at), at, cause)
        self._gaps[gap.id] = gap
        self.status.gaps = len(self._gaps)
        self._writer.put([gap])
        self._look_at(at + self._settle)

    def _look_at(self, at: float) -> None:
        self._due = at if not self._due else min(self._due, at)
        self._wake.set()

    async def run(self) -> None:
        """Go on until cancelled; a failure is shown and tried again."""
        while True:
            self._wake.clear()
            await self.round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
                    await asyncio.sleep(max(0.0, min(self._due - self._now(), self._every)))

    def _pause(self) -> float:
        if self._failed:
            return min(wait_after(self._failed), self._every)
        return min(self._every, max(0.05, self._due - self._now())) if self._due else self._every

    async def round(self) -> BooksStatus:
        """Fill what can be filled and compare what can be compared; returns the status, whatever happened."""
        before = self.status.unverified
        try:
            if self._books.any:
                filled, compared = await self._fill(), await self._compare()
                if not (filled or compared):  # whether the books can be read is to be known all the same
                    await self._read(self._now() - _MARGIN, self._now())
            self.status.unverified = self._books.missing
            self._failed = 0
            self._readable("")
        except (BookUnreadable, StoreError) as error:
            self.status.unverified = str(error)
            self._failed += 1
            if isinstance(error, BookUnreadable):
                self._readable(str(error))
        except Exception as error:
            log.exception("bookkeeping_failed", pbx=self._pbx)
            self.status.unverified = f"{type(error).__name__}: {error}"
            self._failed += 1
        self.status.gaps = len(self._gaps)
        if self.status.unverified and self.status.unverified != before:
            log.warning("records_unverified", pbx=self._pbx, reason=self.status.unverified)
        return self.status

    async def _read(self, since: float, until: float) -> BookRows:
        """What the books say of a time; lines that cannot be read are counted and shown."""
        books = await self._books.read(since, until)
        self._behind += books.behind
        for name, lines in books.bad.items():
            if not lines.new:
                continue
            self.status.bad_lines += lines.new
            self._untold_bad += lines.new
            shown = tuple(Unreadable(name, line.why, line.raw) for line in lines.samples)
            self.status.bad_samples = (*self.status.bad_samples, *shown)[-_SAMPLES:]
            last = {"why": shown[-1].why, "line": shown[-1].line} if shown else {}
            log.warning("book_lines_unreadable", pbx=self._pbx, book=name, lines=lines.new, **last)
        return books

    # -- gaps

    async def _fill(self) -> bool:
        """Fill the gaps that are due; returns whether there were any."""
        now = self._now()
        gaps = [gap for gap in self._gaps.values() if gap.ended_at + self._settle <= now]
        self._due = 0.0
        waiting = [gap.ended_at + self._settle for gap in self._gaps.values() if gap not in gaps]
        if waiting:
            self._look_at(min(waiting))
        if not gaps:
            return False
        span = await self._span(min(gap.began_at for gap in gaps), now)
        first = self._first_seen or 0.0
        found = await asyncio.to_thread(
            plan, self._pbx, self._rules, gaps, span.rows(), span.known, not_before=first
        )
        await self._write(found)
        self._looked |= {gap.id for gap in gaps}
        # What the live rule was told is on record only when it has told it in turn.
        waits = found.living or found.ongoing
        over = not waits and fillable(span.books, min(gap.began_at for gap in gaps))
        await self._close([gap for gap in gaps if over or now - gap.ended_at > _LONGEST], now)
        return True

    async def _span(self, since: float, now: float) -> Span:
        """Books and records from a time on, from before the first channel of every call that needs completing."""
        # What happens while nobody listens is for the gap that will be; queue_log has whole seconds.
        until = now if self._lost is None else self._lost[0] + _SURELY - 1.0
        books = await self._read(since - _MARGIN, until)
        names = self._channels(books)
        known = await self._records.around(self._pbx, names, since=since - _MARGIN, before=now)
        begins = [call.started_at for call in known.calls if call.quality is not Quality.COMPLETE]
        first = min([since, *begins])
        if first < since:
            books = await self._read(first - _MARGIN, until)
            known = await self._records.around(
                self._pbx, self._channels(books), since=since - _MARGIN, before=now
            )
        return Span(books, known, first - _MARGIN, until)

    @staticmethod
    def _channels(books: BookRows) -> set[str]:
        return uniqueids(books.rows()) | {row.uniqueid for row in books.cdr or ()}

    async def _write(self, found: Plan) -> None:
        if found.ongoing:
            self._away(found.ongoing)
        if not found:
            return
        self._writer.put(found.new, from_books=True)
        self._writer.put(found.completed)
        self._keep(found.completed)
        await self._writer.committed()
        self.status.filled += len(found.new) + len(found.completed)
        known_now = [one for one in found.completed if isinstance(one, QueueStay) and _told_late(one)]
        self._seen([*(fact for fact in found.new if not isinstance(fact, AgentState)), *known_now])
        self._learned([fact for fact in found.new if isinstance(fact, AgentState)])
        log.info(
            "filled_from_books",
            pbx=self._pbx,
            calls=sum(isinstance(fact, Call) for fact in found.new),
            parts=sum(not isinstance(fact, Call) for fact in found.new),
            completed=len(found.completed),
        )

    async def _close(self, gaps: Iterable[Gap], now: float) -> None:
        closed = [replace(gap, filled_at=now) for gap in gaps]
        if not closed:
            return
        self._writer.put(closed)
        await self._writer.committed()
        for gap in closed:
            self._gaps.pop(gap.id, None)
            log.info(
                "gap_filled", pbx=self._pbx, gap=gap.id, cause=gap.cause, seconds=gap.ended_at - gap.began_at
            )

    # -- comparison

    async def _compare(self) -> bool:
        """Judge what ended since the last time, if it is time; not before the gaps have been looked at."""
        starts = [gap.began_at for gap in self._gaps.values() if gap.id not in self._looked]
        until = min([self._now() - self._lag, *starts])
        if self._compared_until is None:
            begins = [gap.began_at for gap in self._gaps.values()]
            last = until if self._last_seen is None else self._last_seen - _UNJUDGED
            self._compared_until = max(min([last, until, *begins]), self._first_seen or 0.0)
        since = self._compared_until
        if self._books.missing or not self._in_step or until - since < min(1.0, self._every):
            return False
        books, report = await self._judge(since, until)
        self._compared_until = self.status.verified_until = until
        self._count(report)
        missing = {MismatchReason.NOT_IN_RECORDS, MismatchReason.CDR_WITHOUT_CALL, MismatchReason.MISSING}
        wanted = [since] if any(one.reason in missing for one in report.mismatches) else []
        late = self._latecomers.found(books, since - _LOOK_BACK, since)
        if late is not None:
            log.info("books_late", pbx=self._pbx, seconds=self._now() - late)
            wanted.append(late)
        wanted += await self._unknown_behind()
        if wanted:
            span = await self._span(min(wanted), self._now())
            rows, first = span.rows(), self._first_seen or 0.0
            found = await asyncio.to_thread(
                plan, self._pbx, self._rules, [], rows, span.known, not_before=first
            )
            await self._write(found)
        return True

    async def _judge(self, since: float, until: float) -> tuple[BookRows, Report]:
        begin = since - _LOOK_BACK
        books = await self._read(begin, self._now())
        known = await self._records.around(self._pbx, _ended(books, since, until), since=since, before=until)
        first = min((call.started_at for call in known.calls), default=since)
        if first < begin:
            begin = first - _MARGIN
            books = await self._read(begin, self._now())
        fit = fitness(books, known, since, until)
        if fit.unverified:
            raise BookUnreadable(fit.unverified)
        if fit.judged:
            self._note(fit.notes)
        if await self._place(books, known, begin):
            known = await self._records.around(
                self._pbx, _ended(books, since, until), since=since, before=until
            )
        pages = Pages(books.queue_log, books.cdr, books.cel or None, begin)
        report = await asyncio.to_thread(
            compare,
            self._pbx,
            self._rules,
            known,
            pages,
            since=since,
            until=until,
            edge=0.0,
            by_end=True,
        )
        return books, report

    async def _place(self, books: BookRows, known: Known, begin: float) -> bool:
        """Say of callers who were turned away what only CEL tells; returns whether there was anything to say."""
        calls = {stay.call_id for stay in known.stays if not stay.queue}
        if not calls:
            return False

        def placed() -> Plan:
            # Whether a queue_log that does not exist lacks anything was asked before.
            rows = replace(books.rows(), since=begin, queues=books.queue_log is not None)
            rows = of_calls(rows, known, calls)
            return place(self._pbx, self._rules, rows, known)

        found = await asyncio.to_thread(placed)
        await self._write(found)
        return bool(found)

    async def _unknown_behind(self) -> list[float]:
        """When the oldest call ended of which only a row tells that was written long after; nothing when there is none."""
        rows, self._behind = self._behind, []
        names = {row.uniqueid for row in rows}
        if not names:
            return []
        known = await self._records.around(self._pbx, names, since=0.0, before=0.0)
        seen = {leg.uniqueid for leg in known.legs} | {
            call.id.removeprefix(f"{self._pbx}-") for call in known.calls
        }
        ends = [
            row.end for row in rows if row.uniqueid not in seen and row.start >= (self._first_seen or 0.0)
        ]
        return [min(ends)] if ends else []

    def _note(self, notes: tuple[str, ...]) -> None:
        for note in set(notes) - set(self.status.notes):
            log.warning("book_lacking", pbx=self._pbx, reason=note)
        self.status.notes = notes

    def _count(self, report: Report) -> None:
        status = self.status
        status.checked += report.checked
        status.mismatches.update(_counted(report.by_reason()))
        self._reconciled(report, self._untold_bad)
        self._untold_bad = 0
        status.explained.update(_counted(report.by_rule(RULES)))
        for mismatch in report.mismatches[:_LOGGED]:
            log.warning("record_differs", **self._said(mismatch))
        for mismatch in report.explained[:_LOGGED]:
            log.info("record_differs_by_rule", rule=mismatch.rule, **self._said(mismatch))

    def _said(self, mismatch: Mismatch) -> dict[str, str]:
        return {
            "pbx": self._pbx,
            "reason": mismatch.reason.value,
            "call": mismatch.call_id or mismatch.uniqueid,
            "field": str(mismatch.field),
            "ours": mismatch.ours,
            "book": mismatch.book,
        }


def wait_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, and never together with others."""
    first, longest = _RETRY
    return min(longest, first * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


def _counted(by_reason: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in by_reason.items() if count}


def _ended(books: BookRows, since: float, until: float) -> set[str]:
    """Channels of which a book notes something in this time."""
    names = {row.callid for row in books.queue_log or () if since - 1 <= row.at <= until + 1}
    names |= {row.uniqueid for row in books.cel or () if row.event == "HANGUP" and since <= row.at <= until}
    return names | {row.uniqueid for row in books.cdr or () if since - 1 <= row.end <= until + 1}


def _told_late(stay: QueueStay) -> bool:
    """Whether it could not be counted before: its queue or its end is from the books."""
    late = any(source.startswith(("queue:", "outcome:")) for source in stay.sources)
    return late and stay.outcome is not None
