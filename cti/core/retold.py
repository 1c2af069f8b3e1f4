"""Our records beside the same calls as CEL and queue_log tell them (`cti.core.retell`), field by field. Pure.

The books are told to a core of their own, so both sides mean the same by every word; what that core gets wrong cannot be
found here, and `cti.core.reconcile` therefore counts the lines of queue_log and CDR without it.

Compared is, of a call that is one in both: its channels with begin and end; begin, end, first answer, disposition, who
ended it and the cause of it, direction, caller, dialled number; of each channel when it rang, answered and ended, for whom
and why; when each pass through a queue began and ended, and at which place; who was turned away, by which queue and when;
each ringing of an agent; when each phone talked, for which agent and queue; each transfer; each recording that the dialplan
began. Instants agree within `INSTANT`, and within `SECOND` where the book itself has whole seconds.

What the books do not tell, or not surely, is not compared: `cti.core.untold`, which is in docs/scenarios.md.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from cti.core.cel import CelRow
from cti.core.completing import NO_NUMBER, SAME_JOIN, same_ringing
from cti.core.facts import (
    NOT_LET_IN,
    Attempt,
    AttemptOutcome,
    EndedBy,
    Leg,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
)
from cti.core.mismatch import MismatchReason as Reason
from cti.core.refusals import let_in, paired
from cti.core.unseen import NOTHING
from cti.core.wholes import Whole

INSTANT = 0.5  # s by which AMI and CEL may differ about an instant
SECOND = 1.5  # s, where the book has whole seconds
_AT_ONCE = 0.1  # s between two signs of one thing

_CALL = (
    (Reason.DISPOSITION, "disposition"),
    (Reason.ENDED_BY, "ended_by"),
    (Reason.DIRECTION, "direction"),
    (Reason.CALLER, "caller_number"),
    (Reason.CALLER, "caller_name"),
    (Reason.DIALED, "dialed_number"),
    (Reason.CAUSE, "hangup_cause"),
)
_LEG = (
    (Reason.LEG, "ring_started_at"),
    (Reason.LEG, "answered_at"),
    (Reason.LEG, "agent"),
    (Reason.LEG, "channel"),
    (Reason.LEG, "device"),
    (Reason.LEG, "dialed"),
    (Reason.CAUSE, "hangup_cause"),
)
_INSTANTS = (
    (Reason.BEGIN, "started_at"),
    (Reason.END, "ended_at"),
    (Reason.ANSWERED_AT, "answered_at"),
)
_GAVE_UP = frozenset({AttemptOutcome.CANCELLED, AttemptOutcome.NO_ANSWER})
_GONE = {StayOutcome.ABANDONED, StayOutcome.TRANSFERRED_OUT}  # one word in queue_log; CEL tells them apart
_LED_NOWHERE = frozenset({"abandoned", "no_answer"})


class Odd(NamedTuple):
    """One difference; `uniqueid` is the channel it is about."""

    reason: Reason
    uniqueid: str
    field: str
    ours: str
    book: str


def differences(
    ours: Whole, book: Whole, rows: Mapping[str, Sequence[CelRow]], within: float = INSTANT
) -> list[Odd]:
    """Everything in which two accounts of one call differ.

    Args:
        ours: the record.
        book: the same call, told from the books.
        rows: what CEL has of its channels, by uniqueid.
        within: seconds by which instants may differ.
    """
    return list(_Pair(ours, book, rows, within).differences())


class _Pair:
    def __init__(self, ours: Whole, book: Whole, rows: Mapping[str, Sequence[CelRow]], within: float) -> None:
        self._ours, self._book, self._within = ours, book, within
        self._rows = {channel: rows.get(channel, ()) for channel in book.channels}
        self._pbx = book.call.pbx

    def differences(self) -> Iterator[Odd]:
        yield from self._call()
        yield from self._legs()
        yield from self._stays()
        yield from self._attempts()
        yield from self._talks()
        yield from self._transfers()
        yield from self._recordings()

    def _apart(self, ours: float | None, book: float | None) -> bool:
        """Whether two instants are not the same, or only one of them is known."""
        if ours is None or book is None:
            return ours is not book
        return abs(ours - book) > max(self._within, SECOND if book.is_integer() else 0.0)

    def _uniqueid(self, part_id: str) -> str:
        return part_id.rpartition("/")[0].removeprefix(f"{self._pbx}-")

    def _runs(self, app: str) -> bool:
        """Whether a channel of the call runs this application."""
        return any(row.app == app for rows in self._rows.values() for row in rows)

    # -- the call itself

    def _call(self) -> Iterator[Odd]:
        ours, book = self._ours.call, self._book.call
        first = book.id.removeprefix(f"{book.pbx}-")
        for reason, name in _INSTANTS:
            one, two = getattr(ours, name), getattr(book, name)
            if self._apart(one, two) and not (name == "answered_at" and self._put_through(one, two)):
                yield Odd(reason, first, f"call.{name}", said(one), said(two))
        for reason, name in _CALL:
            one, two = getattr(ours, name), getattr(book, name)
            if one != two and self._knows(name, two, first):
                yield Odd(reason, first, f"call.{name}", said(one), said(two))

    def _knows(self, name: str, told: object, first: str) -> bool:
        match name:
            case "dialed_number":
                return told not in NO_NUMBER
            case "caller_number" | "caller_name":
                rows = self._rows.get(first, ())
                return not _just_born(rows) and all(row.app != "AppDial2" for row in rows)
            case "direction":
                return told not in NOTHING and not _just_born(self._rows.get(first, ()))
            case "ended_by":
                pool = told is EndedBy.SYSTEM and self._runs("AgentLogin")
                return told not in NOTHING and not pool and not self._hung_up_in_between()
        return told not in NOTHING

    def _hung_up_in_between(self) -> bool:
        """Whether somebody hung up as they met, or was led elsewhere first: which came first no book tells."""
        if any(_end(talk) - talk.started_at < _AT_ONCE for talk in self._book.talks.values()):
            return True
        return any(self._led_elsewhere(rows) for rows in self._rows.values())

    def _led_elsewhere(self, rows: Sequence[CelRow]) -> bool:
        """Whether they were sent to another extension out of a talk, and hung up themselves before they got there."""
        entered: tuple[str, str] | None = None
        out: CelRow | None = None
        for row in rows:
            if row.event == "BRIDGE_ENTER":
                entered = (row.context, row.exten)
            elif row.event == "BRIDGE_EXIT":
                out = row if entered not in {None, (row.context, row.exten)} else None
            elif row.event == "HANGUP" and out is not None:
                own = row.extra.get("hangupsource") == row.channel
                return own and row.at - out.at < max(INSTANT, self._within)
        return False

    def _put_through(self, ours: float | None, book: float | None) -> bool:
        """Whether somebody who was picked up then was put through then: answered is what lies between."""
        if ours is None or book is None:
            return False
        into = [
            row.at
            for rows in self._rows.values()
            for row in rows
            if row.event == "BRIDGE_ENTER" and row.at > book
        ]
        return bool(into) and book - self._within <= ours <= min(into) + self._within

    def _legs(self) -> Iterator[Odd]:
        for key in sorted(self._ours.legs.keys() | self._book.legs.keys()):
            one, two = self._ours.legs.get(key), self._book.legs.get(key)
            known = one or two
            if known is not None and (
                one is None
                or two is None
                or self._apart(one.started_at, two.started_at)
                or self._apart(one.ended_at, two.ended_at)
            ):
                yield Odd(Reason.LEG, known.uniqueid, "leg", _leg(one), _leg(two))
            if one is not None and two is not None:
                yield from self._leg_fields(one, two)

    def _leg_fields(self, one: Leg, two: Leg) -> Iterator[Odd]:
        for reason, name in _LEG:
            ours, told = getattr(one, name), getattr(two, name)
            instant = isinstance(told, float) or isinstance(ours, float)
            apart = self._apart(ours, told) if instant else told is not None and ours != told
            if apart and not (name == "answered_at" and self._put_through(ours, told)):
                yield Odd(reason, one.uniqueid, f"leg.{name}", said(ours), said(told))

    # -- queues

    def _stays(self) -> Iterator[Odd]:
        ours, book = list(self._ours.stays.values()), list(self._book.stays.values())
        yield from self._refusals(
            [one for one in ours if one.outcome in NOT_LET_IN],
            [two for two in book if two.outcome in NOT_LET_IN],
            self._unread(ours, book),
        )
        left = sorted((two for two in book if two.outcome not in NOT_LET_IN), key=_joined)
        for one in sorted((one for one in ours if one.outcome not in NOT_LET_IN), key=_joined):
            same = [two for two in left if (two.uniqueid, two.queue) == (one.uniqueid, one.queue)]
            two = min(same, key=lambda two: abs(two.joined_at - one.joined_at), default=None)
            if two is None:
                continue  # which passes there are is for queue_log itself to say (cti.core.reconcile)
            left.remove(two)
            for name in ("joined_at", "answered_at", "left_at", "wait"):
                ours, book = getattr(one, name), getattr(two, name)
                if self._stay_apart(one, two, name):
                    yield Odd(Reason.WAIT, one.uniqueid, f"queue_stay.{name}", said(ours), said(book))
            if {one.outcome, two.outcome} == _GONE:
                outcomes = said(one.outcome), said(two.outcome)
                yield Odd(Reason.OUTCOME, one.uniqueid, "queue_stay.outcome", *outcomes)
            if two.position is not None and one.position != two.position:
                places = said(one.position), said(two.position)
                yield Odd(Reason.WAIT, one.uniqueid, "queue_stay.position", *places)

    @staticmethod
    def _unread(ours: Iterable[QueueStay], book: Iterable[QueueStay]) -> list[QueueStay]:
        """Our passes that queue_log lacks: CEL's run of such a one looks like being turned away."""
        read: dict[tuple[str, str], list[float]] = {}
        for two in book:
            if two.outcome not in NOT_LET_IN:
                read.setdefault((two.uniqueid, two.queue), []).append(two.joined_at)
        return [
            one
            for one in ours
            if one.outcome not in NOT_LET_IN
            and not any(abs(at - one.joined_at) < SAME_JOIN for at in read.get((one.uniqueid, one.queue), ()))
        ]

    def _refusals(
        self, ours: Sequence[QueueStay], book: Sequence[QueueStay], unread: Sequence[QueueStay]
    ) -> Iterator[Odd]:
        """Which callers were turned away only CEL tells, so these are compared here; that it was full is a conclusion."""
        met = paired(ours, book)
        of_book = {one.id for one in met.values()}
        for one in ours:
            if one.queue and one.id not in of_book:
                yield Odd(Reason.NOT_IN_BOOK, one.uniqueid, "queue_stay", _refusal(one), "no run of Queue")
        for two in book:
            same = met.get(two.id)
            if same is None:
                if not let_in(two, unread):
                    yield Odd(Reason.NOT_IN_RECORDS, two.uniqueid, "queue_stay", "no record", _refusal(two))
            elif not same.queue:
                yield Odd(Reason.WAIT, two.uniqueid, "queue_stay.queue", "unknown", two.queue)
            elif self._apart(same.joined_at, two.joined_at):
                ours_, book_ = said(same.joined_at), said(two.joined_at)
                yield Odd(Reason.WAIT, two.uniqueid, "queue_stay.joined_at", ours_, book_)

    def _stay_apart(self, one: QueueStay, two: QueueStay, name: str) -> bool:
        ours, book = getattr(one, name), getattr(two, name)
        if name != "wait" or ours is None or book is None:
            return self._apart(ours, book)
        exact = not any(at is not None and at.is_integer() for at in (two.joined_at, two.left_at))
        return bool(abs(ours - book) > max(self._within, 0.0 if exact else 2 * INSTANT + SECOND))

    def _attempts(self) -> Iterator[Odd]:
        for one, two in self._ringings():
            known = one or two
            if known is None:
                continue
            uniqueid = self._uniqueid(known.id)
            if two is None and self._seat_untold(known.id):
                continue
            if one is None or two is None:
                yield Odd(Reason.ATTEMPT, uniqueid, "attempt", _attempt(one), _attempt(two))
                continue
            for name in ("agent", "queue", "outcome"):
                told = getattr(two, name)
                if told not in NOTHING and told != getattr(one, name) and not self._gave_up(one, two, name):
                    yield Odd(Reason.ATTEMPT, uniqueid, f"attempt.{name}", _attempt(one), _attempt(two))
            late = self._apart(one.ended_at, two.ended_at) and not (
                two.outcome is AttemptOutcome.ANSWERED and self._put_through(one.ended_at, two.ended_at)
            )
            if late or self._apart(one.started_at, two.started_at):
                yield Odd(Reason.ATTEMPT, uniqueid, "attempt.time", _attempt(one), _attempt(two))

    def _seat_untold(self, part_id: str) -> bool:
        """Whether the books have the channel and do not say whose phone it is: they tell nothing of agents then."""
        told = self._book.legs.get(part_id.rpartition("/")[0])
        return told is not None and told.agent is None

    def _ringings(self) -> list[tuple[Attempt | None, Attempt | None]]:
        """Pairs of one ringing; a member on a Local channel rings once, whichever of its channels was noticed first."""
        ours, book = dict(self._ours.attempts), dict(self._book.attempts)
        pairs: list[tuple[Attempt | None, Attempt | None]] = [
            (ours.pop(key), book.pop(key)) for key in sorted(ours.keys() & book.keys())
        ]
        for two in sorted(book.values(), key=lambda two: two.started_at):
            same = next((one for one in ours.values() if same_ringing(one, two)), None)
            pairs.append((ours.pop(same.id) if same is not None else None, two))
        return pairs + [(one, None) for one in ours.values()]

    def _gave_up(self, one: Attempt, two: Attempt, name: str) -> bool:
        """Whether both say that it rang in vain, and the call ended with it: which came first no book tells."""
        end = self._book.call.ended_at
        vain = name == "outcome" and {one.outcome, two.outcome} <= _GAVE_UP
        return vain and end is not None and two.ended_at is not None and abs(end - two.ended_at) < _AT_ONCE

    # -- talks

    def _talks(self) -> Iterator[Odd]:
        ours, book = _by_channel(self._ours), _by_channel(self._book)
        for channel in sorted(ours.keys() | book.keys()):
            one, two = ours.get(channel, []), book.get(channel, [])
            uniqueid = channel.removeprefix(f"{self._pbx}-")
            if one and not two and one[0].agent is not None and self._seat_untold(one[0].id):
                continue
            if lone_seconds(one, two) > self._within or any(
                _shared(*pair) > self._within for pair in combinations(one, 2)
            ):
                yield Odd(Reason.TALK, uniqueid, "talk", _said_talks(one), _said_talks(two))
            for name in ("agent", "queue"):
                if any(self._credited_apart(talk, two, name) for talk in one):
                    yield Odd(Reason.TALK, uniqueid, f"talk.{name}", _said_talks(one), _said_talks(two))

    def _credited_apart(self, one: Talk, book: Sequence[Talk], name: str) -> bool:
        """Whether the books have another agent or queue for the talk that this one is."""
        two = max(book, key=lambda two: _shared(one, two), default=None)
        if two is None or _shared(one, two) <= self._surely(two):
            return False
        told = getattr(two, name)
        return told != getattr(one, name) and (told is not None or two.agent is not None)

    def _surely(self, two: Talk) -> float:
        """Seconds that must be shared with this talk of the books for being it."""
        whole = two.started_at.is_integer() or (two.ended_at or 0.5).is_integer()
        return 2 * SECOND if whole else min(self._within, (_end(two) - two.started_at) / 2)

    # -- transfers

    def _transfers(self) -> Iterator[Odd]:
        left = sorted(self._book.transfers.values(), key=lambda two: two.at)
        for one in sorted(self._ours.transfers.values(), key=lambda one: one.at):
            near = [two for two in left if abs(one.at - two.at) <= self._within]
            two = min(near, key=lambda two: (two.to != one.to, abs(one.at - two.at)), default=None)
            if two is None:
                if one.result != "failed":
                    yield Odd(
                        Reason.TRANSFER, self._uniqueid(one.id), "transfer", _transfer(one), _transfer(None)
                    )
                continue
            left.remove(two)
            for name in ("kind", "by", "to", "result"):
                if self._moved_apart(one, two, name):
                    field_ = f"transfer.{name}"
                    yield Odd(Reason.TRANSFER, self._uniqueid(one.id), field_, _transfer(one), _transfer(two))
        for two in left:
            yield Odd(Reason.TRANSFER, self._uniqueid(two.id), "transfer", _transfer(None), _transfer(two))

    def _moved_apart(self, one: Transfer, two: Transfer, name: str) -> bool:
        ours, told = getattr(one, name), getattr(two, name)
        if told in NOTHING or told == ours or (name == "by" and self._seat_untold(two.id)):
            return False
        undecided = any(
            a is not None and b is not None and a.outcome is not b.outcome and self._gave_up(a, b, "outcome")
            for a, b in self._ringings()
        )
        return not (name == "result" and {ours, told} <= _LED_NOWHERE and undecided)

    # -- recordings

    def _recordings(self) -> Iterator[Odd]:
        """Those that the books have; of one that a program began they know nothing."""
        for two in self._book.recordings.values():
            own = two.id.rpartition("/")[0]
            same = (one for one in self._ours.recordings.values() if one.id.rpartition("/")[0] == own)
            near = (one for one in same if one.file in {"", two.file} or one.file.endswith(f"/{two.file}"))
            one = min(near, key=lambda one: abs(one.started_at - two.started_at), default=None)
            if (
                one is None
                or self._apart(one.started_at, two.started_at)
                or (self._apart(one.stopped_at, two.stopped_at) and not _stopped_before(one, two))
            ):
                yield Odd(Reason.RECORDING, self._uniqueid(two.id), "recording", _taped(one), _taped(two))


