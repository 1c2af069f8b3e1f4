"""The written rules for what may differ between records and books, each with the Asterisk behaviour behind it.

A rule holds for a difference only if the books themselves show, in another place, that it is this behaviour and no
other. The rules stand in docs/scenarios.md, word for word.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cti.core.books import CdrRow, QueueRow, figure
from cti.core.cel import CelRow, channels_of
from cti.core.facts import Call
from cti.core.heirs import place_taken
from cti.core.mismatch import Mismatch
from cti.core.mismatch import MismatchReason as Reason
from cti.core.passes import QueuePass, passes
from cti.core.people import device_of
from cti.core.retell import deaths
from cti.core.wholes import Whole

_AT_ONCE = 0.1  # s
_DROPPED = 2.0  # s a busy Asterisk may take to drop a recall that it does not want
_SAME_SECOND = 2.0  # s between an instant of CEL and a line of queue_log, on a busy machine
_ROUNDED = 1.0  # s: the difference of two rounded instants
_ENDS = frozenset({"COMPLETEAGENT", "COMPLETECALLER", "BLINDTRANSFER", "ATTENDEDTRANSFER"})
NOT_BY_DEATH = frozenset(
    {
        Reason.OPEN,
        Reason.JOINED,
        Reason.DUPLICATED,
        Reason.MISSING,
        Reason.NOT_IN_RECORDS,
        Reason.CDR_WITHOUT_CALL,
        Reason.BEGIN,
        Reason.CALLER,
        Reason.DIALED,
        Reason.DIRECTION,
        Reason.AGENT,
        Reason.TRANSFER,
    }
)
"""What no death of an Asterisk explains."""

_OF_CHANNEL = frozenset({Reason.LEG, Reason.ATTEMPT, Reason.TALK, Reason.WAIT})


class Evidence:
    """What the books and the records say around a difference."""

    def __init__(
        self,
        records: Mapping[str, Whole],
        queue_log: Sequence[QueueRow],
        cdr: Sequence[CdrRow],
        cel: Sequence[CelRow] | None,
    ) -> None:
        """`cel` is None where there is none."""
        self.without_cel, cel = cel is None, cel or ()
        self.records = records
        self.cel = channels_of(cel)
        self.cdr_channels = {row.uniqueid for row in cdr}
        self.passes = passes(queue_log)
        self.deaths = deaths(queue_log, cel)
        self._moves = [row for row in cel if row.event == "ATTENDEDTRANSFER"]
        self._pickups = {
            str(row.extra.get("pickup_channel_uniqueid", "")): row for row in cel if row.event == "PICKUP"
        }
        self._strays = _strays(queue_log, self.passes)
        self._seats = {
            leg.device: leg.agent
            for whole in records.values()
            for leg in whole.legs.values()
            if leg.agent is not None
        }

    def channels(self, one: Mismatch) -> set[str]:
        """Those of the record that a difference is about, or the one that the book names."""
        whole = self.records.get(one.call_id or "")
        return {one.uniqueid} | (whole.channels if whole is not None else set())

    def pass_of(self, one: Mismatch) -> QueuePass | None:
        """The pass that a difference is about."""
        first = one.lines[0] if one.lines else None
        return next((p for p in self.passes if p.uniqueid == one.uniqueid and p.lines[0] == first), None)

    def picked(self, uniqueid: str) -> CelRow | None:
        """The pickup of whom app_queue connected this channel with."""
        of_channel = (self._pickups.get(p.member_channel) for p in self.passes if p.uniqueid == uniqueid)
        return next((row for row in of_channel if row is not None), None)

    def agent_at(self, channel: str) -> str | None:
        """Who sits at the phone of this channel, as the records have it."""
        return self._seats.get(device_of(channel))

    def endless(self, channel: str) -> bool:
        """Whether CEL has a channel and not its end, and an Asterisk died after the last it has."""
        rows = self.cel.get(channel)
        if not rows or _hangup(rows) is not None:
            return False
        return any(start > rows[-1].at for start, _ in self.deaths)

    def died_in(self, call: Call) -> bool:
        """Whether a call ended between the last word of one Asterisk and the first of the next."""
        return call.ended_at is not None and any(
            call.started_at < start and heard - _ROUNDED <= call.ended_at <= start + _SAME_SECOND
            for start, heard in self.deaths
        )

    def into_queue(self) -> Mapping[str, str]:
        """The waiting channels whose place a caller took in a transfer, and the callers."""
        return dict(taken for row in self._moves if (taken := place_taken(row)) is not None)

    def talk_elsewhere(self, one: QueuePass) -> float | None:
        """The talk of a pass without an end, as its last line has it under the uniqueid of a consultation."""
        for row in self._moves:
            app = row.extra.get("app")
            if row.uniqueid != one.member_channel or not app:
                continue
            who = (str(row.extra.get("channel2_uniqueid", "")), one.queue, one.agent or "")
            for line in self._strays.get(who, ()):
                completed = line.verb.startswith("COMPLETE")  # whichever app_queue noticed first
                handed_on = completed or list(line.data[:2]) == ["APP", app]
                if handed_on and abs(line.at - row.at) <= _SAME_SECOND:
                    return figure(line.data, 1 if completed else -2)
        return None

    def moves_of(self, device: str, at: float) -> bool:
        """Whether a channel of this device that had handed a caller on went at that moment."""
        for row in self._moves:
            end = _hangup(self.cel.get(row.uniqueid, ()))
            if end is not None and device_of(row.channel) == device and abs(end.at - at) < _AT_ONCE:
                return True
        return False


def _strays(
    queue_log: Iterable[QueueRow], found: Iterable[QueuePass]
) -> Mapping[tuple[str, str, str], list[QueueRow]]:
    """Ends that stand under a uniqueid which waits in no such queue, by uniqueid, queue and member."""
    taken = {line for one in found for line in one.lines}
    strays: dict[tuple[str, str, str], list[QueueRow]] = {}
    for row in queue_log:
        if row.verb in _ENDS and row.raw not in taken:
            strays.setdefault((row.callid, row.queue, row.member), []).append(row)
    return strays


def _hangup(rows: Iterable[CelRow]) -> CelRow | None:
    return next((row for row in rows if row.event == "HANGUP"), None)


# --- when a rule holds ------------------------------------------------------------------------------------------------


def _cut_off(one: Mismatch, said: Evidence) -> bool:
    if one.reason in NOT_BY_DEATH:
        return False
    channels = said.channels(one)
    if any(said.endless(channel) for channel in channels):
        return one.reason not in _OF_CHANNEL or said.endless(one.uniqueid) or one.uniqueid not in said.cel
    whole = said.records.get(one.call_id or "")
    without_cdr = said.cdr_channels.isdisjoint(channels)
    return whole is not None and said.without_cel and without_cdr and said.died_in(whole.call)


def _masquerade_into_queue(one: Mismatch, said: Evidence) -> bool:
    waits = said.into_queue()
    match one.reason:
        case Reason.NOT_IN_BOOK:
            queue = one.ours.split(" ", 1)[0]
            return any(
                waits.get(p.uniqueid) == one.uniqueid and p.queue == queue and p.outcome is None
                for p in said.passes
            )
        case Reason.NOT_IN_RECORDS:
            caller, queue = waits.get(one.uniqueid), one.book.split(" ", 1)[0]
            stays = (stay for whole in said.records.values() for stay in whole.stays.values())
            return any((stay.uniqueid, stay.queue) == (caller, queue) for stay in stays)
        case Reason.OUTCOME:
            entry = said.pass_of(one)
            return entry is not None and entry.outcome is None and entry.uniqueid in waits
    return False


def _masquerade_of_the_caller(one: Mismatch, said: Evidence) -> bool:
    entry = said.pass_of(one) if one.reason is Reason.BOOK_TALK else None
    if entry is None or entry.ended_at is not None:
        return False
    elsewhere, ours = said.talk_elsewhere(entry), figure([one.ours], 0)
    return elsewhere is not None and ours is not None and abs(ours - elsewhere) <= _ROUNDED


def _pickup_of_a_queue_call(one: Mismatch, said: Evidence) -> bool:
    picked = said.picked(one.uniqueid) if one.reason is Reason.AGENT else None
    if picked is None:
        return False
    took = str(picked.extra.get("pickup_channel", ""))
    return (said.agent_at(took) or "none", said.agent_at(picked.channel)) == (one.ours, one.book)


def _recall_dropped(one: Mismatch, said: Evidence) -> bool:
    if one.reason is not Reason.CALL_WITHOUT_CDR or len(said.channels(one)) > 1:
        return False
    rows: Sequence[CelRow] = said.cel.get(one.uniqueid, ())
    end = _hangup(rows)
    if end is None or (end.app, end.linkedid) != ("AppDial2", one.uniqueid):
        return False
    silent = not end.extra.get("hangupcause") and not end.extra.get("hangupsource")
    at_once = end.at - rows[0].at <= _DROPPED
    return silent and at_once and said.moves_of(device_of(end.channel), end.at)


@dataclass(frozen=True, slots=True)
class Rule:
    """Why records and books differ, and when."""

    text: str
    holds: Callable[[Mismatch, Evidence], bool]


RULES: Mapping[str, Rule] = {
    "cut_off": Rule(
        "An Asterisk that is killed writes neither CDR nor the ends of CEL and queue_log for the calls of that moment. "
        "They have their one record, and it has an end; how they ended is not compared. Explained is, of a call of which "
        "a channel has no HANGUP in CEL, what differs about such a channel and about the call's answer, end and lines in the other "
        "books, never whose it was, its direction, who answered a pass, or a transfer; and, where there is no CEL, a call that was on "
        "record until then and has no row in the CDR.",
        _cut_off,
    ),
    "masquerade_into_queue": Rule(
        "A half-finished transfer into a queue puts the caller in the place of the channel that waits there (a "
        "masquerade). app_queue goes on under the uniqueid it now finds on the channel: ENTERQUEUE stands under that of "
        "the consultation, CONNECT and all that follows under the caller's, and the first queue's ATTENDEDTRANSFER under "
        "the consultation's. No pass in the book is whole; the record has the one pass there was. Explained is a pass of the "
        "caller beside one without an end that waits, in the same queue, as the channel that the caller took the place of "
        "(CEL: ATTENDEDTRANSFER to Queue), and an end on record of that channel's pass, when nobody saw the transfer.",
        _masquerade_into_queue,
    ),
    "masquerade_of_the_caller": Rule(
        "An attended transfer to a phone that rings still, or to a menu, puts the caller in the place of the channel that "
        "is calling or hears it (a masquerade, which swaps uniqueids without any event). app_queue closes the first pass "
        "with ATTENDEDTRANSFER under whichever uniqueid it finds on the channel at that moment: sometimes the "
        "consultation's, and then the pass has no end in the book. Explained is a talk as long as that line has it, for "
        "that member and queue.",
        _masquerade_of_the_caller,
    ),
    "pickup_of_a_queue_call": Rule(
        "Somebody picks up (Pickup) what rings at a member's phone. app_queue does not learn of it and writes CONNECT and "
        "COMPLETE… for the member whose phone rang; the record credits who picked up. Explained is the agent at the phone that "
        "by CEL (PICKUP) took the call, where the book has the one at the phone that it was taken from.",
        _pickup_of_a_queue_call,
    ),
    "recall_dropped": Rule(
        "Of a half-finished transfer that nobody takes, Asterisk gives up the target's phone (atxfernoanswertimeout) and rings "
        "the one who handed the caller on. If the target's channel leaves the bridge before Asterisk has let go of it, that "
        "counts as the failure of the recall: the recall is hung up at once, before it rang, and the caller with "
        "it. It is a channel of its own, in CEL (AppDial2, cause 0, gone together with the channel that handed the caller "
        "on) and not in the CDR, and is a call of its own on record, beside the one that nobody came back to.",
        _recall_dropped,
    ),
}
"""Name to rule; they are tried in this order."""


def explain(one: Mismatch, said: Evidence) -> str:
    """The name of the rule that explains a difference, or ""."""
    return next((name for name, rule in RULES.items() if rule.holds(one, said)), "")
