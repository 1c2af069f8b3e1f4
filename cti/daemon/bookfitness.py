"""Whether what the books say of a time can be believed: a book that is not there, or that is all garbage, says nothing.

The rule: a book is needed once the PBX had something to write into it, by the daemon's own records of that time. The CDR
and CEL are needed when a call ended, queue_log when a caller left a queue. Until then a book that does not exist is that of a
quiet PBX, and alarms nobody. Then one that does not exist, or of which no line about that time can be read although there
are lines, leaves the records unverified; for want of CEL, which only says more, there is a note.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cti.core.facts import NOT_LET_IN
from cti.core.memory import Known
from cti.daemon.books import BookRows

_CURE = "correct it, or have Asterisk write that book (docs/books.md)"
_SHOWN = 80  # characters of a line


@dataclass(frozen=True, slots=True)
class Fitness:
    """`unverified` says why the records cannot be held against the books, "" when they can; notes what else lacks.

    `judged` is False when no call ended then: nothing could be missed.
    """

    unverified: str = ""
    notes: tuple[str, ...] = ()
    judged: bool = False


def fitness(books: BookRows, known: Known, since: float, until: float) -> Fitness:
    """Judge the books by what is on record of [since, until] (epochs); both must have been read for all of it."""
    ended = any(call.ended_at is not None and since <= call.ended_at <= until for call in known.calls)
    waited = (stay for stay in known.stays if stay.outcome not in NOT_LET_IN)  # of the others it has nothing
    left = any(stay.left_at is not None and since <= stay.left_at <= until for stay in waited)
    wrong = dict(_wrong(books, since))
    needed = [name for name, had in (("queue_log", left), ("cdr_csv", ended)) if had and name in wrong]
    notes = []
    if ended and "cel_csv" in wrong:
        notes.append(
            f"{wrong['cel_csv']}; what is filled in comes from the CDR and queue_log alone and says less"
        )
    return Fitness("; ".join(wrong[name] for name in needed), tuple(notes), ended)


def fillable(books: BookRows, since: float) -> bool:
    """Whether gaps since then can be filled from these, as far as they tell themselves: their calls are nowhere else."""
    wrong = {name for name, _ in _wrong(books, since)}
    calls = {name for name in ("cdr_csv", "cel_csv") if name in books.places}
    if calls and calls <= wrong:
        return False
    queued = any(row.lastapp == "Queue" for row in books.cdr or ()) or any(
        row.app == "Queue" for row in books.cel or ()
    )
    return not (queued and "queue_log" in wrong)


def _wrong(books: BookRows, since: float) -> Iterator[tuple[str, str]]:
    """Books that are not there, or whose last row is older and has only garbage behind it; and why."""
    lasts = {
        "queue_log": max((row.at for row in books.queue_log or ()), default=-math.inf),
        "cdr_csv": max((row.end for row in books.cdr or ()), default=-math.inf),
        "cel_csv": max((row.at for row in books.cel or ()), default=-math.inf),
    }
    for name, last in lasts.items():
        place, bad = books.places.get(name, name), books.bad.get(name)
        if name in books.absent:
            yield name, f"{place} does not exist although there were calls; {_CURE}"
        elif bad is not None and bad.count and bad.after >= last and last < since:
            sample = bad.samples[-1]
            why = f"{bad.count} bad lines; {sample.why}: {sample.raw[:_SHOWN]!r}"
            yield name, f"{place}: nothing of that time can be read in it ({why}); {_CURE}"
