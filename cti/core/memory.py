"""What the store remembers: for the core to go on from after a restart, and for the books to be held against."""

from collections.abc import Sequence
from dataclasses import dataclass

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Fault,
    Gap,
    Leg,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)


@dataclass(frozen=True, slots=True)
class Memory:
    """One PBX's open business: calls without an end with all their parts, and what holds for its agents."""

    calls: tuple[Call, ...] = ()
    legs: tuple[Leg, ...] = ()
    stays: tuple[QueueStay, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    talks: tuple[Talk, ...] = ()
    episodes: tuple[AwayEpisode, ...] = ()
    agent_states: tuple[AgentState, ...] = ()  # the latest of each agent
    faults: tuple[Fault, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    recordings: tuple[Recording, ...] = ()
    booted_at: float = 0.0  # when the Asterisk that was last listened to had been started; 0: not known

    def latest(self) -> float:
        """The latest instant something began at, as far as is remembered; 0 when nothing is."""
        begun: list[Call | Leg | Attempt | Talk | AwayEpisode] = [*self.calls, *self.legs]
        begun += [*self.attempts, *self.talks, *self.episodes]
        since = [state.since for state in self.agent_states]
        return max((*since, *(part.started_at for part in begun)), default=0.0)


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record around a gap: calls (merged ones too) with all their parts, and states of agents."""

    calls: Sequence[Call] = ()
    legs: Sequence[Leg] = ()
    stays: Sequence[QueueStay] = ()
    attempts: Sequence[Attempt] = ()
    talks: Sequence[Talk] = ()
    transfers: Sequence[Transfer] = ()
    agent_states: Sequence[AgentState] = ()  # that held when the rows begin, or began since
    recordings: Sequence[Recording] = ()
    episodes: Sequence[AwayEpisode] = ()  # that lasted then
    gaps: Sequence[Gap] = ()  # of that time, those that are filled too
