"""A call that a gap cut, held against what the books tell of it: what is missing, unknown or was concluded is put right. Pure.

A call that was wholly seen is completed only by what AMI does not tell (`Completion.place`).

What was seen stays as it was. What was concluded is not seen: the begin of a channel found in a list, the end of a talk when
somebody looked again, whose call a phone was ringing for, how a call ended whose middle was missed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cti.core.completing_talks import TalkCompletion, free_number
from cti.core.facts import (
    NOT_LET_IN,
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Fact,
    Gap,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from cti.core.parts import PENDING
from cti.core.refusals import after_leaving, let_in, paired
from cti.core.unseen import NOTHING, SAME_INSTANT, TOGETHER, Unseen

SAME_JOIN = 2.5  # s by which two accounts of one joining may differ (a listed wait has whole seconds)
_CLEARLY = 0.5  # s

Part = Leg | QueueStay | Attempt | Talk | Transfer | Recording

_HOW_LEFT = ("outcome", "left_at", "wait", "answered_at", "agent", "book_wait", "book_talk")
_SIDES = frozenset({EndedBy.CALLER, EndedBy.AGENT})
_LED_ON = frozenset({"answered", "recalled"})
_LASTING = frozenset({Disposition.ANSWERED, Disposition.VOICEMAIL})
_BY_STATUS = frozenset({StayOutcome.TIMEOUT, StayOutcome.EMPTY, StayOutcome.WITHDRAWN})
_UNSAID = frozenset(
    {StayOutcome.ABANDONED, StayOutcome.TRANSFERRED_OUT}
)  # what these seem to be without QUEUESTATUS
_CALL = (
    "answered_at",
    "ended_at",
    "ended_by",
    "hangup_cause",
    "caller_number",
    "caller_name",
    "dialed_number",
)
_FIRST = (
    "started_at",
    "direction",
    "caller_number",
    "caller_name",
    "dialed_number",
    "ended_by",
    "hangup_cause",
)
NO_NUMBER = frozenset({"", "s"})  # what CEL has where no number was dialled
_HELPER = "Local/_attended@"  # a channel that Asterisk makes itself as a transfer is done
_COUNTED = 1.0  # s by which an instant that app_queue's whole seconds were added up to may differ
_LEG = ("ring_started_at", "answered_at", "ended_at", "dial_status", "hangup_cause", "number", "agent")
_STAY = ("position", "answered_at", "left_at", "outcome", "agent", "book_wait", "book_talk")
_ATTEMPT = ("stay_id", "queue", "agent", "ended_at", "outcome")
FROM_QUEUE_LOG = ("position", "outcome", "agent", "book_wait", "book_talk")


class Completion:
    """Completes one call after the other; `new` and `completed` are what came of it."""

    def __init__(
        self,
        pbx: str,
        gaps: Sequence[Gap],
        source: str,
        known: Known,
        told: Iterable[Fact],
        *,
        deaths: Iterable[float] = (),
    ) -> None:
        self.new: list[Fact] = []
        self.completed: list[Fact] = []
        self._pbx, self._gaps, self._source = pbx, gaps, source
        self._legs = {leg.id: leg for leg in known.legs}
        self._attempts = {attempt.id: attempt for attempt in known.attempts}
        self._of_call = _by_call(known)
        self._stay_ids = {stay.id for stay in known.stays}
        legs = [fact for fact in told if isinstance(fact, Leg)]
        self._leg_ends = {leg.id: leg.ended_at for leg in legs}
        # A Hangup has a cause; whose end has none was gone when somebody looked.
        gone = {leg.ended_at for leg in known.legs if leg.hangup_cause is None and leg.ended_at is not None}
        self._unseen = Unseen(gaps, deaths, gone)
        self._talks = TalkCompletion(self._unseen, known.talks, {leg.id: leg.call_id for leg in legs})
        # Of the call in hand:
        self._joined: tuple[str, ...] = ()  # calls that it turned out to be made of
        self._met: dict[str, QueueStay] = {}  # stays on record by the ids that the books give them
        self._stay_of: dict[str, QueueStay] = {}  # by the same ids, as they stand now
        self._told_stays: list[QueueStay] = []
        self._overwritten: set[str] = (
            set()
        )  # of these, by the same ids, those whose QUEUESTATUS another queue wrote over
        self._ended: set[str] = set()  # recordings whose end the books have
        self._told_talks: list[Talk] = []
        self._told_legs: list[Leg] = []
        self._taken_back: set[str | None] = set()  # queues that somebody else answered than was concluded

    def complete(self, stored: Call, told: Call, parts: Sequence[Part], joined: Iterable[Call] = ()) -> None:
        """Hold a call and its parts against what the books tell; `joined` became part of it just now."""
        self._joined = tuple(call.id for call in joined)
        self._taken_back = set()
        self._told_talks = [part for part in parts if isinstance(part, Talk)]
        self._talks.begin({stored.id, *self._joined}, self._told_talks, self._taken_back)
        self._told_legs = [part for part in parts if isinstance(part, Leg)]
        self._told_stays = stays = [part for part in parts if isinstance(part, QueueStay)]
        self._met, self._overwritten = self._meet(stored.id, stays), _written_over(stays)
        self._stay_of = {}
        changes = self._call_changes(stored, told)
        sides = stored.ended_by is not told.ended_by and {stored.ended_by, told.ended_by} <= _SIDES
        unseen = told.ended_at is not None and self._unseen.missed(told.ended_at)
        if sides and (unseen or any(isinstance(part, Talk) and self._talks.unheard(part) for part in parts)):
            changes["ended_by"] = told.ended_by  # who had hung up had handed on: others talked after them
        self._update(stored, changes)
        for part in sorted(parts, key=lambda part: not isinstance(part, QueueStay)):  # ringings name theirs
            match part:
                case Leg():
                    self._leg(stored.id, part)
                case QueueStay() if part.outcome not in NOT_LET_IN:
                    self._stay(stored.id, part)
                case Attempt():
                    self._attempt(stored.id, part)
                case Talk():
                    for talk, better in self._talks.take(stored.id, part):
                        if better is None:
                            self._add(stored.id, talk)
                        else:
                            self._update(talk, better)
                case Transfer():
                    self._transfer(stored.id, part)
                case Recording():
                    self._recording(stored.id, part)
        self._refusals(stored.id, parts, self._met)
        self._recordings(stored.id)

    def place(self, stored: Call, told: Call, parts: Sequence[Part]) -> None:
        """Complete a call that was wholly seen by what AMI does not tell of queues that turned its caller away.

        A pass after which that happened may have lost its QUEUESTATUS to it, so that it seems to have been given up, or
        taken out of the queue; and a caller of whom not even that was left seems never to have come to a queue.
        """
        self._joined, self._stay_of = (), {}
        stays = [part for part in parts if isinstance(part, QueueStay)]
        met = self._meet(stored.id, stays)
        added = self._refusals(stored.id, parts, met)
        unsaid, mended = _written_over(stays), False
        for one in stays:
            stay = met.get(one.id)
            if stay is None:
                continue
            if stay.outcome is StayOutcome.UNKNOWN or (stay.outcome in _UNSAID and one.id in unsaid):
                changes = self._unseen.unknown(replace(stay, outcome=None), one, ("outcome",))
                self._update(stay, changes)
                mended = mended or bool(changes)
        left = added and stored.disposition is Disposition.LEFT_MENU
        wrong = mended and not {stored.disposition, told.disposition} & _LASTING
        if (left or wrong) and told.disposition not in {None, Disposition.UNKNOWN, stored.disposition}:
            self._update(stored, {"disposition": told.disposition})

    def _refusals(self, call_id: str, parts: Iterable[Part], met_passes: Mapping[str, QueueStay]) -> bool:
        """Those that are on record get their queue and instant, others are added; returns whether any was.

        Where queue_log lacks a pass that is on record, CEL's run of it looks like one more.
        """
        stays = [part for part in parts if isinstance(part, QueueStay)]
        told = [part for part in stays if part.outcome in NOT_LET_IN]
        on_record = [one for one in self._on_record(call_id) if isinstance(one, QueueStay)]
        met = paired(_refusals_as_seen(stays, met_passes, on_record), told)
        read = {stay.id for stay in met_passes.values()}
        unread = [one for one in on_record if one.outcome not in NOT_LET_IN and one.id not in read]
        told = [one for one in told if one.id in met or not let_in(one, unread)]
        mended = {stay.id: stay for stay in self._stay_of.values()}
        stays_now = [mended.get(one.id, one) for one in on_record]
        for one in told:
            stored = met.get(one.id)
            seen = math.inf if stored is None else stored.joined_at
            at = after_leaving(one.joined_at, seen, one.uniqueid, stays_now)
            if stored is None:
                added = replace(one, joined_at=at, left_at=at)
                self._add(call_id, self._freed(added, f"{self._pbx}-{one.uniqueid}/n", 1))
            elif not stored.queue:
                same = at.is_integer() and 0 <= stored.joined_at - at < 1  # its second
                exact = {} if same or self._source != "cel" else {"joined_at": at, "left_at": at}
                self._update(stored, {"queue": one.queue, **exact})
        return any(one.id not in met for one in told)

    def _freed(self, told: QueueStay, series: str, number: int) -> QueueStay:
        """The stay under the first free id of a series, from a number on."""
        while (free := f"{series}{number}") in self._stay_ids:
            number += 1
        self._stay_ids.add(free)
        return replace(told, id=free, ordinal=number if told.ordinal else 0)

    def _call_changes(self, stored: Call, told: Call) -> dict[str, Any]:
        changes = self._unseen.unknown(stored, told, _CALL)
        served = told.answered_at
        first = stored.answered_at is None or (served or 0.0) < stored.answered_at - _CLEARLY
        if served is not None and self._unseen.missed(served) and first:
            changes["answered_at"] = served  # nobody saw them served first
        began = stored.id == told.id and self._unseen.missed(told.started_at)
        if began and told.dialed_number not in {*NO_NUMBER, stored.dialed_number}:
            changes["dialed_number"] = told.dialed_number  # a list has where the caller is now
        if self._began_unseen(stored, told):
            changes["started_at"] = told.started_at
        elif stored.id != told.id and self._unseen.missed(told.started_at):
            # Found when its first channel had gone.
            of_first = {name: getattr(told, name) for name in _FIRST}
            changes |= {k: v for k, v in of_first.items() if v not in (*NOTHING, getattr(stored, k))}
        if "*:mark" in stored.sources and stored.id == told.id:
            # The dialplan's own instants: it is done with a caller before the last channel has gone.
            of_dialplan = {name: getattr(told, name) for name in ("started_at", "ended_at")}
            changes |= {k: v for k, v in of_dialplan.items() if self._elsewhen(getattr(stored, k) or 0.0, v)}
        if told.direction is Direction.OUTBOUND is not stored.direction:
            changes["direction"] = told.direction  # nobody saw where it went
            if began and told.dialed_number in NO_NUMBER:  # the list had whom a program connected them with
                changes["dialed_number"] = told.dialed_number
            if told.ended_by in _SIDES and stored.ended_by in _SIDES - {told.ended_by}:
                changes["ended_by"] = told.ended_by
        if told.caller_name and told.caller_number == stored.caller_number != told.caller_name:
            changes["caller_name"] = told.caller_name  # perhaps looked up meanwhile
        if changes.get("caller_name") == stored.caller_name:
            del changes["caller_name"]
        lasting = stored.disposition in _LASTING
        seen = self._unseen.seen_whole(stored) or (lasting and "answered_at" not in changes)
        decided = seen and stored.disposition is not Disposition.UNKNOWN
        if not decided and told.disposition not in {None, stored.disposition, Disposition.UNKNOWN}:
            changes["disposition"] = told.disposition
        return changes

    def _began_unseen(self, stored: Call | Leg, told: Call | Leg) -> bool:
        """Whether its begin was concluded from the age in a list, in whole seconds."""
        apart = self._began_elsewhen(stored.started_at, told.started_at)
        return stored.id == told.id and apart and self._unseen.missed(told.started_at)

    def _leg(self, call_id: str, told: Leg) -> None:
        stored = self._legs.get(told.id)
        if stored is None:
            self._add(call_id, told)
        else:
            changes = self._unseen.unknown(stored, told, _LEG)
            if self._began_unseen(stored, told):
                changes["started_at"] = told.started_at
            unanswered = told.answered_at is None and self._source == "cel" and not self._talked(told)
            if unanswered and self._unseen.is_guess(stored.answered_at):
                changes["answered_at"] = None  # found picked up, and never put through
            if told.dialed and not stored.dialed:
                changes["dialed"] = True  # nobody saw that it was rung
            named = told.dialed and told.number and told.number not in told.device
            if named and told.number != stored.number and self._unseen.missed(told.started_at):
                changes["number"] = told.number  # a list has the number shown, not the one that was dialled
            self._update(stored, changes)

    def _talked(self, told: Leg) -> bool:
        return any(talk.id.rpartition("/")[0] == told.id for talk in self._told_talks)

    def _meet(self, call_id: str, told: Sequence[QueueStay]) -> dict[str, QueueStay]:
        """The stay on record of each pass that the books tell of, by the pass's id: the nearest in time, each once."""
        pairs = [
            (abs(stay.joined_at - one.joined_at), stay.id, one.id, stay)
            for one in told
            for stay in self._on_record(call_id)
            if isinstance(stay, QueueStay)
            and not NOT_LET_IN & {stay.outcome, one.outcome}
            and (stay.uniqueid == one.uniqueid or stay.id == one.id)
            and stay.queue == one.queue
        ]
        met: dict[str, QueueStay] = {}
        taken: set[str] = set()
        for apart, stay_id, told_id, stay in sorted(pairs, key=lambda pair: pair[:3]):
            if apart < SAME_JOIN and stay_id not in taken and told_id not in met:
                met[told_id] = stay
                taken.add(stay_id)
        return met

    def _stay(self, call_id: str, told: QueueStay) -> None:
        stored = self._met.get(told.id)
        if stored is None:
            added = self._freed(told, f"{self._pbx}-{told.uniqueid}/q", told.ordinal)
            self._stay_of[told.id] = added
            self._add(call_id, added)
            return
        changes = self._unseen.unknown(stored, told, _STAY)
        if told.id in self._overwritten and stored.outcome in _UNSAID:
            changes["outcome"] = told.outcome
        left = told.left_at is not None and self._unseen.missed(told.left_at)
        if left or self._unseen.missed(told.joined_at):  # how they left was concluded, not seen
            moved = stored.outcome is StayOutcome.TRANSFERRED_OUT
            other = told.outcome is not stored.outcome or told.agent not in {None, stored.agent}
            if not moved and told.outcome is not None and other:
                changes |= {name: getattr(told, name) for name in _HOW_LEFT}
                self._taken_back.add(stored.queue)
        if self._unseen.missed(told.joined_at) and self._joined_elsewhen(stored.joined_at, told):
            changes["joined_at"] = told.joined_at
        for name in ("answered_at", "left_at"):
            if name not in changes and self._unseen.noticed_late(getattr(stored, name), getattr(told, name)):
                changes[name] = getattr(told, name)
        if left and told.uniqueid != stored.uniqueid:
            changes["uniqueid"] = told.uniqueid  # it waited no more for somebody to take its place
        # Found talking: when they were put through, after what the agent was told first, was concluded.
        if left and stored.left_at is not None and stored.left_at == stored.answered_at:
            changes |= {"left_at": told.left_at} if self._elsewhen(stored.left_at, told.left_at) else {}
        changes = _in_order(stored, changes)
        if {"answered_at", "left_at", "joined_at"} & changes.keys() or stored.wait is None:
            changes["wait"] = _wait(replace(stored, **changes))
        changes = {name: value for name, value in changes.items() if value != getattr(stored, name)}
        self._stay_of[told.id] = replace(stored, **changes)
        self._update(stored, changes)

    @staticmethod
    def _elsewhen(stored: float, told: float | None) -> bool:
        """Whether the books know better when that was; an instant that is queue_log's alone has whole seconds."""
        return told is not None and abs(stored - told) > (1.0 if told.is_integer() else TOGETHER)

    def _began_elsewhen(self, stored: float, told: float) -> bool:
        """Whether the books know better when it began."""
        if self._unseen.is_of_a_list(stored) and not told.is_integer():
            return abs(stored - told) > SAME_INSTANT
        return self._elsewhen(stored, told)

    def _joined_elsewhen(self, stored: float, told: QueueStay) -> bool:
        """The same of a pass; one that follows another within one run of Queue begins where app_queue's seconds end that."""
        others = (one for one in self._told_stays if one.uniqueid == told.uniqueid and one.id != told.id)
        lefts = (one.left_at for one in others)
        counted = any(left is not None and abs(left - told.joined_at) < SAME_INSTANT for left in lefts)
        if counted and not self._unseen.is_of_a_list(stored):
            return abs(stored - told.joined_at) > _COUNTED
        return self._began_elsewhen(stored, told.joined_at)

    def _attempt(self, call_id: str, told: Attempt) -> None:
        if told.stay_id in self._stay_of:
            told = replace(told, stay_id=self._stay_of[told.stay_id].id)
        stored = self._attempts.get(told.id)
        if stored is None:
            of_call = (one for one in self._on_record(call_id) if isinstance(one, Attempt))
            stored = next((one for one in of_call if same_ringing(one, told)), None)
        if stored is None:
            self._add(call_id, told)
        else:
            changes = self._unseen.unknown(stored, told, _ATTEMPT)
            # Which dial rang it, and for whom, decides how the end is to be read.
            concluded = self._unseen.missed(told.started_at) or (
                told.ended_at is not None and self._unseen.missed(told.ended_at)
            )
            if concluded and told.outcome not in {None, AttemptOutcome.UNKNOWN, stored.outcome}:
                changes |= {"outcome": told.outcome, "ended_at": told.ended_at}
            other = self._unseen.missed(told.started_at) and told.queue not in {None, stored.queue}
            if other or self._unseen.is_guess(stored.started_at):  # found ringing; for whom was concluded
                changes |= {"stay_id": told.stay_id, "queue": told.queue}
            if self._unseen.is_guess(stored.started_at) and told.started_at < stored.started_at - TOGETHER:
                changes["started_at"] = told.started_at  # it rang already when somebody looked
            if self._unseen.noticed_late(stored.ended_at, told.ended_at):
                changes["ended_at"] = told.ended_at
            self._update(stored, {k: v for k, v in changes.items() if getattr(stored, k) != v})

    def _on_record(self, call_id: str) -> Iterable[Part]:
        """The parts of a call, and of those that turned out to be part of it just now."""
        for one in (call_id, *self._joined):
            yield from self._of_call.get(one, ())

    def _transfer(self, call_id: str, told: Transfer) -> None:
        """Whom one that was seen led to was seen, too; that it led to nobody is a conclusion when something was missed."""
        of_call = (one for one in self._on_record(call_id) if isinstance(one, Transfer))
        stored = next((one for one in of_call if abs(one.at - told.at) < TOGETHER), None)
        if stored is None:
            self._add(call_id, told)
            return
        unseen = stored.result not in _LED_ON and any(gap.ended_at > stored.at for gap in self._gaps)
        concluded = unseen and told.result not in {PENDING, stored.result}
        changes = {"result": told.result} if concluded else {}
        dialled = (leg for leg in self._told_legs if not leg.channel.startswith(_HELPER))
        begun = max((leg.started_at for leg in dialled if leg.started_at < stored.at), default=stored.at)
        if told.kind != stored.kind and any(
            g.began_at < stored.at and begun < g.ended_at for g in self._gaps
        ):
            concluded = True  # whether the consultation was answered yet decides between kinds
            changes = {"kind": told.kind} | ({"result": told.result} if told.result != PENDING else {})
        if told.to and not stored.to and (concluded or told.result == stored.result):
            changes["to"] = told.to
        if changes:
            self._update(stored, changes)

    def _recording(self, call_id: str, told: Recording) -> None:
        """CEL has those that the dialplan began, when it is told to note MixMonitor."""
        channel = told.id.rpartition("/")[0]
        of_channel = [
            one
            for one in self._on_record(call_id)
            if isinstance(one, Recording) and one.id.rpartition("/")[0] == channel
        ]
        same = (one for one in of_channel if abs(one.started_at - told.started_at) < _CLEARLY)
        stored = next((one for one in same if one.file.endswith(told.file)), None)
        if stored is not None:
            self._update(stored, self._unseen.unknown(stored, told, ("stopped_at",)))
            self._ended |= {stored.id} if told.stopped_at is not None else set()
        elif self._unseen.missed(told.started_at):
            number = free_number(
                int(told.id.rpartition("/r")[2]), {int(one.id.rpartition("/r")[2]) for one in of_channel}
            )
            self._add(call_id, replace(told, id=f"{channel}/r{number}"))

    def _recordings(self, call_id: str) -> None:
        """One whose end nobody saw, and that no book tells of, ended with its channel at the latest."""
        for one in self._on_record(call_id):
            if not isinstance(one, Recording) or one.id in self._ended:
                continue
            ended = self._leg_ends.get(one.id.rpartition("/")[0])
            if ended is None or not self._unseen.is_guess(one.stopped_at):
                continue
            if one.started_at <= ended < (one.stopped_at or ended) - SAME_INSTANT:
                self._update(one, {"stopped_at": ended})

    def _add(self, call_id: str, told: Part) -> None:
        self.new.append(replace(sourced(told, self._source), call_id=call_id))

    def _update(self, stored: Any, changes: dict[str, Any]) -> None:
        if not changes:
            return
        book = self._source
        named = {
            name: "queue_log" if isinstance(stored, QueueStay) and name in FROM_QUEUE_LOG else book
            for name in changes
        }
        kept = tuple(one for one in stored.sources if one.partition(":")[0] not in named)
        sources = (*kept, *(f"{name}:{where}" for name, where in named.items()))
        self.completed.append(replace(stored, sources=sources, **changes))


