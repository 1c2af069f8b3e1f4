"""What the books add to the records after a gap: calls nobody saw, and what was not seen of the others. Pure.

The books of the time around a gap are told again (`cti.core.retell`) to a core of their own, and what it makes of them
is held against what is on record:

* A call of which no channel is on record is written whole, as `from_books`.
* A call that the gap cut gets what is missing: parts that are not there, and fields that are unknown. Unknown is what
  is empty, an outcome `unknown`, and an instant that is the gap's own end, for that is when somebody looked, not when
  it happened. What was seen is never changed, and the call stays `gapped`.
* A call that was wholly seen gets what AMI does not tell of callers who were turned away: by which queue, when, and by
  which others before (`cti.core.refusals`). It stays `complete`.
* An agent's states that began within the gap are added, and away episodes (see `cti.core.absences`).

Every field so filled says in `sources` which book it came from. Nothing is done twice: a call that is whole needs
nothing, so running this again over the same books gives nothing.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from cti.core import events as ev
from cti.core.absences import absences
from cti.core.books import OF_MEMBERS, QueueRow
from cti.core.cel import CelRow, channels_of
from cti.core.completing import Completion, Part, sourced
from cti.core.core import Core
from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    EndedBy,
    Fact,
    FactKey,
    Gap,
    Leg,
    Quality,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from cti.core.families import families
from cti.core.memory import Known
from cti.core.refusals import Refusal, ends_of, refusals
from cti.core.retell import deaths, retell
from cti.core.rollcall import Forgotten, RollCall
from cti.core.rules import Rules

_FIRST_LINES = (
    2.0  # s by which the lines of a call's begin may be dated before it (whole seconds, a slow clock)
)
_LAST_LINES = 3.0  # s after which every book has what happened
_SAME_STATE = 1.5  # s by which queue_log and AMI may differ about a change
_LOOKED = 1e-4  # s; the store has microseconds
_LATER = 0.5  # s by which a record begins late
_INSTANT = 1e-6  # s


@dataclass(frozen=True, slots=True)
class Rows:
    """What was read of one PBX's books; `source` says what the channel rows were made of (cel, or cdr)."""

    queue_log: Sequence[QueueRow] = ()
    cel: Sequence[CelRow] = ()
    source: str = "cel"
    since: float = 0.0  # they were read from here on: of a call on record that began before, they are a piece
    until: float = float("inf")  # and so far
    queues: bool = True  # False: queue_log is not kept, or not there: what is not in it says nothing
    crowd: Sequence[QueueRow] | None = (
        None  # all of queue_log, where `queue_log` has only lines of some calls
    )
    gone: Mapping[str, float] | None = None  # likewise: when channels of any call were over
    of_cdr: Collection[str] = frozenset()  # channels whose rows were made of the CDR although `source` is cel

    def source_of(self, uniqueid: str) -> str:
        """What the rows of a channel were made of."""
        return "cdr" if uniqueid in self.of_cdr else self.source


@dataclass(slots=True)
class Plan:
    """What is to be written: `new` where there is nothing yet, `completed` in the place of what is there."""

    new: list[Fact] = field(default_factory=list)
    completed: list[Fact] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)  # ids of new calls that no gap explains
    living: list[str] = field(
        default_factory=list
    )  # ids of calls and away episodes that are to be looked at when they are over
    ongoing: list[AwayEpisode] = field(default_factory=list)  # what the live away rule is to go on from

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


def place(pbx: str, rules: Rules, rows: Rows, known: Known) -> Plan:
    """Only what AMI does not tell of callers who were turned away, of calls that are on record and over."""
    return _Planner(pbx, rules, [], rows, known, 0.0).place()


