"""A call's story with the PBX's books beside it: what they say of its time, or why they cannot be believed."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from cti.core.memory import Known
from cti.core.story import Books as Lines
from cti.core.story import Parts, Story
from cti.core.telling import tell
from cti.daemon.bookfitness import fitness
from cti.daemon.bookreader import BookUnreadable
from cti.daemon.books import Books
from store.queries import CallRecord

_AROUND = 2.0  # s before and after a call in which lines about it may stand


@dataclass(frozen=True, slots=True)
class Told:
    """A story, why it could not be held against the PBX's books ("" when it could), and what else lacks."""

    story: Story
    unverified: str = ""
    notes: tuple[str, ...] = ()


def parts_of(record: CallRecord) -> Parts:
    """What a story is made of."""
    return Parts(
        record.call,
        record.legs,
        record.queue_stays,
        record.attempts,
        record.talks,
        record.transfers,
        record.recordings,
    )


async def told(parts: Parts, gap_ends: Sequence[float], books: Books | None) -> Told:
    """The story of a call, from its record and from these books; None when its PBX is not configured any more.

    The work is done in a thread: a call that waited for hours has thousands of steps.
    """
    if books is None:
        why = f"pbx.{parts.call.pbx} is not configured, so its books are not known"
        return Told(await asyncio.to_thread(tell, parts, gap_ends), why)
    now = dt.datetime.now(dt.UTC).timestamp()
    begin, end = _span(parts, now)
    try:
        read = await books.read(begin, end)
    except BookUnreadable as error:
        return Told(await asyncio.to_thread(tell, parts, gap_ends), str(error))
    fit = fitness(read, Known(calls=[parts.call], stays=parts.stays), begin, end)
    notes = list(fit.notes)
    if "cel_csv" not in books.places:
        notes.append("CEL is not configured; the CDR tells less of parking, conferences and voicemail")
    if books.behind and end > now - books.behind:
        notes.append(
            f"the newest lines may be missing: this PBX's books come up to {books.behind:.0f} s late"
        )
    lines = Lines(read.queue_log, read.cel, read.cdr)
    story = await asyncio.to_thread(tell, parts, gap_ends, lines)
    return Told(story, books.missing or fit.unverified, tuple(notes))


def _span(parts: Parts, now: float) -> tuple[float, float]:
    """From before its first channel to after its last, or to now."""
    call = parts.call
    begin = min([call.started_at, *(leg.started_at for leg in parts.legs)]) - _AROUND
    ends = [leg.ended_at for leg in parts.legs if leg.ended_at is not None]
    return begin, now if call.ended_at is None else max([call.ended_at, *ends]) + _AROUND
