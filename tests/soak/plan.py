"""What is to happen in a soak, drawn from one seed: which calls, who hangs up out of turn, what breaks and when."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.scenarios.model import Scenario

_RESTLESS = 0.15  # share of plays in which somebody hangs up out of turn


class Trouble(StrEnum):
    """What breaks."""

    KILL = "kill"  # kill -9 of the daemon
    CUT = "cut"  # every AMI connection is cut, and for a while none is let through
    RESTART = "restart"  # kill -9 of Asterisk, and another start


@dataclass(frozen=True)
class Break:
    """One trouble: after how many calls, how many seconds later, and how many seconds it lasts."""

    trouble: Trouble
    calls: int
    later: float
    lasts: float


@dataclass(frozen=True)
class Draw:
    """One play of a scenario; `hangs_up` is when somebody hangs up out of turn (s after its begin), if at all."""

    play: Scenario
    hangs_up: float | None
    lingers: float  # s that those who are left then go on
    who: float  # which of the lines, 0 to 1


@dataclass(frozen=True)
class Wanted:
    """How much of everything."""

    calls: int = 3000
    kills: int = 20
    cuts: int = 5
    restarts: int = 1
    at_once: int = 16  # plays
    seed: int = 1
    longest: float = 15.0  # s that a trouble lasts at most
    without: tuple[str, ...] = ()  # beginnings of the names of scenarios that are not played
    only: tuple[str, ...] = ("",)  # beginnings of the names of those that are


def breaks(wanted: Wanted) -> list[Break]:
    """All troubles in order, at random moments of the run, one after the other."""
    dice = random.Random(f"breaks {wanted.seed}")
    kinds = [Trouble.KILL] * wanted.kills + [Trouble.CUT] * wanted.cuts + [Trouble.RESTART] * wanted.restarts
    dice.shuffle(kinds)
    calls = sorted(dice.uniform(0.04, 0.94) * wanted.calls for _ in kinds)
    return [
        Break(kind, int(at), dice.uniform(0, 2), _lasts(dice, wanted.longest))
        for kind, at in zip(kinds, calls, strict=True)
    ]


def _lasts(dice: random.Random, longest: float) -> float:
    """Mostly short, now and then longer than any call."""
    return dice.uniform(0, longest / 5) if dice.random() < 0.7 else dice.uniform(longest / 5, longest)


def chosen(wanted: Wanted, plays: Sequence[Scenario]) -> Sequence[Scenario]:
    """The scenarios that are played."""
    return [
        play
        for play in plays
        if play.name.startswith(wanted.only) and not play.name.startswith(wanted.without)
    ]


def draws(wanted: Wanted, plays: Sequence[Scenario]) -> Iterator[Draw]:
    """Plays without end: every scenario once in random order, then again."""
    dice = random.Random(f"draws {wanted.seed}")
    plays = chosen(wanted, plays)
    while True:
        for play in dice.sample(plays, len(plays)):
            hangs_up = dice.uniform(0.3, 5) if dice.random() < _RESTLESS else None
            yield Draw(play, hangs_up, dice.uniform(0, 2), dice.random())
