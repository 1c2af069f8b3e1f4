"""The faults the daemon finds itself, or is told of by people: which are open, from when, and how each ended (A3).

What the core finds (link, overflow, PBX restart) is the core's. Everything here is told to all sinks at once, the spool
among them.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from cti.core.facts import Fact, Fault, FaultKind
from cti.core.faults import BY_HAND, begun, ended, told

_OURS = frozenset(
    {
        FaultKind.DATABASE,
        FaultKind.DISK,
        FaultKind.PUBLISH,
        FaultKind.BOOKS,
        FaultKind.DUTY_PHONE,
    }
)
_MOMENTARY = frozenset({FaultKind.CLOCK, FaultKind.PBX_RESTART, FaultKind.DAEMON})

log = structlog.get_logger(__name__)

Which = tuple[str, FaultKind]


@dataclass(slots=True)
class _Open:
    """One open fault, and what still suffers from it: it ends when nothing does."""

    fault: Fault
    sources: set[str] = field(default_factory=set)


class Board:
    """Open faults by PBX ("" for the daemon itself) and kind, and those of people by their id."""

    def __init__(self, give: Callable[[Sequence[Fact]], None], now: Callable[[], float] = time.time) -> None:
        self.by_hand: dict[str, Fault] = {}
        self._give, self._now = give, now
        self._open: dict[Which, _Open] = {}

    def restore(self, faults: Iterable[Fault], pbxs: Iterable[str]) -> None:
        """Take up the open faults of an earlier process.

        Ours stay open until what they are about is seen to work (`settle`), the core's are its own, and those of a PBX
        that is no longer configured end now: nobody looks any more.
        """
        known = {"", *pbxs}
        for fault in faults:
            which = (fault.pbx, fault.kind)
            known_as = self._open.get(which)
            if known_as is not None and known_as.fault.id == fault.id:
                continue  # our own, that goes on
            if fault.kind in BY_HAND:
                self.by_hand[fault.id] = fault
            elif fault.pbx not in known or fault.kind in _MOMENTARY or which in self._open:
                log.info("fault_closed", fault=fault.id, reason="nobody watches it any more")
                self._give([ended(fault, self._now())])
            elif fault.kind in _OURS:
                self._open[which] = _Open(fault)

    def begin(self, kind: FaultKind, source: str, detail: str, pbx: str = "") -> None:
        """Something broke; a fault of this kind that is open already goes on."""
        which = (pbx, kind)
        known = self._open.get(which)
        if known is None:
            known = self._open[which] = _Open(begun(pbx, kind, self._now(), detail))
            self._give(told(known.fault))
        known.sources.add(source)

    def end(self, source: str, kinds: Iterable[FaultKind] | None = None, pbx: str = "") -> None:
        """What suffered is well again; a fault that nothing suffers from any more ends."""
        wanted = _OURS if kinds is None else frozenset(kinds)
        for which, known in list(self._open.items()):
            if which[0] != pbx or which[1] not in wanted:
                continue
            known.sources.discard(source)
            if not known.sources:
                del self._open[which]
                self._give(told(ended(known.fault, self._now())))

    def moment(self, kind: FaultKind, detail: str, pbx: str = "", at: float | None = None) -> None:
        """Something happened that has no duration; people are told once."""
        fault = begun(pbx, kind, self._now() if at is None else at, detail)
        notice = told(fault)[1]
        self._give([ended(fault, fault.began_at), notice])

    def past(self, kind: FaultKind, began_at: float, detail: str) -> None:
        """Something of ours was broken until now, and is only known of now that it is over."""
        fault = begun("", kind, min(began_at, self._now()), detail)
        self._give(told(ended(fault, self._now())))

    def is_open(self, kind: FaultKind, pbx: str = "") -> bool:
        """Whether a fault of this kind goes on."""
        return (pbx, kind) in self._open

    def report(self, kind: FaultKind, detail: str, *, pbx: str, at: float, by: str) -> Fault:
        """Take a fault that a person saw; `at` is when it began, epoch seconds."""
        fault = Fault(f"hand-{secrets.token_hex(8)}", kind, pbx, at, None, detail, by)
        self.by_hand[fault.id] = fault
        self._give(told(fault))
        return fault

    def close(self, fault: Fault, at: float) -> Fault:
        """End a fault that a person reported."""
        over = replace(fault, ended_at=at)
        self.by_hand.pop(fault.id, None)
        self._give(told(over))
        return over
