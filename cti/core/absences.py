"""What the books add to the away episodes on record: absences of a gap, and returns that nobody saw. Pure.

The queue_log of the gap, told again, makes episodes by the same rule as the live stream (`cti.core.away`). An episode that
is not on record is added; one whose end is when somebody looked again ended when the books say. Nobody was warned,
reported or logged out by any of this, nor will be: whoever was over the limit while nobody listened gets an incident
with the result `unseen`.

Somebody found away left when the books say, and not when the PBX's list has the last pause: who paused again left earlier, and
who was paused in one of several queues was not away before the others were paused too, or left.

An episode that goes on is the live rule's. It is told what the books know of its begin, so that whoever paused again in the
gap has no more time for it, and whoever was back in between has no less.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cti.core.away import LISTED
from cti.core.facts import AwayEpisode, Gap, Incident
from cti.core.unseen import SAME_INSTANT

UNSEEN = "unseen"
"""The result of an incident that nobody was told of when it happened."""

_BOOK = "queue_log"
_BEGINS = ("started_at", "warn_at", "limit_at")
_SAME = 1.5  # s by which two accounts of a change may differ: queue_log and lists have whole seconds
_SECOND = 1.0  # s; queue_log has the begin of it


@dataclass(slots=True)
class Absences:
    """What is to be written, as in `backfill.Plan`."""

    new: list[AwayEpisode | Incident] = field(default_factory=list)
    completed: list[AwayEpisode] = field(default_factory=list)
    living: list[str] = field(default_factory=list)  # ids of open episodes to be looked at when they are over
    ongoing: list[AwayEpisode] = field(
        default_factory=list
    )  # for the live rule: as it began, or how it ended and what goes on


def absences(
    told: Iterable[AwayEpisode],
    known: Iterable[AwayEpisode],
    gaps: Sequence[Gap],
    *,
    grace: float,
    not_before: float = 0.0,
    until: float = float("inf"),
) -> Absences:
    """Compare the absences that the books tell with the episodes on record.

    Args:
        told: of one PBX, each as long as somebody was away without any return.
        known: on record of that PBX, around the gaps.
        gaps: in which something was missed.
        grace: seconds that a return must last, as the live rule has it.
        not_before: what ended earlier is left alone.
        until: as far as the books were read: a return shortly before that may turn out to be none.
    """
    found = _Finder(gaps, grace, until)
    theirs: dict[str, list[AwayEpisode]] = {}
    for one in sorted(known, key=lambda one: one.started_at):
        theirs.setdefault(one.agent, []).append(one)
    mine: dict[str, list[AwayEpisode]] = {}
    for one in sorted(told, key=lambda one: one.started_at):
        if one.ended_at is None or one.ended_at >= not_before:
            untold = replace(one, warned_at=None, reported_at=None, logged_out_at=None)
            mine.setdefault(one.agent, []).append(untold)
    for agent, episodes in mine.items():
        found.compare(episodes, theirs.get(agent, []))
    return found.found


class _Finder:
    def __init__(self, gaps: Sequence[Gap], grace: float, until: float) -> None:
        self.found = Absences()
        self._gaps, self._grace, self._until = gaps, grace, until

    def compare(self, told: Sequence[AwayEpisode], known: Sequence[AwayEpisode]) -> None:
        """Of one agent, both in order."""
        claims = _claims(told, known)
        free = _not_in(told, claims)
        for one in known:
            if claims[one.id]:
                about = [*self._missed_before(one, claims[one.id][0], free), *claims[one.id]]
                self._complete(one, _merged(about, self._grace), [each for each in known if each is not one])
        for one in _merged(free, self._grace):
            missed = one.ended_at is not None and self._missed(one.started_at)
            if missed and not _is_listed(one, "started_at"):
                self._add(one)

    def _missed_before(
        self, stored: AwayEpisode, told: AwayEpisode, free: list[AwayEpisode]
    ) -> list[AwayEpisode]:
        """Who came back in a gap and left again within the grace had left before; takes those absences from the free ones."""
        found: list[AwayEpisode] = []
        at = stored.started_at
        if any(gap.began_at < at < gap.ended_at + self._grace for gap in self._gaps):
            for one in reversed(free.copy()):
                if one.ended_at is not None and 0 <= told.started_at - one.ended_at < self._grace:
                    free.remove(one)
                    found.insert(0, told := one)
        return found

    def _add(self, told: AwayEpisode) -> None:
        if self._is_fresh(told):
            self.found.living.append(told.id)
            return
        added = replace(told, sources=(f"*:{_BOOK}",))
        self.found.new.append(added)
        self._judge(added)

    def _complete(
        self, stored: AwayEpisode, told: Sequence[AwayEpisode], others: Sequence[AwayEpisode]
    ) -> None:
        first, *later = told
        back = first.ended_at
        if stored.ended_at is None:
            self._go_on(stored, told, others)
            return
        changes: dict[str, Any] = {}
        if self._left_otherwise(stored, first, others):
            changes |= _begins(first)
        guessed = self._is_guess(stored, "ended_at")
        earlier = back is not None and back < stored.ended_at - SAME_INSTANT
        # A return is seen only with the grace after it: whoever died within that did not see it.
        split = bool(later) and stored.reported_at is None and back is not None and self._unheard(back)
        if earlier and (split or (guessed and not later)):
            changes["ended_at"] = back
            rest = [
                replace(one, ended_at=self._end(stored, one)) if one is later[-1] else one for one in later
            ]
            if any(self._is_fresh(one) for one in rest):
                self.found.living.append(stored.id)
                return
            for one in rest:
                self._add(one)
        if changes:
            completed = _told_by_book(stored, changes)
            self.found.completed.append(completed)
            self._judge(completed)

    def _go_on(self, stored: AwayEpisode, told: Sequence[AwayEpisode], others: Sequence[AwayEpisode]) -> None:
        first, *later = told
        back = first.ended_at
        otherwise = self._left_otherwise(stored, first, others)
        if told[-1].ended_at is not None:
            if later or otherwise or any(told[-1].ended_at < gap.ended_at for gap in self._gaps):
                self.found.living.append(stored.id)  # it is over as soon as the grace is
        elif stored.reported_at is not None:
            return
        elif not (later and back is not None and self._unheard(back)):
            if otherwise:
                self.found.ongoing.append(_told_by_book(stored, _begins(first)))
        else:
            changes = _begins(first) if otherwise else {}
            ended = _told_by_book(stored, changes | {"ended_at": back})
            self.found.ongoing += [ended, replace(later[-1], sources=(f"*:{_BOOK}",))]
            self._judge(ended)
            for one in later[:-1]:
                self._add(one)

    def _left_otherwise(self, stored: AwayEpisode, told: AwayEpisode, others: Sequence[AwayEpisode]) -> bool:
        """Whether they left at another instant: found away, or away again so soon that it is the absence that was missed."""
        at = stored.started_at
        if _is_listed(told, "started_at"):
            return False
        if _is_listed(stored, "started_at") and told.started_at > at:
            return self._missed(at) and stored.reported_at is None
        unseen = any(gap.began_at < at < gap.ended_at + self._grace for gap in self._gaps)
        taken = any(one.started_at < at and (one.ended_at or at) > told.started_at for one in others)
        same = _SECOND if _is_listed(stored, "started_at") else _SAME
        return unseen and not taken and told.started_at <= at - same

    def _end(self, stored: AwayEpisode, told: AwayEpisode) -> float | None:
        """The end that was seen, if one was."""
        return told.ended_at if self._is_guess(stored, "ended_at") and told.ended_at else stored.ended_at

    def _judge(self, episode: AwayEpisode) -> None:
        """Write down an absence over the limit that nobody was told of."""
        ended = episode.ended_at
        if ended is None or ended <= episode.limit_at or episode.reported_at is not None:
            return
        away = f"away ({episode.reason}) for {ended - episode.started_at:.0f} s"
        detail = f"{away}; told from the books, nobody was told at the time"
        limit = f"{episode.id}/limit"
        incident = Incident(limit, episode.pbx, "away_limit", episode.agent, episode.limit_at, detail, UNSEEN)
        self.found.new.append(incident)

    def _is_fresh(self, told: AwayEpisode) -> bool:
        """Whether it may yet turn out to go on."""
        return told.ended_at is not None and told.ended_at + self._grace > self._until

    def _missed(self, at: float) -> bool:
        return any(gap.covers(at) for gap in self._gaps)

    def _unheard(self, back: float) -> bool:
        return any(gap.began_at - self._grace < back < gap.ended_at for gap in self._gaps)

    def _is_guess(self, stored: AwayEpisode, name: str) -> bool:
        at = getattr(stored, name)
        looked = any(abs(at - gap.ended_at) < SAME_INSTANT for gap in self._gaps)
        return looked or _is_listed(stored, name)


def _claims(told: Sequence[AwayEpisode], known: Sequence[AwayEpisode]) -> Mapping[str, Sequence[AwayEpisode]]:
    """What the books tell of each episode on record, by its id; of what is told, most is of one of these alone.

    First come those whose begin was seen, for they surely are what began then; last what only lasted at the same time.
    """
    claims: dict[str, list[AwayEpisode]] = {one.id: [] for one in known}
    for one in known:
        if not _is_listed(one, "started_at"):
            claims[one.id] += _begun_then(one.started_at, told)
    free = _not_in(told, claims)
    for one in known:
        if not claims[one.id]:
            claims[one.id] += [each for each in free if _meeting(one, each)][:1]
            free = _not_in(free, claims)
    for each in free:
        about = [one for one in known if _meeting(one, each)]
        if about:
            claims[about[-1].id].append(each)
    return {name: sorted(claim, key=lambda one: one.started_at) for name, claim in claims.items()}


def _merged(told: Iterable[AwayEpisode], grace: float) -> list[AwayEpisode]:
    """A return that is shorter than the grace ends nothing."""
    found: list[AwayEpisode] = []
    for one in told:
        before = found[-1] if found else None
        if before is None or before.ended_at is None or one.started_at - before.ended_at >= grace:
            found.append(one)
            continue
        warn, limit = min(before.warn_at, one.warn_at), min(before.limit_at, one.limit_at)
        found[-1] = replace(before, reason=one.reason, warn_at=warn, limit_at=limit, ended_at=one.ended_at)
    return found


def _begun_then(at: float, told: Sequence[AwayEpisode]) -> list[AwayEpisode]:
    """The one that began at an instant, or else the one that went on then."""
    near = sorted((abs(one.started_at - at), one.id, one) for one in told)
    if near and near[0][0] < _SAME:
        return [near[0][2]]
    return [one for one in told if one.started_at < at < (one.ended_at or at) + _SECOND][-1:]


def _not_in(told: Iterable[AwayEpisode], claims: Mapping[str, Sequence[AwayEpisode]]) -> list[AwayEpisode]:
    claimed = {one.id for claim in claims.values() for one in claim}
    return [one for one in told if one.id not in claimed]


def _is_listed(one: AwayEpisode, name: str) -> bool:
    """Whether this instant was not seen: somebody was found so when the PBX was asked."""
    return f"{name}:{LISTED}" in one.sources


def _begins(told: AwayEpisode) -> dict[str, Any]:
    return {name: getattr(told, name) for name in _BEGINS}


def _told_by_book(stored: AwayEpisode, changes: Mapping[str, Any]) -> AwayEpisode:
    kept = [source for source in stored.sources if source.partition(":")[0] not in changes]
    named = [f"{name}:{_BOOK}" for name in changes]
    return replace(stored, sources=(*kept, *named), **changes)


def _meeting(stored: AwayEpisode, told: AwayEpisode) -> bool:
    """Whether the one lasted while the other did."""
    return _begins_within(stored, _to_its_second(told)) or _begins_within(told, stored)


def _to_its_second(told: AwayEpisode) -> AwayEpisode:
    """Up to the end of the second in which it ended."""
    return replace(told, ended_at=told.ended_at + _SECOND) if told.ended_at is not None else told


def _begins_within(one: AwayEpisode, other: AwayEpisode) -> bool:
    ended = other.ended_at if other.ended_at is not None else float("inf")
    return other.started_at - _SAME < one.started_at < max(ended, other.started_at + SAME_INSTANT)
