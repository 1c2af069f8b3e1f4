"""What the books add to the records after a gap: calls nobody saw, and what was not seen of the others. Pure.

The books of the time around a gap are told again (`cti.core.retell`) to a core of their own, and what it makes of them
is held against what is on record:

* A call of which no channel is on record is written whole, as `from_books`.
* A call that the gap cut gets what is missing: parts that are not there, and fields that are unknown. Unknown is what
  is empty, an outcome `unknown`, and an instant that is the gap's own end, for that is when somebody looked, not when
  it happened. What was seen is never changed, and the call stays `gapped`.
* An agent's states that began within the gap are added.

Every field so filled says in `sources` which book it came from. Nothing is done twice: a call that is whole needs
nothing, so running this again over the same books gives nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cti.core import events as ev
from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AttemptOutcome,
    Call,
    Direction,
    Disposition,
    EndedBy,
    Fact,
    FactKey,
    Gap,
    Leg,
    Quality,
    QueueStay,
    Recording,
    State,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from cti.core.parts import PENDING
from cti.core.people import device_of
from cti.core.retell import retell
from cti.core.rules import Rules

_SAME_INSTANT = 1e-5  # s; the store keeps microseconds
_SAME_JOIN = 2.5  # s by which two accounts of one joining may differ (a listed wait has whole seconds)
_TOGETHER = 0.05  # s within which the events of one occurrence come
_CLEARLY = 0.5  # s
_SAME_STATE = 1.5  # s by which queue_log and AMI may differ about a change

Part = Leg | QueueStay | Attempt | Talk | Transfer
P = TypeVar("P", Call, Leg, QueueStay, Attempt, Talk)


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read of one PBX's books; `source` says what the channel rows were made of (cel, or cdr)."""

    queue_log: Sequence[QueueRow] = ()
    cel: Sequence[CelRow] = ()
    source: str = "cel"


@dataclass(slots=True)
class Plan:
    """What is to be written: `new` where there is nothing yet, `completed` in the place of what is there."""

    new: list[Fact] = field(default_factory=list)
    completed: list[Fact] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)  # ids of new calls that no gap explains
    living: list[str] = field(
        default_factory=list
    )  # ids of calls that are to be looked at when they are over

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.new or self.completed)


def plan(
    pbx: str, rules: Rules, gaps: Sequence[Gap], rows: Rows, known: Known, *, not_before: float = 0.0
) -> Plan:
    """Compare the books with the records; see above.

    Args:
        pbx: whose books they are.
        rules: as the live core has them.
        gaps: those the rows cover.
        rows: from before the first channel of every call concerned.
        known: what is on record of these calls.
        not_before: calls that ended earlier are left alone: before this PBX was first listened to.
    """
    return _Planner(pbx, rules, gaps, rows, known, not_before).plan()


