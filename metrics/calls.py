"""Calls, after-hours calls, the PBX link, faults and the comparison with the books."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import Metric

from cti.core.facts import (
    Call,
    Direction,
    Disposition,
    Fault,
    FaultKind,
    Link,
    Quality,
    Rejected,
    RejectReason,
    Transfer,
    WorkItem,
)
from metrics import families as f
from metrics.families import WORK_RESULTS
from metrics.series import Names, Once, Tally, closed

_MOST_LIVE = 20_000  # calls remembered as alive; the oldest gives way
_TRANSFERS = ("blind", "attended", "half_finished")
_WORK_KINDS = ("after_hours_call",)
_OURS = (
    FaultKind.DATABASE,
    FaultKind.DISK,
    FaultKind.CLOCK,
    FaultKind.DAEMON,
)  # a fault of the daemon itself belongs to no PBX


class CallSeries:
    """Calls, transfers and after-hours calls."""

    def __init__(self, limit: int, overflow: Tally) -> None:
        self._hotlines = Names("hotline", limit, overflow)
        self._live: dict[str, tuple[str, str]] = {}  # call id → PBX, direction
        self._ended = Once()
        self._transferred = Once()
        self._worked = Once()
        self._calls = Tally()
        self._transfers = Tally()
        self._duty = Tally()
        self._work = Tally()
        self._known: set[str] = set()

    def know(self, pbx: str) -> None:
        """Let the PBX's series exist at 0."""
        if pbx in self._known:
            return
        self._known.add(pbx)
        for direction in Direction:
            for disposition in Disposition:
                self._calls.know(pbx, direction, disposition, Quality.COMPLETE)
        for kind in _TRANSFERS:
            self._transfers.know(pbx, kind)
        for result in WORK_RESULTS:
            self._work.know(pbx, _WORK_KINDS[0], result)

    def call(self, fact: Call) -> None:
        """Follow a call, and count it when it ended; a merged one lives on as another."""
        self.know(fact.pbx)
        if fact.merged_into is not None:
            self._live.pop(fact.id, None)
        elif fact.ended_at is None:
            self._live[fact.id] = (fact.pbx, fact.direction)
            if len(self._live) > _MOST_LIVE:
                del self._live[next(iter(self._live))]
        else:
            self._live.pop(fact.id, None)
            if self._ended.first(fact.id):
                disposition = fact.disposition or Disposition.UNKNOWN
                self._calls.add(fact.pbx, fact.direction, disposition, fact.quality)

    def transfer(self, fact: Transfer) -> None:
        """Count a transfer."""
        if self._transferred.first(fact.id):
            self._transfers.add(fact.pbx, closed(fact.kind, _TRANSFERS))

    def work_item(self, fact: WorkItem) -> None:
        """Count an after-hours call when its result is known."""
        if fact.result == "ringing" or not self._worked.first(fact.id):
            return
        result = closed(fact.result, WORK_RESULTS)
        self._work.add(fact.pbx, closed(fact.kind, _WORK_KINDS), result)
        hotline = self._hotlines.label(fact.pbx, fact.hotline)
        for known in WORK_RESULTS:
            self._duty.know(fact.pbx, hotline, known)
        self._duty.add(fact.pbx, hotline, result)

    def collect(self) -> Iterator[Metric]:
        """All families."""
        live = Tally()
        for pbx in self._known:
            for direction in Direction:
                live.know(pbx, direction)
        for labels in self._live.values():
            live.add(*labels)
        yield f.CALLS.filled(self._calls)
        yield f.CALLS_LIVE.filled(live)
        yield f.TRANSFERS.filled(self._transfers)
        yield f.DUTY_CALLS.filled(self._duty)
        yield f.WORK_ITEMS.filled(self._work)


class HealthSeries:
    """The link, what was rejected, faults, and how far the records agree with the books."""

    def __init__(self, reasons: Iterable[str], rules: Iterable[str]) -> None:
        """`reasons` and `rules` are the names that a comparison with the books can give."""
        self._reasons, self._rules = tuple(reasons), tuple(rules)
        self._links: dict[str, Link | None] = {}
        self._link_facts = Once()
        self._open: dict[str, tuple[str, str]] = {}  # fault id → PBX, kind
        self._began = Once()
        self._connects = Tally()
        self._rejected = Tally()
        self._faults = Tally()
        self._checked = Tally()
        self._mismatches = Tally()
        self._explained = Tally()
        self._bad_lines = Tally()
        for kind in _OURS:
            self._faults.know("", kind)

    def know(self, pbx: str) -> None:
        """Let the PBX's series exist at 0."""
        self._links.setdefault(pbx, None)
        self._connects.know(pbx)
        for reason in RejectReason:
            self._rejected.know(pbx, reason)
        for kind in FaultKind:
            self._faults.know(pbx, kind)
        self._checked.know(pbx)
        for name in self._reasons:
            self._mismatches.know(pbx, name)
        for name in self._rules:
            self._explained.know(pbx, name)
        self._bad_lines.know(pbx)

    def link(self, fact: Link) -> None:
        """The link came up or went down."""
        self.know(fact.pbx)
        self._links[fact.pbx] = fact
        if fact.up and self._link_facts.first(fact.key):
            self._connects.add(fact.pbx)

    def rejected(self, fact: Rejected) -> None:
        """Count what could not be taken."""
        self._rejected.add(fact.pbx, fact.reason)

    def fault(self, fact: Fault) -> None:
        """Follow a fault from its begin to its end."""
        if self._began.first(fact.id):
            self._faults.add(fact.pbx, fact.kind)
        if fact.ended_at is None:
            self._open[fact.id] = (fact.pbx, fact.kind)
        else:
            self._open.pop(fact.id, None)

    def reconciled(
        self,
        pbx: str,
        checked: int,
        mismatches: Mapping[str, int],
        explained: Mapping[str, int],
        bad_lines: int,
    ) -> None:
        """Add the outcome of one comparison with the books; every reason and rule is named, zeros included."""
        self._checked.add(pbx, by=checked)
        self._bad_lines.add(pbx, by=bad_lines)
        for reason, count in mismatches.items():
            self._mismatches.add(pbx, reason, by=count)
        for rule, count in explained.items():
            self._explained.add(pbx, rule, by=count)

    def collect(self) -> Iterator[Metric]:
        """All families."""
        seen = [(pbx, link) for pbx, link in self._links.items() if link is not None]
        yield f.LINK_UP.filled(
            ((pbx,), float(link is not None and link.up)) for pbx, link in self._links.items()
        )
        yield f.LINK_SINCE.filled(((pbx,), link.at) for pbx, link in seen)
        yield f.CONNECTS.filled(self._connects)
        yield f.REJECTED.filled(self._rejected)
        yield f.FAULTS.filled(self._faults)
        yield f.FAULTS_OPEN.filled(self._open_faults(self._links))
        yield f.RECONCILE_CHECKED.filled(self._checked)
        yield f.RECONCILE_MISMATCH.filled(self._mismatches)
        yield f.RECONCILE_EXPLAINED.filled(self._explained)
        yield f.BOOK_BAD_LINES.filled(self._bad_lines)

    def _open_faults(self, pbxs: Iterable[str]) -> Tally:
        tally = Tally()
        for kind in _OURS:
            tally.know("", kind)
        for pbx in pbxs:
            for kind in FaultKind:
                tally.know(pbx, kind)
        for labels in self._open.values():
            tally.add(*labels)
        return tally
