"""What a scenario is: how it is driven, what it needs of the PBX, and what the record of it must be.

A scenario names its people and queues by roles (`anna`, `sales`); the stage gives them phones and numbers, and the
judge translates back. Durations are seconds.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cti.core.explained import RULES as EXPLAINED
from cti.core.facts import AttemptOutcome, Direction, Disposition, EndedBy, State, StayOutcome
from tests.pbx.asterisk import QueueConfig

if TYPE_CHECKING:
    from tests.scenarios.stage import Stage

Play = Callable[["Stage"], Awaitable[None]]


@dataclass(frozen=True)
class Stay:
    """One pass through a queue; `agent` is a role."""

    queue: str
    outcome: StayOutcome
    agent: str | None = None


@dataclass(frozen=True)
class Rung:
    """One attempt, by role; `state` and `reason` are the agent's as it began to ring."""

    agent: str
    outcome: AttemptOutcome
    queue: str | None = None
    state: State | None = State.AVAILABLE
    reason: str | None = ""


@dataclass(frozen=True)
class Talked:
    """One talk; `who` is a role: an agent, a phone without one, or a number of the public network."""

    who: str
    seconds: float | None  # None: as long as it takes to press keys
    hold: float | None = 0.0
    queue: str | None = None


@dataclass(frozen=True)
class Moved:
    """One transfer; `by` is a role, `to` a role, a queue or a number."""

    kind: str
    by: str
    to: str
    result: str


@dataclass(frozen=True)
class Taped:
    """One recording: how its file's name ends, how long it ran, and how long of that it was paused."""

    file: str
    seconds: float
    paused: float = 0.0


@dataclass(frozen=True)
class Record:
    """What the record of one call must say. The empty string for a name, number or `by` = not looked at."""

    direction: Direction
    disposition: Disposition
    ended_by: EndedBy
    stays: Sequence[Stay] = ()
    attempts: Sequence[Rung] = ()
    talks: Sequence[Talked] = ()
    transfers: Sequence[Moved] = ()
    recordings: Sequence[Taped] = ()
    caller: str | None = None  # a role, or a number
    caller_name: str | None = None
    dialed: str | None = None  # a role, a number's name in `numbers`, or digits


@dataclass(frozen=True)
class Scenario:
    """One kind of call. The text of `play` says what happens."""

    name: str
    group: str
    play: Play
    records: tuple[Record, ...]
    queues: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    numbers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    contexts: str = ""
    explained: Mapping[str, str] = field(default_factory=dict)
    index: int = 0

    @property
    def what(self) -> str:
        """What happens, in one sentence."""
        return " ".join((self.play.__doc__ or "").split())

    def queue(self, short: str) -> str:
        """The name a queue of this scenario has on the PBX."""
        return f"{short}-{self.index:03d}"

    def number(self, short: str) -> str:
        """The number that reaches one of this scenario's entries in the dialplan."""
        return f"7{self.index:03d}{list(self.numbers).index(short)}"

    def filled(self, text: str) -> str:
        """The dialplan text with the names of queues and numbers in it."""
        for short in self.queues:
            text = text.replace(f"{{{short}}}", self.queue(short))
        for short in self.numbers:
            text = text.replace(f"{{{short}}}", self.number(short))
        text = re.sub(r"<(\w+)>", lambda role: f"${{{self.variable(role.group(1))}}}", text)
        return text.replace("{n}", f"{self.index:03d}")

    def variable(self, role: str) -> str:
        """The global variable of the dialplan in which the number of a role stands while the scenario is played."""
        return f"S{self.index:03d}{role}"

    def queue_configs(self) -> list[QueueConfig]:
        """Its queues, as the PBX must have them."""
        return [
            QueueConfig(
                self.queue(short),
                **{
                    key: self.filled(value) if isinstance(value, str) else self._extra(value)
                    for key, value in settings.items()
                },  # type: ignore[arg-type]  # the keys are those of QueueConfig
            )
            for short, settings in self.queues.items()
        ]

    def _extra(self, value: object) -> object:
        if isinstance(value, Mapping):
            return {key: self.filled(str(text)) for key, text in value.items()}
        return value

    def dialplan(self) -> str:
        """The lines of the context `scenarios`, and its own contexts behind them."""
        lines = []
        for short, steps in self.numbers.items():
            for n, step in enumerate(steps, 1):
                lines.append(f"exten => {self.number(short)},{n},{self.filled(step)}")
        return "\n".join(lines)


ALL: dict[str, Scenario] = {}


def scenario(
    group: str,
    *records: Record,
    queues: Mapping[str, Mapping[str, object]] | None = None,
    numbers: Mapping[str, Sequence[str]] | None = None,
    contexts: str = "",
    explained: Mapping[str, str] | None = None,
) -> Callable[[Play], Play]:
    """Enter a scenario under its function's name.

    Args:
        group: direct, queue, transfer or other.
        records: what the records of its calls must be, oldest first; as many as there must be.
        queues: settings of `QueueConfig` by the short names of its queues.
        numbers: steps of the dialplan by the short names of the numbers people dial to get there.
        contexts: more dialplan. In all of its texts `{short}` is a queue or number, `<role>` the extension
            or number of somebody, and `{n}` a number of its own.
        explained: mismatches with the books that are no error: the reason's name to the rule (see RULES).
    """

    def enter(play: Play) -> Play:
        name: str = play.__name__
        ALL[name] = Scenario(
            name,
            group,
            play,
            records,
            queues or {},
            numbers or {},
            contexts,
            explained or {},
            len(ALL) + 1,
        )
        return play

    return enter


RULES: dict[str, str] = {
    name: EXPLAINED[name].text
    for name in ("masquerade_into_queue", "masquerade_of_the_caller", "pickup_of_a_queue_call")
}
"""The written rules for explained mismatches: name to the Asterisk behaviour behind it."""