def _joined(stay: QueueStay) -> float:
    return stay.joined_at


def _by_channel(whole: Whole) -> dict[str, list[Talk]]:
    found: dict[str, list[Talk]] = {}
    for talk in sorted(whole.talks.values(), key=lambda talk: talk.started_at):
        found.setdefault(talk.id.rpartition("/")[0], []).append(talk)
    return found


def lone_seconds(one: Sequence[Talk], two: Sequence[Talk]) -> float:
    """The longest time in which only one of the two says that somebody talked."""
    marks = sorted({at for talk in (*one, *two) for at in (talk.started_at, _end(talk))})
    longest = run = 0.0
    for begin, end in pairwise(marks):
        run = run + end - begin if _within(one, begin, end) != _within(two, begin, end) else 0.0
        longest = max(longest, run)
    return longest


def _just_born(rows: Sequence[CelRow]) -> bool:
    """Whether the PBX died before it noted who rings this channel."""
    return len(rows) == 1


def _shared(one: Talk, two: Talk) -> float:
    """Seconds that both lasted."""
    return max(0.0, min(_end(one), _end(two)) - max(one.started_at, two.started_at))


def _end(talk: Talk) -> float:
    return talk.ended_at if talk.ended_at is not None else float("inf")


def _within(talks: Iterable[Talk], begin: float, end: float) -> bool:
    return any(talk.started_at <= begin and end <= _end(talk) for talk in talks)


