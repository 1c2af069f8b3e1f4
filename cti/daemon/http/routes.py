"""The table of routes: path, what may be asked, what is answered, and the function between.

The OpenAPI document is made from this table and nothing else.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Generic, TypeVar

from cti.core.facts import AgentState
from cti.daemon.http import models as m
from cti.daemon.http import params as q
from cti.daemon.http import pictures as pic
from cti.daemon.http.deps import HttpDeps
from cti.daemon.http.problems import FieldError, invalid, not_found
from cti.daemon.live import LiveAgent, LiveQueue
from routing.roster import UnknownHotline
from store.errors import BadCursor
from store.queries import CallFilter

Q = TypeVar("Q", bound=q.Query)

DOCUMENT_PATH = "/api/v1/openapi.json"
_OF_STATE = tuple(field.name for field in fields(AgentState))
_ROSTERS = (946_684_800.0, 4_102_444_800.0)  # 2000 to 2100: no roster or calendar reaches beyond


@dataclass(frozen=True, slots=True)
class Route(Generic[Q]):
    """One path that answers GET with JSON."""

    path: str
    summary: str
    query: type[Q]
    answer: Any  # a model, or a page of one
    handler: Callable[[HttpDeps, Mapping[str, str], Q], Awaitable[Any]]
    not_found: str = ""  # when it answers 404; "" when it never does


async def calls(deps: HttpDeps, _path: Mapping[str, str], query: q.CallsQuery) -> Any:
    """List calls."""
    wanted = CallFilter(
        since=query.since,
        before=query.before,
        pbx=query.pbx,
        direction=query.direction,
        disposition=query.disposition,
        quality=query.quality,
        caller_number=query.caller_number,
        agent=query.agent,
        queue=query.queue,
        ended=_not(query.open),
    )
    return await deps.queries.calls(wanted, cursor=query.cursor, limit=query.limit)


def _not(open_: bool | None) -> bool | None:
    return None if open_ is None else not open_


async def call(deps: HttpDeps, path: Mapping[str, str], _query: q.Query) -> Any:
    """Show one call with all its parts."""
    record = await deps.queries.call(path["id"])
    if record is None:
        raise not_found("No call has this id")
    parts = {
        name: getattr(record, name)
        for name in ("legs", "queue_stays", "attempts", "talks", "transfers", "recordings")
    }
    return asdict(record.call) | parts


async def agents(deps: HttpDeps, _path: Mapping[str, str], query: q.AgentsQuery) -> Any:
    """Show every agent now."""
    now = deps.now()
    found = [
        agent
        for agent in deps.live.agents(now)
        if query.pbx in {None, agent.state.pbx} and query.state in {None, agent.state.state}
    ]
    return {
        "at": now,
        "items": [_agent(agent) for agent in found],
        "today_complete": deps.live.complete(now),
    }


def _agent(agent: LiveAgent) -> dict[str, Any]:
    state = agent.state  # flat: hundreds of them are asked for every second, and `asdict` copies deeply
    return {name: getattr(state, name) for name in _OF_STATE} | {
        "away": agent.away,
        "seconds": agent.seconds,
        "occupancy": agent.occupancy,
    }


async def agent_states(deps: HttpDeps, path: Mapping[str, str], query: q.StatesQuery) -> Any:
    """List an agent's states."""
    agent = path["id"]
    page = await deps.queries.agent_states(pbx=query.pbx, agent=agent, **query.interval())
    if not page.items and agent not in deps.people():
        ever = await deps.queries.agent_states(agent=agent, limit=1)
        if not ever.items:
            raise not_found("No agent has this number; /api/v1/agents lists those who are known")
    items = [asdict(span.state) | {"until": span.until} for span in page.items]
    return {"items": items, "next": page.next}


async def queues(deps: HttpDeps, _path: Mapping[str, str], query: q.PbxQuery) -> Any:
    """Show every queue now."""
    now = deps.now()
    found = [live for live in deps.live.queues(now) if query.pbx in {None, live.queue.pbx}]
    return {"at": now, "items": [_queue(live) for live in found], "today_complete": deps.live.complete(now)}


def _queue(live: LiveQueue) -> dict[str, Any]:
    today = live.today
    return asdict(live.queue) | {
        "waiting": len(live.waiting),
        "longest_waiting_since": live.waiting[0].joined_at if live.waiting else None,
        "agents": live.agents,
        "today": asdict(today) | {"asa": today.answered_wait / today.answered if today.answered else None},
        "service_level": asdict(live.service_level)
        | {"threshold": live.threshold, "default": "ignore_early_abandons"},
    }


async def duty(deps: HttpDeps, _path: Mapping[str, str], query: q.DutyQuery) -> Any:
    """Show who is on duty at an instant."""
    at = deps.now() if query.at is None else query.at
    if not _ROSTERS[0] <= at < _ROSTERS[1]:
        raise not_found("No roster reaches that instant; ask for one between 2000 and 2100")
    try:
        return {"at": at, "items": list(await deps.duty_at(query.hotline, at))}
    except UnknownHotline:
        raise not_found("No hotline has this name") from None


