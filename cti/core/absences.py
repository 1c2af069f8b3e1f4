"""What the books add to the away episodes on record: absences of a gap, and returns that nobody saw. Pure.

The queue_log of the gap, told again, makes episodes by the same rule as the live stream (`cti.core.away`). An episode that
is not on record is added; one whose end is when somebody looked again ended when the books say. Nobody was warned,
reported or logged out by any of this, nor will be: whoever was over the limit while nobody listened gets an incident
with the result `unseen`.

An episode that goes on is the live rule's. It is told what the books know of its begin, so that whoever paused again in the
gap has no more time for it, and whoever was back in between has no less.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cti.core.completing import SAME_INSTANT
from cti.core.facts import AwayEpisode, Gap, Incident

UNSEEN = "unseen"
"""The result of an incident that nobody was told of when it happened."""

_BOOK = "queue_log"
_BEGINS = ("started_at", "warn_at", "limit_at")
_SAME = 1.5  # s by which two accounts of a change may differ: queue_log and lists have whole seconds


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
    """Compare the episodes that the books make with those on record.

    Args:
        told: of one PBX.
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
        for one in told:
            if one.ended_at is not None and self._missed(one.started_at):
                self._add(one, known)
        for one in known:
            met = _meeting(one, told)
            if met:
                self._complete(one, met, [other for other in known if other is not one])

    def _add(self, told: AwayEpisode, known: Sequence[AwayEpisode]) -> None:
        if _meeting(told, known):
            return
        if told.ended_at is not None and told.ended_at + self._grace > self._until:
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
        if self._left_unseen(stored, first, others):
            changes |= {name: getattr(first, name) for name in _BEGINS}
        guessed = self._is_guess(stored.ended_at)
        earlier = back is not None and back < stored.ended_at - SAME_INSTANT
        # A return is seen only with the grace after it: whoever died within that did not see it.
        split = bool(later) and stored.reported_at is None and back is not None and self._unheard(back)
        if earlier and (split or (guessed and not later)):
            changes["ended_at"] = back
            for one in later:
                if one.started_at < stored.ended_at:
                    last = replace(one, ended_at=self._end(stored, one)) if one is later[-1] else one
                    self._add(last, others)
        if changes:
            named = tuple(f"{name}:{_BOOK}" for name in changes)
            completed = replace(stored, sources=(*stored.sources, *named), **changes)
            self.found.completed.append(completed)
            self._judge(completed)

    def _go_on(self, stored: AwayEpisode, told: Sequence[AwayEpisode], others: Sequence[AwayEpisode]) -> None:
        first, *later = told
        back = first.ended_at
        if told[-1].ended_at is not None:
            if any(told[-1].ended_at < gap.ended_at for gap in self._gaps):
                self.found.living.append(stored.id)  # it is over as soon as the grace is
        elif not later:
            if self._left_unseen(stored, first, others):
                self.found.ongoing.append(_begun(stored, first))
        elif back is not None and self._unheard(back) and stored.reported_at is None:
            named = (*stored.sources, f"ended_at:{_BOOK}")
            ended = replace(stored, ended_at=back, sources=named)
            self.found.ongoing += [ended, replace(later[-1], sources=(f"*:{_BOOK}",))]
            self._judge(ended)
            for one in later[:-1]:
                self._add(one, others)

    def _left_unseen(self, stored: AwayEpisode, told: AwayEpisode, others: Sequence[AwayEpisode]) -> bool:
        """Whether they had left before: found away, or away again so soon that it is the absence that was missed."""
        at = stored.started_at
        unseen = any(gap.began_at < at < gap.ended_at + self._grace for gap in self._gaps)
        taken = any(one.started_at < at and (one.ended_at or at) > told.started_at for one in others)
        return unseen and not taken and told.started_at < at - _SAME

    def _end(self, stored: AwayEpisode, told: AwayEpisode) -> float | None:
        """The end that was seen, if one was."""
        return told.ended_at if self._is_guess(stored.ended_at) and told.ended_at else stored.ended_at

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

    def _missed(self, at: float) -> bool:
        return any(gap.covers(at) for gap in self._gaps)

    def _unheard(self, back: float) -> bool:
        return any(gap.began_at - self._grace < back < gap.ended_at for gap in self._gaps)

    def _is_guess(self, at: float | None) -> bool:
        return at is not None and any(abs(at - gap.ended_at) < SAME_INSTANT for gap in self._gaps)


def _begun(stored: AwayEpisode, told: AwayEpisode) -> AwayEpisode:
    """The PBX forgets when somebody left who pauses again; queue_log does not."""
    named = tuple(f"{name}:{_BOOK}" for name in _BEGINS)
    begins = {name: getattr(told, name) for name in _BEGINS}
    return replace(stored, sources=(*stored.sources, *named), **begins)


def _meeting(one: AwayEpisode, others: Iterable[AwayEpisode]) -> list[AwayEpisode]:
    """Those that lasted while this one did."""
    return [other for other in others if _begins_within(one, other) or _begins_within(other, one)]


def _begins_within(one: AwayEpisode, other: AwayEpisode) -> bool:
    ended = other.ended_at if other.ended_at is not None else float("inf")
    return other.started_at - _SAME < one.started_at < max(ended, other.started_at + SAME_INSTANT)
