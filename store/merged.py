"""Calls that turned out to be one: the younger's row points to the older one, and whatever hangs on it comes along."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from sqlalchemy import CTE, ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cti.core.facts import Attempt, Leg, QueueStay, Recording, Talk, Transfer
from store.reading import fact_maker, select_facts
from store.tables import FACT_TABLES, calls

Part = TypeVar("Part", Leg, QueueStay, Attempt, Talk, Transfer, Recording)

_BEGINS = {QueueStay: "joined_at", Transfer: "at"}


def families(where: ColumnElement[bool]) -> CTE:
    """The chosen calls (`id` = `root`) and, under the same `root`, every call merged into one of them."""
    chosen = select(calls.c.id, calls.c.id.label("root")).where(where).cte("families", recursive=True)
    younger = calls.alias("younger")
    merged = select(younger.c.id, chosen.c.root).join(chosen, younger.c.merged_into == chosen.c.id)
    return chosen.union(merged)  # not UNION ALL: a circle, which should not be, ends here


async def parts(connection: AsyncConnection, kind: type[Part], family: CTE) -> tuple[Part, ...]:
    """The parts of every call of the families, in order of time, each with its root as `call_id`."""
    table = FACT_TABLES[kind]
    begins = table.c[_BEGINS.get(kind, "started_at")]
    statement = (
        select_facts(kind, family.c.root)
        .join(family, table.c.call_id == family.c.id)
        .order_by(begins, table.c.id)
    )
    make = fact_maker(kind)
    return tuple(_of_root(make(row), row) for row in await connection.execute(statement))


def _of_root(part: Part, row: Sequence[Any]) -> Part:
    root = row[len(fields(part))]
    return part if part.call_id == root else replace(part, call_id=root)


async def root_of(connection: AsyncConnection, call_id: str) -> str:
    """The id of the call that this one was merged into at last; its own when it never was, or is not known."""
    seen: set[str] = set()
    while call_id not in seen:
        seen.add(call_id)
        statement = select(calls.c.merged_into).where(calls.c.id == call_id)
        call_id = (await connection.execute(statement)).scalar() or call_id
    return call_id
