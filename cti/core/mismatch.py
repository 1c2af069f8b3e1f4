"""What a comparison of our records with the PBX's books can say."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class MismatchReason(StrEnum):
    """In what way a record and the books disagree; also the metric's label."""

    # queue_log and CDR alone (cti.core.reconcile)
    NOT_IN_RECORDS = "not_in_records"  # a pass only the queue_log has
    NOT_IN_BOOK = "not_in_book"  # a pass only we have
    OUTCOME = "outcome"  # of a pass
    AGENT = "agent"  # who answered a pass
    BOOK_WAIT = "book_wait"
    BOOK_TALK = "book_talk"
    RANG = "rang"  # a member did not answer, and no such ringing is on record
    CDR_WITHOUT_CALL = "cdr_without_call"
    CALL_WITHOUT_CDR = "call_without_cdr"
    ANSWERED = "answered"  # we say answered, no CDR row does
    # the whole call, as CEL and queue_log tell it (cti.core.retold)
    MISSING = "missing"  # a call only CEL has
    NOT_IN_CEL = "not_in_cel"  # a call only we have
    DUPLICATED = "duplicated"  # one call of the books in several records
    JOINED = "joined"  # calls in one record that the books keep apart
    OPEN = "open"  # the books have its end
    LEG = "leg"  # a channel that only one of them has, or its begin or end
    BEGIN = "begin"
    END = "end"
    ANSWERED_AT = "answered_at"
    DISPOSITION = "disposition"
    ENDED_BY = "ended_by"
    DIRECTION = "direction"
    CALLER = "caller"  # number or name
    DIALED = "dialed"
    CAUSE = "cause"  # of the hangup, of the call or of a channel
    WAIT = "wait"  # when a pass began and ended, by CEL, and at which place
    ATTEMPT = "attempt"
    TALK = "talk"
    TRANSFER = "transfer"
    RECORDING = "recording"  # one that the dialplan began


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference; `ours` and `book` are for people, `lines` are the book's raw lines."""

    reason: MismatchReason
    call_id: str | None
    uniqueid: str  # of the channel it is about
    field: str
    ours: str
    book: str
    lines: tuple[str, ...] = ()
    rule: str = ""  # the written rule that explains it (cti.core.explained); "" when none does


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared (passes, CDR groups and calls, each pair once), and every difference."""

    checked: int
    mismatches: tuple[Mismatch, ...]
    left_out: int  # open, at an edge of the window, or without a line in the books by nature
    explained: tuple[Mismatch, ...] = ()  # by the rule that each names

    def by_reason(self) -> Mapping[str, int]:
        """How many of each reason, those explained left out; every reason is named, zeros included."""
        return _counted((reason.value for reason in MismatchReason), (one.reason for one in self.mismatches))

    def by_rule(self, rules: Iterable[str]) -> Mapping[str, int]:
        """How many each rule explains; every one of these is named, zeros included."""
        return _counted(rules, (one.rule for one in self.explained))


def _counted(names: Iterable[str], found: Iterable[str]) -> Mapping[str, int]:
    counts = dict.fromkeys(names, 0)
    for name in found:
        counts[name] = counts.get(name, 0) + 1
    return counts


@dataclass(frozen=True, slots=True)
class Window:
    """Which things are judged; epochs and seconds."""

    since: float | None
    until: float | None
    latest: float  # up to when everything should be noted
    edge: float
    by_end: bool

    def judges(self, began: float, ended: float | None, *, alone: bool = False) -> bool:
        """Whether something of that time is judged; `alone` = it has no partner in the other book."""
        margin = self.edge if alone else 0.0
        if self.by_end:
            if ended is None:
                return False
            began = ended
        after = self.since is None or began >= self.since + margin
        return after and (self.until is None or began < self.until - margin)

    def settled(self, ended: float | None) -> bool:
        """Whether both books must have had the time to note this end."""
        return ended is not None and (self.by_end or ended < self.latest - self.edge)


@dataclass(slots=True)
class Tally:
    """What a comparison has come to."""

    checked: int = 0
    left_out: int = 0
    found: list[Mismatch] = field(default_factory=list)
