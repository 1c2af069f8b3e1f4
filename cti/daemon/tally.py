"""Today's figures, counted from facts as they come: each call, stay, incident and after-hours call once."""

import datetime as dt
import math
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from cti.core.facts import (
    AgentState,
    Call,
    Disposition,
    Incident,
    QueueStay,
    State,
    StayOutcome,
    WorkItem,
    is_settled,
)

OFFERED = frozenset(
    {
        StayOutcome.ANSWERED,
        StayOutcome.ABANDONED,
        StayOutcome.TIMEOUT,
        StayOutcome.EMPTY,
        StayOutcome.LEFT_BY_KEY,
    }
)
LOST = frozenset(
    {
        StayOutcome.ABANDONED,
        StayOutcome.TIMEOUT,
        StayOutcome.EMPTY,
        StayOutcome.JOIN_EMPTY,
        StayOutcome.FULL,
        StayOutcome.WITHDRAWN,
    }
)
_DAYS = 3  # kept: today, and what a PBX whose clock differs calls today
_REMEMBERED = 20_000  # ids
_SLOTS = 1 << 19  # for ids counted on one day: 100,000 calls that wait in two queues each fill three fifths
_PROBES = 64  # slots looked at for one id
_HASH = (1 << 64) - 1


@dataclass(slots=True)
class QueueCounts:
    """One queue's stays that joined on one day; waits in seconds."""

    offered: int = 0
    answered: int = 0
    abandoned: int = 0
    lost: int = 0
    answered_within: int = 0  # within the queue's service-level threshold
    abandoned_within: int = 0
    answered_wait: float = 0.0  # summed
    longest_wait: float = 0.0  # abandoned included

    def take_back(self, stay: QueueStay) -> None:
        """Undo the counting of one that was neither answered nor abandoned."""
        self.offered -= stay.outcome in OFFERED
        self.lost -= stay.outcome in LOST

    def add(self, stay: QueueStay, threshold: float) -> None:
        """Count one finished stay."""
        wait = stay.wait or 0.0
        within = wait <= threshold
        self.offered += stay.outcome in OFFERED
        self.lost += stay.outcome in LOST
        self.longest_wait = max(self.longest_wait, wait)
        if stay.outcome is StayOutcome.ANSWERED:
            self.answered += 1
            self.answered_within += within
            self.answered_wait += wait
        elif stay.outcome is StayOutcome.ABANDONED:
            self.abandoned += 1
            self.abandoned_within += within


class Counted:
    """The ids counted on one day, so that one sent again, or read from the store, is not counted again.

    A table of hashes: 4 MB from its first id on, and never more. Once it is nearly full some of the oldest make room.
    """

    __slots__ = ("_slots",)

    def __init__(self) -> None:
        self._slots = array("Q")

    def first(self, what: str) -> bool:
        """Remember `what`; True when it was not known yet."""
        slots = self._slots
        if not slots:
            slots = self._slots = array("Q", bytes(8 * _SLOTS))
        mark = hash(what) & _HASH or 1  # 0: nobody is here
        home = mark % _SLOTS
        for at in range(home, home + _PROBES):
            known = slots[at % _SLOTS]
            if known == mark:
                return False
            if not known:
                slots[at % _SLOTS] = mark
                return True
        slots[home] = mark
        return True


@dataclass(slots=True)
class Day:
    """Everything counted on one local day."""

    counted: Counted = field(default_factory=Counted)

    calls: int = 0  # ended, merged ones not counted twice
    dispositions: dict[Disposition, int] = field(default_factory=lambda: defaultdict(int))
    queues: dict[tuple[str, str], QueueCounts] = field(default_factory=lambda: defaultdict(QueueCounts))
    state_seconds: dict[tuple[str, str], dict[State, float]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(float))
    )
    away_incidents: int = 0
    duty_calls: int = 0
    duty_accepted: int = 0
    work_items: int = 0


