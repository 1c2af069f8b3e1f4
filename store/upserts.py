"""Pure: facts to rows, one idempotent statement a kind of fact, built and compiled once, when first needed.

A row is replaced by the last fact of its key, with these exceptions:

- A fact from the PBX's books is inserted where there is no row, and never overwrites one.
- An agent's state ends where that agent's next one begins, so `until` is written by the state that follows, in
  whatever order the two arrive.
- What is over stays so (see `_over`): a fact that has no end yet where the row has one is from a recording or a spool,
  or of a time long gone, and says nothing new. Nor do an incident, an away episode and a queue stay lose to such a one
  what was learned of them since.
- A work item is a person's as much as ours: one that is done stays done, and one that has its result does not ring
  again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Insert,
    Update,
    and_,
    bindparam,
    case,
    column,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
    values,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.sqlite import pysqlite

from cti.core.facts import (
    PENDING,
    AgentState,
    Attempt,
    AwayEpisode,
    Call,
    Fact,
    Fault,
    Incident,
    Leg,
    Quality,
    QueueStay,
    Recording,
    Talk,
    Transfer,
    WorkItem,
)
from store.pending import ENDS
from store.rows import Row, Rows, rows_of
from store.tables import FACT_TABLES, agent_states, calls, work_items

_CHUNK = (
    512  # rows given to the driver at once: on PostgreSQL the event loop gets its turn between two chunks
)

ENDS_ONCE: tuple[type[AwayEpisode | Fault], ...] = (AwayEpisode, Fault)
"""Kinds that a snapshot taken before their end must not open again when a spool is laid over the database."""

PARTS: frozenset[type[Any]] = frozenset({Leg, QueueStay, Attempt, Talk, Transfer, Recording})
"""What belongs to a call."""

_INTEGER = 2**31 - 1


def is_from_books(fact: Fact) -> bool:
    """Whether the fact itself says that it came from the PBX's books; not when another book has completed it since."""
    return isinstance(fact, Call) and fact.quality is Quality.FROM_BOOKS and len(fact.sources) <= 1


def mended(fact: Fact) -> Fact:
    """The fact without what no database takes: half characters, NULs, integers of more than 32 bits."""
    changed: dict[str, Any] = {}
    for field in fields(fact):
        value = getattr(fact, field.name)
        if type(value) is str:
            changed[field.name] = value.encode("utf-8", "replace").decode().replace("\0", "")
        elif type(value) is int:
            changed[field.name] = max(-_INTEGER, min(value, _INTEGER))
    return replace(fact, **changed)


