"""What the store knows, read back: facts, and small frozen results made of them.

Every read is one transaction of its own on a connection that cannot write. Intervals are half-open, `since` inclusive,
`before` exclusive, in epoch seconds (UTC); None leaves that side open. Lists are pages, newest first; see
`store.reading` for what `cursor` and `limit` are and raise. Anything may raise StoreError.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, Select, exists, func, or_, select, union

from cti.core.facts import (
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    CommandRecord,
    Delivery,
    Direction,
    Disposition,
    Fact,
    Fault,
    Gap,
    Incident,
    Leg,
    Link,
    Quality,
    Queue,
    QueueStay,
    Recording,
    StayOutcome,
    Talk,
    Transfer,
    WorkItem,
)
from cti.core.memory import Known, Memory
from store import settled, tables
from store.around import around, open_gaps, seen_between
from store.engine import Database
from store.memory import not_over, open_memory
from store.merged import families, parts, root_of
from store.reading import Page, fact_maker, facts, page, select_facts

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_LIMIT = 100  # rows of a page when nothing is said


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Which calls; None leaves a field out of account. `since` and `before` are about `started_at`."""

    since: float | None = None
    before: float | None = None
    pbx: str | None = None
    direction: Direction | None = None
    disposition: Disposition | None = None
    quality: Quality | None = None
    caller_number: str | None = None
    agent: str | None = None  # talked, or answered from a queue
    queue: str | None = None  # the call waited there
    ended: bool | None = None  # True: over, False: still going on


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call with all its parts, each kind in order of time."""

    call: Call
    legs: tuple[Leg, ...]
    queue_stays: tuple[QueueStay, ...]
    attempts: tuple[Attempt, ...]
    talks: tuple[Talk, ...]
    transfers: tuple[Transfer, ...]
    recordings: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """What of one PBX is compared with its books."""

    calls: tuple[Call, ...]
    legs: tuple[Leg, ...]
    stays: tuple[QueueStay, ...]


@dataclass(frozen=True, slots=True)
class StateSpan:
    """An agent's state and when the next one began; None while it holds."""

    state: AgentState
    until: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of what began in an interval. Calls are whole ones: a merged call counts once."""

    calls: int = 0
    open_calls: int = 0
    calls_by_disposition: Mapping[Disposition, int] = field(default_factory=dict)
    stays_by_outcome: Mapping[StayOutcome, int] = field(default_factory=dict)
    agents: int = 0  # with a state other than logged_out that began in the interval
    incidents_by_kind: Mapping[str, int] = field(default_factory=dict)
    work_items_by_result: Mapping[str, int] = field(default_factory=dict)
    faults: int = 0


class Queries:
    """The reading side of the store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open_memory(self, pbx: str) -> Memory:
        """What the core of one PBX goes on from after a restart."""
        async with self._database.read() as connection:
            return await open_memory(connection, pbx)

    async def calls(
        self, wanted: CallFilter | None = None, *, cursor: str | None = None, limit: int = _LIMIT
    ) -> Page[Call]:
        """Calls by `started_at`; what was merged into another call is left out."""
        c = tables.calls.c
        conditions = _call_conditions(wanted or CallFilter())
        return await self._facts(Call, conditions, (c.started_at, c.id), cursor, limit)

    async def call(self, call_id: str) -> CallRecord | None:
        """One call with all its parts, followed to the call it was merged into; None when it is not known."""
        async with self._database.read() as connection:
            root = tables.calls.c.id == await root_of(connection, call_id)
            found = await facts(connection, Call, select_facts(Call).where(root))
            if not found:
                return None
            family = families(root)
            return CallRecord(
                found[0],
                legs=await parts(connection, Leg, family),
                queue_stays=await parts(connection, QueueStay, family),
                attempts=await parts(connection, Attempt, family),
                talks=await parts(connection, Talk, family),
                transfers=await parts(connection, Transfer, family),
                recordings=await parts(connection, Recording, family),
            )

    async def agent_states(
        self,
        *,
        pbx: str | None = None,
        agent: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[StateSpan]:
        """States that held at some time in the interval, with their ends."""
        c = tables.agent_states.c
        conditions = [
            *_equal(c.pbx, pbx),
            *_equal(c.agent, agent),
            *_overlaps(c.since, c.until, since, before),
        ]
        make = fact_maker(AgentState)
        place = len(fields(AgentState))
        async with self._database.read() as connection:
            return await page(
                connection,
                select_facts(AgentState, c.until).where(*conditions),
                (c.since, c.pbx, c.agent),
                lambda row: StateSpan(make(row), row[place]),
                cursor=cursor,
                limit=limit,
            )

    async def current_agent_states(self, pbx: str | None = None) -> tuple[AgentState, ...]:
        """The latest state of each agent, by PBX and agent."""
        c = tables.agent_states.c
        statement = select_facts(AgentState).where(c.until.is_(None), *_equal(c.pbx, pbx))
        return await self._all(AgentState, statement.order_by(c.pbx, c.agent))

    async def away_episodes(
        self,
        *,
        pbx: str | None = None,
        agent: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[AwayEpisode]:
        """Away episodes that went on in the interval."""
        c = tables.away_episodes.c
        conditions = [
            *_equal(c.pbx, pbx),
            *_equal(c.agent, agent),
            *_overlaps(c.started_at, c.ended_at, since, before),
        ]
        return await self._facts(AwayEpisode, conditions, (c.started_at, c.id), cursor, limit)

    async def incidents(
        self,
        *,
        pbx: str | None = None,
        agent: str | None = None,
        kind: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[Incident]:
        """Incidents of the interval."""
        c = tables.incidents.c
        conditions = [
            *_equal(c.pbx, pbx),
            *_equal(c.agent, agent),
            *_equal(c.kind, kind),
            *_within(c.at, since, before),
        ]
        return await self._facts(Incident, conditions, (c.at, c.id), cursor, limit)

    async def faults(
        self,
        *,
        ended: bool | None = None,
        pbx: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[Fault]:
        """Faults that lasted into the interval; `ended` True: those that are over, False: those that go on."""
        c = tables.faults.c
        conditions = [*_equal(c.pbx, pbx), *_overlaps(c.began_at, c.ended_at, since, before)]
        if ended is not None:
            conditions.append(c.ended_at.is_not(None) if ended else c.ended_at.is_(None))
        return await self._facts(Fault, conditions, (c.began_at, c.id), cursor, limit)

    async def fault(self, fault_id: str) -> Fault | None:
        """One fault; None when it is not known."""
        found = await self._all(Fault, select_facts(Fault).where(tables.faults.c.id == fault_id))
        return found[0] if found else None

    async def open_faults(self) -> tuple[Fault, ...]:
        """Every fault that goes on, of every PBX and of the daemon itself, oldest first."""
        c = tables.faults.c
        return await self._all(
            Fault, select_facts(Fault).where(c.ended_at.is_(None)).order_by(c.began_at, c.id)
        )

    async def not_over(self, snapshots: Iterable[Fact]) -> tuple[Fact, ...]:
        """What an earlier process left elsewhere, without open faults and away episodes that are on record as ended."""
        async with self._database.read() as connection:
            return await not_over(connection, snapshots)

    async def calls_over(self, ids: Iterable[str]) -> set[str]:
        """Those of these ids of calls that name, on record, a call that is over, or a channel of one."""
        async with self._database.read() as connection:
            return await settled.calls_over(connection, ids)

    async def unsaid(
        self, states: Sequence[AgentState], links: Sequence[Link], episodes: Sequence[AwayEpisode]
    ) -> list[Fact]:
        """Those of one PBX that say something else than what is on record of that moment; see `store.settled`."""
        async with self._database.read() as connection:
            return [
                *await settled.states_unsaid(connection, states),
                *await settled.links_unsaid(connection, links),
                *await settled.episodes_unsaid(connection, episodes),
            ]

    async def deliveries(self, subjects: Iterable[str]) -> Mapping[str, tuple[Delivery, ...]]:
        """Who was told, by the id of what it was about, in order of time; an id nobody was told of is missing."""
        c = tables.deliveries.c
        statement = select_facts(Delivery).where(c.subject.in_(list(subjects))).order_by(c.at, c.id)
        told: dict[str, tuple[Delivery, ...]] = {}
        for delivery in await self._all(Delivery, statement):
            told[delivery.subject] = (*told.get(delivery.subject, ()), delivery)
        return told

    async def open_commands(self, pbx: str) -> tuple[CommandRecord, ...]:
        """Commands of one PBX that have no outcome yet, oldest first."""
        c = tables.commands.c
        statement = select_facts(CommandRecord).where(c.pbx == pbx, c.ended_at.is_(None))
        return await self._all(CommandRecord, statement.order_by(c.asked_at, c.id))

    async def work_items(
        self,
        *,
        state: str | None = None,
        pbx: str | None = None,
        hotline: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[WorkItem]:
        """Work items made in the interval; `state` is open or done."""
        c = tables.work_items.c
        conditions = [
            *_equal(c.state, state),
            *_equal(c.pbx, pbx),
            *_equal(c.hotline, hotline),
            *_within(c.created_at, since, before),
        ]
        return await self._facts(WorkItem, conditions, (c.created_at, c.id), cursor, limit)

    async def work_item(self, item_id: str) -> WorkItem | None:
        """One work item; None when it is not known."""
        found = await self._all(WorkItem, select_facts(WorkItem).where(tables.work_items.c.id == item_id))
        return found[0] if found else None

    async def queue_stays(
        self,
        *,
        pbx: str | None = None,
        queue: str | None = None,
        since: float | None = None,
        before: float | None = None,
        cursor: str | None = None,
        limit: int = _LIMIT,
    ) -> Page[QueueStay]:
        """Queue stays that began in the interval."""
        c = tables.queue_stays.c
        conditions = [*_equal(c.pbx, pbx), *_equal(c.queue, queue), *_within(c.joined_at, since, before)]
        return await self._facts(QueueStay, conditions, (c.joined_at, c.id), cursor, limit)

    async def queues(self, pbx: str | None = None) -> tuple[Queue, ...]:
        """Queues as the PBX last showed them, by PBX and name."""
        c = tables.queues.c
        return await self._all(Queue, select_facts(Queue).where(*_equal(c.pbx, pbx)).order_by(c.pbx, c.name))

    async def summary(
        self, *, since: float | None = None, before: float | None = None, pbx: str | None = None
    ) -> Summary:
        """Counts of what began in the interval."""
        calls, stays, states = tables.calls.c, tables.queue_stays.c, tables.agent_states.c
        incidents, items, faults_ = tables.incidents.c, tables.work_items.c, tables.faults.c

        def counted(by: Column[Any], at: Column[Any], *more: ColumnElement[bool]) -> Select[Any]:
            where = (*_within(at, since, before), *_equal(by.table.c.pbx, pbx), *more)
            return select(by, func.count()).where(*where).group_by(by)

        agents = select(func.count(func.distinct(states.pbx + "/" + states.agent))).where(
            *_within(states.since, since, before), *_equal(states.pbx, pbx), states.state != "logged_out"
        )
        async with self._database.read() as connection:

            async def counts(statement: Select[Any]) -> dict[Any, int]:
                return {key: int(count) for key, count in await connection.execute(statement)}

            whole = calls.merged_into.is_(None)
            still_open = (whole, calls.ended_at.is_(None))
            by_disposition = await counts(counted(calls.disposition, calls.started_at, whole))
            by_outcome = await counts(counted(stays.outcome, stays.joined_at))
            return Summary(
                calls=sum(by_disposition.values()),
                open_calls=sum((await counts(counted(calls.pbx, calls.started_at, *still_open))).values()),
                calls_by_disposition=_known(Disposition, by_disposition),
                stays_by_outcome=_known(StayOutcome, by_outcome),
                agents=int((await connection.execute(agents)).scalar_one()),
                incidents_by_kind=await counts(counted(incidents.kind, incidents.at)),
                work_items_by_result=await counts(counted(items.result, items.created_at)),
                faults=sum((await counts(counted(faults_.kind, faults_.began_at))).values()),
            )

    async def records(self, pbx: str, *, since: float | None = None, before: float | None = None) -> Records:
        """Calls, legs and stays of one PBX that began in the interval, whole: what its books are held against."""
        c = tables.calls.c
        within = (c.pbx == pbx, *_within(c.started_at, since, before))
        legs, stays = tables.legs.c, tables.queue_stays.c
        async with self._database.read() as connection:
            return Records(
                calls=await facts(
                    connection, Call, select_facts(Call).where(*within, c.merged_into.is_(None))
                ),
                legs=await facts(
                    connection,
                    Leg,
                    select_facts(Leg).where(legs.pbx == pbx, *_within(legs.started_at, since, before)),
                ),
                stays=await facts(
                    connection,
                    QueueStay,
                    select_facts(QueueStay).where(stays.pbx == pbx, *_within(stays.joined_at, since, before)),
                ),
            )

    async def around(self, pbx: str, uniqueids: Iterable[str], *, since: float, before: float) -> Known:
        """Calls of one PBX that ended in the interval, or that one of these channels took part in; all of each."""
        async with self._database.read() as connection:
            return await around(connection, pbx, uniqueids, since=since, before=before)

    async def seen_between(self, pbx: str) -> tuple[float, float] | None:
        """When this PBX was first heard, and when the newest thing began that is on record; None when nothing is."""
        async with self._database.read() as connection:
            return await seen_between(connection, pbx)

    async def open_gaps(self, pbx: str) -> tuple[Gap, ...]:
        """Gaps of one PBX that the books have not filled yet, oldest first."""
        async with self._database.read() as connection:
            return await open_gaps(connection, pbx)

    async def gaps(self, pbx: str) -> tuple[Gap, ...]:
        """Every gap of one PBX, oldest first."""
        g = tables.gaps.c
        return await self._all(Gap, select_facts(Gap).where(g.pbx == pbx).order_by(g.began_at))

    async def _facts(
        self,
        kind: type[T],
        conditions: list[ColumnElement[bool]],
        order: tuple[Column[Any], ...],
        cursor: str | None,
        limit: int,
    ) -> Page[T]:
        statement = select_facts(kind).where(*conditions)
        async with self._database.read() as connection:
            return await page(connection, statement, order, fact_maker(kind), cursor=cursor, limit=limit)

    async def _all(self, kind: type[T], statement: Select[Any]) -> tuple[T, ...]:
        async with self._database.read() as connection:
            return await facts(connection, kind, statement)


def _equal(column: Column[Any], value: Any) -> list[ColumnElement[bool]]:
    return [] if value is None else [column == value]


def _within(at: Column[Any], since: float | None, before: float | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if since is not None:
        conditions.append(at >= since)
    if before is not None:
        conditions.append(at < before)
    return conditions


def _overlaps(
    begins: Column[Any], ends: Column[Any], since: float | None, before: float | None
) -> list[ColumnElement[bool]]:
    conditions = _within(begins, None, before)
    if since is not None:
        conditions.append(or_(ends.is_(None), ends > since))
    return conditions


def _call_conditions(wanted: CallFilter) -> list[ColumnElement[bool]]:
    c, stays, talks = tables.calls.c, tables.queue_stays.c, tables.talks.c
    conditions = [
        c.merged_into.is_(None),
        *_within(c.started_at, wanted.since, wanted.before),
        *_equal(c.pbx, wanted.pbx),
        *_equal(c.direction, wanted.direction),
        *_equal(c.disposition, wanted.disposition),
        *_equal(c.quality, wanted.quality),
        *_equal(c.caller_number, wanted.caller_number),
    ]
    if wanted.ended is not None:
        conditions.append(c.ended_at.is_not(None) if wanted.ended else c.ended_at.is_(None))
    if wanted.agent is not None:  # few calls of many: list them
        answered = select(stays.call_id).where(stays.agent == wanted.agent)
        conditions.append(c.id.in_(union(select(talks.call_id).where(talks.agent == wanted.agent), answered)))
    if wanted.queue is not None:  # many of many: look at each
        conditions.append(exists().where(stays.call_id == c.id, stays.queue == wanted.queue))
    return conditions


def _known(kind: type[E], counted: Mapping[Any, int]) -> dict[E, int]:
    """Counts by member, every member present; None (not over yet) is left out."""
    return {member: counted.get(member.value, 0) for member in kind}
