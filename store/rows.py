"""Facts to the positional rows that a driver takes: one function for each statement, written when the program starts.

Naming every attribute and its conversion in one expression costs a third of looping over them, and a busy PBX makes
thousands of rows a second. What a conversion does is written down in `store.columns`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_type_hints

from sqlalchemy import Boolean
from sqlalchemy.types import TypeEngine

from cti.core.facts import Fact
from store.columns import TextTuple, UtcInstant, aware_of_epoch, json_of_tuple
from store.reading import enum_in
from store.tables import FACT_TABLES

Row = tuple[Any, ...]
Rows = Callable[[Iterable[Fact]], list[Row]]

_AS_IT_IS = "fact.{0}"
_MEMBER = (
    "None if (v := fact.{0}) is None else v._value_"  # drivers take the member too, but look for an adapter
)
_MICROS = "None if (v := fact.{0}) is None else round(v * 1_000_000)"
_AWARE = "None if (v := fact.{0}) is None else aware(v)"
_TRUTH = "int(fact.{0})"  # what SQLite's driver would make of it, slowly
_TUPLE = "json(v) if (v := fact.{0}) else '[]'"


def rows_of(kind: type[Any], names: Sequence[str], dialect: str) -> Rows:
    """The function that makes rows of facts of one kind: these fields in this order, as the dialect's driver takes them.

    It raises ValueError or OverflowError for an instant that is none.
    """
    table = FACT_TABLES[kind]
    enums = {name for name, hint in get_type_hints(kind).items() if enum_in(hint) is not None}
    values = ", ".join(
        (_MEMBER if name in enums else _conversion(table.c[name].type, dialect)).format(name)
        for name in names
    )
    made: Rows = eval(  # noqa: S307 - the names are those of a dataclass's fields
        f"lambda facts: [({values},) for fact in facts]", {"aware": aware_of_epoch, "json": json_of_tuple}
    )
    return made


def _conversion(type_: TypeEngine[Any], dialect: str) -> str:
    if isinstance(type_, UtcInstant):
        return _AWARE if dialect == "postgresql" else _MICROS
    if isinstance(type_, Boolean) and dialect == "sqlite":
        return _TRUTH
    return _TUPLE if isinstance(type_, TextTuple) else _AS_IT_IS
