"""What the core made of a run, beside what the scenario says the record must be, and beside the PBX's books.

Roles stand on both sides, so a difference reads as a person would say it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from cti.core import events as ev
from cti.core.backfill import Rows, place
from cti.core.books import CdrRow, QueueRow, parse_cdr_line, parse_queue_line
from cti.core.cel import CelRow, parse_cel_line
from cti.core.core import Core
from cti.core.facts import (
    NOT_LET_IN,
    AgentState,
    Attempt,
    Call,
    Fact,
    FactKey,
    Leg,
    Quality,
    QueueStay,
    Recording,
    Rejected,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from cti.core.mismatch import Report
from cti.core.parsing import parse
from cti.core.people import age_of
from cti.core.reconcile import reconcile
from cti.core.rules import Rules
from cti.daemon.recorder import arrivals, read_recording
from tests.scenarios.model import Moved, Record, Rung, Scenario, Stay, Talked, Taped

PBX = "p"
RULES = Rules(trunks=("PJSIP/trunk-a", "PJSIP/trunk-b"))
CLOSE = 0.3  # s by which a duration may differ
_BY_STATUS = frozenset({StayOutcome.TIMEOUT, StayOutcome.EMPTY, StayOutcome.WITHDRAWN})

F = TypeVar("F", bound=Fact)


@dataclass
class Session:
    """A recorded stream through the core: the last word on each fact."""

    latest: dict[FactKey, Fact] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)

    def all(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.latest.values() if isinstance(fact, kind)]


def events_of(recording: Path) -> Iterable[ev.Event]:
    """The events of a recording, as the live door would have told them."""
    for arrival in arrivals(read_recording(recording), PBX):
        if isinstance(arrival.what, Mapping):
            event = parse(arrival.what, arrival.at)
            if event is not None:
                yield event
        else:
            yield arrival.what


def hear(recording: Path) -> Session:
    """Play a recording to a new core."""
    session = Session()
    play(Core(PBX, RULES), events_of(recording), session)
    return session


def play(core: Core, events: Iterable[ev.Event], session: Session) -> None:
    """Tell a core these events, and keep what it says."""
    for event in events:
        for fact in core.step(event).facts:
            session.latest[fact.key] = fact
            if isinstance(fact, Rejected):
                session.rejected.append(fact)
    calls = core.calls
    session.leftovers = [*calls.legs, *calls.calls, *calls.bridges, *calls.vacated]


@dataclass(frozen=True)
class Run:
    """One run of a scenario: who was who, and which channels were its own."""

    scenario: Scenario
    cast: Mapping[str, str]  # what stands for a role in the record
    places: Mapping[str, str]  # the short names of queues and numbers
    channels: frozenset[str]
    late: float

    @classmethod
    def of(cls, scenario: Scenario, summary: Mapping[str, Any]) -> "Run":
        return cls(
            scenario, summary["cast"], summary["places"], frozenset(summary["channels"]), summary["late"]
        )

    def role(self, value: str | None) -> str | None:
        """The role (or queue, or number's name) behind what the record says."""
        if value is None:
            return None
        names = {known: role for role, known in self.cast.items()}
        names |= self.places
        names |= {f"PJSIP/1{number[1:]}": role for number, role in names.items() if number[:2] == "20"}
        names |= {device[6:]: role for device, role in names.items() if device.startswith("PJSIP/")}
        names |= {f"51{ext[2:]}": role for ext, role in names.items() if len(ext) == 4 and ext[:2] == "10"}
        return names.get(value, value)


def records(session: Session, run: Run) -> list[Record]:
    """The records of a run's calls, oldest first, in roles."""
    mine = {leg.call_id for leg in session.all(Leg) if leg.uniqueid in run.channels}
    calls = [call for call in session.all(Call) if call.id in mine and call.merged_into is None]
    return [_record(session, run, call) for call in sorted(calls, key=lambda call: age_of(call.id))]


def _record(session: Session, run: Run, call: Call) -> Record:
    def parts(kind: type[F]) -> list[F]:
        return [fact for fact in session.all(kind) if getattr(fact, "call_id", "") == call.id]

    assert call.disposition is not None, f"{call.id} has no end"
    assert call.ended_by is not None, f"{call.id} has no end"
    legs = {leg.id: leg for leg in parts(Leg)}

    def who(talk: Talk) -> str:
        leg = legs.get(talk.id.rsplit("/", 1)[0])
        number = leg.number if leg is not None and talk.device.startswith("PJSIP/trunk") else talk.device
        return run.role(talk.agent or number) or ""

    return Record(
        call.direction,
        call.disposition,
        call.ended_by,
        [
            Stay(run.role(s.queue) or "", s.outcome, run.role(s.agent))  # type: ignore[arg-type]  # an end is due
            for s in sorted(parts(QueueStay), key=lambda s: (s.joined_at, s.ordinal))
        ],
        [
            Rung(run.role(a.agent) or "", a.outcome, run.role(a.queue), a.agent_state, a.agent_reason)  # type: ignore[arg-type]  # an end is due
            for a in sorted(parts(Attempt), key=lambda a: (a.started_at, a.agent or ""))
        ],
        [
            Talked(who(t), (t.ended_at or 0.0) - t.started_at, t.hold, run.role(t.queue))
            for t in sorted(parts(Talk), key=lambda t: t.started_at)
        ],
        [
            Moved(t.kind, run.role(t.by) or "", run.role(t.to) or "", t.result)
            for t in sorted(parts(Transfer), key=lambda t: t.at)
        ],
        [
            Taped(r.file, (r.stopped_at or 0.0) - r.started_at, r.paused)
            for r in sorted(parts(Recording), key=lambda r: r.started_at)
        ],
        run.role(call.caller_number),
        call.caller_name,
        run.role(call.dialed_number),
    )


def differences(session: Session, run: Run, spare: float = 0.0) -> list[str]:
    """In what the records are not as they must be; empty when all is well.

    `spare` (s) is for runs on a busy machine, where SIP itself takes longer than planned: there the books, not the plan,
    say how long people talked.
    """
    found = records(session, run)
    wanted = run.scenario.records
    out = []
    if len(found) != len(wanted):
        out.append(f"{len(wanted)} call(s) wanted, {len(found)} there: {[_brief(r) for r in found]}")
    for n, (is_, declared) in enumerate(zip(found, wanted, strict=False), 1):
        must = declared if all(stay.queue for stay in is_.stays) else as_heard(declared)
        out += [f"call {n}: {line}" for line in _differ(is_, must, CLOSE + run.late + spare)]
        if _states(is_.attempts) != _states(must.attempts):
            out.append(f"call {n}: rang {_states(is_.attempts)}, must be {_states(must.attempts)}")
    mine = {leg.call_id for leg in session.all(Leg) if leg.uniqueid in run.channels}
    out += [
        f"{call.id} is {call.quality}"
        for call in session.all(Call)
        if call.id in mine and call.quality is not Quality.COMPLETE
    ]
    out += [f"left over: {one}" for one in session.leftovers if one in run.channels]
    return out


def as_heard(record: Record) -> Record:
    """What AMI alone tells of a record: of those who turned a caller away one after the other the last, without its name.

    How a pass ended right before that is not told either: its QUEUESTATUS was written over. Who is turned away by the word
    that was there before the pass is not told at all.
    """
    heard: list[Stay] = []
    word: StayOutcome | None = None
    for stay, after in zip(record.stays, [*record.stays[1:], None], strict=True):
        overwritten = after is not None and after.outcome in NOT_LET_IN
        if stay.outcome not in NOT_LET_IN:
            unsaid = overwritten and stay.outcome in _BY_STATUS
            heard.append(replace(stay, outcome=StayOutcome.UNKNOWN) if unsaid else stay)
        elif not overwritten:
            heard += [] if stay.outcome is word else [replace(stay, queue="")]
            word = stay.outcome
    return replace(record, stays=heard)


def placed(session: Session, rows: Rows) -> Session:
    """The session as it is once the daemon has looked up in CEL who was turned away."""
    known = Known(session.all(Call), session.all(Leg), session.all(QueueStay))
    found = place(PBX, RULES, rows, known)
    facts = {fact.key: fact for fact in (*found.new, *found.completed)}
    return replace(session, latest={**session.latest, **facts})


def states_held(session: Session, run: Run) -> list[str]:
    """Attempts whose agent was not, as the phone began to ring, in the state that they name, since then."""
    attempts = (one for one in session.all(Attempt) if _channel_of(one) in run.channels)
    return [line for one in attempts for line in _state(session, one)]


def _channel_of(attempt: Attempt) -> str:
    return attempt.id.removeprefix(f"{attempt.pbx}-").removesuffix("/a")


def _states(rungs: Sequence[Rung]) -> list[tuple[str, str, str | None]]:
    """Who rang in which state, and why."""
    return sorted((rung.agent, str(rung.state), rung.reason) for rung in rungs)


def _state(session: Session, attempt: Attempt) -> Iterable[str]:
    said = attempt.agent_state, attempt.agent_state_since, attempt.agent_reason
    held = [
        (one.state, one.since, one.reason)
        for one in session.all(AgentState)
        if one.agent == attempt.agent and one.since < attempt.started_at
    ]
    last = max(held, key=lambda one: one[1], default=None)
    if said != last:
        yield f"{attempt.id} rang in {said}, on record was {last}"


def _brief(record: Record) -> str:
    return f"{record.direction} {record.caller}→{record.dialed} {record.disposition}"


def _differ(is_: Record, must: Record, close: float) -> Iterable[str]:
    for name in ("direction", "disposition", "ended_by"):
        if getattr(is_, name) != getattr(must, name):
            yield f"{name} is {getattr(is_, name)}, must be {getattr(must, name)}"
    for name in ("caller", "caller_name", "dialed"):
        wanted = getattr(must, name)
        if wanted is not None and getattr(is_, name) != wanted:
            yield f"{name} is {getattr(is_, name)!r}, must be {wanted!r}"
    for name in ("stays", "transfers"):
        if list(getattr(is_, name)) != list(getattr(must, name)):
            yield f"{name} are {list(getattr(is_, name))}, must be {list(getattr(must, name))}"
    # Phones that begin to ring at the same moment do so in any order.
    if _sorted(is_.attempts) != _sorted(must.attempts):
        yield f"attempts are {is_.attempts}, must be {must.attempts}"
    if not _same_talks(is_.talks, must.talks, close):
        yield f"talks are {is_.talks}, must be {must.talks}"
    if not _same_tapes(is_.recordings, must.recordings, close):
        yield f"recordings are {is_.recordings}, must be {must.recordings}"


def _sorted(rungs: Sequence[Rung]) -> list[tuple[str, str, str]]:
    return sorted((rung.agent, str(rung.outcome), rung.queue or "") for rung in rungs)


def _same_talks(is_: Sequence[Talked], must: Sequence[Talked], close: float) -> bool:
    return len(is_) == len(must) and all(
        (a.who, a.queue) == (b.who, b.queue)
        and _near(a.seconds, b.seconds, close)
        and _near(a.hold, b.hold, close)
        for a, b in zip(sorted(is_, key=lambda t: t.who), sorted(must, key=lambda t: t.who), strict=True)
    )


def _near(is_: float | None, must: float | None, close: float) -> bool:
    return must is None or (is_ is not None and abs(is_ - must) <= close)


def _same_tapes(is_: Sequence[Taped], must: Sequence[Taped], close: float) -> bool:
    return len(is_) == len(must) and all(
        a.file.endswith(b.file) and _near(a.seconds, b.seconds, close) and _near(a.paused, b.paused, close)
        for a, b in zip(is_, must, strict=True)
    )


# --- the PBX's books ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Books:
    """The PBX's own books of a run."""

    queue_log: tuple[QueueRow, ...]
    cdr: tuple[CdrRow, ...]
    cel: str  # as it stands: it is read apart from the product's own ways (tests.scenarios.celbook)

    @classmethod
    def read(cls, queue_log: str, cdr: str, cel: str) -> "Books":
        rows = [parse_queue_line(line) for line in queue_log.splitlines()]
        pairs = [parse_cdr_line(line) for line in cdr.splitlines()]
        assert all(isinstance(row, QueueRow) for row in rows), rows
        assert all(isinstance(row, CdrRow) for row in pairs), pairs
        return cls(
            tuple(row for row in rows if isinstance(row, QueueRow)),
            tuple(row for row in pairs if isinstance(row, CdrRow)),
            cel,
        )

    def rows(self) -> Rows:
        """As the product reads them to complete records."""
        cel = map(parse_cel_line, self.cel.splitlines())
        return Rows(self.queue_log, tuple(row for row in cel if isinstance(row, CelRow)))


def compared(session: Session, books: Books, run: Run | None = None) -> Report:
    """Our records beside the books: those of one run, or of the whole session."""
    stays, calls, legs = session.all(QueueStay), session.all(Call), session.all(Leg)
    rows, pairs = list(books.queue_log), list(books.cdr)
    if run is not None:
        legs = [leg for leg in legs if leg.uniqueid in run.channels]
        ids = {leg.call_id for leg in legs}
        stays = [stay for stay in stays if stay.call_id in ids]
        calls = [call for call in calls if call.id in ids]
        rows = [row for row in rows if row.callid in run.channels]
        pairs = [row for row in pairs if row.uniqueid in run.channels]
    return reconcile(stays, calls, legs, rows, pairs, edge=-60.0)


def unexplained(report: Report, run: Run) -> list[str]:
    """Mismatches that no written rule of this scenario explains."""
    return [
        f"{m.reason}: {m.uniqueid} {m.field} is {m.ours}, the book says {m.book}; {' / '.join(m.lines)}"
        for m in report.mismatches
        if m.reason not in run.scenario.explained
    ]