class Remembered:
    """The last ids of something, so that each counts once. Bounded."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._ids: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, what: str) -> bool:
        return what in self._ids

    def first(self, what: str) -> bool:
        """Remember `what`; True when it was not known yet."""
        known = what in self._ids
        self._ids[what] = None
        self._ids.move_to_end(what)
        if len(self._ids) > self._size:
            self._ids.popitem(last=False)
        return not known


def _take_back(day: Day, stay: QueueStay) -> None:
    counts = day.queues[stay.pbx, stay.queue]
    counts.take_back(stay)
    if not stay.queue and not counts.lost:
        del day.queues[stay.pbx, stay.queue]  # nobody is left whose queue is not known


class Tally:
    """The counts of the last days, by local date. Instants are epoch seconds."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._days: dict[dt.date, Day] = {}
        self._beyond = Day()  # for what belongs to days that are not kept
        self._asked = (dt.date.min, math.inf, -math.inf)  # the date last asked for, its begin and end
        self._unsettled: OrderedDict[str, tuple[Day, QueueStay]] = OrderedDict()  # counted as far as known

    def date(self, at: float) -> dt.date:
        """Return the local date of an instant."""
        date, begins, ends = self._asked
        if not begins <= at < ends:
            date = dt.datetime.fromtimestamp(at, self._zone).date()
            self._asked = date, self.midnight(date), self.midnight(date + dt.timedelta(days=1))
        return date

    def day(self, at: float) -> Day:
        """Return the counts of the local day of `at`; empty when nothing happened."""
        return self._days.get(self.date(at)) or Day()

    def midnight(self, date: dt.date) -> float:
        """Return the instant at which a local day begins."""
        return dt.datetime.combine(date, dt.time(), self._zone).timestamp()

    def call(self, call: Call) -> None:
        """Count a call that ended, on the day it began."""
        if call.merged_into is None and call.ended_at is not None:
            day = self._open(call.started_at)
            if day.counted.first(f"c{call.id}"):
                day.calls += 1
                day.dispositions[call.disposition or Disposition.UNKNOWN] += 1

    def stay(self, stay: QueueStay, threshold: float) -> None:
        """Count a stay that ended, on the day it joined; anew once the books have said what was unknown of it."""
        if stay.outcome is None:
            return
        settled = is_settled(stay)
        counted = self._unsettled.pop(stay.id, None) if settled else None
        if counted is not None:
            _take_back(*counted)
        day = self._open(stay.joined_at)
        if day.counted.first(f"q{stay.id}") or counted is not None:
            day.queues[stay.pbx, stay.queue].add(stay, threshold)
            if not settled:
                self._remember(day, stay)

    def _remember(self, day: Day, stay: QueueStay) -> None:
        self._unsettled[stay.id] = day, stay
        if len(self._unsettled) > _REMEMBERED:
            self._unsettled.popitem(last=False)

    def incident(self, incident: Incident) -> None:
        """Count a broken away rule."""
        if incident.kind == "away_limit":
            day = self._open(incident.at)
            day.away_incidents += day.counted.first(f"i{incident.id}")

    def work_item(self, item: WorkItem) -> None:
        """Count an after-hours call, and its being accepted."""
        day = self._open(item.created_at)
        if day.counted.first(f"w{item.id}"):
            day.duty_calls += 1
            day.work_items += 1
        if item.accepted_at is not None:
            day.duty_accepted += day.counted.first(f"a{item.id}")

    def held(self, state: AgentState, until: float) -> None:
        """Add the seconds from `state.since` to `until`, split at local midnights."""
        for date, seconds in self.split(state.since, until):
            self._on(date).state_seconds[state.pbx, state.agent][state.state] += seconds

    def split(self, begin: float, end: float) -> Iterator[tuple[dt.date, float]]:
        """Split an interval at local midnights; only its last days, which are all that is kept."""
        if end <= begin:
            return
        date = self.date(begin)
        if end <= self._asked[2]:
            yield date, end - begin
            return
        begin = max(begin, end - _DAYS * 86400.0)
        while begin < end:
            date = self.date(begin)
            border = min(end, max(self.midnight(date + dt.timedelta(days=1)), begin + 1))  # always goes on
            yield date, border - begin
            begin = border

    def _open(self, at: float) -> Day:
        return self._on(self.date(at))

    def _on(self, date: dt.date) -> Day:
        day = self._days.get(date)
        if day is None:
            if len(self._days) >= _DAYS and date < min(self._days):
                return self._beyond
            day = self._days[date] = Day()
            if len(self._days) > _DAYS:
                del self._days[min(self._days)]
        return day