class _Planner:
    def __init__(  # noqa: PLR0917 - what `plan` was given
        self, pbx: str, rules: Rules, gaps: Sequence[Gap], rows: Rows, known: Known, not_before: float
    ) -> None:
        self._not_before, self._grace = not_before, rules.away.grace
        self._pbx, self._gaps, self._rows, self._known = pbx, gaps, rows, known
        self._told = told(pbx, rules, rows, known, gaps)
        self._call_of_leg = {leg.id: leg.call_id for leg in known.legs}
        self._known_calls = {call.id: call for call in known.calls}
        died = [at for _start, at in deaths(rows.queue_log, rows.cel)]
        self._completions = {
            source: Completion(pbx, gaps, source, known, self._told, deaths=died)
            for source in dict.fromkeys((rows.source, *(("cdr",) if rows.of_cdr else ())))
        }
        self._taken: set[str] = set()  # calls on record that were held against the books
        self._plan = Plan()

    def plan(self) -> Plan:
        calls = self._calls()
        for call, parts in sorted(
            calls, key=lambda told: self._root(told[0].id) is not self._known_calls.get(told[0].id)
        ):
            self._take(call, parts)
        self._agents()
        self._absences()
        return self._finished()

    def place(self) -> Plan:
        for call, parts in self._calls():
            on_record = self._stored(call, parts)
            if len(on_record) == 1 and None not in {call.ended_at, on_record[0].ended_at}:
                self._completion(call).place(on_record[0], call, parts)
        return self._finished()

    def _calls(self) -> list[tuple[Call, list[Part]]]:
        """Those of the books, with all their parts."""
        parts: dict[str, list[Part]] = {}
        for fact in self._told:
            if isinstance(fact, Leg | QueueStay | Attempt | Talk | Transfer | Recording):
                parts.setdefault(fact.call_id, []).append(fact)
        calls = (fact for fact in self._told if isinstance(fact, Call) and fact.merged_into is None)
        return [(call, parts.get(call.id, [])) for call in calls]

    def _finished(self) -> Plan:
        for completion in self._completions.values():
            self._plan.new += completion.new
            self._plan.completed += completion.completed
        return self._plan

    def _source(self, told: Call) -> str:
        return self._rows.source_of(told.id.removeprefix(f"{self._pbx}-"))

    def _completion(self, told: Call) -> Completion:
        return self._completions[self._source(told)]

    def _take(self, told: Call, parts: list[Part]) -> None:
        on_record = self._stored(told, parts)
        if any(call.started_at < self._rows.since + _FIRST_LINES for call in on_record):
            return
        if {call.id for call in on_record} & self._taken:
            return  # on record as a part of another; which is right is for the comparison to say
        self._taken |= {call.id for call in on_record}
        if told.ended_at is None or any(call.ended_at is None for call in on_record):
            # What began when everything was heard again is nobody's gap, and somebody is always on the phone.
            cut = any(call.quality is not Quality.COMPLETE for call in on_record)
            if cut or any(told.started_at <= gap.ended_at for gap in self._gaps):
                self._plan.living += [call.id for call in on_record] or [told.id]
        elif not on_record:
            self._whole(told, parts)
        elif any(call.quality is not Quality.COMPLETE for call in on_record):
            oldest, *younger = on_record
            one = self._one_of(oldest, younger, self._source(told)) if younger else oldest
            self._completion(told).complete(one, told, parts, younger)
        elif self._lacks_its_begin(on_record[0], told):
            self._completion(told).complete(
                replace(on_record[0], quality=Quality.GAPPED), told, parts, on_record[1:]
            )
        elif len(on_record) == 1 and told.ended_at < self._rows.until - _LAST_LINES:
            self._completion(told).place(on_record[0], told, parts)

    def _stored(self, told: Call, parts: Iterable[Part]) -> list[Call]:
        """The calls on record that have this id or one of these channels, oldest first; mostly one."""
        ids = [told.id, *(self._call_of_leg.get(part.id, "") for part in parts if isinstance(part, Leg))]
        found = {call.id: call for call in map(self._root, ids) if call is not None}
        return sorted(found.values(), key=lambda call: (call.started_at, call.id))

    def _lacks_its_begin(self, oldest: Call, told: Call) -> bool:
        """Whether a record begins with a channel that came as everything was asked for, and the others went with it."""
        headless = told.id != oldest.id and told.id not in self._call_of_leg
        return self._in_gap(told.started_at) and (headless or oldest.started_at > told.started_at + _LATER)

    def _root(self, call_id: str) -> Call | None:
        found = self._known_calls.get(call_id)
        seen: set[str] = set()
        while found is not None and found.merged_into is not None and found.id not in seen:
            seen.add(found.id)
            found = self._known_calls.get(found.merged_into)
        return found

    def _one_of(self, oldest: Call, younger: Sequence[Call], source: str) -> Call:
        """Nobody saw what made one call of these: the younger become part of the oldest."""
        for call in younger:
            named = (*call.sources, f"merged_into:{source}")
            self._plan.completed.append(replace(call, merged_into=oldest.id, sources=named))
        calls = (oldest, *younger)
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
        source = self._source(told)
        call = replace(told, quality=Quality.FROM_BOOKS, sources=(f"*:{source}",))
        self._plan.new += [call, *(sourced(part, source) for part in parts)]

    # -- agents

    def _agents(self) -> None:
        """States that somebody came into within a gap and that are not on record.

        One that began as a gap ended is what they were found in then: since when is for the books to say.
        """
        on_record: dict[str, list[AgentState]] = {}
        for state in sorted(self._known.agent_states, key=_since):
            on_record.setdefault(state.agent, []).append(state)
        for told in sorted((fact for fact in self._told if isinstance(fact, AgentState)), key=_since):
            mine = on_record.setdefault(told.agent, [])
            fact = _within_its_second(told, mine)
            place = bisect_right(mine, fact.since, key=_since)
            if not self._in_gap(fact.since) or (place and _alike(mine[place - 1], fact)):
                continue
            if not any(_same_state(fact, one) for one in mine if not self._looked(one.since)):
                mine.insert(place, fact)
                self._plan.new.append(replace(fact, previous_since=None, sources=("*:queue_log",)))

    def _absences(self) -> None:
        told = [fact for fact in self._told if isinstance(fact, AwayEpisode)]
        known, grace = self._known.episodes, self._grace
        found = absences(
            told, known, self._gaps, grace=grace, not_before=self._not_before, until=self._rows.until
        )
        self._plan.new += found.new
        self._plan.completed += found.completed
        self._plan.living += found.living
        self._plan.ongoing += found.ongoing

    def _looked(self, at: float) -> bool:
        return any(abs(gap.ended_at - at) < _LOOKED for gap in (*self._known.gaps, *self._gaps))

    def _in_gap(self, at: float) -> bool:
        return any(gap.covers(at) for gap in self._gaps)


