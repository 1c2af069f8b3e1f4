"""The instants of records beside CEL, and beside queue_log where CEL has none.

CEL has the birth, the answer and the end of each channel, the begin and end of each run of Queue, each transfer and each
pickup; what that makes of calls, legs, attempts, passes and transfers is told here without the core. queue_log has whole
seconds. Instants are epochs, durations seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cti.core.books import QueueRow
from cti.core.cel import CelRow
from cti.core.facts import (
    NOT_LET_IN,
    Attempt,
    AttemptOutcome,
    Call,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Transfer,
)
from tests.scenarios.judge import Session
from tests.soak.books import Pass
from tests.soak.refused import Refused

CLOSE = 0.15  # s between what CEL and AMI say of one moment
_SUM = 0.001  # s by which a wait may differ from its own begin and end
_MOVES = frozenset({"BLINDTRANSFER", "ATTENDEDTRANSFER"})
Spans = Sequence[tuple[float, float]]


@dataclass
class Line:
    """What CEL has of one channel; None where it has nothing."""

    born: float
    answered: float | None = None
    bridged: float | None = None  # first put through to somebody or something
    picked: float | None = None  # it took a call that rang elsewhere
    rung: bool = False  # by Dial, Queue or a program
    gone: float | None = None
    cause: int | None = None
    rows: list[CelRow] = field(default_factory=list)

    @property
    def took(self) -> float | None:
        """When it took the call for which it was there."""
        return self.answered if self.picked is None else self.picked

    def moments(self, event: str, app: str) -> list[float]:
        """When this happened on it while that application ran."""
        return [row.at for row in self.rows if row.event == event and row.app == app]


def lines_of(rows: Iterable[CelRow]) -> dict[str, Line]:
    """The channels whose birth is among these rows, by uniqueid."""
    found: dict[str, Line] = {}
    for row in rows:
        if row.event == "CHAN_START":
            found[row.uniqueid] = Line(row.at)
        if row.event == "PICKUP":
            by = found.get(str(row.extra.get("pickup_channel_uniqueid")))
            if by is not None:
                by.picked = row.at
        line = found.get(row.uniqueid)
        if line is not None:
            _note(line, row)
    return found


def _note(line: Line, row: CelRow) -> None:
    line.rows.append(row)
    line.rung |= row.app.startswith(("AppDial", "AppQueue"))
    match row.event:
        case "ANSWER":
            line.answered = line.answered or row.at
        case "BRIDGE_ENTER":
            line.bridged = line.bridged or row.at
        case "HANGUP":
            line.gone, line.cause = row.at, int(row.extra.get("hangupcause", 0))


@dataclass(frozen=True)
class Moment:
    """One thing that is not when, or as, the books have it."""

    of: str  # call, leg, attempt, stay, transfer, recording
    uniqueid: str
    what: str


Found = Iterator[Moment]


@dataclass(frozen=True)
class Told:
    """The books of some channels."""

    lines: Mapping[str, Line]
    passes: Sequence[Pass]
    talks: Mapping[str, Spans]  # when each channel talked, by CEL
    connects: Mapping[tuple[str, str], Sequence[QueueRow]]  # by callid and queue
    refused: Sequence[Refused] = ()

    def member(self, row: QueueRow | None) -> Line | None:
        """The channel that a CONNECT names."""
        return self.lines.get(row.data[1]) if row is not None else None


def connects_of(rows: Iterable[QueueRow]) -> dict[tuple[str, str], list[QueueRow]]:
    """The lines of those who were given to a member."""
    found: dict[tuple[str, str], list[QueueRow]] = {}
    for row in rows:
        if row.verb == "CONNECT":
            found.setdefault((row.callid, row.queue), []).append(row)
    return found


def beside_instants(session: Session, told: Told) -> Found:
    """Everything of these channels that is on record at another instant than the books have."""
    legs = [leg for leg in session.all(Leg) if leg.uniqueid in told.lines]
    for leg in legs:
        yield from _leg(leg, told.lines[leg.uniqueid])
    parts: list[Attempt | Transfer | Recording] = [*session.all(Attempt), *session.all(Transfer)]
    for part in (*parts, *session.all(Recording)):
        own = part.id.rpartition("/")[0].removeprefix(f"{part.pbx}-")
        line = told.lines.get(own)
        match part:
            case Attempt() if line is not None:
                yield from _attempt(part, own, line)
            case Transfer() if line is not None:
                yield from _transfer(part, own, line)
            case Recording() if line is not None:
                yield from _inside("recording", own, line, part.started_at, part.stopped_at)
    yield from _stays(session.all(QueueStay), told)
    yield from _refused(session.all(QueueStay), told)
    yield from _calls(session.all(Call), legs, told)


def _say(of: str, own: str, name: str, ours: float | None, *books: float | None) -> Found:
    """That ours is none of these instants (None: that there is none)."""
    if not any(_same(ours, book) for book in books):
        yield Moment(of, own, f"{name} {_shown(ours)}, by the books {_shown(*books)}")


def _same(ours: float | None, book: float | None) -> bool:
    return ours is book if ours is None or book is None else abs(ours - book) <= CLOSE


def _shown(*values: float | None) -> str:
    return " or ".join("never" if value is None else f"{value:.3f}" for value in values)


def _cause(of: str, own: str, ours: int | None, book: int | None) -> Found:
    if ours != book:
        yield Moment(of, own, f"hangup_cause {ours}, by CEL {book}")


def _inside(of: str, own: str, line: Line, *ours: float | None) -> Found:
    """Of what no book tells when it was: it was while the channel lived."""
    for at in ours:
        if at is None or line.gone is None or not line.born - CLOSE <= at <= line.gone + CLOSE:
            yield Moment(of, own, f"{_shown(at)}, the channel lived {line.born:.3f} to {_shown(line.gone)}")


def _leg(leg: Leg, line: Line) -> Found:
    own = leg.uniqueid
    yield from _say("leg", own, "started_at", leg.started_at, line.born)
    yield from _say("leg", own, "ended_at", leg.ended_at, line.gone)
    # Asterisk notes now and then too late what a channel runs: then the book does not tell that a program rang it.
    rung = (line.rung or (leg.dialed and leg.ring_started_at is not None)) and line.picked is None
    yield from _say("leg", own, "ring_started_at", leg.ring_started_at, line.born if rung else None)
    yield from _cause("leg", own, leg.hangup_cause, line.cause)
    if leg.dialed and leg.answered_at is None:  # when it was, see `celbook`
        yield from _say("leg", own, "answered_at", None, line.answered and line.bridged)


def _attempt(attempt: Attempt, own: str, line: Line) -> Found:
    yield from _say("attempt", own, "started_at", attempt.started_at, line.picked or line.born)
    answered = attempt.outcome is AttemptOutcome.ANSWERED
    ends = (line.took, line.bridged) if answered else (line.gone,)
    yield from _say("attempt", own, "ended_at", attempt.ended_at, *ends)


def _transfer(transfer: Transfer, own: str, line: Line) -> Found:
    moves = [row.at for row in line.rows if row.event in _MOVES]
    if moves:
        yield from _say("transfer", own, "at", transfer.at, *moves)
    else:  # refused, of which CEL does not tell
        yield from _inside("transfer", own, line, transfer.at)


# --- passes through queues ----------------------------------------------------------------------------------------


def _stays(stays: Iterable[QueueStay], told: Told) -> Found:
    books: dict[tuple[str, str], list[Pass]] = {}
    for one in told.passes:
        books.setdefault((one.goes_on_as or one.uniqueid, one.queue), []).append(one)
    connects = {who: list(rows) for who, rows in told.connects.items()}
    of_channel: dict[str, list[QueueStay]] = {}
    for stay in sorted(stays, key=lambda stay: stay.joined_at):
        if stay.uniqueid in told.lines and stay.outcome not in NOT_LET_IN:
            of_channel.setdefault(stay.uniqueid, []).append(stay)
    for own, ours in of_channel.items():
        for before, stay, after in zip([None, *ours], ours, [*ours[1:], None], strict=False):
            who = own, stay.queue
            if not books.get(who):
                yield Moment("stay", own, f"{stay.queue} is in no book")
                continue
            book, taken = books[who].pop(0), stay.outcome is StayOutcome.ANSWERED
            connect = connects[who].pop(0) if taken and connects.get(who) else None
            yield from _joined(stay, book, before, told)
            yield from _left(stay, book, connect, after, told)


def _refused(stays: Iterable[QueueStay], told: Told) -> Found:
    """Everybody who was turned away is on record so, by that queue and then; of one without a name it is the last before."""
    left = [one for one in told.refused if one.uniqueid in told.lines]
    ours = [stay for stay in stays if stay.outcome in NOT_LET_IN and stay.uniqueid in told.lines]
    nameless = {stay.uniqueid for stay in ours if not stay.queue}
    for stay in sorted(ours, key=lambda stay: stay.joined_at):
        until = stay.joined_at + CLOSE
        of_channel = [one for one in left if one.uniqueid == stay.uniqueid and one.at <= until]
        same = [one for one in of_channel if stay.queue in {"", one.queue}]
        if not same:
            yield Moment("stay", stay.uniqueid, f"turned away by {stay.queue or 'some queue'} is in no book")
            continue
        left.remove(same[-1])
        if stay.queue:
            yield from _say("stay", stay.uniqueid, "joined_at", stay.joined_at, same[-1].at)
        if (stay.left_at, stay.wait) != (stay.joined_at, 0.0):
            yield Moment(
                "stay", stay.uniqueid, f"turned away, left at {_shown(stay.left_at)}, wait {stay.wait}"
            )
    for one in left:
        if one.uniqueid not in nameless:
            yield Moment("stay", one.uniqueid, f"turned away by {one.queue} is not on record")


def _joined(stay: QueueStay, book: Pass, before: QueueStay | None, told: Told) -> Found:
    began = _of_second(told.lines[book.uniqueid].moments("APP_START", "Queue"), book.entered)
    if before is not None:  # two runs of Queue in a row are one in CEL: the second begins as the first ends
        began = [at for at in began if at > before.joined_at + CLOSE]
    ends = [before.left_at] if before is not None else []
    yield from _when(stay.uniqueid, "joined_at", stay.joined_at, began or ends, book.entered)


def _left(
    stay: QueueStay, book: Pass, connect: QueueRow | None, after: QueueStay | None, told: Told
) -> Found:
    own, line, member = stay.uniqueid, told.lines[book.uniqueid], told.member(connect)
    yield from _say("stay", own, "answered_at", stay.answered_at, member.took if member else None)
    if (
        member is not None and connect is not None
    ):  # app_queue lets go of the caller when it has announced them
        yield from _when(own, "left_at", stay.left_at, [member.took, member.bridged], connect.at)
    elif book.ended is not None:
        runs_on = after is not None and not _of_second(line.moments("APP_START", "Queue"), after.joined_at)
        ended = [] if runs_on else _of_second(line.moments("APP_END", "Queue"), book.ended)
        yield from _when(own, "left_at", stay.left_at, ended, book.ended)
    until = stay.left_at if stay.answered_at is None else stay.answered_at
    if until is None or stay.wait is None or abs(until - stay.joined_at - stay.wait) > _SUM:
        yield Moment("stay", own, f"wait {stay.wait}, from {stay.joined_at:.3f} to {_shown(until)}")


def _of_second(moments: Iterable[float], second: float) -> list[float]:
    return [at for at in moments if second - CLOSE <= at <= second + 1 + CLOSE]


def _when(own: str, name: str, ours: float | None, books: Sequence[float | None], second: float) -> Found:
    """An instant of a pass: in queue_log's second, and where CEL has it, if CEL does."""
    if ours is None or not _of_second([ours], second):
        yield Moment("stay", own, f"{name} {_shown(ours)}, by queue_log {second:.0f}")
    elif books:
        yield from _say("stay", own, name, ours, *books)


