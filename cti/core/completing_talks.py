"""The talks of a call that a gap cut, held against those that the books tell of. Pure.

One that was seen stays as it was. That it ended, or another began, when somebody looked again is a conclusion.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from cti.core.facts import Talk
from cti.core.unseen import SAME_INSTANT, TOGETHER, Unseen

_TALK = ("queue", "agent", "started_at", "ended_at")


class TalkCompletion:
    """Completes the talks of one call after the other."""

    def __init__(self, unseen: Unseen, talks: Iterable[Talk], leg_calls: Mapping[str, str]) -> None:
        """Make one of the talks on record; `leg_calls` has whose each channel is by the books (ids of leg and call)."""
        self._unseen, self._leg_calls = unseen, leg_calls
        self._of_channel: dict[str, dict[str, Talk]] = {}  # with what was completed or added meanwhile
        for talk in talks:
            self._of_channel.setdefault(_channel(talk), {})[talk.id] = talk
        self._calls: AbstractSet[str] = frozenset()
        self._told: Sequence[Talk] = ()
        self._taken_back: AbstractSet[str | None] = frozenset()

    def begin(
        self, calls: AbstractSet[str], told: Sequence[Talk], taken_back: AbstractSet[str | None]
    ) -> None:
        """Take a call in hand: its ids on record, the talks told of it, queues that turned out not to have been answered."""
        self._calls, self._told, self._taken_back = calls, told, taken_back

    def unheard(self, told: Talk) -> bool:
        """Whether nothing of a talk is on record."""
        of_channel = self._of_channel.get(_channel(told), {}).values()
        return all(self._together(talk, told) <= 0 for talk in of_channel)

    def take(self, call_id: str, told: Talk) -> Iterator[tuple[Talk, dict[str, Any] | None]]:
        """Of a talk that the books tell: each talk on record that it is and what changes of that, or itself and None."""
        channel = _channel(told)
        of_channel = list(self._of_channel.get(channel, {}).values())
        same = max(of_channel, key=lambda talk: self._together(talk, told), default=None)
        if same is not None and self._together(same, told) > 0:
            pieces = self._pieces(same, told, of_channel)
            alone = all(one in pieces or self._together(one, told) <= 0 for one in of_channel)
            on_line = self._leg_calls.get(channel) != told.call_id
            for piece in pieces:
                changes = self._changes(piece, told)
                first, last = piece is pieces[0], piece is pieces[-1]
                changes |= self._bounds(piece, told, first=first, last=last) if alone else {}
                changes = {
                    name: value
                    for name, value in changes.items()
                    if (first or name != "started_at") and (last or name != "ended_at")
                }
                if on_line and piece.call_id != call_id:
                    changes["call_id"] = call_id  # with whom who stays on the line talked was not seen
                self._of_channel[channel][piece.id] = replace(piece, **changes)
                yield piece, changes
            return
        glimpse = self._glimpse(channel)
        if glimpse is not None and told.ended_at is not None:
            changes = {name: getattr(told, name) for name in _TALK} | {"hold": None}
            self._of_channel[channel][glimpse.id] = replace(glimpse, **changes)
            yield glimpse, {k: v for k, v in changes.items() if v != getattr(glimpse, k)}
            return
        taken = {int(talk.id.rpartition("/t")[2]) for talk in of_channel}
        number = free_number(int(told.id.rpartition("/t")[2]), taken)
        added = replace(told, id=f"{channel}/t{number}")
        self._of_channel.setdefault(channel, {})[added.id] = added
        yield added, None

    def _bounds(self, stored: Talk, told: Talk, *, first: bool, last: bool) -> dict[str, Any]:
        """When a talk began that was noticed as somebody else came, and ended who was heard to change bridges."""
        changes: dict[str, Any] = {}
        if first and self._unseen.missed(told.started_at) and told.started_at < stored.started_at - TOGETHER:
            changes["started_at"] = told.started_at
        if last and self._unseen.went_on(stored.ended_at, told.ended_at):
            changes["ended_at"] = told.ended_at
        return changes

    def _pieces(self, same: Talk, told: Talk, of_channel: Iterable[Talk]) -> list[Talk]:
        """The talks on record, in order, that the one told is: somebody who looked took it for over, and another begun."""
        pieces = [same]
        others = sorted((one for one in of_channel if self._together(one, told) > 0), key=_began)
        for one in others:
            if _touch(pieces[-1], one):
                pieces.append(one)
        for one in reversed(others):
            if _touch(one, pieces[0]):
                pieces.insert(0, one)
        return pieces

    def _glimpse(self, channel: str) -> Talk | None:
        """A talk on record of which nothing but that it was found is known, and that no talk of the books is."""
        of_channel = self._of_channel.get(channel, {}).values()
        told_here = (told for told in self._told if _channel(told) == channel)
        best = (
            max(((self._together(one, told), one.id) for one in of_channel), default=None)
            for told in told_here
        )
        met = {pair[1] for pair in best if pair is not None and pair[0] > 0}
        return next(
            (
                one
                for one in of_channel
                if one.id not in met and one.call_id in self._calls and self._only_found(one)
            ),
            None,
        )

    def _only_found(self, talk: Talk) -> bool:
        """Whether its begin is when somebody looked, and it ended as somebody looked again, or at once."""
        over = talk.ended_at
        if over is None or not self._unseen.is_guess(talk.started_at):
            return False
        return self._unseen.is_guess(over) or over - talk.started_at < TOGETHER

    def _changes(self, stored: Talk, told: Talk) -> dict[str, Any]:
        changes = self._unseen.unknown(stored, told, _TALK)
        over = told.ended_at
        went_on = (
            over is not None and self._unseen.missed(over) and over < (stored.ended_at or over) - TOGETHER
        )
        if went_on:
            changes["ended_at"] = over  # nobody saw that one talk ended and the next began
        concluded = self._unseen.missed(told.started_at) and told.queue is not None
        another = self._unseen.is_guess(stored.started_at) and self._seen_before(told, stored.started_at)
        known = not (concluded or another or went_on or stored.queue in self._taken_back)
        if stored.queue != told.queue and not known:
            changes["queue"] = told.queue  # that it was this queue's was concluded
        return changes

    def _together(self, stored: Talk, told: Talk) -> float:
        """Seconds that both last, when it is more than two accounts of one instant differ by; else 0."""
        stored_end = stored.ended_at if stored.ended_at is not None else float("inf")
        told_end = told.ended_at if told.ended_at is not None else float("inf")
        seconds = min(stored_end, told_end) - max(stored.started_at, told.started_at)
        shorter = min(stored_end - stored.started_at, told_end - told.started_at)
        if seconds > min(TOGETHER, shorter / 2) or (seconds >= 0 and shorter <= SAME_INSTANT):
            return max(seconds, SAME_INSTANT)
        found_late = self._unseen.is_guess(stored.started_at) and told.started_at < stored.started_at
        return SAME_INSTANT if found_late and seconds > -TOGETHER and self._only(told, stored) else 0.0

    def _seen_before(self, told: Talk, looked_at: float) -> bool:
        """Whether somebody who looked then saw what was before this talk."""
        others = self._others(told)
        covered = any(one.started_at <= looked_at <= (one.ended_at or float("inf")) for one in others)
        return covered or told.started_at > looked_at + TOGETHER

    def _only(self, told: Talk, stored: Talk) -> bool:
        """Whether the books have no other talk of that channel that lasts while the one on record does."""
        over = stored.ended_at or float("inf")
        return not any(
            one.started_at < over - TOGETHER and (one.ended_at or float("inf")) > stored.started_at + TOGETHER
            for one in self._others(told)
        )

    def _others(self, told: Talk) -> list[Talk]:
        """What else the books tell of that channel."""
        return [one for one in self._told if one is not told and _channel(one) == _channel(told)]


def _channel(talk: Talk) -> str:
    """The id of the leg that talked."""
    return talk.id.rpartition("/")[0]


def _began(talk: Talk) -> float:
    return talk.started_at


def _touch(one: Talk, two: Talk) -> bool:
    return one.id != two.id and one.ended_at is not None and abs(two.started_at - one.ended_at) < SAME_INSTANT


def free_number(wanted: int, taken: set[int]) -> int:
    """The first number from this one on that is not taken."""
    while wanted in taken:
        wanted += 1
    return wanted