def sourced(part: Part, source: str) -> Part:
    """The part, saying that all of it is from the books; `source` is what the channel rows were made of."""
    sources: tuple[str, ...] = (f"*:{source}",)
    if isinstance(part, QueueStay) and part.outcome not in NOT_LET_IN:
        sources += tuple(f"{name}:queue_log" for name in FROM_QUEUE_LOG)
    if isinstance(part, Talk):
        return replace(part, sources=sources, hold=None)
    return replace(part, sources=sources)


def same_ringing(stored: Attempt, told: Attempt) -> bool:
    """A member on a Local channel rings once, whichever of the channels behind it was noticed first."""
    if told.agent is None or stored.agent != told.agent or stored.device == told.device:
        return False
    over = stored.ended_at if stored.ended_at is not None else float("inf")
    ends = told.ended_at if told.ended_at is not None else float("inf")
    return stored.started_at <= ends + TOGETHER and told.started_at <= over + TOGETHER


def _in_order(stored: QueueStay, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes, where books in whole seconds do not end a wait before it begins."""
    ordered = dict(changes)
    if "joined_at" in changes:
        kept = [getattr(stored, name) for name in ("answered_at", "left_at") if name not in changes]
        ordered["joined_at"] = min([changes["joined_at"], *(at for at in kept if at is not None)])
    begin = ordered.get("joined_at", stored.joined_at)
    for name in ("answered_at", "left_at"):
        if ordered.get(name) is not None:
            ordered[name] = max(ordered[name], begin)
    return ordered


def _wait(stay: QueueStay) -> float | None:
    until = stay.left_at if stay.answered_at is None else stay.answered_at
    return None if until is None else until - stay.joined_at


def _written_over(told: Iterable[QueueStay]) -> set[str]:
    """Ids of the passes that ended by a QUEUESTATUS which the next queue, that turned the caller away, wrote over."""
    after: dict[str, QueueStay] = {}  # by channel
    found = set()
    for one in sorted(told, key=lambda stay: stay.joined_at, reverse=True):
        later = after.get(one.uniqueid)
        if later is not None and later.outcome in NOT_LET_IN and one.outcome in _BY_STATUS:
            found.add(one.id)
        after[one.uniqueid] = one
    return found


def _refusals_as_seen(
    told: Iterable[QueueStay], met_passes: Mapping[str, QueueStay], on_record: Iterable[QueueStay]
) -> list[QueueStay]:
    """The refusals on record, each when it was seen at the latest.

    One before a pass that seemed to be given up, after which nothing comes, was seen as that pass was over.
    """
    seen: dict[float, float] = {}
    for one in told:
        stored = met_passes.get(one.id)
        if stored is not None and stored.left_at is not None and stored.outcome is StayOutcome.ABANDONED:
            otherwise = one.outcome not in {None, StayOutcome.ABANDONED}
            seen |= {stored.joined_at: stored.left_at} if otherwise else {}
    refused = (one for one in on_record if one.outcome in NOT_LET_IN)
    return [
        one if one.queue else replace(one, joined_at=seen.get(one.joined_at, one.joined_at))
        for one in refused
    ]


def _by_call(known: Known) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    kinds = (known.stays, known.attempts, known.talks, known.transfers, known.recordings)
    for part in (one for kind in kinds for one in kind):
        found.setdefault(part.call_id, []).append(part)
    return found
