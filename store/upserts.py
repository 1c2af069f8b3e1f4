"""Facts to rows: one idempotent statement a kind of fact, built once and compiled once.

A row is replaced by the last fact of its key, with three exceptions:

- A fact from the PBX's books is inserted where there is no row, and never overwrites one.
- An agent's state ends where that agent's next one begins, so `until` is written by the state that follows, in
  whatever order the two arrive.
- A work item is a person's as much as ours: one that is done stays done, and one that has its result does not ring
  again.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Insert, Update, and_, bindparam, case, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import AgentState, Call, Fact, Quality, WorkItem
from store.tables import FACT_TABLES, agent_states, work_items

_CHUNK = 500  # rows bound at once: the event loop gets its turn between two chunks

_INTEGER = 2**31 - 1

Row = dict[str, Any]


def is_stored(fact: Fact) -> bool:
    """Whether there is a table for this kind of fact."""
    return type(fact) in FACT_TABLES


def is_from_books(fact: Fact) -> bool:
    """Whether the fact itself says that it came from the PBX's books."""
    return isinstance(fact, Call) and fact.quality is Quality.FROM_BOOKS


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


async def write(connection: AsyncConnection, facts: Iterable[Fact], *, only_absent: bool = False) -> None:
    """Write facts into their tables, inside the caller's transaction.

    Args:
        connection: in a transaction.
        facts: at most one of each key; of stored kinds only.
        only_absent: leave every row alone that is there already.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: whatever the database says.
    """
    by_kind: dict[type[Any], list[Fact]] = {}
    for fact in facts:
        by_kind.setdefault(type(fact), []).append(fact)
    for kind, group in by_kind.items():
        await _write_kind(connection, kind, group, only_absent=only_absent)


async def _write_kind(
    connection: AsyncConnection, kind: type[Any], group: list[Fact], *, only_absent: bool
) -> None:
    statement = _UPSERTS[kind, connection.dialect.name, only_absent]
    to_row = _ROW_MAKERS[kind]
    if kind is AgentState:
        group.sort(key=attrgetter("since"))
    for start in range(0, len(group), _CHUNK):
        rows = [to_row(fact) for fact in group[start : start + _CHUNK]]
        await connection.execute(statement, rows)
        if kind is AgentState:
            await connection.execute(_END_EARLIER, [_end_of(row) for row in rows])


def _row_maker(kind: type[Any]) -> Callable[[Fact], Row]:
    names = tuple(field.name for field in fields(kind))
    values = attrgetter(*names)
    return lambda fact: dict(zip(names, values(fact), strict=True))


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
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def _kept_of_work_item(new: Any) -> dict[str, ColumnElement[Any]]:
    old = work_items.c
    return {
        "state": case((old.state == "done", old.state), else_=new["state"]),
        "result": case((new["result"] == "ringing", old.result), else_=new["result"]),
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
    """The state before this one ended as this one began.

    Where the row of the state before is missing (`previous_since` is later than the last row we have), the last row
    ended when the missing one began: time nobody has recorded is given to no state.
    """
    before = agent_states.alias()
    since = bindparam("b_since", type_=agent_states.c.since.type)
    previous_since = bindparam("b_previous_since", type_=agent_states.c.since.type)
    latest = (
        select(func.max(before.c.since))
        .where(
            before.c.pbx == bindparam("b_pbx"), before.c.agent == bindparam("b_agent"), before.c.since < since
        )
        .scalar_subquery()
    )
    return (
        update(agent_states)
        .where(
            and_(
                agent_states.c.pbx == bindparam("b_pbx"),
                agent_states.c.agent == bindparam("b_agent"),
                agent_states.c.since == latest,
            )
        )
        .values(
            until=case(
                (or_(previous_since.is_(None), agent_states.c.since >= previous_since), since),
                else_=previous_since,
            )
        )
    )


_END_EARLIER = _end_earlier()


def _end_of(row: Row) -> Row:
    since, previous_since = row["since"], row["previous_since"]
    if previous_since is not None and previous_since >= since:
        previous_since = None  # a clock that was put back: nothing to learn from it
    return {
        "b_pbx": row["pbx"],
        "b_agent": row["agent"],
        "b_since": since,
        "b_previous_since": previous_since,
    }


_ROW_MAKERS = {kind: _row_maker(kind) for kind in FACT_TABLES}
_UPSERTS = {
    (kind, dialect, only_absent): _upsert(kind, dialect, only_absent=only_absent)
    for kind in FACT_TABLES
    for dialect in ("sqlite", "postgresql")
    for only_absent in (False, True)
}
