"""Rows back to facts, and pages of them: newest first, each page beginning where the last one ended.

A cursor is the sort key of the last row of a page, so a page neither repeats nor skips a row however many are added
meanwhile.
"""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import Column, Select, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from store.columns import UtcInstant
from store.errors import BadCursor, BadLimit
from store.tables import FACT_TABLES

T = TypeVar("T")

MOST = 1000  # rows of one page
_PER_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the rows, newest first; `next` is the cursor of the following page, None on the last."""

    items: tuple[T, ...]
    next: str | None


def select_facts(kind: type[Any], *more: Any) -> Select[Any]:
    """A select of a kind's fields in their order, and whatever else is wanted behind them."""
    table = FACT_TABLES[kind]
    return select(*(table.c[field.name] for field in fields(kind)), *more)


def fact_maker(kind: type[T]) -> Callable[[Sequence[Any]], T]:
    """Builds a fact from a row of `select_facts`."""
    hints = get_type_hints(kind)
    enums = [(n, enum_in(hints[field.name])) for n, field in enumerate(fields(kind))]  # type: ignore[arg-type]
    converters = [(n, enum) for n, enum in enums if enum is not None]
    count = len(enums)

    def make(row: Sequence[Any]) -> T:
        values = list(row[:count])
        for n, enum in converters:
            if values[n] is not None:
                values[n] = enum(values[n])
        return kind(*values)

    return make


def enum_in(hint: Any) -> type[StrEnum] | None:
    """The enumeration that a field's type names, alone or beside None."""
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and issubclass(one, StrEnum):
            return one
    return None


_MAKERS = {kind: fact_maker(kind) for kind in FACT_TABLES}


async def facts(connection: AsyncConnection, kind: type[T], statement: Select[Any]) -> tuple[T, ...]:
    """Run a `select_facts` and build the facts."""
    make = _MAKERS[kind]  # type: ignore[index]
    return tuple(make(row) for row in await connection.execute(statement))  # type: ignore[misc]


async def page(
    connection: AsyncConnection,
    statement: Select[Any],
    order: Sequence[Column[Any]],
    make: Callable[[Sequence[Any]], T],
    *,
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """One page of a select, newest first.

    Args:
        connection: a reading one.
        statement: the select, without order and limit.
        order: the columns it is sorted by, descending; together unique.
        make: a result of a row.
        cursor: `next` of the page before, None for the first.
        limit: rows, 1 to 1000.

    Raises:
        BadCursor: the cursor is not one of ours.
        BadLimit: the limit is out of its range.
    """
    if not 1 <= limit <= MOST:
        raise BadLimit(f"limit {limit}: is out of range; use 1 to {MOST}")
    if cursor is not None:
        last = _decode(cursor, order)
        values = [literal(value, column.type) for value, column in zip(last, order, strict=True)]
        statement = statement.where(tuple_(*order) < tuple_(*values))
    keys = [column.label(f"cursor_{n}") for n, column in enumerate(order)]
    ordered = statement.add_columns(*keys).order_by(*(column.desc() for column in order)).limit(limit + 1)
    rows = (await connection.execute(ordered)).all()
    more = len(rows) > limit
    rows = rows[:limit]
    following = _encode(tuple(rows[-1])[-len(order) :], order) if more else None
    return Page(tuple(make(row) for row in rows), following)


def _encode(values: Sequence[Any], order: Sequence[Column[Any]]) -> str:
    plain = [
        round(value * _PER_SECOND) if isinstance(column.type, UtcInstant) else value
        for value, column in zip(values, order, strict=True)
    ]
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, order: Sequence[Column[Any]]) -> list[Any]:
    bad = BadCursor(f"cursor {cursor[:40]!r}: is not one this list gave out; leave it out to begin anew")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        plain = json.loads(text)
    except (ValueError, binascii.Error, RecursionError):
        raise bad from None
    if not isinstance(plain, list) or len(plain) != len(order):
        raise bad
    return [_value(one, column, bad) for one, column in zip(plain, order, strict=True)]


def _value(plain: Any, column: Column[Any], bad: BadCursor) -> Any:
    if isinstance(column.type, UtcInstant):
        if type(plain) is not int or abs(plain) > 2**53:
            raise bad
        return plain / _PER_SECOND
    if not isinstance(plain, str) or "\0" in plain or _has_surrogates(plain):
        raise bad
    return plain


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)
