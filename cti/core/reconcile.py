"""Compares our records with the PBX's own books, of one PBX: what is in one and not the other, and what differs.

What is compared
* Every pass through a queue, paired by waiting channel, queue and the how-manieth pass of that channel through that
  queue it is: existence, outcome, agent, and `book_wait` and `book_talk` within the tolerance (the book has whole
  seconds). Of an answered pass our own `wait` and bridged talk are defined differently; of one that nobody answered
  `wait` is what app_queue counted, and is compared.
* Every ringing of a member that queue_log notes as not answered, or as given up: it must be on record (of a call that is
  known from the CDR, which has no row of it, it need not).
* Every group of CDR rows (same linkedid, or uniqueid where there is none): one of its channels must be a leg of a call of ours.
* Every call of ours: one of its legs must have a CDR row, and an answered call an answered row.

What is left out, and why
* The window: only what began (joined, entered, started) in [since, until) is judged; either bound may be None. What
  stands within `edge` seconds of a bound in one book only may have its partner on the other side, and is left out.
* What was still open at the end: a pass or call without its end in either, unless the other side ended it more than
  `edge` seconds before the end of the window (`until`, or the latest instant known): then it should be there.
* Passes that the PBX cut off by stopping (the book has no end of them): only their existence is judged.
* join_empty and full: app_queue writes no line for a caller it does not let in. Those are held against CEL
  (`cti.core.retold`).
* abandoned in the book and transferred_out with us agree: app_queue sees only that the caller is gone.
* Calls merged into another: their legs belong to the older call.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from cti.core.books import CdrRow, QueueRow
from cti.core.facts import (
    NOT_LET_IN,
    Attempt,
    AttemptOutcome,
    Call,
    Disposition,
    Leg,
    QueueStay,
    StayOutcome,
)
from cti.core.mismatch import Mismatch, MismatchReason, Report, Tally, Window
from cti.core.passes import QueuePass, passes

_AGREE = {(StayOutcome.TRANSFERRED_OUT, StayOutcome.ABANDONED)}
_ROUNDED = 0.5  # s by which our wait may differ besides: it has fractions, the book's figure does not
_SAME_SECOND = 1.5  # s between the end of a ringing and its line
_RANG_OUT = frozenset(
    {
        AttemptOutcome.NO_ANSWER,
        AttemptOutcome.BUSY,
        AttemptOutcome.REJECTED,
        AttemptOutcome.UNREACHABLE,
        AttemptOutcome.UNKNOWN,
    }
)
_RANG = {
    "RINGNOANSWER": _RANG_OUT,
    "RINGCANCELED": frozenset({AttemptOutcome.CANCELLED, AttemptOutcome.UNKNOWN}),
}
_LINE = 5  # fields of a line that names a member: epoch, uniqueid, queue, member, verb
_Which = tuple[str, str, int]  # waiting channel, queue, how-manieth


def reconcile(
    stays: Sequence[QueueStay],
    calls: Sequence[Call],
    legs: Sequence[Leg],
    book_rows: Sequence[QueueRow] | None,
    cdr_rows: Sequence[CdrRow] | None,
    *,
    tolerance: float = 1.0,
    since: float | None = None,
    until: float | None = None,
    edge: float = 5.0,
    by_end: bool = False,
    attempts: Sequence[Attempt] | None = None,
) -> Report:
    """Compare the records of one PBX with its books (queue_log rows in the book's order).

    Give books and records a little beyond the window, so that partners across its bounds are found. A book that is
    None cannot be read and is not compared. Seconds and epochs throughout. `by_end` judges what ended in the window
    instead of what began in it: then windows that follow each other judge everything, and once. Ringings are compared
    when `attempts` are given.
    """
    window = window_of(stays, calls, book_rows, cdr_rows, since=since, until=until, edge=edge, by_end=by_end)
    tally = Tally()
    if book_rows is not None:
        compared = _compare_passes(stays, passes(book_rows), tolerance, window, tally)
        if attempts is not None:
            parts: Iterable[Call | Leg | QueueStay | Attempt] = chain(calls, legs, stays, attempts)
            told = {_call_of(part) for part in parts if any(one.endswith(":cdr") for one in part.sources)}
            _compare_ringings([pair for pair in compared if pair[0].call_id not in told], attempts, tally)
    if cdr_rows is not None:
        _compare_calls(calls, legs, cdr_rows, window, tally)
    return Report(tally.checked, tuple(tally.found), tally.left_out)


def window_of(
    stays: Iterable[QueueStay],
    calls: Iterable[Call],
    book_rows: Iterable[QueueRow] | None,
    cdr_rows: Iterable[CdrRow] | None,
    *,
    since: float | None,
    until: float | None,
    edge: float,
    by_end: bool,
) -> Window:
    """What is judged; without `until` up to the latest instant that is known."""
    ends = [row.at for row in book_rows or ()] + [row.end for row in cdr_rows or ()]
    ends += [call.ended_at for call in calls if call.ended_at is not None]
    ends += [stay.left_at for stay in stays if stay.left_at is not None]
    latest = until if until is not None else max(ends, default=0.0)
    return Window(since, until, latest, edge, by_end)


# --- queue passes -------------------------------------------------------------------------------------------------


def _compare_passes(
    stays: Iterable[QueueStay], book: Iterable[QueuePass], tolerance: float, window: Window, tally: Tally
) -> list[tuple[QueueStay, QueuePass]]:
    """Returns the pairs that were judged."""
    judged: list[tuple[QueueStay, QueuePass]] = []
    ours = _numbered([stay for stay in stays if stay.outcome not in NOT_LET_IN])
    theirs: dict[_Which, QueuePass] = {(one.uniqueid, one.queue, one.nth): one for one in book}
    for which in sorted(ours.keys() | theirs.keys()):
        stay, entry = ours.get(which), theirs.get(which)
        began = stay.joined_at if stay is not None else theirs[which].entered_at
        ended = _end_of(stay, entry)
        if not window.judges(began, ended, alone=stay is None or entry is None):
            tally.left_out += 1
        elif stay is not None and entry is not None:
            judged.append((stay, entry))
            _compare_pass(stay, entry, tolerance, window, tally)
        else:
            _lonely(stay, entry, window, tally)
    return judged


def _end_of(stay: QueueStay | None, entry: QueuePass | None) -> float | None:
    """When a pass was over, as the book has it; one that the PBX cut off counts as over when it began."""
    if entry is None:
        return stay.left_at if stay is not None else None
    return entry.entered_at if entry.cut else entry.ended_at


def _numbered(stays: list[QueueStay]) -> dict[_Which, QueueStay]:
    numbered: dict[_Which, QueueStay] = {}
    count: dict[tuple[str, str], int] = {}
    for stay in sorted(stays, key=lambda stay: (stay.joined_at, stay.ordinal)):
        who = (stay.uniqueid, stay.queue)
        count[who] = count.get(who, 0) + 1
        numbered[*who, count[who]] = stay
    return numbered


def _lonely(stay: QueueStay | None, entry: QueuePass | None, window: Window, tally: Tally) -> None:
    if stay is not None:
        if not window.settled(stay.left_at):
            tally.left_out += 1
            return
        ours = f"{stay.queue} {stay.outcome or 'open'}"
        mismatch = Mismatch(
            MismatchReason.NOT_IN_BOOK, stay.call_id, stay.uniqueid, "queue_stay", ours, "no line"
        )
    elif entry is not None:
        if not (entry.cut or window.settled(entry.ended_at)):
            tally.left_out += 1
            return
        theirs = f"{entry.queue} {entry.outcome or 'open'}"
        mismatch = Mismatch(
            MismatchReason.NOT_IN_RECORDS,
            None,
            entry.uniqueid,
            "queue_stay",
            "no record",
            theirs,
            entry.lines,
        )
    else:
        return
    tally.checked += 1
    tally.found.append(mismatch)


def _compare_pass(stay: QueueStay, entry: QueuePass, tolerance: float, window: Window, tally: Tally) -> None:
    ended_here, ended_there = stay.outcome is not None, entry.ended_at is not None
    known = window.settled(entry.ended_at if ended_there else stay.left_at)
    if entry.cut:
        tally.checked += 1
        return
    if not (ended_here and ended_there) and not known:
        tally.left_out += 1
        return
    tally.checked += 1
    if stay.outcome is not entry.outcome and (stay.outcome, entry.outcome) not in _AGREE:
        tally.found.append(_differ(stay, entry, MismatchReason.OUTCOME, stay.outcome, entry.outcome))
    elif entry.outcome is StayOutcome.ANSWERED:
        tally.found += _answered(stay, entry, tolerance, talk_known=known and ended_there)
    elif None not in {stay.wait, entry.book_wait} and _apart(
        stay.wait, entry.book_wait, tolerance + _ROUNDED
    ):
        tally.found.append(_differ(stay, entry, MismatchReason.BOOK_WAIT, stay.wait, entry.book_wait))


def _answered(stay: QueueStay, entry: QueuePass, tolerance: float, *, talk_known: bool) -> Iterable[Mismatch]:
    if stay.agent != entry.agent:
        yield _differ(stay, entry, MismatchReason.AGENT, stay.agent, entry.agent)
    if _apart(stay.book_wait, entry.book_wait, tolerance):
        yield _differ(stay, entry, MismatchReason.BOOK_WAIT, stay.book_wait, entry.book_wait)
    talk_known = talk_known or stay.book_talk is not None
    if talk_known and _apart(stay.book_talk, entry.book_talk, tolerance):
        yield _differ(stay, entry, MismatchReason.BOOK_TALK, stay.book_talk, entry.book_talk)


def _call_of(part: Call | Leg | QueueStay | Attempt) -> str:
    return part.id if isinstance(part, Call) else part.call_id


def _compare_ringings(
    judged: Iterable[tuple[QueueStay, QueuePass]], attempts: Iterable[Attempt], tally: Tally
) -> None:
    """Each ringing that queue_log notes is one on record, of that member, for that queue, over in that second."""
    left: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        left.setdefault(attempt.call_id, []).append(attempt)
    for stay, entry in judged:
        for line in () if entry.cut else entry.lines:
            at, _, queue, member, verb, *_ = line.split("|", _LINE)
            if verb not in _RANG:
                continue
            of_call = left.get(stay.call_id, [])
            found = next((one for one in of_call if _is_ringing(one, queue, member, float(at), verb)), None)
            if found is None:
                rung = [f"{one.agent} {_said(one.outcome)}" for one in of_call if one.queue == queue]
                ours = ", ".join(rung) or "no ringing"
                tally.found.append(
                    Mismatch(
                        MismatchReason.RANG,
                        stay.call_id,
                        stay.uniqueid,
                        "attempt",
                        ours,
                        f"{member} {verb}",
                        (line,),
                    )
                )
            else:
                of_call.remove(found)


def _is_ringing(one: Attempt, queue: str, member: str, at: float, verb: str) -> bool:
    over = one.ended_at is not None and abs(one.ended_at - at) <= _SAME_SECOND
    return over and (one.queue, one.agent) == (queue, member) and one.outcome in _RANG[verb]


def _apart(ours: float | None, book: float | None, tolerance: float) -> bool:
    if ours is None or book is None:
        return ours is not book
    return abs(ours - book) > tolerance


def _differ(
    stay: QueueStay, entry: QueuePass, reason: MismatchReason, ours: object, book: object
) -> Mismatch:
    """A difference in the field that the reason is named after."""
    return Mismatch(reason, stay.call_id, stay.uniqueid, reason, _said(ours), _said(book), entry.lines)


def _said(value: object) -> str:
    return "none" if value is None else str(value)


# --- CDR ------------------------------------------------------------------------------------------------------------


def _compare_calls(
    calls: Sequence[Call], legs: Sequence[Leg], rows: Sequence[CdrRow], window: Window, tally: Tally
) -> None:
    groups: dict[str, list[CdrRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    ids = {call.id for call in calls}
    known = {leg.uniqueid for leg in legs if leg.call_id in ids}
    for name, group in groups.items():
        if not any(row.uniqueid in known for row in group):
            _cdr_alone(name, group, window, tally)
    group_of = {row.uniqueid: row.group for row in rows}
    channels: dict[str, set[str]] = {}
    for leg in legs:
        channels.setdefault(leg.call_id, set()).add(leg.uniqueid)
    for call in calls:
        if call.merged_into is not None:
            continue
        groups_here = {group_of[channel] for channel in channels.get(call.id, ()) if channel in group_of}
        _compare_call(call, [row for name in sorted(groups_here) for row in groups[name]], window, tally)


def _cdr_alone(name: str, group: list[CdrRow], window: Window, tally: Tally) -> None:
    began, ended = min(row.start for row in group), max(row.end for row in group)
    if not window.judges(began, ended, alone=True) or not window.settled(ended):
        tally.left_out += 1
        return
    tally.checked += 1
    first = min(group, key=lambda row: row.start)
    lines = tuple(row.raw for row in group)
    tally.found.append(
        Mismatch(
            MismatchReason.CDR_WITHOUT_CALL,
            None,
            name,
            "call",
            "no record",
            f"{first.channel} to {first.dst}",
            lines,
        )
    )


def _compare_call(call: Call, rows: list[CdrRow], window: Window, tally: Tally) -> None:
    alone = not rows
    if not window.judges(call.started_at, call.ended_at, alone=alone) or (
        alone and not window.settled(call.ended_at)
    ):
        tally.left_out += 1
        return
    tally.checked += 1
    uniqueid = call.id.removeprefix(f"{call.pbx}-")
    said = _said(call.disposition)
    lines = tuple(row.raw for row in rows)
    if alone:
        reason, name, book = MismatchReason.CALL_WITHOUT_CDR, "call", "no row"
    elif call.disposition is Disposition.ANSWERED and all(r.disposition != "ANSWERED" for r in rows):
        reason, name = MismatchReason.ANSWERED, "disposition"
        book = ", ".join(sorted({row.disposition for row in rows}))
    else:
        return
    tally.found.append(Mismatch(reason, call.id, uniqueid, name, said, book, lines))