def batches(
    facts: Iterable[Fact], dialect: str, *, only_absent: bool = False
) -> Iterator[tuple[str, list[Row]]]:
    """Statements with the rows to run each with, in this order and in one transaction.

    They go to the driver as they are: binding each row through SQLAlchemy costs several times what SQLite itself needs.

    Args:
        facts: at most one of each key; of stored kinds only.
        dialect: sqlite or postgresql.
        only_absent: leave every row alone that is there already.

    Raises:
        ValueError, OverflowError: an instant that is none.
    """
    by_kind: dict[type[Any], list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(type(fact), []).append(fact)
    for kind, group in by_kind.items():
        if kind is AgentState:
            group.sort(key=attrgetter("since"))
        upsert = _upserting(kind, dialect, only_absent)  # type: ignore[arg-type]  # mypy takes a type for unhashable
        for start in range(0, len(group), _CHUNK):
            some = group[start : start + _CHUNK]
            yield upsert.text, upsert.rows(some)
            if kind is AgentState:
                end = _ending(dialect)
                yield end.text, end.rows(some)


@dataclass(frozen=True, slots=True)
class _Bound:
    """A statement's text, and what makes its positional parameters of facts."""

    text: str
    rows: Rows


def _bind(statement: Insert | Update, kind: type[Any], dialect: str) -> _Bound:
    compiled = statement.compile(dialect=_DIALECTS[dialect])
    names = [name.removeprefix(_OF_STATE) for name in compiled.positiontup or ()]
    return _Bound(str(compiled), rows_of(kind, names, dialect))


def _upsert(kind: type[Any], dialect: str, *, only_absent: bool) -> Insert:
    table = FACT_TABLES[kind]
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    columns: dict[str, Any] = {field.name: bindparam(field.name) for field in fields(kind)}
    if kind is AgentState:
        columns["until"] = _next_since()
    statement = insert(table).values(columns)
    keys = list(table.primary_key)
    if only_absent:
        return statement.on_conflict_do_nothing(index_elements=keys)
    changed: dict[str, Any] = {
        name: statement.excluded[name]
        for name in columns
        if name != "until" and not table.c[name].primary_key
    }
    if kind is WorkItem:
        changed |= _kept_of_work_item(statement.excluded)
    if kind is Incident:
        changed["result"] = func.coalesce(statement.excluded["result"], table.c.result)
    if kind in PARTS:
        changed["call_id"] = _kept_call(table.c, statement.excluded)
    if kind is AwayEpisode:
        for name in ("warned_at", "reported_at", "logged_out_at"):
            changed[name] = func.coalesce(statement.excluded[name], table.c[name])
    return statement.on_conflict_do_update(
        index_elements=keys, set_=changed, where=_is_news(kind, table.c, statement.excluded)
    )


def _is_news(kind: type[Any], old: Any, new: Any) -> ColumnElement[bool] | None:
    """Whether a row is to be replaced; None: in any case."""
    if kind is AgentState:  # one that another followed is not told again but by who knows less
        return cast("ColumnElement[bool]", old.until.is_(None))
    over = _over(kind, old)
    if over is None:
        return None
    stale = and_(over, not_(_over(kind, new)))  # type: ignore[arg-type]  # the same kind has one too
    if kind is QueueStay:  # what app_queue says of the talk comes after the end
        same = and_(old.outcome.is_not_distinct_from(new.outcome), old.agent.is_not_distinct_from(new.agent))
        stale = or_(stale, and_(same, old.book_talk.is_not(None), new.book_talk.is_(None)))
        nameless: ColumnElement[str] = literal_column(
            "''"
        )  # turned away, seen by AMI alone; CEL may have said since by which queue
        stale = or_(stale, and_(old.queue != nameless, new.queue == nameless))
    return not_(stale)


def _kept_call(old: Any, new: Any) -> ColumnElement[str]:
    """A part stays with the call that it came to when two turned out to be one; looked up only when it would move."""
    merged = exists().where(
        calls.c.id == literal_column("excluded.call_id"), calls.c.merged_into.is_not(None)
    )
    return case((old.call_id == new.call_id, old.call_id), (merged, old.call_id), else_=new.call_id)


def _over(kind: type[Any], columns: Any) -> ColumnElement[bool] | None:
    """Whether nothing more is to be expected of a row; None for kinds that have no end, or can begin again."""
    if kind is Call:
        return or_(columns.ended_at.is_not(None), columns.merged_into.is_not(None))
    if kind is Transfer:
        return cast("ColumnElement[bool]", columns.result != literal_column(f"'{PENDING}'"))
    end = ENDS.get(kind)
    return None if end is None else cast("ColumnElement[bool]", columns[end].is_not(None))


def _kept_of_work_item(new: Any) -> dict[str, ColumnElement[Any]]:
    old = work_items.c
    return {
        "state": case((old.state == literal_column("'done'"), old.state), else_=new["state"]),
        "result": case((new["result"] == literal_column("'ringing'"), old.result), else_=new["result"]),
        "accepted_by": func.coalesce(new["accepted_by"], old.accepted_by),
        "accepted_at": func.coalesce(new["accepted_at"], old.accepted_at),
    }


def _next_since() -> ColumnElement[Any]:
    later = agent_states.alias()
    return (
        select(func.min(later.c.since))
        .where(
            later.c.pbx == bindparam("pbx"),
            later.c.agent == bindparam("agent"),
            later.c.since > bindparam("since"),
        )
        .scalar_subquery()
    )


def _end_earlier() -> Update:
    """The state before this one ended as this one began; written for many states at once, after all of them are there.

    Where the row of the state before is missing (`previous_since` is later than the last row we have), the last row
    ended when the missing one began: time nobody has recorded is given to no state. A `previous_since` that is not
    before `since` tells of a clock that was put back, and says nothing.
    """
    before, c = agent_states.alias(), agent_states.c
    columns = [column(name, c[name].type) for name in ("pbx", "agent", "since", "previous_since")]
    bound = tuple(bindparam(_OF_STATE + one.name, type_=one.type) for one in columns)
    new = values(*columns, name="new").data([bound]).cte("new").c
    latest = (
        select(func.max(before.c.since))
        .where(before.c.pbx == new.pbx, before.c.agent == new.agent, before.c.since < new.since)
        .scalar_subquery()
    )
    missing_one = and_(c.since < new.previous_since, new.previous_since < new.since)
    return (
        update(agent_states)
        .where(c.pbx == new.pbx, c.agent == new.agent, c.since == latest)
        .values(until=case((missing_one, new.previous_since), else_=new.since))
    )


_OF_STATE = "state_"  # before the names of parameters: the plain names are the columns that are set
_DIALECTS = {"sqlite": pysqlite.dialect(), "postgresql": asyncpg.dialect()}  # type: ignore[no-untyped-call]  # SQLAlchemy's


@cache
def _upserting(kind: type[Any], dialect: str, only_absent: bool) -> _Bound:
    """Made when first needed: making all of them takes a noticeable part of a start."""
    return _bind(_upsert(kind, dialect, only_absent=only_absent), kind, dialect)


@cache
def _ending(dialect: str) -> _Bound:
    return _bind(_end_earlier(), AgentState, dialect)
