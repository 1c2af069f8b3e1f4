"""Agents: the state each is in, and the seconds spent in each.

Seconds are attributed from the PBX's own instants: every agent has a cursor, the instant up to which time has been
given to a state, and it only moves forward. What lies between the cursor and now is added at the scrape. The scrape's
clock may run a little ahead of the PBX's, so a series never shows less than it showed before (a counter that falls
would be read as a restart).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.metrics_core import Metric

from cti.core.facts import AgentState, Attempt, AttemptOutcome, AwayEpisode, Incident, Link, State
from metrics import families as f
from metrics.families import Labels
from metrics.series import Names, Once, Tally

FORGET_AFTER = 86_400.0  # seconds logged out after which an agent's series disappear
_NAME_LENGTH = 100  # characters of a name that are exported
_Who = tuple[str, str]  # PBX, agent id


@dataclass(slots=True)
class _Agent:
    fact: AgentState
    cursor: float
    lost: bool = False  # the link went down while the agent was logged in
    unknown: float = 0.0
    seconds: dict[State, float] = field(default_factory=lambda: dict.fromkeys(State, 0.0))
    shown: dict[State | None, float] = field(default_factory=dict)

    def settle(self, until: float) -> None:
        """Give the time from the cursor to `until` to what held."""
        span = until - self.cursor
        if span <= 0:
            return
        self.cursor = until
        if self.lost:
            self.unknown += span
        else:
            self.seconds[self.fact.state] += span

    def running(self, now: float) -> dict[State, float]:
        """Seconds of each state, the present one included."""
        seconds = dict(self.seconds)
        if not self.lost:
            seconds[self.fact.state] += max(now - self.cursor, 0.0)
        return seconds

    def running_unknown(self, now: float) -> float:
        """Seconds that belong to no state."""
        return self.unknown + (max(now - self.cursor, 0.0) if self.lost else 0.0)

    def show(self, state: State | None, value: float) -> float:
        """The value to export, never below the last one."""
        self.shown[state] = max(self.shown.get(state, 0.0), value)
        return self.shown[state]


class AgentSeries:
    """Everything exported about agents. `started` is the epoch from which state seconds count."""

    def __init__(self, started: float, limit: int, overflow: Tally) -> None:
        self._started = started
        self._names = Names("agent", limit, overflow)
        self._agents: dict[_Who, _Agent] = {}
        self._down: set[str] = set()
        self._warned = Once()
        self._written_down = Once()
        self._rang = Once()
        self._warnings = Tally()
        self._incidents = Tally()
        self._attempts = Tally()

    def state(self, fact: AgentState) -> None:
        """The agent entered a state."""
        if self._names.label(fact.pbx, fact.agent) != fact.agent:
            return
        agent = self._agents.get((fact.pbx, fact.agent))
        if agent is None:
            self._know(fact)
            return
        agent.settle(fact.since)
        agent.fact = fact

    def _know(self, fact: AgentState) -> None:
        lost = fact.pbx in self._down and fact.state is not State.LOGGED_OUT
        self._agents[fact.pbx, fact.agent] = _Agent(fact, max(fact.since, self._started), lost)
        self._warnings.know(fact.pbx, fact.agent)
        self._incidents.know(fact.pbx, fact.agent)
        for outcome in AttemptOutcome:
            self._attempts.know(fact.pbx, fact.agent, outcome)

    def link(self, fact: Link) -> None:
        """While the link is down, a logged-in agent's time belongs to no state."""
        for (pbx, _), agent in self._agents.items():
            if pbx == fact.pbx:
                agent.settle(fact.at)
                agent.lost = not fact.up and agent.fact.state is not State.LOGGED_OUT
        (self._down.discard if fact.up else self._down.add)(fact.pbx)

    def away(self, fact: AwayEpisode) -> None:
        """Count the warning of an episode."""
        if fact.warned_at is not None and self._warned.first(fact.id):
            self._warnings.add(fact.pbx, self._names.label(fact.pbx, fact.agent))

    def incident(self, fact: Incident) -> None:
        """Count an incident when it is first heard of; its result may follow."""
        if fact.kind == "away_limit" and self._written_down.first(fact.id):
            self._incidents.add(fact.pbx, self._names.label(fact.pbx, fact.agent))

    def attempt(self, fact: Attempt) -> None:
        """Count a ringing of the agent's phone when it ended."""
        if fact.agent and fact.outcome is not None and self._rang.first(fact.id):
            self._attempts.add(fact.pbx, self._names.label(fact.pbx, fact.agent), fact.outcome)

    def seconds(self, now: float) -> Mapping[_Who, Mapping[State, float]]:
        """State seconds of each agent so far; for occupancy."""
        return {who: agent.running(now) for who, agent in self._agents.items()}

    def members(self) -> Tally:
        """Logged-in members by (PBX, queue, state)."""
        tally = Tally()
        for agent in self._agents.values():
            if agent.fact.state is not State.LOGGED_OUT:
                for queue in agent.fact.queues:
                    tally.add(agent.fact.pbx, queue, agent.fact.state)
        return tally

    def collect(self, now: float) -> Iterator[Metric]:
        """All families, at `now`."""
        self._forget(now)
        agents = sorted(self._agents.items())
        yield f.AGENT_STATE.filled(
            ((*who, state), float(agent.fact.state is state)) for who, agent in agents for state in State
        )
        yield f.AGENT_STATE_SINCE.filled((who, agent.fact.since) for who, agent in agents)
        yield f.AGENT_STATE_SECONDS.filled(
            ((*who, state), agent.show(state, seconds))
            for who, agent in agents
            for state, seconds in agent.running(now).items()
        )
        yield f.AGENT_UNKNOWN_SECONDS.filled(
            (who, agent.show(None, agent.running_unknown(now))) for who, agent in agents
        )
        yield f.AGENT_INFO.informed(_info(who, agent.fact) for who, agent in agents)
        yield f.AGENT_ATTEMPTS.filled(self._attempts)
        yield f.AWAY_WARNINGS.filled(self._warnings)
        yield f.AWAY_INCIDENTS.filled(self._incidents)

    def _forget(self, now: float) -> None:
        for who, agent in list(self._agents.items()):
            if agent.fact.state is State.LOGGED_OUT and now - agent.fact.since > FORGET_AFTER:
                del self._agents[who]
                self._names.forget(*who)
                for tally in (self._warnings, self._incidents, self._attempts):
                    tally.forget(who)


def _info(who: _Who, fact: AgentState) -> Labels:
    return (*who, fact.name[:_NAME_LENGTH], fact.device)