def _since(state: AgentState) -> float:
    return state.since


def _within_its_second(told: AgentState, on_record: Sequence[AgentState]) -> AgentState:
    """queue_log has the begin of a second: whoever was seen within it in the state before came into this one after that."""
    if told.since % 1:
        return told
    before = [
        one.since
        for one in on_record
        if told.since < one.since < told.since + 1 and one.state is told.previous and not _alike(one, told)
    ]
    return replace(told, since=max(before) + _INSTANT) if before else told


def _alike(one: AgentState, two: AgentState) -> bool:
    return (one.state, one.reason) == (two.state, two.reason)


def _same_state(one: AgentState, two: AgentState) -> bool:
    return _alike(one, two) and abs(one.since - two.since) < _SAME_STATE


def told(pbx: str, rules: Rules, rows: Rows, known: Known, gaps: Sequence[Gap] = ()) -> list[Fact]:
    """Every part as the books have it in the end.

    Args:
        pbx: whose books they are.
        rules: as the live core has them.
        rows: what is told.
        known: of this only the states of agents are looked at, and when the PBX was asked.
        gaps: those the rows cover; in the end of each the PBX was asked.
    """
    begin = min([*(row.at for row in rows.cel[:1]), *(row.at for row in rows.queue_log[:1])], default=0.0)
    # queue_log dates what happened with its second: of the first ones the record says who was there, and the book nothing.
    settled = max(begin, rows.since + _FIRST_LINES) if rows.since else begin
    lines = [row for row in rows.queue_log if row.at >= settled - 1 or row.verb not in OF_MEMBERS]
    roll = RollCall((state for state in known.agent_states if state.since <= rows.until), lines)
    held = list(roll.held(settled))
    every = replace(rules, away=replace(rules.away, grace=0.0))  # short returns, too
    core = Core(pbx, every)
    core.know({state.agent: state.name for state in known.agent_states})
    parts: dict[FactKey, Fact] = {}
    members = (roll.members(one, roll.lines_of(one.agent), begin) for one in held)
    resynced = ev.Resynced(begin, 0.0, members=tuple(chain.from_iterable(members)))
    later = sorted(known.agent_states, key=lambda state: -state.since)
    seats = {state.agent: state.device for state in (*later, *held) if state.device}
    refused = list(_refused(rows)) if rows.queues else ()
    starts = [row.at for row in lines if row.verb == "QUEUESTART" and row.at >= settled]
    asked = sorted(gap.ended_at for gap in (*known.gaps, *gaps))
    forgotten = Forgotten(roll, starts, asked)
    for event in forgotten.among([resynced, *retell(rows.cel, lines, seats, refused)]):
        for fact in core.step(event).facts:
            forgotten.take(fact)
            if not (fact.key in parts and _is_live(fact, event.at, asked)):
                parts[fact.key] = fact
    return [_plain(fact, pbx, rows) for fact in parts.values()]


