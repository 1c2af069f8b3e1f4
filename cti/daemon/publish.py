"""Keeps the coming weeks' roster in the PBX's AstDB, so that no call ever waits for the daemon.

One cycle: load the roster, compute everything that must be there, read what is there, put and delete the difference,
read back. A cycle never raises: what went wrong is the status, and the next cycle tries again. The PBX keeps what it
has meanwhile, which is why weeks are published and not hours.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

import structlog

from cti.daemon import astdb
from cti.daemon.astdb import Ami, Entry
from cti.daemon.errors import ActionFailed, AmiError
from routing.plan import TREES, Plan, diff, owned, plan
from routing.problems import Problem, problems
from routing.roster import Roster, local_date
from store.errors import StoreError

log = structlog.get_logger(__name__)

_RETRY = 5.0  # seconds between tries after a failure


class PublishState(StrEnum):
    """How the last cycle ended."""

    NEVER = "never"  # none has ended yet
    OK = "ok"
    NO_DATABASE = "no_database"
    EMPTY_ROSTER = "empty_roster"  # nobody and nothing in the database, but rows in the PBX: not deleted
    NO_PBX = "no_pbx"  # no connection, or no answer
    REFUSED = "refused"  # the PBX refused an action
    NOT_KEPT = "not_kept"  # read back, the PBX does not have what was put
    BUG = "bug"


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """For health, metrics and people. Instants are epoch seconds on this machine's clock."""

    pbx: str
    state: PublishState = PublishState.NEVER
    error: str = ""  # for people; empty when ok
    rows: int = 0  # duty rows of today and later that the PBX is known to have
    entries: int = 0  # all entries that the PBX is known to have from us
    horizon: date | None = None  # last local date up to which every hotline has its row
    last_ok_at: float | None = None
    last_try_at: float | None = None
    puts: int = 0  # in the last cycle that changed something
    deletes: int = 0
    problems: tuple[Problem, ...] = ()  # of the roster, as of the last cycle that could read it


