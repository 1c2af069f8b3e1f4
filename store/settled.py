"""What of a recording is settled already: on record from another hearing, and over.

A recording that was begun in the middle of things knows less than who heard them from the beginning: it has other ids and
later begins. So over what is on record it must write nothing, and not only nothing that takes something away.
"""

from bisect import bisect_right
from collections.abc import Container, Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import AgentState, AwayEpisode, FactKey, Link
from store.reading import facts, select_facts
from store.tables import agent_states, away_episodes, calls, legs, links

_ASKED = 500  # ids in one question
_AGE = 1.5  # s by which the begin of something found in a list may be too early
_AHEAD = 3600.0  # s after the last of some states in which the next one on record is looked for


async def calls_over(connection: AsyncConnection, ids: Iterable[str]) -> set[str]:
    """Those of these ids of calls that name, on record, a call that is over, or a channel of one."""
    wanted = sorted(set(ids))
    is_over = calls.c.ended_at.is_not(None) | calls.c.merged_into.is_not(None)
    found: set[str] = set()
    for begin in range(0, len(wanted), _ASKED):
        some = wanted[begin : begin + _ASKED]
        own = select(calls.c.id).where(calls.c.id.in_(some), is_over)
        parts = (
            select(legs.c.id).join(calls, calls.c.id == legs.c.call_id).where(legs.c.id.in_(some), is_over)
        )
        for statement in (own, parts):
            found |= set((await connection.execute(statement)).scalars())
    return found


async def states_unsaid(connection: AsyncConnection, told: Sequence[AgentState]) -> list[AgentState]:
    """Those that are not on record in other words.

    A time between two states on record, one of which is told again, was heard before, and by somebody who knew what had
    led to it; the first state after a login may take the place of one more. Where nobody listened a state is new, unless the
    one on record is the same and goes on.
    """
    if not told:
        return []
    c = agent_states.c
    first, last = min(one.since for one in told), max(one.since for one in told)
    held = select_facts(AgentState).where(
        c.pbx == told[0].pbx,
        c.agent.in_(sorted({one.agent for one in told})),
        c.since <= last + _AHEAD,
        c.until.is_(None) | (c.until >= first),
    )
    rows: dict[str, list[AgentState]] = {}
    for row in await facts(connection, AgentState, held.order_by(c.since)):
        rows.setdefault(row.agent, []).append(row)
    again = {one.key for one in told}
    kept: dict[str, AgentState] = {}  # the last of each agent
    unsaid = []
    for one in sorted(told, key=lambda state: state.since):
        if not _is_settled(one, rows.get(one.agent, ()), again, kept.get(one.agent)):
            kept[one.agent] = one
            unsaid.append(one)
    return unsaid


def _is_settled(
    told: AgentState, rows: Sequence[AgentState], again: Container[FactKey], new: AgentState | None
) -> bool:
    place = bisect_right([row.since for row in rows], told.since) - 1
    if place < 0:
        return False
    row, following = rows[place], rows[place + 1 : place + (3 if told.previous is None else 2)]
    if row.key != told.key and following:
        return any(one.key in again for one in (row, *following))
    return (new is None or new.since <= row.since) and _as_such(row) == _as_such(told)


def _as_such(state: AgentState) -> tuple[object, ...]:
    return state.state, state.reason, state.device, state.queues


async def links_unsaid(connection: AsyncConnection, told: Sequence[Link]) -> list[Link]:
    """Those that tell of a link that is not on record as up, or down, at that moment already."""
    if not told:
        return []
    c = links.c
    here = c.pbx == told[0].pbx
    first, last = min(one.at for one in told), max(one.at for one in told)
    before = await facts(
        connection, Link, select_facts(Link).where(here, c.at < first).order_by(c.at.desc()).limit(1)
    )
    since = await facts(
        connection, Link, select_facts(Link).where(here, c.at >= first, c.at <= last).order_by(c.at)
    )
    rows = [*before, *since]
    at = [row.at for row in rows]

    def known(one: Link) -> bool:
        place = bisect_right(at, one.at) - 1
        return place >= 0 and rows[place].up == one.up

    return [one for one in told if not known(one)]


async def episodes_unsaid(connection: AsyncConnection, told: Sequence[AwayEpisode]) -> list[AwayEpisode]:
    """Those that do not begin within another one of the same agent; a list tells ages in whole seconds."""
    if not told:
        return []
    c = away_episodes.c
    first, last = min(one.started_at for one in told), max(one.started_at for one in told)
    held = select_facts(AwayEpisode).where(
        c.pbx == told[0].pbx, c.started_at <= last + _AGE, c.ended_at.is_(None) | (c.ended_at > first)
    )
    on_record = await facts(connection, AwayEpisode, held)

    def within(one: AwayEpisode, other: AwayEpisode) -> bool:
        over = other.ended_at is not None and one.started_at >= other.ended_at
        return (
            other.agent == one.agent
            and other.id != one.id
            and other.started_at <= one.started_at + _AGE
            and not over
        )

    return [one for one in told if not any(within(one, other) for other in on_record)]