# --- calls --------------------------------------------------------------------------------------------------------


def _calls(calls: Iterable[Call], legs: Sequence[Leg], told: Told) -> Found:
    """A call begins with its first channel, ends with its last, and is answered when somebody took or heard it."""
    of_call: dict[str, dict[str, Line]] = {}
    for leg in legs:
        of_call.setdefault(leg.call_id, {})[leg.uniqueid] = told.lines[leg.uniqueid]
    taken: dict[str, list[float]] = {}
    for (callid, _queue), rows in told.connects.items():
        members = filter(None, map(told.member, rows))
        taken[callid] = [one.took for one in members if one.took is not None]
    for call in calls:
        own = of_call.get(call.id)
        if own:
            yield from _call(call, own, told, [at for one in own for at in taken.get(one, ())])


def _call(call: Call, own: Mapping[str, Line], told: Told, taken: Sequence[float]) -> Found:
    first = min(own, key=lambda uniqueid: own[uniqueid].born)
    ends = [line.gone for line in own.values() if line.gone is not None]
    heard = [told.talks[one][0][0] for one in own if told.talks.get(one) and not _stays_on(own[one])]
    yield from _say("call", first, "started_at", call.started_at, own[first].born)
    yield from _say("call", first, "ended_at", call.ended_at, max(ends, default=None))
    yield from _say("call", first, "answered_at", call.answered_at, min([*taken, *heard], default=None))
    yield from _cause("call", first, call.hangup_cause, own[first].cause)


def _stays_on(line: Line) -> bool:
    """Whether it is an agent's own line, which is lent to calls and is none."""
    return any(row.app == "AgentLogin" for row in line.rows)
