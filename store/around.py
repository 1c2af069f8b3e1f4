"""What is on record of one PBX around a time or some channels: what its books are held against, and completed from."""

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Gap,
    Leg,
    QueueStay,
    Recording,
    Talk,
    Transfer,
)
from cti.core.memory import Known
from store.merged import families, parts
from store.reading import facts, select_facts
from store.tables import agent_states, away_episodes, calls, gaps, legs, links

_CHUNK = 5_000  # ids in one statement


async def around(
    connection: AsyncConnection, pbx: str, uniqueids: Iterable[str], *, since: float, before: float
) -> Known:
    """Calls that ended in [since, before) or that have one of these channels, whole; states and absences that lasted there."""
    ids = await _call_ids(connection, pbx, uniqueids, since=since, before=before)
    known: list[Known] = []
    for start in range(0, len(ids), _CHUNK):
        family = families(calls.c.id.in_(ids[start : start + _CHUNK]))
        chosen = select_facts(Call).join(family, calls.c.id == family.c.id)
        known.append(
            Known(
                calls=await facts(connection, Call, chosen),
                legs=await parts(connection, Leg, family),
                stays=await parts(connection, QueueStay, family),
                attempts=await parts(connection, Attempt, family),
                talks=await parts(connection, Talk, family),
                transfers=await parts(connection, Transfer, family),
                recordings=await parts(connection, Recording, family),
            )
        )
    held = select_facts(AgentState).where(
        agent_states.c.pbx == pbx,
        agent_states.c.since < before,
        agent_states.c.until.is_(None) | (agent_states.c.until > since),
    )
    away = select_facts(AwayEpisode).where(
        away_episodes.c.pbx == pbx,
        away_episodes.c.started_at < before,
        away_episodes.c.ended_at.is_(None) | (away_episodes.c.ended_at > since),
    )
    missed = select_facts(Gap).where(gaps.c.pbx == pbx, gaps.c.began_at < before, gaps.c.ended_at > since)
    return Known(
        calls=[one for chunk in known for one in chunk.calls],
        legs=[one for chunk in known for one in chunk.legs],
        stays=[one for chunk in known for one in chunk.stays],
        attempts=[one for chunk in known for one in chunk.attempts],
        talks=[one for chunk in known for one in chunk.talks],
        transfers=[one for chunk in known for one in chunk.transfers],
        recordings=[one for chunk in known for one in chunk.recordings],
        agent_states=await facts(connection, AgentState, held.order_by(agent_states.c.since)),
        episodes=await facts(connection, AwayEpisode, away.order_by(away_episodes.c.started_at)),
        gaps=await facts(connection, Gap, missed.order_by(gaps.c.ended_at)),
    )


async def _call_ids(
    connection: AsyncConnection, pbx: str, uniqueids: Iterable[str], *, since: float, before: float
) -> list[str]:
    """Ids of calls that were not merged into another."""
    whole = calls.c.merged_into.is_(None)
    ended = select(calls.c.id).where(
        calls.c.pbx == pbx, calls.c.ended_at >= since, calls.c.ended_at < before, whole
    )
    found = set((await connection.execute(ended)).scalars())
    names = sorted(f"{pbx}-{uniqueid}" for uniqueid in uniqueids)
    for start in range(0, len(names), _CHUNK):
        some = names[start : start + _CHUNK]
        named = [*(await connection.execute(select(legs.c.call_id).where(legs.c.id.in_(some)))).scalars()]
        own = select(calls.c.id).where(calls.c.id.in_([*some, *named]))
        found |= set((await connection.execute(own)).scalars())
    return sorted(await _roots(connection, found))


async def _roots(connection: AsyncConnection, ids: set[str]) -> set[str]:
    """The calls these became a part of at last."""
    roots: set[str] = set()
    seen: set[str] = set()
    while ids:
        seen |= ids
        upwards: set[str] = set()
        names = sorted(ids)
        for start in range(0, len(names), _CHUNK):
            chosen = select(calls.c.id, calls.c.merged_into).where(
                calls.c.id.in_(names[start : start + _CHUNK])
            )
            for own, above in await connection.execute(chosen):
                (roots if above is None else upwards).add(own if above is None else above)
        ids = upwards - seen
    return roots


async def seen_between(connection: AsyncConnection, pbx: str) -> tuple[float, float] | None:
    """When this PBX was first heard, and when the newest thing began that is on record; None when nothing is.

    Only beginnings are looked at, for they are indexed; what ended since is asked of the books again, which is harmless.
    """
    heard = select(func.min(links.c.at), func.max(links.c.at)).where(links.c.pbx == pbx)
    first, last = (await connection.execute(heard)).one()
    if first is None:
        return None
    for when, table in ((calls.c.started_at, calls), (agent_states.c.since, agent_states)):
        newest = select(when).where(table.c.pbx == pbx).order_by(when.desc()).limit(1)
        last = max(last, (await connection.execute(newest)).scalar() or last)
    return first, last


async def open_gaps(connection: AsyncConnection, pbx: str) -> tuple[Gap, ...]:
    """Gaps that the books have not filled yet."""
    statement = select_facts(Gap).where(gaps.c.pbx == pbx, gaps.c.filled_at.is_(None))
    return await facts(connection, Gap, statement.order_by(gaps.c.began_at))
