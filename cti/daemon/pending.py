"""Makes a work item of every pending mark the dialplan left in AstDB, and deletes the mark only when that is durable.

Dying at any point is harmless: a mark that is still there makes the same work item again (same id). Marks of calls
that live are read again later. What cannot be read goes to the family `cti-pending-bad`, where a person finds it.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import structlog

from cti.core.duty import BadMark, Mark, cut_off, facts_of, parse_mark
from cti.core.facts import Fact, Quality
from cti.daemon import astdb
from cti.daemon.astdb import Ami, Entry
from cti.daemon.errors import ActionFailed, AmiError
from store.errors import StoreError

log = structlog.get_logger(__name__)

FAMILY = "cti-pending"
BAD_FAMILY = "cti-pending-bad"
_GONE_AFTER = 30.0  # seconds for which the channel of a mark without an end must be gone before it is closed
_RETRY = 5.0  # seconds after a failure


class Stats(Protocol):
    """How the writer does."""

    @property
    def refused(self) -> int:
        """Facts the database will never take."""


class FactWriter(Protocol):
    """What is needed of `store.writer.Writer`."""

    @property
    def stats(self) -> Stats:
        """The figures as they are now."""

    def put(self, facts: Iterable[Fact], *, from_books: bool = False) -> None:
        """Take facts to be written soon."""

    async def committed(self) -> None:
        """Wait until everything put before is durable."""


class MarkFate(StrEnum):
    """What became of a mark in one reading."""

    DONE = "done"  # work item durable, mark deleted
    CUT_OFF = "cut_off"  # likewise, but nobody saw its end
    LIVE = "live"  # kept and read again later
    BAD = "bad"  # set aside


@dataclass(slots=True)
class PendingStatus:
    """For health and metrics; counts are since the start, `live` is of the last reading."""

    pbx: str
    fates: Counter[MarkFate] = field(default_factory=Counter)  # DONE, CUT_OFF and BAD add up
    live: int = 0
    last_ok_at: float | None = None
    error: str = ""


class PendingMarks:
    """Collects the marks of one PBX, for as long as it runs."""

    def __init__(
        self,
        pbx: Ami,
        writer: FactWriter,
        alive: Callable[[str], bool | None],
        *,
        every: float = 60.0,
        now: Callable[[], float] = time.time,
        seen: Callable[[Iterable[Fact]], None] | None = None,
    ) -> None:
        """Nothing happens before `run` or `collect`.

        Args:
            pbx: whose marks.
            writer: takes the facts.
            alive: whether a channel, by its uniqueid, lives on this PBX; None when that is not known now.
            every: seconds between two readings when nobody wakes it.
            now: epoch seconds, better on the PBX's clock.
            seen: also gets the facts (metrics); called before they are durable, and again after a failure.
        """
        self.status = PendingStatus(pbx.name)
        self._pbx, self._writer, self._alive, self._every = pbx, writer, alive, every
        self._now, self._seen = now, seen
        self._wake = asyncio.Event()
        self._taken: dict[str, str] = {}  # marks of living calls as they were last written down
        self._gone_since: dict[str, float] = {}  # by uniqueid
        self._stuck: set[Entry] = set()  # bad marks that could not be moved

    def wake(self) -> None:
        """Read now: a CtiDuty event came, or the PBX is back."""
        self._wake.set()

    async def run(self) -> None:
        """Read at once and for ever, until cancelled."""
        while True:
            self._wake.clear()
            await self.collect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def _pause(self) -> float:
        if self.status.error:
            return min(self._every, _RETRY)
        return min(self._every, _GONE_AFTER) if self._gone_since else self._every

    async def collect(self) -> PendingStatus:
        """Read all marks once; returns the status, whatever happened."""
        before = self.status.error
        try:
            await self._collect()
        except (AmiError, StoreError) as error:
            self.status.error = str(error)
        except Exception as error:
            log.exception("pending_failed", pbx=self._pbx.name)
            self.status.error = f"{type(error).__name__}: {error}"
        else:
            self.status.error = ""
            self.status.last_ok_at = self._now()
        if self.status.error and self.status.error != before:
            log.error("pending_not_read", pbx=self._pbx.name, reason=self.status.error)
        return self.status

    async def _collect(self) -> None:
        values = await astdb.read(self._pbx, FAMILY)
        found = self._sort(values)
        self.status.live = len(found.live)
        await self._write(found)
        self._taken = found.live
        self._gone_since = {key: at for key, at in self._gone_since.items() if key in found.live}
        for entry, fate in found.done.items():
            await astdb.delete(self._pbx, entry)
            self.status.fates[fate] += 1
        for entry, bad in found.bad.items():
            await self._set_aside(entry, values[entry], bad)
        self._stuck &= found.bad.keys()

    def _sort(self, values: dict[Entry, str]) -> "_Found":
        """What each mark stands for; no I/O."""
        found = _Found()
        for entry, value in values.items():
            try:
                mark = parse_mark(_uniqueid(entry), value)
            except BadMark as bad:
                if self._alive(_uniqueid(entry)) is not False:
                    found.live[_uniqueid(entry)] = value  # the dialplan may still complete it
                else:
                    found.bad[entry] = bad
                continue
            if mark.ended_at is not None:
                found.facts += facts_of(self._pbx.name, mark)
                found.done[entry] = MarkFate.DONE
            elif self._is_cut_off(mark):
                item, call = facts_of(self._pbx.name, cut_off(mark), Quality.GAPPED)
                found.facts.append(item)
                found.guesses.append(call)
                found.done[entry] = MarkFate.CUT_OFF
            else:
                found.live[mark.uniqueid] = value
                if self._taken.get(mark.uniqueid) != value:
                    found.facts.append(facts_of(self._pbx.name, mark)[0])
        return found

    async def _write(self, found: "_Found") -> None:
        """Make the facts durable, or raise."""
        if not found.facts:
            return
        refused = self._writer.stats.refused
        self._writer.put(found.facts)
        self._writer.put(found.guesses, from_books=True)
        if self._seen is not None:
            self._seen([*found.facts, *found.guesses])
        await self._writer.committed()
        if self._writer.stats.refused != refused:
            raise StoreError("the database refused a fact, perhaps of a pending mark; the marks are kept")

    def _is_cut_off(self, mark: Mark) -> bool:
        """Whether its channel has been gone for long enough.

        Once is not enough: right after a reconnect the picture of what lives may be a moment behind the marks.
        """
        if self._alive(mark.uniqueid) is not False:
            self._gone_since.pop(mark.uniqueid, None)
            return False
        since = self._gone_since.setdefault(mark.uniqueid, self._now())
        return self._now() - since >= _GONE_AFTER

    async def _set_aside(self, entry: Entry, value: str, bad: BadMark) -> None:
        """Move a bad mark where it is not read again; one that cannot be moved stays, and is told once."""
        if entry in self._stuck:
            return
        key = _uniqueid(entry).replace("/", "_")
        moved = True
        try:
            await astdb.put(self._pbx, (BAD_FAMILY, key), value)
            await astdb.delete(self._pbx, entry)
        except ActionFailed:
            moved = False
            self._stuck.add(entry)
        where = f"{BAD_FAMILY}/{key}" if moved else f"{FAMILY}/{key}"
        cure = f"look at {where} in the PBX's AstDB, call the caller back, then delete it"
        log.error(
            "bad_mark",
            pbx=self._pbx.name,
            mark=key,
            reason=bad.reason.value,
            detail=bad.detail,
            moved=moved,
            cure=cure,
        )
        self.status.fates[MarkFate.BAD] += 1


@dataclass(slots=True)
class _Found:
    """One reading, sorted."""

    facts: list[Fact] = field(default_factory=list)
    guesses: list[Fact] = field(default_factory=list)  # written only where there is nothing
    done: dict[Entry, MarkFate] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)  # uniqueid to value
    bad: dict[Entry, BadMark] = field(default_factory=dict)


def _uniqueid(entry: Entry) -> str:
    """The key below the family, deeper ones included."""
    family, key = entry
    below = family.removeprefix(FAMILY).removeprefix("/")
    return f"{below}/{key}" if below else key
