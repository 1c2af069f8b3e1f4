"""What of a record was seen, and what was concluded because something was missed. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from cti.core.facts import Attempt, Call, Gap, Leg, QueueStay, Recording, Talk

SAME_INSTANT = 1e-5  # s; the store keeps microseconds
TOGETHER = 0.05  # s within which the events of one occurrence come
NOTHING: tuple[Any, ...] = (None, "", "unknown")  # enumerations equal their words

P = TypeVar("P", Call, Leg, QueueStay, Attempt, Talk, Recording)


class Unseen:
    """The gaps of one PBX, and what is known to have been concluded in them."""

    def __init__(self, gaps: Sequence[Gap], deaths: Iterable[float], gone: Iterable[float]) -> None:
        """Make one.

        Args:
            gaps: those that are filled now.
            deaths: when an Asterisk was last heard of by the books: as much a conclusion as ours.
            gone: when channels ended that nobody heard hang up; in a gap that is when somebody looked.
        """
        self._gaps, self._deaths = gaps, frozenset(deaths)
        self._guesses = {gap.ended_at for gap in gaps} | {at for at in gone if self.missed(at)}

    def missed(self, at: float) -> bool:
        """Whether the signs of what happened then were missed, or some of them: then it was concluded, not seen."""
        return any(gap.began_at - TOGETHER < at < gap.ended_at + TOGETHER for gap in self._gaps)

    def is_guess(self, value: object) -> bool:
        """Whether an instant is when somebody looked, after a gap, and not when it happened."""
        return isinstance(value, float) and any(abs(value - one) < SAME_INSTANT for one in self._guesses)

    def noticed_late(self, ours: float | None, theirs: float | None) -> bool:
        """Whether it happened before a gap was over, and was concluded from what was seen after it."""
        if ours is None or theirs is None or theirs > ours - TOGETHER:
            return False
        return any(theirs - TOGETHER < gap.ended_at <= ours + SAME_INSTANT for gap in self._gaps)

    def went_on(self, ours: float | None, theirs: float | None) -> bool:
        """Whether what seemed to end next to a gap ended later in one."""
        if ours is None or theirs is None or theirs < ours + TOGETHER:
            return False
        return self.missed(ours) and self.missed(theirs) and theirs not in self._deaths

    def is_of_a_list(self, began_at: float) -> bool:
        """Whether it was concluded from an age in a list, which is whole seconds before a gap's end."""
        ages = (gap.ended_at - began_at for gap in self._gaps)
        return any(age >= 0 and abs(age - round(age)) < SAME_INSTANT for age in ages)

    def seen_whole(self, call: Call) -> bool:
        """Whether no gap touches it."""
        ended = call.ended_at if call.ended_at is not None else float("inf")
        return not any(call.started_at <= gap.ended_at and gap.began_at <= ended for gap in self._gaps)

    def unknown(self, stored: P, told: P, names: Iterable[str]) -> dict[str, Any]:
        """What the books know of these fields and the record does not."""
        changes = {}
        for name in names:
            ours, theirs = getattr(stored, name), getattr(told, name)
            if theirs in NOTHING or theirs == ours or (isinstance(ours, float) and self._later(ours, theirs)):
                continue
            if ours in NOTHING or self.is_guess(ours):
                changes[name] = theirs
        return changes

    def _later(self, ours: float, theirs: float) -> bool:
        """Whether the books know no more than that an Asterisk died, and we heard of it later than they."""
        return theirs in self._deaths and theirs <= ours
