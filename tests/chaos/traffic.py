"""Customers who call while things break, and what must be on record of them afterwards.

What is promised now, and asserted by `Verdict`: of every caller that the PBX's own books know, exactly one call is on
record; every call to the night line has exactly one work item. Calls that began *and* ended wholly while nobody could
listen (daemon dead, link away) come from the books later (issue 4): they may be missing, but never be there twice. A
call that touches no such time agrees with queue_log and CDR in everything `cti.core.reconcile` compares.
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cti.core.books import CdrRow
from cti.core.mismatch import Mismatch
from store import open_store
from tests.demo.books import Books
from tests.demo.floor import CUSTOMERS
from tests.pbx.amiclient import AmiError
from tests.pbx.asterisk import Asterisk
from tests.pbx.phones import PhoneNetwork
from tests.rig import Line, Rig

DAY, NIGHT = "4001", "4002"
_MARGIN = 0.75  # s around a blind time: what was not committed yet, and clocks of whole seconds


class Traffic:
    """Places calls at a mean rate (calls/s) until stopped; each caller has a number of their own."""

    def __init__(self, phones: PhoneNetwork, *, seed: int, rate: float = 3.0, night: float = 0.15) -> None:
        self.phones = phones
        self.numbers: dict[str, str] = {}  # caller to what they dialled
        self._dice = random.Random(seed)
        self._base = 13_800_000_000 + seed * 10_000
        self._rate, self._night = rate, night
        self._calls: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """No more calls; those that have begun are seen to their end."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._calls:
            await asyncio.wait(self._calls, timeout=25)
        for call in self._calls:
            call.cancel()

    async def placed(self, count: int, timeout: float = 30.0) -> None:
        """Wait until so many more calls have been placed."""
        goal = len(self.numbers) + count
        async with asyncio.timeout(timeout):
            while len(self.numbers) < goal:  # noqa: ASYNC110 - a second or so
                await asyncio.sleep(0.05)

    async def _run(self) -> None:
        while True:
            number = str(self._base + len(self.numbers))
            line = NIGHT if self._dice.random() < self._night else DAY
            self.numbers[number] = line
            patience, talk = self._dice.uniform(1.5, 4), self._dice.uniform(0.3, 1.2)
            call = asyncio.create_task(self._call(line, number, patience, talk))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            await asyncio.sleep(self._dice.expovariate(self._rate))

    async def _call(self, line: str, number: str, patience: float, talk: float) -> None:
        name = self._dice.choice(CUSTOMERS)
        try:
            handle = await self.phones.customer_calls(line, name, number, patience=patience, talk=talk)
            await handle.ended(timeout=20)
        except AmiError:
            pass  # the PBX was away; what its books know of the call counts


@dataclass
class Blind:
    """Times in which nobody could listen, epoch seconds."""

    times: list[tuple[float, float]] = field(default_factory=list)

    def touches(self, began: float, ended: float) -> bool:
        return any(began <= end + _MARGIN and ended >= begin - _MARGIN for begin, end in self.times)

    def covers(self, began: float, ended: float) -> bool:
        return any(began >= begin - _MARGIN and ended <= end + _MARGIN for begin, end in self.times)


@dataclass
class Verdict:
    """What the books know, what is on record, and every breach of what is promised."""

    booked: int = 0
    recorded: int = 0
    unseen: int = 0  # wholly within a blind time and not on record; the books give these back
    night: int = 0
    checked: int = 0
    breaches: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.booked} booked, {self.recorded} recorded, {self.unseen} unseen, {self.night} at night, {self.checked} checked"