class _Planner:
    def __init__(  # noqa: PLR0917 - what `plan` was given
        self, pbx: str, rules: Rules, gaps: Sequence[Gap], rows: Rows, known: Known, not_before: float
    ) -> None:
        self._not_before = not_before
        self._pbx, self._gaps, self._rows, self._known = pbx, gaps, rows, known
        self._told = [_plain(fact, rows.source) for fact in _tell(pbx, rules, rows, known)]
        self._call_of_leg = {leg.id: leg.call_id for leg in known.legs}
        self._legs = {leg.id: leg for leg in known.legs}
        self._attempts = {attempt.id: attempt for attempt in known.attempts}
        self._of_call = _by_call(known)
        self._known_calls = {call.id: call for call in known.calls}
        self._talks: dict[str, dict[str, Talk]] = {}  # by channel, with what was completed or added meanwhile
        for talk in known.talks:
            self._talks.setdefault(talk.id.rpartition("/")[0], {})[talk.id] = talk
        self._taken_back: set[str | None] = (
            set()
        )  # queues of this call that somebody else answered than was concluded
        self._stay_ids = {stay.id for stay in known.stays}
        self._met: dict[str, QueueStay] = {}  # of this call
        self._leg_ends = {leg.id: leg.ended_at for leg in self._told if isinstance(leg, Leg)}
        self._joined: tuple[str, ...] = ()  # calls that the one being completed turned out to be made of
        self._plan = Plan()

    def plan(self) -> Plan:
        parts: dict[str, list[Part]] = {}
        for fact in self._told:
            if isinstance(fact, Leg | QueueStay | Attempt | Talk | Transfer):
                parts.setdefault(fact.call_id, []).append(fact)
        for fact in self._told:
            if isinstance(fact, Call) and fact.merged_into is None:
                self._take(fact, parts.get(fact.id, []))
        self._agents()
        return self._plan

    def _take(self, told: Call, parts: list[Part]) -> None:
        on_record = self._stored(told, parts)
        if told.ended_at is None or any(call.ended_at is None for call in on_record):
            self._plan.living += [call.id for call in on_record] or [told.id]
        elif not on_record:
            self._whole(told, parts)
        elif any(call.quality is not Quality.COMPLETE for call in on_record):
            self._complete(self._one_of(on_record), told, parts)

    def _stored(self, told: Call, parts: Iterable[Part]) -> list[Call]:
        """The calls on record that have this id or one of these channels, oldest first; mostly one."""
        ids = [told.id, *(self._call_of_leg.get(part.id, "") for part in parts if isinstance(part, Leg))]
        found = {call.id: call for call in map(self._root, ids) if call is not None}
        return sorted(found.values(), key=lambda call: (call.started_at, call.id))

    def _root(self, call_id: str) -> Call | None:
        found = self._known_calls.get(call_id)
        seen: set[str] = set()
        while found is not None and found.merged_into is not None and found.id not in seen:
            seen.add(found.id)
            found = self._known_calls.get(found.merged_into)
        return found

    def _one_of(self, calls: Sequence[Call]) -> Call:
        """Nobody saw what made one call of these: the younger become part of the oldest."""
        oldest, *younger = calls
        self._joined = tuple(call.id for call in younger)
        if not younger:
            return oldest
        for call in younger:
            named = (*call.sources, f"merged_into:{self._rows.source}")
            self._plan.completed.append(replace(call, merged_into=oldest.id, sources=named))
        served = [call.answered_at for call in calls if call.answered_at is not None]
        ends = [call.ended_at for call in calls if call.ended_at is not None]
        one = replace(
            oldest,
            answered_at=min(served, default=None),
            ended_at=max(ends, default=None),
            quality=Quality.GAPPED,
        )
        self._plan.completed.append(one)
        return one

    # -- calls nobody saw

    def _whole(self, told: Call, parts: list[Part]) -> None:
        if told.ended_at is None or told.ended_at < self._not_before:
            return
        if not any(told.started_at <= gap.ended_at and told.ended_at > gap.began_at for gap in self._gaps):
            self._plan.unexplained.append(told.id)
        call = replace(told, quality=Quality.FROM_BOOKS, sources=(f"*:{self._rows.source}",))
        self._plan.new += [call, *(self._sourced(part) for part in parts)]

    def _sourced(self, part: Part) -> Part:
        if isinstance(part, Transfer):
            return part
        sources: tuple[str, ...] = (f"*:{self._rows.source}",)
        if isinstance(part, QueueStay):
            sources += tuple(f"{name}:queue_log" for name in _FROM_QUEUE_LOG)
        return replace(part, sources=sources)

    # -- calls that a gap cut

    def _complete(self, stored: Call, told: Call, parts: list[Part]) -> None:
        self._taken_back = set()
        self._met = self._meet(stored.id, [part for part in parts if isinstance(part, QueueStay)])
        self._update(stored, self._call_changes(stored, told))
        for part in parts:
            match part:
                case Leg():
                    self._leg(stored.id, part)
                case QueueStay():
                    self._stay(stored.id, part)
                case Attempt():
                    self._attempt(stored.id, part)
                case Talk():
                    self._talk(stored.id, part)
                case Transfer():
                    self._transfer(stored.id, part)
        self._recordings(stored.id)

    def _call_changes(self, stored: Call, told: Call) -> dict[str, Any]:
        changes = self._unknown(stored, told, _CALL)
        served = told.answered_at
        first = stored.answered_at is None or (served or 0.0) < stored.answered_at - _CLEARLY
        if served is not None and self._missed(served) and first:
            changes["answered_at"] = served  # nobody saw them served first
        if self._began_unseen(stored, told):
            changes["started_at"] = told.started_at
            if told.dialed_number not in {"", "s", stored.dialed_number}:
                changes["dialed_number"] = told.dialed_number  # a list has where the caller is now
        elif stored.id != told.id and self._missed(told.started_at):  # found when its first channel had gone
            changes |= {name: getattr(told, name) for name in _FIRST if getattr(told, name) not in _NOTHING}
        if told.direction is Direction.OUTBOUND is not stored.direction:
            changes["direction"] = told.direction  # nobody saw where it went
            if told.ended_by in _SIDES and stored.ended_by in _SIDES - {told.ended_by}:
                changes["ended_by"] = told.ended_by
        if told.caller_name and told.caller_number == stored.caller_number != told.caller_name:
            changes["caller_name"] = told.caller_name  # perhaps looked up meanwhile
        if changes.get("caller_name") == stored.caller_name:
            del changes["caller_name"]
        lasting = stored.disposition in {Disposition.ANSWERED, Disposition.VOICEMAIL}
        seen = self._seen_whole(stored) or (lasting and "answered_at" not in changes)
        decided = seen and stored.disposition is not Disposition.UNKNOWN
        if not decided and told.disposition not in {None, stored.disposition, Disposition.UNKNOWN}:
            changes["disposition"] = told.disposition
        return changes

    def _began_unseen(self, stored: Call | Leg, told: Call | Leg) -> bool:
        """Whether its begin was concluded from the age in a list, in whole seconds."""
        apart = abs(stored.started_at - told.started_at) > _TOGETHER
        return stored.id == told.id and apart and self._missed(told.started_at)

    def _seen_whole(self, call: Call) -> bool:
        """Whether no gap touches it."""
        ended = call.ended_at if call.ended_at is not None else float("inf")
        return not any(call.started_at <= gap.ended_at and gap.began_at <= ended for gap in self._gaps)

    def _leg(self, call_id: str, told: Leg) -> None:
        stored = self._legs.get(told.id)
        if stored is None:
            self._add(call_id, told)
        else:
            changes = self._unknown(stored, told, _LEG)
            if self._began_unseen(stored, told):
                changes["started_at"] = told.started_at
                if told.dialed and told.number not in {"", stored.number}:
                    changes["number"] = (
                        told.number
                    )  # a list has the number shown, not the one that was dialled
            self._update(stored, changes)

    def _meet(self, call_id: str, told: Sequence[QueueStay]) -> dict[str, QueueStay]:
        """The stay on record of each pass that the books tell of, by the pass's id: the nearest in time, each once."""
        pairs = [
            (abs(stay.joined_at - one.joined_at), stay.id, one.id, stay)
            for one in told
            for stay in self._on_record(call_id)
            if isinstance(stay, QueueStay)
            and (stay.uniqueid == one.uniqueid or stay.id == one.id)
            and stay.queue == one.queue
        ]
        met: dict[str, QueueStay] = {}
        taken: set[str] = set()
        for apart, stay_id, told_id, stay in sorted(pairs, key=lambda pair: pair[:3]):
            if apart < _SAME_JOIN and stay_id not in taken and told_id not in met:
                met[told_id] = stay
                taken.add(stay_id)
        return met

    def _stay(self, call_id: str, told: QueueStay) -> None:
        stored = self._met.get(told.id)
        if stored is None:
            ordinal = told.ordinal
            while (free := f"{self._pbx}-{told.uniqueid}/q{ordinal}") in self._stay_ids:
                ordinal += 1
            self._stay_ids.add(free)
            self._add(call_id, replace(told, ordinal=ordinal, id=free))
            return
        changes = self._unknown(stored, told, _STAY)
        left = told.left_at is not None and self._missed(told.left_at)
        if left or self._missed(told.joined_at):  # how they left was concluded, not seen
            moved = stored.outcome is StayOutcome.TRANSFERRED_OUT
            other = told.outcome is not stored.outcome or told.agent not in {None, stored.agent}
            if not moved and told.outcome is not None and other:
                changes |= {name: getattr(told, name) for name in _HOW_LEFT}
                self._taken_back.add(stored.queue)
        if {"answered_at", "left_at"} & changes.keys() or stored.wait is None:
            changes |= {"wait": told.wait} if told.wait != stored.wait else {}
        self._update(stored, changes)

    def _attempt(self, call_id: str, told: Attempt) -> None:
        stored = self._attempts.get(told.id)
        if stored is None:
            of_call = (one for one in self._on_record(call_id) if isinstance(one, Attempt))
            stored = next((one for one in of_call if _same_ringing(one, told)), None)
        if stored is None:
            self._add(call_id, told)
        else:
            changes = self._unknown(stored, told, _ATTEMPT)
            # Which dial rang it, and for whom, decides how the end is to be read.
            concluded = self._missed(told.started_at) or (
                told.ended_at is not None and self._missed(told.ended_at)
            )
            if concluded and told.outcome not in {None, AttemptOutcome.UNKNOWN, stored.outcome}:
                changes |= {"outcome": told.outcome, "ended_at": told.ended_at}
            if self._is_guess(stored.started_at):  # found ringing; for whom was concluded
                changes |= {"stay_id": told.stay_id, "queue": told.queue}
            self._update(stored, {k: v for k, v in changes.items() if getattr(stored, k) != v})

    def _on_record(self, call_id: str) -> Iterable[Part | Recording]:
        """The parts of a call, and of those that turned out to be part of it just now."""
        for one in (call_id, *self._joined):
            yield from self._of_call.get(one, ())

    def _talk(self, call_id: str, told: Talk) -> None:
        channel = told.id.rpartition("/")[0]
        of_channel = list(self._talks.get(channel, {}).values())
        same = max(of_channel, key=lambda talk: self._together(talk, told), default=None)
        if same is not None and self._together(same, told) > 0:
            changes = self._talk_changes(same, told)
            self._talks[channel][same.id] = replace(same, **changes)
            self._update(same, changes)
            return
        taken = {int(talk.id.rpartition("/t")[2]) for talk in of_channel}
        number = _free(int(told.id.rpartition("/t")[2]), taken)
        added = replace(told, id=f"{channel}/t{number}")
        self._talks.setdefault(channel, {})[added.id] = added
        self._add(call_id, added)

    def _talk_changes(self, stored: Talk, told: Talk) -> dict[str, Any]:
        changes = self._unknown(stored, told, _TALK)
        over = told.ended_at
        if over is not None and self._missed(over) and over < (stored.ended_at or over) - _TOGETHER:
            changes["ended_at"] = over  # nobody saw that one talk ended and the next began
        concluded = self._missed(told.started_at) and told.queue is not None
        if stored.queue != told.queue and (concluded or stored.queue in self._taken_back):
            changes["queue"] = told.queue  # that it was this queue's was concluded
        return changes

    def _transfer(self, call_id: str, told: Transfer) -> None:
        """Whom one that was seen led to was seen, too; that it led to nobody is a conclusion when something was missed."""
        of_call = (one for one in self._on_record(call_id) if isinstance(one, Transfer))
        stored = next((one for one in of_call if abs(one.at - told.at) < _TOGETHER), None)
        if stored is None:
            self._add(call_id, told)
            return
        unseen = stored.result not in _LED_ON and any(gap.ended_at > stored.at for gap in self._gaps)
        if unseen and told.result not in {PENDING, stored.result}:
            self._plan.completed.append(replace(stored, result=told.result, to=stored.to or told.to))

    def _together(self, stored: Talk, told: Talk) -> float:
        """Seconds that both last, when it is more than two accounts of one instant differ by; else 0."""
        stored_end = stored.ended_at if stored.ended_at is not None else float("inf")
        told_end = told.ended_at if told.ended_at is not None else float("inf")
        seconds = min(stored_end, told_end) - max(stored.started_at, told.started_at)
        shorter = min(stored_end - stored.started_at, told_end - told.started_at)
        if seconds > min(_TOGETHER, shorter / 2) or (seconds >= 0 and shorter <= _SAME_INSTANT):
            return max(seconds, _SAME_INSTANT)
        found_late = self._is_guess(stored.started_at) and told.started_at < stored.started_at
        return _SAME_INSTANT if found_late and seconds > -_TOGETHER else 0.0

    def _recordings(self, call_id: str) -> None:
        """No book tells of them; one whose end nobody saw ended with its channel at the latest."""
        for one in self._on_record(call_id):
            if not isinstance(one, Recording) or not self._is_guess(one.stopped_at):
                continue
            ended = self._leg_ends.get(one.id.rpartition("/")[0])
            if ended is None:
                continue
            if one.started_at <= ended < (one.stopped_at or ended) - _SAME_INSTANT:
                self._plan.completed.append(replace(one, stopped_at=ended))

    def _add(self, call_id: str, told: Part) -> None:
        self._plan.new.append(replace(self._sourced(told), call_id=call_id))

    def _unknown(self, stored: P, told: P, names: Iterable[str]) -> dict[str, Any]:
        """What the books know of these fields and the record does not."""
        changes = {}
        for name in names:
            ours, theirs = getattr(stored, name), getattr(told, name)
            if theirs not in _NOTHING and theirs != ours and (ours in _NOTHING or self._is_guess(ours)):
                changes[name] = theirs
        return changes

    def _is_guess(self, value: object) -> bool:
        """Whether an instant is when somebody looked, after a gap, and not when it happened."""
        return isinstance(value, float) and any(
            abs(value - gap.ended_at) < _SAME_INSTANT for gap in self._gaps
        )

    def _update(self, stored: Any, changes: dict[str, Any]) -> None:
        if not changes:
            return
        book = self._rows.source
        named = {
            name: "queue_log" if isinstance(stored, QueueStay) and name in _FROM_QUEUE_LOG else book
            for name in changes
        }
        kept = tuple(one for one in stored.sources if one.partition(":")[0] not in named)
        sources = (*kept, *(f"{name}:{where}" for name, where in named.items()))
        self._plan.completed.append(replace(stored, sources=sources, **changes))

    # -- agents

    def _agents(self) -> None:
        for fact in self._told:
            if not isinstance(fact, AgentState) or not self._in_gap(fact.since):
                continue
            if not any(_same_state(fact, stored) for stored in self._known.agent_states):
                self._plan.new.append(replace(fact, previous_since=None, sources=("*:queue_log",)))

    def _missed(self, at: float) -> bool:
        """Whether the signs of what happened then were missed, or some of them: then it was concluded, not seen."""
        return any(gap.began_at - _TOGETHER < at < gap.ended_at for gap in self._gaps)

    def _in_gap(self, at: float) -> bool:
        return any(gap.began_at < at < gap.ended_at for gap in self._gaps)