def _refused(rows: Rows) -> Iterator[Refusal]:
    crowd = rows.queue_log if rows.crowd is None else rows.crowd
    gone = ends_of(rows.cel) if rows.gone is None and rows.of_cdr else rows.gone
    of: dict[str, dict[str, Sequence[CelRow]]] = {}
    for own, channel in channels_of(rows.cel).items():
        of.setdefault(rows.source_of(own), {})[own] = channel
    for source, channels in of.items():
        yield from refusals(channels, crowd, exact=source == "cel", since=rows.since, gone=gone)


def _is_live(fact: Fact, at: float, asked: Sequence[float]) -> bool:
    """Whether somebody listened again since a state began: then what became of its queues is on record."""
    return isinstance(fact, AgentState) and bisect_right(asked, fact.since) < bisect_right(asked, at)


def _plain(fact: Fact, pbx: str, rows: Rows) -> Fact:
    """The CDR knows no causes, and who hung up only where a queue does: what the core assumed is taken back."""
    if not isinstance(fact, Call | Leg) or rows.source_of(fact.id.removeprefix(f"{pbx}-")) != "cdr":
        return fact
    if isinstance(fact, Call) and fact.ended_by is EndedBy.SYSTEM:
        fact = replace(fact, ended_by=EndedBy.UNKNOWN)
    return replace(fact, hangup_cause=None) if fact.hangup_cause == 0 else fact


def of_calls(rows: Rows, known: Known, calls: Collection[str]) -> Rows:
    """What is needed of some rows to tell these calls (ids) on record, and no more."""
    channels = {leg.uniqueid for leg in known.legs if leg.call_id in calls}
    chosen = [family for family in families(rows.cel) if not channels.isdisjoint(family.channels)]
    channels.update(*(family.channels for family in chosen))
    cel = [row for row in rows.cel if row.uniqueid in channels]
    queue_log = [row for row in rows.queue_log if row.callid in channels]
    return replace(rows, cel=cel, queue_log=queue_log, crowd=rows.queue_log, gone=ends_of(rows.cel))


def uniqueids(rows: Rows) -> set[str]:
    """Every channel the rows name."""
    found = {row.uniqueid for row in rows.cel} | {row.linkedid for row in rows.cel}
    return found | {row.callid for row in rows.queue_log if "." in row.callid}
