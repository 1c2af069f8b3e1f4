"""Many rows by one statement, for SQLite.

Python's driver gives the interpreter's lock away for each statement it runs and has to get it back after each. While
the event loop is busy that takes milliseconds a row, thousands of times what SQLite needs to write it. A statement of
64 rows asks once for all of them, and the second core does the writing meanwhile.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

_SIZES = (64, 8)  # rows of one statement; few, so that the driver keeps each of them compiled
_VALUES = "VALUES "


def run(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each row in order, an `INSERT … VALUES (…)` for many at once. Raises sqlite3.Error."""
    done = 0
    if statement.startswith("INSERT "):
        for size in _SIZES:
            while len(rows) - done >= size:
                values = list(chain.from_iterable(rows[done : done + size]))
                connection.execute(_widened(statement, size), values)
                done += size
    if done < len(rows):
        connection.executemany(statement, rows[done:])


@cache
def _widened(statement: str, size: int) -> str:
    """The statement with its group of values so many times."""
    begin = statement.index(_VALUES) + len(_VALUES)
    depth = 0
    for end in range(begin, len(statement)):
        depth += (statement[end] == "(") - (statement[end] == ")")
        if not depth:
            break
    group = statement[begin : end + 1]
    return statement[:begin] + ", ".join([group] * size) + statement[end + 1 :]