_NOTHING: tuple[Any, ...] = (None, "", "unknown")  # enumerations equal their words
_HOW_LEFT = ("outcome", "left_at", "wait", "answered_at", "agent", "book_wait", "book_talk")
_SIDES = frozenset({EndedBy.CALLER, EndedBy.AGENT})
_LED_ON = frozenset({"answered", "recalled"})
_CALL = (
    "answered_at",
    "ended_at",
    "ended_by",
    "hangup_cause",
    "caller_number",
    "caller_name",
    "dialed_number",
)
_FIRST = ("started_at", "direction", "caller_number", "caller_name", "dialed_number", "ended_by")
_LEG = ("ring_started_at", "answered_at", "ended_at", "dial_status", "hangup_cause", "number", "agent")
_STAY = ("position", "answered_at", "left_at", "outcome", "agent", "book_wait", "book_talk")
_ATTEMPT = ("stay_id", "queue", "agent", "ended_at", "outcome")
_TALK = ("queue", "agent", "started_at", "ended_at")
_FROM_QUEUE_LOG = ("position", "outcome", "agent", "book_wait", "book_talk")


def _same_ringing(stored: Attempt, told: Attempt) -> bool:
    """A member on a Local channel rings once, whichever of the channels behind it was noticed first."""
    if told.agent is None or stored.agent != told.agent or stored.device == told.device:
        return False
    over = stored.ended_at if stored.ended_at is not None else float("inf")
    ends = told.ended_at if told.ended_at is not None else float("inf")
    return stored.started_at <= ends and told.started_at <= over