class Publisher:
    """Publishes one roster to one PBX, for as long as it runs."""

    def __init__(
        self,
        pbx: Ami,
        load: Callable[[], Awaitable[Roster]],
        *,
        days: int = 60,
        every: float = 3600.0,
        look: float = 10.0,
        now: Callable[[], float] = time.time,
        told: Callable[[PublishStatus], None] | None = None,
    ) -> None:
        """Nothing happens before `run` or `publish`.

        Args:
            pbx: where to publish.
            load: reads the roster; may raise `store.StoreError`.
            days: how many local dates from today on get a row.
            every: seconds between two cycles when nothing changes.
            look: seconds between two looks at the database, for a roster that another process changed.
            now: epoch seconds.
            told: called after every cycle with the status.
        """
        self.status = PublishStatus(pbx.name)
        self._pbx, self._load, self._days, self._every = pbx, load, days, every
        self._look, self._now, self._told = look, now, told
        self._wake = asyncio.Event()
        self._published: tuple[Roster, date] | None = None

    def wake(self) -> None:
        """Run a cycle now: the roster changed, or the PBX is back."""
        self._wake.set()

    def use(self, *, days: int, every: float) -> None:
        """Publish so many days, so often (seconds), from the next cycle on; wake it to begin now."""
        self._days, self._every = days, every

    async def run(self) -> None:
        """Publish at once and for ever, until cancelled."""
        while True:
            self._wake.clear()
            await self.publish()
            await self._until_due()

    async def publish(self) -> PublishStatus:
        """One cycle; returns the status, whatever happened."""
        before = self.status
        tried = replace(before, last_try_at=self._now())
        try:
            self.status = await self._cycle(tried)
        except StoreError as error:
            self.status = replace(tried, state=PublishState.NO_DATABASE, error=str(error))
        except ActionFailed as error:
            self.status = replace(tried, state=PublishState.REFUSED, error=str(error))
        except AmiError as error:
            self.status = replace(tried, state=PublishState.NO_PBX, error=str(error))
        except Exception as error:
            log.exception("publish_failed", pbx=self._pbx.name)
            self.status = replace(tried, state=PublishState.BUG, error=f"{type(error).__name__}: {error}")
        self._report(before)
        return self.status

    async def _cycle(self, tried: PublishStatus) -> PublishStatus:
        roster = await self._load()
        today = local_date(roster, self._now())
        # Off the event loop: the plan of many hotlines takes longer than an event may wait.
        wanted, found = await asyncio.to_thread(_prepare, roster, today, self._days)
        present = await self._present()
        if not roster.hotlines and not roster.people and any(owned(*entry) for entry in present):
            cure = "the database has no people and no hotlines, so the PBX keeps its rows; import them again"
            return replace(tried, state=PublishState.EMPTY_ROSTER, error=cure, problems=found)
        puts, deletes = diff(wanted.entries, present)
        await self._write(puts, deletes)
        if puts or deletes:
            present = await self._present()
        missing, surplus = diff(wanted.entries, present)
        if missing or surplus:
            text = f"{len(missing)} entries are not as they were put, {len(surplus)} were not deleted"
            return replace(tried, state=PublishState.NOT_KEPT, error=text, problems=found)
        self._published = (roster, today)
        if puts or deletes:
            tried = replace(tried, puts=len(puts), deletes=len(deletes))
        return replace(
            tried,
            state=PublishState.OK,
            error="",
            rows=_rows_from(wanted, today),
            entries=len(wanted.entries),
            horizon=_horizon(wanted, roster, today),
            last_ok_at=self._now(),
            problems=found,
        )

    async def _present(self) -> dict[Entry, str]:
        present: dict[Entry, str] = {}
        for tree in TREES:
            present |= await astdb.read(self._pbx, tree)
        return present

    async def _write(self, puts: Mapping[Entry, str], deletes: list[Entry]) -> None:
        """The next days first, and nothing is deleted before what takes its place is there."""
        for entry in sorted(puts, key=lambda entry: (entry[0].startswith("cti-duty/"), entry[1], entry[0])):
            await astdb.put(self._pbx, entry, puts[entry])
        for entry in deletes:
            await astdb.delete(self._pbx, entry)

    async def _until_due(self) -> None:
        """Wait for the next cycle: woken, due, or the roster or the date is not what was published."""
        ok = self.status.state is PublishState.OK
        due = time.monotonic() + (self._every if ok else min(self._every, _RETRY))
        while (left := due - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, self._look)):
                    await self._wake.wait()
                return
            if ok and await self._changed():
                return

    async def _changed(self) -> bool:
        try:
            roster = await self._load()
        except StoreError:
            return True  # the cycle says so
        return self._published != (roster, local_date(roster, self._now()))

    def _report(self, before: PublishStatus) -> None:
        after = self.status
        if after.state is not PublishState.OK and (after.state, after.error) != (before.state, before.error):
            log.error("not_published", pbx=after.pbx, state=after.state.value, reason=after.error)
        elif after.state is PublishState.OK and (
            before.state is not after.state or after.puts != before.puts
        ):
            log.info("published", pbx=after.pbx, rows=after.rows, horizon=str(after.horizon), puts=after.puts)
        for problem in set(after.problems) - set(before.problems):
            log.warning(
                "roster_problem",
                kind=problem.kind.value,
                subject=problem.subject,
                since=str(problem.since),
                cure=problem.cure,
            )
        if self._told is not None:
            self._told(after)


def _prepare(roster: Roster, today: date, days: int) -> tuple[Plan, tuple[Problem, ...]]:
    """Everything that must be there, from yesterday on: a call that came before midnight may still be deciding."""
    wanted = plan(roster, today - timedelta(days=1), days + 1)
    found = {*problems(roster, today, days), *wanted.problems}
    return wanted, tuple(sorted(found, key=lambda p: (p.since, p.kind, p.subject)))


def _rows_from(wanted: Plan, today: date) -> int:
    first = f"{today:%Y%m%d}"
    return sum(1 for family, key in wanted.entries if family.startswith("cti-duty/") and key >= first)


def _horizon(wanted: Plan, roster: Roster, today: date) -> date | None:
    """The last date, from today on without a gap, for which every hotline has a row."""
    reached = None
    day = today
    while roster.hotlines and all(
        (f"cti-duty/{line.name}", f"{day:%Y%m%d}") in wanted.entries for line in roster.hotlines
    ):
        reached = day
        day += timedelta(days=1)
    return reached