async def judge(
    rig: Rig, pbx: Asterisk, traffic: Traffic, since: float, blind: Blind | None = None, *, name: str = "main"
) -> Verdict:
    """Hold the records of a daemon that has ended against the books of its PBX."""
    blind = blind or Blind()
    books = await asyncio.to_thread(_books, pbx, since)
    async with await open_store(rig.database_url) as store:
        records = await store.queries.records(name, since=since - 5)
        report = await books.compare(store, name, since=since)
        items = (await store.queries.work_items(limit=500)).items
    spans = _spans(books)
    found = Counter(call.caller_number for call in records.calls)
    verdict = Verdict(recorded=len(records.calls), checked=report.checked)
    for caller in traffic.numbers:
        if caller in spans:
            verdict.booked += 1
            unseen = not found[caller] and blind.covers(*spans[caller])
            verdict.unseen += unseen
            if found[caller] != 1 and not unseen:
                verdict.breaches.append(
                    f"{caller} is on record {found[caller]} times, booked {spans[caller]}"
                )
        elif found[caller] > 1:
            verdict.breaches.append(f"{caller}, whom no book knows, is on record {found[caller]} times")
    verdict.breaches += [
        f"{call.caller_number} has no end" for call in records.calls if call.ended_at is None
    ]
    _judge_items(traffic, spans, Counter(item.caller_number for item in items), verdict)
    verdict.breaches += [str(one) for one in report.mismatches if not _excused(one, books, blind)]
    return verdict


def _judge_items(
    traffic: Traffic, spans: dict[str, tuple[float, float]], items: Counter[str], verdict: Verdict
) -> None:
    for caller, line in traffic.numbers.items():
        known = line == NIGHT and caller in spans
        verdict.night += known
        if items[caller] != known and not (items[caller] == 1 and line == NIGHT):
            verdict.breaches.append(f"{caller} has {items[caller]} work items, should have {int(known)}")


def _books(pbx: Asterisk, since: float) -> Books:
    whole = Books.of_files(pbx.queue_log_path, pbx.cdr_csv_path)
    return Books(
        tuple(row for row in whole.queue if row.at >= int(since)),
        tuple(row for row in whole.cdr if row.start >= since - 1),
        whole.bad,
    )


def _spans(books: Books) -> dict[str, tuple[float, float]]:
    """Caller to the first beginning and last end that the books know; a pass without an end never ended."""
    spans: dict[str, tuple[float, float]] = {}

    def widen(caller: str, began: float, ended: float) -> None:
        first, last = spans.get(caller, (began, ended))
        spans[caller] = min(first, began), max(last, ended)

    callers = {
        row.callid: row.data[1] for row in books.queue if row.verb == "ENTERQUEUE" and len(row.data) > 1
    }
    for row in books.queue:
        if row.callid in callers:
            widen(callers[row.callid], row.at, row.at)
    for cdr in books.cdr:
        if _from_outside(cdr):
            widen(cdr.src, cdr.start, cdr.end)
    return spans


def _from_outside(row: CdrRow) -> bool:
    return row.channel.startswith("PJSIP/trunk-")


def _excused(mismatch: Mismatch, books: Books, blind: Blind) -> bool:
    """Whether the difference is of a call that touches a blind time."""
    groups = {row.linkedid for row in books.cdr if mismatch.uniqueid in {row.uniqueid, row.linkedid}}
    spans = [(row.start, row.end) for row in books.cdr if row.linkedid in groups]
    spans += [(row.at, row.at) for row in books.queue if row.callid == mismatch.uniqueid]
    return any(blind.touches(*span) for span in spans)


async def faults(rig: Rig, kind: str, *, pbx: str | None = None) -> list[Line]:
    """The faults of a kind that are on record, oldest first, instants as epochs."""
    rows = [
        row for row in await rig.items("/api/v1/faults") if row["kind"] == kind and pbx in {None, row["pbx"]}
    ]
    return sorted(rows, key=lambda row: str(row["began_at"]))


def resident(rig: Rig) -> float:
    """Resident megabytes of the daemon."""
    return int(Path(f"/proc/{rig.pid}/statm").read_text().split()[1]) * 4096 / 1e6


def now() -> float:
    return time.time()