def _by_call(known: Known) -> dict[str, list[Part | Recording]]:
    found: dict[str, list[Part | Recording]] = {}
    kinds = (known.stays, known.attempts, known.talks, known.transfers, known.recordings)
    for part in (one for kind in kinds for one in kind):
        found.setdefault(part.call_id, []).append(part)
    return found


def _free(wanted: int, taken: set[int]) -> int:
    while wanted in taken:
        wanted += 1
    return wanted


def _same_state(one: AgentState, two: AgentState) -> bool:
    return (one.agent, one.state, one.reason) == (two.agent, two.state, two.reason) and abs(
        one.since - two.since
    ) < _SAME_STATE


def _tell(pbx: str, rules: Rules, rows: Rows, known: Known) -> list[Fact]:
    """Every part as the books have it in the end."""
    begin = min([*(row.at for row in rows.cel[:1]), *(row.at for row in rows.queue_log[:1])], default=0.0)
    held = _held(known.agent_states, begin)
    core = Core(pbx, rules)
    core.know({state.agent: state.name for state in known.agent_states})
    parts: dict[FactKey, Fact] = {}
    resynced = ev.Resynced(begin, 0.0, members=tuple(_members(held.values(), begin)))
    later = sorted(known.agent_states, key=lambda state: -state.since)
    seats = {state.agent: state.device for state in (*later, *held.values()) if state.device}
    for event in (resynced, *retell(rows.cel, rows.queue_log, seats)):
        for fact in core.step(event).facts:
            parts[fact.key] = fact
    return list(parts.values())