async def work_items(deps: HttpDeps, _path: Mapping[str, str], query: q.WorkItemsQuery) -> Any:
    """List work items."""
    return await deps.queries.work_items(
        state=query.state, pbx=query.pbx, hotline=query.hotline, **query.interval()
    )


async def faults(deps: HttpDeps, _path: Mapping[str, str], query: q.FaultsQuery) -> Any:
    """List faults."""
    page = await deps.queries.faults(ended=_not(query.open), pbx=query.pbx, **query.interval())
    told = await deps.queries.deliveries(fault.id for fault in page.items)
    return {
        "items": [asdict(fault) | {"told": told.get(fault.id, ())} for fault in page.items],
        "next": page.next,
    }


async def incidents(deps: HttpDeps, _path: Mapping[str, str], query: q.IncidentsQuery) -> Any:
    """List incidents."""
    return await deps.queries.incidents(pbx=query.pbx, agent=query.agent, kind=query.kind, **query.interval())


async def story(deps: HttpDeps, path: Mapping[str, str], _query: q.Query) -> Any:
    """Tell what happened in one call, step by step."""
    from cti.daemon.storytelling import parts_of, told  # noqa: PLC0415 - the start need not wait for what is asked rarely

    record = await deps.queries.call(path["id"])
    if record is None:
        raise not_found("No call has this id")
    pbx = record.call.pbx
    ends = [gap.ended_at for gap in await deps.queries.gaps(pbx)]
    known = await told(parts_of(record), ends, deps.read_books(pbx))
    return {
        "call": known.story.call,
        "actors": known.story.actors,
        "steps": known.story.steps,
        "unexplained": known.story.unexplained,
        "notes": known.notes,
        "unverified": [{"pbx": pbx, "why": known.unverified}] if known.unverified else [],
    }


async def books(deps: HttpDeps, _path: Mapping[str, str], query: q.PbxQuery) -> Any:
    """Show how the records stand against the PBXs' books."""
    found = [status for status in deps.books() if query.pbx in {None, status.pbx}]
    return {"at": deps.now(), "items": found}


ROUTES: tuple[Route[Any], ...] = (
    Route("/api/v1/calls", "Calls, newest first", q.CallsQuery, m.FiguresPage[m.Call], calls),
    Route(
        "/api/v1/calls/{id}",
        "One call with all its parts; the id of a merged call leads to the one it became a part of",
        q.Query,
        m.CallRecord,
        call,
        "no call has this id",
    ),
    Route(
        "/api/v1/calls/{id}/story",
        "What happened in one call, step by step, and how that is known",
        q.Query,
        pic.Story,
        story,
        "no call has this id",
    ),
    Route(
        "/api/v1/books",
        "How the records stand against the PBXs' own books",
        q.PbxQuery,
        pic.Now[pic.Books],
        books,
    ),
    Route("/api/v1/agents", "Every agent now", q.AgentsQuery, pic.FiguresNow[pic.Agent], agents),
    Route(
        "/api/v1/agents/{id}/states",
        "An agent's states, newest first",
        q.StatesQuery,
        m.FiguresPage[m.StateSpan],
        agent_states,
        "no agent has this number",
    ),
    Route("/api/v1/queues", "Every queue now", q.PbxQuery, pic.FiguresNow[pic.Queue], queues),
    Route(
        "/api/v1/duty",
        "Who is on duty at an instant",
        q.DutyQuery,
        pic.Now[pic.Duty],
        duty,
        "no hotline has this name, or no roster reaches that instant",
    ),
    Route(
        "/api/v1/work-items",
        "Work items, newest first",
        q.WorkItemsQuery,
        m.FiguresPage[m.WorkItem],
        work_items,
    ),
    Route("/api/v1/faults", "Faults, newest first", q.FaultsQuery, m.Page[m.FaultReport], faults),
    Route(
        "/api/v1/incidents", "Incidents, newest first", q.IncidentsQuery, m.FiguresPage[m.Incident], incidents
    ),
)


async def answer(route: Route[Any], deps: HttpDeps, path: Mapping[str, str], query: q.Query) -> bytes:
    """Run a route and return its JSON.

    Raises:
        Refused: what was asked for does not exist, or the cursor is not one of this list.
    """
    try:
        result = await route.handler(deps, path, query)
    except BadCursor:
        cure = "is not one this list gave out; leave it out to begin anew"
        raise invalid([FieldError(field="cursor", detail=cure)]) from None
    made = route.answer.model_validate(result)
    if isinstance(made, m.Figures):
        made = made.model_copy(update={"unverified": _unverified(deps, made, query)})
    body: bytes = made.model_dump_json().encode()
    return body


def _unverified(deps: HttpDeps, made: m.Figures, query: q.Query) -> list[m.Unverified]:
    """PBXs whose figures may be in this answer, and cannot be verified."""
    of: str | None
    match made:
        case m.CallRecord():
            of = made.pbx
        case pic.Story():
            of = made.call.pbx
        case _:
            of = getattr(query, "pbx", None)
    found = [
        m.Unverified(pbx=status.pbx, why=status.unverified)
        for status in deps.books()
        if status.unverified and of in {None, status.pbx}
    ]
    return found or made.unverified  # what the handler knows of this answer alone
