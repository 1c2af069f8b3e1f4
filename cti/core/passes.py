"""What the queue_log says happened: callers' passes through queues, agents' memberships and pauses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from cti.core.books import QueueRow, figure
from cti.core.facts import StayOutcome


@dataclass(frozen=True, slots=True)
class QueuePass:
    """One pass of a caller through one queue, as the book has it.

    Open (`ended_at` None) while no line ends it. A pass that was answered has its outcome from CONNECT on.
    """

    uniqueid: str
    queue: str
    nth: int  # 1 for this channel's first pass through this queue
    entered_at: float
    outcome: StayOutcome | None = None
    ended_at: float | None = None  # left unanswered, or the talk ended
    agent: str | None = None
    book_wait: float | None = None  # CONNECT hold, or the wait of an exit
    book_talk: float | None = None
    ended_by: str = ""  # caller, agent, transfer, or "" (nobody answered)
    cut: bool = False  # the PBX stopped before the pass ended
    position: int | None = None  # on entering
    connected_at: float | None = None
    member_channel: str = ""  # uniqueid of the channel that was connected
    lines: tuple[str, ...] = ()


_Change = Callable[[QueuePass, QueueRow], QueuePass]


def _connect(stay: QueuePass, row: QueueRow) -> QueuePass:
    return replace(
        stay,
        outcome=StayOutcome.ANSWERED,
        agent=row.member or None,
        book_wait=figure(row.data, 0),
        connected_at=row.at,
        member_channel=row.data[1] if len(row.data) > 1 else "",
    )


def _complete(by: str, talk: int) -> _Change:
    def change(stay: QueuePass, row: QueueRow) -> QueuePass:
        return replace(stay, ended_at=row.at, ended_by=by, book_talk=figure(row.data, talk))

    return change


def _exit(outcome: StayOutcome, wait: int) -> _Change:
    def change(stay: QueuePass, row: QueueRow) -> QueuePass:
        return replace(stay, outcome=outcome, ended_at=row.at, book_wait=figure(row.data, wait))

    return change


_PASS_BY_VERB: Mapping[str, _Change] = {
    "CONNECT": _connect,
    "COMPLETEAGENT": _complete("agent", 1),
    "COMPLETECALLER": _complete("caller", 1),
    "BLINDTRANSFER": _complete("transfer", -2),
    "ATTENDEDTRANSFER": _complete("transfer", -2),
    "ABANDON": _exit(StayOutcome.ABANDONED, 2),
    "EXITWITHTIMEOUT": _exit(StayOutcome.TIMEOUT, 2),
    "EXITEMPTY": _exit(StayOutcome.EMPTY, 2),
    "EXITWITHKEY": _exit(StayOutcome.LEFT_BY_KEY, 3),
    "WITHDRAW": _exit(StayOutcome.WITHDRAWN, 2),
    "RINGNOANSWER": lambda stay, _: stay,
    "RINGCANCELED": lambda stay, _: stay,
    "AGENTDUMP": lambda stay, _: stay,  # the agent hung up during the announcement; the caller waits on
}


def passes(rows: Iterable[QueueRow]) -> tuple[QueuePass, ...]:
    """Build the passes from rows in the book's order; lines of a pass whose ENTERQUEUE is not among them are left out."""
    found: list[QueuePass] = []
    open_at: dict[tuple[str, str], int] = {}  # (uniqueid, queue) → index of the pass that goes on
    count: dict[tuple[str, str], int] = {}
    for row in rows:
        who = (row.callid, row.queue)
        if row.verb == "QUEUESTART":
            for index in open_at.values():
                found[index] = replace(found[index], cut=True)
            open_at.clear()
        elif row.verb == "ENTERQUEUE":
            count[who] = count.get(who, 0) + 1
            open_at[who] = len(found)
            position = figure(row.data, 2)
            found.append(
                QueuePass(
                    row.callid,
                    row.queue,
                    count[who],
                    row.at,
                    lines=(row.raw,),
                    position=None if position is None else int(position),
                )
            )
        elif row.verb in _PASS_BY_VERB and who in open_at:
            index = open_at[who]
            changed = _PASS_BY_VERB[row.verb](found[index], row)
            found[index] = replace(changed, lines=(*changed.lines, row.raw))
            if changed.ended_at is not None:
                del open_at[who]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class MemberSpan:
    """An agent's membership of a queue, or a pause in it, as the book has it; open while `ended_at` is None."""

    kind: str  # member, pause
    agent: str
    queue: str
    began_at: float
    ended_at: float | None = None
    reason: str = ""


_SPAN_BY_VERB = {
    "ADDMEMBER": ("member", True),
    "REMOVEMEMBER": ("member", False),
    "PAUSE": ("pause", True),
    "UNPAUSE": ("pause", False),
}


def member_spans(rows: Iterable[QueueRow]) -> tuple[MemberSpan, ...]:
    """Memberships and pauses by queue, in the order in which they began; leaving a queue ends a pause in it.

    Pausing a paused member again changes the reason and not the beginning. A restart of the PBX ends nothing:
    persistent members come back paused as they were.
    """
    found: list[MemberSpan] = []
    open_at: dict[tuple[str, str, str], int] = {}

    def end(kind: str, row: QueueRow) -> None:
        index = open_at.pop((kind, row.member, row.queue), None)
        if index is not None:
            found[index] = replace(found[index], ended_at=row.at)

    for row in rows:
        kind, begins = _SPAN_BY_VERB.get(row.verb, ("", False))
        reason = row.data[0] if row.data else ""
        if not kind:
            continue
        if not begins:
            end(kind, row)
            if kind == "member":
                end("pause", row)
        elif (kind, row.member, row.queue) in open_at:
            index = open_at[kind, row.member, row.queue]
            found[index] = replace(found[index], reason=reason if kind == "pause" else "")
        else:
            open_at[kind, row.member, row.queue] = len(found)
            found.append(
                MemberSpan(kind, row.member, row.queue, row.at, reason=reason if kind == "pause" else "")
            )
    return tuple(found)
