"""Records and books of one PBX side by side: every difference, with its raw lines, and the rule that explains it. Pure.

Three looks at the same calls: lines of queue_log and rows of the CDR counted off against the records
(`cti.core.reconcile`), the whole call told again from CEL and queue_log (`cti.core.retold`), and which of the books'
calls is which record. What then differs is explained by a written rule (`cti.core.explained`), or is an error.

A PBX without CEL is told from its CDR, which has whole seconds and pairs of parties: then begin and end are compared, and
that it is on record, once. Without queue_log nobody knows who sits where, and only what does not depend on it is compared.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from cti.core.backfill import Rows, told
from cti.core.books import OF_MEMBERS, CdrRow, QueueRow
from cti.core.cdrcel import cel_of
from cti.core.cel import CelRow, channels_of
from cti.core.explained import Evidence, explain
from cti.core.facts import Call, Fact
from cti.core.families import Family, families
from cti.core.memory import Known
from cti.core.mismatch import Mismatch, Report, Tally, Window
from cti.core.mismatch import MismatchReason as Reason
from cti.core.reconcile import reconcile, window_of
from cti.core.retold import INSTANT, Odd, differences
from cti.core.rules import Rules
from cti.core.wholes import Whole, wholes

_OF_CDR = (
    2.5  # s by which an instant of the CDR may differ: it has whole seconds, and its rows are told apart
)
_WHOLE_SECONDS = 1.5  # s by which an instant may differ where CEL itself has whole seconds
_BY_CDR = frozenset({"call.started_at", "call.ended_at"})
_WITHOUT_QUEUES = _BY_CDR | {
    "leg", "leg.answered_at", "leg.hangup_cause", "call.hangup_cause", "recording", "call.caller_number", "call.caller_name", "call.dialed_number", "call.direction", "transfer.kind",
}  # fmt: skip
"""What is known of a call without knowing who sits where, and what its queues did."""
_OF_REFUSALS = frozenset({"queue_stay", "queue_stay.queue"})
_LINES = 60  # raw lines beside one difference
_MEMBERS = OF_MEMBERS | {"QUEUESTART"}

_ENDS = frozenset({"HANGUP"})
_ALL = frozenset({"CHAN_START", "ANSWER", "BRIDGE_ENTER", "BRIDGE_EXIT", "HANGUP"})
_SHOWN: Mapping[Reason, Collection[str]] = {
    Reason.BEGIN: {"CHAN_START"},
    Reason.CALLER: {"CHAN_START"},
    Reason.DIALED: {"CHAN_START"},
    Reason.DIRECTION: {"CHAN_START"},
    Reason.END: _ENDS,
    Reason.ENDED_BY: {"BRIDGE_EXIT", "HANGUP"},
    Reason.CAUSE: _ENDS,
    Reason.RECORDING: {"APP_START", "APP_END", "CHAN_END"},
    Reason.ANSWERED_AT: {"ANSWER", "BRIDGE_ENTER"},
    Reason.LEG: {"CHAN_START", "ANSWER", "HANGUP"},
    Reason.WAIT: {"APP_START", "APP_END", "ANSWER"},
    Reason.ATTEMPT: {"CHAN_START", "ANSWER", "HANGUP"},
    Reason.TALK: {"BRIDGE_ENTER", "BRIDGE_EXIT"},
    Reason.TRANSFER: {"BLINDTRANSFER", "ATTENDEDTRANSFER"},
}
"""Which events of CEL show a difference; of the others: begin and end of every channel."""
_OF_CHANNEL = frozenset({Reason.LEG, Reason.ATTEMPT, Reason.TALK, Reason.WAIT, Reason.RECORDING})
_IN_QUEUE_LOG = frozenset({Reason.WAIT, Reason.ATTEMPT})
_IN_CDR = frozenset({Reason.BEGIN, Reason.END, Reason.DISPOSITION, Reason.DUPLICATED, Reason.JOINED})


@dataclass(frozen=True, slots=True)
class Pages:
    """What was read of the books of one PBX; None is not kept, or cannot be read. All of it is whole from `since` on."""

    queue_log: Sequence[QueueRow] | None
    cdr: Sequence[CdrRow] | None
    cel: Sequence[CelRow] | None
    since: float


def compare(
    pbx: str,
    rules: Rules,
    known: Known,
    pages: Pages,
    *,
    since: float | None = None,
    until: float | None = None,
    edge: float = 5.0,
    by_end: bool = False,
    fresh: float = 0.0,
) -> Report:
    """Hold the records against the books; the window is that of `cti.core.reconcile.reconcile`.

    In what ended less than `fresh` seconds before its end, what only CEL tells may be missing still: who was turned away.

    `known` and `pages` reach a little beyond the window; `pages` from before the first channel of every call that is
    judged: what the books had to say before is not asked for, and such a call is left out of what CEL tells, and counted.
    """
    lines = reconcile(
        known.stays,
        known.calls,
        known.legs,
        pages.queue_log,
        pages.cdr,
        since=since,
        until=until,
        edge=edge,
        by_end=by_end,
        attempts=known.attempts,
    )
    window = window_of(
        known.stays,
        known.calls,
        pages.queue_log,
        pages.cdr,
        since=since,
        until=until,
        edge=edge,
        by_end=by_end,
    )
    whole = _Comparison(pbx, rules, known, pages, window, lines, fresh)
    found = [*lines.mismatches, *whole.differences()]
    checked, left_out = lines.checked + whole.tally.checked, lines.left_out + whole.tally.left_out
    if not found:
        return replace(lines, checked=checked, left_out=left_out)
    said = Evidence(whole.records, pages.queue_log or (), pages.cdr or (), pages.cel)
    named = [replace(one, rule=explain(one, said)) for one in found]
    return Report(
        checked,
        tuple(one for one in named if not one.rule),
        left_out,
        tuple(one for one in named if one.rule),
    )


class _Comparison:
    def __init__(  # noqa: PLR0917 - what `compare` was given
        self,
        pbx: str,
        rules: Rules,
        known: Known,
        pages: Pages,
        window: Window,
        lines: Report,
        fresh: float,
    ) -> None:
        self._settled = window.latest - fresh
        self._pbx, self._rules, self._known, self._pages, self._window = pbx, rules, known, pages, window
        of_calls = (known.legs, known.stays, known.attempts, known.talks, known.transfers, known.recordings)
        self.records = wholes(chain(known.calls, *of_calls))
        self.tally = Tally()
        self._exact = pages.cel is not None
        self._owner = {own: record for record in self.records.values() for own in record.channels}
        self._named = {  # groups of the CDR of which it was said that they have no record
            one.uniqueid for one in lines.mismatches if one.reason is Reason.CDR_WITHOUT_CALL
        }
        self._by_channel: Mapping[str, Sequence[CelRow]] = {}
        self._fields_told = None if self._exact else _BY_CDR  # None: all of them
        if self._exact and pages.queue_log is None:
            self._fields_told = _WITHOUT_QUEUES
        self._within = INSTANT if self._exact else _OF_CDR
        if pages.cel and all(row.at.is_integer() for row in pages.cel):
            self._within = _WHOLE_SECONDS

    def differences(self) -> Iterator[Mismatch]:
        """Everything that counting lines does not show."""
        cel = self._pages.cel if self._pages.cel is not None else self._of_cdr()
        if cel is None:
            return
        chosen = [family for family in families(cel) if self._concerns(family)]
        rows = sorted(chain.from_iterable(family.rows for family in chosen), key=lambda row: row.at)
        self._by_channel = channels_of(rows)
        book = wholes(self._tell(rows))
        owners: dict[str, list[Whole]] = {}
        for call in book.values():
            found = {record.call.id: record for own in call.channels if (record := self._owner.get(own))}
            if not found:
                yield from self._missing(call)
            elif len(found) > 1:
                yield from self._duplicated(call, list(found.values()))
            for record in found.values():
                owners.setdefault(record.call.id, []).append(call)
        partial = set(chain.from_iterable(family.channels for family in chosen if not family.whole))
        for record in self.records.values():
            if record.channels.isdisjoint(partial):
                yield from self._record(record, owners.get(record.call.id, []))
            elif self._judges(record.call) and self._window.settled(record.call.ended_at):
                self.tally.left_out += 1

    def _of_cdr(self) -> list[CelRow] | None:
        if self._pages.cdr is None:
            return None
        return cel_of(self._pages.cdr, self._pages.queue_log or ())

    def _tell(self, rows: Sequence[CelRow]) -> list[Fact]:
        channels = {row.uniqueid for row in rows}
        log = self._pages.queue_log or ()
        queue_log = [row for row in log if row.callid in channels or row.verb in _MEMBERS]
        source, queues = "cel" if self._exact else "cdr", self._pages.queue_log is not None
        of_calls = Rows(queue_log, rows, source, queues=queues, crowd=log)
        return told(self._pbx, self._rules, of_calls, self._known)

    def _concerns(self, family: Family) -> bool:
        """Whether a record that is judged has a channel of it, or it has no record and may be judged itself."""
        records = {record.call.id: record for own in family.channels if (record := self._owner.get(own))}
        if any(self._judges(record.call) for record in records.values()):
            return True
        if self._exact:
            return self._window.judges(family.rows[0].at, family.rows[-1].at)
        # An agent's line ties a day of calls: any of them may have gone in the window.
        return any(self._window.judges(row.at, row.at) for row in family.rows)

    def _judges(self, call: Call, *, alone: bool = False) -> bool:
        return self._window.judges(call.started_at, call.ended_at, alone=alone)

    # -- which is which

    def _missing(self, call: Whole) -> Iterator[Mismatch]:
        one = call.call
        if not self._judges(one, alone=True) or not self._window.settled(one.ended_at):
            return
        groups = {row.group for row in self._pages.cdr or () if row.uniqueid in call.channels}
        if groups & self._named:
            return
        self.tally.checked += 1
        reason = Reason.MISSING if self._exact else Reason.CDR_WITHOUT_CALL
        yield self._mismatch(Odd(reason, self._first(one), "call", "no record", _channels(call)), None, call)

    def _duplicated(self, call: Whole, records: Sequence[Whole]) -> Iterator[Mismatch]:
        if any(self._judges(record.call) for record in records):
            ids = ", ".join(sorted(record.call.id for record in records))
            odd = Odd(Reason.DUPLICATED, self._first(call.call), "call", ids, f"one call: {_channels(call)}")
            yield self._mismatch(odd, min(records, key=lambda record: record.call.started_at), call)

    def _record(self, record: Whole, calls: Sequence[Whole]) -> Iterator[Mismatch]:
        one = record.call
        if not calls:
            yield from self._unknown(record)
            return
        ended = [call.call.ended_at for call in calls]
        over = max((at for at in ended if at is not None), default=None) if None not in ended else None
        until = one.ended_at if one.ended_at is not None else over
        if not self._window.judges(one.started_at, until) or not self._window.settled(until):
            return
        if len(calls) > 1 and self._exact:
            book = "; ".join(f"a call: {_channels(call)}" for call in calls)
            yield self._mismatch(Odd(Reason.JOINED, self._first(one), "call", one.id, book), record, *calls)
        elif one.ended_at is None:
            odd = Odd(Reason.OPEN, self._first(one), "call.ended_at", "none", f"{over:.3f}")
            yield self._mismatch(odd, record, *calls)
        elif len(calls) == 1 and self._alone(record, calls[0]):
            yield from self._fields(record, calls[0])

    def _alone(self, record: Whole, call: Whole) -> bool:
        """Whether this is the one record of the call."""
        return all(self._owner.get(own, record) is record for own in call.channels)

    def _unknown(self, record: Whole) -> Iterator[Mismatch]:
        one = record.call
        seen = one.started_at >= self._pages.since and self._window.settled(one.ended_at)
        if self._exact and seen and self._judges(one, alone=True):
            odd = Odd(Reason.NOT_IN_CEL, self._first(one), "call", _channels(record) or one.id, "no row")
            yield self._mismatch(odd, record)

    def _fields(self, record: Whole, call: Whole) -> Iterator[Mismatch]:
        ended = record.call.ended_at
        still_missing = _OF_REFUSALS if ended is not None and ended > self._settled else frozenset()
        for odd in differences(record, call, self._by_channel, self._within):
            compared = self._fields_told is None or odd.field in self._fields_told
            if compared and odd.field not in still_missing:
                yield self._mismatch(odd, record, call)

    # -- what shows it

    def _first(self, call: Call) -> str:
        return call.id.removeprefix(f"{self._pbx}-")

    def _mismatch(self, odd: Odd, record: Whole | None, *calls: Whole) -> Mismatch:
        channels = set(chain.from_iterable(call.channels for call in calls))
        call_id = record.call.id if record is not None else None
        lines = tuple(self._lines(odd, channels))[:_LINES]
        return Mismatch(odd.reason, call_id, odd.uniqueid, odd.field, odd.ours, odd.book, lines)

    def _lines(self, odd: Odd, channels: Collection[str]) -> Iterator[str]:
        if self._exact:
            events = _SHOWN.get(odd.reason, _ALL)
            of = {odd.uniqueid} if odd.reason in _OF_CHANNEL else channels
            rows = [row for own in of for row in self._by_channel.get(own, ()) if row.event in events]
            yield from (row.raw for row in sorted(rows, key=lambda row: row.at))
        if odd.reason in _IN_QUEUE_LOG:
            yield from (row.raw for row in self._pages.queue_log or () if row.callid in channels)
        if odd.reason in _IN_CDR or not self._exact:
            yield from (row.raw for row in self._pages.cdr or () if row.uniqueid in channels)


def _channels(call: Whole) -> str:
    legs = sorted(call.legs.values(), key=lambda leg: leg.started_at)
    return ", ".join(leg.channel for leg in legs)