def _plain(fact: Fact, source: str) -> Fact:
    """The CDR knows no causes, and who hung up only where a queue does: what the core assumed is taken back."""
    if source != "cdr" or not isinstance(fact, Call | Leg):
        return fact
    if isinstance(fact, Call) and fact.ended_by is EndedBy.SYSTEM:
        fact = replace(fact, ended_by=EndedBy.UNKNOWN)
    return replace(fact, hangup_cause=None) if fact.hangup_cause == 0 else fact


def _held(states: Iterable[AgentState], at: float) -> Mapping[str, AgentState]:
    """The state each agent was in."""
    held: dict[str, AgentState] = {}
    for state in sorted(states, key=lambda one: one.since):
        if state.since <= at:
            held[state.agent] = state
    return held


def _members(states: Iterable[AgentState], at: float) -> Iterable[ev.MemberSeen]:
    for state in states:
        away = state.state is State.AWAY
        for queue in state.queues:
            device = device_of(state.device) if state.device.endswith((";1", ";2")) else state.device
            yield ev.MemberSeen(
                at, "listed", queue, state.agent, device, device, "dynamic", away,
                state.reason if away else "", 1, 0.0, 0.0, 0.0,
            )  # fmt: skip


def uniqueids(rows: Rows) -> set[str]:
    """Every channel the rows name."""
    found = {row.uniqueid for row in rows.cel} | {row.linkedid for row in rows.cel}
    return found | {row.callid for row in rows.queue_log if "." in row.callid}
