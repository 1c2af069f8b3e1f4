"""What a restarted core goes on from."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Fact,
    FactKey,
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
from store.tables import FACT_TABLES, agent_states, away_episodes, calls, links
from store.tables import faults as faults_table
from store.upserts import ENDS_ONCE

_ASKED = 500  # ids in one question


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
        booted_at=await _booted_at(connection, pbx),
    )


async def _booted_at(connection: AsyncConnection, pbx: str) -> float:
    known = select(links.c.booted_at).where(links.c.pbx == pbx, links.c.booted_at.is_not(None))
    return (await connection.execute(known.order_by(links.c.at.desc()).limit(1))).scalar() or 0.0


async def not_over(connection: AsyncConnection, facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """These facts without open faults and away episodes that are on record as ended."""
    kept = tuple(facts)
    ended: set[FactKey] = set()
    for kind in ENDS_ONCE:
        table = FACT_TABLES[kind]
        still_open = {fact.id: fact.key for fact in kept if isinstance(fact, kind) and fact.ended_at is None}
        ids = list(still_open)
        for begin in range(0, len(ids), _ASKED):
            asked = table.c.id.in_(ids[begin : begin + _ASKED]) & table.c.ended_at.is_not(None)
            ended |= {still_open[row.id] for row in await connection.execute(select(table.c.id).where(asked))}
    return tuple(
        fact for fact in kept if fact.key not in ended or getattr(fact, "ended_at", None) is not None
    )