# --- words ----------------------------------------------------------------------------------------------------------


def said(value: Any) -> str:
    """For people."""
    if value is None:
        return "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _leg(leg: Leg | None) -> str:
    if leg is None:
        return "no such channel"
    return f"{leg.channel} from {said(leg.started_at)} to {said(leg.ended_at)}"


def _stopped_before(one: Recording, two: Recording) -> bool:
    """Whether a program may have stopped it (AMI), of which CEL has no row."""
    return one.stopped_at is not None and one.stopped_at < (two.stopped_at or math.inf)


def _taped(one: Recording | None) -> str:
    if one is None:
        return "no such recording"
    return f"{one.file} from {said(one.started_at)} to {said(one.stopped_at)}"


def _refusal(one: QueueStay) -> str:
    return f"{one.queue or 'unknown'} {one.outcome}"


def _attempt(one: Attempt | None) -> str:
    if one is None:
        return "no such ringing"
    queue = f", queue {one.queue}" if one.queue else ""
    times = f"from {said(one.started_at)} to {said(one.ended_at)}"
    return f"{one.agent or one.device} {times}: {said(one.outcome)}{queue}"


def _said_talks(talks: Sequence[Talk]) -> str:
    return ", ".join(map(_talk, talks)) or "no talk"


def _talk(one: Talk) -> str:
    queue = f", queue {one.queue}" if one.queue else ""
    return f"{one.agent or one.device} from {said(one.started_at)} to {said(one.ended_at)}{queue}"


def _transfer(one: Transfer | None) -> str:
    if one is None:
        return "no such transfer"
    return f"{one.kind} by {one.by} to {one.to or '?'} at {said(one.at)}: {one.result}"
