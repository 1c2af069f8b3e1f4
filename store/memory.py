"""What a restarted core goes on from."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Fault,
    Leg,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from cti.core.memory import Memory
from store.merged import families, parts
from store.reading import facts, select_facts
from store.tables import agent_states, away_episodes, calls
from store.tables import faults as faults_table


async def open_memory(connection: AsyncConnection, pbx: str) -> Memory:
    """One PBX's open calls with all their parts, open away episodes and faults, and each agent's latest state."""
    is_open = (calls.c.pbx == pbx) & calls.c.ended_at.is_(None) & calls.c.merged_into.is_(None)
    family = families(is_open)
    episodes = select_facts(AwayEpisode).where(away_episodes.c.pbx == pbx, away_episodes.c.ended_at.is_(None))
    states = select_facts(AgentState).where(agent_states.c.pbx == pbx, agent_states.c.until.is_(None))
    broken = select_facts(Fault).where(faults_table.c.pbx == pbx, faults_table.c.ended_at.is_(None))
    return Memory(
        calls=await facts(connection, Call, select_facts(Call).where(is_open).order_by(calls.c.started_at)),
        legs=await parts(connection, Leg, family),
        stays=await parts(connection, QueueStay, family),
        attempts=await parts(connection, Attempt, family),
        talks=await parts(connection, Talk, family),
        episodes=await facts(connection, AwayEpisode, episodes.order_by(away_episodes.c.started_at)),
        agent_states=await facts(connection, AgentState, states.order_by(agent_states.c.agent)),
        faults=await facts(connection, Fault, broken.order_by(faults_table.c.began_at)),
        transfers=await parts(connection, Transfer, family),
        recordings=await parts(connection, Recording, family),
    )
